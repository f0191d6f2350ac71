package breaker

import (
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
