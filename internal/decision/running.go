package decision

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/report"
)

// AgentName is what reports call the agent that a build was to use.
const AgentName = "agent"

// A RunningAgent is an agent that the build shall use instead of the chain.
type RunningAgent struct {
	URL      string   `json:"url"`
	Evidence Evidence `json:"evidence"` // what the probe saw of it
	// Databases are the checksum databases that agents of this policy answer
	// for, as values of GOSUMDB.
	Databases []string `json:"databases"`
	// Unknown are the patterns of private modules that this build knows of and
	// the agent may not: it would ask public proxies for what they match.
	Unknown string `json:"unknown,omitempty"`
}

// PrivateLine begins the line of an agent's /readyz that has its patterns of
// private modules. Only clients to whom it serves such modules get it.
const PrivateLine = "private: "

// Ready notes what an agent says at /readyz.
func (a *RunningAgent) Ready(body string) {
	for line := range strings.Lines(body) {
		if known, ok := strings.CutPrefix(strings.TrimSpace(line), PrivateLine); ok {
			list := strings.Split(known, ",")
			a.Unknown = strings.Join(slices.DeleteFunc(strings.Split(a.Unknown, ","), func(p string) bool { return slices.Contains(list, p) }), ",")
		}
	}
}

// Entry returns the agent as an entry of a chain. It may know of private
// modules, and its 403 is the decision of whoever wrote its policy.
func (a *RunningAgent) Entry() policy.Entry {
	return policy.Entry{Name: AgentName, URL: a.URL, Gatekeeper: true, Private: true}
}

// AgentServes reports whether the build can use the agent of in, which is not
// nil: then nothing else needs to be asked. What cannot be told from here keeps
// its place.
func AgentServes(in *Input) bool { return judgeAgent(in).why == "" }

// An agentVerdict is what evidence means for a running agent.
type agentVerdict struct {
	verdict
	why  string // it cannot be used, "" if it can
	next string // what to do about why, "" if the evidence tells
}

func judgeAgent(in *Input) agentVerdict {
	v := agentVerdict{verdict: judge(in.Agent.Entry(), &in.Agent.Evidence, in.Container)}
	switch {
	case v.late:
		v.why = "it did not answer in time"
	case v.state == report.Down:
		v.why = v.verdict.why
	case in.Settings.Mode == policy.Enforced && in.Agent.Unknown != "":
		v.why = "it does not say that it keeps " + in.Agent.Unknown + " private, and in enforced mode nothing goes around it"
		v.next = tellAgent
	case v.usable() && in.Settings.SumDB == policy.SumDBRequired && noSumDB(in):
		v.why = "it does not serve the checksum database, and the policy says sumdb: required"
	}
	return v
}

// tellAgent is what to do about an agent that may not know what is private.
const tellAgent = "write the patterns into \"private\" of the policy that the agent reads, and come in by loopback, or with TLS and a login"

// noSumDB reports whether the agent was asked for the checksum database that the
// build uses, and did not serve it.
func noSumDB(in *Input) bool {
	if spec, err := goenv.ParseSumDB(in.Inherited.GOSUMDB); err == nil && spec.Off {
		return false
	}
	for _, kind := range []CheckKind{Supported, SumDB} {
		if c, made := in.Agent.Evidence.Check(kind); made && c.Class != "" && c.Class != Cancelled {
			return true
		}
	}
	return false
}

// decideWithAgent is [Decide] for a build that shall use an agent. If that
// cannot be used, the chain is the fallback.
func decideWithAgent(in Input) Decision {
	v := judgeAgent(&in)
	if v.why == "" {
		return throughAgent(&in, v.verdict)
	}
	plain := in
	plain.Agent = nil
	d := Decide(plain)
	s := &in.Settings
	d.Primary, d.Unhealthy = AgentName, append([]string{AgentName}, d.Unhealthy...)
	d.Reasons = append([]string{"the agent is not used: " + v.why}, d.Reasons...)
	for i := range d.Proxies {
		if d.Proxies[i].Use == "primary" {
			d.Proxies[i].Use = "fallback"
		}
	}
	row := rows([]verdict{v.verdict}, nil, AgentName)[0]
	row.State, row.Cause, row.Next, row.Use = report.Down, v.why, cmp.Or(v.next, row.Next), "left out"
	d.Proxies = append([]report.Proxy{row}, d.Proxies...)
	f := report.Finding{ID: "agent-down", Severity: severity(s.OnFallback), Title: "Agent not in use", Fix: row.Next}
	f.Message = fmt.Sprintf("the agent at %s is not used: %s", goenv.Redact(in.Agent.URL), v.why)
	switch {
	case d.Outcome == report.Kept && in.Keep:
		f.Message += "; the GOPROXY that was set is left as it is"
		if s.OnFallback == policy.FallbackFail {
			d.Outcome = report.Fallback
			d.Reasons = append(d.Reasons, "on_fallback: fail")
		}
	case d.Outcome == report.OK || d.Outcome == report.Fallback:
		d.Outcome = report.Fallback
		come := "come"
		if s.OnFallback == policy.FallbackFail {
			come = "would come"
			if len(d.Settings) > 0 { // else the chain's own fallback has said so
				d.Settings, d.Chain = nil, nil
				d.Reasons = append(d.Reasons, "on_fallback: fail, so nothing is exported")
			}
		}
		f.Message += "; modules " + come + " from " + d.Selected + " instead"
	}
	d.Findings = append([]report.Finding{f}, d.Findings...)
	report.SortFindings(d.Findings)
	return d
}

// throughAgent points the build at the agent.
func throughAgent(in *Input, v verdict) Decision {
	d := Decision{Outcome: report.OK, Primary: AgentName, Selected: AgentName}
	d.Settings = ThroughAgent(&in.Settings, in.Agent.Databases, in.Inherited, in.Agent.URL, in.Agent.Unknown)
	d.Chain, _ = goenv.ParseChain(report.Value(d.Settings, "GOPROXY")) // what we write, we read
	d.Reasons = []string{"the agent serves; the proxies of the chain are its business"}
	d.Proxies = rows([]verdict{v}, d.Chain, AgentName)
	d.Proxies[0].Use = "primary"
	f := report.Finding{Severity: report.Notice, Fix: v.ev.Next}
	switch v.state {
	case report.Unknown:
		f.Fix = cmp.Or(f.Fix, "make sure that it runs: the build has no other way then")
		if in.Container {
			f.Fix = "give an address that this container reaches, or use the binary action, which runs where the build does"
		}
		f.ID, f.Title = "proxy-unknown", "Agent cannot be judged from here"
		f.Message = "the agent keeps its place unverified: " + v.why
		d.Reasons[0] = "the agent keeps its place: it cannot be judged from here (" + v.why + ")"
	case report.Degraded:
		f.ID, f.Title, f.Message = "proxy-degraded", "Agent does not serve everything", v.why
	}
	if f.ID != "" {
		d.Findings = append(d.Findings, f)
	}
	if in.Agent.Unknown != "" {
		d.Findings = append(d.Findings, report.Finding{
			ID: "agent-private-unknown", Severity: report.Notice, Title: "Private modules go around the agent",
			Message: "the agent does not say that it keeps " + in.Agent.Unknown + " private, so it is not asked for these modules: they are fetched from version control",
			Fix:     tellAgent, Place: in.Settings.Places["private"],
		})
	}
	if in.Settings.Mode == policy.Enforced && v.usable() && noSumDB(in) {
		d.Findings = append(d.Findings, report.Finding{
			ID: "agent-no-sumdb", Severity: report.Warning, Title: "Agent does not serve the checksum database",
			Message: "go asks the checksum database itself for what go.sum does not have, and the policy names no such host",
			Fix:     "name the database in the policy that the agent reads, agent.databases", Place: in.Settings.Places["sumdb"],
		})
	}
	report.SortFindings(d.Findings)
	return d
}

// severity returns how loud a fallback is.
func severity(o policy.OnFallback) report.Severity {
	switch o {
	case policy.FallbackNotice:
		return report.Notice
	case policy.FallbackFail:
		return report.Error
	}
	return report.Warning
}

// AddNoProxy returns a NO_PROXY list with a host that is always reached without
// a forward proxy.
func AddNoProxy(list, host string) string {
	if slices.Contains(strings.Split(list, ","), host) {
		return list
	}
	return strings.Trim(list+","+host, ",")
}
