package breaker

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

var config = Config{Failures: 2, Cooldown: 10 * time.Second, Longest: 30 * time.Second}

func call(t *testing.T, b *Breaker, r Result) {
	t.Helper()
	done, ok := b.Allow()
	if !ok {
		t.Fatal("the call is refused")
	}
	done(r)
}

func refused(t *testing.T, b *Breaker) {
	t.Helper()
	if _, ok := b.Allow(); ok {
		t.Fatal("the call is allowed")
	}
}

func TestOpensAndCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(config)
		call(t, b, Failure)
		call(t, b, Success) // not in a row
		call(t, b, Failure)
		call(t, b, Failure)
		refused(t, b)
		time.Sleep(10*time.Second - 1)
		refused(t, b)
		time.Sleep(1)
		done, ok := b.Allow()
		if !ok || b.State() != HalfOpen {
			t.Fatalf("no trial after the cooldown: %s", b.State())
		}
		refused(t, b) // one trial at a time
		done(Success)
		if b.State() != Closed {
			t.Errorf("state %s after a good trial", b.State())
		}
	})
}

func TestCooldownDoublesToABound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(config)
		call(t, b, Failure)
		call(t, b, Failure)
		for _, wait := range []time.Duration{10, 20, 30, 30} {
			time.Sleep(wait*time.Second - 1)
			refused(t, b)
			time.Sleep(1)
			call(t, b, Failure)
		}
	})
}

func TestLateAndNeutralResults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(config)
		late, _ := b.Allow()
		call(t, b, Failure)
		call(t, b, Failure)
		late(Success) // began before it opened: says nothing about now
		refused(t, b)
		time.Sleep(10 * time.Second)
		call(t, b, Neutral)
		call(t, b, Success)
		for range 10 {
			call(t, b, Neutral)
		}
		if b.State() != Closed {
			t.Errorf("state %s", b.State())
		}
	})
}

// A call beside the trial, which was forced, counts as well as the trial.
func TestForced(t *testing.T) {
	for _, tt := range []struct {
		name   string
		result Result
		want   State
	}{
		{"success closes", Success, Closed},
		{"failure is no news", Failure, Open},
		{"neutral says nothing", Neutral, Open},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := New(config)
				call(t, b, Failure)
				forced := b.Force() // closed: as any other
				forced(Failure)
				refused(t, b)
				time.Sleep(5 * time.Second)
				state, changed := b.Force()(tt.result)
				if state != tt.want || changed != (tt.want == Closed) {
					t.Errorf("state %s, changed %v; want %s", state, changed, tt.want)
				}
				if tt.want == Open { // for no longer than before
					refused(t, b)
					time.Sleep(5 * time.Second)
					call(t, b, Success)
				}
			})
		})
	}
}

func TestForcedBesideTheTrial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(config)
		call(t, b, Failure)
		call(t, b, Failure)
		time.Sleep(10 * time.Second)
		trial, _ := b.Allow()
		if b.Ready() {
			t.Error("ready while the trial is on its way")
		}
		if state, changed := b.Force()(Success); state != Closed || !changed {
			t.Errorf("state %s after a forced success", state)
		}
		if state, changed := trial(Failure); state != Closed || changed {
			t.Errorf("the late trial made it %s", state)
		}
		if !b.Ready() {
			t.Error("not ready")
		}
	})
}

// What fails beside the trial, calls and checks, takes nothing from it.
func TestTrialTells(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(config)
		call(t, b, Failure)
		call(t, b, Failure)
		time.Sleep(10 * time.Second)
		trial, _ := b.Allow()
		for _, r := range []Result{Failure, Neutral} {
			if state, changed := b.Force()(r); state != HalfOpen || changed {
				t.Errorf("state %s after a forced call", state)
			}
			refused(t, b)
		}
		if state, changed := b.Trip(time.Minute); state != HalfOpen || changed {
			t.Errorf("state %s after a failed check", state)
		}
		if state, changed := trial(Success); state != Closed || !changed {
			t.Errorf("state %s after a good trial", state)
		}
	})
}

func TestOneTrialAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(config)
		call(t, b, Failure)
		call(t, b, Failure)
		time.Sleep(10 * time.Second)
		var allowed atomic.Int32
		for range 50 {
			go func() {
				if _, ok := b.Allow(); ok {
					allowed.Add(1)
				}
			}()
		}
		synctest.Wait()
		if n := allowed.Load(); n != 1 {
			t.Errorf("%d trials", n)
		}
	})
}

// What checks find opens the breaker at once, keeps it open, and lets the next
// call be the trial.
func TestTripAndRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(config)
		late, _ := b.Allow()
		if state, changed := b.Trip(0); state != Open || !changed {
			t.Fatalf("state %s, changed %v", state, changed)
		}
		late(Success)
		time.Sleep(8 * time.Second)
		if _, changed := b.Trip(15 * time.Second); changed {
			t.Error("an open breaker opened")
		}
		time.Sleep(15*time.Second - 1)
		refused(t, b)
		b.Retry()
		if b.State() != HalfOpen || !b.Ready() {
			t.Errorf("state %s after Retry", b.State())
		}
		call(t, b, Success)
		b.Retry() // no trial is due
		call(t, b, Success)
		if b.State() != Closed {
			t.Errorf("state %s", b.State())
		}
	})
}

// An answer that is none closes the breaker, but makes up for no failure.
func TestAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(config)
		call(t, b, Failure)
		call(t, b, Answered)
		call(t, b, Failure)
		refused(t, b)
		time.Sleep(10 * time.Second)
		call(t, b, Answered)
		if b.State() != Closed {
			t.Errorf("state %s after a trial that was answered", b.State())
		}
		call(t, b, Failure)
		call(t, b, Failure)
		time.Sleep(20*time.Second - 1) // as long as after a trial that failed
		refused(t, b)
	})
}
