package pool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/goproxy-setup/internal/agent/pipenet"
	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/agent/upstream"
)

// A world is a pool with proxies on a network without sockets, inside a bubble
// whose clock needs no time.
type world struct {
	*Pool
	t   *testing.T
	net pipenet.Net
	n   int // proxies
}

func inBubble(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s, err := store.Open(t.TempDir(), store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		w := &world{t: t, Pool: New(s, slog.New(slog.NewTextHandler(t.Output(), nil)))}
		t.Cleanup(func() {
			w.net.Close()
			s.Close()
			time.Sleep(time.Minute) // answers that nobody waits for
		})
		test(t, w)
		w.Wait()
		if n := s.Stats().SpoolBytes; n != 0 {
			t.Errorf("%d bytes are left in the spool", n)
		}
	})
}

// A proxy is one of a world; what it does can be changed.
type proxy struct {
	Target
	mu    sync.Mutex // guards the fields below
	h     http.HandlerFunc
	asked int
}

// proxy adds a proxy to the world.
func (w *world) proxy(h http.HandlerFunc, c upstream.Config) *proxy {
	p := &proxy{h: h}
	c.Name = fmt.Sprint("p", w.n)
	c.URL = &url.URL{Scheme: "http", Host: c.Name + ".example.com"}
	addr := netip.AddrFrom4([4]byte{192, 0, 2, byte(w.n + 1)})
	w.n++
	c.Resolve = func(context.Context, string) ([]netip.Addr, error) { return []netip.Addr{addr}, nil }
	c.Dial = w.net.Dial
	c.Log = w.log
	w.net.Serve(addr.String()+":80", p)
	p.Target = Target{Upstream: upstream.New(c), Path: "file"}
	w.t.Cleanup(p.Close)
	return p
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	h := p.h
	p.asked++
	p.mu.Unlock()
	h(w, r)
}

func (p *proxy) set(h http.HandlerFunc) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.h = h
}

// requests returns how many there were since the last call.
func (p *proxy) requests() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.asked
	p.asked = 0
	return n
}

var content = []byte("module example.com/m\n")

func fine(w http.ResponseWriter, _ *http.Request) { w.Write(content) }

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// silent answers nothing until the client leaves.
func silent(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// after is h, late by d.
func after(d time.Duration, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(d)
		h(w, r)
	}
}

// open makes the proxy's breaker open by its failures, of which nothing is left.
func (p *proxy) open() {
	p.set(status(500))
	for !p.Dead() {
		p.Get(context.Background(), "file", false)
	}
	p.requests()
}

// request is one for a file that these proxies may have.
func request(key string, list ...*proxy) Request {
	r := Request{Key: key, Limit: 1 << 20, Accept: equal(content)}
	for _, p := range list {
		r.Targets = append(r.Targets, p.Target)
	}
	return r
}

// fetch returns who served the file; "" if it was nobody, and then what that means.
func (w *world) fetch(r Request) (source string, v Verdict) {
	w.t.Helper()
	s, err := w.Fetch(w.t.Context(), r)
	if e, ok := errors.AsType[*Error](err); ok {
		w.t.Log(e)
		return "", e.Verdict
	}
	if err != nil {
		w.t.Error(err)
		return "", ""
	}
	defer s.File.Close()
	if data, err := io.ReadAll(s.File); err != nil || !bytes.Equal(data, content) {
		w.t.Errorf("got %q, %v", data, err)
	}
	return s.Source, ""
}

func (w *world) wantSource(r Request, want *proxy) {
	w.t.Helper()
	if got, v := w.fetch(r); got != want.Name {
		w.t.Errorf("served by %q, %s; want %s", got, v, want.Name)
	}
}

func (w *world) wantVerdict(r Request, want Verdict) {
	w.t.Helper()
	if got, v := w.fetch(r); got != "" || v != want {
		w.t.Errorf("served by %q, %s; want %s", got, v, want)
	}
}

// all fetches n files at once, and wants each to be served.
func (w *world) all(n int, list ...*proxy) {
	w.t.Helper()
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			if source, v := w.fetch(request(fmt.Sprint(i), list...)); source == "" {
				w.t.Errorf("request %d: %s", i, v)
			}
		})
	}
	wg.Wait()
}
