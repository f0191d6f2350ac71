package preflight

import (
	"context"
	"fmt"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/report"
)

// module takes one module's way through the chain: its .mod file first and
// then, if that is served and a build uses the module, its zip.
func (p *Plan) module(ctx context.Context, sources []*source, l *line) report.PreflightModule {
	m := report.PreflightModule{Fate: report.FateServed}
	if l.mod != "" {
		m = p.file(ctx, sources, l, goenv.Mod)
	}
	if l.zip && m.Fate == report.FateServed {
		m = p.file(ctx, sources, l, goenv.Zip)
		if l.mod != "" && m.Fate != report.FateServed && m.Cause != "" {
			m.Cause += "; its .mod file is served"
		}
	}
	m.Path, m.Version, m.Place = l.Path, l.Version.Version, report.Place{File: p.cfg.File, Line: l.number}
	return m
}

// A way is one file's way through the chain.
type way struct {
	said     []string // by each proxy that did not serve it
	withheld []string // proxies that were not told the name
	unasked  bool     // no time was left
	absent   bool     // one of them said 404 or 410
	m        report.PreflightModule
}

// file asks for one file as the go command does, and says what that comes to.
func (p *Plan) file(ctx context.Context, sources []*source, l *line, f goenv.File) report.PreflightModule {
	w := way{m: report.PreflightModule{File: f.String()}}
	request := goenv.Request{File: f, Module: l.Path, NoProxy: p.cfg.NoProxy, Vouch: goenv.GoSum}
	route := p.cfg.Chain.Walk(request, func(i int, f goenv.File) goenv.Answer {
		return w.visit(ctx, p, sources[i], l, f)
	})
	if w.unasked {
		w.m.Fate = report.FateUnasked
		return w.m
	}
	w.end(route)
	if w.m.Fate == report.FateServed {
		return report.PreflightModule{Fate: report.FateServed}
	}
	w.m.Cause = causes(w.said)
	if w.m.Fate == report.FateWithheld && w.m.Cause == "" {
		w.m.Cause = "not asked of " + policy.Listed(w.withheld)
	}
	return w.m
}

// visit asks one proxy. One that may not know the name counts as one that has
// not got the module: the way goes on to those that may.
func (w *way) visit(ctx context.Context, p *Plan, s *source, l *line, f goenv.File) goenv.Answer {
	if !p.mayKnow(s.entry, l) {
		w.withheld = append(w.withheld, s.entry.Name)
		return goenv.Absent
	}
	a, ok := s.ask(ctx, l, f)
	if !ok {
		w.unasked = true
		return goenv.Hang // ends the way
	}
	w.absent = w.absent || a.Class == decision.Missing
	if a.Class != "" {
		host := ""
		if a.Host != "" {
			host = " at " + a.Host
		}
		w.said = append(w.said, fmt.Sprintf("%s: %s%s", s.entry.Name, a.Detail, host))
		w.m.Proxy, w.m.Class = s.entry.Name, string(a.Class)
	}
	return answerOf(f, a)
}

// end fills in what the way comes to.
func (w *way) end(r goenv.Route) {
	switch r.End {
	case goenv.Served:
		w.m.Fate = report.FateServed
	case goenv.WentDirect:
		w.m.Fate, w.m.Forced = report.FateDirect, !w.absent
		if r.Entry < 0 {
			w.m.Forced = false
			w.m.Fate = report.FatePrivate
		}
	case goenv.NotFound, goenv.TurnedOff:
		w.m.Fate = report.FateMissing
	case goenv.Hung:
		w.m.Fate = report.FateSilent
	case goenv.LateFatal, goenv.Swallowed:
		w.m.Fate = report.FateWrong
	default:
		w.m.Fate = report.FateStopped
	}
	if len(w.withheld) > 0 && (w.m.Fate == report.FateMissing || w.m.Fate == report.FateDirect) {
		w.m.Forced = false
		w.m.Fate = report.FateWithheld // who was not asked may have it
	}
}
