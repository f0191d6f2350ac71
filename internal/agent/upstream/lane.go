package upstream

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// lastFor is how long an address that failed goes behind the others.
const lastFor = time.Minute

// A lane is one address of a proxy, with the connections to it.
type lane struct {
	addr    netip.AddrPort // invalid if it stands for many hosts
	connect func(context.Context) (net.Conn, error)
	make    func(*lane) *http.Transport

	mu    sync.Mutex // guards the fields below
	tr    *http.Transport
	epoch int       // counts transports
	conns int       // that stand, of this epoch
	until time.Time // it goes behind the others until then
}

// A connectError is one that the request itself did not meet yet: another
// address may be asked.
type connectError struct{ err error }

func (e *connectError) Error() string { return e.err.Error() }
func (e *connectError) Unwrap() error { return e.err }

// roundTrip sends a request by a connection of the lane: fresh, unless that is
// nil or the transport has another one at hand.
func (l *lane) roundTrip(req *http.Request, fresh net.Conn) (*http.Response, error) {
	tr := l.transport()
	attemptOf(req.Context()).by(l, tr)
	if fresh != nil {
		h := new(handoff)
		h.Store(&fresh)
		defer h.drop()
		req = req.WithContext(context.WithValue(req.Context(), handoffKey{}, h))
	}
	resp, err := tr.RoundTrip(req)
	_, noConn := errors.AsType[*connectError](err)
	switch {
	case err == nil:
		l.putFirst()
	case noConn && req.Context().Err() == nil:
		l.putLast()
	}
	return resp, err
}

// dialer returns what the lane's transport opens connections with.
func (l *lane) dialer(limit time.Duration) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, _, _ string) (net.Conn, error) {
		if h, ok := ctx.Value(handoffKey{}).(*handoff); ok {
			if c := h.Swap(nil); c != nil {
				return *c, nil
			}
		}
		ctx, cancel := context.WithTimeout(ctx, limit)
		defer cancel()
		c, err := l.connect(ctx)
		if err != nil {
			return nil, &connectError{err}
		}
		return c, nil
	}
}

// A handoff brings a connection that is open already to the transport, which
// has only a dialer to get one from.
type handoff struct{ atomic.Pointer[net.Conn] }

type handoffKey struct{}

// drop closes the connection if the transport did not need it.
func (h *handoff) drop() {
	if c := h.Swap(nil); c != nil {
		(*c).Close()
	}
}

func (l *lane) transport() *http.Transport {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.tr == nil {
		l.tr = l.make(l)
	}
	return l.tr
}

// renew makes the next request open a connection: the pool would hand out the
// one again on which tr met a failure. Requests on old connections go on.
func (l *lane) renew(tr *http.Transport) {
	l.mu.Lock()
	if l.tr == tr {
		l.tr, l.conns = nil, 0
		l.epoch++
	}
	l.mu.Unlock()
	tr.CloseIdleConnections()
}

// idle closes the connections that no request uses.
func (l *lane) idle() {
	l.mu.Lock()
	tr := l.tr
	l.mu.Unlock()
	if tr != nil {
		tr.CloseIdleConnections()
	}
}

// opened counts a connection, and returns the epoch that it is of.
func (l *lane) opened() (epoch int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns++
	return l.epoch
}

func (l *lane) closed(epoch int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch == l.epoch {
		l.conns--
	}
}

// standing returns how many connections there are.
func (l *lane) standing() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conns
}

func (l *lane) putLast() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = time.Now().Add(lastFor)
}

func (l *lane) putFirst() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.until = time.Time{}
}

// rank orders lanes: those that work, and among them those with connections;
// then the one whose failure is the longest ago.
func (l *lane) rank() (failed bool, until time.Time, idle bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if failed = time.Now().Before(l.until); failed {
		until = l.until
	}
	return failed, until, l.conns == 0
}

func without(lanes []*lane, l *lane) []*lane {
	return slices.DeleteFunc(slices.Clone(lanes), func(o *lane) bool { return o == l })
}
