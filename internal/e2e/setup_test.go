//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/proxytest"
	"github.com/org/goproxy-setup/internal/report"
)

// exported is what one run of "setup" left for the steps that follow.
type exported struct {
	result
	env    map[string]string // as a shell reads the exports
	report report.Report
}

// setup runs the program in dir as a shell script does, with exactly the
// variables env, and reads back what it exports.
func setup(t *testing.T, dir string, env []string, args ...string) exported {
	t.Helper()
	file := filepath.Join(t.TempDir(), "report.json")
	var x exported
	x.result = run(t, dir, env, program(t), append([]string{"setup", "--format", "shell", "--write", "json=" + file}, args...)...)
	if data, err := os.ReadFile(file); err == nil {
		if err := json.Unmarshal(data, &x.report); err != nil {
			t.Fatal(err)
		}
	}
	if x.exit == 0 {
		x.env = evaluated(t, x.stdout)
	}
	return x
}

// evaluated returns the variables that exports make of a shell without any.
func evaluated(t *testing.T, exports string) map[string]string {
	t.Helper()
	out := must(t, "/", []string{"PATH=" + os.Getenv("PATH")}, "env", "-i", "sh", "-ec", `eval "$1"; unset PWD OLDPWD SHLVL _; env -0`, "sh", exports)
	env := map[string]string{}
	for setting := range strings.SplitSeq(strings.TrimRight(out, "\x00"), "\x00") {
		if name, value, ok := strings.Cut(setting, "="); ok {
			env[name] = value
		}
	}
	return env
}

// entry returns the report's row of a proxy.
func (x exported) entry(t *testing.T, name string) report.Proxy {
	t.Helper()
	for _, p := range x.report.Proxies {
		if p.Name == name {
			return p
		}
	}
	t.Fatalf("the report has no proxy %q; exit %d\n%s", name, x.exit, x.stderr)
	return report.Proxy{}
}

// list returns the exports as env takes them.
func (x exported) list() []string {
	var list []string
	for name, value := range x.env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

// goCommand runs the real go command in dir with what was exported, an empty
// home and module cache, and nothing else that says where modules come from.
// The build cache is the machine's, so that nothing is compiled twice.
func goCommand(t *testing.T, dir string, x exported, env []string, args ...string) result {
	t.Helper()
	home := t.TempDir()
	write(t, home, ".config/go/telemetry/mode", "off") // or go leaves a process behind that writes here
	all := append(environ(), "HOME="+home, "GOPATH="+home+"/go", "GOENV=off", "GOFLAGS=-modcacherw", "GOCACHE="+goEnv(t, "GOCACHE"))
	return run(t, dir, slices.Concat(all, env, x.list()), "go", args...)
}

// goEnv returns the value of a variable as the go command sees it here.
func goEnv(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("go", "env", name).Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// A realProxy is the module proxy that this machine is configured to use. Its
// address is nobody's business: tests print what [realProxy.mask] leaves.
type realProxy struct{ url, host string }

// upstream returns the first module proxy that GOPROXY names on this machine,
// or skips the test if there is none that answers.
func upstream(t *testing.T) realProxy {
	t.Helper()
	for entry := range strings.FieldsFuncSeq(goEnv(t, "GOPROXY"), func(r rune) bool { return r == ',' || r == '|' }) {
		u, err := url.Parse(strings.TrimSpace(entry))
		if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" {
			continue
		}
		c := http.Client{Timeout: 20 * time.Second}
		resp, err := c.Get(u.JoinPath("rsc.io/quote/@v/v1.5.2.info").String())
		if err != nil {
			continue
		}
		resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return realProxy{strings.TrimRight(u.String(), "/"), u.Host}
		}
	}
	skip(t, "GOPROXY of this machine names no module proxy that answers without a login")
	return realProxy{}
}

func (p realProxy) mask(s string) string {
	return strings.NewReplacer(p.url, "UPSTREAM", p.host, "UPSTREAM-HOST").Replace(s)
}

// network are the variables without which this machine may reach nothing.
func network() []string {
	var env []string
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// setup runs the program where the policy's chain has the upstream as "up". A
// real server has real accidents: what it answers is said, and asked again, as
// they are not what the tests are about.
func (p realProxy) setup(t *testing.T, dir string, args ...string) exported {
	t.Helper()
	for attempt := 1; ; attempt++ {
		x := setup(t, dir, environ(network()...), args...)
		up := x.entry(t, "up")
		if up.State == report.Usable || up.State == report.Degraded || attempt == 3 {
			return x
		}
		t.Logf("attempt %d: the upstream is %s: %s", attempt, up.State, p.mask(fmt.Sprintf("%+v", up)))
	}
}

// realProject returns a copy of what this repository depends on.
func realProject(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, name, string(data))
	}
	return dir
}

// downloads remembers which exports have been tried: the same variables
// download the same modules.
type downloads struct {
	mu   sync.Mutex
	done map[string]bool
}

// try has the real go command download all modules of the real project with
// exactly the variables that were exported.
func (d *downloads) try(t *testing.T, p realProxy, dir string, x exported) {
	t.Helper()
	key := fmt.Sprint(x.list())
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.done[key] {
		return
	}
	r := goCommand(t, dir, x, network(), "mod", "download", "-json")
	modules := strings.Count(r.stdout, `"Zip":`)
	if r.exit != 0 || modules < 5 || strings.Contains(r.stdout, `"Error":`) {
		t.Fatalf("go mod download: exit %d, %d modules\n%s", r.exit, modules, p.mask(r.stderr+r.stdout))
	}
	t.Logf("go mod download: %d modules in %v", modules, r.took.Round(time.Millisecond))
	if d.done == nil {
		d.done = map[string]bool{}
	}
	d.done[key] = true
}

// The machine's own module proxy is healthy: it is chosen, and serves the real
// project.
func TestUpstreamAsPrimary(t *testing.T) {
	up := upstream(t)
	dir := realProject(t)
	write(t, dir, policyFile, fmt.Sprintf("version: 1\nproxies:\n  up: { url: %q }\nenvironments:\n  default: { chain: [up, direct] }\n  alone: { chain: [up] }\n", up.url))
	var d downloads
	for environment, want := range map[string]string{"default": up.url + "|direct", "alone": up.url} {
		x := up.setup(t, dir, "--environment", environment)
		if x.exit != 0 || x.report.Outcome != report.OK || x.env["GOPROXY"] != want {
			t.Fatalf("%s: exit %d, outcome %q, GOPROXY=%q; want %q\n%s", environment, x.exit, x.report.Outcome, up.mask(x.env["GOPROXY"]), up.mask(want), up.mask(x.stderr))
		}
		// A proxy that answers something else than 404 for what cannot exist
		// serves builds all the same.
		if p := x.entry(t, "up"); p.State != report.Usable && p.State != report.Degraded || p.Use != "primary" {
			t.Errorf("%s: the upstream is %s, %s: %s", environment, p.State, p.Use, up.mask(p.Cause))
		}
		d.try(t, up, dir, x)
	}
}

// The primary is broken in every way that there is, and the machine's own
// module proxy stands behind it: that one is chosen, everybody is told why and
// what to do, and the real project builds.
func TestUpstreamBehindBrokenPrimary(t *testing.T) {
	up := upstream(t)
	plain := proxytest.New(t, proxytest.Options{})
	secure := map[proxytest.TLS]*proxytest.Server{}
	for _, mode := range []proxytest.TLS{proxytest.PrivateCA, proxytest.Expired, proxytest.WrongHost, proxytest.SelfSigned} {
		secure[mode] = proxytest.New(t, proxytest.Options{TLS: mode})
	}
	// Certificates are judged against the private authority, where one is right.
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, secure[proxytest.Expired].CA, 0o644); err != nil {
		t.Fatal(err)
	}
	var d downloads
	for _, tt := range []struct{ name, url, class string }{
		{"port refuses", "http://" + plain.Refuse, "refused"},
		{"port drops packets", "http://" + plain.BlackHole, "timeout"},
		{"port says nothing", "http://" + plain.Silent, "silent"},
		{"TLS port says nothing", "https://" + plain.Silent, "silent"},
		{"no such host", "https://goproxy.invalid", "dns"},
		{"request is never answered", plain.URL + "/silent", "silent"},
		{"body stalls", plain.URL + "/stall", "stalled"},
		{"connection reset", plain.URL + "/reset", "reset"},
		{"connection closed", plain.URL + "/close", "reset"},
		{"body cut", plain.URL + "/cut", "reset"},
		{"body cut without a sign", plain.URL + "/cut-silent", "wrong-content"},
		{"stream reset over HTTP/2", secure[proxytest.PrivateCA].URL + "/reset", "reset"},
		{"401", plain.URL + "/401", "unauthorized"},
		{"403", plain.URL + "/403", "forbidden"},
		{"404", plain.URL + "/404", "not-found"},
		{"429", plain.URL + "/429", "rate-limited"},
		{"502", plain.URL + "/502", "server-error"},
		{"204", plain.URL + "/204", "status"},
		{"captive portal", plain.URL + "/html", "captive-portal"},
		{"redirect to a captive portal", plain.URL + "/portal-redirect", "captive-portal"},
		{"empty answers", plain.URL + "/empty", "wrong-content"},
		{"wrong bytes", plain.URL + "/wrong-bytes", "wrong-content"},
		{"corrupt zip", plain.URL + "/corrupt-zip", "wrong-content"},
		{"endless answers", plain.URL + "/endless", "wrong-content"},
		{"hostile answers", plain.URL + "/hostile", "server-error"},
		{"zips only are refused", plain.URL + "/zip:403", "zip-blocked"},
		{"zips are kept at a dead host", plain.URL + "/zip:redirect-dead", "zip-blocked"},
		{"big zips are kept at a silent host", plain.URL + "/big-zip:redirect-silent", "zip-blocked"},
		{"redirect loop", plain.URL + "/redirect-loop", "redirect"},
		{"unknown authority", secure[proxytest.SelfSigned].URL, "unknown-ca"},
		{"certificate expired", secure[proxytest.Expired].URL, "tls"},
		{"certificate of another host", secure[proxytest.WrongHost].URL, "tls"},
		{"https on a plain port", strings.Replace(plain.URL, "http:", "https:", 1), "tls"},
		{"http on a TLS port", strings.Replace(secure[proxytest.PrivateCA].URL, "https:", "http:", 1), "status"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := realProject(t)
			write(t, dir, "ca.pem", string(secure[proxytest.Expired].CA))
			write(t, dir, policyFile, fmt.Sprintf("version: 1\nproxies:\n  first: { url: %q%s }\n  up: { url: %q }\nenvironments:\n  default:\n    chain: [first, up, direct]\n",
				tt.url, caOf(tt.url), up.url))
			x := up.setup(t, dir)
			if want := up.url + "|direct"; x.exit != 0 || x.report.Outcome != report.Fallback || x.env["GOPROXY"] != want {
				t.Fatalf("exit %d, outcome %q, GOPROXY=%q; want %q\n%s", x.exit, x.report.Outcome, up.mask(x.env["GOPROXY"]), up.mask(want), up.mask(x.stderr))
			}
			first := x.entry(t, "first")
			if first.Class != tt.class || first.State != report.Down || first.Use != "left out" {
				t.Errorf("first is %s, %s, %q: %s; want it down by %q", first.State, first.Use, first.Class, up.mask(first.Cause), tt.class)
			}
			if first.Cause == "" || first.Next == "" {
				t.Errorf("cause %q, next step %q; want both", first.Cause, first.Next)
			}
			checkFallbackFinding(t, x, first)
			d.try(t, up, dir, x)
		})
	}
	t.Cleanup(func() { t.Logf("%d different sets of variables were tried by go mod download", len(d.done)) })
}

// caOf names the private authority for addresses that need one.
func caOf(url string) string {
	if strings.HasPrefix(url, "https://127.") {
		return ", tls: { ca: ca.pem }"
	}
	return ""
}

// checkFallbackFinding checks the one finding that names the dead primary: at
// the policy's line, with the cause and the next step.
func checkFallbackFinding(t *testing.T, x exported, first report.Proxy) {
	t.Helper()
	for _, f := range x.report.Findings {
		if f.ID != "fallback" {
			continue
		}
		if f.Severity != report.Warning || f.Fix != first.Next || !strings.Contains(f.Message, first.Cause) || f.Place.File != policyFile || f.Place.Line != 7 {
			t.Errorf("finding %+v; want a warning at line 7 with cause and next step", f)
		}
		return
	}
	t.Errorf("no finding tells of the fallback: %+v", x.report.Findings)
}
