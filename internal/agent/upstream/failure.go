package upstream

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/fault"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/report"
)

// A Failure says how a request for a file went wrong.
type Failure struct {
	Upstream   string
	Class      decision.Class
	Status     int // 0 if no response arrived
	Detail     string
	Next       string
	RetryAfter time.Duration
	Took       time.Duration
}

// Error returns one line without credentials.
func (f *Failure) Error() string { return f.Upstream + ": " + f.Detail }

// failure tells what err, met by the attempt, means.
func (u *Upstream) failure(a *attempt, err error) *Failure {
	f := &Failure{Upstream: u.Name, Took: time.Since(a.started)}
	e := modproxy.AsError(err)
	f.Status, f.Next = e.Status, e.Fix
	if e.Status == http.StatusTooManyRequests || e.Status == http.StatusServiceUnavailable {
		f.RetryAfter = e.RetryAfter
	}
	w := a.where()
	switch cause := context.Cause(a.ctx); {
	case e.Err == nil: // the status says it, even if its text was late
	case a.parent.Err() != nil:
		f.Class, f.Detail = decision.Cancelled, fmt.Sprintf("given up after %s", report.Round(f.Took))
		return f
	case cause == errStalled:
		f.Class, f.Detail = decision.Stalled, fmt.Sprintf("the body brought less than %d bytes per second over %s", u.Limits.Rate, report.Round(u.Limits.Window))
		return f
	}
	f.Class, f.Detail = fault.OfRequest(e, w)
	f.Detail = u.client.Hide(f.Detail)
	return f
}

// bodyFailure is failure for an error that a body ended with.
func (u *Upstream) bodyFailure(a *attempt, err error) error {
	if err == nil || err == io.EOF {
		return err
	}
	return u.failure(a, err)
}

// harmless reports whether an answer of this class is that of a proxy that
// works, or says nothing about it.
func harmless(c decision.Class) bool {
	switch c {
	case decision.Missing, decision.Forbidden, decision.RateLimited, decision.Unauthorized, decision.NotAllowed, decision.Cancelled, NotAsked, Unfit:
		return true
	}
	return false
}

// suspect reports whether a failure of this class makes the connection on which
// it was met a bad one for the next request.
func suspect(c decision.Class) bool {
	switch c {
	case decision.Reset, decision.Silent, decision.Stalled, decision.Timeout, decision.BadTLS:
		return true
	}
	return false
}
