package upstream

import (
	"bytes"
	"context"
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
	"github.com/org/goproxy-setup/internal/decision"
)

const modPath = "example.com/m/@v/v1.0.0.mod"

// A world is a network without sockets, inside a bubble whose clock needs no
// time. A test fails if anything of it still runs at its end.
type world struct {
	t   *testing.T
	net pipenet.Net

	mu     sync.Mutex // guards the fields below
	log    bytes.Buffer
	addrs  []netip.Addr
	dnsErr error
	asked  int // lookups
	close  []func()
}

// inBubble runs a test in a world where proxy.example.com has one address,
// 192.0.2.1, at which h answers.
func inBubble(t *testing.T, h http.HandlerFunc, test func(t *testing.T, w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t}
		w.resolveTo("192.0.2.1")
		w.serve("192.0.2.1", h)
		defer func() {
			for _, f := range w.close {
				f()
			}
			w.net.Close()
			time.Sleep(time.Minute) // whatever is still there then, is a leak
		}()
		test(t, w)
	})
}

func (w *world) resolveTo(addrs ...string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.addrs = nil
	for _, a := range addrs {
		w.addrs = append(w.addrs, netip.MustParseAddr(a))
	}
}

// serve answers at an address.
func (w *world) serve(addr string, h http.HandlerFunc) { w.net.Serve(addr+":80", h) }

// end sets what becomes of connecting to an address.
func (w *world) end(addr string, dial pipenet.Dial) { w.net.Host(addr+":80", dial) }

// Write implements [io.Writer] for the log.
func (w *world) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.log.Write(p)
}

// upstream returns an upstream of http://proxy.example.com.
func (w *world) upstream(c Config) *Upstream {
	c.Name, c.URL = "proxy", &url.URL{Scheme: "http", Host: "proxy.example.com"}
	c.Log = slog.New(slog.NewTextHandler(w, nil))
	c.Resolve = func(context.Context, string) ([]netip.Addr, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.asked++
		return w.addrs, w.dnsErr
	}
	c.Dial = w.net.Dial
	u := New(c)
	w.close = append(w.close, u.Close)
	return u
}

// get asks for a file and reads it. The failure is nil if there was none.
func get(u *Upstream, force bool) *Failure { return getFrom(context.Background(), u, force) }

func getFrom(ctx context.Context, u *Upstream, force bool) *Failure {
	a, done, f := u.Get(ctx, modPath, force)
	if f != nil {
		return f
	}
	_, err := io.Copy(io.Discard, a.Body)
	a.Body.Close()
	f, _ = IsFailure(err)
	done(f)
	return f
}

// want checks a result and how long it took, exactly.
func want(t *testing.T, what string, f *Failure, class decision.Class, start time.Time, took time.Duration) {
	t.Helper()
	var got decision.Class
	if f != nil {
		got = f.Class
	}
	if d := time.Since(start); got != class || d != took {
		t.Errorf("%s: %q after %v (%v); want %q after %v", what, got, d, f, class, took)
	}
}

func fine(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "module example.com/m\n") }

// silent answers nothing until the client leaves.
func silent(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}

// answers is a server whose answer can be changed.
type answers struct {
	mu sync.Mutex
	h  http.HandlerFunc
	n  int // requests
}

func (a *answers) set(h http.HandlerFunc) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.h = h
}

func (a *answers) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := a.n
	a.n = 0
	return n
}

func (a *answers) serve(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	h := a.h
	a.n++
	a.mu.Unlock()
	h(w, r)
}
