package decision

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/report"
)

// Decide computes the settings for one build. It exports all of them or, if
// the outcome is neither OK nor Fallback, none.
func Decide(in Input) Decision {
	if in.Agent != nil {
		return decideWithAgent(in)
	}
	s := &in.Settings
	seen := index(in.Evidence)
	verdicts := make([]verdict, len(s.Chain))
	for i, e := range s.Chain {
		verdicts[i] = judge(e, seen[e.Name], in.Container)
	}
	kept, reasons := choose(s, verdicts)
	d := Decision{Reasons: reasons}
	if len(s.Chain) > 0 {
		d.Primary = s.Chain[0].Name
	}
	for _, v := range verdicts {
		if v.state == report.Down {
			d.Unhealthy = append(d.Unhealthy, v.entry.Name)
		}
	}

	db := sumDB(&in, kept)
	d.settle(&in, verdicts, kept, db) // first: of equally bad findings, the fallback is the one to annotate
	if len(kept) > 0 {
		d.Findings = append(d.Findings, db.findings...) // without any proxy they are noise
	}
	d.Proxies = rows(verdicts, d.Chain, d.Primary)
	d.Findings = append(d.Findings, d.proxyFindings(&in, verdicts)...)
	d.Findings = append(d.Findings, toolchain(&in, kept)...)
	d.preflight(&in)
	report.SortFindings(d.Findings)
	d.Diagnosis = d.diagnose(&in, verdicts, len(kept) > 0 && db.unreachable)
	return d
}

// Replay repeats the decision recorded in a report.
func Replay(r *report.Report) (Decision, error) {
	var in Input
	if err := json.Unmarshal(r.Replay, &in); err != nil {
		return Decision{}, fmt.Errorf("report holds no replayable decision: %w", err)
	}
	return Decide(in), nil
}

// settle picks outcome, chain and settings from what was kept.
func (d *Decision) settle(in *Input, verdicts, kept []verdict, db database) {
	s := &in.Settings
	if in.Keep {
		d.Outcome = report.Kept
		d.Reasons = append(d.Reasons, "no policy file was found and GOPROXY is set: it is left as it is")
		return
	}
	why := ""
	switch {
	case len(kept) == 0:
		why = "no module proxy of the chain can be used" + causes(verdicts)
	case db.unreachable:
		kept, why = nil, "no allowed route to the checksum database verifies, and the policy says sumdb: required"
	}
	if why != "" {
		d.Reasons = append(d.Reasons, why)
		if kept = d.exhausted(s, why); kept == nil {
			return
		}
	}
	c, err := chain(s.Mode, kept)
	if err != nil {
		d.exhaust(s, err.Error())
		return
	}
	d.Selected = kept[0].entry.Name
	d.Outcome = report.OK
	if d.Selected != d.Primary {
		d.Outcome = report.Fallback
		d.Findings = append(d.Findings, d.fallback(s, verdicts[0], kept[0]))
		if s.OnFallback == policy.FallbackFail {
			d.Reasons = append(d.Reasons, "on_fallback: fail, so nothing is exported")
			return
		}
	}
	d.Chain = c
	d.export(in, db)
}

// export fills in the settings that go with the chain.
func (d *Decision) export(in *Input, db database) {
	d.Settings = []report.Setting{{Name: "GOPROXY", Value: d.Chain.String(), Why: d.chainWhy(&in.Settings)}}
	routes, findings := private(in)
	d.Settings = append(d.Settings, routes...)
	d.Findings = append(d.Findings, findings...)
	// GOSUMDB stands between GONOSUMDB and GOVCS, as in "go env".
	at := slices.IndexFunc(d.Settings, func(v report.Setting) bool { return v.Name == "GOVCS" })
	if at < 0 {
		at = len(d.Settings)
	}
	d.Settings = slices.Insert(d.Settings, at, db.setting)
	d.Settings = append(d.Settings, network(in)...)
}

// causes names every proxy with what keeps it from being used.
func causes(verdicts []verdict) string {
	var list []string
	for _, v := range verdicts {
		if !v.entry.Keyword() && v.why != "" {
			list = append(list, v.entry.Name+": "+v.why)
		}
	}
	if len(list) == 0 {
		return ""
	}
	return " (" + strings.Join(list, "; ") + ")"
}

// exhausted applies on_exhausted. It returns the entries to go on with, or nil
// after it has set the outcome.
func (d *Decision) exhausted(s *policy.Settings, why string) []verdict {
	switch {
	case s.OnExhausted == policy.ExhaustedDirect && s.Mode == policy.Routed:
		d.Reasons = append(d.Reasons, "on_exhausted: direct")
		return []verdict{{entry: policy.Entry{Name: "direct"}, state: report.Unasked, why: why}}
	case s.OnExhausted == policy.ExhaustedKeep:
		d.Outcome = report.Kept
		d.Reasons = append(d.Reasons, "on_exhausted: keep, so existing settings are left as they are")
		d.dead(s, report.Warning, why+"; existing settings were left as they are (on_exhausted: keep)")
	default:
		d.exhaust(s, why)
	}
	return nil
}

func (d *Decision) exhaust(s *policy.Settings, why string) {
	d.Outcome, d.Selected, d.Chain, d.Settings = report.Exhausted, "", nil, nil
	d.dead(s, report.Error, why)
}

// dead is the one finding that says why nothing was chosen.
func (d *Decision) dead(s *policy.Settings, severity report.Severity, why string) {
	d.Findings = append(d.Findings, report.Finding{
		ID: "exhausted", Severity: severity, Title: "No module proxy is usable", Message: why,
		Fix: "the table has the next step for each proxy", Place: s.Places["chain"],
	})
}

func (d *Decision) chainWhy(s *policy.Settings) string {
	if d.Outcome == report.Fallback {
		return "fallback: the primary " + d.Primary + " is not first"
	}
	return "the chain of environment " + s.Environment
}

// fallback is the one finding that every user of a fallback sees: it names the
// primary, the cause and what is used instead.
func (d *Decision) fallback(s *policy.Settings, primary, first verdict) report.Finding {
	f := report.Finding{ID: "fallback", Severity: severity(s.OnFallback), Title: "Module proxy fallback in use", Place: s.Places["chain"]}
	f.Message = fmt.Sprintf("%s is not used: %s; modules come from %s instead", d.Primary, displaced(primary, first), d.Selected)
	if primary.ev != nil {
		f.Fix = primary.ev.Next
	}
	if primary.entry.Place.Line > 0 {
		f.Place = primary.entry.Place
	}
	return f
}

// displaced says why the primary is not first: its own fault, its slowness, or
// what made the whole chain useless.
func displaced(primary, first verdict) string {
	switch {
	case !primary.usable():
		return primary.why
	case first.ev == nil: // on_exhausted: direct
		return first.why
	}
	return fmt.Sprintf("it answers in %s, %s in %s", report.Round(primary.ev.Latency), first.entry.Name, report.Round(first.ev.Latency))
}

// rows describes every entry of the policy's chain as it was found.
func rows(verdicts []verdict, chosen goenv.Chain, primary string) []report.Proxy {
	list := make([]report.Proxy, len(verdicts))
	for i, v := range verdicts {
		p := report.Proxy{Name: v.entry.Name, URL: goenv.Redact(v.entry.URL), State: v.state, Cause: v.why, Place: v.entry.Place}
		if v.entry.Keyword() {
			p.URL = v.entry.Name
		}
		if v.ev != nil {
			p.Class, p.Next, p.TookMS, p.FinalHost = string(v.ev.Class), v.ev.Next, v.ev.Took.Milliseconds(), v.ev.FinalHost
			for _, c := range v.ev.Checks {
				p.Checks = append(p.Checks, report.Check{
					Name: string(c.Kind), OK: c.Class == "", Class: string(c.Class), Status: c.Status, Detail: c.Detail, TookMS: c.Took.Milliseconds(),
				})
			}
		}
		p.Use = use(v, chosen, primary)
		list[i] = p
	}
	return list
}

// use says what became of an entry.
func use(v verdict, chosen goenv.Chain, primary string) string {
	value := v.entry.Name
	if !v.entry.Keyword() {
		value, _ = goenv.CheckEntry(v.entry.URL)
	}
	switch i := slices.IndexFunc(chosen, func(e goenv.Entry) bool { return e.Value == value }); {
	case len(chosen) == 0:
		return ""
	case i < 0:
		return "left out"
	case i > 0:
		return fmt.Sprintf("next (%d)", i+1)
	case v.entry.Name == primary:
		return "primary"
	}
	return "fallback"
}
