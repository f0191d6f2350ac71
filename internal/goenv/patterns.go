package goenv

import (
	"path"
	"slices"
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
	Pattern string // as written; redacted
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
	for _, pattern := range joinLogins(strings.Split(patterns, ",")) {
		fix, reason := lintPattern(pattern)
		if reason == "" {
			continue
		}
		problems = append(problems, PatternProblem{shownPattern(pattern), reason, fix})
	}
	return problems
}

// MendPatterns returns patterns with every problem mended and without
// repetition. What cannot be mended is left out, and ok is then false: nobody
// can tell what it was meant to match.
func MendPatterns(patterns string) (mended string, ok bool) {
	var list []string
	ok = true
	items := strings.FieldsFunc(patterns, func(r rune) bool { return r == ',' || isWrongSeparator(r) })
	for _, item := range joinLogins(items) {
		fix, _ := lintPattern(item)
		if fix == "" {
			ok = false
		} else if !slices.Contains(list, fix) {
			list = append(list, fix)
		}
	}
	return strings.Join(list, ","), ok
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
	if strings.Contains(fix, ",") {
		return "", UserInPattern // joined: it cannot be told where the user ends
	}
	set(strings.TrimSpace(fix), BlankInPattern)
	if strings.ContainsFunc(fix, isWrongSeparator) {
		mended, _ := MendPatterns(fix)
		set(mended, WrongSeparator)
		return fix, reason
	}
	if i := strings.LastIndex(fix, "://"); i >= 0 {
		path := fix[i+len("://"):]
		if j := strings.IndexAny(path, "?#"); j >= 0 { // in a pattern a question mark is a wildcard, in a URL it begins a query
			path = path[:j]
		}
		set(path, SchemeInPattern)
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

// joinLogins joins, by commas, those items of a split list that may be user and
// password of one URL: a separator may stand in a password, too.
func joinLogins(items []string) (list []string) {
	login := -1 // index in list of what may be the beginning of one
	for _, item := range items {
		_, bare, hasScheme := strings.Cut(item, "://")
		if !hasScheme {
			bare = item
		}
		if login >= 0 && !hasScheme && strings.Contains(item, "@") {
			list = append(list[:login], strings.Join(append(list[login:], item), ","))
			login = -1
			continue
		}
		if list = append(list, item); login < 0 && strings.Contains(bare, ":") {
			login = len(list) - 1
		}
	}
	return list
}

func isWrongSeparator(r rune) bool { return r == '|' || r == ';' || unicode.IsSpace(r) }
