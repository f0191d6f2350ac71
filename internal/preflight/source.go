package preflight

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/probe"
	"github.com/org/goproxy-setup/internal/report"
)

const (
	// giveUp is after how many requests in a row without any answer a proxy is
	// not asked again. The go command would go on; it would come to the same.
	giveUp = 3
	// maxWaits is how many times in a row a proxy may say "later" before it is
	// believed to mean "no".
	maxWaits = 5
	// leastWait is how long a proxy is left alone that does not say for how long.
	leastWait = time.Second
	// maxHosts is how many hosts of zips are noted for one proxy.
	maxHosts = 10
)

// A source is one proxy during a preflight: it is left alone as long as it asks
// to be, and is not asked for hundreds of files when it does not answer.
type source struct {
	entry policy.Entry
	asker asker

	mu     sync.Mutex      // guards the fields below
	until  time.Time       // nobody asks before
	waits  int             // Retry-Afters in a row
	silent [2]int          // requests for .mod files, and for zips, in a row without any answer
	last   [2]probe.Answer // the last of those
	tally  report.PreflightProxy
	zips   struct{ served, bad int }
}

func newSource(e policy.Entry, a asker) *source {
	return &source{entry: e, asker: a, tally: report.PreflightProxy{Name: e.Name}}
}

// ask asks for one file of a line. ok is false if time ran out.
func (s *source) ask(ctx context.Context, l *line, f goenv.File) (a probe.Answer, ok bool) {
	for {
		if last, gone := s.gone(f); gone {
			return last, true
		}
		if !s.wait(ctx) {
			return a, false
		}
		if f == goenv.Zip {
			a = s.asker.ZipStart(ctx, l.Version)
		} else {
			a = s.asker.Mod(ctx, l.Version, l.mod)
		}
		if ctx.Err() != nil {
			return a, false // cut by us: it says nothing about the proxy
		}
		if wantsPause(a) && s.later(ctx, &a) {
			continue
		}
		s.note(f, a)
		return a, true
	}
}

// wantsPause reports whether a proxy says "later": 429, or 503 with a time.
func wantsPause(a probe.Answer) bool {
	return a.Class == decision.RateLimited || a.Status == http.StatusServiceUnavailable && a.RetryAfter > 0
}

// gone returns the answer of a proxy that is not asked any more for files of
// that kind. Zips may be kept on another host than the rest.
func (s *source) gone(f goenv.File) (probe.Answer, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.silent[kind(f)] < giveUp {
		return probe.Answer{}, false
	}
	s.tally.GaveUp = true
	return s.last[kind(f)], true
}

func kind(f goenv.File) int {
	if f == goenv.Zip {
		return 1
	}
	return 0
}

// wait waits until the proxy may be asked. It reports whether there was time.
func (s *source) wait(ctx context.Context) bool {
	for ctx.Err() == nil {
		s.mu.Lock()
		left := time.Until(s.until)
		s.mu.Unlock()
		if left <= 0 {
			return true
		}
		t := time.NewTimer(left)
		select {
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
	}
	return false
}

// later notes that the proxy wants to be left alone, and reports whether it is
// worth waiting. If not, the answer says why.
func (s *source) later(ctx context.Context, a *probe.Answer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if time.Now().Before(s.until) {
		return true // another request has heard it already
	}
	pause := cmp.Or(a.RetryAfter, leastWait)
	s.waits++
	deadline, limited := ctx.Deadline()
	switch {
	case limited && time.Until(deadline) <= pause:
		a.Detail += fmt.Sprintf("; it asks to wait for %s, longer than the time that is left", report.Round(pause))
	case s.waits > maxWaits:
		a.Detail += fmt.Sprintf("; still, after waiting %d times as it asked", maxWaits)
	default:
		s.until = time.Now().Add(pause)
		s.tally.Waited += pause.Milliseconds()
		return true
	}
	s.silent, s.last = [2]int{giveUp, giveUp}, [2]probe.Answer{*a, *a} // to ask on would not be to wait
	return false
}

// note counts an answer.
func (s *source) note(f goenv.File, a probe.Answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.tally
	t.Asked++
	switch a.Class {
	case "":
		t.Served++
	case decision.Missing:
		t.Missing++
	case decision.Forbidden, decision.Unauthorized:
		t.Refused++
	default:
		t.Failed++
	}
	if a.Class != "" && a.Class != decision.Missing {
		t.Class, t.Cause, t.Next = string(a.Class), a.Detail, a.Next
	}
	if !wantsPause(a) {
		s.waits = 0 // it has answered
	}
	switch k := kind(f); {
	case wantsPause(a):
	case a.Class == decision.Silent, a.Class == decision.Stalled, a.Class != "" && a.Status == 0:
		s.silent[k]++
		s.last[k] = a
	default:
		s.silent[k] = 0
	}
	switch {
	case f != goenv.Zip || a.Class == decision.Missing:
	case a.Class != "":
		s.zips.bad++
	default:
		s.zips.served++
		if a.Host != "" && len(t.Hosts) < maxHosts && !slices.Contains(t.Hosts, a.Host) {
			t.Hosts = append(t.Hosts, a.Host)
		}
	}
}

// report returns what became of the proxy's requests.
func (s *source) report() report.PreflightProxy {
	s.mu.Lock()
	defer s.mu.Unlock()
	slices.Sort(s.tally.Hosts)
	s.tally.ZipsBlocked = s.zips.bad > 0 && s.zips.served == 0
	return s.tally
}
