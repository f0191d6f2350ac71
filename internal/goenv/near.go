package goenv

import "strings"

// MatchingPattern returns the first pattern of a list that covers modulePath,
// "" if none does.
func MatchingPattern(patterns, modulePath string) string {
	for pattern := range strings.SplitSeq(patterns, ",") {
		if MatchPatterns(pattern, modulePath) {
			return pattern
		}
	}
	return ""
}

// What keeps a sound pattern from covering a module, beside the reasons of a
// [PatternProblem].
const (
	OtherCase    = "patterns are case-sensitive"
	NoSubdomains = "a pattern without * covers no subdomains"
	OnlySubs     = "*. covers subdomains alone, not the domain itself"
	OnlyWhole    = "a pattern compares whole elements of a path"
)

// NearMisses returns the patterns of a list that do not cover modulePath but,
// by all appearances, were meant to.
func NearMisses(patterns, modulePath string) []PatternProblem {
	var near []PatternProblem
	for pattern := range strings.SplitSeq(patterns, ",") {
		if MatchPatterns(pattern, modulePath) {
			continue
		}
		if fix, reason := lintPattern(pattern); reason != "" {
			if covers(fix, modulePath) {
				near = append(near, PatternProblem{shownPattern(pattern), reason, fix})
			}
			continue
		}
		if fix, reason := nearMiss(pattern, modulePath); reason != "" {
			near = append(near, PatternProblem{pattern, reason, fix})
		}
	}
	return near
}

// covers reports whether patterns cover the path, capital letters aside.
func covers(patterns, modulePath string) bool {
	return patterns != "" && MatchPatterns(strings.ToLower(patterns), strings.ToLower(modulePath))
}

// nearMiss says why a sound pattern just misses the path, "" if it is of
// another kind altogether.
func nearMiss(pattern, modulePath string) (fix, reason string) {
	if pattern == "" {
		return "", ""
	}
	host, _, _ := strings.Cut(modulePath, "/")
	patternHost, rest, _ := strings.Cut(pattern, "/")
	if rest != "" {
		rest = "/" + rest
	}
	domain, isGlob := strings.CutPrefix(patternHost, "*.")
	switch {
	case covers(pattern, modulePath):
		n := strings.Count(strings.TrimSuffix(pattern, "/"), "/") + 1
		return strings.Join(strings.SplitN(modulePath, "/", n+1)[:n], "/"), OtherCase
	case isGlob && MatchPatterns(domain+rest, modulePath):
		return domain + rest, OnlySubs
	case !isGlob && strings.Contains(patternHost, ".") && strings.HasSuffix(host, "."+patternHost) && MatchPatterns("*."+pattern, modulePath):
		return "*." + pattern, NoSubdomains
	case strings.Count(pattern, "/") > 0 && !strings.HasSuffix(pattern, "/") && MatchPatterns(pattern+"*", modulePath):
		return pattern + "*", OnlyWhole
	}
	return "", ""
}
