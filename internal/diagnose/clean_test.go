package diagnose_test

import (
	"crypto/x509"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/diagnose"
	"github.com/org/goproxy-setup/internal/proxytest"
	"github.com/org/goproxy-setup/internal/report"
)

// cleans are set-ups with which nothing is wrong.
var cleans = []struct {
	name string
	make func(*rig)
}{
	{"as installed", func(*rig) {}},
	{"two proxies and bars", func(r *rig) {
		r.env["GOPROXY"] = r.proxy.URL + "/ok=a|" + r.proxy.URL + "/ok=b|direct"
	}},
	{"company proxy with a login, a port and an authority of its own", func(r *rig) {
		r.secure(proxytest.PrivateCA, true)
		r.env["GOPROXY"] = r.secureURL() + "/auth"
		r.login("machine " + strings.TrimPrefix(r.secureURL(), "https://")[:strings.Index(strings.TrimPrefix(r.secureURL(), "https://"), "/")] +
			"\n  login " + proxytest.User + "\n  password " + proxytest.Password + "\nmachine git.example.com login ci password other\ndefault login anonymous password x\n")
		r.env["GOPRIVATE"], r.env["GONOPROXY"] = "git.example.com,*.corp.example.com/team", "none"
	}},
	{"all by go env -w", func(r *rig) {
		proxy := r.env["GOPROXY"]
		for _, v := range []string{"GOPROXY=" + proxy, "GOPRIVATE=git.example.com", "GOSUMDB=" + proxytest.GOSUMDB, "GOFLAGS=-mod=mod", "GOVCS=public:git,private:all"} {
			name, value, _ := strings.Cut(v, "=")
			goEnv(name, value)(r)
		}
		data, _ := os.ReadFile(r.path("~/.config/go/env"))
		r.write(r.path("~/.config/go/env"), "# written by hand\n\n"+string(data))
	}},
	{"shells that agree, and installed programs", func(r *rig) {
		r.env["GOBIN"] = r.path("~/bin")
		r.env["PATH"] = r.path("~/bin") + ":" + r.env["PATH"] + ":" + r.path("~/bin")
		r.program(r.path("~/bin/tool"), "")
		r.env["GOPRIVATE"] = "git.example.com"
		r.write(r.path("~/.bashrc"), "# GOPROXY=off\nif [ -t 0 ]; then\n  export GOPROXY='"+r.env["GOPROXY"]+"' GOPRIVATE=git.example.com # ours\nfi\nGOPROXY=off go version >/dev/null | cat\nexport GOPATH=$HOME/go\n")
		r.env["GOPATH"] = r.path("~/go")
		r.write(r.path("~/.zshrc"), "export GOPATH=~/go\nexport GOPROXY='"+r.env["GOPROXY"]+"'||true\n")
		r.write(r.path("~/.config/fish/config.fish"), "set -gx GOPRIVATE git.example.com\nset GOPROXY nothing-exported\n")
	}},
	{"through an HTTP proxy", func(r *rig) {
		p := proxytest.New(r.T, proxytest.Options{TLS: proxytest.PrivateCA})
		r.config.RootCAs = x509.NewCertPool()
		r.config.RootCAs.AppendCertsFromPEM(p.CA)
		forward := proxytest.NewForward(r.T, map[string]*proxytest.Server{"goproxy.example.com": p})
		r.env["GOPROXY"], r.env["GOSUMDB"] = "https://goproxy.example.com,direct", proxytest.GOSUMDB
		for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"} {
			r.env[name] = forward.URL
		}
		r.env["NO_PROXY"] = "localhost,127.0.0.1,.corp.example.com,*.svc.example.com,10.0.0.0/8,[::1]"
	}},
	{"warm module cache and go.sum", func(r *rig) { r.download() }},
	{"directory as proxy", func(r *rig) {
		r.download()
		for _, mod := range []string{"github.com/!burnt!sushi/toml@v0.3.1", "golang.org/x/time@v0.1.0", proxytest.BigModule} {
			r.run("go", "mod", "download", strings.ReplaceAll(mod, "!burnt!sushi", "BurntSushi"))
		}
		r.env["GOPROXY"] = "file://" + filepath.ToSlash(r.cache("")) + "," + r.proxy.URL
	}},
	{"workspace with a replacement", func(r *rig) {
		r.write("go.work", "go 1.22.0\n\nuse (\n\t.\n\t./b\n)\n\nreplace example.com/c => ./c\n")
		r.write("b/go.mod", "module example.com/b\n\ngo 1.22.0\n\nreplace example.com/c => ../c\n")
		r.write("c/go.mod", "module example.com/c\n\ngo 1.21.0\n")
	}},
	{"vendored and offline", func(r *rig) {
		r.env["GOPROXY"], r.env["GOFLAGS"] = "off", "-mod=vendor"
		r.write("vendor/modules.txt", "")
	}},
	{"vendored, in a subdirectory", func(r *rig) {
		r.env["GOFLAGS"] = "-mod=vendor"
		r.write("vendor/modules.txt", "")
		r.write("cmd/tool/main.go", "package main\n")
		r.dir = filepath.Join(r.dir, "cmd", "tool")
	}},
	{"vendored workspace", func(r *rig) {
		r.env["GOFLAGS"] = "-mod=vendor"
		r.write("go.work", "go 1.22.0\n\nuse ./b\n")
		r.write("b/go.mod", "module example.com/b\n\ngo 1.22.0\n")
		r.write("vendor/modules.txt", "## workspace\n")
		r.dir = filepath.Join(r.dir, "b")
	}},
	{"settings in a file of its own", func(r *rig) {
		r.env["GOENV"] = r.path("~/ci.env")
		r.write(r.env["GOENV"], "GOPRIVATE=git.example.com\n")
	}},
	{"git with ssh for private code, and a copy of golang.org/x", func(r *rig) {
		for key, value := range map[string]string{
			"url.ssh://git@git.example.com/.insteadOf": "https://git.example.com/", "url.git@github.com:acme/.insteadOf": "https://github.com/acme/",
			"url.https://github.com/golang/.insteadOf": "https://go.googlesource.com/", "http.sslVerify": "true",
		} {
			git(key, value)(r)
		}
	}},
	{"repository with CI files and a policy", func(r *rig) {
		r.policy("version: 1\nenvironments:\n  default: { chain: [official, direct] }\n")
		r.write(".github/workflows/ci.yml", "on: push\nenv:\n  GOPROXY: \"https://a.example.com|direct\"\n  GOPRIVATE: git.example.com\njobs:\n  b:\n    steps:\n      - run: GOPROXY=off go vet ./... | tee log\n        env:\n          GOPROXY: ${{ steps.s.outputs.goproxy }}\n")
		r.write(".gitlab-ci.yml", "variables:\n  GOPROXY: https://a.example.com|direct\nb:\n  script:\n    - 'export GOPROXY=\"https://a.example.com|direct\"'\n    - eval \"$(goproxy-setup setup --format shell)\"\n")
		r.write("Dockerfile", "FROM golang\nARG GOPROXY\nRUN go build ./...\n")
		r.write("Makefile", "GOPROXY ?= https://a.example.com\nexport GOPROXY=https://a.example.com|direct\nexport GOPRIVATE = git.example.com # ours\nbuild:\n\t@GOPROXY='$(GOPROXY)|off' go build ./... | tee log\n")
		r.write(".woodpecker.yml", "steps:\n  b:\n    environment:\n      - GOPROXY=https://a.example.com|direct\n    commands:\n      - go build ./...\n")
		r.write(".gitlab/ci/a.yml", ".p: &proxy https://a.example.com|direct\n.v:\n  GOPROXY: &p https://a.example.com|direct\na:\n  variables:\n    GOPROXY: *proxy\n    GOSUMDB: !reference [.v, GOSUMDB]\nb:\n  variables:\n    GOPROXY: !reference [.v, GOPROXY]\n    GONOPROXY: {value: none, description: what}\nc:\n  variables:\n    GOPROXY: >-\n      https://a.example.com,\n      direct\n    GOPRIVATE: \"\"\n")
	}},
	{"modules of one repository, without go.sum", func(r *rig) {
		r.write("go.mod", "module example.com/work\n\ngo 1.21.0\n\nrequire example.com/b v0.0.0\n\nreplace example.com/b => ./b\n")
		r.write("main.go", "package main\n\nimport _ \"example.com/b\"\n\nfunc main() {}\n")
		r.write("b/go.mod", "module example.com/b\n\ngo 1.21.0\n")
		r.write("b/b.go", "package b\n")
		r.run("go", "list", "-deps", ".")
	}},
	{"modules of one workspace, without go.sum", func(r *rig) {
		r.write("go.work", "go 1.21.0\n\nuse (\n\t.\n\t./b\n)\n")
		r.write("go.mod", "module example.com/work\n\ngo 1.21.0\n\nrequire example.com/b v0.0.0\n")
		r.write("main.go", "package main\n\nimport _ \"example.com/b\"\n\nfunc main() {}\n")
		r.write("b/go.mod", "module example.com/b\n\ngo 1.21.0\n")
		r.write("b/b.go", "package b\n")
		r.run("go", "list", "-deps", ".")
	}},
	{"vendored, without go.sum", func(r *rig) {
		r.write("go.mod", "module example.com/work\n\ngo 1.21.0\n\nrequire rsc.io/quote v1.5.2\n")
		r.write("main.go", "package main\n\nimport _ \"rsc.io/quote\"\n\nfunc main() {}\n")
		r.write("vendor/modules.txt", "# rsc.io/quote v1.5.2\n## explicit\nrsc.io/quote\n")
		r.write("vendor/rsc.io/quote/quote.go", "package quote\n")
		r.run("go", "list", "-deps", ".")
	}},
	{"go.sum that go writes by itself", func(r *rig) {
		r.write("go.mod", "module example.com/work\n\ngo 1.21.0\n\nrequire rsc.io/quote v1.5.2\n")
		r.env["GOFLAGS"] += " -mod=mod"
	}},
	{"GOAUTH of several commands", func(r *rig) {
		r.program(r.path("~/my bin/helper"), "")
		r.env["GOAUTH"] = "netrc /x;git " + r.dir + "; '" + r.path("~/my bin/helper") + "' a b"
	}},
	{"name servers of a mirror that stands in many places", func(r *rig) { r.resolvers("203.0.113.7", "198.51.100.9") }},
	{"newer toolchain that can be had", func(r *rig) {
		r.write("go.mod", "module example.com/work\n\ngo 1.99.0\n")
		r.env["GOTOOLCHAIN"], r.config.Toolchain = "auto", "go1.99.0"
	}},
	{"go line without a patch", func(r *rig) {
		r.write("go.mod", "module example.com/work\n\ngo 1.99\n")
		r.env["GOTOOLCHAIN"], r.config.Toolchain = "auto", "go1.99.0"
	}},
	{"toolchain line that GOTOOLCHAIN=local ignores", func(r *rig) {
		r.write("go.mod", "module example.com/work\n\ngo 1.21.0\n\ntoolchain go1.99.1\n")
		r.run("go", "list", "-m")
	}},
	{"toolchain in PATH", func(r *rig) {
		r.write("go.mod", "module example.com/work\n\ngo 1.99\n")
		r.program(r.path("~/bin/go1.99.0"), "")
		r.env["GOTOOLCHAIN"], r.env["PATH"] = "path", r.path("~/bin")+":"+r.env["PATH"]
	}},
	{"newer go pinned", func(r *rig) {
		r.write("go.mod", "module example.com/work\n\ngo 1.98.0\n")
		r.env["GOTOOLCHAIN"], r.config.Toolchain = "go1.99.0", "go1.99.0"
	}},
	{"old module, version control alone", func(r *rig) {
		r.env["GOPROXY"] = "direct"
		r.write("go.mod", "module example.com/work\n\ngo 1.16\n")
	}},
	{"no home and no module", func(r *rig) {
		os.Remove(filepath.Join(r.dir, "go.mod"))
		r.home = filepath.Join(r.home, "nobody")
		r.env["GOMODCACHE"], r.env["GOPATH"] = filepath.Join(r.dir, "cache"), filepath.Join(r.dir, "gopath")
	}},
}

// TestCleanSetUps: doctor says nothing of machines on which nothing is wrong.
func TestCleanSetUps(t *testing.T) {
	for _, tt := range cleans {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			tt.make(r)
			list := r.examine()
			if found := ids(list); len(found) > 0 {
				t.Errorf("false alarms %q:\n%s", found, show(list))
			}
			if n := diagnose.Troubles(list); n != 0 {
				t.Errorf("%d troubles", n)
			}
		})
	}
	t.Logf("%d clean set-ups without a false alarm", len(cleans))
}

// A login that go does not send is a mistake only if the proxy wants one.
func TestLoginNotSent(t *testing.T) {
	for fault, want := range map[string]report.Severity{"": report.Notice, "/auth": report.Error, "/403": report.Error, "/502": report.Notice} {
		r := newRig(t)
		r.secure(proxytest.PrivateCA, true)
		r.env["GOPROXY"] = r.secureURL() + fault + ",direct"
		r.login("machine 127.0.0.1 login git password other\n")
		i := slices.IndexFunc(diagnose.Checks(), func(c diagnose.Check) bool { return c.ID == "D40" })
		list := diagnose.Run(t.Context(), r.machine(t.Context()), diagnose.Checks()[i:i+1])
		if f := list[0].Findings; len(f) != 1 || f[0].Severity != want {
			t.Errorf("%q: found %+v; want one %s", fault, f, want)
		}
	}
}

// Whatever stands in a setting, neither the findings nor the settings in force
// show its secret.
func TestSecrets(t *testing.T) {
	variables := []string{"GOPROXY", "GOPRIVATE", "GONOPROXY", "GOSUMDB", "GOINSECURE"}
	for i, value := range []string{
		"https://ci:s3cret@127.0.0.1:1/go,direct", "http://ci:a,s3cret,b@127.0.0.1:1", "https://u:1,s3cret.x,2@127.0.0.1:1", "http://ci:1234;s3cret x@127.0.0.1:1",
		"git.example.com,oauth2:s3cret@gitlab.corp.example.com/team",
	} {
		for j, names := range [][]string{variables, {"GOFLAGS"}, {"GOAUTH"}, {"HTTPS_PROXY", "http_proxy", "ALL_PROXY", "NO_PROXY"}} {
			if names[0] == "GOAUTH" && strings.Contains(value, ";") {
				continue // of commands, each by itself
			}
			t.Run(fmt.Sprintf("value %d of variables %d", i, j), func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				user, shell := "", ""
				for _, name := range names {
					r.env[name] = value
					user += name + "=" + value + "x\n"
					shell += "export " + name + "='" + value + "y'\n"
				}
				r.write(r.path("~/.config/go/env"), user)
				r.write(r.path("~/.bashrc"), shell)
				m := r.machine(t.Context())
				var text strings.Builder
				fmt.Fprintln(&text, m.InForce())
				for _, e := range diagnose.Run(t.Context(), m, diagnose.Checks()) {
					fmt.Fprintln(&text, e.ID, e.Seen, e.Skipped, e.Findings)
				}
				if strings.Contains(text.String(), "s3cret") {
					t.Errorf("the secret of %s is shown:\n%s", value, text.String())
				}
			})
		}
	}
}
