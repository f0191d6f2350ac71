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

// Rounds of a request: the proxies whose failure may have passed are asked
// again after a pause, budget permitting.
const (
	maxRounds  = 3
	lastRound  = 15 * time.Second // after so long none begins
	firstPause = 200 * time.Millisecond
	longPause  = 5 * time.Second
)

// absenceGrace is for the others, once the answer would be "not found".
const absenceGrace = time.Second

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

func (p *Pool) count(f func(*Stats)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.stats)
}
