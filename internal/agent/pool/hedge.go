package pool

import (
	"time"

	"github.com/org/goproxy-setup/internal/agent/upstream"
	"github.com/org/goproxy-setup/internal/decision"
)

// When another proxy is asked although one has not failed yet. A proxy that
// has answered often enough is late after its own 95th percentile.
const (
	hedgeUnknown = 300 * time.Millisecond // of a proxy that is not known yet
	hedgeSoonest = 100 * time.Millisecond // less would race against noise
	hedgeLatest  = time.Second            // and for a large file in whose middle nothing comes for so long
	smallFile    = 64 << 20               // bound of files that come in one piece
	lookEvery    = 50 * time.Millisecond  // at those who are late
)

// wait returns how long nothing needs to be done. Whoever is late was looked at.
func (rc *race) wait() time.Duration {
	if !rc.settleBy.IsZero() {
		return max(time.Until(rc.settleBy), lookEvery)
	}
	wait := time.Minute
	if rc.guarded() {
		return wait
	}
	for _, a := range rc.running {
		left := rc.patience(a) - a.idle()
		if left <= 0 {
			left = lookEvery
		}
		wait = min(wait, left)
	}
	return wait
}

// patience returns how long a proxy may keep silent before another is asked.
func (rc *race) patience(a *attempt) time.Duration {
	if a.heard.Load() > 0 && rc.r.Limit > smallFile {
		return hedgeLatest
	}
	if p95, ok := rc.r.Targets[a.target].P95(); ok {
		return min(max(p95, hedgeSoonest), hedgeLatest)
	}
	return hedgeUnknown
}

// hedge asks one more proxy if all that were asked are late, but none that is
// kept from requests unless they are, too. Gatekeepers are never raced.
func (rc *race) hedge() {
	if rc.guarded() {
		return
	}
	last := prompt
	for _, a := range rc.running {
		if a.idle() < rc.patience(a) {
			return
		}
		last = max(last, rc.sides[a.target].rank)
	}
	// Once per silence: whoever is late now is given another while.
	for _, a := range rc.running {
		a.excused = time.Since(a.started)
	}
	for r := range ranks {
		for i, s := range rc.sides {
			if s.rank != r || s.state != untried || s.force && r > last || rc.r.Targets[i].decides() || !rc.mayAsk(i) {
				continue
			}
			if rc.f.awaited.Load() && rc.p.budget.spend() {
				rc.p.count(func(s *Stats) { s.Hedges++ })
				rc.ask(i, true)
			}
			return
		}
	}
}

// judge remembers who was late, or failed where another one served. What
// becomes of a checksum database says nothing of who serves modules.
func (rc *race) judge(won *attempt) {
	lost := func(i int) {
		if t := rc.r.Targets[i]; !t.Partial {
			rc.p.standings.lost(t.Upstream)
		}
	}
	if t := rc.r.Targets[won.target]; !t.Partial {
		rc.p.standings.won(t.Upstream)
	}
	for _, a := range rc.running {
		if won.hedge && a.started.Before(won.started) {
			lost(a.target)
		}
	}
	for i, o := range rc.outcomes {
		switch o.Class {
		case "", decision.Missing, decision.Cancelled, upstream.NotAsked, upstream.Unfit:
		default:
			lost(i)
		}
	}
}
