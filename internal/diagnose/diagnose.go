// Package diagnose finds what is broken on a machine that builds Go code, and
// names the layer that broke when one module file cannot be had.
//
// A [Check] is a value in one table. All that it judges is read from the
// outside once, into a [Machine]; so each check can be shown a machine that is
// broken in one way. Checks run side by side, write nothing, and each has a
// slot of its own, so that the order of the results is that of the table.
//
// A module proxy is called dead only after it was asked, by package probe.
package diagnose

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/org/goproxy-setup/internal/report"
)

// An Impact says who suffers from what a check finds.
type Impact string

const (
	ThisMachine Impact = "This machine" // every build here
	CI          Impact = "CI"           // builds by the CI system
	Workspace   Impact = "Workspace"    // builds of this repository, wherever they run
)

// A Check looks for one kind of misconfiguration.
type Check struct {
	ID     string // "D01"; stable, never used again
	Name   string // kebab-case: the ID of its findings in a report
	Title  string // what is wrong, if it finds something
	Impact Impact
	Fix    string // what mends it, for the table in the documentation
	Safe   string // what "--fix" does without a decision of anybody; "" if nothing

	run func(ctx context.Context, m *Machine) Result
}

// A Result is what a check saw.
type Result struct {
	Findings []Finding
	Seen     string // what was looked at, for people; "" if that is not interesting
	Skipped  string // why nothing was looked at, "" if something was
}

// A Finding is one misconfiguration: what, where, and what to do about it.
type Finding struct {
	Severity report.Severity // "" is a warning
	Message  string
	Fix      string
	Place    report.Place
	Repair   *Repair // nil if a person has to decide
}

// found returns a result with one finding.
func found(f Finding) Result { return Result{Findings: []Finding{f}} }

// skipped returns the result of a check that does not apply.
func skipped(why string) Result { return Result{Skipped: why} }

// An Examined is a check that was made.
type Examined struct {
	*Check
	Result
	Took time.Duration
}

// Run makes the checks side by side until they are done or ctx ends. What is
// not done by then counts as skipped. The order of the results is that of list.
func Run(ctx context.Context, m *Machine, list []Check) []Examined {
	type done struct {
		slot   int
		result Result
		took   time.Duration
		bug    any
	}
	results := make(chan done, len(list)) // room for all: nobody waits for us
	start := time.Now()
	for i, c := range list {
		go func() {
			d := done{slot: i}
			defer func() {
				d.bug, d.took = recover(), time.Since(start)
				results <- d
			}()
			if why := m.late(c.ID); why != "" {
				d.result = skipped(why)
				return
			}
			d.result = c.run(ctx, m)
		}()
	}
	out := make([]Examined, len(list))
	for i := range list {
		out[i] = Examined{&list[i], skipped("no time was left for it"), 0}
	}
	over, late := ctx.Done(), (<-chan time.Time)(nil)
	for missing := len(list); missing > 0; {
		select {
		case d := <-results:
			if d.bug != nil {
				panic(fmt.Sprintf("check %s: %v", list[d.slot].ID, d.bug)) // where it is seen to
			}
			out[d.slot].Result, out[d.slot].Took = d.result, d.took
			missing--
		case <-over:
			over, late = nil, time.After(linger)
		case <-late:
			return out
		}
	}
	return out
}

// Troubles counts the findings that are errors or warnings: a notice is worth
// knowing and breaks nothing.
func Troubles(list []Examined) (n int) {
	for _, e := range list {
		for _, f := range e.Findings {
			if f.severity() != report.Notice {
				n++
			}
		}
	}
	return n
}

func (f Finding) severity() report.Severity {
	if f.Severity == "" {
		return report.Warning
	}
	return f.Severity
}

// Fill puts what the checks saw into a report: findings by impact and then by
// severity, and a row for each check.
func Fill(r *report.Report, list []Examined) {
	for _, impact := range []Impact{ThisMachine, CI, Workspace} {
		var group []report.Finding
		for _, e := range list {
			if e.Impact != impact {
				continue
			}
			for _, f := range e.Findings {
				group = append(group, report.Finding{
					ID: e.Name, Severity: f.severity(), Title: e.ID + " " + e.Title, Message: f.Message,
					Fix: f.Fix, Place: f.Place, Group: string(impact),
				})
			}
		}
		report.SortFindings(group)
		r.Findings = append(r.Findings, group...)
	}
	for _, e := range list {
		c := report.Check{
			Name: e.ID + " " + e.Name, OK: !slices.ContainsFunc(e.Findings, func(f Finding) bool { return f.severity() != report.Notice }),
			Detail: e.Seen, TookMS: e.Took.Milliseconds(),
		}
		if e.Skipped != "" {
			c.Skipped, c.Detail = true, e.Skipped
		}
		r.Checks = append(r.Checks, c)
	}
}
