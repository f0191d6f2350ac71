package goenv

import (
	"testing"
)

func TestNearMisses(t *testing.T) {
	for _, tt := range []struct {
		patterns, module string
		pattern, reason  string // "" if none is near
		fix              string
	}{
		{"a.example.com, b.example.com", "b.example.com/x", " b.example.com", BlankInPattern, "b.example.com"},
		{"https://git.example.com", "git.example.com/x", "https://git.example.com", SchemeInPattern, "git.example.com"},
		{"https://ci:secret@git.example.com", "git.example.com/x", "https://git.example.com", SchemeInPattern, "git.example.com"},
		{"oauth2:secret@git.example.com/team", "git.example.com/team/x", "xxxxx@git.example.com/team", UserInPattern, "git.example.com/team"},
		{"GitHub.com/acme", "github.com/acme/x", "GitHub.com/acme", UpperCasePattern, "github.com/acme"},
		{"github.com/Acme", "github.com/acme/x", "github.com/Acme", OtherCase, "github.com/acme"},
		{"github.com/acme", "github.com/Acme/x/y", "github.com/acme", OtherCase, "github.com/Acme"},
		{"example.com", "git.example.com/x", "example.com", NoSubdomains, "*.example.com"},
		{"*.example.com", "example.com/x", "*.example.com", OnlySubs, "example.com"},
		{"github.com/acme/private-", "github.com/acme/private-x", "github.com/acme/private-", OnlyWhole, "github.com/acme/private-*"},
		{"git.example.com/...", "git.example.com/x", "git.example.com/...", DotsAtEnd, "git.example.com"},
		{"a.example.com|b.example.com", "b.example.com/x", "a.example.com|b.example.com", WrongSeparator, "a.example.com,b.example.com"},
		{"git.example.com", "git.example.com/x", "", "", ""},
		{" other.example.com,none", "git.example.com/x", "", "", ""},
		{"", "git.example.com/x", "", "", ""},
	} {
		got := NearMisses(tt.patterns, tt.module)
		if tt.reason == "" {
			if len(got) > 0 {
				t.Errorf("NearMisses(%q, %q) = %q; want none", tt.patterns, tt.module, got)
			}
			continue
		}
		if want := (PatternProblem{tt.pattern, tt.reason, tt.fix}); len(got) != 1 || got[0] != want {
			t.Errorf("NearMisses(%q, %q) = %q; want %q", tt.patterns, tt.module, got, want)
		} else if !MatchPatterns(got[0].Fix, tt.module) {
			t.Errorf("the fix %q does not match %q", got[0].Fix, tt.module)
		}
	}
}

// A pattern is near only if it does not match, and its fix does.
func FuzzNearMisses(f *testing.F) {
	f.Add("a.example.com, *.Example.com/Acme/...", "b.example.com/acme/x")
	f.Fuzz(func(t *testing.T, patterns, module string) {
		for _, p := range NearMisses(patterns, module) {
			if !covers(p.Fix, module) {
				t.Errorf("NearMisses(%q, %q): the fix %q does not cover it", patterns, module, p.Fix)
			}
		}
		if p := MatchingPattern(patterns, module); (p != "") != MatchPatterns(patterns, module) {
			t.Errorf("MatchingPattern(%q, %q) = %q", patterns, module, p)
		}
	})
}
