package goenv

import (
	"net/url"
	"strings"
	"testing"
)

func TestRedact(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"nothing to hide", "https://a.example.com:8443/go", "https://a.example.com:8443/go"},
		{"user and password", "https://ci:s3cret@a.example.com/go", "https://a.example.com/go"},
		{"a token as user", "https://s3cret@a.example.com", "https://a.example.com"},
		{"query values", "https://a.example.com/go?tok=s3cret&x&y=", "https://a.example.com/go?tok=xxxxx&xxxxx&y=xxxxx"},
		{"fragment", "https://a.example.com/go#s3cret", "https://a.example.com/go"},
		{"proxy paths stay", "https://ci:s3cret@a.example.com/rsc.io/quote/@v/list", "https://a.example.com/rsc.io/quote/@v/list"},
		{"latest stays", "https://a.example.com/rsc.io/quote/@latest", "https://a.example.com/rsc.io/quote/@latest"},
		{"slash in the password", "https://ci:1/s3cret@a.example.com/x/@v/list", "https://xxxxx@a.example.com/x/@v/list"},
		{"slash in a token", "https://s3/cret@a.example.com", "https://xxxxx@a.example.com"},
		{"two at signs", "https://ci:s3@cret@a.example.com", "https://a.example.com"},
		{"no scheme", "ci:s3cret@a.example.com/go", "a.example.com/go"},
		{"scheme mistyped", "https:/ci:s3cret@a.example.com/go", "xxxxx@a.example.com/go"},
		{"password cut at a comma", "https://ci:s3cret", "https://ci:xxxxx"},
		{"does not parse", "https://ci:s3cret%@a.example.com/%zz", "https://a.example.com/%zz"},
		{"IPv6", "https://ci:s3cret@[::1]:8443/", "https://[::1]:8443/"},
		{"keyword", "direct", "direct"},
		{"empty", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Redact(tt.in); got != tt.want {
				t.Errorf("Redact(%q) = %q; want %q", tt.in, got, tt.want)
			}
		})
	}
}

// A shown value holds no secret, and as much of the rest as can be told apart.
func TestRedactSetting(t *testing.T) {
	for _, tt := range []struct{ name, value, want string }{
		{"GOPROXY", "https://ci:s3cret@p.example.com,direct", "https://p.example.com,direct"},
		{"GOPROXY", "https://p.example.com?token=s3cret|https://b", "https://p.example.com?token=xxxxx|https://b"},
		{"GOPROXY", "https://p.example.com,https://ci:s3cret@q.example.com|direct", "https://p.example.com,https://q.example.com|direct"},
		{"GOPROXY", "https://u:1,s3cret.x,2@h.example.com", "https://h.example.com"},
		{"GOPROXY", "https://u:1|s3cret|x@h.example.com,direct", "https://h.example.com,direct"},
		{"GOSUMDB", knownName + " https://u:s3cret@s.example", knownName + " https://s.example"},
		{"GOSUMDB", "sum.example.com https://u:s3cret x@s.example", "xxxxx@s.example"},
		{"GOPRIVATE", "git.example.com, *.corp.example.com", "git.example.com, *.corp.example.com"},
		{"GONOPROXY", "a.example.com,oauth2:s3cret@gitlab.example.com/team", "a.example.com,xxxxx@gitlab.example.com/team"},
		{"HTTPS_PROXY", "http://user:s3cret@proxy.corp.example.com:8080", "http://proxy.corp.example.com:8080"},
		{"HTTPS_PROXY", "http://ci:a,s3cret,b@proxy:8080", "http://proxy:8080"},
		{"http_proxy", "http://ci:1234,x;s3cret y@proxy", "http://proxy"},
		{"NO_PROXY", "a.example.com b.example.com,10.0.0.0/8", "a.example.com b.example.com,10.0.0.0/8"},
		{"GOFLAGS", "-mod=mod -modcacherw", "-mod=mod -modcacherw"},
		{"GOAUTH", "netrc;git /home/me/x; helper https://ci:s3cret@git.example.com", "netrc;git /home/me/x; helper https://git.example.com"},
		{"NETRC", "/home/a@b/.netrc", "/home/a@b/.netrc"},
		{"", "https://s3cret@git.example.com", "https://git.example.com"},
	} {
		if got := RedactSetting(tt.name, tt.value); got != tt.want {
			t.Errorf("%s=%s shows as %q; want %q", tt.name, tt.value, got, tt.want)
		}
	}
}

// A list that will be used keeps its items.
func TestRedactPatterns(t *testing.T) {
	const list, want = "a.example.com:1,corp.example.com,ci:s3cret@git.example.com,https://ci:s3cret@b.example.com", "a.example.com:1,corp.example.com,git.example.com,https://b.example.com"
	if got := RedactPatterns(list); got != want {
		t.Errorf("got %q; want %q", got, want)
	}
}

// FuzzRedact builds URLs around two marks, as user and as password, and looks
// for them in whatever text is made of the URL.
func FuzzRedact(f *testing.F) {
	f.Add("https://", "", "", "a.example.com", "/x")
	f.Add("", "/", "a/b", "a.example.com:80", "/rsc.io/quote/@v/list")
	f.Add("http://", ",a", ";b|c ,1", "proxy:8080", "")
	f.Add("", "", ",x.y,2", "h.example.com", ",direct")
	f.Add("http:/", "?x=", "#,", "[::1]", "?a=b&c#d")
	f.Fuzz(func(t *testing.T, scheme, user, password, host, rest string) {
		const u, p = "U5ERmark", "PA55mark"
		if strings.HasPrefix(host, "v/") || host == "v" || host == "latest" {
			return // reads like the end of a module's path
		}
		raw := scheme + u + user + ":" + p + password + "@" + host + rest
		texts := []string{Redact(raw)}
		for _, name := range []string{"HTTPS_PROXY", "GOSUMDB", "GOPROXY"} {
			if name != "GOPROXY" || !strings.Contains(user+password, "://") { // that reads like two entries
				texts = append(texts, RedactSetting(name, raw))
			}
		}
		if _, err := CheckEntry(raw); err != nil {
			texts = append(texts, err.Error())
		}
		if _, err := ParseChain(raw); err != nil {
			texts = append(texts, err.Error())
		}
		for _, text := range texts {
			if strings.Contains(text, u) || strings.Contains(text, p) {
				t.Errorf("%q shows as %q", raw, text)
			}
		}
	})
}

// FuzzRedactURL holds Redact against what net/url takes for user and password.
func FuzzRedactURL(f *testing.F) {
	f.Add("https://ci:s3cret@a.example.com/rsc.io/quote/@v/list?x=y#z")
	f.Add("https://a.example.com/@v/x@y")
	f.Fuzz(func(t *testing.T, raw string) {
		got := Redact(raw)
		if again := Redact(got); again != got {
			t.Errorf("Redact(%q) = %q, redacted again %q", raw, got, again)
		}
		if u, err := url.Parse(got); err == nil && u.User != nil && u.User.String() != "" && u.User.String() != hidden {
			t.Errorf("Redact(%q) = %q still has user %q", raw, got, u.User)
		}
	})
}
