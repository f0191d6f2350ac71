package diagnose_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/diagnose"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// A seed is a misconfiguration that is made on a machine on which nothing is
// wrong, what doctor finds, and part of the fix it names.
type seed struct {
	id, name string
	make     func(*rig)
	fix      string
	also     string // IDs that the same mistake rightly brings about, too
}

func env(name, value string) func(*rig) { return func(r *rig) { r.env[name] = value } }

// goEnv runs "go env -w" on the machine, whose environment is silent.
func goEnv(name, value string) func(*rig) {
	return func(r *rig) {
		delete(r.env, name)
		r.run("go", "env", "-w", name+"="+value)
	}
}

func file(name, text string) func(*rig) {
	return func(r *rig) { r.write(r.path(name), text) }
}

// path returns where a seed's file goes: "~/" is the home, "etc/" the system.
func (r *rig) path(name string) string {
	if rest, ok := strings.CutPrefix(name, "~/"); ok {
		return filepath.Join(r.home, rest)
	}
	if rest, ok := strings.CutPrefix(name, "etc/"); ok {
		return filepath.Join(r.etc, rest)
	}
	return name
}

func git(key, value string) func(*rig) {
	return func(r *rig) { r.run("git", "config", "--global", "--add", key, value) }
}

func both(list ...func(*rig)) func(*rig) {
	return func(r *rig) {
		for _, f := range list {
			f(r)
		}
	}
}

// through sets GOPROXY to the machine's proxy with a fault.
func through(fault string) func(*rig) {
	return func(r *rig) { r.env["GOPROXY"] = r.proxy.URL + "/" + fault + ",direct" }
}

var seeds = []seed{
	// Settings.
	{"D01", "empty value of go env -w", goEnv("GOPROXY", ""), "go env -u GOPROXY", ""},
	{"D01", "empty value of go env -w, and a newer Go is wanted", both(goEnv("GOPROXY", ""), env("GOTOOLCHAIN", "auto"), file("go.mod", "module example.com/work\n\ngo 1.99.0\n")), "go env -u GOPROXY", ""},
	{"D01", "a bare word", func(r *rig) { r.env["GOPROXY"] = "mirror," + r.proxy.URL }, "https://HOST", ""},
	{"D01", "login over plain http", env("GOPROXY", "http://ci:s3cret@127.0.0.1:1,direct"), "write https", "D20"},
	{"D02", "blank after a comma, by go env -w", goEnv("GOPRIVATE", "a.example.com, b.example.com"), "go env -w GOPRIVATE=a.example.com,b.example.com", ""},
	{"D02", "glob that nobody can mend", goEnv("GOPRIVATE", "git.example.com/[team,corp.example.com"), "write the patterns anew", ""},
	{"D02", "URL instead of a path, in a shell file", both(env("GOPRIVATE", "https://git.example.com"), file("~/.bashrc", "export GOPRIVATE=https://git.example.com\n")), ".bashrc:1: GOPRIVATE=git.example.com", ""},
	{"D03", "checksum database off", env("GOSUMDB", "off"), "GONOSUMDB", ""},
	{"D03", "a name nobody knows", env("GOSUMDB", "sum.corp.example.com"), "GOSUMDB=", ""},
	{"D04", "go env -w hidden by the environment", func(r *rig) {
		goEnv("GOPROXY", "https://other.example.com")(r)
		r.env["GOPROXY"] = r.proxy.URL
	}, "go env -u GOPROXY", ""},
	{"D05", "shell file changed since the shell began", file("~/.profile", "GOPROXY=https://new.example.com,direct; export GOPROXY\n"), "start a new shell", ""},
	{"D06", "bar without quotes", file("~/.zshrc", "export GOPROXY=https://a.example.com|https://b.example.com\n"), "quote the value of GOPROXY: 'https://a.example.com|https://b.example.com'", ""},
	{"D06", "bar without quotes in another list", file("~/.bashrc", "export GOVCS=public:git|hg,private:all\n"), "'public:git|hg,private:all'", ""},
	{"D07", "settings in ~/go/env", file("~/go/env", "GOPROXY=https://a.example.com\n"), "go env -w", ""},
	{"D07", "settings in ~/go/env, and GOENV off", both(env("GOENV", "off"), file("~/go/env", "GOPROXY=https://a.example.com\n")), "unset GOENV, write", ""},
	{"D07", "settings of other shells", both(env("GOENV", "off"), file("~/.config/go/env", "GOPRIVATE=a.example.com\n")), "unset GOENV", ""},
	{"D08", "env file is a directory", func(r *rig) { os.MkdirAll(r.path("~/.config/go/env"), 0o755) }, "make it a file", ""},
	{"D08", "env file with export", file("~/.config/go/env", "export GOPRIVATE=a.example.com\n"), "go env -w NAME=VALUE", ""},
	{"D09", "flag that no command has", env("GOFLAGS", "-nosuch"), "such as -mod=readonly", ""},
	{"D09", "word without a dash", env("GOFLAGS", "mod=mod"), "such as -mod=readonly", ""},
	{"D09", "vendor without a vendor directory", env("GOFLAGS", "-mod=vendor"), "go mod vendor", ""},
	{"D10", "modules off", env("GO111MODULE", "off"), "take it out", ""},
	{"D11", "variable that does not exist", env("GONOSUMCHECK", "1"), "GONOSUMDB", ""},
	{"D11", "misspelled variable", env("GO_PROXY", "https://a.example.com"), "perhaps GOPROXY was meant", ""},
	{"D11", "variable of an older go", env("GONOVERIFY", "git.example.com"), "perhaps GONOSUMDB was meant", ""},
	{"D11", "misspelled flags", env("GO_FLAGS", "-mod=mod"), "perhaps GOFLAGS was meant", ""},
	// Programs.
	{"D12", "no go in PATH", func(r *rig) { r.env["PATH"] = filepath.Join(r.home, "bin") }, "install Go", "D44"},
	{"D12", "GOROOT that is gone", env("GOROOT", "/nonexistent/go"), "unset GOROOT", ""},
	{"D13", "older go first in PATH", func(r *rig) {
		r.program(r.path("~/sdk/bin/go"), "echo go1.99.0")
		r.env["PATH"] += ":" + r.path("~/sdk/bin")
	}, "first in PATH", ""},
	{"D14", "go/bin not in PATH", func(r *rig) { r.program(r.path("~/go/bin/tool"), "") }, "export PATH=", ""},
	{"D15", "stale program first in PATH", func(r *rig) {
		r.program(r.path("~/go/bin/linter"), "echo new")
		r.program(r.path("~/bin/linter"), "echo old")
		r.env["PATH"] = r.path("~/bin") + ":" + r.path("~/go/bin") + ":" + r.env["PATH"]
	}, "remove the first", ""},
	{"D16", "GOBIN relative", env("GOBIN", "bin"), "whole path", ""},
	{"D17", "GOTOOLCHAIN misspelled", env("GOTOOLCHAIN", "1.26.0"), "go1.26.0", ""},
	{"D18", "comma after a public proxy", func(r *rig) { r.public(",direct") }, "|direct", ""},
	{"D18", "login in GOPROXY, and another in netrc", func(r *rig) {
		r.secure(proxytest.PrivateCA, true)
		host := strings.Split(strings.TrimPrefix(r.secureURL(), "https://"), "/")[0]
		r.env["GOPROXY"] = "https://" + proxytest.User + ":" + proxytest.Password + "@" + host + "/auth,direct"
		r.login("machine " + host + " login other password other\n")
		r.env["GOAUTH"] = "off"
	}, "put this into the netrc", ""},
	{"D18", "what go never reads", func(r *rig) { r.env["GOPROXY"] += ",https://never.example.com" }, "GOPROXY=", ""},
	{"D18", "no version control system at all", env("GOVCS", "public:git,git"), "GOVCS", ""},
	// The chain.
	{"D20", "port that refuses, before a comma", func(r *rig) { r.env["GOPROXY"] = "http://" + r.proxy.Refuse + "," + r.proxy.URL }, "host and port", ""},
	{"D20", "502 from the only proxy", through("502"), "tell whoever runs", ""},
	{"D20", "accepts and is silent", func(r *rig) {
		r.env["GOPROXY"] = "http://" + r.proxy.Silent + "|" + r.proxy.URL + "|direct"
		r.short()
	}, "", ""},
	{"D21", "captive portal", through("html"), "browser", ""},
	{"D21", "redirect to a login page", through("portal-redirect"), "browser", ""},
	{"D22", "private authority", func(r *rig) { r.secure(proxytest.PrivateCA, false) }, "trust the authority", ""},
	{"D23", "expired certificate", func(r *rig) { r.secure(proxytest.Expired, true) }, "certificate", ""},
	{"D23", "plain http behind https", func(r *rig) {
		r.env["GOPROXY"] = strings.Replace(r.proxy.URL, "http:", "https:", 1) + ",direct"
	}, "", ""},
	{"D24", "known product inspects, trusted here", func(r *rig) { r.inspected("Zscaler Intermediate Root CA") }, "exempted", ""},
	{"D24", "public host, certificate of nobody", func(r *rig) { r.intercepted() }, "exempted", "D22"},
	{"D25", "name that does not resolve", func(r *rig) { r.unresolved("proxy.corp.example.com") }, "spelling", ""},
	{"D26", "name server that blocks", func(r *rig) { r.resolvers("203.0.113.7", "") }, "why the name is blocked", ""},
	{"D26", "name server that forges", func(r *rig) { r.resolvers("10.0.0.1", "203.0.113.7") }, "forges", ""},
	{"D26", "name server that is dead", func(r *rig) { r.resolvers("dead", "203.0.113.7") }, "first name server", ""},
	{"D27", "hosts file pins the proxy", func(r *rig) {
		r.named("goproxy.example.com")
		r.write(r.path("etc/hosts"), "127.0.0.1 localhost\n192.0.2.9  goproxy.example.com # old\n")
	}, "remove the line", ""},
	{"D28", "HTTPS_PROXY that is dead", func(r *rig) { r.env["GOPROXY"] = "https://goproxy.example.com,direct" }, "HTTPS_PROXY", ""},
	{"D28", "HTTPS_PROXY with a certificate of its own", func(r *rig) {
		r.inspected("Zscaler Intermediate Root CA")
		r.env["GOPROXY"], r.env["HTTPS_PROXY"] = "https://goproxy.example.com,direct", r.secureURL()
	}, "HTTPS_PROXY", ""},
	{"D29", "HTTP_PROXY alone", func(r *rig) {
		r.secure(proxytest.PrivateCA, true)
		delete(r.env, "HTTPS_PROXY")
		r.env["HTTP_PROXY"] = "http://127.0.0.1:1"
	}, "set HTTPS_PROXY", ""},
	{"D29", "ALL_PROXY alone", func(r *rig) {
		r.secure(proxytest.PrivateCA, true)
		delete(r.env, "HTTPS_PROXY")
		r.env["ALL_PROXY"] = "socks5://127.0.0.1:1"
	}, "set HTTPS_PROXY", ""},
	{"D29", "capitals and small letters differ", env("https_proxy", "http://127.0.0.1:2"), "same value", ""},
	{"D29", "git has a proxy of its own", func(r *rig) {
		r.secure(proxytest.PrivateCA, true)
		git("http.proxy", "http://proxy.corp.example.com:8080")(r)
	}, "which both obey", ""},
	{"D30", "URL in NO_PROXY", env("NO_PROXY", "localhost,https://git.example.com/"), "write git.example.com", ""},
	{"D30", "blanks in NO_PROXY", env("NO_PROXY", "a.example.com b.example.com"), "a.example.com,b.example.com", ""},
	{"D31", "login missing", through("auth"), "use https", ""},
	{"D32", "wrong bytes", through("zip:wrong-bytes"), "cleared its cache", ""},
	{"D33", "zips refused", through("zip:403"), "zips are refused", ""},
	{"D34", "lists refused", through("list:500"), "put a proxy that serves all", ""},
	{"D36", "no way to the database", through("sumdb:404"), "Leave GOSUMDB on", ""},
	{"D37", "clock an hour ahead", func(r *rig) { r.clock(-time.Hour) }, "NTP", ""},
	{"D37", "clock a day behind", func(r *rig) { r.clock(24 * time.Hour) }, "NTP", ""},
	{"D38", "SSL_CERT_FILE that is gone", env("SSL_CERT_FILE", "/nonexistent/ca.pem"), "correct the path", ""},
	{"D38", "SSL_CERT_FILE without a certificate", func(r *rig) {
		r.write("ca.pem", "no certificate\n")
		r.env["SSL_CERT_FILE"] = filepath.Join(r.dir, "ca.pem")
	}, "PEM file", ""},
	// Logins and git.
	{"D40", "port missing in netrc", func(r *rig) {
		r.secure(proxytest.PrivateCA, true)
		r.login("machine 127.0.0.1 login ci password s3cret\n")
	}, "machine 127.0.0.1:", ""},
	{"D40", "port missing in netrc, and the proxy wants a login", func(r *rig) {
		r.secure(proxytest.PrivateCA, true)
		r.env["GOPROXY"] = r.secureURL() + "/auth,direct"
		r.login("machine 127.0.0.1 login ci password s3cret\n")
	}, "add a line", "D31"},
	{"D40", "login for plain http", func(r *rig) {
		r.login("machine " + strings.TrimPrefix(r.proxy.URL, "http://") + " login ci password s3cret\n")
	}, "https URL", ""},
	{"D41", "password missing", func(r *rig) { r.login("machine git.example.com\n  login ci\n") }, "complete the entry", ""},
	{"D42", "logins that all can read", func(r *rig) {
		r.login("machine git.example.com login ci password s3cret\n")
		os.Chmod(r.path("~/.netrc"), 0o644)
	}, "chmod 600", ""},
	{"D42", "NETRC that is gone", env("NETRC", "/nonexistent/netrc"), "correct NETRC", ""},
	{"D43", "GOAUTH command that is missing", env("GOAUTH", "no-such-helper"), "install it", ""},
	{"D43", "GOAUTH with an empty command", env("GOAUTH", "netrc;"), "GOAUTH=netrc", ""},
	{"D43", "GOAUTH with a directory that is gone", env("GOAUTH", "git /nonexistent"), "write git", ""},
	{"D43", "GOAUTH with a file for a directory", func(r *rig) { r.env["GOAUTH"] = "netrc;git " + filepath.Join(r.dir, "go.mod") }, "write git", ""},
	{"D43", "GOAUTH command that may not be run", func(r *rig) { r.env["GOAUTH"] = filepath.Join(r.dir, "go.mod") }, "correct its path", ""},
	{"D43", "GOAUTH off with a login", func(r *rig) {
		r.secure(proxytest.PrivateCA, true)
		r.login("machine " + strings.TrimPrefix(r.secureURL(), "https://") + " login ci password s3cret\n")
		r.env["GOAUTH"] = "off"
	}, "GOAUTH=netrc", ""},
	{"D44", "no git, and a chain with direct", func(r *rig) {
		r.program(r.path("~/bin/go"), `exec `+lookPath("go")+` "$@"`)
		r.env["PATH"] = r.path("~/bin")
	}, "install git", ""},
	{"D44", "git settings that git cannot read", file("~/.gitconfig", "[url\n"), "mend the file", ""},
	{"D45", "golang.org/x rewritten to where nothing is", git("url.https://github.com/.insteadOf", "https://golang.org/x/"), "url.https://github.com/golang/.insteadOf https://go.googlesource.com/", ""},
	{"D45", "gopkg.in rewritten to where private code is", both(git("url.ssh://git@github.com/.insteadOf", "https://github.com/acme/"), git("url.ssh://git@github.com/.insteadOf", "https://gopkg.in/")), "--unset-all url.ssh://git@github.com/.insteadOf '^https://gopkg\\.in/$'", ""},
	{"D45", "gopkg.in rewritten by the repository", func(r *rig) {
		r.run("git", "init", "-q")
		r.run("git", "config", "--add", "url.ssh://git@github.com/.insteadOf", "https://gopkg.in/")
		r.write("below/file", "")
		r.dir = filepath.Join(r.dir, "below")
	}, "work/.git/config --unset-all", ""},
	{"D45", "a token in the rewrite", git("url.https://oauth2:s3cret@github.com/.insteadOf", "https://golang.org/x/"), "take the line out of", ""},
	{"D45", "gopkg.in rewritten", git("url.https://github.com/go-yaml/.insteadOf", "https://gopkg.in/"), "come through GOPROXY", ""},
	{"D46", "slash missing in the rewrite", git("url.ssh://git@git.example.com.insteadOf", "https://git.example.com/"), "url.ssh://git@git.example.com/.insteadOf", ""},
	{"D46", "ssh with a colon", git("url.ssh://git@git.example.com:.insteadOf", "https://git.example.com/"), "url.ssh://git@git.example.com/.insteadOf", ""},
	{"D47", "git checks no certificates", git("http.sslVerify", "false"), "http.sslCAInfo", ""},
	// The module cache.
	{"D50", "login page kept as .mod", func(r *rig) { r.poison("rsc.io/quote/@v/v1.5.2.mod", "<!DOCTYPE html><title>Sign in</title>") }, "rm -f", ""},
	{"D50", "empty .mod", func(r *rig) { r.poison("rsc.io/quote/@v/v1.5.2.mod", "") }, "rm -f", ""},
	{"D51", "zip cut in half", func(r *rig) {
		r.download()
		data, _ := os.ReadFile(r.cache("rsc.io/quote/@v/v1.5.2.zip"))
		r.write(r.cache("rsc.io/quote/@v/v1.5.2.zip"), string(data[:len(data)/2]))
	}, "v1.5.2.ziphash", ""},
	{"D51", "page kept as zip", func(r *rig) { r.poison("rsc.io/quote/@v/v1.5.2.zip", "<html>") }, "rm -f", ""},
	{"D51", "zip of another module", func(r *rig) {
		r.download()
		data, _ := os.ReadFile(r.cache("rsc.io/quote/@v/v1.5.2.zip"))
		r.write(r.cache("rsc.io/other/@v/v1.0.0.zip"), string(data))
	}, "rm -f", ""},
	{"D52", "page kept as .info", func(r *rig) { r.poison("rsc.io/quote/@v/v1.5.2.info", "<html>") }, "rm -f", ""},
	{"D53", "module cache that is a file", func(r *rig) {
		r.write(r.path("~/cache"), "")
		r.env["GOMODCACHE"] = r.path("~/cache/mod")
	}, "point GOMODCACHE", ""},
	{"D54", "disk full", func(r *rig) { r.config.Free = func(string) (uint64, bool) { return 50 << 20, true } }, "go clean", ""},
	// CI.
	{"D60", "policy with a mistake", func(r *rig) { r.policy("version: 1\nenvironments:\n  default: { chian: [direct] }\n") }, "chain", ""},
	{"D61", "blank in a workflow's GOPRIVATE", file(".github/workflows/ci.yml", "env:\n  GOPRIVATE: a.example.com, b.example.com\n"), "GOPRIVATE=a.example.com,b.example.com", ""},
	{"D61", "bar without quotes in a job", file(".gitlab-ci.yml", "build:\n  script:\n    - export GOPROXY=https://a.example.com|direct\n"), "GOPROXY='https://a.example.com|direct'", ""},
	{"D61", "blank in a Makefile's GOPRIVATE", file("Makefile", "export GOPRIVATE = a.example.com, b.example.com\n"), "GOPRIVATE=a.example.com,b.example.com", ""},
	{"D61", "bar without quotes in a recipe", file("Makefile", "build:\n\tGOPROXY=https://a.example.com|https://b.example.com go build\n"), "GOPROXY='https://a.example.com|https://b.example.com'", ""},
	{"D61", "none in a Dockerfile", file("Dockerfile", "FROM golang\nENV GOPROXY=none\n"), "direct or off", ""},
	{"D62", "checksums off in a workflow", file(".github/workflows/ci.yml", "env:\n  GOSUMDB: off\n"), "leave it on", ""},
	{"D63", "Dockerfile without the job's GOPROXY", file("Dockerfile", "FROM golang\nRUN go build ./...\n"), "ARG GOPROXY", ""},
	// The workspace.
	{"D70", "member that is gone", file("go.work", "go 1.21.0\n\nuse (\n\t.\n\t./gone\n)\n"), "-dropuse=./gone", ""},
	{"D70", "GOWORK that is gone", env("GOWORK", "/nonexistent/go.work"), "unset it", ""},
	{"D70", "GOWORK relative", env("GOWORK", "go.work"), "absolute path", "D12"},
	{"D71", "member newer than go.work", both(file("go.work", "go 1.21.0\n\nuse .\nuse ./b\n"), file("b/go.mod", "module example.com/b\n\ngo 1.22.0\n")), "go work use", ""},
	{"D72", "module outside go.work", both(file("go.work", "go 1.21.0\n\nuse ./b\n"), file("b/go.mod", "module example.com/b\n\ngo 1.21.0\n")), "go work use", ""},
	{"D73", "replacement that is gone", file("go.mod", "module example.com/work\n\ngo 1.21.0\n\nreplace example.com/x => ../x\n"), "take the line out", ""},
	{"D73", "go.mod that go refuses", file("go.mod", "modul example.com/work\n"), "mend the line", ""},
	{"D74", "marks of a merge in go.sum", file("go.sum", "<<<<<<< HEAD\nexample.com/a v1.0.0 h1:a\n=======\n"), "keep the lines of both sides", ""},
	{"D74", "two hashes of one module", file("go.sum", "example.com/a v1.0.0 h1:a\nexample.com/a v1.0.0 h1:b\n"), "--bisect example.com/a@v1.0.0", ""},
	{"D74", "go.sum is missing", file("go.mod", "module example.com/work\n\ngo 1.21.0\n\nrequire rsc.io/quote v1.5.2\n"), "go mod tidy", ""},
	{"D74", "go.sum is missing, and not all is replaced", both(
		file("go.mod", "module example.com/work\n\ngo 1.21.0\n\nrequire (\n\texample.com/b v0.0.0\n\trsc.io/quote v1.5.2\n)\n\nreplace example.com/b => ./b\n"),
		file("b/go.mod", "module example.com/b\n\ngo 1.21.0\n"),
	), "go mod tidy", ""},
	{"D75", "newer go needed, switching off", file("go.mod", "module example.com/work\n\ngo 1.99.0\n"), "GOTOOLCHAIN=auto", ""},
	{"D76", "toolchain that no proxy has", func(r *rig) {
		r.write("go.mod", "module example.com/work\n\ngo 1.99.0\n")
		r.env["GOTOOLCHAIN"], r.config.Toolchain = "auto", "go1.99.0"
		through("toolchain:404")(r)
	}, "golang.org/toolchain", "D34"},
	{"D75", "older go pinned", func(r *rig) {
		r.write("go.mod", "module example.com/work\n\ngo 1.99\n")
		r.env["GOTOOLCHAIN"] = "go1.98.0"
	}, "install go1.99.0", ""},
	{"D75", "newer go needed, and not in PATH", func(r *rig) {
		r.write("go.mod", "module example.com/work\n\ngo 1.99\n")
		r.env["GOTOOLCHAIN"] = "path"
	}, "install go1.99.0", ""},
	{"D75", "newer go needed by the workspace", both(file("go.work", "go 1.99.0\n\nuse .\n"), file("go.mod", "module example.com/work\n\ngo 1.21.0\n")), "GOTOOLCHAIN=auto", ""},
	{"D77", "toolchain line without a release", func(r *rig) {
		r.write("go.mod", "module example.com/work\n\ngo 1.21.0\n\ntoolchain go1.99\n")
		r.env["GOTOOLCHAIN"] = "auto"
	}, "toolchain go1.99.0", ""},
}

// TestSeeds makes each misconfiguration on a machine on which nothing else is
// wrong: doctor finds it, names the fix, and finds nothing else. A fix that can
// be followed to the letter mends it, and makes nothing worse (tried with the
// build tag e2e).
func TestSeeds(t *testing.T) {
	rows := make([]string, len(seeds))
	var followed atomic.Int32
	var mu sync.Mutex // guards rows' printing order: each row has its slot
	t.Run("D", func(t *testing.T) {
		for i, s := range seeds {
			t.Run(s.id+"/"+s.name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				s.make(r)
				list := r.examine()
				want := []string{s.id}
				want = append(want, strings.Fields(s.also)...)
				slices.Sort(want)
				verdict := "found"
				if got := ids(list); !slices.Equal(got, want) {
					t.Errorf("found %q; want %q\n%s", got, want, show(list))
					verdict = "WRONG"
				}
				fix := fixOf(list, s.id)
				if !strings.Contains(fix, s.fix) {
					t.Errorf("the fix is %q; want one with %q", fix, s.fix)
					verdict = "WRONG FIX"
				}
				if text := show(list); strings.Contains(text, "s3cret") {
					t.Errorf("a secret is shown:\n%s", text)
				}
				if verdict == "found" && thorough && r.followFixes(s.id, list) {
					followed.Add(1)
				}
				mu.Lock()
				rows[i] = fmt.Sprintf("%-4s %-46s %-6s %s", s.id, s.name, verdict, fix)
				mu.Unlock()
			})
		}
	})
	t.Logf("%d seeded misconfigurations of %d kinds, of which %d have a fix that was followed:\n%s", len(seeds), kinds(), followed.Load(), strings.Join(rows, "\n"))
	if thorough && followed.Load() < 30 && !slices.Contains(rows, "") { // unless only some were run
		t.Error("hardly any fix was followed")
	}
}

// fixOf returns the fixes that a check names.
func fixOf(list []diagnose.Examined, id string) string {
	var all []string
	for _, e := range list {
		for _, f := range e.Findings {
			if e.ID == id {
				all = append(all, f.Fix)
			}
		}
	}
	return strings.Join(all, "; ")
}

func kinds() int {
	seen := map[string]bool{}
	for _, s := range seeds {
		seen[s.id] = true
	}
	return len(seen)
}

// Every check has a seed: one that finds nothing anywhere is no check.
func TestEveryCheckHasASeed(t *testing.T) {
	for _, c := range diagnose.Checks() {
		if !slices.ContainsFunc(seeds, func(s seed) bool { return s.id == c.ID }) {
			t.Errorf("%s %s has no seed", c.ID, c.Name)
		}
	}
}
