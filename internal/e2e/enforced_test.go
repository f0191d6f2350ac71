//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/proxytest"
	"github.com/org/goproxy-setup/internal/report"
)

// A fortress is a network whose gatekeeper is the one way to modules. Whatever
// goes around it, is recorded: requests by the forward proxy through which all
// but loopback has to go, and version control by wrappers first in PATH.
type fortress struct {
	gate    *proxytest.Server
	forward *proxytest.ForwardProxy
	dir     string // of the policy
	bin     string // of the wrappers
	calls   string // file with a line for each call of version control
	env     []string
}

func newFortress(t *testing.T, fault string) *fortress {
	t.Helper()
	f := &fortress{gate: proxytest.New(t, proxytest.Options{}), forward: proxytest.NewForward(t, nil), dir: t.TempDir(), bin: t.TempDir()}
	f.calls = filepath.Join(f.bin, "calls")
	for _, name := range []string{"git", "hg", "svn", "bzr", "fossil"} {
		script := fmt.Sprintf("#!/bin/sh\necho %s \"$@\" >>%s\nexit 1\n", name, f.calls)
		write(t, f.bin, name, script)
		if err := os.Chmod(filepath.Join(f.bin, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	f.env = []string{
		"PATH=" + f.bin + ":" + os.Getenv("PATH"), "NO_PROXY=", "no_proxy=",
		"HTTPS_PROXY=" + f.forward.URL, "HTTP_PROXY=" + f.forward.URL, "ALL_PROXY=" + f.forward.URL,
	}
	write(t, f.dir, policyFile, fmt.Sprintf(`version: 1
private: [git.corp.example.com]
proxies:
  gate: { url: %q, gatekeeper: true, private: true }
environments:
  default: { mode: enforced, chain: [gate] }
`, f.gate.URL+fault))
	return f
}

// project returns a new project whose go.sum is complete, but for a package that
// no module of it provides.
func (f *fortress) project(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "go.mod", `module project.example.com

go 1.26

require (
	example.com/hello v1.0.0
	git.corp.example.com/team/private v1.0.0
	rsc.io/quote v1.5.2
)
`)
	write(t, dir, "main.go", "package main\n\nimport _ \"rsc.io/quote\"\nimport _ \"example.com/hello\"\nimport _ \"git.corp.example.com/team/private\"\nimport _ \"github.com/acme/missing\"\n\nfunc main() {}\n")
	write(t, dir, "go.sum", f.gate.GoSum("example.com/hello@v1.0.0", "example.com/greet@v1.0.0", "git.corp.example.com/team/private@v1.0.0",
		"rsc.io/quote@v1.5.2", "rsc.io/sampler@v1.3.0", proxytest.BigModule))
	return dir
}

// escapes returns what went around the gatekeeper since the last call.
func (f *fortress) escapes(t *testing.T, seen *int) string {
	t.Helper()
	var b strings.Builder
	requests := f.forward.Requests()
	for _, r := range requests[*seen:] {
		fmt.Fprintln(&b, r.Method, r.Host)
	}
	*seen = len(requests)
	data, err := os.ReadFile(f.calls)
	if err == nil {
		err = os.Remove(f.calls)
	} else if os.IsNotExist(err) {
		err = nil
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String() + string(data)
}

// commands are what a build may ask go to fetch.
var commands = [][]string{
	{"mod", "download"},
	{"mod", "download", "git.corp.example.com/team/private@v1.0.0"},
	{"get", "example.com/greet@v1.1.0"},
	{"get", "example.com/greet@latest"},
	{"get", "github.com/acme/rocket/deep/path@latest"},
	{"get", "github.com/acme/rocket@main"},
	{"get", "git.corp.example.com/team/private@v1.0.0"},
	{"get", "-u", "./..."},
	{"install", "example.com/tool@v1.2.3"},
	{"install", "example.com/tool@latest"},
	{"install", "golang.org/x/tools/cmd/stringer@latest"},
	{"run", "example.com/tool@v1.2.3"},
	{"build", "./..."},
	{"build", "-mod=mod", "./..."},
	{"vet", "./..."},
	{"list", "-m", "-versions", "example.com/greet"},
	{"list", "-m", "-u", "all"},
	{"mod", "tidy"},
	{"mod", "vendor"},
	{"mod", "graph"},
}

// Enforced: a gatekeeper's 403 is final. With what was exported no go command
// asks any other host, or calls version control, for public modules or for
// private ones.
func TestEnforcedHasNoWayAround(t *testing.T) {
	for _, fault := range []string{"/403", "/example:403", "/zip:403", "/mod:403+info:403", "/example:404", "/example:502", "/list:403+latest:403"} {
		t.Run(strings.TrimPrefix(fault, "/"), func(t *testing.T) {
			t.Parallel()
			f := newFortress(t, fault)
			seen := 0
			x := setup(t, f.dir, environ(append(f.env, "GONOPROXY=git.corp.example.com", "GOPRIVATE=*.example.net", "GOSUMDB="+proxytest.GOSUMDB)...))
			if got := f.escapes(t, &seen); got != "" {
				t.Errorf("setup itself asked\n%s", got)
			}
			if x.report.Outcome == report.Exhausted && fault == "/zip:403" {
				return // nothing is exported: the build stops here
			}
			if x.exit != 0 || x.env["GOPROXY"] != f.gate.URL+fault || x.env["GONOPROXY"] != "none" || x.env["GOVCS"] != "*:off" {
				t.Fatalf("exit %d, exported %v; want the gatekeeper alone\n%s", x.exit, x.env, x.stderr)
			}
			for _, args := range commands {
				asked := len(f.gate.Requests())
				r := goCommand(t, f.project(t), x, f.env, args...)
				if got := f.escapes(t, &seen); got != "" {
					t.Errorf("go %q went around the gatekeeper:\n%s%s", args, got, r.stderr)
				}
				if len(f.gate.Requests()) == asked {
					t.Errorf("go %q did not ask the gatekeeper: this proves nothing\n%s", args, r.stderr)
				}
				if fault == "/403" && (r.exit == 0 || !strings.Contains(r.stderr, "403 Forbidden")) {
					t.Errorf("go %q: exit %d; want it to fail by 403\n%s", args, r.exit, r.stderr)
				}
			}
		})
	}
}

// The counting counts: with version control allowed the same commands go there.
func TestFortressNotices(t *testing.T) {
	f := newFortress(t, "/403")
	seen := 0
	x := exported{env: map[string]string{"GOPROXY": f.gate.URL + "/404,direct", "GOSUMDB": "off"}}
	goCommand(t, f.dir, x, f.env, "mod", "download", "github.com/acme/rocket@v1.0.0")
	if got := f.escapes(t, &seen); !strings.Contains(got, "git ") {
		t.Errorf("recorded %q; want a call of git", got)
	}
	goCommand(t, f.dir, x, f.env, "mod", "download", "example.com/greet@v1.0.0")
	if got := f.escapes(t, &seen); !strings.Contains(got, "CONNECT example.com:443") {
		t.Errorf("recorded %q; want a request for example.com", got)
	}
}
