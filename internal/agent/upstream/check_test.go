package upstream

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
)

// inCheck runs an upstream whose active checks run.
func inCheck(t *testing.T, s *answers, test func(t *testing.T, w *world, u *Upstream)) {
	t.Helper()
	inBubble(t, s.serve, func(t *testing.T, w *world) {
		u := w.upstream(Config{CheckPath: modPath})
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go u.Run(ctx)
		test(t, w, u)
	})
}

// between checks how many requests have arrived.
func between(t *testing.T, what string, n, low, high int) {
	t.Helper()
	if n < low || n > high {
		t.Errorf("%s: %d requests; want %d to %d", what, n, low, high)
	}
}

// An idle agent sends nothing: a proxy is checked every 5 s for a minute after
// it was wanted.
func TestChecksWhileInUse(t *testing.T) {
	s := &answers{h: fine}
	inCheck(t, s, func(t *testing.T, w *world, u *Upstream) {
		time.Sleep(time.Hour)
		between(t, "never used", s.count(), 0, 0)
		get(u, false)
		s.count()
		time.Sleep(inUse)
		between(t, "in use", s.count(), 11, 13)
		time.Sleep(time.Hour)
		between(t, "idle again", s.count(), 0, 1)
		if n := u.Status().Checks; n < 11 || n > 14 {
			t.Errorf("%d checks are counted", n)
		}
		for range 60 {
			get(u, false)
			time.Sleep(10 * time.Second)
		}
		between(t, "ten minutes of use", s.count()-60, 110, 133)
	})
}

func TestNoCheckPath(t *testing.T) {
	s := &answers{h: fine}
	inBubble(t, s.serve, func(t *testing.T, w *world) {
		u := w.upstream(Config{})
		get(u, false)
		u.Run(t.Context()) // returns
		between(t, "no path", s.count(), 1, 1)
	})
}

// Three failures in a row open the breaker, before a client meets one; while
// they go on no client is a trial, and the first success lets one try.
func TestChecksEjectAndReadmit(t *testing.T) {
	s := &answers{h: fine}
	inCheck(t, s, func(t *testing.T, w *world, u *Upstream) {
		get(u, false)
		s.set(silent)
		time.Sleep(3 * (checkEvery*11/10 + checkLimit))
		wantNotAsked(t, u, "did not answer within 2s")
		w.wantLogged("open")
		for range 300 { // in use
			time.Sleep(time.Second)
			wantNotAsked(t, u, "did not answer")
		}
		s.set(fine)
		time.Sleep(checkEvery*11/10 + checkLimit + 1)
		if u.State() != HalfOpen {
			t.Errorf("state %s after a good check", u.State())
		}
		if f := get(u, false); f != nil || u.State() != Healthy {
			t.Errorf("trial: %v, state %s", f, u.State())
		}
		w.wantLogged("healthy")
	})
}

// A proxy that fails and that nobody wants is asked less and less often, and not
// for ever.
func TestChecksOfAnEjectedProxy(t *testing.T) {
	s := &answers{h: status(500)}
	inCheck(t, s, func(t *testing.T, w *world, u *Upstream) {
		for range failuresToOpen {
			get(u, false)
		}
		time.Sleep(10 * time.Minute)
		s.count()
		time.Sleep(missed - 10*time.Minute)
		between(t, "in the rest of an hour", s.count(), 45, 56)
		w.wantLogged("open")
		time.Sleep(24 * time.Hour)
		between(t, "in a day", s.count(), 0, 2)
		get(u, false)
		time.Sleep(inUse)
		between(t, "in use again", s.count(), 6, 14)
	})
}

// A proxy that cannot get the file of the checks, and serves what it is there
// for, is a good one.
func TestChecksOfWhatIsServed(t *testing.T) {
	s := &answers{h: func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/"+modPath {
			w.WriteHeader(500)
			return
		}
		fine(w, r)
	}}
	for _, path := range []string{"example.com/own/@v/v1.0.0.mod", "example.com/own/@v/v1.0.0.zip"} {
		inCheck(t, s, func(t *testing.T, w *world, u *Upstream) {
			for range 120 {
				if !u.Ready() {
					t.Fatalf("ejected: %s", u.lastFailure())
				}
				a, done, f := u.Get(t.Context(), path, false)
				if f != nil {
					t.Fatal(f)
				}
				a.Body.Close()
				done(nil)
				time.Sleep(time.Second)
			}
			w.wantLogged()
		})
	}
}

// One failed check between good ones opens nothing; good checks do not make up
// for files that fail.
func TestChecksAndRequests(t *testing.T) {
	n := 0
	inCheck(t, &answers{h: func(rw http.ResponseWriter, r *http.Request) {
		if n++; n%3 == 0 {
			fine(rw, r)
			return
		}
		rw.WriteHeader(500)
	}}, func(t *testing.T, w *world, u *Upstream) {
		u.mu.Lock()
		u.used = time.Now()
		u.mu.Unlock()
		time.Sleep(time.Minute)
		if !u.Ready() {
			t.Errorf("ejected: %s", u.lastFailure())
		}
	})
	inCheck(t, &answers{h: func(rw http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/"+modPath {
			rw.WriteHeader(500)
		}
	}}, func(t *testing.T, w *world, u *Upstream) {
		for range failuresToOpen {
			_, _, f := u.Get(t.Context(), "example.com/m/@v/v1.0.0.zip", false)
			if f == nil {
				t.Fatal("no failure")
			}
			time.Sleep(10 * time.Second)
		}
		w.wantLogged("open")
	})
}

// What a check may be answered without the proxy being broken.
func TestCheckAnswers(t *testing.T) {
	for _, tt := range []struct {
		name string
		h    http.HandlerFunc
		bad  bool
	}{
		{"not found", status(404), false},
		{"forbidden", status(403), false},
		{"login", status(401), false},
		{"a captive portal", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<!DOCTYPE html><title>Login</title>") }, true},
		{"stalls", func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "module ")
			http.NewResponseController(w).Flush()
			silent(w, r)
		}, true},
		{"bad gateway", status(502), true},
		{"endless", func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				if _, err := w.Write(make([]byte, 32<<10)); err != nil {
					return
				}
			}
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inCheck(t, &answers{h: tt.h}, func(t *testing.T, w *world, u *Upstream) {
				u.mu.Lock()
				u.used = time.Now()
				u.mu.Unlock()
				time.Sleep(30 * time.Second)
				if got := u.Ready(); got == tt.bad {
					t.Errorf("ready: %v, last %q", got, u.Status().Last)
				}
			})
		})
	}
}

// In a pause that the proxy asked for, not even checks are sent; what a check
// is told counts for all.
func TestChecksRespectPauses(t *testing.T) {
	s := &answers{h: retryAfter(429, "30")}
	inCheck(t, s, func(t *testing.T, w *world, u *Upstream) {
		u.mu.Lock()
		u.used = time.Now()
		u.mu.Unlock()
		time.Sleep(checkEvery * 11 / 10)
		wantNotAsked(t, u, "pause")
		between(t, "first", s.count(), 1, 1)
		time.Sleep(25 * time.Second)
		between(t, "in the pause", s.count(), 0, 0)
		w.wantLogged("paused")
	})
}

// The end of the agent is no failure.
func TestCheckCancelled(t *testing.T) {
	inBubble(t, silent, func(t *testing.T, w *world) {
		u := w.upstream(Config{CheckPath: modPath})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan bool)
		go func() { u.Run(ctx); close(ended) }()
		go get(u, false)
		time.Sleep(checkEvery*11/10 + time.Second) // in the middle of a check
		cancel()
		synctest.Wait()
		select {
		case <-ended:
		default:
			t.Error("Run did not return")
		}
		if s := u.Status(); s.Checks != 0 || s.Classes[decision.Silent] != 0 {
			t.Errorf("status %+v", s)
		}
	})
}
