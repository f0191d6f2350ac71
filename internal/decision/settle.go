package decision

import (
	"time"

	"github.com/org/goproxy-setup/internal/policy"
)

// Grace is how much longer others get than the one that took so long.
func Grace(took time.Duration) time.Duration { return max(150*time.Millisecond, 2*took) }

// Settled reports whether the evidence seen so far decides, elapsed after the
// start of the probe. If not, again says when to ask again should nothing
// else arrive; 0 means only new evidence can settle it.
//
// It is settled when every entry before the first usable one has answered,
// failed or used up its time-out, and probe.keep usable entries are known or
// max(150 ms, 2 × the winner's time) has passed since. In enforced mode every
// gatekeeper is waited for: its word is the decision.
func Settled(s *policy.Settings, container bool, seen []Evidence, elapsed time.Duration) (done bool, again time.Duration) {
	byEntry := index(seen)
	var winner *Evidence
	var base time.Duration // when the winner and everything before it were known
	usable, waiting := 0, 0
	for _, e := range s.Proxies() {
		ev := byEntry[e.Name]
		if ev == nil {
			if winner == nil || s.Mode == policy.Enforced && e.Gatekeeper {
				return false, 0
			}
			waiting++
			continue
		}
		if winner == nil || s.Mode == policy.Enforced && e.Gatekeeper {
			base = max(base, ev.Took)
		}
		if judge(e, ev, container).usable() {
			usable++
			if winner == nil {
				winner = ev
			}
		}
	}
	if waiting == 0 || usable >= s.Probe.Keep {
		return true, 0
	}
	if end := base + Grace(winner.Took); elapsed < end {
		return false, end - elapsed
	}
	return true, 0
}

// index finds evidence by its entry. Of two for one entry the first counts:
// what arrives late must not change a verdict.
func index(list []Evidence) map[string]*Evidence {
	m := make(map[string]*Evidence, len(list))
	for i := range list {
		if _, dup := m[list[i].Entry]; !dup {
			m[list[i].Entry] = &list[i]
		}
	}
	return m
}
