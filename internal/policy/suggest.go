package policy

import (
	"fmt"
	"strings"
)

// didYouMean returns a hint that names the valid word most like the given one,
// or "" if none is alike.
func didYouMean(given string, valid []string) string {
	best, distance := "", 1+max(1, min(3, len(given)/3))
	for _, word := range valid {
		if d := editDistance(strings.ToLower(given), strings.ToLower(word)); d < distance {
			best, distance = word, d
		}
	}
	if best == "" {
		return ""
	}
	return fmt.Sprintf("did you mean %q?", best)
}

// suggest is didYouMean, or the list of what is valid.
func suggest(given string, valid []string) string {
	if hint := didYouMean(given, valid); hint != "" {
		return hint
	}
	return "valid: " + Listed(valid)
}

// Listed joins names, as many as a person reads.
func Listed(names []string) string {
	const most = 20
	if more := len(names) - most; more > 1 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), more)
	}
	return strings.Join(names, ", ")
}

// editDistance counts the insertions, deletions, replacements and swaps of
// neighbours between a and b. What needs more than band of them is just far.
func editDistance(a, b string) int {
	const band, far = 3, 100
	if len(a) > 64 || len(b) > 64 || max(len(a), len(b))-min(len(a), len(b)) > band {
		return far
	}
	var before, last, row [66]int
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		low, high := max(1, i-band), min(len(b), i+band)
		row[low-1], row[high+1] = far, far // beyond the band
		if low == 1 {
			row[0] = i
		}
		for j := low; j <= high; j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// Suggest returns a hint for a word that is none of the valid ones: the one
// that was probably meant, or all of them.
func Suggest(given string, valid []string) string { return suggest(given, valid) }
