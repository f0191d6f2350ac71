package pool

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/org/goproxy-setup/internal/agent/upstream"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/report"
)

// When another proxy is asked although one has not failed yet. A proxy that
// has answered often enough is late after its own 95th percentile.
const (
	hedgeUnknown = 300 * time.Millisecond // of a proxy that is not known yet
	hedgeSoonest = 100 * time.Millisecond // less would race against noise
	hedgeLatest  = time.Second            // and for a large file in whose middle nothing comes for so long
	smallFile    = 64 << 20               // bound of files that come in one piece
	absenceGrace = time.Second            // for the others, once the answer would be "not found"
	lookEvery    = 50 * time.Millisecond  // at those who are late
)

// Rounds of a request: the proxies whose failure may have passed are asked
// again after a pause, budget permitting.
const (
	maxRounds  = 3
	lastRound  = 15 * time.Second // after so long none begins
	firstPause = 200 * time.Millisecond
	longPause  = 5 * time.Second
)

// A race is the work of one flight: attempts one after the other, or beside.
type race struct {
	p       *Pool
	r       Request
	f       *flight
	ctx     context.Context
	ended   chan *attempt
	started time.Time

	sides    []side // by target
	running  []*attempt
	outcomes []Outcome // by target; the last one of each
	round    int
	settleBy time.Time // zero, or when the answer is "not found"
	begun    *part     // of a transfer that was cut; nil if there is none
}

// A side is how one target takes part in a race.
type side struct {
	rank  rank
	force bool // asked although it seems dead, or is slow, busy or paused
	state state
}

// A rank tells who is asked first; targets of one rank are asked in their order.
type rank int

const (
	prompt rank = iota
	late        // often overtaken; slow, busy or paused for a moment
	dead        // left alone; asked rather than none
	ranks
)

type state int

const (
	untried state = iota
	running
	ended
)

// race asks the targets until one serves the file. outcomes are those of the
// targets that were asked; all of them if there is an error.
func (p *Pool) race(ctx context.Context, r Request, f *flight) (won *attempt, outcomes []Outcome, err error) {
	rc := &race{p: p, r: r, f: f, ctx: ctx, ended: make(chan *attempt), started: time.Now()}
	rc.line()
	won, err = rc.run()
	rc.callOff()
	if e, ok := err.(*Error); ok {
		e.Outcomes = rc.outcomes
		if e.Local == nil {
			e.Verdict = Judge(r.Rules, rc.outcomes)
		}
	}
	if err != nil {
		return nil, rc.outcomes, err
	}
	for i, o := range rc.outcomes {
		if rc.sides[i].state != untried && i != won.target {
			outcomes = append(outcomes, o)
		}
	}
	return won, outcomes, nil
}

// callOff ends what still runs. It is not waited for: nothing may end a read of
// a disk, and bytes that nobody wants are judged to the end.
func (rc *race) callOff() {
	for _, a := range rc.running {
		a.cancel()
		o := &rc.outcomes[a.target]
		o.Class, o.Took = decision.Cancelled, time.Since(a.started)
		o.Detail = fmt.Sprint("given up after ", report.Round(o.Took))
	}
	if n := len(rc.running); n > 0 {
		rc.p.wg.Go(func() { rc.sweep(n) })
	}
	rc.running = nil
	rc.begun.discard()
	rc.begun = nil
}

// sweep waits for n attempts that nobody is interested in any more.
func (rc *race) sweep(n int) {
	for range n {
		a := <-rc.ended
		a.cut.discard()
		a.unused.discard()
		if a.spool != nil { // as good, and too late
			a.spool.Discard()
		}
	}
}

// run returns the attempt that served the file. Of an error that is an [*Error]
// the verdict is still to be found.
func (rc *race) run() (*attempt, error) {
	if !rc.next(ranks) {
		return nil, &Error{}
	}
	for {
		a, err := rc.await()
		switch {
		case err != nil:
			return nil, err
		case a == nil && rc.settled():
			return nil, &Error{}
		case a == nil:
			rc.hedge()
			continue
		}
		rc.end(a)
		switch {
		case a.local != nil:
			return nil, &Error{Verdict: Unavailable, Local: a.local}
		case a.spool != nil:
			rc.judge(a)
			return a, nil
		case a.outcome.Class == decision.Forbidden && a.outcome.Gatekeeper, !rc.goOn():
			return nil, &Error{}
		}
	}
}

// await returns the next attempt that ends, nil if it is time to look at those
// that run.
func (rc *race) await() (*attempt, error) {
	timer := time.NewTimer(rc.wait())
	defer timer.Stop()
	select {
	case a := <-rc.ended:
		return a, nil
	case <-rc.ctx.Done():
		return nil, context.Cause(rc.ctx)
	case <-timer.C:
	}
	select {
	case a := <-rc.ended: // just in time
		return a, nil
	default:
		return nil, nil
	}
}

// end notes how an attempt ended.
func (rc *race) end(a *attempt) {
	rc.running = slices.DeleteFunc(rc.running, func(b *attempt) bool { return a == b })
	rc.outcomes[a.target] = a.outcome
	rc.keep(a.cut)
	rc.keep(a.unused)
	s := &rc.sides[a.target]
	s.state = ended
	if a.outcome.Class != upstream.NotAsked {
		return
	}
	// It was ready a moment ago: if nobody else has the file, it is forced.
	*s = rc.place(a.target)
	if a.force {
		s.state = ended
	} else {
		s.force, s.rank = true, max(s.rank, late)
	}
}

// line puts the targets in the order of this request.
func (rc *race) line() {
	for i, t := range rc.r.Targets {
		rc.sides = append(rc.sides, rc.place(i))
		rc.outcomes = append(rc.outcomes, Outcome{Proxy: t.Name, Class: upstream.NotAsked, Detail: "not asked", Gatekeeper: t.decides(), Full: t.Full && !t.Partial})
	}
}

// place returns how a target takes part by its health now.
func (rc *race) place(i int) side {
	switch t := rc.r.Targets[i]; {
	case t.Dead():
		return side{rank: dead, force: true}
	case !t.Ready():
		return side{rank: late, force: true}
	case rc.p.standings.demoted(t.Upstream):
		return side{rank: late}
	}
	return side{}
}

// next asks the next target of a rank below bound, and reports whether there was
// one. Who is kept from requests is forced only when nobody else is left.
func (rc *race) next(bound rank) bool {
	if rc.guarded() {
		return false
	}
	for r := range bound {
		for i, s := range rc.sides {
			switch {
			case s.rank != r || s.state != untried || !rc.mayAsk(i):
			case r > prompt && s.force && (len(rc.running) > 0 || !rc.worth()):
			case rc.outcomes[i].Class != upstream.NotAsked && !rc.p.budget.spend(): // asked before
			default:
				rc.ask(i, false)
				return true
			}
		}
	}
	return false
}

// mayAsk reports whether the gatekeepers before a target let it be asked: each
// must have been, however late it is, unless it is dead. If it is the last one
// of a policy, what it cannot judge goes to the next gatekeeper and to nobody
// else.
func (rc *race) mayAsk(i int) bool {
	if rc.r.Targets[i].decides() {
		return true
	}
	for j, t := range rc.r.Targets[:i] {
		s := rc.sides[j]
		switch {
		case !t.decides():
		case t.Last && !rc.outcomes[j].missing():
			return false
		case s.state == running, s.rank < dead && rc.outcomes[j].Class == upstream.NotAsked:
			return false
		}
	}
	return true
}

// guarded reports whether a gatekeeper is being asked. Beside it nobody else
// begins: its refusal must be heard.
func (rc *race) guarded() bool {
	return slices.ContainsFunc(rc.running, func(a *attempt) bool { return a.outcome.Gatekeeper })
}

// goOn asks whoever is next after a failure, and reports whether anything is on
// its way.
func (rc *race) goOn() bool {
	if rc.settleBy.IsZero() && Judge(rc.r.Rules, rc.outcomes) == Absent {
		// Enough for an answer; but the others may know a version that is new. Who
		// is late is not waited for.
		rc.settleBy = time.Now().Add(absenceGrace)
	}
	if !rc.settleBy.IsZero() {
		for rc.next(late) {
		}
		return len(rc.running) > 0
	}
	return rc.next(ranks) || len(rc.running) > 0 || rc.again()
}

// settled reports whether the answer is "not found". What is here already is
// judged to the end.
func (rc *race) settled() bool {
	return !rc.settleBy.IsZero() && !time.Now().Before(rc.settleBy) &&
		!slices.ContainsFunc(rc.running, func(a *attempt) bool { return a.whole.Load() })
}

// again starts another round with those whose failure may have passed.
func (rc *race) again() bool {
	// Whoever failed together does not come back together.
	base := rc.p.firstPause << (2 * rc.round)
	base = base/2 + rand.N(base)
	var targets []int
	var first int
	var pause time.Duration
	for i, o := range rc.outcomes {
		if o.Mismatch || o.missing() || !passing(o.Class) || o.RetryAfter > longPause {
			continue
		}
		if wait := o.RetryAfter + base; len(targets) == 0 || wait < pause {
			first, pause = i, wait
		}
		targets = append(targets, i)
	}
	if len(targets) == 0 || rc.round+1 >= maxRounds || time.Since(rc.started) > lastRound || !rc.worth() || !rc.p.budget.spend() {
		return false
	}
	rc.round++
	rc.p.count(func(s *Stats) { s.Retries++ })
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-rc.ctx.Done():
		return false
	}
	for _, i := range targets {
		rc.sides[i] = side{rank: dead, force: true}
	}
	rc.ask(first, false)
	return true
}

// worth reports whether somebody waits for the file. If not, the flight is
// marked: it was not made for whoever comes now.
func (rc *race) worth() bool {
	if rc.f.awaited.Load() {
		return true
	}
	rc.f.idle = true
	return false
}

// passing reports whether a failure may be over when it is tried again.
func passing(c decision.Class) bool {
	switch c {
	case decision.Timeout, decision.Silent, decision.Stalled, decision.Reset, decision.ServerError, decision.RateLimited, decision.DNSFailure, decision.Refused, decision.Missing, decision.NoProxyPath:
		return true
	}
	return false
}

// wait returns how long nothing needs to be done. Whoever is late was looked at.
func (rc *race) wait() time.Duration {
	if !rc.settleBy.IsZero() {
		return max(time.Until(rc.settleBy), lookEvery)
	}
	wait := time.Minute
	if rc.guarded() {
		return wait
	}
	for _, a := range rc.running {
		left := rc.patience(a) - a.idle()
		if left <= 0 {
			left = lookEvery
		}
		wait = min(wait, left)
	}
	return wait
}

// patience returns how long a proxy may keep silent before another is asked.
func (rc *race) patience(a *attempt) time.Duration {
	if a.heard.Load() > 0 && rc.r.Limit > smallFile {
		return hedgeLatest
	}
	if p95, ok := rc.r.Targets[a.target].P95(); ok {
		return min(max(p95, hedgeSoonest), hedgeLatest)
	}
	return hedgeUnknown
}

// hedge asks one more proxy if all that were asked are late, but none that is
// kept from requests unless they are, too. Gatekeepers are never raced.
func (rc *race) hedge() {
	if rc.guarded() {
		return
	}
	last := prompt
	for _, a := range rc.running {
		if a.idle() < rc.patience(a) {
			return
		}
		last = max(last, rc.sides[a.target].rank)
	}
	// Once per silence: whoever is late now is given another while.
	for _, a := range rc.running {
		a.excused = time.Since(a.started)
	}
	for r := range ranks {
		for i, s := range rc.sides {
			if s.rank != r || s.state != untried || s.force && r > last || rc.r.Targets[i].decides() || !rc.mayAsk(i) {
				continue
			}
			if rc.f.awaited.Load() && rc.p.budget.spend() {
				rc.p.count(func(s *Stats) { s.Hedges++ })
				rc.ask(i, true)
			}
			return
		}
	}
}

// judge remembers who was late, or failed where another one served. What
// becomes of a checksum database says nothing of who serves modules.
func (rc *race) judge(won *attempt) {
	lost := func(i int) {
		if t := rc.r.Targets[i]; !t.Partial {
			rc.p.standings.lost(t.Upstream)
		}
	}
	if t := rc.r.Targets[won.target]; !t.Partial {
		rc.p.standings.won(t.Upstream)
	}
	for _, a := range rc.running {
		if won.hedge && a.started.Before(won.started) {
			lost(a.target)
		}
	}
	for i, o := range rc.outcomes {
		switch o.Class {
		case "", decision.Missing, decision.Cancelled, upstream.NotAsked, upstream.Unfit:
		default:
			lost(i)
		}
	}
}

func (p *Pool) count(f func(*Stats)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.stats)
}
