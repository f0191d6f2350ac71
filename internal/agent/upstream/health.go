package upstream

import (
	"cmp"
	"context"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/org/goproxy-setup/internal/agent/breaker"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/report"
)

// A State is what keeps a proxy from being asked first, if anything does.
type State string

const (
	Healthy  State = "healthy"
	Open     State = "open"      // it failed, and is left alone for a while
	HalfOpen State = "half-open" // one request tries whether it works again
	Paused   State = "paused"    // it asked for a pause
	Slow     State = "slow"      // it answers, but too late
	Busy     State = "busy"      // too many requests are on their way
)

// stateChanged is logged once for each change, with its cause.
const stateChanged = "upstream state changed"

const (
	// longestPause bounds what a proxy may ask for by Retry-After.
	longestPause = time.Minute
	// shortPause is what a forced request waits for rather than fail.
	shortPause = 5 * time.Second
	// unnamedPause is that of a proxy which gets too many requests and does not
	// say when it wants the next one.
	unnamedPause = time.Second
	// slotWait is how long a forced request waits for others to end. A large file
	// may take long.
	slotWait = time.Minute
)

// busyShare is from which share of its limit on a proxy is busy: the rest is for
// requests that nobody else can answer.
const busyShare = 0.9

func (u *Upstream) busy() bool { return float64(len(u.slots)) >= busyShare*float64(cap(u.slots)) }

// State returns the state as the next request would find it.
func (u *Upstream) State() State {
	if u.pauseLeft() > 0 {
		return Paused
	}
	switch u.breaker.State() {
	case breaker.Open:
		return Open
	case breaker.HalfOpen:
		return HalfOpen
	}
	switch {
	case u.isSlow():
		return Slow
	case u.busy():
		return Busy
	}
	return Healthy
}

// Ready reports whether a request that is not forced would be sent now.
func (u *Upstream) Ready() bool {
	return u.pauseLeft() <= 0 && !u.busy() && !u.isSlow() && u.breaker.Ready()
}

// Dead reports whether a request would be sent for want of others only, if at
// all: the proxy failed, or asked for a pause that is too long to wait for.
func (u *Upstream) Dead() bool { return u.pauseLeft() > shortPause || !u.breaker.Ready() }

func (u *Upstream) pauseLeft() time.Duration {
	u.mu.Lock()
	defer u.mu.Unlock()
	return time.Until(u.pause)
}

// A ticket is the permission to make one request.
type ticket struct{ done breaker.Done }

// admit decides whether a request is sent. With force it passes an open breaker,
// a slow and a busy proxy, and waits for a free slot and a short pause: a pause
// that the proxy has asked for is always respected. A ticket holds a slot.
func (u *Upstream) admit(ctx context.Context, force bool) (t ticket, refused *Failure) {
	u.mu.Lock()
	u.used = time.Now()
	u.mu.Unlock()
	if refused = u.waitForPause(ctx, force); refused != nil {
		return ticket{}, refused
	}
	if !force && u.isSlow() {
		return ticket{}, u.notAsked("its answers are slow")
	}
	if refused = u.takeSlot(ctx, force); refused != nil {
		return ticket{}, refused
	}
	done, ok := u.breaker.Allow()
	switch {
	case ok:
	case force:
		done = u.breaker.Force()
	default:
		<-u.slots
		return ticket{}, u.notAsked("it failed before: %s", u.lastFailure())
	}
	u.net.enter()
	return ticket{done}, nil
}

// waitForPause returns when a pause is over. Of one that others prolong again
// and again it does not wait for the end.
func (u *Upstream) waitForPause(ctx context.Context, force bool) *Failure {
	due := time.Now().Add(2 * shortPause)
	for {
		left := u.pauseLeft()
		if left <= 0 {
			return nil
		}
		if !force || left > min(shortPause, time.Until(due)) {
			f := u.notAsked("it asked for a pause, of which %s are left", report.Round(left))
			f.RetryAfter = left
			return f
		}
		// Not all at once, or it asks for the next pause.
		if f := u.sleep(ctx, left+rand.N(left/2+1)); f != nil {
			return f
		}
	}
}

// takeSlot counts a request in, if there is room.
func (u *Upstream) takeSlot(ctx context.Context, force bool) *Failure {
	if !force && u.busy() {
		return u.notAsked("%d requests are on their way", len(u.slots))
	}
	select {
	case u.slots <- struct{}{}:
		return nil
	default:
	}
	timer := time.NewTimer(slotWait)
	defer timer.Stop()
	select {
	case u.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return u.givenUp()
	case <-timer.C:
		return u.notAsked("%d requests are on their way", cap(u.slots))
	}
}

func (u *Upstream) sleep(ctx context.Context, d time.Duration) *Failure {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return u.givenUp()
	}
}

func (u *Upstream) givenUp() *Failure {
	return &Failure{Upstream: u.Name, Class: decision.Cancelled, Detail: "given up before it was asked"}
}

// record notes how a request for path ended; a nil failure is a file that was
// accepted.
func (u *Upstream) record(a *attempt, path string, f *Failure, t ticket) {
	defer u.net.leave()
	result := breaker.Success
	switch {
	case f == nil:
		u.count("", "")
		u.works(path)
	case f.Class == decision.Cancelled || f.Class == NotAsked:
		result = breaker.Neutral
	default:
		u.count(f.Class, f.Detail)
		u.paused(f)
		result = breaker.Answered
		if !harmless(f.Class) {
			result = breaker.Failure
			a.blame(suspect(f.Class))
		}
	}
	if aside(path) {
		result = beside(result, f)
	}
	state, changed := t.done(result)
	if !changed {
		return
	}
	cause := "a request was answered"
	if result == breaker.Failure {
		cause = u.lastFailure()
	}
	u.logBreaker(state, cause)
}

// aside reports whether path is one of a checksum database. Many proxies serve
// modules alone.
func aside(path string) bool { return strings.HasPrefix(path, "sumdb/") }

// beside returns what a result of such a path says about the proxy: that it
// answers, or nothing.
func beside(r breaker.Result, f *Failure) breaker.Result {
	switch {
	case r == breaker.Success, r == breaker.Failure && f.Status > 0:
		return breaker.Answered
	case r == breaker.Failure:
		return breaker.Neutral
	}
	return r
}

// works notes that the proxy has served a file: whatever the checks have met,
// it does what it is there for.
func (u *Upstream) works(path string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if aside(path) {
		return
	}
	u.failing = 0
	if isSmall(path) {
		u.served = path
	}
}

func (u *Upstream) count(c decision.Class, detail string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.classes[c]++
	if c != "" && c != decision.Missing {
		u.last = detail
	}
}

// paused notes that the proxy gets too many requests, if f says so. A 503 with
// Retry-After is about one file: the proxy is still fetching or scanning it.
func (u *Upstream) paused(f *Failure) {
	if f.Class != decision.RateLimited {
		return
	}
	d := min(cmp.Or(f.RetryAfter, unnamedPause), longestPause)
	until := time.Now().Add(d)
	u.mu.Lock()
	news := !time.Now().Before(u.pause)
	if until.After(u.pause) {
		u.pause = until
	}
	last := u.last
	u.mu.Unlock()
	if news {
		u.Log.Warn(stateChanged, "proxy", u.Name, "state", string(Paused), "for", d, "cause", last)
	}
}

// logBreaker logs that the breaker has opened or closed. A trial that fails is
// no news: the proxy is as it was.
func (u *Upstream) logBreaker(state breaker.State, cause string) {
	u.mu.Lock()
	news := state != breaker.HalfOpen && state != u.shown
	if news {
		u.shown = state
	}
	u.mu.Unlock()
	switch {
	case !news:
	case state == breaker.Open:
		u.Log.Warn(stateChanged, "proxy", u.Name, "state", string(Open), "cause", cause)
	default:
		u.Log.Info(stateChanged, "proxy", u.Name, "state", string(Healthy), "cause", cause)
	}
}

func (u *Upstream) lastFailure() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.last
}
