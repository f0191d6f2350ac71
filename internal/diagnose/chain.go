package diagnose

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/probe"
	"github.com/org/goproxy-setup/internal/report"
)

// A Login is what a URL of GOPROXY says of credentials.
type Login struct{ User, Password string }

// Chain returns the settings with which the entries of list, the value of
// GOPROXY, are probed, and the logins that stand in it. Entries have the names
// of the catalogue, or else their redacted URLs; of a proxy that stands there
// twice only the first is kept. The error is that of [goenv.ParseWhole].
func Chain(list string) (policy.Settings, map[string]Login, error) {
	base := policy.BuiltIn()
	choice, err := base.Choose(policy.Facts{})
	if err != nil {
		return policy.Settings{}, nil, err
	}
	s, err := base.Settings(choice, func(string) string { return "" })
	if err != nil {
		return s, nil, err
	}
	s.Chain = nil
	chain, err := goenv.ParseWhole(list)
	logins := map[string]Login{}
	for _, e := range chain {
		entry := policy.Entry{Name: e.Value}
		u, perr := url.Parse(e.Value)
		if e.Proxy() && perr == nil {
			if entry.Name = goenv.Redact(e.Value); u.User != nil {
				password, _ := u.User.Password()
				logins[entry.Name] = Login{u.User.Username(), password}
				u.User = nil
			}
			entry.URL = strings.TrimRight(u.String(), "/")
			for _, p := range policy.Catalogue() {
				if strings.TrimRight(p.URL, "/") == entry.URL {
					entry.Name, entry.Full = p.Name, p.Full
				}
			}
		}
		if !slices.ContainsFunc(s.Chain, func(have policy.Entry) bool { return have.Name == entry.Name }) {
			s.Chain = append(s.Chain, entry)
		}
	}
	return s, logins, err
}

// evidence asks every proxy of the chain, once for all checks.
func (m *Machine) evidence(ctx context.Context) probe.Result {
	m.once.evidence.Do(func() {
		if len(m.Policy.Proxies()) == 0 {
			return
		}
		cfg := probe.Config{
			Settings: &m.Policy, GoSum: m.GoSum, Toolchain: m.Toolchain, Getenv: m.variable, Netrc: m.Netrc.Machines,
			Progress: m.Progress, Dial: m.Dial,
			Credentials: func(e policy.Entry) (string, string, bool) {
				l, ok := m.Logins[e.Name]
				return l.User, l.Password, ok
			},
		}
		cfg.RootCAs = m.roots
		if db, err := goenv.ParseSumDB(m.setting("GOSUMDB")); err == nil && !db.Off {
			cfg.SumDB = db
		}
		if end, ok := ctx.Deadline(); ok {
			cfg.Budget = max(time.Until(end)-time.Second, time.Until(end)/2)
		}
		m.probed = probe.Run(ctx, cfg)
	})
	return m.probed
}

// Proxies returns a row for each entry of the chain, as setup shows it.
func (m *Machine) Proxies(ctx context.Context) []report.Proxy {
	seen := m.evidence(ctx)
	d := decision.Decide(decision.Input{Settings: m.Policy, Evidence: seen.Evidence, Databases: seen.Databases, Keep: true})
	for i := range d.Proxies {
		d.Proxies[i].Use = ""
	}
	return d.Proxies
}

// blame returns the check for proxies that fail in one of certain ways.
func blame(what string, classes ...decision.Class) func(context.Context, *Machine) Result {
	return func(ctx context.Context, m *Machine) Result {
		if len(m.Policy.Proxies()) == 0 {
			return skipped("the chain names no proxy")
		}
		var r Result
		for _, p := range m.Proxies(ctx) {
			if p.State != report.Down || !slices.Contains(classes, decision.Class(p.Class)) {
				continue
			}
			r.Findings = append(r.Findings, m.down(ctx, p, what))
		}
		return r
	}
}

// down returns the finding for a proxy that does not serve builds. It is an
// error if go gets no further than to it.
func (m *Machine) down(ctx context.Context, p report.Proxy, what string) Finding {
	f := Finding{Severity: report.Warning, Message: fmt.Sprintf("%s%s: %s", p.Name, what, p.Cause), Fix: p.Next, Place: m.origin("GOPROXY")}
	if m.stopsAt(ctx, p.Name) {
		f.Severity = report.Error
		f.Message += "; go stops here, since a comma lets it move on after 404 and 410 alone"
	}
	return f
}

// A named chain is GOPROXY with the names by which its entries were probed.
type namedChain struct {
	goenv.Chain
	names []string // of each entry
}

// chain returns the chain in force, an empty one if go refuses it.
func (m *Machine) chain() (c namedChain) {
	c.Chain, _ = goenv.ParseChain(m.setting("GOPROXY")) // a check says what is wrong with it
	for _, e := range c.Chain {
		one, _, _ := Chain(e.Value)
		name := ""
		for _, have := range m.Policy.Chain {
			if len(one.Chain) > 0 && have.URL == one.Chain[0].URL && (have.URL != "" || have.Name == e.Value) {
				name = have.Name
			}
		}
		c.names = append(c.names, name)
	}
	return c
}

// stop returns the name of the entry at whose error, or wrong bytes, go ends
// if the entries give these answers to a request for a file; "" if it does not.
func (c namedChain) stop(q goenv.Request, answer func(name string) goenv.Answer) string {
	route := c.Walk(q, func(i int, _ goenv.File) goenv.Answer { return answer(c.names[i]) })
	if route.Entry < 0 || !slices.Contains([]goenv.Ending{goenv.Stopped, goenv.Hung, goenv.LateFatal, goenv.Swallowed}, route.End) {
		return ""
	}
	return c.names[route.Entry]
}

// stopsAt reports whether a build that asks the chain for a zip ends with the
// error of the proxy called name.
func (m *Machine) stopsAt(ctx context.Context, name string) bool {
	seen := m.evidence(ctx)
	return m.chain().stop(goenv.Request{File: goenv.Zip}, func(name string) goenv.Answer { return answerOf(seen, name) }) == name
}

// answerOf returns what go would make of a proxy as the probe saw it.
func answerOf(seen probe.Result, name string) goenv.Answer {
	for _, ev := range seen.Evidence {
		if ev.Entry != name {
			continue
		}
		switch ev.Class {
		case "", decision.Local:
			return goenv.OK
		case decision.Missing:
			return goenv.Absent
		case decision.Silent, decision.Stalled, decision.Cancelled:
			return goenv.Hang
		case decision.Portal:
			return goenv.Garbage
		case decision.WrongContent:
			return goenv.Wrong
		case decision.Forbidden, decision.Unauthorized, decision.RateLimited, decision.ServerError, decision.BadStatus, decision.ZipBlocked:
			return goenv.Status
		}
		return goenv.Unreachable
	}
	return goenv.OK // not asked: nothing to say against it
}

// degraded finds proxies that serve builds but not everything.
func degraded(ctx context.Context, m *Machine) Result {
	if len(m.Policy.Proxies()) == 0 {
		return skipped("the chain names no proxy")
	}
	var r Result
	for _, p := range m.Proxies(ctx) {
		if p.State == report.Degraded {
			r.Findings = append(r.Findings, Finding{
				Severity: report.Warning, Message: p.Name + ": " + p.Cause,
				Fix: "put a proxy that serves all of it before this one, or tell whoever runs it", Place: m.origin("GOPROXY"),
			})
		}
	}
	return r
}

// database finds that no way to the checksum database verifies.
func database(ctx context.Context, m *Machine) Result {
	db, err := goenv.ParseSumDB(m.setting("GOSUMDB"))
	switch {
	case err == nil && db.Off:
		return skipped("GOSUMDB is off")
	case len(m.Policy.Proxies()) == 0:
		return skipped("the chain names no proxy")
	}
	seen := m.evidence(ctx)
	usable, open := false, false
	for _, ev := range seen.Evidence {
		if c, made := ev.Check(decision.SumDB); made && c.Class == "" && ev.Class == "" {
			return Result{Seen: "a signed lookup through " + ev.Entry + " verifies"}
		}
		usable = usable || ev.Class == ""
		open = open || ev.Class == "" && unanswered(ev)
	}
	for _, d := range seen.Databases {
		if d.Class == "" {
			return Result{Seen: "a signed lookup at " + d.Host + " verifies"}
		}
	}
	if !usable || len(seen.Databases) == 0 {
		return skipped("no proxy is usable, which is said elsewhere")
	}
	if open {
		return skipped("a proxy did not answer in time whether it passes the database on")
	}
	why := seen.Databases[0]
	return found(Finding{
		Severity: report.Error, Message: fmt.Sprintf("no way to the checksum database verifies: %s: %s", why.Host, why.Detail),
		Fix:   "allow the database's host in the egress rules, or put a proxy that passes it on first; a complete go.sum builds without it. Leave GOSUMDB on",
		Place: m.origin("GOSUMDB"),
	})
}

// unanswered reports whether a proxy may pass the checksum database on: it did
// not say no, and was not heard to the end.
func unanswered(ev decision.Evidence) bool {
	for _, kind := range []decision.CheckKind{decision.Supported, decision.SumDB} {
		c, made := ev.Check(kind)
		switch {
		case !made:
			return true
		case c.Class == "":
		default:
			return c.Class == decision.Cancelled || c.Class == decision.Silent || c.Class == decision.Timeout || c.Class == decision.Stalled
		}
	}
	return false
}
