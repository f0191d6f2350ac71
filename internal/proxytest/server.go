package proxytest

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Options are the choices for one [Server]; the zero value is a healthy http
// proxy on a free loopback port with the default modules.
type Options struct {
	Addr    string // host:port to listen on; "" is 127.0.0.1:0
	TLS     TLS    // how to speak TLS; "" is plain http
	Modules string // txtar archive of more modules: files named PATH@VERSION/FILE
	Dir     string // folder of more modules: that of a GOMODCACHE's cache/download
	Link    *Link  // a simulated network before the server; nil is loopback as it is
}

// A Server is a module proxy and checksum database. Its methods are safe for
// concurrent use.
type Server struct {
	URL    string // base URL, without a trailing slash; append a fault: p.URL+"/403"
	Other  string // base URL of a second port: where "redirect-host" leads
	CA     []byte // PEM certificate that clients must trust for TLS; the same for all servers of a process
	Refuse string // host:port that refuses connections
	Silent string // host:port that accepts connections and never says a word, not even TLS
	// BlackHole is a host:port that drops SYNs: connecting takes for ever. Only
	// Linux has one; elsewhere it is "".
	BlackHole string

	catalog *catalog
	done    chan struct{} // closed by Close: whoever hangs, stops
	close   func()        // once

	http []*http.Server
	held []io.Closer    // listeners and connections that keep ports busy
	wg   sync.WaitGroup // accept loops, connections, answers

	mu       sync.Mutex // guards the fields below
	requests []Request
	asked    map[string]int // how often, by prefix and path
	spared   map[string]int // requests that a fault with "@" has let pass, by prefix and fault
	fault    []rule         // set at run time
	misuse   []error
}

// Start starts a server. The caller must Close it.
func Start(o Options) (_ *Server, err error) {
	shared, err := base()
	if err != nil {
		return nil, err
	}
	s := &Server{done: make(chan struct{}), asked: map[string]int{}, spared: map[string]int{}}
	s.close = sync.OnceFunc(s.shutdown)
	if s.catalog, err = shared.with(o); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.URL, err = s.listen(o, o.Addr); err != nil {
		return nil, err
	}
	host, _, err := net.SplitHostPort(s.addr())
	if err != nil {
		return nil, err
	}
	if s.Other, err = s.listen(o, net.JoinHostPort(host, "0")); err != nil {
		return nil, err
	}
	return s, s.holdPorts(host)
}

// New starts a server that is closed when the test ends. The test fails if a
// URL named a fault that does not exist.
func New(tb testing.TB, o Options) *Server {
	tb.Helper()
	s, err := Start(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// Close stops the server at once, hanging answers included, and waits for its
// goroutines. From then on its ports refuse connections. The error names
// requests whose URL began with an unknown fault.
func (s *Server) Close() error {
	s.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.misuse...)
}

func (s *Server) shutdown() {
	close(s.done)
	for _, srv := range s.http {
		srv.Close()
	}
	for _, c := range s.held {
		c.Close()
	}
	s.wg.Wait()
}

// listen serves on addr and returns the base URL.
func (s *Server) listen(o Options, addr string) (string, error) {
	if addr == "" {
		addr = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", fmt.Errorf("proxytest: %w", err)
	}
	scheme := "http"
	srv := &http.Server{
		Handler:   s,
		ErrorLog:  log.New(io.Discard, "", 0), // failed handshakes are what tests are about
		ConnState: countConns(&s.wg),
	}
	s.http = append(s.http, srv)
	serve := srv.Serve
	if o.TLS != "" {
		scheme = "https"
		if srv.TLSConfig, s.CA, err = tlsConfig(o.TLS); err != nil {
			l.Close()
			return "", err
		}
		serve = func(l net.Listener) error { return srv.ServeTLS(l, "", "") }
	}
	if o.Link != nil {
		l = o.Link.listener(l, &s.wg)
	}
	s.wg.Go(func() { serve(l) })
	host := l.Addr().(*net.TCPAddr)
	if host.IP.IsUnspecified() {
		host.IP = net.IPv4(127, 0, 0, 1)
	}
	return scheme + "://" + host.String(), nil
}

// countConns counts a server's connections, so that its Close can wait for them.
func countConns(wg *sync.WaitGroup) func(net.Conn, http.ConnState) {
	return func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			wg.Add(1)
		case http.StateClosed, http.StateHijacked:
			wg.Done()
		}
	}
}

// holdPorts opens what Refuse, Silent and BlackHole name.
func (s *Server) holdPorts(host string) error {
	silent, err := net.Listen("tcp", net.JoinHostPort(host, "0")) // the kernel accepts, nobody reads
	if err != nil {
		return fmt.Errorf("proxytest: %w", err)
	}
	s.held = append(s.held, silent)
	s.Silent = silent.Addr().String()
	// The near end of a connection has a port that nobody listens on and that
	// nobody else is given while the connection lives.
	near, err := net.Dial("tcp", s.Silent)
	if err != nil {
		return fmt.Errorf("proxytest: %w", err)
	}
	s.held = append(s.held, near)
	s.Refuse = near.LocalAddr().String()

	l, filler, err := blackHole(host)
	if err != nil {
		return fmt.Errorf("proxytest: %w", err)
	}
	if l != nil {
		s.held = append(s.held, l, filler)
		s.BlackHole = l.Addr().String()
	}
	return nil
}

// SetFault makes every answer of the server, whatever its URL, suffer the fault
// ("403", "zip:html+list:500" …) from now on; "" heals it, except of "vanish".
// It panics if there is no such fault.
func (s *Server) SetFault(fault string) {
	var rules []rule
	if fault != "" {
		var err error
		if rules, err = parseFault(fault); err != nil {
			panic(err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = rules
	clear(s.spared)
}

// A Request is one request as it arrived.
type Request struct {
	Method string
	Host   string
	Prefix string // the faults, as "/403" or "/slow=10ms/zip:404"; "" if none
	Path   string // below the prefix, unescaped: "/rsc.io/quote/@v/v1.5.2.info"
	RawURL string // as sent: "/403/github.com/%21burnt%21sushi/…"
	Header http.Header
}

// Requests returns the requests so far, in the order of their arrival.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// ServeHTTP implements [http.Handler]: a test may put the server behind a
// listener of its own.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.wg.Add(1)
	defer s.wg.Done()
	prefix, path, rules, err := splitFaults(r.URL.Path)
	x := &exchange{s: s, w: w, r: r, prefix: prefix, path: databasePath(r.Host, path)}

	s.mu.Lock()
	s.requests = append(s.requests, Request{r.Method, r.Host, prefix, path, r.RequestURI, r.Header.Clone()})
	s.asked[prefix+" "+path]++
	x.nth = s.asked[prefix+" "+path]
	rules = slices.Concat(s.fault, rules)
	s.mu.Unlock()

	if err == nil {
		err = x.serve(rules)
	}
	if err != nil {
		s.mu.Lock()
		s.misuse = append(s.misuse, err)
		s.mu.Unlock()
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// healthy returns what a proxy without faults answers.
func (s *Server) healthy(r *http.Request, path string) *httptest.ResponseRecorder {
	rec := httptest.NewRecorder()
	switch name, ok := strings.CutPrefix(path, "/sumdb/"+SumDBName); {
	case r.Method != http.MethodGet && r.Method != http.MethodHead:
		http.Error(rec, "method not allowed", http.StatusMethodNotAllowed)
	case strings.HasPrefix(path, portalPath):
		fmt.Fprint(rec, portalPage)
	case ok && name == "/supported":
	case ok:
		r = r.Clone(r.Context())
		r.URL.Path = name
		s.catalog.sums().ServeHTTP(rec, r)
	default:
		data, ok := s.catalog.file(strings.TrimPrefix(path, "/"))
		if !ok {
			http.Error(rec, "not found: "+path, http.StatusNotFound)
			break
		}
		rec.Header().Set("Content-Type", contentType(path))
		rec.Header().Set("ETag", fmt.Sprintf(`"%x-%d"`, crc32.ChecksumIEEE([]byte(path)), len(data))) // files never change
		rec.Body = bytes.NewBuffer(slices.Clip(data))                                                 // not copied: a zip of 5 MB is asked for often
	}
	return rec
}

func contentType(path string) string {
	switch {
	case strings.HasSuffix(path, ".zip"):
		return "application/zip"
	case strings.HasSuffix(path, ".info"), strings.HasSuffix(path, "/@latest"):
		return "application/json"
	}
	return "text/plain; charset=UTF-8"
}

func hostname(hostport string) string {
	if h, _, err := net.SplitHostPort(hostport); err == nil {
		return h
	}
	return hostport
}

// Count returns how many requests there were for path, whatever the faults
// before it: "rsc.io/quote/@v/v1.5.2.zip".
func (s *Server) Count(path string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.requests {
		if r.Path == "/"+path {
			n++
		}
	}
	return n
}
