package upstream

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/goproxy-setup/internal/agent/pipenet"
	"github.com/org/goproxy-setup/internal/decision"
)

func TestConnectLimit(t *testing.T) {
	inBubble(t, fine, func(t *testing.T, w *world) {
		w.end("192.0.2.1", pipenet.BlackHole)
		u := w.upstream(Config{})
		start := time.Now()
		f := get(u, false)
		want(t, "black hole", f, decision.Timeout, start, DefaultLimits.Connect)
		if f.Detail != "no connection to proxy.example.com within 3s" {
			t.Errorf("detail %q", f.Detail)
		}
		w.resolveTo("192.0.2.1", "192.0.2.2", "192.0.2.3")
		for _, addr := range []string{"192.0.2.2", "192.0.2.3"} {
			w.end(addr, pipenet.BlackHole)
		}
		time.Sleep(time.Minute)
		start = time.Now()
		want(t, "three of them", get(u, false), decision.Timeout, start, DefaultLimits.Connect)
	})
}

func TestSilentNameServer(t *testing.T) {
	inBubble(t, fine, func(t *testing.T, w *world) {
		u := w.upstream(Config{})
		u.Resolve = func(ctx context.Context, _ string) ([]netip.Addr, error) {
			<-ctx.Done()
			return nil, &net.DNSError{Err: "i/o timeout", Name: "proxy.example.com", IsTimeout: true}
		}
		start := time.Now()
		want(t, "silent", get(u, false), decision.DNSFailure, start, DefaultLimits.Connect)
	})
}

// The next address is tried when the first one is late, at once when it fails,
// and from then on it is the first.
func TestNextAddress(t *testing.T) {
	for _, tt := range []struct {
		name  string
		first func(context.Context) (net.Conn, error)
		took  time.Duration
	}{
		{"refused", pipenet.Refuse, 0},
		{"no route", func(context.Context) (net.Conn, error) { return nil, errors.New("no route to host") }, 0},
		{"black hole", pipenet.BlackHole, stagger},
		{"refused late", func(ctx context.Context) (net.Conn, error) {
			time.Sleep(100 * time.Millisecond)
			return nil, errors.New("refused")
		}, 100 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, fine, func(t *testing.T, w *world) {
				w.resolveTo("2001:db8::1", "192.0.2.1")
				w.net.Host("[2001:db8::1]:80", tt.first)
				u := w.upstream(Config{})
				start := time.Now()
				want(t, "first", get(u, false), "", start, tt.took)
				start = time.Now()
				want(t, "second", get(u, false), "", start, 0)
				if got := w.net.Dialed(); !slices.Equal(got, []string{"[2001:db8::1]:80", "192.0.2.1:80"}) {
					t.Errorf("connected to %v", got)
				}
				if got := u.Status().Addresses; !slices.Equal(got, []Address{{"[2001:db8::1]:80", true, 0}, {"192.0.2.1:80", false, 1}}) {
					t.Errorf("addresses %+v", got)
				}
				time.Sleep(45 * time.Second) // idle connections are closed by now
				start = time.Now()
				want(t, "later", get(u, false), "", start, 0)
				if got := w.net.Dialed(); !slices.Equal(got, []string{"192.0.2.1:80"}) {
					t.Errorf("connected to %v", got)
				}
				time.Sleep(lastFor) // forgiven
				get(u, false)
				if got := w.net.Dialed(); len(got) == 0 || got[0] != "[2001:db8::1]:80" {
					t.Errorf("connected to %v", got)
				}
			})
		})
	}
}

// An address that answers wrongly goes behind the others, too.
func TestBadAddress(t *testing.T) {
	inBubble(t, status(500), func(t *testing.T, w *world) {
		w.resolveTo("192.0.2.1", "192.0.2.2")
		w.serve("192.0.2.2", fine)
		u := w.upstream(Config{})
		start := time.Now()
		want(t, "first", get(u, false), decision.ServerError, start, 0)
		for range 10 {
			want(t, "next", get(u, false), "", start, 0)
		}
	})
}

// A connection on which a request failed is not used again.
func TestFreshConnection(t *testing.T) {
	s := &answers{h: silent}
	inBubble(t, s.serve, func(t *testing.T, w *world) {
		u := w.upstream(Config{})
		get(u, false)
		s.set(fine)
		for range 3 {
			if f := get(u, false); f != nil {
				t.Error(f)
			}
		}
		if got := w.net.Dialed(); len(got) != 2 {
			t.Errorf("connected %d times, want twice: %v", len(got), got)
		}
	})
}

// New addresses are used within 30 s while the proxy is in use, and at once
// after a rest.
func TestLookupAgain(t *testing.T) {
	inBubble(t, fine, func(t *testing.T, w *world) {
		w.serve("192.0.2.2", fine)
		w.serve("192.0.2.3", fine)
		u := w.upstream(Config{})
		get(u, false)
		w.net.Dialed()
		w.resolveTo("192.0.2.2")
		for i := 0; len(w.net.Dialed()) == 0; i++ {
			if i == 30 {
				t.Fatal("the old address is still used after 30 s")
			}
			time.Sleep(time.Second)
			if f := get(u, false); f != nil {
				t.Fatal(f)
			}
			synctest.Wait() // for the lookup
		}
		w.resolveTo("192.0.2.3")
		time.Sleep(10 * time.Minute)
		get(u, false)
		if got := w.net.Dialed(); !slices.Equal(got, []string{"192.0.2.3:80"}) {
			t.Errorf("connected to %v after a rest", got)
		}
		w.mu.Lock()
		asked := w.asked
		w.mu.Unlock()
		if asked > 4 {
			t.Errorf("looked up %d times", asked)
		}
	})
}

// Old addresses are better than none, and a slow name server holds nobody up.
func TestLookupFails(t *testing.T) {
	inBubble(t, fine, func(t *testing.T, w *world) {
		u := w.upstream(Config{})
		get(u, false)
		w.dnsErr = &net.DNSError{Err: "server misbehaving", Name: "proxy.example.com"}
		time.Sleep(time.Hour)
		start := time.Now()
		want(t, "no answer", get(u, false), "", start, 0)
		look := u.Resolve
		u.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			time.Sleep(2 * time.Second)
			return look(ctx, host)
		}
		time.Sleep(time.Hour)
		start = time.Now()
		want(t, "late answer", get(u, false), "", start, waitForNews)
		want(t, "and again", get(u, false), "", start, 2*waitForNews)
		want(t, "then it is over", get(u, false), "", start, 2*waitForNews)
	})
}

// Requests at the same moment share a lookup.
func TestOneLookup(t *testing.T) {
	inBubble(t, fine, func(t *testing.T, w *world) {
		u := w.upstream(Config{})
		for range 20 {
			go get(u, false)
		}
		synctest.Wait()
		if w.asked != 1 {
			t.Errorf("looked up %d times", w.asked)
		}
	})
}

// Close lets what is on its way end, and leaves no connection behind.
func TestClose(t *testing.T) {
	inBubble(t, func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(time.Second)
		fine(w, r)
	}, func(t *testing.T, w *world) {
		u := w.upstream(Config{})
		get(u, false)
		result := make(chan *Failure)
		go func() { result <- get(u, false) }()
		synctest.Wait()
		u.Close()
		if f := <-result; f != nil {
			t.Error(f)
		}
		if f := get(u, false); f != nil { // a request that came late
			t.Error(f)
		}
		synctest.Wait()
		if n := len(u.net.conns); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}
