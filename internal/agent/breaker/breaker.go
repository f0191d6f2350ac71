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
	if b.state == Open && !time.Now().Before(b.until) {
		return HalfOpen
	}
	return b.state
}

// Allow reports whether a call may be made now. If so, the caller reports its
// result by done, once; changed tells whether that changed the state.
func (b *Breaker) Allow() (done func(Result) (changed bool), ok bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.state == Closed:
	case b.state == Open && !time.Now().Before(b.until):
		b.enter(HalfOpen)
	default:
		return nil, false
	}
	epoch := b.epoch
	return func(r Result) bool { return b.done(epoch, r) }, true
}

func (b *Breaker) done(epoch int, r Result) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if epoch != b.epoch {
		return false
	}
	trial := b.state == HalfOpen
	switch {
	case r == Success:
		b.failures, b.cooldown = 0, b.cfg.Cooldown
		if trial {
			b.enter(Closed)
		}
	case r == Neutral && trial:
		b.until = time.Now() // the next call is the trial
		b.enter(Open)
	case r == Failure:
		b.failures++
		if !trial && b.failures < b.cfg.Failures {
			return false
		}
		b.until = time.Now().Add(b.cooldown)
		b.cooldown = min(2*b.cooldown, b.cfg.Longest)
		b.enter(Open)
	}
	return epoch != b.epoch
}

func (b *Breaker) enter(s State) {
	b.state = s
	b.epoch++
	b.failures = 0
}
