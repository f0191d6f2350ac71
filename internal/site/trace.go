package site

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/fault"
	"github.com/org/goproxy-setup/internal/modproxy"
)

// A span is the time of one phase; the zero value never began.
type span struct {
	start time.Time
	over  bool
	took  time.Duration
	note  string // for people
	err   error
}

// A Trace follows one request over its redirects. Its hooks run on goroutines
// of the transport, even after the request is over.
type Trace struct {
	mu    sync.Mutex // guards the fields below
	hops  int        // requests sent, redirects included
	host  string     // of the latest hop
	proxy string     // HTTP proxy of the latest hop, "" if none
	phase fault.Phase
	since time.Time // when the phase began

	// The first hop's phases.
	dns, tcp, tls, http span
	families            []family
	ready               time.Time // a connection was there
}

// A family is IPv4 or IPv6, and what became of connecting by it.
type family struct {
	name string
	err  error
	done bool
}

type traceKey struct{}

// Start returns a context whose request is followed by the trace.
func (t *Trace) Start(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(context.WithValue(ctx, traceKey{}, t), &httptrace.ClientTrace{
		DNSStart:          func(httptrace.DNSStartInfo) { t.begin(fault.Resolving, &t.dns) },
		DNSDone:           t.dnsDone,
		ConnectStart:      t.connectStart,
		ConnectDone:       t.connectDone,
		TLSHandshakeStart: func() { t.begin(fault.Handshaking, &t.tls) },
		TLSHandshakeDone:  t.tlsDone,
		GotConn:           func(httptrace.GotConnInfo) { t.gotConn() },
		GotFirstResponseByte: func() {
			t.end(fault.Reading, &t.http, "", nil)
		},
	})
}

// TraceOf returns the trace that follows the request of ctx, or one that
// nobody looks at.
func TraceOf(ctx context.Context) *Trace {
	if t, ok := ctx.Value(traceKey{}).(*Trace); ok {
		return t
	}
	return &Trace{}
}

// Hop notes that a request for u leaves, by the HTTP proxy if there is one.
func (t *Trace) Hop(u *url.URL, proxy *url.URL) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.hops++
	t.host, t.proxy = u.Host, ""
	t.phase, t.since = fault.Resolving, time.Now()
	if proxy != nil {
		t.proxy = proxy.Host
	}
}

// enter is for phases that follow each other: a second address is connected to
// within the same one, and a request that was given another's connection does
// not go back to wait for its own.
func (t *Trace) enter(p fault.Phase) {
	if p > t.phase {
		t.phase, t.since = p, time.Now()
	}
}

// begin enters a phase. Only the first hop's times are kept.
func (t *Trace) begin(p fault.Phase, s *span) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.enter(p)
	if t.hops <= 1 && s.start.IsZero() {
		s.start = time.Now()
	}
}

// end leaves a phase for the next one.
func (t *Trace) end(next fault.Phase, s *span, note string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.enter(next)
	if t.hops <= 1 && !s.start.IsZero() && !s.over {
		s.over, s.took, s.note, s.err = true, time.Since(s.start), note, err
	}
}

func (t *Trace) dnsDone(i httptrace.DNSDoneInfo) {
	var addrs []string
	for _, a := range i.Addrs {
		addrs = append(addrs, a.String())
	}
	if extra := len(addrs) - 4; extra > 0 {
		addrs = append(addrs[:4], fmt.Sprintf("%d more", extra))
	}
	t.end(fault.Connecting, &t.dns, strings.Join(addrs, ", "), i.Err)
}

func (t *Trace) connectStart(_, addr string) {
	t.begin(fault.Connecting, &t.tcp)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hops <= 1 {
		t.families = append(t.families, family{name: familyOf(addr)})
	}
}

func (t *Trace) connectDone(_, addr string, err error) {
	t.mu.Lock()
	for i := range t.families {
		if f := &t.families[i]; f.name == familyOf(addr) && !f.done {
			f.done, f.err = true, err
			break
		}
	}
	t.mu.Unlock()
	if err == nil {
		t.end(fault.Tunnelling, &t.tcp, "", nil)
	}
}

func familyOf(addr string) string {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		host = addr
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Unmap().Is6() {
		return "v6"
	}
	return "v4"
}

func (t *Trace) tlsDone(s tls.ConnectionState, err error) {
	note := ""
	if err == nil {
		note = tls.VersionName(s.Version)
		if s.NegotiatedProtocol != "" {
			note += ", " + s.NegotiatedProtocol
		}
		if len(s.PeerCertificates) > 0 {
			note += ", issued by " + fault.Issuer(s.PeerCertificates[0])
		}
	}
	t.end(fault.Answering, &t.tls, note, err)
}

func (t *Trace) gotConn() {
	t.begin(fault.Answering, &t.http)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.ready = time.Now()
}

// Where returns how far the request has got.
func (t *Trace) Where() fault.Where {
	t.mu.Lock()
	defer t.mu.Unlock()
	return fault.Where{Phase: t.phase, Host: t.host, Proxy: t.proxy, Hops: t.hops, Waited: time.Since(t.since)}
}

// ReadyFor returns how long the connection has been there; the request is
// over.
func (t *Trace) ReadyFor() time.Duration {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ready.IsZero() {
		return 0
	}
	return time.Since(t.ready)
}

// Checks returns the phases of the connection that the request opened. A phase
// that never ended failed with the class and detail of the whole request.
func (t *Trace) Checks(class decision.Class, status int, detail string) []decision.Check {
	t.mu.Lock()
	defer t.mu.Unlock()
	var list []decision.Check
	for _, p := range []struct {
		kind decision.CheckKind
		span *span
	}{
		{decision.DNS, &t.dns}, {decision.TCP, &t.tcp}, {decision.TLS, &t.tls}, {decision.HTTP, &t.http},
	} {
		if p.span.start.IsZero() {
			continue
		}
		c := decision.Check{Kind: p.kind, Took: p.span.took, Detail: p.span.note}
		if p.kind == decision.TCP {
			c.Detail = families(t.families)
		}
		if p.kind == decision.DNS && t.proxy != "" {
			c.Detail = "of the HTTP proxy " + t.proxy + ": " + c.Detail
		}
		if !p.span.over || p.span.err != nil {
			c.Class, c.Detail = class, strings.TrimPrefix(c.Detail+"; "+detail, "; ")
			if !p.span.over {
				c.Took = time.Since(p.span.start)
			}
			return append(list, c)
		}
		if p.kind == decision.HTTP {
			c.Status = status
			if c.Status != 0 {
				c.Detail = modproxy.StatusText(c.Status)
			}
		}
		list = append(list, c)
	}
	return list
}

// families says how the addresses of a host were reached: "v6 failed
// (connection refused), v4 ok".
func families(list []family) string {
	var parts []string
	seen := map[string]bool{}
	for i := len(list) - 1; i >= 0; i-- { // the latest attempt of a family says it
		f := list[i]
		if seen[f.name] {
			continue
		}
		seen[f.name] = true
		switch {
		case !f.done:
			parts = append(parts, f.name+" no answer")
		case f.err != nil:
			parts = append(parts, fmt.Sprintf("%s failed (%s)", f.name, fault.RootCause(f.err)))
		default:
			parts = append(parts, f.name+" ok")
		}
	}
	slices.Reverse(parts)
	return strings.Join(parts, ", ")
}
