package proxytest

import (
	"cmp"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A ForwardProxy is what HTTPS_PROXY and HTTP_PROXY name: it tunnels by CONNECT
// and forwards plain requests, but only to the servers it was given; for all
// other hosts it answers 403, so no test gets out. The go command never sends
// loopback addresses through such a proxy, hence the host names.
//
// Its methods are safe for concurrent use.
type ForwardProxy struct {
	URL string

	hosts map[string]*Server
	http  http.Server
	wg    sync.WaitGroup // accept loop, connections, tunnels

	mu       sync.Mutex // guards the fields below
	requests []Request
	tunnels  []net.Conn
	closed   bool
}

// StartForward starts a forward proxy on addr (a free loopback port if "") that
// reaches the servers by the host names given, on any port; the name "*" stands
// for all others. The caller must Close it.
func StartForward(addr string, hosts map[string]*Server) (*ForwardProxy, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("proxytest: %w", err)
	}
	f := &ForwardProxy{URL: "http://" + l.Addr().String(), hosts: hosts}
	f.http = http.Server{
		Handler:   f,
		ErrorLog:  log.New(io.Discard, "", 0),
		ConnState: countConns(&f.wg),
	}
	f.wg.Go(func() { f.http.Serve(l) })
	return f, nil
}

// NewForward starts a forward proxy that is closed when the test ends.
func NewForward(tb testing.TB, hosts map[string]*Server) *ForwardProxy {
	tb.Helper()
	f, err := StartForward("", hosts)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(f.Close)
	return f
}

// Close stops the proxy and its tunnels at once and waits for its goroutines.
func (f *ForwardProxy) Close() {
	f.mu.Lock()
	f.closed = true
	tunnels := f.tunnels
	f.mu.Unlock()
	f.http.Close()
	for _, c := range tunnels {
		c.Close()
	}
	f.wg.Wait()
}

// Requests returns what passed or was refused, in order. For a tunnel, Method
// is CONNECT, Host is host:port and Path is empty.
func (f *ForwardProxy) Requests() []Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.requests)
}

// ServeHTTP implements [http.Handler].
func (f *ForwardProxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	f.wg.Add(1)
	defer f.wg.Done()
	f.mu.Lock()
	f.requests = append(f.requests, Request{
		Method: r.Method, Host: r.Host, Path: r.URL.Path, RawURL: r.RequestURI, Header: r.Header.Clone(),
	})
	f.mu.Unlock()

	s := cmp.Or(f.hosts[hostname(r.Host)], f.hosts["*"])
	switch {
	case s == nil:
		http.Error(w, "proxytest: "+r.Host+" is blocked", http.StatusForbidden)
	case r.Method == http.MethodConnect:
		f.tunnel(w, s.addr())
	default:
		// Keeping r.Host lets a server tell by which name it was called.
		(&httputil.ReverseProxy{
			Rewrite: func(p *httputil.ProxyRequest) {
				p.Out.URL.Scheme, p.Out.URL.Host, p.Out.Host = "http", s.addr(), r.Host
			},
			ErrorLog:  f.http.ErrorLog,
			Transport: &http.Transport{DisableKeepAlives: true},
		}).ServeHTTP(w, r)
	}
}

// tunnel joins the client's connection and a new one to addr.
func (f *ForwardProxy) tunnel(w http.ResponseWriter, addr string) {
	server, err := net.Dial("tcp", addr)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer server.Close()
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer client.Close()
	if !f.keep(client, server) {
		return
	}
	io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n")
	f.wg.Go(func() {
		io.Copy(server, buffered)
		server.Close()
	})
	io.Copy(client, server)
}

// keep lets Close end the tunnel; it returns false if Close came first.
func (f *ForwardProxy) keep(conns ...net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tunnels = append(f.tunnels, conns...)
	return !f.closed
}

// addr returns the host:port of the server.
func (s *Server) addr() string {
	_, addr, _ := strings.Cut(s.URL, "://")
	return addr
}
