package decision

import (
	"fmt"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/report"
)

// proxyFindings reports every entry that is not simply usable. The primary is
// left to the fallback's finding, which says the same and more.
func (d *Decision) proxyFindings(in *Input, verdicts []verdict) []report.Finding {
	var list []report.Finding
	for _, v := range verdicts {
		f := report.Finding{Severity: report.Notice, Place: v.entry.Place}
		if v.ev != nil {
			f.Fix = v.ev.Next
		}
		switch {
		case v.entry.Keyword() || v.entry.Name == d.Primary && d.Outcome == report.Fallback:
			continue // a keyword was not asked; the primary has the fallback's finding
		case v.state == report.Down:
			f.ID, f.Title = "proxy-down", "Module proxy down: "+v.entry.Name
			f.Message = fmt.Sprintf("%s is left out: %s", v.entry.Name, v.why)
			switch {
			case d.Outcome == report.Exhausted:
				f.Severity = report.Error
			case d.Outcome == report.Kept && v.entry.Name == d.Primary:
				f.Severity = report.Warning // the build is about to ask it
				fallthrough
			case d.Outcome == report.Kept:
				f.Message = fmt.Sprintf("%s is not usable, and nothing was changed: %s", v.entry.Name, v.why)
			}
		case v.late:
			continue // silence within the time it was given says nothing
		case v.state == report.Unknown:
			f.ID, f.Title = "proxy-unknown", "Module proxy cannot be judged from here: "+v.entry.Name
			f.Message = fmt.Sprintf("%s keeps its place unverified: %s", v.entry.Name, v.why)
		case v.state == report.Degraded:
			f.ID, f.Title = "proxy-degraded", "Module proxy serves builds, but not everything: "+v.entry.Name
			f.Message = fmt.Sprintf("%s: %s", v.entry.Name, v.why)
		case v.slow(in.Settings.Probe.Slow):
			f.ID, f.Title = "proxy-slow", "Slow module proxy: "+v.entry.Name
			f.Message = fmt.Sprintf("%s answers a small request in %s; go waits for that once per file", v.entry.Name, report.Round(v.ev.Latency))
		default:
			continue
		}
		list = append(list, f)
	}
	return list
}

// toolchain warns if the toolchain that go.mod asks for was looked for and no
// entry that is kept has it. One is enough: go walks on to it.
func toolchain(in *Input, kept []verdict) []report.Finding {
	asked := false
	for _, v := range kept {
		if v.ev == nil {
			continue
		}
		c, made := v.ev.Check(Toolchain)
		if !made || c.Class == Cancelled {
			continue
		}
		if c.Class == "" {
			return nil
		}
		asked = true
	}
	if !asked {
		return nil
	}
	return []report.Finding{{
		ID: "toolchain-unavailable", Severity: report.Warning, Title: "Go toolchain not available",
		Message: "the build asks for another Go than is installed (go.mod, go.work or GOTOOLCHAIN), and no module proxy of the chain serves that toolchain",
		Fix:     "install that Go version before the build, or add a proxy that serves golang.org/toolchain", Place: in.Settings.Places["chain"],
	}}
}

// Report puts the decision on the input in into the neutral form that every
// writer and CI system reads.
func (d *Decision) Report(in *Input) *report.Report {
	r := &report.Report{
		Schema: report.Schema, Command: "setup", Outcome: d.Outcome,
		Environment: in.Settings.Environment, EnvironmentSource: in.Settings.Source,
		Settings: d.Settings, Proxies: d.Proxies, Reasons: d.Reasons, Findings: d.Findings,
		Preflight: in.Preflight, Diagnosis: d.Diagnosis,
	}
	if r.Summary = d.summary(in.Settings.Environment); d.Outcome == report.Incomplete {
		r.Summary = fmt.Sprintf("%s; nothing was exported.", shortfall(in.Preflight))
	}
	return r
}

func (d *Decision) summary(environment string) string {
	primary, selected := called(d.Primary), called(d.Selected)
	switch d.Outcome {
	case report.OK:
		return fmt.Sprintf("Go modules for environment %q come from %s.", environment, selected)
	case report.Fallback:
		healthy := slices.ContainsFunc(d.Proxies, func(p report.Proxy) bool {
			return p.Name == d.Primary && (p.State == report.Usable || p.State == report.Degraded)
		})
		switch forbidden := len(d.Settings) == 0; {
		case healthy && forbidden:
			return fmt.Sprintf("%s would be used instead of %s, and on_fallback: fail forbids a fallback; nothing was exported.", selected, primary)
		case healthy:
			return fmt.Sprintf("Fallback: Go modules for environment %q come from %s instead of %s.", environment, selected, primary)
		case forbidden:
			text := fmt.Sprintf("%s %s, and on_fallback: fail forbids a fallback; nothing was exported.", primary, d.primaryFault())
			if primary != d.Primary { // an article, and no name
				text = strings.ToUpper(text[:1]) + text[1:]
			}
			return text
		}
		return fmt.Sprintf("Fallback: Go modules for environment %q come from %s, because %s %s.", environment, selected, primary, d.primaryFault())
	case report.Kept:
		return "Existing Go module settings were left as they are."
	}
	return fmt.Sprintf("No module proxy of environment %q is usable; nothing was exported.", environment)
}

// called returns a name as a sentence has it.
func called(name string) string {
	if name == AgentName {
		return "the agent"
	}
	return name
}

// primaryFault says in few words why the primary is not the first: to be silent
// is not to be down.
func (d *Decision) primaryFault() string {
	if slices.ContainsFunc(d.Proxies, func(p report.Proxy) bool { return p.Name == d.Primary && p.State == report.Unknown }) {
		return "did not answer in time"
	}
	return "is not usable"
}
