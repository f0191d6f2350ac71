package probe

import (
	"time"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/fault"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/site"
)

// An outcome is the result of one question.
type outcome struct {
	question question
	class    decision.Class // "" if passed
	status   int
	detail   string // what happened, without the question
	fix      string // what to do, if the protocol alone says it
	host     string // that answered or failed, after redirects; "" for a file
	proxy    string // the HTTP proxy on the way, "" if none
	hops     int    // requests, redirects included
	took     time.Duration
	latency  time.Duration // from an open connection to the last byte
	trace    *site.Trace
	before   *site.Trace // of the first attempt, if this is the second

	retryAfter time.Duration // that the server asks for
}

// text names the question and what came of it.
func (o outcome) text() string {
	if o.detail == "" {
		return o.question.what
	}
	return o.question.what + ": " + o.detail
}

// elsewhere reports whether the answer, or the failure, was another host's.
func (o outcome) elsewhere(s *site.Site) bool { return o.hops > 1 && o.host != s.Base.Host }

// storageFault reports whether the proxy redirected to another host, and that
// host does not serve.
func (o outcome) storageFault(s *site.Site) bool {
	switch o.class {
	case "", decision.Portal, decision.WrongContent, decision.Stalled, decision.RateLimited, decision.NotAllowed, decision.BadRedirect:
		return false
	}
	return o.elsewhere(s)
}

// fail makes the outcome that of err, an error of package modproxy.
func (o *outcome) fail(err error) {
	e := modproxy.AsError(err)
	w := o.trace.Where()
	o.status, o.host, o.proxy, o.retryAfter = e.Status, w.Host, w.Proxy, e.RetryAfter
	if e.Status == 0 {
		o.fix = e.Fix
	}
	o.class, o.detail = fault.OfRequest(e, w)
}

func oneLine(err error) string { return modproxy.Line(err.Error()) }
