package goenv

import (
	"path"
	"strings"
	"unicode"

	"golang.org/x/mod/module"
)

// MatchPatterns reports whether modulePath is covered by patterns, the value of
// GOPRIVATE, GONOPROXY or GONOSUMDB: a list of globs separated by commas, each
// compared with as many leading elements of the path as it has itself.
//
// Malformed globs match nothing, nor does a glob after a comma and a blank; see
// [LintPatterns].
func MatchPatterns(patterns, modulePath string) bool {
	return module.MatchPrefixPatterns(patterns, modulePath)
}

// A PatternProblem is a module pattern that go accepts in silence although it
// cannot match what its author meant.
type PatternProblem struct {
	Pattern string // as written; redacted if it is a URL
	Reason  string
	Fix     string // the pattern, or several separated by commas, to write instead; "" to leave it out
}

// LintPatterns returns the problems of patterns, the value of GOPRIVATE,
// GONOPROXY or GONOSUMDB, in the order of their appearance and one for each
// pattern at most.
func LintPatterns(patterns string) []PatternProblem {
	var problems []PatternProblem
	for pattern := range strings.SplitSeq(patterns, ",") {
		fix, reason := lintPattern(pattern)
		if reason == "" {
			continue
		}
		if strings.Contains(pattern, "://") {
			pattern = Redact(pattern)
		}
		problems = append(problems, PatternProblem{pattern, reason, fix})
	}
	return problems
}

// lintPattern corrects all that is wrong with one pattern and gives the first
// reason. The reason is "" if and only if nothing is wrong.
func lintPattern(pattern string) (fix, reason string) {
	fix = pattern
	set := func(corrected, why string) {
		if corrected == fix {
			return
		}
		fix = corrected
		if reason == "" {
			reason = why
		}
	}
	set(strings.TrimSpace(fix), "a blank is part of the pattern, so nothing matches")
	if parts := strings.FieldsFunc(fix, isWrongSeparator); len(parts) > 1 || strings.ContainsFunc(fix, isWrongSeparator) {
		set(fixAll(parts), "patterns are separated by commas alone")
		return fix, reason
	}
	if i := strings.LastIndex(fix, "://"); i >= 0 {
		set(fix[i+len("://"):], "module paths have no scheme")
	}
	host, rest := fix, ""
	if i := strings.IndexByte(fix, '/'); i >= 0 {
		host, rest = fix[:i], fix[i:]
	}
	set(host[strings.LastIndexByte(host, '@')+1:]+rest, "module paths have no user")
	host = fix[:len(fix)-len(rest)]
	if i := strings.IndexByte(host, ':'); i >= 0 {
		host = host[:i]
		set(host+rest, "module paths have no port")
	}
	set(strings.ToLower(host)+rest, "patterns are case-sensitive, and hosts in module paths are lower case")
	set(strings.TrimSuffix(fix, "/..."), "a pattern covers all paths below it; ... is no wildcard")
	set(strings.ReplaceAll(fix, "...", "*"), "the wildcard is *, not ...")
	if _, err := path.Match(fix, ""); err != nil {
		return "", "malformed glob, so nothing matches"
	}
	return fix, reason
}

// fixAll corrects each of several patterns and joins what is left of them.
func fixAll(patterns []string) string {
	var fixed []string
	for _, p := range patterns {
		if fix, _ := lintPattern(p); fix != "" {
			fixed = append(fixed, fix)
		}
	}
	return strings.Join(fixed, ",")
}

func isWrongSeparator(r rune) bool { return r == '|' || r == ';' || unicode.IsSpace(r) }
