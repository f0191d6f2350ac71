package agent

import (
	"cmp"
	"strings"
	"sync"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/agent/pool"
	"github.com/org/goproxy-setup/internal/agent/upstream"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/modproxy"
)

// Bounds of what a journal remembers; the rest is counted.
const (
	maxModules = 20_000
	maxUnsold  = 1_000 // files that were not served
)

// A Journal collects what an agent answers, for one report at the end of a run:
// which modules were served, from where, and what went wrong on the way. The
// zero value is empty. It is safe for concurrent use, and its memory is bounded.
type Journal struct {
	mu      sync.Mutex // guards the fields below
	tallies map[string]*tally
	modules map[module.Version]*origin
	more    int // files of modules beyond maxModules

	unsold  map[modproxy.File]unsold // files that nobody could serve, so far
	next    int                      // number of the next one
	omitted int                      // beyond maxUnsold

	files, rerouted     int // fetched; of these, such that the first proxy was late for
	hits, absent, stale int // from the store; "not found"; earlier answers
	sums                int // answers of the checksum database that could not be had
	sumsCause           string
	secrets             int // lookups of private names, which were refused
}

// A tally is what one proxy did.
type tally struct {
	files    int // that it served
	failures int // requests that it failed
	classes  map[decision.Class]int
	first    pool.Outcome  // its first failure,
	file     modproxy.File // of this file,
	instead  string        // which that proxy served; "" if none did
	late     int           // requests for which another proxy was faster
	moved    int           // files that came from elsewhere since it had failed before
}

// An origin is where a module came from: its zip, or else its .mod, or else its
// .info.
type origin struct {
	from   string
	rank   int
	stored bool   // in an earlier run
	why    string // not from the first proxy of its route; "" if it is from that one
}

// An unsold file was asked for and not served.
type unsold struct {
	number      int // in the order in which they came
	cause, next string
	denied      bool // by a rule, and not by a failure
}

// ranks order the files of a module by how much of it they are.
var ranks = map[modproxy.Kind]int{modproxy.Info: 1, modproxy.Mod: 2, modproxy.Zip: 3}

// Add notes an answer.
func (j *Journal) Add(e Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.tallies == nil {
		j.tallies, j.modules, j.unsold = map[string]*tally{}, map[module.Version]*origin{}, map[modproxy.File]unsold{}
	}
	if e.Ahead {
		j.failures(e)
		return
	}
	switch e.Result {
	case ResultHit:
		if e.File.Path != "" {
			j.hits++
			j.served(e, true)
		}
	case ResultFetched, ResultShared:
		j.fetched(e)
		j.served(e, false)
	case ResultStale:
		j.stale++
		j.failures(e)
	case ResultAbsent:
		j.absent++
		j.failures(e)
	case ResultDenied, ResultFailed:
		j.failures(e)
		j.refused(e)
	}
}

// tally returns that of a proxy.
func (j *Journal) tally(proxy string) *tally {
	t := j.tallies[proxy]
	if t == nil {
		t = &tally{classes: map[decision.Class]int{}}
		j.tallies[proxy] = t
	}
	return t
}

// fetched counts a file that was fetched, and what happened before.
func (j *Journal) fetched(e Event) {
	j.files++
	j.tally(e.Source).files++
	if e.Result == ResultFetched { // else who began the fetch has told of the failures
		j.failures(e)
	}
	if e.First == "" || e.Source == e.First {
		return
	}
	first := j.tally(e.First)
	switch o, asked := outcomeOf(e, e.First); {
	case asked && failed(o), asked && o.Class == decision.Missing:
	case !asked && first.failures > 0:
		first.moved++
	default:
		first.late++
		j.rerouted++
	}
}

// failures counts the failures of the proxies that were asked for a file.
func (j *Journal) failures(e Event) {
	for _, o := range e.Outcomes {
		if !failed(o) {
			continue
		}
		t := j.tally(o.Proxy)
		if t.failures == 0 {
			t.first, t.file, t.instead = o, e.File, e.Source
		}
		t.failures++
		t.classes[o.Class]++
	}
}

// failed reports whether a proxy did not do what it is there for. That it has
// not got a module, or decides who may have it, is what it is there for.
func failed(o pool.Outcome) bool {
	switch o.Class {
	case "", upstream.NotAsked, decision.Missing, decision.Cancelled:
		return false
	case decision.Forbidden:
		return !o.Gatekeeper
	}
	return true
}

func outcomeOf(e Event, proxy string) (pool.Outcome, bool) {
	for _, o := range e.Outcomes {
		if o.Proxy == proxy && o.Class != upstream.NotAsked {
			return o, true
		}
	}
	return pool.Outcome{}, false
}

// served notes where a module came from.
func (j *Journal) served(e Event, stored bool) {
	delete(j.unsold, e.File)
	if e.File.Version == "" {
		return
	}
	m := module.Version{Path: e.File.Path, Version: e.File.Version}
	o := j.modules[m]
	switch {
	case o == nil && len(j.modules) >= maxModules:
		j.more++
		return
	case o == nil:
		o = &origin{}
		j.modules[m] = o
	case stored || ranks[e.File.Kind] < o.rank: // it was fetched just now, or is known by more
		return
	}
	*o = origin{from: e.Source, rank: ranks[e.File.Kind], stored: stored}
	if !stored && e.First != "" && e.Source != e.First {
		o.why = j.why(e)
	}
}

// why says why a file did not come from the first proxy of its route.
func (j *Journal) why(e Event) string {
	o, asked := outcomeOf(e, e.First)
	switch {
	case asked && failed(o):
		return e.First + ": " + brief(o)
	case asked && o.Class == decision.Missing:
		return e.First + " does not have it"
	case !asked && j.tally(e.First).failures > 0:
		return e.First + " was not asked, since it failed before"
	}
	return e.First + " was late"
}

// brief names a failure in a few words.
func brief(o pool.Outcome) string {
	if o.Status != 0 && o.Status != 200 {
		return modproxy.StatusText(o.Status)
	}
	if o.Detail == "" {
		return string(o.Class)
	}
	return o.Detail
}

// refused notes a file that was not served.
func (j *Journal) refused(e Event) {
	u := unsold{denied: e.Result == ResultDenied}
	for _, o := range e.Outcomes {
		if o.Class == "" || o.Class == upstream.NotAsked {
			continue
		}
		if u.cause != "" {
			u.cause += "; "
		}
		u.cause += o.Proxy + ": " + cmp.Or(o.Detail, brief(o))
		if u.next == "" && failed(o) {
			u.next = o.Next
		}
	}
	if u.cause == "" {
		u.cause, _, _ = strings.Cut(e.Cause, "\n")
	}
	if e.File.Path == "" {
		if u.denied {
			j.secrets++
			return
		}
		j.sums++
		if j.sumsCause == "" {
			j.sumsCause = u.cause
		}
		return
	}
	old, again := j.unsold[e.File]
	switch {
	case again:
		u.number = old.number
	case len(j.unsold) >= maxUnsold:
		j.omitted++
		return
	default:
		u.number = j.next
		j.next++
	}
	j.unsold[e.File] = u
}
