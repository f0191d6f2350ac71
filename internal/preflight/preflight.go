// Package preflight asks a chain for every module of a go.sum file before the
// build does, in the way the go command would ask, and says what the build
// would come to: which modules are missing, which zips are refused, where zips
// come from, whom the go command would wait for.
//
// [New] makes a plan without a single request, so that the names which would be
// told to others can be shown first; [Plan.Run] carries it out. Names of
// modules that are not known to be public go to proxies marked private alone,
// unless the caller wants all of them asked.
package preflight

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/probe"
	"github.com/org/goproxy-setup/internal/report"
)

// atOnce is how many files are asked for at the same time, of all proxies
// together.
const atOnce = 8

// Config is what a preflight depends on. Chain, GoSum and Probe are required.
type Config struct {
	// Chain is the GOPROXY list, without credentials. Probe.Settings.Chain has
	// an entry for each of its elements that is a proxy, in the same order.
	Chain goenv.Chain
	GoSum *checksum.GoSum
	File  string // name of the go.sum file, for places and messages

	NoProxy string // the value of GONOPROXY
	Private string // patterns of all modules that somebody calls private
	AskAll  bool   // tell every proxy every name that no pattern covers
	// Recorded reports whether it can be shown, without asking anybody, that a
	// module is public. Nil shows nothing.
	Recorded func(module.Version) bool

	Probe  probe.Config  // how to ask
	Budget time.Duration // for all; required
}

// Progress is how far a preflight is.
type Progress struct {
	Done, Total int // modules
	Failed      int // modules for which the go command fails
}

// A Plan is a preflight that has not begun.
type Plan struct {
	// Names are the names that are not known to be public and that the go
	// command would tell to proxies that are not marked private: those that look
	// private first.
	Names []Name

	cfg     Config
	entries []policy.Entry // by the index in the chain; keywords have none
	lines   []line
}

// A line is all that go.sum says about one version of a module.
type line struct {
	module.Version
	mod    string // h1 of the .mod file, "" if there is no such line
	zip    bool
	number int // of the first line
	known  publicity
}

// ErrEmpty reports a go.sum file without a line.
var ErrEmpty = errors.New("no module: there is nothing to ask for")

// New plans a preflight. The error is [ErrEmpty], or joins a
// [*checksum.LineError] for each line that names no module.
func New(cfg Config) (*Plan, error) {
	p := &Plan{cfg: cfg}
	lines, err := linesOf(cfg.GoSum, cfg.File)
	if err != nil {
		return nil, err
	}
	p.lines = lines
	proxies := cfg.Probe.Settings.Proxies()
	p.entries = make([]policy.Entry, len(cfg.Chain))
	for i, e := range cfg.Chain {
		if e.Proxy() {
			p.entries[i], proxies = proxies[0], proxies[1:]
		}
	}
	p.judgeNames()
	return p, nil
}

// linesOf gathers the lines of each module version, in the file's order.
func linesOf(g *checksum.GoSum, file string) ([]line, error) {
	var lines []line
	var errs []error
	index := map[module.Version]int{}
	for _, s := range g.Sums {
		i, seen := index[s.Module]
		if !seen {
			if err := module.Check(s.Module.Path, s.Module.Version); err != nil {
				errs = append(errs, &checksum.LineError{File: file, Line: s.Line, Msg: err.Error()})
				continue
			}
			i = len(lines)
			index[s.Module] = i
			lines = append(lines, line{Version: s.Module, number: s.Line})
		}
		if s.GoMod {
			lines[i].mod = cmp.Or(g.GoMod(s.Module), lines[i].mod)
		} else {
			lines[i].zip = true
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if len(lines) == 0 {
		return nil, ErrEmpty
	}
	return lines, nil
}

// An asker asks one proxy for one file. It is safe for concurrent use.
type asker interface {
	Mod(ctx context.Context, m module.Version, hash string) probe.Answer
	ZipStart(ctx context.Context, m module.Version) probe.Answer
}

// Run asks. It returns when every module is done or the budget is spent.
// progress, if not nil, is told of every module that is done, one at a time.
func (p *Plan) Run(ctx context.Context, progress func(Progress)) *report.Preflight {
	askers := probe.NewAskers(p.cfg.Probe)
	defer askers.Close()
	list := make([]asker, len(p.entries))
	n := 0
	for i, e := range p.entries {
		if e.Name != "" {
			list[i] = askers.At(n)
			n++
		}
	}
	return p.run(ctx, list, progress)
}

// errSpent is the cause of a context whose time for the preflight is over.
var errSpent = errors.New("the time for the preflight is over")

func (p *Plan) run(ctx context.Context, askers []asker, progress func(Progress)) *report.Preflight {
	ctx, cancel := context.WithTimeoutCause(ctx, p.cfg.Budget, errSpent)
	defer cancel()
	sources := make([]*source, len(askers))
	for i, a := range askers {
		if a != nil {
			sources[i] = newSource(p.entries[i], a)
		}
	}
	results := make([]report.PreflightModule, len(p.lines)) // one slot for each worker's line: no lock
	next := make(chan int, len(p.lines))
	for i := range p.lines {
		next <- i
	}
	close(next)
	done := make(chan report.Fate, len(p.lines))
	var wg sync.WaitGroup
	for range min(atOnce, len(p.lines)) {
		wg.Go(func() {
			for i := range next {
				results[i] = p.module(ctx, sources, &p.lines[i])
				done <- results[i].Fate
			}
		})
	}
	watch(done, len(p.lines), progress)
	wg.Wait()
	return p.report(results, sources)
}

// watch tells of the progress until all modules are done.
func watch(done <-chan report.Fate, total int, progress func(Progress)) {
	at := Progress{Total: total}
	for at.Done < at.Total {
		if fate := <-done; fate.Failed() {
			at.Failed++
		}
		at.Done++
		if progress != nil {
			progress(at)
		}
	}
}

// maxNotable bounds the modules that a report lists.
const maxNotable = 500

// report puts the results into the neutral form.
func (p *Plan) report(results []report.PreflightModule, sources []*source) *report.Preflight {
	r := &report.Preflight{File: p.cfg.File, Modules: len(results)}
	counts := map[report.Fate]*int{
		report.FateServed: &r.Served, report.FateDirect: &r.Direct, report.FatePrivate: &r.Private,
		report.FateWithheld: &r.Withheld, report.FateUnasked: &r.Unasked,
	}
	for i, m := range results {
		if p.lines[i].zip {
			r.Zips++
		}
		if m.Fate.Failed() {
			r.Failed++
		} else {
			*counts[m.Fate]++
		}
		if m.Forced {
			r.Forced++
		}
		if m.Fate != report.FateServed && m.Fate != report.FatePrivate && m.Fate != report.FateUnasked {
			r.Notable = append(r.Notable, m)
		}
	}
	slices.SortStableFunc(r.Notable, func(a, b report.PreflightModule) int { return cmp.Compare(rank(a), rank(b)) })
	if more := len(r.Notable) - maxNotable; more > 0 {
		r.Notable, r.Omitted = r.Notable[:maxNotable], more
	}
	for _, s := range sources {
		if s != nil {
			r.Proxies = append(r.Proxies, s.report())
		}
	}
	return r
}

func rank(m report.PreflightModule) int {
	switch {
	case m.Fate.Failed():
		return 0
	case m.Forced:
		return 1
	case m.Fate == report.FateDirect:
		return 2
	}
	return 3
}

// answerOf tells a probe's answer apart as far as the go command does.
func answerOf(f goenv.File, a probe.Answer) goenv.Answer {
	switch a.Class {
	case "":
		return goenv.OK
	case decision.Missing:
		return goenv.Absent
	case decision.Silent, decision.Stalled:
		return goenv.Hang
	case decision.Portal:
		return goenv.Garbage
	case decision.WrongContent:
		if f == goenv.Mod {
			return goenv.Wrong
		}
		return goenv.Garbage
	case decision.Unauthorized, decision.Forbidden, decision.RateLimited, decision.ServerError, decision.BadStatus:
		return goenv.Status
	}
	return goenv.Unreachable
}

// causes joins what several proxies said, as much as a person reads.
func causes(said []string) string {
	const most = 3
	if more := len(said) - most; more > 0 {
		said = append(slices.Clone(said[:most]), "…")
	}
	return strings.Join(said, "; ")
}
