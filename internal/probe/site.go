package probe

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/org/goproxy-setup/internal/fault"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/netrc"
	"github.com/org/goproxy-setup/internal/policy"
)

// Limits of one connection. The go command allows 30 s and 10 s.
const (
	connectLimit   = 3 * time.Second // name resolution included
	handshakeLimit = 3 * time.Second
	perHost        = 8 // concurrent requests
)

// A site is one host that is asked, with connections of its own. It refuses
// what the policy does not allow to be asked, on redirects too.
type site struct {
	client *modproxy.Client
	base   *url.URL
	allows func(host string) bool
	proxy  func(*url.URL) (*url.URL, error) // HTTPS_PROXY and its kin
	tr     *http.Transport
	slots  chan struct{} // shared by all sites of one host

	mu    sync.Mutex // guards the fields below
	conns []net.Conn
	gone  bool
}

// newSite prepares asking base, whose certificate is checked against roots.
func (r *run) newSite(base *url.URL, roots *x509.CertPool) *site {
	s := &site{base: base, allows: r.cfg.Settings.Allows, proxy: r.httpProxy, slots: r.slotsFor(base.Host)}
	s.tr = &http.Transport{
		Proxy:                  func(req *http.Request) (*url.URL, error) { return s.proxy(req.URL) },
		DialContext:            s.dialer(r.cfg.Dial),
		TLSClientConfig:        &tls.Config{RootCAs: roots},
		TLSHandshakeTimeout:    handshakeLimit,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    perHost,
		MaxResponseHeaderBytes: 64 << 10,
		OnProxyConnectResponse: func(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
			if resp.StatusCode != http.StatusOK {
				return &fault.TunnelError{Proxy: proxy.Host, Status: resp.StatusCode}
			}
			return nil
		},
	}
	s.client = &modproxy.Client{Base: base, HTTP: s}
	return s
}

// RoundTrip implements [http.RoundTripper].
func (s *site) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := s.mayAsk(req.URL); err != nil {
		return nil, err
	}
	proxy, err := s.proxy(req.URL)
	if err != nil {
		return nil, err
	}
	traceOf(req.Context()).hop(req.URL, proxy)
	return s.tr.RoundTrip(req)
}

// mayAsk enforces the policy's allow-list, and keeps away from addresses that
// no module proxy has; names are checked again when they are resolved.
func (s *site) mayAsk(u *url.URL) error {
	host := strings.TrimSuffix(u.Hostname(), ".")
	if why := policy.ForbiddenHost(host); why != "" {
		return &fault.NotAllowedError{Why: fmt.Sprintf("%s is never asked: %s", host, why)}
	}
	if !s.allows(host) {
		return &fault.NotAllowedError{Why: fmt.Sprintf("the policy's allow-list does not name %s", host)}
	}
	return nil
}

// dialer returns the function that opens the site's connections: through dial
// or, if that is nil, by the network, where each resolved address is checked.
func (s *site) dialer(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	if dial == nil {
		dial = (&net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
			a, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			if why := policy.ForbiddenAddr(a.Addr()); why != "" {
				return &fault.NotAllowedError{Why: fmt.Sprintf("%s is never asked: %s", address, why)}
			}
			return nil
		}}).DialContext
	} else {
		dial = traced(dial)
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		ctx, cancel := context.WithTimeout(ctx, connectLimit)
		defer cancel()
		conn, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return conn, s.keep(conn)
	}
}

// traced reports to the request's trace, as a [net.Dialer] does by itself.
func traced(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		hooks := httptrace.ContextClientTrace(ctx)
		if hooks != nil {
			hooks.ConnectStart(network, address)
		}
		conn, err := dial(ctx, network, address)
		if hooks != nil {
			hooks.ConnectDone(network, address, err)
		}
		return conn, err
	}
}

// errGone counts as a time-out, as other ends of a probe do.
var errGone = fmt.Errorf("the probe is over: %w", context.Canceled)

// keep remembers conn, so that close can cut it.
func (s *site) keep(conn net.Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		conn.Close()
		return errGone
	}
	s.conns = append(s.conns, conn)
	return nil
}

// close cuts all connections, and ends the attempts to open some.
func (s *site) close() {
	s.mu.Lock()
	s.gone = true
	conns := s.conns
	s.mu.Unlock()
	s.tr.CloseIdleConnections()
	for _, c := range conns {
		c.Close()
	}
}

// login returns the credentials for an entry, nil if there are none. The go
// command sends some over https only.
func (r *run) login(e policy.Entry, base *url.URL) *url.Userinfo {
	if base.Scheme != "https" {
		return nil
	}
	if r.cfg.Credentials != nil {
		if user, password, ok := r.cfg.Credentials(e); ok {
			return url.UserPassword(user, password)
		}
	}
	return r.netrcLogin(base)
}

// netrcLogin returns the netrc file's credentials for a URL, nil if there are
// none.
func (r *run) netrcLogin(base *url.URL) *url.Userinfo {
	if m, ok := netrc.Lookup(r.cfg.Netrc, base); ok && r.useNetrc {
		return url.UserPassword(m.Login, m.Password)
	}
	return nil
}
