package decision

import (
	"fmt"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/report"
)

// Judge returns every entry of the settings as it was found, whatever a chain
// would make of it.
func Judge(in *Input) []report.Proxy {
	seen := index(in.Evidence)
	verdicts := make([]verdict, len(in.Settings.Chain))
	for i, e := range in.Settings.Chain {
		verdicts[i] = judge(e, seen[e.Name], in.Container)
	}
	return rows(verdicts, nil, "")
}

// preflight turns what became of go.sum into findings. A module that the chosen
// chain does not serve makes the decision useless: the build would fail a few
// minutes later, with less to say about it.
func (d *Decision) preflight(in *Input) {
	p := in.Preflight
	if p == nil {
		return
	}
	d.Findings = append(d.Findings, PreflightFindings(p)...)
	if p.Failed == 0 {
		return
	}
	d.Outcome, d.Chain, d.Settings = report.Incomplete, nil, nil
	d.Reasons = append(d.Reasons, "preflight: "+shortfall(p))
}

// shortfall says in a few words how many modules cannot be had.
func shortfall(p *report.Preflight) string {
	return fmt.Sprintf("%d of %s of %s cannot be had through the chain", p.Failed, count(p.Modules, "module"), p.File)
}

// PreflightSummary says in one sentence what a preflight came to.
func PreflightSummary(p *report.Preflight) string {
	text := fmt.Sprintf("%d of %s of %s are served by the chain's proxies", p.Served, count(p.Modules, "module"), p.File)
	if p.Served == p.Modules {
		text = fmt.Sprintf("All modules of %s are served by the chain's proxies (%d)", p.File, p.Modules)
	}
	for _, part := range []struct {
		n    int
		text string
	}{
		{p.Failed, "%d cannot be had"}, {p.Unasked, "%d not asked for in time"}, {p.Direct, "%d left to version control"},
		{p.Private, "%d private, from version control"}, {p.Withheld, "%d withheld"},
	} {
		if part.n > 0 {
			text += ", " + fmt.Sprintf(part.text, part.n)
		}
	}
	return text + "."
}

// PreflightHolds reports whether everything that was asked for is served, or
// rightly left to version control, and every proxy that was needed is usable.
func PreflightHolds(p *report.Preflight) bool {
	return p.Failed+p.Unasked+p.Forced == 0 &&
		!slices.ContainsFunc(p.Proxies, func(x report.PreflightProxy) bool { return !x.Usable() })
}

func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// PreflightFindings says what a person should know of a preflight.
func PreflightFindings(p *report.Preflight) []report.Finding {
	var list []report.Finding
	add := func(id string, severity report.Severity, title, message, fix string, place report.Place) {
		list = append(list, report.Finding{ID: id, Severity: severity, Title: title, Message: message, Fix: fix, Place: place})
	}
	if p.Failed > 0 {
		failed := notable(p, report.Fate.Failed)
		add("preflight-failed", report.Error, "Modules of go.sum cannot be had",
			shortfall(p)+": "+names(failed, p.Failed), nextFor(p, failed), failed[0].Place)
	}
	if p.Unasked > 0 {
		add("preflight-unasked", report.Warning, "Preflight not finished",
			fmt.Sprintf("there was no time to ask for %d of %s of %s", p.Unasked, count(p.Modules, "module"), p.File), "allow it more time (--timeout)", report.Place{})
	}
	for _, x := range p.Proxies {
		if x.Usable() {
			continue
		}
		what := fmt.Sprintf("%s served %d of the %s it was asked for", x.Name, x.Served, count(x.Asked, "file"))
		if x.ZipsBlocked && x.Served > 0 {
			what += ", and no zip"
		}
		add("preflight-proxy", report.Warning, "Module proxy not usable: "+x.Name, what+": "+x.Cause, x.Next, report.Place{})
	}
	if p.Direct > 0 {
		severity, why := report.Notice, "no proxy of the chain has"
		if p.Forced > 0 {
			severity, why = report.Warning, "the proxies of the chain fail or refuse to serve"
		}
		direct := notable(p, func(f report.Fate) bool { return f == report.FateDirect })
		add("preflight-direct", severity, "Modules of go.sum come from version control",
			fmt.Sprintf("%s %s, so go asks version control, which was not checked: %s", why, count(p.Direct, "module"), names(direct, p.Direct)),
			"", direct[0].Place)
	}
	if p.Withheld > 0 {
		add("preflight-withheld", report.Notice, "Modules of go.sum were not asked for",
			fmt.Sprintf("%s not known to be public, so not all proxies were asked for them: whether they can be had is not known", are(p.Withheld, "module")),
			"name the private ones in \"private\" of the policy (or --private, GOPRIVATE); --ask-all asks every proxy for the others", report.Place{})
	}
	return list
}

func are(n int, thing string) string {
	if n == 1 {
		return count(n, thing) + " is"
	}
	return count(n, thing) + " are"
}

// notable returns the listed modules of some fate; never none, since whoever
// asks knows that there are some.
func notable(p *report.Preflight, is func(report.Fate) bool) []report.PreflightModule {
	var list []report.PreflightModule
	for _, m := range p.Notable {
		if is(m.Fate) {
			list = append(list, m)
		}
	}
	if len(list) == 0 {
		list = append(list, report.PreflightModule{Path: "…", Place: report.Place{File: p.File}})
	}
	return list
}

// names lists the first modules, and what happened to the very first.
func names(list []report.PreflightModule, n int) string {
	const most = 5
	var parts []string
	for i, m := range list[:min(len(list), most)] {
		text := strings.TrimSuffix(m.Path+"@"+m.Version, "@")
		if m.File != "" {
			text += "." + m.File
		}
		if m.Cause != "" && i == 0 {
			text += " (" + m.Cause + ")"
		}
		parts = append(parts, text)
	}
	text := strings.Join(parts, ", ")
	if more := n - len(parts); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}

// nextFor is what to do about modules that cannot be had.
func nextFor(p *report.Preflight, failed []report.PreflightModule) string {
	var parts []string
	for _, x := range p.Proxies {
		broke := slices.ContainsFunc(failed, func(m report.PreflightModule) bool {
			return m.Proxy == x.Name && m.Fate != report.FateMissing
		})
		if broke && x.Next != "" && !slices.Contains(parts, x.Next) {
			parts = append(parts, x.Next)
		}
	}
	if slices.ContainsFunc(failed, func(m report.PreflightModule) bool { return m.Fate == report.FateMissing }) {
		parts = append(parts, "add a proxy that has the missing modules, or direct, to the chain; name private ones in \"private\"")
	}
	return policy.Listed(parts)
}
