package upstream

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
)

// logged returns the state changes that were logged since the last call.
func (w *world) logged() (states []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for line := range strings.Lines(w.log.String()) {
		if _, rest, ok := strings.Cut(line, "state="); ok {
			state, rest, _ := strings.Cut(rest, " ")
			if !strings.Contains(rest, "cause=") && !strings.Contains(rest, "p99=") {
				w.t.Errorf("a change without its cause: %s", line)
			}
			states = append(states, strings.TrimSpace(state))
		}
	}
	w.log.Reset()
	return states
}

func (w *world) wantLogged(states ...string) {
	w.t.Helper()
	if got := w.logged(); fmt.Sprint(got) != fmt.Sprint(states) {
		w.t.Errorf("logged %v; want %v", got, states)
	}
}

// wantNotAsked checks that a request is not sent, and says why.
func wantNotAsked(t *testing.T, u *Upstream, why string) *Failure {
	t.Helper()
	if u.Ready() {
		t.Error("the upstream is ready")
	}
	f := get(u, false)
	if f == nil || f.Class != NotAsked || !strings.Contains(f.Detail, why) {
		t.Fatalf("got %+v; want not asked, since %s", f, why)
	}
	return f
}

func TestBreaker(t *testing.T) {
	s := &answers{h: status(502)}
	inBubble(t, s.serve, func(t *testing.T, w *world) {
		u := w.upstream(Config{})
		for range failuresToOpen {
			if !u.Ready() {
				t.Error("not ready")
			}
			get(u, false)
		}
		wantNotAsked(t, u, "502 Bad Gateway")
		w.wantLogged("open")
		if got := s.count(); got != failuresToOpen {
			t.Errorf("asked %d times", got)
		}

		if f := get(u, true); f == nil || f.Class != decision.ServerError { // nobody else is left
			t.Errorf("forced: %v", f)
		}
		time.Sleep(shortestCooldown)
		if got := u.State(); got != HalfOpen {
			t.Errorf("state %s after the cooldown", got)
		}
		get(u, false) // a trial that fails
		wantNotAsked(t, u, "502")
		time.Sleep(shortestCooldown)
		wantNotAsked(t, u, "502") // twice as long now
		w.wantLogged()            // no news

		s.set(fine)
		time.Sleep(shortestCooldown)
		if f := get(u, false); f != nil || u.State() != Healthy {
			t.Errorf("trial: %v, state %s", f, u.State())
		}
		w.wantLogged("healthy")
	})
}

// A forced success closes the breaker as well as a trial does.
func TestForcedSuccess(t *testing.T) {
	s := &answers{h: status(502)}
	inBubble(t, s.serve, func(t *testing.T, w *world) {
		u := w.upstream(Config{})
		for range failuresToOpen {
			get(u, false)
		}
		s.set(fine)
		if f := get(u, true); f != nil || !u.Ready() {
			t.Errorf("forced: %v, state %s", f, u.State())
		}
		w.wantLogged("open", "healthy")
	})
}

// What the proxy may say without being broken does not count.
func TestHarmless(t *testing.T) {
	for _, code := range []int{404, 410, 403, 401} {
		inBubble(t, status(code), func(t *testing.T, w *world) {
			u := w.upstream(Config{})
			for range 10 * failuresToOpen {
				get(u, false)
			}
			if !u.Ready() {
				t.Errorf("%d ejected the proxy: %s", code, u.State())
			}
			w.wantLogged()
		})
	}
}

// "Not found" makes up for no failure, but ends an outage.
func TestNotFoundBetween(t *testing.T) {
	s := &answers{}
	inBubble(t, s.serve, func(t *testing.T, w *world) {
		u := w.upstream(Config{})
		for range failuresToOpen {
			s.set(status(404))
			get(u, false)
			s.set(status(500))
			get(u, false)
		}
		wantNotAsked(t, u, "500")
		s.set(status(404))
		time.Sleep(shortestCooldown)
		get(u, false)
		if !u.Ready() {
			t.Errorf("state %s after a trial that was answered", u.State())
		}
		w.wantLogged("open", "healthy")
	})
}

// Wrong bytes, which only the caller sees, count as any failure.
func TestCallersFailure(t *testing.T) {
	inBubble(t, fine, func(t *testing.T, w *world) {
		u := w.upstream(Config{})
		for range failuresToOpen {
			a, done, f := u.Get(t.Context(), modPath, false)
			if f != nil {
				t.Fatal(f)
			}
			a.Body.Close()
			bad := &Failure{Upstream: u.Name, Class: decision.WrongContent, Detail: "other bytes"}
			done(bad)
			done(bad) // once is enough
		}
		wantNotAsked(t, u, "other bytes")
		if s := u.Status(); s.Classes[decision.WrongContent] != failuresToOpen || s.InFlight != 0 || s.Last != "other bytes" || s.State != Open || s.Ready {
			t.Errorf("status %+v", s)
		}
	})
}

// A request that began before the breaker opened says nothing about now.
func TestLateResult(t *testing.T) {
	s := &answers{h: fine}
	inBubble(t, s.serve, func(t *testing.T, w *world) {
		u := w.upstream(Config{})
		a, done, f := u.Get(t.Context(), modPath, false)
		if f != nil {
			t.Fatal(f)
		}
		s.set(status(500))
		for range failuresToOpen {
			get(u, false)
		}
		a.Body.Close()
		done(nil)
		wantNotAsked(t, u, "500")
		w.wantLogged("open")
	})
}

// What a proxy does with a checksum database says nothing about its modules.
func TestDatabaseAside(t *testing.T) {
	const lookup = "sumdb/sum.example.com/lookup/example.com/m@v1.0.0"
	for name, h := range map[string]http.HandlerFunc{"502": status(502), "silent": silent} {
		s := &answers{h: h}
		inBubble(t, s.serve, func(t *testing.T, w *world) {
			u := w.upstream(Config{})
			for range 2 * failuresToOpen {
				if _, _, f := u.Get(t.Context(), lookup, false); f == nil {
					t.Fatal("served")
				}
			}
			if !u.Ready() {
				t.Errorf("%s: %s", name, u.State())
			}
			get(u, false)
			for range failuresToOpen - 1 {
				s.set(fine)
				if a, done, f := u.Get(t.Context(), lookup, false); f != nil {
					t.Fatal(f)
				} else {
					a.Body.Close()
					done(nil)
				}
				s.set(h)
				get(u, false)
			}
			if !u.Dead() {
				t.Errorf("%s: lookups make up for modules", name)
			}
		})
	}
}

func TestDead(t *testing.T) {
	s := &answers{h: retryAfter(429, "6")}
	inBubble(t, s.serve, func(t *testing.T, w *world) {
		u := w.upstream(Config{})
		dead := func(want bool) {
			t.Helper()
			if got := u.Dead(); got != want {
				t.Errorf("dead is %v in the state %s", got, u.State())
			}
		}
		get(u, false)
		dead(true)
		time.Sleep(time.Second)
		dead(false) // the rest of the pause is waited for
		time.Sleep(5 * time.Second)
		s.set(status(502))
		for range failuresToOpen {
			dead(false)
			get(u, false)
		}
		dead(true)
		time.Sleep(shortestCooldown)
		dead(false)
		s.set(silent)
		go get(u, false)
		synctest.Wait()
		dead(true) // until the trial has told
	})
}

func TestInFlight(t *testing.T) {
	inBubble(t, func(rw http.ResponseWriter, r *http.Request) {
		time.Sleep(4 * time.Second)
		fine(rw, r)
	}, func(t *testing.T, w *world) {
		u := w.upstream(Config{InFlight: 20})
		for range 18 {
			go get(u, false)
		}
		synctest.Wait()
		wantNotAsked(t, u, "18 requests are on their way")
		if s := u.Status(); s.State != Busy || s.InFlight != 18 || s.Limit != 20 {
			t.Errorf("status %+v", s)
		}
		go get(u, true) // what nobody else can answer
		go get(u, true)
		synctest.Wait()
		time.Sleep(time.Second)
		start := time.Now()
		want(t, "waits for a slot", get(u, true), "", start, 3*time.Second+4*time.Second)
		if !u.Ready() {
			t.Error("not ready")
		}
	})
}

func TestNoSlot(t *testing.T) {
	inBubble(t, silent, func(t *testing.T, w *world) {
		u := w.upstream(Config{InFlight: 1, Limits: Limits{FirstByte: slotWait}})
		go get(u, false)
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		want(t, "given up", getFrom(ctx, u, true), decision.Cancelled, start, time.Second)
		go get(u, true) // takes the slot when it is free
		synctest.Wait()
		start = time.Now()
		want(t, "full", get(u, true), NotAsked, start, slotWait)
	})
}
