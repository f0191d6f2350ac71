package pool

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/agent/upstream"
)

// A proxy that works again serves all who ask for its first file, not the trial
// alone.
func TestRecovery(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		p := w.proxy(nil, upstream.Config{})
		p.open()
		p.set(after(50*time.Millisecond, fine))
		time.Sleep(5 * time.Second)
		w.all(10, p)
	})
}

// More files than a proxy may be asked for at a time wait for each other.
func TestManyAtOnce(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		p := w.proxy(after(100*time.Millisecond, fine), upstream.Config{InFlight: 4})
		w.all(50, p)
	})
}

// begin returns a race in which nobody was asked yet.
func (w *world) begin(list ...*proxy) *race {
	f := &flight{}
	f.awaited.Store(true)
	rc := &race{p: w.Pool, r: request("file", list...), f: f, ctx: w.t.Context(), ended: make(chan *attempt), started: time.Now()}
	rc.line()
	return rc
}

// A proxy that was ready when the request began, and is not when it is to be
// asked, is asked all the same if nobody else has the file.
func TestRefusedMeanwhile(t *testing.T) {
	for name, meanwhile := range map[string]func(p *proxy){
		"open": (*proxy).open,
		"a trial is on its way": func(p *proxy) {
			p.open()
			p.set(after(2*time.Second, fine))
			time.Sleep(5 * time.Second)
			go fill(p)
			synctest.Wait()
		},
		"busy": func(p *proxy) {
			p.set(after(2*time.Second, fine))
			go fill(p)
			synctest.Wait()
		},
		"paused": func(p *proxy) {
			p.set(retryAfter(429, 2))
			fill(p)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				first, second := w.proxy(status(404), upstream.Config{}), w.proxy(fine, upstream.Config{InFlight: 1})
				rc := w.begin(first, second)
				meanwhile(second)
				second.set(fine)
				won, err := rc.run()
				rc.callOff()
				if err != nil || won.target != 1 {
					t.Fatalf("got %v, %+v", err, rc.outcomes)
				}
				won.spool.Discard()
			})
		})
	}
}

// "Not found" of the first proxy leaves the second one, whatever keeps requests
// away from it usually.
func TestSecondAfterNotFound(t *testing.T) {
	for name, prepare := range map[string]func(p *proxy){
		"healthy": func(*proxy) {},
		"busy": func(p *proxy) {
			p.set(after(2*time.Second, fine))
			go fill(p)
			synctest.Wait()
			p.set(fine)
		},
		"slow": func(p *proxy) {
			p.set(after(5*time.Millisecond, fine))
			for range 1000 {
				fill(p)
				time.Sleep(100 * time.Millisecond)
			}
			if p.State() != upstream.Slow {
				t.Error("not slow")
			}
		},
		"paused": func(p *proxy) {
			p.set(retryAfter(429, 2))
			fill(p)
			p.set(fine)
		},
		"open, and works again": func(p *proxy) {
			p.open()
			p.set(fine)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				first := w.proxy(status(404), upstream.Config{})
				second := w.proxy(fine, upstream.Config{InFlight: 1, Slow: time.Millisecond})
				prepare(second)
				w.wantSource(request("file", first, second), second)
			})
		})
	}
}

// fill asks a proxy for a small file.
func fill(p *proxy) {
	if a, done, f := p.Get(context.Background(), "example.com/m/@v/v1.0.0.mod", true); f == nil {
		a.Body.Close()
		done(nil)
	}
}

func retryAfter(code, seconds int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
		w.WriteHeader(code)
	}
}

// Who seems dead is asked last, and not for a file that nobody waits for.
func TestDeadLast(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		dead, slow := w.proxy(nil, upstream.Config{}), w.proxy(fine, upstream.Config{InFlight: 1})
		dead.open()
		dead.set(silent)
		slow.set(after(time.Second, fine))
		go fill(slow)
		synctest.Wait()
		w.wantSource(request("file", dead, slow), slow)
		if n := dead.requests(); n != 0 {
			t.Errorf("the dead one had %d requests", n)
		}
		r := request("ahead", dead)
		r.Ahead = true
		dead.open()
		w.wantVerdict(r, Unavailable)
		if n := dead.requests(); n != 0 {
			t.Errorf("%d requests for a file that nobody waits for", n)
		}
		dead.set(fine)
		w.wantSource(request("file", dead), dead)
	})
}

// "Not found" of one that mirrors everything is the answer, after a moment for
// those who know a version that is new.
func TestAbsenceGrace(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		full, other := w.proxy(status(404), upstream.Config{Full: true}), w.proxy(silent, upstream.Config{})
		start := time.Now()
		w.wantVerdict(request("file", full, other), Absent)
		if took := time.Since(start); took != absenceGrace {
			t.Errorf("after %v", took)
		}
		other.set(after(absenceGrace-1, fine))
		w.wantSource(request("file", full, other), other)

		// What is here is judged to the end.
		other.set(after(absenceGrace/2, fine))
		r := request("file", full, other)
		r.Accept = func(ctx context.Context, b Body) (store.Meta, error) {
			time.Sleep(absenceGrace)
			return equal(content)(ctx, b)
		}
		w.wantSource(r, other)
	})
}

// A failure that may have passed is followed by another round.
func TestRounds(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		n := 0
		p := w.proxy(func(rw http.ResponseWriter, r *http.Request) {
			if n++; n < maxRounds {
				rw.WriteHeader(503)
				return
			}
			fine(rw, r)
		}, upstream.Config{})
		w.wantSource(request("file", p), p)
		if n := w.Stats().Retries; n != maxRounds-1 {
			t.Errorf("%d rounds", n)
		}
		p.set(retryAfter(503, 3))
		go func() {
			time.Sleep(time.Second)
			p.set(fine)
		}()
		start := time.Now()
		w.wantSource(request("file", p), p)
		if took := time.Since(start); took < 3*time.Second || took > 4*time.Second {
			t.Errorf("asked again after %v", took)
		}
		p.set(retryAfter(503, 3600))
		start = time.Now()
		w.wantVerdict(request("file", p), Unavailable)
		if time.Since(start) != 0 {
			t.Error("waited for a pause that is too long")
		}
		p.set(fine)
		w.wantSource(request("other", p), p) // it was about the one file
	})
}

// Extra requests stay within the budget, however bad things are, and none is
// made for a file that nobody waits for.
func TestBudget(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		p := w.proxy(status(429), upstream.Config{})
		const clients = 100
		extra := func(ahead bool) int {
			for i := range clients {
				r := request(fmt.Sprint(i), p)
				r.Ahead = ahead
				w.wantVerdict(r, Unavailable)
				time.Sleep(10 * time.Second)
			}
			return p.requests() - clients
		}
		if n := extra(true); n != 0 {
			t.Errorf("%d extra requests for files that nobody waits for", n)
		}
		if n := extra(false); n < extraBurst || n > extraBurst+clients/20 {
			t.Errorf("%d extra requests for %d clients", n, clients)
		}
	})
}

// A hiccup of the HTTP proxy on the way passes, too.
func TestHTTPProxyHiccup(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		n := 0
		p := w.proxy(fine, upstream.Config{Proxy: func(*url.URL) (*url.URL, error) {
			if n++; n == 1 {
				return nil, errors.New("hiccup")
			}
			return nil, nil
		}})
		w.wantSource(request("file", p), p)
	})
}

// Each request beyond the first of a proxy is paid for, and what is shared earns
// nothing.
func TestBudgetOfManyProxies(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		var list []*proxy
		for range 4 {
			list = append(list, w.proxy(after(100*time.Millisecond, status(500)), upstream.Config{}))
		}
		const clients = 100
		for i := range clients {
			var wg sync.WaitGroup
			for range 5 {
				wg.Go(func() { w.fetch(request(fmt.Sprint(i), list...)) })
			}
			wg.Wait()
		}
		sent := 0
		for _, p := range list {
			sent += p.requests()
		}
		extra := sent - clients*len(list)
		if extra < extraBurst || extra > extraBurst+clients/20 {
			t.Errorf("%d extra requests", extra)
		}
	})
}

// An answer that the caller has no use for is nobody's fault: the next one is
// asked, and nothing remembers it.
func TestNext(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		list := []*proxy{w.proxy(fine, upstream.Config{}), w.proxy(fine, upstream.Config{})}
		for range 5 {
			r := request("tile", list...)
			r.Alone = true
			r.Accept = func(context.Context, Body) (store.Meta, error) {
				return store.Meta{}, fmt.Errorf("%w: no use", ErrNext)
			}
			w.wantVerdict(r, Failed)
		}
		for _, p := range list {
			if p.State() != upstream.Healthy || p.requests() != 5 {
				t.Errorf("%s is %s", p.Name, p.State())
			}
		}
		if n := w.store.Stats().Quarantined; n != 0 {
			t.Errorf("%d answers in the quarantine", n)
		}
		other := []byte("another tile")
		list = append(list, w.proxy(func(rw http.ResponseWriter, _ *http.Request) { rw.Write(other) }, upstream.Config{}))
		for range lossesToDemote {
			r := request("tile", list...)
			r.Accept = func(ctx context.Context, b Body) (store.Meta, error) {
				m, err := equal(other)(ctx, b)
				if err != nil {
					err = ErrNext
				}
				return m, err
			}
			s, err := w.Fetch(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			s.File.Close()
		}
		if w.standings.demoted(list[0].Upstream) {
			t.Error("demoted")
		}
	})
}
