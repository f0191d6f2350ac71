package pool

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/agent/upstream"
)

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

// In the middle of a file a hedge goes on where the late one is.
func TestHedgeInTheMiddle(t *testing.T) {
	inBubble(t, func(t *testing.T, w *world) {
		data := noise(1, 4<<20)
		first := w.proxy(func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Length", strconv.Itoa(len(data)))
			rw.Write(data[:3<<20])
			http.NewResponseController(rw).Flush()
			silent(rw, r)
		}, upstream.Config{})
		o := &origin{data: data, ranges: true}
		second := w.proxy(o.ServeHTTP, upstream.Config{})
		r := request("file", first, second)
		r.Limit, r.Accept = smallFile+1, equal(data)
		for _, vouched := range []func(context.Context) bool{yes, nil} {
			r.Vouched = vouched
			start, before := time.Now(), o.total()
			s, err := w.Fetch(t.Context(), r)
			if err != nil {
				t.Fatal(err)
			}
			s.File.Close()
			took := time.Since(start)
			synctest.Wait() // until the origin has counted, too
			rest := int64(1<<20 + overlap)
			if vouched == nil {
				rest = int64(len(data))
			}
			if sent := o.total() - before; s.Source != second.Name || took.Round(time.Millisecond) != hedgeLatest || sent != rest {
				t.Errorf("served by %s after %v, which sent %d bytes", s.Source, took, sent)
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
