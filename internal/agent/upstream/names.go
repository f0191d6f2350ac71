package upstream

import (
	"cmp"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/org/goproxy-setup/internal/fault"
)

// How long the addresses of a name are good. While a proxy is in use they are
// looked up again before they are too old, beside the requests.
const (
	lookAgain    = 20 * time.Second
	tooOld       = 30 * time.Second
	lookRetry    = 5 * time.Second // after a lookup that failed, while there are older addresses
	waitForNews  = time.Second     // at most, while there are older addresses
	maxAddresses = 16
)

// names are the addresses of a proxy's own host, each with its lane.
type names struct {
	n     *network
	host  string
	port  uint16
	https bool

	mu     sync.Mutex // guards the fields below
	list   []*lane    // in the resolver's order
	found  time.Time  // when the list was
	tried  time.Time
	lookup chan struct{} // closed when the lookup on its way ends; nil if there is none
	err    error         // of the last lookup
}

func newNames(n *network, base *url.URL) *names {
	s := &names{n: n, host: base.Hostname(), https: base.Scheme == "https"}
	port, err := strconv.ParseUint(base.Port(), 10, 16)
	switch {
	case err == nil && port > 0:
		s.port = uint16(port)
	case s.https:
		s.port = 443
	default:
		s.port = 80
	}
	return s
}

// lanes returns the addresses in the order in which to try them; at least one.
// ctx bounds the wait for a lookup, and the lookup is everybody's.
func (s *names) lanes(ctx context.Context) ([]*lane, error) {
	s.mu.Lock()
	age := time.Since(s.found)
	if s.lookup == nil && (len(s.list) == 0 || age >= lookAgain && time.Since(s.tried) >= lookRetry) {
		s.lookup = make(chan struct{})
		go s.look(s.lookup)
	}
	list, lookup := s.list, s.lookup
	s.mu.Unlock()
	if lookup != nil && (len(list) == 0 || age >= tooOld) {
		var enough <-chan time.Time
		if len(list) > 0 {
			t := time.NewTimer(waitForNews)
			defer t.Stop()
			enough = t.C
		}
		select {
		case <-lookup:
		case <-enough:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if len(s.list) == 0 {
			return nil, s.err
		}
		list = s.list
	}
	return ranked(list), nil
}

// ranked returns the lanes in the order in which to try them.
func ranked(list []*lane) []*lane {
	list = slices.Clone(list)
	type rank struct {
		failed int
		until  time.Time
		idle   int
	}
	ranks := make(map[*lane]rank, len(list))
	number := map[bool]int{true: 1}
	for _, l := range list {
		failed, until, idle := l.rank()
		ranks[l] = rank{number[failed], until, number[idle]}
	}
	slices.SortStableFunc(list, func(a, b *lane) int {
		x, y := ranks[a], ranks[b]
		return cmp.Or(cmp.Compare(x.failed, y.failed), x.until.Compare(y.until), cmp.Compare(x.idle, y.idle))
	})
	return list
}

// look looks the name up and updates the list. Addresses that are still there
// keep their connections; those that are gone get no more requests. If the
// lookup fails, the old addresses are better than none.
func (s *names) look(done chan struct{}) {
	ctx, cancel := context.WithTimeout(context.Background(), s.n.Limits.Connect)
	defer cancel()
	addrs, err := resolve(ctx, s.n.Resolve, s.host)
	s.mu.Lock()
	s.lookup, s.tried, s.err = nil, time.Now(), err
	var gone []*lane
	if err == nil {
		old := s.list
		s.list, s.found = nil, s.tried
		for _, a := range addrs {
			s.list = append(s.list, s.lane(old, netip.AddrPortFrom(a, s.port)))
		}
		for _, l := range old {
			if !slices.Contains(s.list, l) {
				gone = append(gone, l)
			}
		}
	}
	s.mu.Unlock()
	close(done)
	for _, l := range gone {
		l.idle()
	}
}

// lane returns the lane of an address: an old one if there is.
func (s *names) lane(old []*lane, addr netip.AddrPort) *lane {
	if i := slices.IndexFunc(old, func(l *lane) bool { return l.addr == addr }); i >= 0 {
		return old[i]
	}
	l := &lane{addr: addr}
	l.connect = func(ctx context.Context) (net.Conn, error) {
		c, err := s.n.open(ctx, l, "tcp", addr.String())
		if err != nil || !s.https {
			return c, err
		}
		return s.secure(ctx, c)
	}
	l.make = func(l *lane) *http.Transport {
		tr := newTransport()
		tr.DialContext = l.dialer(s.n.Limits.Connect)
		tr.DialTLSContext = tr.DialContext
		return tr
	}
	return l
}

// secure speaks TLS on a connection, whose other end must be the URL's host,
// whatever the address.
func (s *names) secure(ctx context.Context, raw net.Conn) (net.Conn, error) {
	attemptOf(ctx).enter(fault.Handshaking)
	c := tls.Client(raw, &tls.Config{
		RootCAs:    s.n.RootCAs,
		ServerName: s.host,
		NextProtos: []string{"h2", "http/1.1"},
	})
	if err := c.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	return c, nil
}

// idle closes the connections that no request uses.
func (s *names) idle() {
	s.mu.Lock()
	list := s.list
	s.mu.Unlock()
	for _, l := range list {
		l.idle()
	}
}

// resolve returns the addresses of a host, which may be an address itself: at
// least one, each once.
func resolve(ctx context.Context, look func(context.Context, string) ([]netip.Addr, error), host string) ([]netip.Addr, error) {
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a}, nil
	}
	found, err := look(ctx, host)
	if err != nil {
		return nil, err
	}
	var list []netip.Addr
	for _, a := range found {
		if a = a.Unmap(); !slices.Contains(list, a) && len(list) < maxAddresses {
			list = append(list, a)
		}
	}
	if len(list) == 0 {
		return nil, &net.DNSError{Err: "no addresses", Name: host, IsNotFound: true}
	}
	return list, nil
}
