package upstream

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"time"

	"github.com/org/goproxy-setup/internal/fault"
)

// Why we end a request.
var (
	errSilent  = fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)
	errStalled = errors.New("the body is too slow")
)

// An attempt follows one request over its redirects. Its hooks run on
// goroutines of the transports, even after the request is over.
type attempt struct {
	started time.Time
	parent  context.Context // the caller's: once it is done, nothing is the proxy's fault
	ctx     context.Context
	end     context.CancelCauseFunc
	header  *time.Timer // ends it
	due     time.Time   // when

	mu    sync.Mutex // guards the fields below
	at    fault.Where
	since time.Time // when the phase began
	lane  *lane     // of the latest hop
	tr    *http.Transport
}

type attemptKey struct{}

// begin starts following a request that must have its answer's header within
// limit. The request uses the context returned.
func (n *network) begin(parent context.Context, limit time.Duration) (*attempt, context.Context) {
	a := &attempt{started: time.Now(), parent: parent, due: time.Now().Add(limit)}
	ctx, end := context.WithCancelCause(parent)
	a.end = end
	a.header = time.AfterFunc(limit, func() { end(errSilent) })
	a.ctx = httptrace.WithClientTrace(context.WithValue(ctx, attemptKey{}, a), &httptrace.ClientTrace{
		TLSHandshakeStart:    func() { a.enter(fault.Handshaking) },
		GotConn:              func(httptrace.GotConnInfo) { a.enter(fault.Answering) },
		GotFirstResponseByte: func() { a.enter(fault.Reading) },
	})
	return a, a.ctx
}

// attemptOf returns the attempt that follows the request of ctx, or one that
// nobody looks at.
func attemptOf(ctx context.Context) *attempt {
	if a, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		return a
	}
	return new(attempt)
}

// hop notes that a request for target leaves, by the HTTP proxy if there is one.
func (a *attempt) hop(target, proxy *url.URL) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at = fault.Where{Host: target.Host, Hops: a.at.Hops + 1}
	if proxy != nil {
		a.at.Proxy = proxy.Host
	}
	a.since = time.Now()
}

// enter notes what the request waits for now. Of hooks that come late, when
// another connection has taken the request, nothing is noted.
func (a *attempt) enter(p fault.Phase) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if p > a.at.Phase {
		a.at.Phase, a.since = p, time.Now()
	}
}

// by notes the connections that the latest hop is to use.
func (a *attempt) by(l *lane, tr *http.Transport) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.lane, a.tr = l, tr
}

// again notes that the latest hop begins to connect once more.
func (a *attempt) again() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.at.Phase, a.since = fault.Connecting, time.Now()
}

func (a *attempt) where() fault.Where {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := a.at
	w.Waited = time.Since(a.since)
	return w
}

// blame puts the address that was used behind the others; if its connections
// are suspect, the next request opens another.
func (a *attempt) blame(suspect bool) {
	a.mu.Lock()
	l, tr := a.lane, a.tr
	a.mu.Unlock()
	if l == nil {
		return
	}
	l.putLast()
	if suspect {
		l.renew(tr)
	}
}

// hurry gives the text of an error a second: it is not worth more.
func (a *attempt) hurry() {
	if a.header != nil && a.header.Stop() {
		a.header.Reset(min(time.Second, time.Until(a.due)))
	}
}
