package decision

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/policy"
)

func TestSettled(t *testing.T) {
	const ms = time.Millisecond
	took := func(name string, d time.Duration) Evidence {
		return Evidence{Entry: name, Took: d, Latency: d / 4, Checks: []Check{{Kind: Zip}}}
	}
	down := func(name string, d time.Duration) Evidence {
		return Evidence{Entry: name, Took: d, Class: Refused}
	}
	for _, tt := range []struct {
		name    string
		mode    policy.Mode
		chain   string
		seen    []Evidence
		elapsed time.Duration
		done    bool
		again   time.Duration
	}{
		{name: "nothing yet", mode: routed, chain: "a b", done: false},
		{name: "the first is silent, the second works", mode: routed, chain: "a b c", seen: []Evidence{took("b", 50*ms), took("c", 60*ms)}, elapsed: 5000 * ms},
		{name: "keep is reached", mode: routed, chain: "a b c", seen: []Evidence{took("a", 50*ms), took("b", 60*ms)}, elapsed: 60 * ms, done: true},
		{name: "one works: 150 ms at least", mode: routed, chain: "a b c", seen: []Evidence{took("a", 50*ms)}, elapsed: 60 * ms, again: 140 * ms},
		{name: "one works: 150 ms are over", mode: routed, chain: "a b c", seen: []Evidence{took("a", 50*ms)}, elapsed: 200 * ms, done: true},
		{name: "one works: twice the winner's time", mode: routed, chain: "a b c", seen: []Evidence{took("a", 400*ms)}, elapsed: 500 * ms, again: 700 * ms},
		{name: "the wait begins when all before the winner are known", mode: routed, chain: "a b c", seen: []Evidence{down("a", 300*ms), took("b", 50*ms)}, elapsed: 300 * ms, again: 150 * ms},
		{name: "all answered", mode: routed, chain: "a b", seen: []Evidence{down("a", 300*ms), took("b", 50*ms)}, elapsed: 300 * ms, done: true},
		{name: "all down", mode: routed, chain: "a b direct", seen: []Evidence{down("a", 300*ms), down("b", 50*ms)}, elapsed: 300 * ms, done: true},
		{name: "enforced waits for every gatekeeper", mode: enforced, chain: "g h", seen: []Evidence{took("g", 50*ms)}, elapsed: 4000 * ms},
		{name: "no proxy at all", mode: routed, chain: "direct", done: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := settings(tt.mode, tt.chain)
			done, again := Settled(&s, false, tt.seen, tt.elapsed)
			if done != tt.done || again != tt.again {
				t.Errorf("Settled = %v, %v; want %v, %v", done, again, tt.done, tt.again)
			}
		})
	}
}

// After "settled", no late answer changes the exports. The caller stops to
// record then; should it go on by mistake, the silent are on record already,
// and the first evidence counts.
func TestLateAnswersChangeNothing(t *testing.T) {
	classes := []string{"ok", "nodb", "db502", "badlookup", "nolist", "900ms", "refused", "server-error", "forbidden", "not-found", "unknown-ca", "local"}
	chains := []string{"a b c direct", "a o b direct", "o a", "p a b", "g h", "a l u b direct", "l a direct"}
	r := rand.New(rand.NewPCG(1, 2))
	settledEarly := 0
	for range 5000 {
		s := settings(routed, chains[r.IntN(len(chains))])
		if s.Chain[0].Name == "g" {
			s.Mode = enforced
		}
		if r.IntN(2) == 0 {
			s.Strategy = policy.Fastest
		}
		var all []Evidence
		for _, e := range s.Proxies() {
			ev := saw(t, e.Name+"="+classes[r.IntN(len(classes))])[0]
			ev.Took = time.Duration(1+r.IntN(2000)) * time.Millisecond
			all = append(all, ev)
		}
		slices.SortFunc(all, func(a, b Evidence) int { return int(a.Took - b.Took) })
		n := 0
		for n < len(all) {
			n++
			if done, _ := Settled(&s, false, all[:n], all[n-1].Took); done {
				break
			}
		}
		seen := slices.Clone(all[:n])
		for _, late := range all[n:] {
			seen = append(seen, Evidence{Entry: late.Entry, Class: Cancelled, Detail: "silent"})
		}
		if n < len(all) {
			settledEarly++
		}
		in := Input{Settings: s, Evidence: seen, Databases: databases("direct")}
		want := exports(Decide(in))
		in.Evidence = append(slices.Clone(seen), all[n:]...)
		if got := exports(Decide(in)); got != want {
			t.Fatalf("late answers %+v changed the exports from %s to %s", all[n:], want, got)
		}
	}
	if settledEarly < 500 {
		t.Errorf("only %d of 5000 cases settled before the last answer: the property was hardly tested", settledEarly)
	}
}

// Whatever was seen: enforced never names a way around, a private chain names
// no public proxy, and an export is complete or absent.
func TestInvariants(t *testing.T) {
	classes := []string{"ok", "nodb", "db403", "badlookup", "refused", "forbidden", "not-found", "unknown-ca", "local", "silent-until-done"}
	r := rand.New(rand.NewPCG(3, 4))
	for range 5000 {
		mode := []policy.Mode{routed, enforced}[r.IntN(2)]
		s := settings(mode, []string{"g h", "g direct", "h off", "g h direct"}[r.IntN(4)])
		s.SumDB = []policy.SumDBRule{policy.SumDBRequired, policy.SumDBPreferred, policy.SumDBOff}[r.IntN(3)]
		s.OnExhausted = []policy.OnExhausted{policy.ExhaustedFail, policy.ExhaustedDirect, policy.ExhaustedKeep}[r.IntN(3)]
		in := Input{Settings: s, Databases: databases("direct alias"), Container: r.IntN(2) == 0}
		for _, e := range s.Proxies() {
			in.Evidence = append(in.Evidence, saw(t, e.Name+"="+classes[r.IntN(len(classes))])...)
		}
		d := Decide(in)
		for _, v := range d.Settings {
			if v.Value == "" {
				t.Fatalf("%+v exports an empty %s", in, v.Name)
			}
		}
		if (d.Outcome == "ok" || d.Outcome == "fallback") != (len(d.Settings) > 0) {
			t.Fatalf("%+v: outcome %s with settings %v", in, d.Outcome, d.Settings)
		}
		if mode != enforced || len(d.Settings) == 0 {
			continue
		}
		for _, e := range d.Chain {
			if !e.Proxy() || e.Sep == '|' {
				t.Fatalf("enforced chain %q has a way around", d.Chain)
			}
		}
	}
}
