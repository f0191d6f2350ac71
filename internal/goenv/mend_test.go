package goenv

import "testing"

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
