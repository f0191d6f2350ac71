// Package breaker keeps requests away from a proxy that fails: a circuit
// breaker with the states closed, open and half-open.
package breaker

import (
	"sync"
	"time"
)

// A State is that of a breaker.
type State string

const (
	Closed   State = "closed"    // requests pass
	Open     State = "open"      // none does
	HalfOpen State = "half-open" // one trial is on its way
)

// Config are the limits of a breaker.
type Config struct {
	Failures int           // in a row, that open it
	Cooldown time.Duration // from opening to the first trial; doubled by each trial that fails
	Longest  time.Duration // bound of the doubling
}

// A Result is how a call that was allowed ended.
type Result int

const (
	Success Result = iota
	Failure
	Neutral // says nothing: the caller left, or another attempt was faster
	// Answered is a call that was refused by somebody who works. It is good enough
	// for a trial, and does not end a row of failures: whoever answers "not
	// found" at once may still fail whenever there is something to send.
	Answered
)

// A Breaker is safe for concurrent use.
type Breaker struct {
	cfg Config

	mu       sync.Mutex // guards the fields below
	state    State
	failures int // in a row
	cooldown time.Duration
	until    time.Time // while open: when a trial may begin
	epoch    int       // counts changes of state: a call of an earlier one says nothing
}

// New returns a closed breaker.
func New(cfg Config) *Breaker {
	return &Breaker{cfg: cfg, state: Closed, cooldown: cfg.Cooldown}
}

// State returns the state as the next call would find it.
func (b *Breaker) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.due() {
		return HalfOpen
	}
	return b.state
}

// Ready reports whether [Breaker.Allow] would allow a call now.
func (b *Breaker) Ready() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state == Closed || b.due()
}

// due reports whether the next call is the trial. b.mu is held.
func (b *Breaker) due() bool { return b.state == Open && !time.Now().Before(b.until) }

// A Done reports how a call ended, once. It returns the state then, and whether
// the result has changed it.
type Done func(Result) (now State, changed bool)

// Allow reports whether a call may be made now. If so, the caller must report
// its result.
func (b *Breaker) Allow() (done Done, ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.state == Closed:
	case b.due():
		b.enter(HalfOpen)
	default:
		return nil, false
	}
	return b.begin(), true
}

// Force is Allow for a call that is made whatever the state: its success closes
// a breaker that is not closed, its failure is no news there.
func (b *Breaker) Force() Done {
	if done, ok := b.Allow(); ok {
		return done
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	done := b.begin()
	return func(r Result) (State, bool) {
		if r == Success || r == Answered {
			return done(r)
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.state, false
	}
}

// Trip opens the breaker, or keeps it open, for d at least: it was learned,
// other than by calls, that they would fail. A trial that is on its way tells
// more.
func (b *Breaker) Trip(d time.Duration) (now State, changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	was := b.state
	if was == HalfOpen {
		return was, false
	}
	if until := time.Now().Add(max(d, b.cooldown)); until.After(b.until) {
		b.until = until
	}
	if was != Open {
		b.enter(Open)
	}
	return b.state, was != Open
}

// Retry makes the next call a trial, if the breaker is open: it was learned,
// other than by calls, that they may succeed.
func (b *Breaker) Retry() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.state == Open {
		b.until = time.Now()
	}
}

// begin returns the Done of a call that begins now. b.mu is held.
func (b *Breaker) begin() Done {
	epoch := b.epoch
	return func(r Result) (State, bool) { return b.done(epoch, r) }
}

func (b *Breaker) done(epoch int, r Result) (now State, changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if epoch != b.epoch {
		return b.state, false
	}
	switch {
	case r == Success:
		b.failures, b.cooldown = 0, b.cfg.Cooldown
		if b.state != Closed {
			b.enter(Closed)
		}
	case r == Answered && b.state != Closed:
		b.enter(Closed)
	case r == Neutral && b.state == HalfOpen:
		b.until = time.Now() // the next call is the trial
		b.enter(Open)
	case r == Failure:
		b.fail()
	}
	return b.state, epoch != b.epoch
}

// fail counts a failure. b.mu is held.
func (b *Breaker) fail() {
	b.failures++
	if b.state == Closed && b.failures < b.cfg.Failures {
		return
	}
	b.until = time.Now().Add(b.cooldown)
	b.cooldown = min(2*b.cooldown, b.cfg.Longest)
	b.enter(Open)
}

func (b *Breaker) enter(s State) {
	b.state = s
	b.epoch++
	b.failures = 0
}
