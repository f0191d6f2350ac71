package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/report"
)

// What kind of mistake an [Error] is; part of the JSON report.
const (
	idSyntax   = "policy-syntax"        // not YAML, or more than one document
	idKey      = "policy-unknown-key"   //
	idRepeated = "policy-repeated-key"  //
	idMissing  = "policy-missing-key"   //
	idType     = "policy-wrong-type"    //
	idValue    = "policy-bad-value"     //
	idURL      = "policy-bad-url"       // an address that may not be asked, or not so
	idSecret   = "policy-secret"        // a credential where none may stand
	idProxy    = "policy-unknown-proxy" // a chain names a proxy that nobody defined
	idChain    = "policy-chain"         // a chain that its environment forbids
	idName     = "policy-environment"   // an environment that does not exist
	idShadow   = "policy-shadowed-name" // a name of the catalogue with another meaning
	idUnused   = "policy-unreachable"   // a rule that can never apply
	idRisk     = "policy-risk"          // allowed, and to be known
	idIgnored  = "policy-not-trusted"   // a setting that is ignored, see WithoutTrust
	idDisabled = "policy-not-supported" // a key of another version
	idTooMuch  = "policy-too-much"      // beyond a limit
)

// An Error is one mistake in a policy or in the choice of an environment:
// what, where, and in Hint what next.
type Error struct {
	ID    string // stable, kebab-case: "policy-unknown-key"
	Place report.Place
	Msg   string
	Hint  string // "" if there is nothing to add
}

// Error returns "file:line:column: message (hint)".
func (e *Error) Error() string {
	s := e.Msg
	if at := e.Place.String(); at != "" {
		s = at + ": " + s
	}
	if e.Hint != "" {
		s += " (" + e.Hint + ")"
	}
	return s
}

// Finding returns e for a report.
func (e *Error) Finding() report.Finding { return e.finding(report.Error) }

func (e *Error) finding(s report.Severity) report.Finding {
	titles := map[report.Severity]string{report.Error: "policy error", report.Warning: "policy warning", report.Notice: "policy notice"}
	return report.Finding{ID: e.ID, Severity: s, Title: titles[s], Message: e.Msg, Fix: e.Hint, Place: e.Place}
}

// Errors are all mistakes of a policy, in the order of their places.
type Errors []*Error

// Error returns one line for each mistake.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, err := range e {
		lines[i] = err.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap lets errors.AsType find a single [*Error].
func (e Errors) Unwrap() []error {
	list := make([]error, len(e))
	for i, err := range e {
		list[i] = err
	}
	return list
}

// Findings returns the mistakes for a report.
func (e Errors) Findings() []report.Finding {
	list := make([]report.Finding, len(e))
	for i, err := range e {
		list[i] = err.Finding()
	}
	return list
}

// maxErrors bounds what a person has to read.
const maxErrors = 100

// sorted returns e in the order of the places, each mistake once.
func (e Errors) sorted() Errors {
	slices.SortStableFunc(e, compareErrors)
	e = slices.CompactFunc(e, func(a, b *Error) bool { return a.Place == b.Place && a.Msg == b.Msg })
	if more := len(e) - maxErrors; more > 0 {
		e = append(e[:maxErrors:maxErrors], &Error{
			ID: idTooMuch, Place: e[maxErrors].Place, Msg: fmt.Sprintf("%d more mistakes from here on", more),
		})
	}
	return e
}

func compareErrors(a, b *Error) int {
	return cmp.Or(cmp.Compare(a.Place.Line, b.Place.Line), cmp.Compare(a.Place.Column, b.Place.Column), cmp.Compare(a.Msg, b.Msg))
}
