package policy

import (
	"strings"
	"testing"
)

// LooksPrivate warns of names; it never vouches for one.
func TestLooksPrivate(t *testing.T) {
	for path, want := range map[string]string{ // why, contained; "" for nothing
		"git.corp.example.com/team/lib":      `label "corp"`,
		"example.internal/lib":               "no public name server",
		"gitlab.lan/lib":                     "no public name server",
		"build.local/x":                      "no public name server",
		"monorepo/lib":                       "no public name server",
		"10.0.0.7/lib":                       "its host is an address",
		"8.8.8.8/lib":                        "its host is an address",
		"code.acme/lib":                      "there is no public domain .acme",
		"go.acme.corpnet/lib":                "there is no public domain .corpnet",
		"gitlab.acme.com/team/lib":           "somebody's own code host",
		"ghe.acme.co.uk/team/lib":            "somebody's own code host",
		"github.com/acme/private-lib":        `called "private"`,
		"github.com/acme/x/internal/v2":      `called "internal"`,
		"github.com/acme/Secret_Sauce":       `called "secret"`,
		"intranet.example.com/x":             `label "intranet"`,
		"github.com/acme/rocket":             "", // private or not: the name does not tell
		"gitlab.com/acme/rocket":             "",
		"gitea.com/gitea/act":                "",
		"git.com/x":                          "",
		"example.com/corporate":              "",
		"github.com/acme/privateer":          "",
		"golang.org/x/text":                  "",
		"k8s.io/api":                         "",
		"acme.dev/go":                        "",
		"gopkg.in/yaml.v3":                   "",
		"corp.com/x":                         `label "corp"`,
		"xn--fiqs8s.example.com/x":           "",
		"github.com/internationalisation/go": "",
	} {
		got := LooksPrivate(path)
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("LooksPrivate(%q) = %q; want %q", path, got, want)
		}
	}
}

// Whatever a path holds, the reason is one line that repeats no more of it than
// its host, and case does not matter.
func FuzzLooksPrivate(f *testing.F) {
	for _, s := range []string{"", "/", ".", "..", "git.corp.example.com/x", "GIT.CORP.example.com/X", "a..b/c", "10.0.0.1", "[::1]/x", "x\n::error::y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		why := LooksPrivate(path)
		if lower := LooksPrivate(strings.ToLower(path)); (why == "") != (lower == "") {
			t.Errorf("%q: %q, but in lower case %q", path, why, lower)
		}
	})
}

func TestPrivateHost(t *testing.T) {
	for host, want := range map[string]bool{
		"10.1.2.3": true, "127.0.0.1": true, "fd00::1": true, "8.8.8.8": false,
		"localhost": true, "mirror": true, "nexus.corp": true, "x.home.arpa.": true, "A.LAN": true, "corp.example.com": false,
	} {
		if got := PrivateHost(host); got != want {
			t.Errorf("PrivateHost(%q) = %v", host, got)
		}
	}
}

// Who looks at proxies names them as a chain does, in any number and order.
func TestLookup(t *testing.T) {
	p, err := Parse("policy.yaml", []byte("version: 1\nmode: enforced\nproxies:\n  corp: { url: https://goproxy.corp.example.com, gatekeeper: true, private: true }\nenvironments:\n  default: { chain: [corp] }\n"))
	if err != nil {
		t.Fatal(err)
	}
	list, err := p.Lookup("official", "corp", "https://goproxy.corp.example.com/", "http://127.0.0.1:3000", "official")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name)
	}
	if got := strings.Join(names, " "); got != "official corp http://127.0.0.1:3000" || !list[1].Gatekeeper || !list[1].Private {
		t.Errorf("Lookup = %q, %+v", got, list)
	}
	for name, want := range map[string]string{
		"corpp": `did you mean "corp"?`, "oficial": `did you mean "official"?`, "ftp://x.example.com": "unsupported scheme", "ci:s3cret@x.example.com": "unknown proxy",
	} {
		_, err := p.Lookup("official", name)
		if _, ok := err.(Errors); !ok || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("Lookup(%q): %v; want %q", name, err, want)
		}
	}
}
