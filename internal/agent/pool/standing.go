package pool

import (
	"sync"
	"time"

	"github.com/org/goproxy-setup/internal/agent/upstream"
)

// A proxy that lost this many requests in a row goes behind the others, for a
// time that doubles up to the longest.
const (
	lossesToDemote  = 3
	shortestDemoted = 5 * time.Second
	longestDemoted  = time.Minute
)

// standings remember whom others had to stand in for. A lost hedge and a 403
// are no failures, so the breaker does not count them: without this, a proxy
// that accepts and stays silent would cost every request the delay of a hedge,
// and soon the hedge itself, since the budget is small; and one that refuses
// everything would be asked first for ever.
type standings struct {
	mu   sync.Mutex // guards the field below
	late map[*upstream.Upstream]*lateness
}

type lateness struct {
	losses int // in a row
	wait   time.Duration
	until  time.Time
}

// lost notes that another proxy had to stand in.
func (s *standings) lost(u *upstream.Upstream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.late == nil {
		s.late = map[*upstream.Upstream]*lateness{}
	}
	l := s.late[u]
	if l == nil {
		l = &lateness{wait: shortestDemoted}
		s.late[u] = l
	}
	if l.losses++; l.losses >= lossesToDemote && !time.Now().Before(l.until) {
		l.until = time.Now().Add(l.wait)
		l.wait = min(2*l.wait, longestDemoted)
	}
}

// won notes that a proxy served a file.
func (s *standings) won(u *upstream.Upstream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.late, u)
}

// demoted reports whether a proxy goes behind the others. When its time is
// over, one request tries it in its old place, and the others wait for the
// result behind.
func (s *standings) demoted(u *upstream.Upstream) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.late[u]
	if l == nil || l.losses < lossesToDemote {
		return false
	}
	if time.Now().Before(l.until) {
		return true
	}
	l.until = time.Now().Add(l.wait)
	l.wait = min(2*l.wait, longestDemoted)
	return false
}

// forget drops what is remembered of proxies that are not in use any more.
func (s *standings) forget(gone func(*upstream.Upstream) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for u := range s.late {
		if gone(u) {
			delete(s.late, u)
		}
	}
}
