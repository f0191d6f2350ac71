package bench

import (
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
)

// After the example of HdrHistogram's author: 100 seconds of answers within
// 10 ms, then one that takes as long. Uncorrected, 99.99 % are fast.
func TestCorrected(t *testing.T) {
	h := newHistogram()
	for range 10_000 {
		record(h, 10*time.Millisecond)
	}
	record(h, 100*time.Second)
	if p := quantile(h, 99); p > 11*time.Millisecond {
		t.Fatalf("uncorrected p99 %v", p)
	}
	c := corrected(h)
	// The mean is 20 ms, so 4999 requests more, evenly from 20 ms to 100 s.
	if n := c.TotalCount(); n < 14_980 || n > 15_020 {
		t.Errorf("%d requests; want about 15000", n)
	}
	for q, want := range map[float64]time.Duration{50: 10 * time.Millisecond, 90: 70 * time.Second, 99: 97 * time.Second, 100: 100 * time.Second} {
		if got := quantile(c, q); got < want*99/100 || got > want*101/100 {
			t.Errorf("corrected p%v is %v; want about %v", q, got, want)
		}
	}
}

func TestRecordBounds(t *testing.T) {
	h := newHistogram()
	for _, d := range []time.Duration{-time.Second, 0, 1, 24 * time.Hour} {
		record(h, d)
	}
	if h.TotalCount() != 4 || h.Min() != 1 || h.Max() < longest {
		t.Errorf("%d from %d to %d", h.TotalCount(), h.Min(), h.Max())
	}
}

// Failures count, and do not make a proxy look faster or slower.
func TestTally(t *testing.T) {
	a, b := newTally(), newTally()
	a.add(sample{latency: 10 * time.Millisecond, service: 5 * time.Millisecond, bytes: 100})
	a.add(sample{class: decision.Silent, detail: "first", latency: time.Hour})
	b.add(sample{class: decision.Silent, detail: "second"})
	b.add(sample{class: decision.ServerError, detail: "third", bytes: 7})
	a.merge(b)
	if a.sent != 4 || a.failed != 3 || a.bytes != 107 || a.latency.TotalCount() != 1 || quantile(a.service, 100) > 6*time.Millisecond {
		t.Errorf("got %+v", a)
	}
	want := []Failure{{decision.Silent, 2, "first"}, {decision.ServerError, 1, "third"}}
	if got := failures(a.faults); len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("got %+v; want %+v", got, want)
	}
}
