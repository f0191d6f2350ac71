package upstream

import (
	"slices"
	"strings"
	"time"
)

// How many samples are kept, and how many are enough to tell.
const (
	recentSamples = 128 // of any file, however old: for the 95th percentile
	enoughRecent  = 20
	smallSamples  = 1024 // of .info and .mod files, for the 99th percentile
	enoughSmall   = 100
	smallWindow   = time.Minute // how old they may be
)

// A window holds the latest samples of a duration.
type window struct {
	ring []sample
	next int
}

type sample struct {
	at   time.Time
	took time.Duration
}

func newWindow(n int) window { return window{ring: make([]sample, 0, n)} }

func (w *window) add(took time.Duration) {
	s := sample{time.Now(), took}
	if len(w.ring) < cap(w.ring) {
		w.ring = append(w.ring, s)
		return
	}
	w.ring[w.next] = s
	w.next = (w.next + 1) % len(w.ring)
}

// over returns how many samples are not older than age, and how many of those
// are above limit.
func (w *window) over(age, limit time.Duration) (n, above int) {
	since := time.Now().Add(-age)
	for _, s := range w.ring {
		if s.at.Before(since) {
			continue
		}
		n++
		if s.took > limit {
			above++
		}
	}
	return n, above
}

// percentile returns the time within which p of 100 samples not older than age
// were, and how many there are.
func (w *window) percentile(p int, age time.Duration) (d time.Duration, n int) {
	since := time.Now().Add(-age)
	list := make([]time.Duration, 0, len(w.ring))
	for _, s := range w.ring {
		if !s.at.Before(since) {
			list = append(list, s.took)
		}
	}
	if len(list) == 0 {
		return 0, 0
	}
	slices.Sort(list)
	return list[(len(list)*p+99)/100-1], len(list) // nearest rank
}

// slowFor is how long the 99th percentile must be over its bound.
const slowFor = time.Minute

// A slowness tells since when a proxy is too slow to be asked first.
type slowness struct {
	over time.Time // the percentile is above the bound since then; zero if it is not
	is   bool
}

// judge applies the rule, and reports whether it has changed its mind: a proxy
// is slow once the 99th percentile of at least 100 times to the first byte of
// .info and .mod files, none older than a minute, has been above the bound for
// a minute. It is slow no more when what is left of the samples, which the
// active checks add to, is below it again.
func (s *slowness) judge(w *window, bound time.Duration) (changed bool) {
	n, above := w.over(smallWindow, bound)
	over := above*100 > n
	was := s.is
	switch {
	case !over:
		*s = slowness{}
	case s.is:
	case n < enoughSmall:
		s.over = time.Time{}
	case s.over.IsZero():
		s.over = time.Now()
	default:
		s.is = time.Since(s.over) >= slowFor
	}
	return s.is != was
}

// latency notes when the first byte of the answer for path came.
func (u *Upstream) latency(path string, took time.Duration) {
	u.mu.Lock()
	u.recent.add(took)
	if isSmall(path) {
		u.small.add(took)
	}
	u.mu.Unlock()
	u.isSlow()
}

func isSmall(path string) bool {
	return strings.HasSuffix(path, ".mod") || strings.HasSuffix(path, ".info")
}

// isSlow reports whether the proxy is too slow to be asked first, and logs when
// that changes.
func (u *Upstream) isSlow() bool {
	u.mu.Lock()
	changed := u.slow.judge(&u.small, u.Slow)
	slow := u.slow.is
	var p99 time.Duration
	var n int
	if changed {
		p99, n = u.small.percentile(99, smallWindow)
	}
	u.mu.Unlock()
	switch {
	case changed && slow:
		u.Log.Warn(stateChanged, "proxy", u.Name, "state", string(Slow), "p99", p99, "samples", n, "bound", u.Slow)
	case changed:
		u.Log.Info(stateChanged, "proxy", u.Name, "state", string(u.State()), "p99", p99, "samples", n, "bound", u.Slow)
	}
	return slow
}

// P95 returns the time within which 95 of 100 answers begin, and whether
// enough are known to tell.
func (u *Upstream) P95() (time.Duration, bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	d, n := u.recent.percentile(95, forever)
	return d, n >= enoughRecent
}

const forever = time.Duration(1<<63 - 1)
