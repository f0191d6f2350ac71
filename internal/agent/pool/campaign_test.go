package pool

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/agent/upstream"
)

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
	for seed := range uint64(10) {
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
				for round := range 5 {
					var wg sync.WaitGroup
					for i := range 1 + rnd.IntN(30) {
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
