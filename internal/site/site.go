// Package site asks one host as the go command would: by the same HTTP proxy,
// certificates and login, over connections of its own. It never asks what
// must not be asked, on redirects too.
package site

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
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
)

// Config is how a site may be asked.
type Config struct {
	Allows func(host string) bool                                               // the policy's allow-list, asked without the port; nil allows all
	Proxy  func(*url.URL) (*url.URL, error)                                     // the HTTP proxy on the way; see [modproxy.HTTPProxy]
	Roots  *x509.CertPool                                                       // nil is the system's
	Dial   func(ctx context.Context, network, address string) (net.Conn, error) // nil is the network's own; for tests
	Idle   int                                                                  // connections that are kept open
}

// A Site is one host that is asked, with connections of its own. It refuses
// what the policy does not allow to be asked, on redirects too.
type Site struct {
	Client *modproxy.Client
	Base   *url.URL

	cfg Config
	tr  *http.Transport

	mu    sync.Mutex // guards the fields below
	conns map[*conn]bool
	gone  bool
}

// New prepares asking base. The caller must Close the site.
func New(base *url.URL, cfg Config) *Site {
	s := &Site{Base: base, cfg: cfg, conns: map[*conn]bool{}}
	s.tr = &http.Transport{
		Proxy:                  func(req *http.Request) (*url.URL, error) { return cfg.Proxy(req.URL) },
		DialContext:            s.dialer(cfg.Dial),
		TLSClientConfig:        &tls.Config{RootCAs: cfg.Roots},
		TLSHandshakeTimeout:    handshakeLimit,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true,
		MaxIdleConnsPerHost:    cfg.Idle,
		MaxResponseHeaderBytes: 64 << 10,
		OnProxyConnectResponse: Tunnelled,
	}
	s.Client = &modproxy.Client{Base: base, HTTP: s}
	return s
}

// RoundTrip implements [http.RoundTripper].
func (s *Site) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := MayAsk(req.URL, s.cfg.Allows); err != nil {
		return nil, err
	}
	proxy, err := s.cfg.Proxy(req.URL)
	if err != nil {
		return nil, err
	}
	TraceOf(req.Context()).Hop(req.URL, proxy)
	return s.tr.RoundTrip(req)
}

// Tunnelled refuses an answer of an HTTP proxy to CONNECT that is not 200, as
// [http.Transport].OnProxyConnectResponse does.
func Tunnelled(_ context.Context, proxy *url.URL, _ *http.Request, resp *http.Response) error {
	if resp.StatusCode != http.StatusOK {
		return &fault.TunnelError{Proxy: proxy.Host, Status: resp.StatusCode}
	}
	return nil
}

// MayAsk enforces the policy's allow-list, nil for none, and keeps away from
// hosts that no module proxy has. Names are to be checked again when they are
// resolved. The error is a [*fault.NotAllowedError].
func MayAsk(u *url.URL, allows func(host string) bool) error {
	host := strings.TrimSuffix(u.Hostname(), ".")
	if why := policy.ForbiddenHost(host); why != "" {
		return &fault.NotAllowedError{Why: fmt.Sprintf("%s is never asked: %s", host, why)}
	}
	if allows != nil && !allows(host) {
		return &fault.NotAllowedError{Why: fmt.Sprintf("the policy's allow-list does not name %s", host)}
	}
	return nil
}

// dialer returns the function that opens the site's connections: through dial
// or, if that is nil, by the network, where each resolved address is checked.
func (s *Site) dialer(dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
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
		return s.keep(conn)
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

// errGone counts as a time-out, as other ends of a run do.
var errGone = fmt.Errorf("it is over: %w", context.Canceled)

// A conn is forgotten when it is closed.
type conn struct {
	net.Conn
	site *Site
}

func (c *conn) Close() error {
	c.site.mu.Lock()
	delete(c.site.conns, c)
	c.site.mu.Unlock()
	return c.Conn.Close()
}

// keep remembers a connection, so that Close can cut it.
func (s *Site) keep(nc net.Conn) (net.Conn, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.gone {
		nc.Close()
		return nil, errGone
	}
	c := &conn{nc, s}
	s.conns[c] = true
	return c, nil
}

// Close cuts all connections, and ends the attempts to open some.
func (s *Site) Close() {
	s.mu.Lock()
	s.gone = true
	var open []net.Conn
	for c := range s.conns {
		open = append(open, c.Conn)
	}
	s.mu.Unlock()
	s.tr.CloseIdleConnections()
	for _, c := range open {
		c.Close()
	}
}

// Logins are the credentials that may be sent.
type Logins struct {
	Netrc  []netrc.Machine // entries of the netrc file
	GOAUTH string          // may say that the go command does not read netrc
	// Policy returns the login for an entry of the policy. Without one, and if
	// it is nil, Netrc is searched.
	Policy func(policy.Entry) (user, password string, ok bool)
}

// For returns the credentials for an entry at base, nil if there are none. The
// go command sends some over https only.
func (l Logins) For(e policy.Entry, base *url.URL) *url.Userinfo {
	if base.Scheme != "https" {
		return nil
	}
	if l.Policy != nil {
		if user, password, ok := l.Policy(e); ok {
			return url.UserPassword(user, password)
		}
	}
	return l.FromNetrc(base)
}

// FromNetrc returns the netrc file's credentials for a URL, nil if there are
// none.
func (l Logins) FromNetrc(base *url.URL) *url.Userinfo {
	if m, ok := netrc.Lookup(l.Netrc, base); ok && netrc.Used(l.GOAUTH) {
		return url.UserPassword(m.Login, m.Password)
	}
	return nil
}

var errNoProxyURL = errors.New("no proxy URL")

// ParseBase parses the URL of an entry. The error does not show it.
func ParseBase(rawURL string) (*url.URL, error) {
	u, err := url.Parse(rawURL)
	if err != nil {
		return nil, errors.New("the address is no URL") // the text of err may show a password
	}
	switch u.Scheme {
	case "http", "https":
		if u.Host != "" {
			return u, nil
		}
	case "file":
		return u, nil
	}
	return nil, errNoProxyURL
}
