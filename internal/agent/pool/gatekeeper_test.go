package pool

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/goproxy-setup/internal/agent/upstream"
)

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
