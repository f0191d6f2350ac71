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

// FuzzRedact builds URLs around two marks, as user and as password, and looks
// for them in whatever text is made of the URL.
func FuzzRedact(f *testing.F) {
	f.Add("https://", "", "", "a.example.com", "/x")
	f.Add("", "/", "a/b", "a.example.com:80", "/rsc.io/quote/@v/list")
	f.Add("http:/", "?x=", "#,", "[::1]", "?a=b&c#d")
	f.Fuzz(func(t *testing.T, scheme, user, password, host, rest string) {
		const u, p = "U5ERmark", "PA55mark"
		if strings.HasPrefix(host, "v/") || host == "v" || host == "latest" {
			return // reads like the end of a module's path
		}
		raw := scheme + u + user + ":" + p + password + "@" + host + rest
		texts := []string{Redact(raw)}
		if _, err := CheckEntry(raw); err != nil {
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
