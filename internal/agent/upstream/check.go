package upstream

import (
	"cmp"
	"context"
	"io"
	"math/rand/v2"
	"time"

	"github.com/org/goproxy-setup/internal/agent/breaker"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/modproxy"
)

// Active checks. A proxy is checked while it is in use, and while it is not to
// be asked, so that its return is noticed; of the latter those that nobody
// wants are checked less and less often, and then not at all. An idle agent
// sends nothing: many thousands of them stand before the same public proxies.
const (
	checkEvery   = 5 * time.Second
	checkSeldom  = time.Minute // at the longest
	checkLimit   = 2 * time.Second
	checkJitter  = 0.2         // share of the pause that is random
	inUse        = time.Minute // since the last request
	missed       = time.Hour   // the same, of a proxy that is not to be asked
	checkMaxBody = 64 << 10
)

// Run checks the proxy until ctx is done. It asks for a file that the proxy has
// served, if there is one: others it may not be able to get. Without a CheckPath it does nothing.
func (u *Upstream) Run(ctx context.Context) {
	if u.CheckPath == "" {
		return
	}
	pause := checkEvery
	for {
		jitter := time.Duration(checkJitter * float64(pause))
		if u.sleep(ctx, pause-jitter/2+rand.N(jitter+1)) != nil {
			return
		}
		used, ejected := u.standing()
		switch {
		case used:
			pause = checkEvery
		case ejected:
			pause = min(2*pause, checkSeldom)
		default:
			pause = checkEvery
			continue
		}
		if u.pauseLeft() <= 0 {
			u.check(ctx, 2*pause+checkLimit)
		}
	}
}

// standing reports whether somebody wanted something of the proxy lately, and
// whether somebody may miss it since it is not to be asked.
func (u *Upstream) standing() (used, ejected bool) {
	u.mu.Lock()
	idle := time.Since(u.used) // an age, if nobody ever did
	u.mu.Unlock()
	return idle < inUse, idle < missed && (u.isSlow() || u.breaker.State() != breaker.Closed)
}

// check asks for the file of the checks, and draws the conclusions: a failure
// keeps requests away until the next check.
func (u *Upstream) check(ctx context.Context, next time.Duration) {
	f := u.ask(ctx)
	if f != nil && f.Class == decision.Cancelled {
		return
	}
	bad := f != nil && !harmless(f.Class)
	u.mu.Lock()
	u.checks++
	if bad {
		u.failing++
		u.last = f.Detail
	} else {
		u.failing = 0
	}
	failures := u.failing
	u.mu.Unlock()
	switch {
	case !bad:
		// Not closed at once: a proxy may serve this file and no other.
		u.breaker.Retry()
	case failures >= failuresToOpen || u.breaker.State() != breaker.Closed:
		state, _ := u.breaker.Trip(next)
		u.logBreaker(state, "active check: "+f.Detail)
	}
}

func (u *Upstream) ask(ctx context.Context) *Failure {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	u.net.enter()
	defer u.net.leave()
	u.mu.Lock()
	path := cmp.Or(u.served, u.CheckPath)
	u.mu.Unlock()
	a, answer, f := u.send(ctx, path, modproxy.Resume{}, checkLimit)
	defer a.end(nil)
	if f == nil {
		f = u.readCheck(a, answer)
	}
	switch {
	case f == nil:
		u.latency(path, answer.FirstByte)
	case f.Class == decision.RateLimited:
		u.paused(f)
	case !harmless(f.Class):
		a.blame(suspect(f.Class))
	}
	return f
}

// readCheck reads the file within the rest of the limit. What it says is the
// business of whoever accepts files; a page for people is no file of any proxy.
func (u *Upstream) readCheck(a *attempt, answer *Answer) *Failure {
	defer answer.Body.Close()
	a.header.Reset(time.Until(a.due))
	defer a.header.Stop()
	data, err := io.ReadAll(io.LimitReader(answer.Body, checkMaxBody))
	if f, ok := IsFailure(err); ok {
		return f
	}
	if len(data) > 0 && data[0] == '<' {
		return &Failure{Upstream: u.Name, Class: decision.Portal, Status: 200, Detail: "a page for people instead of a file: " + modproxy.Excerpt(data)}
	}
	return nil
}
