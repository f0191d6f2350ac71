package bench

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
	"golang.org/x/mod/semver"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
)

// Schema is the version of the JSON form of a [Result]. It changes when a field
// changes its meaning or goes away; new fields do not change it.
const Schema = 1

// A Result is what was measured. Times are milliseconds.
type Result struct {
	Schema      int       `json:"schema"`
	Version     string    `json:"version"` // of this program
	Started     time.Time `json:"started"`
	TookMS      float64   `json:"took_ms"`
	Interrupted bool      `json:"interrupted,omitempty"` // it is what there was until then

	Load    Load     `json:"load"`
	Loop    string   `json:"loop"`            // "open": requests are due at a rate; "closed": each connection waits for its answer
	Rounds  int      `json:"rounds"`          // in which the proxies took turns
	Notes   []string `json:"notes,omitempty"` // what was made less of the load, and why
	Modules []string `json:"modules"`         // that were asked for
	Common  []Kind   `json:"compared"`        // kinds of files that every loaded proxy offers: those of Proxy.All

	Proxies []Proxy `json:"proxies"`
}

// A Proxy is what was measured of one proxy.
type Proxy struct {
	Name string `json:"name"`
	URL  string `json:"url"` // redacted

	// Class and Detail say why the proxy was not loaded: it served nothing.
	Class  decision.Class `json:"class,omitempty"`
	Detail string         `json:"detail,omitempty"`

	All   *Figures  `json:"all,omitempty"` // of the kinds that are compared; nil if it was not loaded
	Kinds []Figures `json:"kinds,omitempty"`
	// RoundsP50 are the medians of the rounds, whose spread shows how much a
	// difference between proxies is worth.
	RoundsP50 []float64 `json:"rounds_p50_ms,omitempty"`
	// Unsent is how many requests were due and never sent, since every
	// connection was still waiting for an answer.
	Unsent int `json:"unsent,omitempty"`

	Files     []FileChecks `json:"files"` // one for each kind
	Abilities []Ability    `json:"abilities"`
	Fresh     []Newest     `json:"fresh"`
}

// Figures are the measurements of some requests. Percentiles and the mean are
// of right answers only.
type Figures struct {
	Kind     Kind `json:"kind,omitempty"` // "" for all
	Requests int  `json:"requests"`
	Failed   int  `json:"failed"`

	Percentiles
	Max  float64 `json:"max_ms"`
	Mean float64 `json:"mean_ms"`

	// Corrected are, of a closed loop, the percentiles as they would have been if
	// each connection had gone on at its own mean pace while an answer was late.
	// A guess.
	Corrected *Percentiles `json:"corrected,omitempty"`
	// Service are, of an open loop, the percentiles from sending to the last byte, without the time that a
	// request waited for a connection.
	Service *Percentiles `json:"service,omitempty"`

	Bytes             int64     `json:"bytes"`
	BytesPerSecond    float64   `json:"bytes_per_second"` // over the time under load
	RequestsPerSecond float64   `json:"requests_per_second"`
	Failures          []Failure `json:"failures,omitempty"` // the most frequent first
}

// Percentiles are the usual ones, in milliseconds.
type Percentiles struct {
	P50 float64 `json:"p50_ms"`
	P90 float64 `json:"p90_ms"`
	P95 float64 `json:"p95_ms"`
	P99 float64 `json:"p99_ms"`
}

func percentiles(h *hdrhistogram.Histogram) Percentiles {
	return Percentiles{ms(quantile(h, 50)), ms(quantile(h, 90)), ms(quantile(h, 95)), ms(quantile(h, 99))}
}

// FailureRate is the part of the requests that failed, from 0 to 1.
func (f *Figures) FailureRate() float64 {
	if f.Requests == 0 {
		return 0
	}
	return float64(f.Failed) / float64(f.Requests)
}

// A Failure is a class of failures under load.
type Failure struct {
	Class  decision.Class `json:"class"`
	Count  int            `json:"count"`
	Detail string         `json:"detail"` // of the first one
}

// FileChecks says what came of asking for each file of a kind once.
type FileChecks struct {
	Kind   Kind      `json:"kind"`
	Right  int       `json:"right"` // as known beforehand: by hash, or signed
	Asked  int       `json:"asked"`
	Wrong  int       `json:"wrong,omitempty"` // answers that were not the file
	Faults []Failure `json:"faults,omitempty"`
}

// An Ability is something that a proxy can do, or not.
type Ability struct {
	Name   string `json:"name"`
	Known  bool   `json:"known"`
	Yes    bool   `json:"yes"`
	Detail string `json:"detail,omitempty"`
}

// A Newest is the newest release of a module that a proxy knows.
type Newest struct {
	Module  string         `json:"module"`
	Version string         `json:"version,omitempty"`
	Behind  bool           `json:"behind,omitempty"` // another proxy knows a newer one
	Class   decision.Class `json:"class,omitempty"`  // why there is none
}

// OK reports whether every proxy that was asked served something, and nothing
// that is wrong.
func (r *Result) OK() bool {
	for _, p := range r.Proxies {
		if p.Class != "" || len(p.wrong()) > 0 {
			return false
		}
	}
	return true
}

// wrong lists the failures that are wrong bytes.
func (p *Proxy) wrong() []Failure {
	var list []Failure
	add := func(all []Failure) {
		for _, f := range all {
			if isWrong(f.Class) {
				list = append(list, f)
			}
		}
	}
	for _, f := range p.Files {
		if f.Kind != List { // one that lacks a version is old, and not wrong
			add(f.Faults)
		}
	}
	for _, f := range p.Kinds {
		if f.Kind != List {
			add(f.Failures)
		}
	}
	return list
}

// isWrong reports whether a class is one of bytes that are not the file.
func isWrong(c decision.Class) bool { return c == decision.WrongContent || c == decision.Portal }

// result sums up what was measured.
func (r *run) result(interrupted bool) *Result {
	res := &Result{
		Schema: Schema, Started: r.start.UTC(), TookMS: ms(time.Since(r.start)), Interrupted: interrupted,
		Load: r.load, Loop: "closed", Rounds: r.load.rounds(), Notes: r.notes, Common: r.common,
	}
	if r.load.Rate > 0 {
		res.Loop = "open"
	}
	for _, m := range r.cfg.Modules {
		res.Modules = append(res.Modules, m.Path+"@"+m.Version.Version)
	}
	for _, s := range r.subjects {
		res.Proxies = append(res.Proxies, r.proxy(s))
	}
	for i := range fresh {
		markBehind(res.Proxies, i)
	}
	return res
}

func (r *run) proxy(s *subject) Proxy {
	c := &s.checked
	p := Proxy{Name: s.entry.Name, URL: goenv.Redact(s.entry.URL), Unsent: s.unsent}
	p.Files = r.fileChecks(c)
	for i, n := range c.newest {
		p.Fresh = append(p.Fresh, Newest{Module: fresh[i].path, Version: n.version, Class: n.class})
	}
	p.Abilities = r.abilities(s)
	switch {
	case c.dead.Class != "":
		p.Class, p.Detail = c.dead.Class, c.dead.Detail
	case !s.serves():
		for _, v := range c.files {
			if v.class != "" {
				p.Class, p.Detail = v.class, v.detail
				break
			}
		}
	}
	all := newTally()
	for _, k := range Kinds() {
		t := s.tallies[k]
		if t == nil {
			continue
		}
		p.Kinds = append(p.Kinds, r.figures(k, t, s.busy))
		if r.compares(k) {
			all.merge(t)
		}
	}
	if len(p.Kinds) > 0 {
		p.All = new(r.figures("", all, s.busy))
	}
	for _, h := range s.rounds {
		if h.TotalCount() > 0 {
			p.RoundsP50 = append(p.RoundsP50, ms(quantile(h, 50)))
		}
	}
	return p
}

func (r *run) figures(k Kind, t *tally, busy time.Duration) Figures {
	h := t.latency
	f := Figures{
		Kind: k, Requests: t.sent, Failed: t.failed, Bytes: t.bytes,
		Percentiles: percentiles(h), Max: ms(time.Duration(h.Max()) * unit), Mean: h.Mean() * float64(unit) / float64(time.Millisecond),
	}
	if r.load.Rate > 0 {
		f.Service = new(percentiles(t.service))
	} else {
		f.Corrected = new(percentiles(corrected(h)))
	}
	if busy > 0 {
		f.BytesPerSecond, f.RequestsPerSecond = float64(t.bytes)/busy.Seconds(), float64(t.sent)/busy.Seconds()
	}
	f.Failures = failures(t.faults)
	return f
}

// failures lists classes, the most frequent first.
func failures(m map[decision.Class]*faultCount) []Failure {
	var list []Failure
	for c, n := range m {
		list = append(list, Failure{c, n.n, n.example})
	}
	slices.SortFunc(list, func(a, b Failure) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Class, b.Class))
	})
	return list
}

func (r *run) fileChecks(c *checked) []FileChecks {
	var list []FileChecks
	for _, k := range Kinds() {
		fc := FileChecks{Kind: k}
		faults := map[decision.Class]*faultCount{}
		t := tally{faults: faults}
		for i, v := range c.files {
			if r.files[i].kind != k || !v.made {
				continue
			}
			fc.Asked++
			switch {
			case v.class == "":
				fc.Right++
				continue
			case isWrong(v.class):
				fc.Wrong++
			}
			t.fault(v.class, 1, fmt.Sprintf("%s: %s", r.files[i].What, v.detail))
		}
		if fc.Faults = failures(faults); fc.Asked > 0 {
			list = append(list, fc)
		}
	}
	return list
}

// abilities lists what the proxy can do.
func (r *run) abilities(s *subject) []Ability {
	c := &s.checked
	if len(c.files) > 0 && c.dead.Class == "" {
		for i, f := range r.files {
			if v := c.files[i]; f.kind == List && v.made {
				if !c.abilities[canList].yes {
					c.abilities[canList] = able(v.class, v.detail)
				}
			}
		}
		if s.client.Base.Scheme != "https" {
			c.abilities[canHTTP2] = ability{true, false, "no TLS"}
		} else {
			c.abilities[canHTTP2] = ability{true, c.http2, ""}
		}
	}
	var list []Ability
	for _, name := range abilities {
		a := c.abilities[name]
		list = append(list, Ability{name, a.known, a.yes, a.detail})
	}
	for _, hosts := range []struct {
		name string
		list []string
	}{{"zips", c.zipHosts}, {"big zips", c.bigHosts}} {
		slices.Sort(hosts.list)
		if u := slices.Compact(hosts.list); len(u) > 0 {
			list = append(list, Ability{hosts.name, true, true, join(u, 3)})
		}
	}
	return list
}

// markBehind compares the i-th module of fresh.
func markBehind(list []Proxy, i int) {
	best := ""
	for _, p := range list {
		if i < len(p.Fresh) && semver.Compare(p.Fresh[i].Version, best) > 0 {
			best = p.Fresh[i].Version
		}
	}
	for _, p := range list {
		if i < len(p.Fresh) && p.Fresh[i].Version != "" {
			p.Fresh[i].Behind = semver.Compare(p.Fresh[i].Version, best) < 0
		}
	}
}

func quantile(h *hdrhistogram.Histogram, q float64) time.Duration {
	return time.Duration(h.ValueAtQuantile(q)) * unit
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// join lists the first most of the words.
func join(words []string, most int) string {
	s := ""
	for i, w := range words {
		if i == most {
			return fmt.Sprintf("%s and %d more", s, len(words)-most)
		}
		if i > 0 {
			s += ", "
		}
		s += w
	}
	return s
}
