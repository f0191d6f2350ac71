package pool

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/agent/upstream"
	"github.com/org/goproxy-setup/internal/decision"
)

// classes is every way in which an attempt may end without a file.
var classes = []decision.Class{
	decision.DNSFailure, decision.Refused, decision.Timeout, decision.Silent, decision.Stalled, decision.Reset, decision.UnknownCA, decision.BadTLS,
	decision.Unauthorized, decision.Forbidden, decision.RateLimited, decision.ServerError, decision.BadStatus, decision.Missing, decision.Portal,
	decision.WrongContent, decision.BadRedirect, decision.NotAllowed, decision.NoProxyPath, decision.Cancelled, upstream.NotAsked,
}

func randomOutcome(rnd *rand.Rand) Outcome {
	o := Outcome{Class: classes[rnd.IntN(len(classes))], Gatekeeper: rnd.IntN(4) == 0, Full: rnd.IntN(3) == 0, Took: time.Duration(rnd.IntN(8)) * time.Second}
	if rnd.IntN(2) == 0 {
		o.Class = decision.Missing // the interesting ones are rare by chance
	}
	o.Mismatch = o.Class == decision.WrongContent && rnd.IntN(2) == 0
	return o
}

// The contract, as properties of 10 000 requests that nobody served.
func TestVerdictProperties(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	seen := map[Verdict]int{}
	for range 10_000 {
		r := Rules{Everyone: rnd.IntN(2) == 0, Known: rnd.IntN(4) == 0}
		var all []Outcome
		for range rnd.IntN(5) {
			all = append(all, randomOutcome(rnd))
		}
		v := Judge(r, all)
		seen[v]++
		fail := func(what string) { t.Errorf("Judge(%+v, %+v) = %s: %s", r, all, v, what) }

		gatekeeper403 := slices.ContainsFunc(all, func(o Outcome) bool { return o.Gatekeeper && o.Class == decision.Forbidden })
		if gatekeeper403 != (v == Denied) {
			fail("denied exactly if a gatekeeper refuses")
		}
		quick404 := func(o Outcome) bool { return o.Class == decision.Missing && o.Took <= 5*time.Second }
		if v == Absent {
			authoritative := slices.ContainsFunc(all, func(o Outcome) bool { return o.Full }) && !r.Everyone
			switch {
			case r.Known:
				fail("what is known to exist is never absent")
			case slices.ContainsFunc(all, func(o Outcome) bool { return o.Mismatch }):
				fail("a proxy has the file, if another one")
			case !authoritative && (len(all) == 0 || slices.ContainsFunc(all, func(o Outcome) bool { return !quick404(o) })):
				fail("not every proxy says so, and quickly")
			case authoritative && !slices.ContainsFunc(all, func(o Outcome) bool { return o.Full && quick404(o) }):
				fail("no proxy that mirrors everything says so, and quickly")
			}
		}
		if v == Tampered && slices.ContainsFunc(all, func(o Outcome) bool { return !o.Mismatch && !quick404(o) }) {
			fail("another proxy may have the right bytes")
		}
		rnd.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		if again := Judge(r, all); again != v {
			fail("depends on the order: " + string(again))
		}
	}
	t.Logf("verdicts: %v", seen)
	for _, v := range []Verdict{Absent, Denied, Tampered, Unavailable, TimedOut, Failed} {
		if seen[v] < 10 {
			t.Errorf("%s came up %d times only", v, seen[v])
		}
	}
}

func TestVerdicts(t *testing.T) {
	missing := Outcome{Class: decision.Missing}
	full := Outcome{Class: decision.Missing, Full: true}
	slow := Outcome{Class: decision.Missing, Full: true, Took: slowAbsence + 1}
	dead := Outcome{Class: decision.Refused}
	for _, tt := range []struct {
		name string
		r    Rules
		all  []Outcome
		want Verdict
	}{
		{"nobody to ask", Rules{}, nil, Unavailable},
		{"all agree", Rules{}, []Outcome{missing, missing}, Absent},
		{"one of two is dead", Rules{}, []Outcome{missing, dead}, Failed},
		{"a full mirror suffices", Rules{}, []Outcome{dead, full}, Absent},
		{"not where everyone must agree", Rules{Everyone: true}, []Outcome{dead, full}, Failed},
		{"not for what exists", Rules{Known: true}, []Outcome{full}, Unavailable},
		{"a slow 404 is a time-out in disguise", Rules{}, []Outcome{slow}, TimedOut},
		{"a full mirror is dead", Rules{}, []Outcome{missing, {Class: decision.Refused, Full: true}}, Failed},
		{"breaker open", Rules{}, []Outcome{missing, {Class: upstream.NotAsked}}, Unavailable},
		{"paced", Rules{}, []Outcome{{Class: decision.RateLimited}, {Class: upstream.NotAsked}}, Unavailable},
		{"silent", Rules{}, []Outcome{{Class: decision.Silent}, missing}, TimedOut},
		{"gatekeeper", Rules{}, []Outcome{full, {Class: decision.Forbidden, Gatekeeper: true}}, Denied},
		{"a 403 of no gatekeeper", Rules{}, []Outcome{missing, {Class: decision.Forbidden}}, Failed},
		{"all have other bytes", Rules{}, []Outcome{{Class: decision.WrongContent, Mismatch: true}, missing}, Tampered},
		{"one has, one is dead", Rules{}, []Outcome{{Class: decision.WrongContent, Mismatch: true}, dead}, Failed},
	} {
		if got := Judge(tt.r, tt.all); got != tt.want {
			t.Errorf("%s: %s; want %s", tt.name, got, tt.want)
		}
	}
}
