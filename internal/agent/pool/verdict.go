// Package pool fetches one file from many module proxies.
//
// It asks them in order, moves on by the class of each failure, asks a second
// one when the first is late, and judges what comes back before anybody sees
// it. Any number of clients that want the same file share one fetch. What they
// are told when no proxy could serve it is the verdict over all outcomes of the
// request: an outage is never called "not found".
package pool

import (
	"time"

	"github.com/org/goproxy-setup/internal/agent/upstream"
	"github.com/org/goproxy-setup/internal/decision"
)

// A Verdict is what all outcomes of a request together mean.
type Verdict string

const (
	Absent      Verdict = "absent"      // whoever could know says that there is no such file
	Denied      Verdict = "denied"      // a gatekeeper's decision; final
	Tampered    Verdict = "tampered"    // all who have the file have other bytes than it must have
	Unavailable Verdict = "unavailable" // nobody could be asked, or all asked for a pause
	TimedOut    Verdict = "timed out"   // no answer in time
	Failed      Verdict = "failed"      // any other failure
)

// An Outcome is how one proxy ended a request. Every proxy of a route has one,
// asked or not.
type Outcome struct {
	Proxy      string         `json:"proxy"`
	Class      decision.Class `json:"class,omitempty"`  // "" if it served the file
	Status     int            `json:"status,omitempty"` // 0 if no response arrived
	Detail     string         `json:"detail,omitempty"` // for people: one line, redacted
	Next       string         `json:"next,omitempty"`   // what to do about it
	Took       time.Duration  `json:"took,omitempty"`
	RetryAfter time.Duration  `json:"retry_after,omitempty"`
	Mismatch   bool           `json:"mismatch,omitempty"` // well-formed, and not the bytes that are vouched for

	Gatekeeper bool `json:"gatekeeper,omitempty"` // its 403 is a decision
	Full       bool `json:"full,omitempty"`       // it mirrors everything public
}

// slowAbsence is from when on a 404 says nothing: mirrors answer so after their
// own fetch has timed out.
const slowAbsence = 5 * time.Second

func (o Outcome) missing() bool {
	return o.Class == decision.Missing && o.Took <= slowAbsence
}

// Rules are what a verdict depends on besides the outcomes.
type Rules struct {
	Everyone bool // every proxy is authoritative: enforced mode, private modules
	Known    bool // the file is known to exist: its absence is an outage
}

// Judge returns the verdict over the outcomes of a request that nobody served,
// one for each proxy of the route. Only "not found" by every authoritative
// proxy is absence: all of them or, if the route has proxies that mirror
// everything, one of those.
func Judge(r Rules, all []Outcome) Verdict {
	var waits, timeouts, mismatches, missing, notAsked int
	for _, o := range all {
		switch {
		case o.Class == decision.Forbidden && o.Gatekeeper:
			return Denied
		case o.Mismatch:
			mismatches++
		case o.missing():
			missing++
		case o.Class == upstream.NotAsked:
			notAsked++
		case o.Class == decision.RateLimited, o.RetryAfter > 0:
			waits++
		case o.Class == decision.Silent, o.Class == decision.Stalled, o.Class == decision.Timeout, o.Class == decision.Missing, o.Class == decision.Cancelled:
			timeouts++
		}
	}
	switch {
	case len(all) == 0:
		return Unavailable
	case mismatches > 0 && mismatches+missing == len(all):
		return Tampered
	case mismatches == 0 && !r.Known && absent(r, all):
		return Absent
	case notAsked+waits+missing == len(all):
		return Unavailable
	case notAsked+waits+missing+timeouts == len(all):
		return TimedOut
	}
	return Failed
}

// absent reports whether all who can know say that there is no such file.
func absent(r Rules, all []Outcome) bool {
	full := false
	for _, o := range all {
		if o.Full && !r.Everyone {
			full = true
			if o.missing() {
				return true
			}
		}
	}
	if full {
		return false
	}
	for _, o := range all {
		if !o.missing() {
			return false
		}
	}
	return true
}
