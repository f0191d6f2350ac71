// Package report is the one neutral result of a run: what was chosen, what was
// found, and what follows from it.
//
// Every writer and every CI system reads a [Report] and nothing else, so that
// the build page, the terminal and the files agree. It holds text for people
// and values for machines, none of them encoded: the reader encodes for the
// place it writes to. It never holds a secret, and no URL with credentials.
package report

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// Schema is the version of the JSON form. It changes when a field changes its
// meaning or goes away; new fields do not change it.
const Schema = 1

// AgentCommand is the Command of a report on what an agent has served.
const AgentCommand = "agent"

// A Report is the result of one run of one subcommand.
type Report struct {
	Schema  int    `json:"schema"`
	Command string `json:"command"` // "setup" or "agent"
	Version string `json:"version"` // of this program

	Outcome Outcome `json:"outcome"`
	Summary string  `json:"summary"` // one sentence for people

	Environment       string `json:"environment,omitempty"`
	EnvironmentSource string `json:"environment_source,omitempty"`

	// Settings are the variables for whatever runs next, in the order in which
	// they are written. Empty if the run exports nothing.
	Settings []Setting `json:"settings,omitempty"`
	// Outputs are the step's results, named as in action.yml. One without a
	// value is there, too, with the Value "".
	Outputs []Setting `json:"outputs,omitempty"`

	// Proxies has one row for each entry of the chain, in policy order.
	Proxies []Proxy `json:"proxies,omitempty"`
	// Preflight is what became of the modules of go.sum, if each was asked for.
	Preflight *Preflight `json:"preflight,omitempty"`
	// Diagnosis says in one paragraph which proxy is to blame, what that means
	// and what to do; "" if nothing is wrong. One line of plain text.
	Diagnosis string `json:"diagnosis,omitempty"`
	// Reasons say, in order, which rules led to the result.
	Reasons []string `json:"reasons,omitempty"`
	// InForce are the settings that are in force, without secrets; Why says
	// where each comes from.
	InForce []Setting `json:"in_force,omitempty"`
	// Checks are what was looked at, in a fixed order, beside the proxies.
	Checks []Check `json:"checks,omitempty"`
	// Findings are what a person should know or do, worst first, or worst first
	// of each group.
	Findings []Finding `json:"findings,omitempty"`
	// Tables are lists of the command's own, such as the modules that an agent
	// has served.
	Tables []Table `json:"tables,omitempty"`

	// Replay is the input of the decision; see decision.Replay.
	Replay json.RawMessage `json:"replay,omitempty"`
}

// An Outcome says how a run ended. It decides the exit code and the colour.
type Outcome string

const (
	OK        Outcome = "ok"        // the primary is in use
	Fallback  Outcome = "fallback"  // the chosen chain does not begin with the primary
	Troubled  Outcome = "troubled"  // a diagnosis found something
	Kept      Outcome = "kept"      // existing settings were reported and left alone
	Exhausted Outcome = "exhausted" // nothing usable: nothing is exported
	// Incomplete: the chain does not serve every module of go.sum, or a proxy
	// that was looked at is not usable. Nothing is exported.
	Incomplete Outcome = "incomplete"
	Invalid    Outcome = "invalid" // flags or policy are wrong: nothing is exported
)

// A Setting is one variable or output.
type Setting struct {
	Name  string `json:"name"`
	Value string `json:"value"`
	Why   string `json:"why,omitempty"` // for people: which rule set it
}

// A Proxy is one entry of the chain as it was found.
type Proxy struct {
	Name  string `json:"name"`            // as in the policy
	URL   string `json:"url"`             // redacted; "direct" and "off" for themselves
	State State  `json:"state"`           //
	Use   string `json:"use,omitempty"`   // "primary", "fallback", "left out" …
	Class string `json:"class,omitempty"` // class of the failure, e.g. "dns"
	Cause string `json:"cause,omitempty"` // what happened, for people
	Next  string `json:"next,omitempty"`  // what to do about it
	// FinalHost is where zips were finally read from, if not from the proxy.
	FinalHost string `json:"final_host,omitempty"`
	// TookMS is how long the verdict took, in milliseconds; 0 if not asked.
	TookMS int64   `json:"took_ms,omitempty"`
	Checks []Check `json:"checks,omitempty"` // in the order they were made
	Place  Place   `json:"place,omitzero"`   // where the policy names it
}

// A State is the verdict on one entry.
type State string

const (
	Usable   State = "usable"
	Degraded State = "degraded" // serves builds, but some use fails: no list, no checksum database …
	Down     State = "down"     // proven not to serve this build
	Unknown  State = "unknown"  // could not be told from here; never called dead
	Unasked  State = "unasked"  // keywords, and entries no probe was needed for
)

// A Check is one graded request and its time.
type Check struct {
	Name string `json:"name"` // "dns", "zip", "sumdb" …
	OK   bool   `json:"ok"`   //
	// Skipped says that there was nothing to look at; Detail says why.
	Skipped bool   `json:"skipped,omitempty"`
	Class   string `json:"class,omitempty"`  // of the failure
	Status  int    `json:"status,omitempty"` // of HTTP, 0 if none arrived
	Detail  string `json:"detail,omitempty"` // for people
	TookMS  int64  `json:"took_ms"`          // milliseconds
}

// A Table is a list for people.
type Table struct {
	Title   string     `json:"title"`
	Columns []string   `json:"columns"`
	Rows    [][]string `json:"rows"`           // each as long as Columns
	More    int        `json:"more,omitempty"` // rows that are left out for want of space
}

// A Severity orders findings and picks the kind of annotation.
type Severity string

const (
	Notice  Severity = "notice"
	Warning Severity = "warning"
	Error   Severity = "error"
)

// SortFindings puts the worst findings first and keeps the order of equals.
func SortFindings(list []Finding) {
	rank := func(f Finding) int { return slices.Index([]Severity{Error, Warning, Notice}, f.Severity) }
	slices.SortStableFunc(list, func(a, b Finding) int { return rank(a) - rank(b) })
}

// A Finding is one thing a person should know: what, where, what next.
type Finding struct {
	ID       string   `json:"id"`       // stable, kebab-case: "proxy-down", "policy-unknown-key"
	Severity Severity `json:"severity"` //
	Title    string   `json:"title"`    // a few words
	Message  string   `json:"message"`  // what happened
	Fix      string   `json:"fix,omitempty"`
	Place    Place    `json:"place,omitzero"`
	Group    string   `json:"group,omitempty"` // heading that findings of one kind stand under
}

// A Place is a position in a file, as a person counts: from 1; 0 is unknown.
type Place struct {
	File   string `json:"file,omitempty"` // slash-separated, relative to the workspace if it lies in it
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

// String returns file:line:column without the parts that are unknown.
func (p Place) String() string {
	switch {
	case p.Line == 0:
		return p.File
	case p.Column == 0:
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Round shortens a duration for people.
func Round(d time.Duration) time.Duration {
	switch {
	case d >= 10*time.Second:
		return d.Round(time.Second)
	case d >= time.Second:
		return d.Round(100 * time.Millisecond)
	case d >= 10*time.Millisecond:
		return d.Round(time.Millisecond)
	}
	return d.Round(100 * time.Microsecond)
}

// Value returns the value of the setting called name in list, or "".
func Value(list []Setting, name string) string {
	for _, s := range list {
		if s.Name == name {
			return s.Value
		}
	}
	return ""
}
