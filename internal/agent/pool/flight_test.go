package pool

import (
	"sync"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/agent/upstream"
)

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

// Who comes when the file is in the store already gets what his own flight has
// put there, and not what another one has.
func TestKeptByAnother(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		corp, pub := w.proxy(fine, upstream.Config{}), w.proxy(fine, upstream.Config{})
		r := request("example.com/m/@v/v1.0.0.mod", corp)
		r.Keep = true
		w.wantSource(r, corp)
		w.Wait()
		r = request(r.Key, pub)
		spool, err := w.store.Spool()
		if err != nil {
			t.Fatal(err)
		}
		spool.Discard()
		f := &flight{name: r.name(), done: make(chan struct{}), spool: spool, meta: store.Meta{Source: pub.Name, Origin: pub.Origin()}}
		close(f.done)
		w.flights[f.name] = f
		w.wantSource(r, pub)
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
