//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/org/goproxy-setup/internal/proxytest"
)

// policyFor returns a policy file with two proxies: staging prefers the first,
// production has the second alone.
func policyFor(first, second string) string {
	return fmt.Sprintf(`version: 1
proxies:
  first: {url: %q}
  second: {url: %q}
environments:
  staging: {chain: [first, second]}
  production: {chain: [second]}
  default: {chain: [second]}
`, first, second)
}

// proverb is what the program of [project] prints.
const proverb = "share memory by communicating."

// goEnviron is environ with Go's caches in order: the build cache is this
// machine's, and modules have to be downloaded. Whatever leaves this machine
// fails.
func goEnviron(t *testing.T, extra ...string) []string {
	t.Helper()
	home := t.TempDir()
	return environ(append([]string{
		"HOME=" + home, "GOCACHE=" + must(t, root, os.Environ(), "go", "env", "GOCACHE"),
		"GOMODCACHE=" + filepath.Join(home, "mod"), "GOFLAGS=-modcacherw",
		"HTTP_PROXY=http://127.0.0.1:9", "HTTPS_PROXY=http://127.0.0.1:9", // not for loopback
	}, extra...)...)
}

// A pipeline is a project on GitLab.
type pipeline struct {
	dir string
	env []string
}

const includeTemplate = "include:\n  - local: templates/goproxy-setup.yml\n"

// newPipeline makes a project with the template, a policy and a .gitlab-ci.yml.
func newPipeline(t *testing.T, p *proxytest.Server, policy, config string) *pipeline {
	t.Helper()
	dir := project(t, p)
	must(t, dir, environ(), "git", "remote", "set-url", "origin", "https://gitlab.example.com/acme/project.git")
	template, err := os.ReadFile(filepath.Join(root, "ci-templates/gitlab/templates/goproxy-setup.yml"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "templates/goproxy-setup.yml", string(template))
	write(t, dir, ".goproxy-setup.yaml", policy)
	write(t, dir, ".gitlab-ci.yml", config)
	commit(t, dir)
	must(t, dir, environ(), "git", "update-ref", "refs/remotes/origin/main", "HEAD")
	must(t, dir, environ(), "git", "symbolic-ref", "refs/remotes/origin/HEAD", "refs/remotes/origin/main")
	return &pipeline{dir, goEnviron(t, "PATH="+filepath.Dir(program(t))+":"+os.Getenv("PATH"))}
}

// run runs the jobs, each in a copy of the project, as GitLab would.
func (p *pipeline) run(t *testing.T, args ...string) result {
	t.Helper()
	command := filepath.Join(tool(t, "gitlab.sh"), "gitlab-ci-local")
	return run(t, p.dir, p.env, command, append([]string{"--force-shell-executor", "--shell-isolation"}, args...)...)
}

// inFolder are arguments for pipelines with a job that has an image: without
// containers gitlab-ci-local gets CI_PROJECT_DIR wrong there. It is the
// project's own folder then, in all jobs.
func (p *pipeline) inFolder(args ...string) []string {
	return append(args, "--variable", "CI_PROJECT_DIR="+p.dir, "--ignore-predefined-vars", "CI_PROJECT_DIR")
}

// log returns what a job printed; "" if it did not run.
func (p *pipeline) log(job string) string {
	text, _ := os.ReadFile(filepath.Join(p.dir, ".gitlab-ci-local/output", job+".log"))
	return string(text)
}

// expect reports the jobs whose log lacks a text.
func (p *pipeline) expect(t *testing.T, logs map[string][]string) {
	t.Helper()
	for job, texts := range logs {
		for _, text := range texts {
			if !strings.Contains(p.log(job), text) {
				t.Errorf("the log of %s lacks %q:\n%s", job, text, p.log(job))
			}
		}
	}
}

// status returns the line of gitlab-ci-local's summary for a job: PASS, WARN …
func status(r result, job string) string {
	m := regexp.MustCompile(`(?m)^ (PASS|WARN|FAIL) +` + regexp.QuoteMeta(job) + `\s*`).FindStringSubmatch(r.stdout)
	if m == nil {
		return "did not run"
	}
	return m[1]
}

func TestGitLabInJob(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	pipe := newPipeline(t, p, policyFor(p.URL, p.URL+"/ok"), includeTemplate+`
build:
  extends: .goproxy-setup
  environment: staging
  before_script:
    - echo "before [$GOPROXY]"
    - !reference [.goproxy-setup, before_script]
    - echo "then [$GOPROXY]"
  script:
    - go mod download
    - go run .
    - echo "changed [$(git status --porcelain)]"
  after_script:
    - echo "after [$GOPROXY]"

tier:
  extends: .goproxy-setup
  environment: {name: live/eu, deployment_tier: production}
  script:
    - echo "tier [$GOPROXY]"

plain:
  extends: .goproxy-setup
  variables: {GOPROXY_SETUP_ENVIRONMENT: staging}
  script:
    - echo "plain [$GOPROXY]"
`)
	if r := pipe.run(t); r.exit != 0 {
		t.Errorf("exit %d\n%s%s", r.exit, r.stdout, r.stderr)
	}
	chain := "[" + p.URL + "|" + p.URL + "/ok]\n"
	pipe.expect(t, map[string][]string{
		"build": {"before []\n", "then " + chain, proverb, "changed []\n", "after []\n"},
		"tier":  {"tier [" + p.URL + "/ok]\n"},
		"plain": {"plain " + chain},
	})
}

// checkDotenv checks the rules by which GitLab reads a dotenv report, which
// gitlab-ci-local does not apply, and returns the variables.
func checkDotenv(t *testing.T, pipe *pipeline, job string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(pipe.dir, ".gitlab-ci-local/builds", job, ".goproxy-setup/*.env"))
	if err != nil || len(files) != 1 {
		t.Fatalf("dotenv files of %s: %q, %v; want one", job, files, err)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	if len(data) >= 5*1024 || !utf8.Valid(data) || !strings.HasSuffix(string(data), "\n") {
		t.Errorf("%d bytes, UTF-8 %t; want under 5 KB of whole lines", len(data), utf8.Valid(data))
	}
	vars := map[string]string{}
	for line := range strings.Lines(string(data)) {
		name, value, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "=")
		if !ok || !regexp.MustCompile(`^[A-Za-z0-9_]+$`).MatchString(name) {
			t.Errorf("line %q is not NAME=value", line)
		}
		if value == "" || strings.TrimSpace(value) != value || strings.Contains(value, "\r") {
			t.Errorf("%s: value %q would not survive", name, value)
		}
		if quote := `"'`; strings.ContainsRune(quote, rune(value[0])) {
			t.Errorf("%s: GitLab keeps the quotes of %q", name, value)
		}
		if _, dup := vars[name]; dup {
			t.Errorf("%s is there twice", name)
		}
		vars[name] = value
	}
	if len(vars) > 20 {
		t.Errorf("%d variables; a self-managed GitLab takes 20", len(vars))
	}
	if _, ok := vars["NETRC"]; ok {
		t.Error("NETRC names a file that no later job has")
	}
	return vars
}

// TestGitLabTwice includes the template once for each of two environments.
func TestGitLabTwice(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	pipe := newPipeline(t, p, policyFor(p.URL, p.URL+"/ok"), includeTemplate+`    inputs: {name: staging, environment: staging}
  - local: templates/goproxy-setup.yml
    inputs: {name: production, environment: production}

one:
  extends: .staging
  script: ['echo "one [$GOPROXY]"']

two:
  extends: .production
  script: ['echo "two [$GOPROXY]"']
`)
	if r := pipe.run(t); r.exit != 0 {
		t.Errorf("exit %d\n%s%s", r.exit, r.stdout, r.stderr)
	}
	pipe.expect(t, map[string][]string{
		"one": {"one [" + p.URL + "|" + p.URL + "/ok]\n"},
		"two": {"two [" + p.URL + "/ok]\n"},
	})
}

func TestGitLabFallback(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	pipe := newPipeline(t, p, policyFor(p.URL+"/502", p.URL), includeTemplate+`    inputs: {environment: staging, job: choose}

build:
  script:
    - echo "got [$GOPROXY]"
    - go mod download

alone:
  extends: .goproxy-setup
  needs: []
  script:
    - echo "alone [$GOPROXY]"
`)
	r := pipe.run(t, pipe.inFolder()...)
	if r.exit != 0 || status(r, "choose") != "WARN" || status(r, "build") != "PASS" || status(r, "alone") != "PASS" {
		t.Errorf("exit %d; want choose WARN, build and alone PASS\n%s%s", r.exit, r.stdout, r.stderr)
	}
	pipe.expect(t, map[string][]string{
		"build": {"got [" + p.URL + "]\n"},
		"alone": {"alone [" + p.URL + "]\n", "502"},
	})
	vars := checkDotenv(t, pipe, "choose")
	if vars["GOPROXY_RESULT_FALLBACK_USED"] != "true" || vars["GOPROXY_RESULT_PRIMARY"] != "first" {
		t.Errorf("results %q; want the fallback named", vars)
	}
	for folder, suffixes := range map[string][]string{
		".gitlab-ci-local/builds/choose": {"codequality.json", "junit.xml"},
		".":                              {"codequality.json"}, // of alone
	} {
		for _, suffix := range suffixes {
			files, _ := filepath.Glob(filepath.Join(pipe.dir, folder, ".goproxy-setup/*."+suffix))
			if len(files) == 0 {
				t.Errorf("no %s in %s", suffix, folder)
			}
			for _, file := range files {
				if data, err := os.ReadFile(file); err != nil || !strings.Contains(string(data), "502") {
					t.Errorf("%s does not say what is wrong with the proxy (%v):\n%s", file, err, data)
				}
			}
		}
	}
}

// TestGitLabExhausted looks at what the jobs export, too: gitlab-ci-local goes
// on after any failure of a job that has allow_failure:exit_codes.
func TestGitLabExhausted(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	pipe := newPipeline(t, p, policyFor(p.URL+"/502", p.URL+"/html"), includeTemplate+`    inputs: {environment: staging, job: choose}

build:
  script:
    - echo "got [$GOPROXY]"

alone:
  extends: .goproxy-setup
  needs: []
  script:
    - echo "must not run"
  after_script:
    - echo "after [$GOPROXY]"
`)
	r := pipe.run(t, pipe.inFolder()...)
	if r.exit == 0 || status(r, "choose") != "FAIL" || status(r, "alone") != "FAIL" {
		t.Errorf("exit %d; want choose and alone FAIL\n%s%s", r.exit, r.stdout, r.stderr)
	}
	if log := pipe.log("alone"); strings.Contains(log, "must not run\n") {
		t.Errorf("a script ran without settings:\n%s", log)
	}
	pipe.expect(t, map[string][]string{"alone": {"after []\n"}, "build": {"got []\n"}})
}

// secretPolicy returns a policy for a proxy with an authority of its own
// (ca.pem) that wants credentials.
func secretPolicy(url string) string {
	return fmt.Sprintf(`version: 1
proxies:
  corp: {url: %q, username: ci, password: "${CORP_TOKEN}", tls: {ca: ca.pem}}
environments:
  production: {chain: [corp]}
`, url)
}

// TestGitLabCredentials shows that a job can use a proxy that wants credentials,
// that the exports alone suffice, and that nobody sees the secret.
func TestGitLabCredentials(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{TLS: proxytest.PrivateCA})
	pipe := newPipeline(t, p, secretPolicy(p.URL+"/auth"), includeTemplate+`    inputs: {credential-host: "CORP_TOKEN=127.0.0.1"}

build:
  extends: .goproxy-setup
  environment: production
  variables: {CORP_TOKEN: secret}
  script:
    - go env GOPROXY
    - go mod download
    - go run .
`)
	write(t, pipe.dir, "ca.pem", string(p.CA))
	commit(t, pipe.dir)
	if r := pipe.run(t); r.exit != 0 {
		t.Errorf("exit %d\n%s%s", r.exit, r.stdout, r.stderr)
	}
	pipe.expect(t, map[string][]string{"build": {"\n" + p.URL + "/auth\n", proverb}})
	if strings.Contains(pipe.log("build"), "secret") {
		t.Errorf("the log shows the secret:\n%s", pipe.log("build"))
	}
}
