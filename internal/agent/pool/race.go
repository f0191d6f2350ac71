package pool

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/org/goproxy-setup/internal/agent/upstream"
	"github.com/org/goproxy-setup/internal/decision"
)

// When another proxy is asked although one has not failed yet. A proxy that
// has answered often enough is late after its own 95th percentile.
const (
	hedgeUnknown = 300 * time.Millisecond // of a proxy that is not known yet
	hedgeSoonest = 100 * time.Millisecond // less would race against noise
	hedgeLatest  = time.Second            // and for a large file in whose middle nothing comes for so long
	smallFile    = 64 << 20               // bound of files that come in one piece
	absenceGrace = time.Second            // for the others, once the answer would be "not found"
)

// Rounds of a request: the proxies whose failure may have passed are asked
// again after a pause, budget permitting.
const (
	maxRounds  = 3
	lastRound  = 15 * time.Second // after so long none begins
	firstPause = 200 * time.Millisecond
	longPause  = 5 * time.Second
)

var errLost = errors.New("another proxy was faster")

// A race is the work of one flight: attempts one after the other, or beside.
type race struct {
	p       *Pool
	r       Request
	f       *flight
	ctx     context.Context
	ended   chan *attempt
	started time.Time

	order    []int // targets in the order of this request
	prompt   int   // how many of them are not late
	asked    []bool
	forced   bool // proxies are asked although they seem dead
	running  []*attempt
	outcomes []Outcome // by target; the last one of each
	round    int
	settleBy time.Time // zero, or when the answer is "not found"
	begun    *part     // of a transfer that was cut; nil if there is none
}

// race asks the targets until one serves the file. outcomes are those of the
// targets that were asked; all of them if there is an error.
func (p *Pool) race(ctx context.Context, r Request, f *flight) (won *attempt, outcomes []Outcome, err error) {
	rc := &race{p: p, r: r, f: f, ctx: ctx, ended: make(chan *attempt), started: time.Now(), asked: make([]bool, len(r.Targets)), outcomes: make([]Outcome, len(r.Targets))}
	for i, t := range r.Targets {
		rc.outcomes[i] = Outcome{Proxy: t.Name, Class: upstream.NotAsked, Detail: "not asked", Gatekeeper: t.Gatekeeper, Full: t.Full && !t.Partial}
	}
	won, err = rc.run()
	rc.callOff()
	if err != nil {
		return nil, rc.outcomes, err
	}
	for i, o := range rc.outcomes {
		if rc.asked[i] && i != won.target {
			outcomes = append(outcomes, o)
		}
	}
	return won, outcomes, nil
}

// callOff ends what still runs and waits for it.
func (rc *race) callOff() {
	for _, a := range rc.running {
		a.cancel(errLost)
	}
	for range rc.running {
		a := <-rc.ended
		rc.outcomes[a.target] = a.outcome
		rc.keep(a)
		if a.spool != nil { // as good, and too late
			a.spool.Discard()
		}
	}
	rc.running = nil
	if rc.begun != nil {
		rc.begun.spool.Discard()
		rc.begun = nil
	}
}

func (rc *race) run() (*attempt, error) {
	rc.line()
	if !rc.next(false) && !rc.force() {
		return nil, rc.verdict()
	}
	for {
		timer := time.NewTimer(rc.wait())
		select {
		case a := <-rc.ended:
			timer.Stop()
			rc.remove(a)
			rc.outcomes[a.target] = a.outcome
			rc.keep(a)
			switch {
			case a.local != nil:
				return nil, &Error{Verdict: Unavailable, Outcomes: rc.outcomes, Local: a.local}
			case a.spool != nil:
				rc.judge(a)
				return a, nil
			case a.outcome.Class == decision.Forbidden && a.outcome.Gatekeeper:
				return nil, rc.verdict()
			}
			if !rc.goOn() {
				return nil, rc.verdict()
			}
		case <-timer.C:
			if rc.settled() {
				return nil, rc.verdict()
			}
			rc.hedge()
		case <-rc.ctx.Done():
			timer.Stop()
			return nil, context.Cause(rc.ctx)
		}
	}
}

// line puts the targets in the order of this request: those that work, those
// that are late, those that seem dead.
func (rc *race) line() {
	var late []int
	for i, t := range rc.r.Targets {
		switch {
		case !t.Ready():
		case rc.p.standings.demoted(t.Upstream):
			late = append(late, i)
		default:
			rc.order = append(rc.order, i)
		}
	}
	rc.prompt = len(rc.order)
	rc.order = append(rc.order, late...)
}

// next asks the next target in line, and reports whether there was one.
func (rc *race) next(hedge bool) bool {
	for _, i := range rc.order {
		if !rc.asked[i] && rc.mayAsk(i) {
			rc.ask(i, hedge)
			return true
		}
	}
	return false
}

// mayAsk reports whether the gatekeepers before a target let it be asked: what
// one of them cannot judge goes to the next gatekeeper, and to nobody else.
func (rc *race) mayAsk(i int) bool {
	if rc.r.Targets[i].Gatekeeper {
		return true
	}
	for j, t := range rc.r.Targets[:i] {
		if t.Last && rc.outcomes[j].Class != decision.Missing {
			return false
		}
	}
	return true
}

// force asks the proxies that seem dead, when nobody else has an answer: better
// late than never. It reports whether there was one.
func (rc *race) force() bool {
	if rc.forced || rc.round > 0 || !rc.worth() {
		return false
	}
	for _, o := range rc.outcomes {
		if o.Class == decision.Missing {
			return false // a definite answer of one, none of the others: fail fast
		}
	}
	rc.forced = true
	rc.order, rc.prompt = rc.order[:0], 0
	for i := range rc.r.Targets {
		rc.order = append(rc.order, i)
	}
	return rc.next(false)
}

// goOn asks whoever is next after a failure, and reports whether anything is on
// its way.
func (rc *race) goOn() bool {
	if rc.settleBy.IsZero() && Judge(rc.r.Rules, rc.outcomes) == Absent {
		// Enough for an answer; but the others may know a version that is new.
		rc.settleBy = time.Now().Add(absenceGrace)
		rc.order = rc.order[:rc.prompt] // who is late now is not waited for
		for rc.next(false) {
		}
	}
	if !rc.settleBy.IsZero() {
		return len(rc.running) > 0
	}
	return rc.next(false) || len(rc.running) > 0 || rc.force() || rc.again()
}

func (rc *race) settled() bool { return !rc.settleBy.IsZero() && !time.Now().Before(rc.settleBy) }

// again starts another round with those whose failure may have passed.
func (rc *race) again() bool {
	pause := longPause
	var targets []int
	for i, o := range rc.outcomes {
		if o.Mismatch || o.missing() || !passing(o.Class) || o.RetryAfter > longPause {
			continue
		}
		targets = append(targets, i)
		pause = min(pause, max(o.RetryAfter, rc.p.firstPause<<(2*rc.round)))
	}
	if len(targets) == 0 || rc.round+1 >= maxRounds || time.Since(rc.started) > lastRound || !rc.worth() || !rc.p.budget.spend() {
		return false
	}
	rc.round++
	rc.p.count(func(s *Stats) { s.Retries++ })
	// Whoever failed together does not come back together.
	timer := time.NewTimer(pause/2 + rand.N(pause))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-rc.ctx.Done():
		return false
	}
	rc.order, rc.prompt = targets, 0
	for _, i := range targets {
		rc.asked[i] = false
	}
	rc.forced = true
	return rc.next(false)
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
	case decision.Timeout, decision.Silent, decision.Stalled, decision.Reset, decision.ServerError, decision.RateLimited, decision.DNSFailure, decision.Refused, decision.Missing:
		return true
	}
	return false
}

// wait returns how long nothing needs to be done.
func (rc *race) wait() time.Duration {
	if !rc.settleBy.IsZero() {
		return time.Until(rc.settleBy)
	}
	wait := time.Minute
	for _, a := range rc.running {
		wait = min(wait, rc.patience(a)-a.idle())
	}
	return max(wait, time.Millisecond)
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

// hedge asks one more proxy if all that were asked are late. Gatekeepers are
// never raced: the first one's refusal must be heard.
func (rc *race) hedge() {
	late := 0
	for _, a := range rc.running {
		if rc.r.Targets[a.target].Gatekeeper {
			return
		}
		if a.idle() >= rc.patience(a) {
			late++
		}
	}
	if late < len(rc.running) {
		return
	}
	// Once per silence: whoever is late now is given another while.
	for _, a := range rc.running {
		a.heard.Store(int64(time.Since(a.started)))
	}
	for _, i := range rc.order {
		if !rc.asked[i] && rc.mayAsk(i) && !rc.r.Targets[i].Gatekeeper {
			if rc.f.awaited.Load() && rc.p.budget.spend() {
				rc.p.count(func(s *Stats) { s.Hedges++ })
				rc.ask(i, true)
			}
			return
		}
	}
}

// judge remembers who was late, or failed where another one served.
func (rc *race) judge(won *attempt) {
	rc.p.standings.won(rc.r.Targets[won.target].Upstream)
	for _, a := range rc.running {
		if won.hedge && a.started.Before(won.started) {
			rc.p.standings.lost(rc.r.Targets[a.target].Upstream)
		}
	}
	for i, o := range rc.outcomes {
		switch o.Class {
		case "", decision.Missing, decision.Cancelled, upstream.NotAsked:
		default:
			rc.p.standings.lost(rc.r.Targets[i].Upstream)
		}
	}
}

func (rc *race) verdict() error {
	rc.callOff()
	return &Error{Verdict: Judge(rc.r.Rules, rc.outcomes), Outcomes: rc.outcomes}
}

func (rc *race) remove(a *attempt) {
	for i, b := range rc.running {
		if a == b {
			rc.running = append(rc.running[:i], rc.running[i+1:]...)
			return
		}
	}
}

func (p *Pool) count(f func(*Stats)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f(&p.stats)
}
