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
	Reason  string // one of the constants below
	Fix     string // the pattern, or several separated by commas, to write instead; "" to leave it out
}

// What may be wrong with a pattern. Of several reasons the first is given.
const (
	BlankInPattern   = "a blank is part of the pattern, so nothing matches"
	WrongSeparator   = "patterns are separated by commas alone"
	SchemeInPattern  = "module paths have no scheme"
	UserInPattern    = "module paths have no user"
	PortInPattern    = "module paths have no port"
	UpperCasePattern = "patterns are case-sensitive, and hosts in module paths are lower case"
	DotsAtEnd        = "a pattern covers all paths below it; ... is no wildcard"
	DotsWithin       = "the wildcard is *, not ..."
	MalformedGlob    = "malformed glob, so nothing matches"
)

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
	set(strings.TrimSpace(fix), BlankInPattern)
	if parts := strings.FieldsFunc(fix, isWrongSeparator); len(parts) > 1 || strings.ContainsFunc(fix, isWrongSeparator) {
		set(fixAll(parts), WrongSeparator)
		return fix, reason
	}
	if i := strings.LastIndex(fix, "://"); i >= 0 {
		set(fix[i+len("://"):], SchemeInPattern)
	}
	host, rest := fix, ""
	if i := strings.IndexByte(fix, '/'); i >= 0 {
		host, rest = fix[:i], fix[i:]
	}
	set(host[strings.LastIndexByte(host, '@')+1:]+rest, UserInPattern)
	host = fix[:len(fix)-len(rest)]
	if i := strings.IndexByte(host, ':'); i >= 0 {
		host = host[:i]
		set(host+rest, PortInPattern)
	}
	set(strings.ToLower(host)+rest, UpperCasePattern)
	set(strings.TrimSuffix(fix, "/..."), DotsAtEnd)
	set(strings.ReplaceAll(fix, "...", "*"), DotsWithin)
	if _, err := path.Match(fix, ""); err != nil {
		return "", MalformedGlob
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
