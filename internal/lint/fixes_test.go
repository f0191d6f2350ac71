package lint_test

import (
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/lint"
	"github.com/org/goproxy-setup/internal/render"
)

// What is written instead keeps what others rely on: credentials, the names of
// private modules, rules of one's own, and gatekeepers.
func TestFixes(t *testing.T) {
	toURL, toName := names()
	for _, tt := range []struct{ name, env, id, fix string }{
		{"credentials", "GOPROXY=https://ci:s3cret@corp.example.com,{goproxy.cn},direct", "L06", "export GOPROXY='https://corp.example.com,{goproxy.cn}|direct'; put the credentials back that are left out here"},
		{"a query", "GOPROXY=https://corp.example.com?tok=s3cret,{goproxy.cn},direct", "L06", "export GOPROXY='https://corp.example.com?tok=xxxxx,{goproxy.cn}|direct'; put the credentials back that are left out here"},
		{"of two proxies", "GOPROXY=https://ci:s3cret@a.example.com,https://ci:s3cret@b.example.com", "L17", "export GOPROXY=https://a.example.com,https://b.example.com; put this into the netrc: machine a.example.com login USER password PASSWORD"},
		{"and nobody reads netrc", "GOAUTH=off\nGOPROXY=https://ci:s3cret@a.example.com", "L17", "export GOPROXY=https://a.example.com; put this into the netrc: machine a.example.com login USER password PASSWORD; GOAUTH has to have netrc"},
		{"of an HTTP proxy", "GOPROXY=https://corp.example.com\nHTTP_PROXY=http://ci:s3cret@proxy:8080", "L39", "export HTTPS_PROXY=http://proxy:8080; put the credentials back that are left out here"},
		{"private names", "GOPRIVATE=git.example.com\nGOVCS=*:off\nGOPROXY={official}|direct", "L47", "export GOVCS='git.example.com:git,*:off'"},
		{"private names, own proxies", "GOPRIVATE=git.example.com\nGOVCS=*:off\nGOPROXY=https://corp.example.com", "L47", "export GOVCS='git.example.com:git,*:off'; or fetch it through your proxies, as with GONOPROXY=none"},
		{"rules of one's own", "GOPRIVATE=git.example.com\nGOVCS=public:git, git.example.com:off , private:hg", "L47", "export GOVCS=git.example.com:git,public:git,private:hg"},
		{"two patterns", "GOPRIVATE=a.example.com,b.example.com\nGOVCS=*:off", "L47", "export GOVCS='b.example.com:git,a.example.com:git,*:off'"},
		{"rules of one's own for the same pattern", "GOPRIVATE=git.example.com\nGOVCS=git.example.com:hg|svn", "L47", "export GOVCS='git.example.com:git|hg|svn'"},
		{"a gatekeeper", "GOSUMDB={sumdb}\nGOPROXY=https://a.example.com|https://b.example.com", "L11", "let it pass the database on, or send lookups to a proxy that does: GOSUMDB='{sumdb} https://PROXY/sumdb/{sumdb}'"},
		{"public proxies", "GOSUMDB={sumdb}\nGOPROXY={official}|https://b.example.com", "L11", "export GOPROXY='{official}|https://b.example.com,direct'"},
		{"a pattern that nobody can read", "GOPROXY={official}|direct\nGOPRIVATE=git.example.com\nGONOPROXY=a.example.com/[team", "L28", "export GONOPROXY='a.example.com/[team,git.example.com'"},
		{"the same, where it is reported", "GOPRIVATE=git.example.com,a.example.com/[team", "L25", "write it anew"},
		{"direct fetches", "GOINSECURE=*.corp.example.com\nGOPROXY=https://goproxy.corp.example.com,direct", "L37", ""},
		{"direct fetches of private modules", "GOINSECURE=*.corp.example.com\nGOPROXY=https://goproxy.corp.example.com\nGOPRIVATE=git.corp.example.com", "L37", ""},
		{"the proxy itself", "GOINSECURE=git.corp.example.com,goproxy.corp.example.com\nGOPROXY=https://goproxy.corp.example.com:8443,direct", "L37", "export GOINSECURE=git.corp.example.com; add the proxy's authority by SSL_CERT_FILE"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &txtar.Archive{Files: []txtar.File{{Name: "fails/env", Data: []byte(tt.env)}}}
			var fixes []string
			for _, f := range lint.Check(input(a, "fails")) {
				if f.Rule.ID == tt.id {
					fixes = append(fixes, toName.Replace(f.Report(render.ShellWord).Fix))
				}
			}
			if got := strings.Join(fixes, "\n"); !strings.HasPrefix(got, tt.fix) || (tt.fix == "") != (got == "") {
				t.Errorf("%s\n got %q\nwant %q", toURL.Replace(tt.env), got, tt.fix)
			}
		})
	}
}

// Whatever stands in a setting, no finding shows its secret.
func TestSecrets(t *testing.T) {
	values := []string{
		"https://ci:s3cret@corp.example.com:8443/go,direct", "http://ci:s3cret@proxy:8080", "http://ci:a,s3cret,b@proxy:8080", "https://u:1,s3cret.x,2@h.example.com",
		"https://u:1|s3cret|x@h.example.com", "https://h.example.com?tok=s3cret|https://i.example.com", "oauth2:s3cret@gitlab.corp.example.com/team",
		"a.example.com, oauth2:s3cret@gitlab.corp.example.com/team", "https://oauth2:s3cret@gitlab.corp.example.com/[", "netrc;helper https://ci:s3cret@h.example.com;",
		"name https://ci:s3cret@h.example.com", "name key https://ci:s3cret@h.example.com", "'https://ci:s3cret@h.example.com'", "-mod=mod https://ci:s3cret@h.example.com",
		"https://ci:s3cret@h.example.com:git", "x=https://ci:s3cret@h.example.com",
	}
	toURL, _ := names()
	defaults := []byte(toURL.Replace("GOPROXY={official},direct\nGOSUMDB={sumdb}\nGOTOOLCHAIN=auto\n"))
	for _, name := range []string{
		"GOPROXY", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOINSECURE", "GOSUMDB", "GOAUTH", "GOVCS", "GOFLAGS", "GOTOOLCHAIN", "GO111MODULE", "GODEBUG",
		"HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy", "NO_PROXY", "GO_PROXY",
	} {
		for _, value := range values {
			if name == "GOVCS" && strings.Contains(value, ",") {
				continue // each item by itself
			}
			env := func(n string) string {
				if n == name {
					return value
				}
				return ""
			}
			line := []byte(name + "=" + value + "\n")
			for _, sources := range []goenv.Sources{
				{Getenv: env, GOROOT: goenv.EnvFile{Path: "go.env", Data: defaults}},
				{User: goenv.EnvFile{Path: "env", Data: line}, GOROOT: goenv.EnvFile{Path: "go.env", Data: defaults}},
				{Getenv: func(n string) string { return map[string]string{name: "other"}[n] }, User: goenv.EnvFile{Path: "env", Data: line}},
			} {
				for _, f := range lint.Check(lint.Input{Sources: sources}) {
					if r := f.Report(render.ShellWord); strings.Contains(r.Message+r.Fix, "s3cret") {
						t.Errorf("%s=%s: %s shows the secret: %s\nfix: %s", name, value, r.ID, r.Message, r.Fix)
					}
				}
			}
		}
	}
}
