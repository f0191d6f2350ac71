package bench

import (
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/org/goproxy-setup/internal/decision"
)

// Histograms count microseconds, to three digits.
const (
	unit    = time.Microsecond
	longest = int64(time.Hour / unit)
	digits  = 3
)

func newHistogram() *hdrhistogram.Histogram { return hdrhistogram.New(1, longest, digits) }

// record adds a time to h. Times are at least one unit, and none is longer
// than an hour: no request may take that long.
func record(h *hdrhistogram.Histogram, d time.Duration) {
	h.RecordValue(min(max(int64(d.Round(unit)/unit), 1), longest)) // never out of range
}

// corrected returns h as it would have been if each connection had gone on
// sending at its own mean pace while one answer was late: for a time of n
// means, n-1 more requests would have waited, each a mean less than the one
// before.
//
// This is the correction of coordinated omission of HdrHistogram's author, with
// the pace that wrk takes for it. It is a guess here, since a load that waits
// for answers has no pace that it owes to anybody.
func corrected(h *hdrhistogram.Histogram) *hdrhistogram.Histogram {
	c := newHistogram()
	interval := max(int64(h.Mean()), 1)
	for _, bar := range h.Distribution() {
		if bar.Count == 0 {
			continue
		}
		c.RecordValues(bar.To, bar.Count)
		for missing := bar.To - interval; missing >= interval; missing -= interval {
			c.RecordValues(missing, bar.Count)
		}
	}
	return c
}

// A sample is one request that is over.
type sample struct {
	kind    Kind
	round   int
	class   decision.Class // "" for the right answer
	detail  string         // of a failure
	bytes   int64
	service time.Duration // from sending to the last byte
	latency time.Duration // from when it was due
}

// A tally is what is known of some requests of one kind to one proxy.
type tally struct {
	sent, failed int
	bytes        int64
	latency      *hdrhistogram.Histogram // of right answers
	service      *hdrhistogram.Histogram
	faults       map[decision.Class]*faultCount
}

type faultCount struct {
	n       int
	example string
}

func newTally() *tally {
	return &tally{latency: newHistogram(), service: newHistogram(), faults: map[decision.Class]*faultCount{}}
}

func (t *tally) add(s sample) {
	t.sent++
	t.bytes += s.bytes
	if s.class == "" {
		record(t.latency, s.latency)
		record(t.service, s.service)
		return
	}
	t.failed++
	t.fault(s.class, 1, s.detail)
}

func (t *tally) fault(c decision.Class, n int, example string) {
	f := t.faults[c]
	if f == nil {
		f = &faultCount{example: example}
		t.faults[c] = f
	}
	f.n += n
}

// merge adds o to t.
func (t *tally) merge(o *tally) {
	t.sent += o.sent
	t.failed += o.failed
	t.bytes += o.bytes
	t.latency.Merge(o.latency)
	t.service.Merge(o.service)
	for c, f := range o.faults {
		t.fault(c, f.n, f.example)
	}
}
