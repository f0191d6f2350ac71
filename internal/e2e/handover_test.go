//go:build e2e && linux

package e2e

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/org/goproxy-setup/internal/proxytest"
)

// Users that exist nowhere: the one that later steps run as, and a stranger.
const laterUser, stranger = 65534, 65533

// The step runs as root, as in a container, and the steps that follow run as
// the user whom the job's temporary directory belongs to. With the exports
// alone they use a proxy that has a private CA and wants credentials, and
// nobody else can read those.
func TestHandover(t *testing.T) {
	if os.Getuid() != 0 {
		skip(t, "the steps run as different users: needs root")
	}
	for _, tt := range []struct {
		name    string
		env     []string // TEMP and WORK are the job's folders
		command bool     // exports travel by GitHub's command files
		uid     int      // of the step itself
	}{
		{"github", []string{"GITHUB_ACTIONS=true", "RUNNER_TEMP=TEMP", "GITHUB_WORKSPACE=WORK", "GITHUB_ENV=TEMP/env", "GITHUB_OUTPUT=TEMP/output", "GITHUB_STEP_SUMMARY=TEMP/summary"}, true, 0},
		{"forgejo", []string{"FORGEJO_ACTIONS=true", "GITHUB_ACTIONS=true", "RUNNER_TEMP=TEMP", "GITHUB_WORKSPACE=WORK", "GITHUB_ENV=TEMP/env", "GITHUB_OUTPUT=TEMP/output", "GITHUB_STEP_SUMMARY=TEMP/summary"}, true, 0},
		{"gitlab", []string{"GITLAB_CI=true", "CI_PROJECT_DIR=WORK", "RUNNER_TEMP_PROJECT_DIR=TEMP"}, false, 0},
		{"jenkins", []string{"JENKINS_URL=https://jenkins.example.com/", "WORKSPACE=WORK", "WORKSPACE_TMP=TEMP"}, false, 0},
		{"any shell", []string{"TMPDIR=TEMP"}, false, 0},
		{"any shell, same user", []string{"TMPDIR=TEMP"}, false, laterUser},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			j := newJob(t)
			for i, v := range tt.env {
				tt.env[i] = strings.NewReplacer("=TEMP", "="+j.temp, "=WORK", "="+j.work).Replace(v)
			}
			exports := j.step(t, tt.uid, tt.env, tt.command)
			j.check(t, exports)
			j.later(t, exports)
		})
	}
}

// A checkout that the step may not write to: the report cannot be left there,
// so nothing else is.
func TestReadOnlyCheckout(t *testing.T) {
	if os.Getuid() != 0 {
		skip(t, "the checkout belongs to another user: needs root")
	}
	j := newJob(t)
	give(t, j.work, 0)
	env := []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + j.home, "GOSUMDB=" + proxytest.GOSUMDB, "HTTPS_PROXY=" + j.forward.URL,
		"GITHUB_ACTIONS=true", "RUNNER_TEMP=" + j.temp, "GITHUB_WORKSPACE=" + j.work,
		"GITHUB_ENV=" + j.temp + "/env", "GITHUB_OUTPUT=" + j.temp + "/output", "GITHUB_STEP_SUMMARY=" + j.temp + "/summary",
		"INPUT_CREDENTIALS=CORP_USER=" + proxytest.User + "\nCORP_TOKEN=" + proxytest.Password, "INPUT_CREDENTIAL-HOST=CORP_USER=127.0.0.1\nCORP_TOKEN=127.0.0.1",
	}
	r := as(t, laterUser, j.work, env, program(t))
	if r.exit != 3 || !strings.Contains(r.stderr, ".goproxy-setup/report.json: ") || !strings.Contains(r.stderr, "permission denied") {
		t.Errorf("exit %d; want 3 and the file named\n%s", r.exit, r.stderr)
	}
	left, err := os.ReadDir(j.temp)
	if err != nil || len(left) != 3 {
		t.Errorf("left behind: %v, %v; want the command files alone", left, err)
	}
	for _, f := range left {
		if info, err := f.Info(); err != nil || info.Size() != 0 {
			t.Errorf("%s has %d bytes, %v; want none", f.Name(), info.Size(), err)
		}
	}
}

// A job is a checkout and a temporary directory that belong to one user, and a
// proxy that only those reach who have its CA and a password.
type job struct {
	proxy      *proxytest.Server
	forward    *proxytest.ForwardProxy
	work, temp string
	home       string // of the step itself; has a netrc
}

func newJob(t *testing.T) *job {
	t.Helper()
	j := &job{proxy: proxytest.New(t, proxytest.Options{TLS: proxytest.PrivateCA}), forward: proxytest.NewForward(t, nil), temp: openDir(t), home: openDir(t)}
	j.work = project(t, j.proxy)
	write(t, j.work, "certs/ca.pem", string(j.proxy.CA))
	write(t, j.work, policyFile, fmt.Sprintf(`version: 1
proxies:
  corp: { url: "%s/auth", username: "${CORP_USER}", password: "${CORP_TOKEN}", tls: { ca: certs/ca.pem } }
environments:
  default: { chain: [corp], sumdb: required }
`, j.proxy.URL))
	for _, name := range []string{"env", "output", "summary"} {
		write(t, j.temp, name, "")
	}
	write(t, j.home, ".netrc", "machine git.example.com login me password mine\n")
	for _, dir := range []string{j.work, j.temp, j.home} {
		give(t, dir, laterUser)
	}
	return j
}

// give makes everything in dir belong to a user.
func give(t *testing.T, dir string, uid int) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		return os.Lchown(path, uid, uid)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// as runs a command as another user, who is in no further group.
func as(t *testing.T, uid int, dir string, env []string, name string, args ...string) result {
	t.Helper()
	if uid != 0 {
		id := strconv.Itoa(uid)
		args = append([]string{"--reuid=" + id, "--regid=" + id, "--clear-groups", name}, args...)
		name = "setpriv"
	}
	return run(t, dir, env, name, args...)
}

// step runs setup, and returns what the steps that follow are given.
func (j *job) step(t *testing.T, uid int, env []string, command bool) map[string]string {
	t.Helper()
	env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + j.home, "GOTOOLCHAIN=local", "GOSUMDB=" + proxytest.GOSUMDB,
		"CORP_USER=" + proxytest.User, "CORP_TOKEN=" + proxytest.Password, "HTTPS_PROXY=" + j.forward.URL,
		"GOPROXY_SETUP_CREDENTIAL_HOST=CORP_USER=127.0.0.1\nCORP_TOKEN=127.0.0.1",
	}, env...)
	r := as(t, uid, j.work, env, program(t), "setup", "--format", "shell")
	if r.exit != 0 {
		t.Fatalf("setup: exit %d\n%s", r.exit, r.stderr)
	}
	for line := range strings.Lines(r.stdout + r.stderr) {
		if strings.Contains(line, proxytest.Password) && !strings.HasPrefix(line, "::add-mask::") {
			t.Errorf("the log shows the password: %q", line)
		}
	}
	if command {
		data, err := os.ReadFile(filepath.Join(j.temp, "env"))
		if err != nil {
			t.Fatal(err)
		}
		values, err := parseFileCommand(string(data))
		if err != nil {
			t.Fatal(err)
		}
		return values
	}
	return evaluated(t, r.stdout)
}

// check checks what was placed in the job's temporary directory.
func (j *job) check(t *testing.T, exports map[string]string) {
	t.Helper()
	if exports["GOPROXY"] != j.proxy.URL+"/auth" || strings.Contains(fmt.Sprint(exports), proxytest.Password) {
		t.Errorf("exported %v; want the proxy without credentials", exports)
	}
	netrc := exports["NETRC"]
	cert, _, _ := strings.Cut(exports["SSL_CERT_DIR"], ":")
	for _, path := range []string{netrc, cert} {
		if rel, err := filepath.Rel(j.temp, path); err != nil || !filepath.IsLocal(rel) {
			t.Errorf("%q is not in the job's temporary directory", path)
		}
	}
	info, err := os.Stat(netrc)
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t).Uid; info.Mode().Perm() != 0o600 || owner != laterUser {
		t.Errorf("netrc: mode %v, owner %d; want 0600 and %d", info.Mode(), owner, laterUser)
	}
	if r := as(t, stranger, "/", []string{"PATH=" + os.Getenv("PATH")}, "cat", netrc); r.exit == 0 {
		t.Errorf("a stranger reads the netrc: %s", r.stdout)
	}
	r := as(t, laterUser, "/", []string{"PATH=" + os.Getenv("PATH")}, "cat", netrc)
	for _, machine := range []string{"machine git.example.com", "machine " + strings.TrimPrefix(j.proxy.URL, "https://")} {
		if !strings.Contains(r.stdout, machine) {
			t.Errorf("the netrc has no %q", machine)
		}
	}
}

// later runs go as the job's user, with the exports and nothing else.
func (j *job) later(t *testing.T, exports map[string]string) {
	t.Helper()
	home := openDir(t)
	give(t, home, laterUser)
	base := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GOENV=off", "GOTOOLCHAIN=local", "GOFLAGS=-modcacherw"}
	env := append([]string(nil), base...)
	for name, value := range exports {
		env = append(env, name+"="+value)
	}
	for _, args := range [][]string{{"mod", "download"}, {"get", "example.com/greet@v1.1.0"}} {
		if r := as(t, laterUser, j.work, env, "go", args...); r.exit != 0 {
			t.Errorf("go %q as another user: exit %d\n%s", args, r.exit, r.stderr)
		}
	}
	for _, missing := range []string{"NETRC", "SSL_CERT_DIR"} { // the exports are needed, all of them
		some := maps.Clone(exports)
		delete(some, missing)
		env := append([]string{"GOMODCACHE=" + filepath.Join(home, missing)}, base...)
		for name, value := range some {
			env = append(env, name+"="+value)
		}
		if r := as(t, laterUser, j.work, env, "go", "mod", "download"); r.exit == 0 {
			t.Errorf("without %s go downloads all the same: this test proves nothing", missing)
		}
	}
}
