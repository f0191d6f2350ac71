package pool

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strconv"
	"sync"
	"sync/atomic"
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

// While a gatekeeper can be asked, nobody behind it is, however little it is
// asked for otherwise.
func TestGatekeeperDecides(t *testing.T) {
	for name, prepare := range map[string]func(w *world, gate *proxy){
		"healthy": func(*world, *proxy) {},
		"busy": func(_ *world, gate *proxy) {
			gate.set(after(2*time.Second, fine))
			go fill(gate)
			synctest.Wait()
		},
		"paused": func(_ *world, gate *proxy) {
			gate.set(retryAfter(429, 2))
			fill(gate)
		},
		"often overtaken": func(w *world, gate *proxy) {
			for range lossesToDemote {
				w.standings.lost(gate.Upstream)
			}
		},
		"works again": func(_ *world, gate *proxy) {
			gate.open()
			time.Sleep(5 * time.Second)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				gate, behind := w.proxy(nil, upstream.Config{Gatekeeper: true, InFlight: 1}), w.proxy(fine, upstream.Config{})
				prepare(w, gate)
				gate.set(after(100*time.Millisecond, status(403)))
				w.wantVerdict(request("file", gate, behind), Denied)
				gate.set(after(100*time.Millisecond, fine))
				w.wantSource(request("file", gate, behind), gate)
				if n := behind.requests(); n != 0 {
					t.Errorf("%d requests behind the gatekeeper", n)
				}
				gate.set(status(502))
				w.wantSource(request("file", gate, behind), behind) // in its outage
			})
		})
	}
}

// A gatekeeper is waited for before anybody behind it, by hedges, too, and when
// the answer is "not found" already.
func TestGatekeeperIsNotRaced(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		first := w.proxy(status(404), upstream.Config{Full: true})
		gate, behind := w.proxy(after(500*time.Millisecond, status(403)), upstream.Config{Gatekeeper: true}), w.proxy(fine, upstream.Config{})
		w.wantVerdict(request("file", first, gate, behind), Denied)
		first.set(silent)
		w.wantVerdict(request("file", first, gate, behind), Denied)
		if n := behind.requests(); n != 0 {
			t.Errorf("%d requests behind the gatekeeper", n)
		}
		first.set(status(404))
		gate.set(status(404))
		w.wantSource(request("file", first, gate, behind), behind)
	})
}

// "Not found" that took as long as a time-out is no judgement of a gatekeeper.
func TestLateGatekeeper(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		gate, behind := w.proxy(after(slowAbsence+time.Second, status(404)), upstream.Config{Gatekeeper: true}), w.proxy(fine, upstream.Config{})
		gate.Last = true
		w.wantVerdict(request("file", gate, behind), TimedOut)
		if n := behind.requests(); n != 0 {
			t.Errorf("%d requests behind the gatekeeper", n)
		}
		gate.set(status(404))
		w.wantSource(request("file", gate, behind), behind)
	})
}

// What a gatekeeper says of a checksum database is no decision, and what any
// proxy does with it is not held against its modules.
func TestDatabaseBesideModules(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		gate, direct := w.proxy(status(403), upstream.Config{Gatekeeper: true}), w.proxy(fine, upstream.Config{})
		gate.Partial = true
		for i := range 2 * lossesToDemote {
			w.wantSource(request(fmt.Sprint(i), gate, direct), direct)
		}
		if w.standings.demoted(gate.Upstream) {
			t.Error("demoted")
		}
	})
}

// Whoever is silent is overtaken, and soon goes behind the others until he has
// served again.
func TestStandings(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		first, second := w.proxy(silent, upstream.Config{}), w.proxy(fine, upstream.Config{})
		for i := range lossesToDemote {
			start := time.Now()
			w.wantSource(request(fmt.Sprint(i), first, second), second)
			if took := time.Since(start); took != hedgeUnknown {
				t.Errorf("overtaken after %v", took)
			}
		}
		first.requests()
		start := time.Now()
		w.wantSource(request("behind", first, second), second)
		if took := time.Since(start); took != 0 || first.requests() != 0 {
			t.Errorf("not behind: %v", took)
		}
		first.set(fine)
		time.Sleep(shortestDemoted)
		w.wantSource(request("tried", first, second), first)
		w.wantSource(request("again", first, second), first)
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

// One gatekeeper is asked after the other, whoever fails meanwhile.
func TestGatekeepersInTurn(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		list := []*proxy{
			w.proxy(after(400*time.Millisecond, status(502)), upstream.Config{}), w.proxy(after(200*time.Millisecond, status(502)), upstream.Config{}),
			w.proxy(after(500*time.Millisecond, status(403)), upstream.Config{Gatekeeper: true}), w.proxy(fine, upstream.Config{Gatekeeper: true}),
		}
		w.wantVerdict(request("file", list...), Denied)
		if w.Stats().Hedges != 1 || list[3].requests() != 0 {
			t.Errorf("%+v", w.Stats())
		}
	})
}

// Nothing needs to be done while a gatekeeper is silent, and little while one of
// two other proxies is.
func TestWaitsInPeace(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		for _, gatekeeper := range []bool{true, false} {
			rc := w.begin(w.proxy(nil, upstream.Config{Gatekeeper: gatekeeper}), w.proxy(nil, upstream.Config{}))
			for i, since := range []time.Duration{time.Hour, 0} {
				rc.running = append(rc.running, &attempt{target: i, started: time.Now().Add(-since), outcome: rc.outcomes[i]})
			}
			want := lookEvery
			if gatekeeper {
				want = time.Minute
			}
			rc.hedge()
			if wait := rc.wait(); wait != want {
				t.Errorf("the next look is after %v", wait)
			}
		}
	})
}

// Nobody waits for a proxy that was overtaken.
func TestWinnerDoesNotWait(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		first := w.proxy(after(350*time.Millisecond, func(rw http.ResponseWriter, _ *http.Request) { rw.Write([]byte("large")) }), upstream.Config{})
		second := w.proxy(after(100*time.Millisecond, fine), upstream.Config{})
		r := request("file", first, second)
		r.Accept = func(ctx context.Context, b Body) (store.Meta, error) {
			if b.Size != int64(len(content)) {
				time.Sleep(time.Minute)
			}
			return equal(content)(ctx, b)
		}
		start := time.Now()
		w.wantSource(r, second)
		if took := time.Since(start); took != hedgeUnknown+100*time.Millisecond {
			t.Errorf("after %v", took)
		}
	})
}

// Who may ask fewer proxies shares no fetch with who may ask more.
func TestRoutesShareNothing(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		corp, pub := w.proxy(after(time.Second, fine), upstream.Config{}), w.proxy(status(404), upstream.Config{Full: true})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() { w.wantSource(request("file", corp, pub), corp) })
			wg.Go(func() { w.wantVerdict(request("file", pub), Absent) })
		}
		wg.Wait()
		if n := corp.requests(); n != 1 {
			t.Errorf("%d requests by three that share a route", n)
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
	})
}

// Whoever comes while a file that could not be kept is thrown away fetches it
// once more.
func TestNotKept(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		p := w.proxy(fine, upstream.Config{})
		r := request("file", p)
		spool, err := w.store.Spool()
		if err != nil {
			t.Fatal(err)
		}
		spool.Discard()
		f := &flight{name: r.name(), done: make(chan struct{}), spool: spool}
		close(f.done)
		w.flights[f.name] = f
		w.wantSource(r, p)
	})
}

// faults returns what proxies do that do not work, or not always.
func faults() []http.HandlerFunc {
	var n atomic.Int32
	return []http.HandlerFunc{
		status(404), status(403), status(500), silent, after(6*time.Second, status(404)), retryAfter(429, 2), retryAfter(429, 30), retryAfter(503, 30),
		func(w http.ResponseWriter, r *http.Request) { w.Write([]byte("module example.com/other\n")) },
		func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1)%3 == 0 {
				w.WriteHeader(503)
				return
			}
			fine(w, r)
		},
	}
}

// campaign asks random proxies, of which the one at a random place is this, for
// many files at once, again and again.
func campaign(t *testing.T, c upstream.Config, h http.HandlerFunc, test func(w *world, key string, at int, list []*proxy)) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			inBubble(t, func(t *testing.T, w *world) {
				rnd := rand.New(rand.NewPCG(seed, 5))
				var list []*proxy
				faults, at := faults(), rnd.IntN(4)
				for i := range 4 {
					c, h := c, after(time.Duration(rnd.IntN(2000))*time.Millisecond, h)
					if i != at {
						c, h = upstream.Config{}, faults[rnd.IntN(len(faults))]
					}
					c.InFlight = 4 + rnd.IntN(30)
					list = append(list, w.proxy(h, c))
				}
				for round := range 8 {
					var wg sync.WaitGroup
					for i := range 1 + rnd.IntN(40) {
						wg.Go(func() { test(w, fmt.Sprint(round, "-", i), at, list) })
					}
					wg.Wait()
					time.Sleep(time.Duration(rnd.IntN(3000)) * time.Millisecond)
				}
			})
		})
	}
}

// Whatever the others do, and however many files are wanted at once, a request
// is served if one proxy of its route works.
func TestWhoWorksServes(t *testing.T) {
	campaign(t, upstream.Config{}, fine, func(w *world, key string, _ int, list []*proxy) {
		if source, v := w.fetch(request(key, list...)); source == "" {
			w.t.Errorf("request %s: %s", key, v)
		}
	})
}

// The same, and nobody behind a gatekeeper that works learns of a file.
func TestNobodyBehindTheGatekeeper(t *testing.T) {
	campaign(t, upstream.Config{Gatekeeper: true}, status(403), func(w *world, key string, at int, list []*proxy) {
		if source, v := w.fetch(request(key, list...)); source == "" && v != Denied {
			w.t.Errorf("request %s: %s", key, v)
		}
		for _, p := range list[at+1:] {
			if p.requests() != 0 {
				w.t.Errorf("%s, behind %s, was asked", p.Name, list[at].Name)
			}
		}
	})
}

// Requests with a purpose of their own do not share a fetch.
func TestAlone(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		p := w.proxy(after(time.Second, fine), upstream.Config{})
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				r := request("tile", p)
				r.Alone = true
				w.wantSource(r, p)
			})
		}
		wg.Wait()
		if n := p.requests(); n != 3 {
			t.Errorf("%d requests", n)
		}
	})
}
