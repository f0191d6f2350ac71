package upstream

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"github.com/org/goproxy-setup/internal/fault"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/site"
)

// A network is how requests for one proxy travel. It keeps them, redirects
// included, away from where the policy does not allow them, and has a lane for
// each of the proxy's addresses.
type network struct {
	*Config
	base  *names // of the proxy's own host
	other *lane  // for hosts that the proxy redirects to, and all by an HTTP proxy

	mu       sync.Mutex // guards the fields below
	conns    map[*conn]struct{}
	requests int  // on their way
	retired  bool // connections that nobody uses are cut
}

func newNetwork(c *Config) *network {
	n := &network{Config: c, conns: map[*conn]struct{}{}}
	n.base = newNames(n, c.URL)
	n.other = &lane{make: func(l *lane) *http.Transport {
		tr := newTransport()
		tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
			return n.dialHost(ctx, l, network, address)
		}
		tr.TLSClientConfig = &tls.Config{RootCAs: c.RootCAs}
		tr.TLSHandshakeTimeout = c.Limits.Connect
		tr.Proxy = func(req *http.Request) (*url.URL, error) { return n.httpProxy(req.URL) }
		tr.OnProxyConnectResponse = site.Tunnelled
		return tr
	}}
	return n
}

// newTransport returns what all transports have in common.
func newTransport() *http.Transport {
	return &http.Transport{
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // else lengths lie
		MaxIdleConns:           128,
		MaxIdleConnsPerHost:    32, // as many as the go command has requests at once, and hedges
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		// A connection that dies without a word is noticed by pings alone.
		HTTP2: &http.HTTP2Config{SendPingTimeout: 5 * time.Second, PingTimeout: 2 * time.Second},
	}
}

func (n *network) httpProxy(u *url.URL) (*url.URL, error) {
	if n.Proxy == nil {
		return nil, nil
	}
	return n.Proxy(u)
}

// RoundTrip implements [http.RoundTripper].
func (n *network) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := site.MayAsk(req.URL, n.Allows); err != nil {
		return nil, err
	}
	proxy, err := n.httpProxy(req.URL)
	if err != nil {
		return nil, &net.OpError{Op: "proxyconnect", Net: "tcp", Err: err}
	}
	a := attemptOf(req.Context())
	a.hop(req.URL, proxy)
	var resp *http.Response
	if proxy != nil || req.URL.Scheme != n.URL.Scheme || req.URL.Host != n.URL.Host {
		resp, err = n.other.roundTrip(req, nil)
	} else {
		resp, err = n.ask(a, req)
	}
	if err == nil && resp.StatusCode >= 400 {
		a.hurry()
	}
	return resp, err
}

// ask sends a request to one of the proxy's addresses, and goes on to the next
// one as long as there is no connection.
func (n *network) ask(a *attempt, req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeout(req.Context(), n.Limits.Connect)
	defer cancel()
	lanes, err := n.base.lanes(ctx)
	if err != nil {
		return nil, err
	}
	for {
		var fresh net.Conn
		l := lanes[0]
		if l.standing() == 0 {
			a.again()
			if l, fresh, err = race(ctx, lanes); err != nil {
				return nil, err
			}
		}
		resp, err := l.roundTrip(req, fresh)
		c, noConn := errors.AsType[*connectError](err)
		if !noConn {
			return resp, err
		}
		lanes = without(lanes, l)
		if len(lanes) == 0 || ctx.Err() != nil {
			return nil, c.err
		}
	}
}

// dialHost connects to a host that is not the proxy's own.
func (n *network) dialHost(ctx context.Context, l *lane, network, address string) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, n.Limits.Connect)
	defer cancel()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := resolve(ctx, n.Resolve, host)
	if err != nil {
		return nil, err
	}
	lanes := make([]*lane, len(addrs))
	for i, addr := range addrs {
		lanes[i] = &lane{connect: func(ctx context.Context) (net.Conn, error) {
			return n.open(ctx, l, network, net.JoinHostPort(addr.String(), port))
		}}
	}
	_, c, err := race(ctx, lanes)
	if err == nil {
		attemptOf(ctx).enter(fault.Tunnelling)
	}
	return c, err
}

// open connects to an address, unless it may never be asked.
func (n *network) open(ctx context.Context, l *lane, network, address string) (net.Conn, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	if why := policy.ForbiddenAddr(at.Addr()); why != "" {
		return nil, &fault.NotAllowedError{Why: fmt.Sprintf("%s is never asked: %s", at.Addr(), why)}
	}
	attemptOf(ctx).enter(fault.Connecting)
	raw, err := n.Dial(ctx, network, address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, n: n, lane: l, epoch: l.opened()}
	n.mu.Lock()
	n.conns[c] = struct{}{}
	n.mu.Unlock()
	return c, nil
}

// A conn is an open connection, and is counted.
type conn struct {
	net.Conn
	n     *network
	lane  *lane
	epoch int
	once  sync.Once
}

// Close implements [net.Conn].
func (c *conn) Close() error {
	c.once.Do(func() {
		c.n.mu.Lock()
		delete(c.n.conns, c)
		c.n.mu.Unlock()
		c.lane.closed(c.epoch)
	})
	return c.Conn.Close()
}

// enter counts a request that begins, leave one that is over.
func (n *network) enter() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.requests++
}

func (n *network) leave() {
	n.mu.Lock()
	n.requests--
	n.mu.Unlock()
	n.sweep()
}

// retire cuts connections as soon as no request uses them.
func (n *network) retire() {
	n.mu.Lock()
	n.retired = true
	n.mu.Unlock()
	n.other.idle()
	n.base.idle()
	n.sweep()
}

// sweep cuts all connections if nothing is on its way and nothing more is to
// come.
func (n *network) sweep() {
	n.mu.Lock()
	var cut []*conn
	if n.retired && n.requests == 0 {
		for c := range n.conns {
			cut = append(cut, c)
		}
	}
	n.mu.Unlock()
	for _, c := range cut {
		c.Close()
	}
}
