package upstream_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/org/goproxy-setup/internal/agent/upstream"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// clients notes by which connections requests come.
type clients struct {
	mu   sync.Mutex
	seen []string
}

func (c *clients) note(r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.seen = append(c.seen, r.RemoteAddr+" "+r.Proto)
}

// After a stream error the next request opens another connection, and what is
// on its way on the old one goes on.
func TestSickConnection(t *testing.T) {
	var c clients
	long := make(chan bool)
	srv := serveTLS(t, func(w http.ResponseWriter, r *http.Request) {
		c.note(r)
		switch {
		case strings.HasSuffix(r.URL.Path, ".zip"):
			fmt.Fprint(w, "begin")
			http.NewResponseController(w).Flush()
			<-long
			fmt.Fprint(w, "end")
		case strings.HasSuffix(r.URL.Path, ".info"):
			panic(http.ErrAbortHandler) // INTERNAL_ERROR
		}
	})
	u := open(t, upstream.Config{URL: parse(t, srv.URL), RootCAs: certs(srv)})
	a, done, f := u.Get(t.Context(), quoteZip, false)
	if f != nil {
		t.Fatal(f)
	}
	_, f = fetch(t.Context(), u, "rsc.io/quote/@v/v1.5.2.info")
	if f == nil || f.Class != decision.Reset || !strings.Contains(f.Detail, "INTERNAL_ERROR") {
		t.Fatalf("got %+v", f)
	}
	for range 3 {
		if _, f := fetch(t.Context(), u, quoteMod); f != nil {
			t.Error(f)
		}
	}
	close(long)
	data, err := io.ReadAll(a.Body)
	a.Body.Close()
	done(nil)
	if string(data) != "beginend" || err != nil {
		t.Errorf("the long answer: %q, %v", data, err)
	}
	if s := c.seen; s[0] != s[1] || s[1] == s[2] || s[2] != s[3] || s[3] != s[4] || !strings.HasSuffix(s[0], "HTTP/2.0") {
		t.Errorf("requests came by %q", s)
	}
}

// TLS belongs to the URL's name, whatever the address; an address that accepts
// and is silent holds up nobody.
func TestTLSByName(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{TLS: proxytest.PrivateCA})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(p.URL, "https://"))
	l, err := net.Listen("tcp", "127.0.0.2:"+port) // accepts, and is silent
	if err != nil {
		t.Skip("no second loopback address: ", err)
	}
	defer l.Close()
	u := open(t, upstream.Config{
		URL: parse(t, named(p.URL, "proxy.example.com")), RootCAs: pool(p),
		Resolve: known(map[string][]string{"proxy.example.com": {"127.0.0.2", "127.0.0.1"}}),
	})
	if _, f := fetch(t.Context(), u, quoteMod); f != nil {
		t.Fatal(f)
	}
	for _, r := range p.Requests() {
		if r.Host != "proxy.example.com:"+port {
			t.Errorf("asked host %s", r.Host)
		}
	}
	if a := u.Status().Addresses; len(a) != 2 || !a[0].Failed || a[1].Failed || a[1].Conns != 1 {
		t.Errorf("addresses %+v", a)
	}
}

// A header without end is given up.
func TestHeaderFlood(t *testing.T) {
	srv := serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 200 OK\r\n")
		for line := []byte("X-A: " + strings.Repeat("a", 8000) + "\r\n"); err == nil; {
			_, err = conn.Write(line)
		}
	})
	u := open(t, upstream.Config{URL: parse(t, srv)})
	_, f := fetch(t.Context(), u, quoteMod)
	if f == nil || f.Class != decision.WrongContent || !strings.Contains(f.Detail, "headers exceeded 65536 bytes") {
		t.Errorf("got %+v", f)
	}
}

// Nothing is unpacked on the way: lengths and ranges are those of the file.
func TestCompressed(t *testing.T) {
	packed := bytes.Repeat([]byte{0x1f, 0x8b}, 10)
	u := open(t, upstream.Config{URL: parse(t, serveHTTP(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "identity" {
			t.Errorf("Accept-Encoding is %q", r.Header.Get("Accept-Encoding"))
		}
		w.Header().Set("Content-Encoding", "gzip")
		w.Write(packed)
	}))})
	if data, f := fetch(t.Context(), u, quoteMod); f != nil || !bytes.Equal(data, packed) {
		t.Errorf("got %q, %v", data, f)
	}
}

// After Close the server sees all connections end: those of failures, of
// redirects, and of renewed transports.
func TestNoConnectionIsLeft(t *testing.T) {
	var mu sync.Mutex
	conns := map[net.Conn]bool{}
	ended := sync.NewCond(&mu)
	other := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "module m") }))
	own := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, ".zip"):
			panic(http.ErrAbortHandler)
		case strings.HasSuffix(r.URL.Path, ".mod"):
			http.Redirect(w, r, other.URL, http.StatusFound)
		}
	}))
	for _, srv := range []*httptest.Server{own, other} {
		srv.EnableHTTP2 = true
		srv.Config.ErrorLog = quiet
		srv.Config.ConnState = func(c net.Conn, s http.ConnState) {
			mu.Lock()
			defer mu.Unlock()
			switch s {
			case http.StateNew:
				conns[c] = true
			case http.StateClosed:
				delete(conns, c)
				ended.Broadcast()
			}
		}
		srv.StartTLS()
		defer srv.Close()
	}
	u := upstream.New(upstream.Config{Name: "proxy", URL: parse(t, own.URL), RootCAs: certs(own)})
	var wg sync.WaitGroup
	for i := range 30 {
		path := []string{quoteMod, quoteZip, "rsc.io/quote/@v/v1.5.2.info"}[i%3]
		wg.Go(func() {
			if a, done, f := u.Get(t.Context(), path, true); f == nil {
				io.Copy(io.Discard, a.Body)
				a.Body.Close()
				done(nil)
			}
		})
	}
	wg.Wait()
	u.Close()
	mu.Lock()
	defer mu.Unlock()
	for len(conns) > 0 { // or the test takes for ever
		ended.Wait()
	}
}
