package policy

import (
	"cmp"
	"strings"
)

// isGlob reports whether s stands for more than itself.
func isGlob(s string) bool { return strings.Contains(s, "*") }

// matchGlob reports whether pattern covers all of s. A "*" stands for any run
// of characters, "/" included and possibly empty; everything else for itself.
func matchGlob(pattern, s string) bool {
	prefix, rest, star := strings.Cut(pattern, "*")
	if !star {
		return s == pattern
	}
	s, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return false
	}
	for {
		part, after, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(s, part)
		}
		i := strings.Index(s, part) // the first place leaves most for the rest
		if i < 0 {
			return false
		}
		s, rest = s[i+len(part):], after
	}
}

// coversGlob reports whether a matches whatever b matches.
func coversGlob(a, b string) bool { return matchGlob(a, b) }

// compareGlobs orders patterns by how much they say, the most specific first:
// by the length of what stands before the first "*", then by their own.
func compareGlobs(a, b string) int {
	pa, _, _ := strings.Cut(a, "*")
	pb, _, _ := strings.Cut(b, "*")
	return cmp.Or(cmp.Compare(len(pb), len(pa)), cmp.Compare(len(b), len(a)))
}
