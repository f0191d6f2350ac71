package upstream

import (
	"context"
	"net/http"
	"testing"
	"time"
)

// ask makes requests for a while, one every pause; it reports whether the
// upstream was ready all the time.
func ask(u *Upstream, d, pause time.Duration, path string) (ready bool) {
	ready = true
	for end := time.Now().Add(d); time.Now().Before(end); {
		start := time.Now()
		ready = ready && u.Ready()
		if a, done, f := u.Get(context.Background(), path, true); f == nil {
			a.Body.Close()
			done(nil)
		}
		time.Sleep(pause - time.Since(start))
	}
	return ready
}

// after answers late, by d.
func after(d time.Duration) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		time.Sleep(d)
		fine(w, r)
	}
}

func TestP99(t *testing.T) {
	const zip = "example.com/m/@v/v1.0.0.zip"
	late := after(DefaultSlow + time.Millisecond)
	t.Run("too few to tell", func(t *testing.T) {
		s := &answers{h: late}
		inBubble(t, s.serve, func(t *testing.T, w *world) {
			u := w.upstream(Config{})
			if !ask(u, 100*time.Second, time.Second, modPath) {
				t.Error("ejected before a hundred samples")
			}
			time.Sleep(500 * time.Millisecond)
			if !u.Ready() {
				t.Error("a minute holds no hundred samples")
			}
			if !ask(u, 80*time.Second, 900*time.Millisecond, modPath) {
				t.Error("ejected although a minute holds 66 samples")
			}
		})
	})
	// Two requests at a time make it 133 samples a minute.
	twice := func(u *Upstream, d time.Duration, path string) {
		done := make(chan bool)
		go func() { ask(u, d, 900*time.Millisecond, path); close(done) }()
		ask(u, d, 900*time.Millisecond, path)
		<-done
	}
	t.Run("recovers without requests", func(t *testing.T) {
		s := &answers{h: late}
		inBubble(t, s.serve, func(t *testing.T, w *world) {
			u := w.upstream(Config{})
			twice(u, 100*time.Second, modPath)
			w.wantLogged()
			if !u.Ready() {
				t.Error("ejected before the percentile was over its bound for a minute")
			}
			twice(u, 10*time.Second, modPath)
			wantNotAsked(t, u, "slow")
			if s := u.Status(); s.State != Slow || s.P99 != DefaultSlow+time.Millisecond {
				t.Errorf("status %+v", s)
			}
			w.wantLogged("slow")
			time.Sleep(smallWindow)
			if !u.Ready() {
				t.Error("not ready although nothing is known")
			}
			w.wantLogged("healthy")
		})
	})
	t.Run("recovers by fast answers", func(t *testing.T) {
		s := &answers{h: late}
		inBubble(t, s.serve, func(t *testing.T, w *world) {
			u := w.upstream(Config{})
			twice(u, 110*time.Second, modPath)
			wantNotAsked(t, u, "slow")
			s.set(fine)
			ask(u, 50*time.Second, 10*time.Millisecond, modPath)
			if !u.Ready() {
				t.Errorf("not ready after good answers: %+v", u.Status())
			}
			w.wantLogged("slow", "healthy")
		})
	})
	t.Run("zips do not count", func(t *testing.T) {
		inBubble(t, late, func(t *testing.T, w *world) {
			u := w.upstream(Config{})
			twice(u, 3*time.Minute, zip)
			if !u.Ready() || u.Status().P99 != 0 {
				t.Errorf("ejected: %+v", u.Status())
			}
		})
	})
	t.Run("one of a hundred may be late", func(t *testing.T) {
		n := 0
		inBubble(t, func(rw http.ResponseWriter, r *http.Request) {
			if n++; n%100 == 0 {
				time.Sleep(5 * time.Second)
			}
			fine(rw, r)
		}, func(t *testing.T, w *world) {
			u := w.upstream(Config{})
			for range 3000 {
				get(u, false)
				time.Sleep(50 * time.Millisecond)
			}
			if !u.Ready() {
				t.Errorf("ejected: %+v", u.Status())
			}
		})
	})
	t.Run("a bound of its own", func(t *testing.T) {
		inBubble(t, late, func(t *testing.T, w *world) {
			u := w.upstream(Config{Slow: time.Second})
			twice(u, 3*time.Minute, modPath)
			if !u.Ready() {
				t.Error("ejected")
			}
		})
	})
}

func TestP95(t *testing.T) {
	n := 0
	inBubble(t, func(w http.ResponseWriter, r *http.Request) {
		n++
		time.Sleep(time.Duration(n) * time.Millisecond)
		fine(w, r)
	}, func(t *testing.T, w *world) {
		u := w.upstream(Config{})
		for range enoughRecent - 1 {
			get(u, false)
		}
		if _, ok := u.P95(); ok {
			t.Error("known after too few answers")
		}
		get(u, false)
		if d, ok := u.P95(); !ok || d != 19*time.Millisecond {
			t.Errorf("P95 of 1 to 20 ms is %v, %v", d, ok)
		}
		for range recentSamples {
			get(u, false)
		}
		if d, _ := u.P95(); d != (20+122)*time.Millisecond { // the 122nd of the last 128
			t.Errorf("P95 of 21 to 148 ms is %v", d)
		}
	})
}
