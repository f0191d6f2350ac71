// Package lint holds the rules for Go's download settings: what go accepts in
// silence although it cannot do what was meant, and what will break a build or
// leak a name. docs/lint.md lists them all; a test holds it equal to the rules.
//
// It is pure: settings in, findings out.
package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/netrc"
	"github.com/org/goproxy-setup/internal/report"
)

// Input is what the rules look at. What is unknown stays empty; rules that need
// it find nothing then.
type Input struct {
	Sources goenv.Sources
	// Present reports whether a variable is in the environment, even with an
	// empty value. It may be nil.
	Present func(name string) bool

	Netrc     []netrc.Machine
	NetrcName string // its path

	Lines             goenv.GoLines // which Go has to run
	GoAt, ToolchainAt report.Place  // where they say so
	HaveGo            string        // the one that is installed
	// InPath reports whether PATH leads to a toolchain of that name. It may be
	// nil.
	InPath func(toolchain string) bool
}

// A Rule is one thing that may be wrong.
type Rule struct {
	ID       string // "L01"; never reused
	Title    string // a few words
	Severity report.Severity
	Why      string // one sentence
	check    func(*checker) []found
}

// A Finding is one violation of a rule.
type Finding struct {
	Rule    Rule
	Setting goenv.Setting // the one to mend
	Message string        // what is wrong with it; redacted
	Changes []Change      // what to write instead
	Advice  string        // what to do that is no setting, "" if nothing
}

// A Change is a new value for a variable; "" takes it away. It may hold
// credentials: [Finding.Line] shows it without.
type Change struct{ Name, Value string }

// found is a finding before it is put together.
type found struct {
	set     goenv.Setting
	message string
	changes []Change
	advice  string
}

// Check returns all findings, the worst first and those of equal severity in
// the order of the rules.
func Check(in Input) []Finding {
	c := newChecker(in)
	var list []Finding
	for _, r := range rules {
		for _, f := range r.check(c) {
			list = append(list, Finding{r, f.set, f.message, f.changes, f.advice})
		}
	}
	rank := func(f Finding) int {
		return slices.Index([]report.Severity{report.Error, report.Warning, report.Notice}, f.Rule.Severity)
	}
	slices.SortStableFunc(list, func(a, b Finding) int { return rank(a) - rank(b) })
	return list
}

// Rules returns every rule in the order of the IDs.
func Rules() []Rule { return slices.Clone(rules) }

// Line returns the exact line that makes a change: for a shell, or for
// "go env -w" if that is where the value comes from. Credentials are left out.
// quote is the quoting of a POSIX shell.
func (f Finding) Line(c Change, quote func(string) string) string {
	set := f.Setting
	c.Value = goenv.RedactSetting(c.Name, c.Value)
	inFile := set.Name == c.Name && (set.Origin == goenv.UserFile || set.Origin == goenv.GOROOTFile)
	switch {
	case inFile && c.Value == "":
		return "go env -u " + c.Name
	case inFile:
		return "go env -w " + c.Name + "=" + quote(c.Value)
	case c.Value == "":
		return "unset " + c.Name
	}
	return "export " + c.Name + "=" + quote(c.Value)
}

// Report returns the finding for a report.
func (f Finding) Report(quote func(string) string) report.Finding {
	r := report.Finding{ID: f.Rule.ID, Severity: f.Rule.Severity, Title: f.Rule.Title, Message: f.Message}
	if f.Setting.File != "" {
		r.Place = report.Place{File: f.Setting.File, Line: f.Setting.Line}
		if f.Setting.Name != "" {
			r.Message = f.Setting.Name + ": " + f.Message
		}
	} else if f.Setting.Origin != "" && f.Setting.Name != "" {
		r.Message = fmt.Sprintf("%s (%s): %s", f.Setting.Name, f.Setting.Origin, f.Message)
	}
	var steps []string
	leftOut := false
	for _, c := range f.Changes {
		steps = append(steps, f.Line(c, quote))
		leftOut = leftOut || goenv.RedactSetting(c.Name, c.Value) != c.Value
	}
	if leftOut {
		steps = append(steps, "put the credentials back that are left out here")
	}
	if f.Advice != "" {
		steps = append(steps, f.Advice)
	}
	r.Fix = strings.Join(steps, "; ")
	return r
}
