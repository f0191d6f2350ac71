package goenv

import (
	"slices"
	"strings"
	"testing"
)

func TestMatchPatterns(t *testing.T) {
	for _, tt := range []struct {
		patterns, path string
		want           bool
	}{
		{"example.com", "example.com/x/y", true},
		{"example.com", "sub.example.com/x", false},
		{"*.example.com", "a.b.example.com/x", true},
		{"*.example.com", "example.com/x", false},
		{"github.com/org", "github.com/org/repo/sub", true},
		{"github.com/org", "github.com/organization/r", false},
		{"github.com/org/private-*", "github.com/org/private-x/v2", true},
		{"*", "example.com", true},
		{"*/*", "example.com", false},
		{"example.com/", "example.com/x", true},
		{",,example.com", "example.com/x", true},
		{"a.example.com, b.example.com", "a.example.com/x", true},
		{"a.example.com, b.example.com", "b.example.com/x", false},
		{"none", "example.com/x", false},
		{"", "example.com/x", false},
	} {
		if got := MatchPatterns(tt.patterns, tt.path); got != tt.want {
			t.Errorf("MatchPatterns(%q, %q) = %v; want %v", tt.patterns, tt.path, got, tt.want)
		}
	}
}

func TestLintPatterns(t *testing.T) {
	for _, tt := range []struct {
		name, patterns string
		want           []PatternProblem
	}{
		{"sound", "git.example.com,*.corp.example.com/x,github.com/Acme/private-*,none,*,", nil},
		{"blank after a comma", "a.example.com, b.example.com", []PatternProblem{{" b.example.com", "a blank is part of the pattern, so nothing matches", "b.example.com"}}},
		{"nothing but a blank", "a.example.com, ", []PatternProblem{{" ", "a blank is part of the pattern, so nothing matches", ""}}},
		{"bar", "a.example.com|https://b.example.com", []PatternProblem{{"a.example.com|https://b.example.com", "patterns are separated by commas alone", "a.example.com,b.example.com"}}},
		{"blanks instead of commas", "a.example.com b.example.com", []PatternProblem{{"a.example.com b.example.com", "patterns are separated by commas alone", "a.example.com,b.example.com"}}},
		{"scheme", "https://git.example.com/acme", []PatternProblem{{"https://git.example.com/acme", "module paths have no scheme", "git.example.com/acme"}}},
		{"credentials", "https://ci:s3cret@git.example.com/acme", []PatternProblem{{"https://git.example.com/acme", "module paths have no scheme", "git.example.com/acme"}}},
		{"a token, and no scheme", "oauth2:s3cret@git.example.com/acme", []PatternProblem{{"xxxxx@git.example.com/acme", "module paths have no user", "git.example.com/acme"}}},
		{"a password with commas", "a.example.com,ci:s3,cret@git.example.com", []PatternProblem{{"xxxxx@git.example.com", "module paths have no user", ""}}},
		{"port", "git.example.com:8443/acme", []PatternProblem{{"git.example.com:8443/acme", "module paths have no port", "git.example.com/acme"}}},
		{"dots at the end", "git.example.com/...", []PatternProblem{{"git.example.com/...", "a pattern covers all paths below it; ... is no wildcard", "git.example.com"}}},
		{"dots within", "github.com/acme-.../x", []PatternProblem{{"github.com/acme-.../x", "the wildcard is *, not ...", "github.com/acme-*/x"}}},
		{"host in capitals", "GitHub.com/Acme", []PatternProblem{{"GitHub.com/Acme", "patterns are case-sensitive, and hosts in module paths are lower case", "github.com/Acme"}}},
		{"malformed glob", "git.example.com/[", []PatternProblem{{"git.example.com/[", "malformed glob, so nothing matches", ""}}},
		{"several at once", " HTTPS://Git.example.com:443/...,ok.example.com,[", []PatternProblem{
			{" HTTPS://Git.example.com:443/...", "a blank is part of the pattern, so nothing matches", "git.example.com"},
			{"[", "malformed glob, so nothing matches", ""},
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := LintPatterns(tt.patterns); !slices.Equal(got, tt.want) {
				t.Errorf("LintPatterns(%q) =\n%q; want\n%q", tt.patterns, got, tt.want)
			}
		})
	}
}

func TestMendPatterns(t *testing.T) {
	for _, tt := range []struct {
		patterns, want string
		ok             bool
	}{
		{"git.example.com,*.corp.example.com/x", "git.example.com,*.corp.example.com/x", true},
		{" a.example.com, https://A.example.com|b.example.com/...", "a.example.com,b.example.com", true},
		{"oauth2:s3cret@git.example.com/acme,", "git.example.com/acme", true},
		{"git.example.com/[team,corp.example.com", "corp.example.com", false},
		{"git.example.com/[team|corp.example.com", "corp.example.com", false},
		{"a.example.com,https://u:1,s3cret.x,2@git.example.com", "a.example.com", false},
		{"https://git.example.com/acme?token=s3cret", "git.example.com/acme", true},
		{"[", "", false},
		{"", "", true},
	} {
		if got, ok := MendPatterns(tt.patterns); got != tt.want || ok != tt.ok {
			t.Errorf("MendPatterns(%q) = %q, %v; want %q, %v", tt.patterns, got, ok, tt.want, tt.ok)
		}
	}
}

func FuzzLintPatterns(f *testing.F) {
	f.Add("a.example.com, b.example.com|https://GitHub.com:443/...")
	f.Add("https://u:p@[x]/y;z")
	f.Fuzz(func(t *testing.T, patterns string) {
		for _, p := range LintPatterns(patterns) {
			if again := LintPatterns(p.Fix); len(again) > 0 {
				t.Errorf("the fix %q for %q has a problem itself: %q", p.Fix, p.Pattern, again)
			}
			if strings.TrimSpace(p.Reason) == "" {
				t.Errorf("no reason for %q", p.Pattern)
			}
		}
	})
}

// What was mended needs no mending, and covers what was right before.
func FuzzMendPatterns(f *testing.F) {
	for _, seed := range []string{"a.example.com, b.example.com", "[,*", "https://x@A/...", "a|b;c\td"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, patterns string) {
		mended, _ := MendPatterns(patterns)
		if problems := LintPatterns(mended); len(problems) > 0 {
			t.Errorf("MendPatterns(%q) = %q, which has %+v", patterns, mended, problems)
		}
		if again, ok := MendPatterns(mended); again != mended || !ok {
			t.Errorf("MendPatterns(%q) = %q, and again %q", patterns, mended, again)
		}
	})
}
