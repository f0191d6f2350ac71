package goenv_test

import (
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/goenv"
)

// TestDifferentialFlags holds ParseFlags against the real go command.
func TestDifferentialFlags(t *testing.T) {
	l := newLab(t, "")
	for _, value := range []string{
		"", " ", "-v", "--v", "-mod=mod", "-mod mod", "mod=mod", "-", "--", "---v", "-=x", "--=x", `'-ldflags=-s -w' -v`, `"-tags=a b"`,
		`-ldflags='-s -w'`, `'-v`, `"`, "-v\t-x\n", "-v,-x", "-modcacherw -mod=readonly", "https://ci:secret@git.example.com",
	} {
		out := l.Run(t.Context(), t, []string{"GOFLAGS=" + value}, "version")
		refused := strings.Contains(out.Stderr, "parsing $GOFLAGS") && !strings.Contains(out.Stderr, "unknown flag")
		flags, err := goenv.ParseFlags(value)
		if refused != (err != nil) {
			t.Errorf("ParseFlags(%q) = %q, %v; go: %s", value, flags, err, out.Stderr)
		}
		if err != nil && strings.Contains(err.Error(), "secret") {
			t.Errorf("the error shows a secret: %v", err)
		}
	}
	flags, _ := goenv.ParseFlags("-mod=mod --insecure -mod=vendor")
	if v, ok := goenv.Flag(flags, "mod"); v != "vendor" || !ok {
		t.Errorf("mod = %q, %v", v, ok)
	}
	if v, ok := goenv.Flag(flags, "insecure"); v != "true" || !ok {
		t.Errorf("insecure = %q, %v", v, ok)
	}
}

// TestDifferentialVCS holds ParseVCS and VCSFor against what the real go
// command says before it runs git.
func TestDifferentialVCS(t *testing.T) {
	l := newLab(t, "")
	const module = "github.com/acme/x"
	for _, value := range []string{
		"", " ", "public:git|hg,private:all", "*:off", "public:off", "private:off", "github.com:git", "github.com/acme:off,public:git", "github.com: hg | git ",
		"public:all", "off", ":git", "public:", "public:git,", "public:git,public:hg", "public:git||hg", "./x:git", "a.example.com:off", "GITHUB.com:off", "github.com/acme:git,*:off",
	} {
		for _, private := range []string{"", "github.com/acme"} {
			out := l.Download(t.Context(), t, []string{"GOPROXY=direct", "GOSUMDB=off", "GOVCS=" + value, "GOPRIVATE=" + private}, module+"@v1.0.0")
			text := out.Modules[module].Error
			malformed := strings.Contains(text, "in GOVCS") && strings.Contains(text, "GOVCS") && !strings.Contains(text, "disallows")
			rules, err := goenv.ParseVCS(value)
			if malformed != (err != nil) {
				t.Errorf("ParseVCS(%q) = %v, %v; go: %s", value, rules, err, text)
			}
			if err != nil {
				continue
			}
			rule, ok := goenv.VCSFor(rules, module, private != "")
			if allowed := ok && rule.Allows("git"); allowed == strings.Contains(text, "GOVCS disallows") {
				t.Errorf("GOVCS=%s GOPRIVATE=%s: rule %s allows git: %v; go: %s", value, private, rule, allowed, text)
			}
		}
	}
}

// TestDifferentialAuth holds ParseAuth against the real go command. It reads
// GOAUTH before its first request over https.
func TestDifferentialAuth(t *testing.T) {
	l := newLab(t, "")
	const module = "m1.example.com/case/x"
	for _, value := range []string{
		"off", " off ", "netrc", "netrc;off", "off;netrc", "git", "git relative", "git " + l.Dir, "git " + l.Dir + " more", ";", "netrc;", "netrc; git " + l.Dir, "no-such-command", " netrc ", "netrc /x",
	} {
		out := l.Run(t.Context(), t, []string{"GOPROXY=" + l.TLS.URL, "GOSUMDB=off", "GOAUTH=" + value}, "mod", "download", module+"@v1.0.0")
		refused := strings.Contains(out.Stderr, "go: GOAUTH")
		commands, err := goenv.ParseAuth(value)
		if refused != (err != nil) {
			t.Errorf("ParseAuth(%q) = %q, %v; go: %s", value, commands, err, out.Stderr)
		}
	}
}

func FuzzParseVCS(f *testing.F) {
	f.Add("github.com/acme:git|hg,public:off")
	f.Fuzz(func(t *testing.T, v string) {
		rules, err := goenv.ParseVCS(v)
		if err != nil {
			return
		}
		var words []string
		for _, r := range rules[:len(rules)-2] {
			words = append(words, r.String())
		}
		again, err := goenv.ParseVCS(strings.Join(words, ","))
		if err != nil || len(again) != len(rules) {
			t.Errorf("ParseVCS(%q) = %v, which reparses as %v, %v", v, rules, again, err)
		}
	})
}
