package upstream

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
)

// Only where it means something is Retry-After a pause, and only of 429 is it one
// of the whole proxy: after 503 it is about the file.
func TestRetryAfterElsewhere(t *testing.T) {
	inBubble(t, retryAfter(404, "30"), func(t *testing.T, w *world) {
		u := w.upstream(Config{})
		if f := get(u, false); f == nil || f.RetryAfter != 0 || !u.Ready() {
			t.Errorf("got %+v, state %s", f, u.State())
		}
	})
	inBubble(t, retryAfter(503, "30"), func(t *testing.T, w *world) {
		u := w.upstream(Config{})
		if f := get(u, false); f == nil || f.RetryAfter != 30*time.Second || !u.Ready() {
			t.Errorf("got %+v, state %s", f, u.State())
		}
	})
}

func retryAfter(code int, value string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", value)
		w.WriteHeader(code)
	}
}

func TestRetryAfter(t *testing.T) {
	for _, tt := range []struct {
		code  int
		value string
		pause time.Duration
	}{
		{429, "30", 30 * time.Second},
		{429, "86400", longestPause},
		{429, "Sat, 01 Jan 2000 00:00:20 GMT", 20 * time.Second}, // a bubble begins at midnight
	} {
		s := &answers{h: retryAfter(tt.code, tt.value)}
		inBubble(t, s.serve, func(t *testing.T, w *world) {
			u := w.upstream(Config{})
			get(u, false)
			s.set(fine)
			s.count()
			if f := wantNotAsked(t, u, "asked for a pause, of which"); f.RetryAfter != tt.pause || u.State() != Paused {
				t.Errorf("%s: pause of %v, state %s; want %v", tt.value, f.RetryAfter, u.State(), tt.pause)
			}
			if f := get(u, true); f == nil || f.Class != NotAsked { // a pause is respected
				t.Errorf("forced: %v", f)
			}
			time.Sleep(tt.pause - 1)
			wantNotAsked(t, u, "pause")
			time.Sleep(1)
			if n := s.count(); n != 0 {
				t.Errorf("asked %d times in the pause", n)
			}
			if f := get(u, false); f != nil {
				t.Error(f)
			}
			w.wantLogged("paused")
		})
	}
}

// Forced requests wait for a short pause, and do not come back all at once.
func TestShortPause(t *testing.T) {
	s := &answers{h: retryAfter(429, "2")}
	inBubble(t, s.serve, func(t *testing.T, w *world) {
		u := w.upstream(Config{})
		get(u, false)
		s.set(fine)
		s.count()
		start := time.Now()
		results := make(chan time.Duration)
		for range 10 {
			go func() {
				if f := get(u, true); f != nil {
					t.Error(f)
				}
				results <- time.Since(start)
			}()
		}
		times := map[time.Duration]bool{}
		for range 10 {
			d := <-results
			times[d] = true
			if d < 2*time.Second || d > 3*time.Second {
				t.Errorf("asked after %v", d)
			}
		}
		if len(times) < 2 {
			t.Error("all came back at once")
		}
		s.set(retryAfter(429, "4"))
		get(u, false)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start = time.Now()
		want(t, "given up", getFrom(ctx, u, true), decision.Cancelled, start, time.Second)
	})
}

// A proxy that does not say for how long is left alone for a moment.
func TestTooManyRequests(t *testing.T) {
	s := &answers{h: status(429)}
	inBubble(t, s.serve, func(t *testing.T, w *world) {
		u := w.upstream(Config{})
		get(u, false)
		s.set(fine)
		wantNotAsked(t, u, "asked for a pause")
		time.Sleep(unnamedPause)
		if f := get(u, false); f != nil {
			t.Error(f)
		}
		w.wantLogged("paused")
	})
}

// A pause that is prolonged again and again is not waited for to its end.
func TestEndlessPause(t *testing.T) {
	inBubble(t, retryAfter(429, "4"), func(t *testing.T, w *world) {
		u := w.upstream(Config{})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go func() {
			for ctx.Err() == nil {
				u.paused(&Failure{Class: decision.RateLimited, RetryAfter: 4 * time.Second})
				time.Sleep(time.Second)
			}
		}()
		synctest.Wait()
		start := time.Now()
		f := get(u, true)
		if took := time.Since(start); f == nil || f.Class != NotAsked || took > 3*shortPause {
			t.Errorf("got %v after %v", f, took)
		}
	})
}
