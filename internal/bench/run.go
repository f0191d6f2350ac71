package bench

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/site"
)

// A run is one measurement.
type run struct {
	cfg      Config
	load     Load
	notes    []string // what was made less of the load, and why
	db       goenv.SumDB
	files    []file
	common   []Kind // that every loaded proxy offers: what is compared
	subjects []*subject
	start    time.Time

	phase  string      // Run's own
	phases chan string // that measure enters, each before its first request
}

// A subject is one proxy that is measured.
type subject struct {
	entry   policy.Entry
	client  *client
	checked checked
	seq     sequence
	digests map[string]uint64 // of right bodies, by path; not written under load

	mu                  sync.Mutex // guards the fields below
	done, total, failed int        // requests of the phase
	seen                *hdrhistogram.Histogram
	tallies             map[Kind]*tally
	rounds              []*hdrhistogram.Histogram // latencies of the common kinds
	busy                time.Duration             // under load
	unsent              int                       // were due, and never sent
}

// loaded reports whether the proxy serves anything that it could be loaded
// with.
func (s *subject) loaded() bool { return len(s.seq) > 0 }

func newRun(cfg Config) (*run, error) {
	r := &run{cfg: cfg, load: cfg.Load, db: cfg.SumDB, start: time.Now(), phase: "checking", phases: make(chan string)}
	if r.cfg.Getenv == nil {
		r.cfg.Getenv = func(string) string { return "" }
	}
	if r.db.Key == "" && !r.db.Off {
		r.db, _ = goenv.ParseSumDB("sum.golang.org") // known to go: never an error
	}
	kinds := cfg.Kinds
	if kinds == nil {
		kinds = Kinds()
	}
	if r.files = files(cfg.Modules, kinds, r.db); len(r.files) == 0 {
		return nil, errors.New("there is no file to ask for")
	}
	m := newManners(cfg.Public)
	for _, e := range cfg.Settings.Proxies() {
		s, err := r.subject(e, m)
		if err != nil {
			r.close()
			return nil, fmt.Errorf("%s: %w", e.Name, err)
		}
		r.subjects = append(r.subjects, s)
	}
	if len(r.subjects) == 0 {
		return nil, errors.New("there is no proxy to measure")
	}
	r.beModest()
	if r.load.Requests == 0 && r.load.Duration == 0 {
		r.load.Requests = defaultRequests
	}
	return r, nil
}

// beModest makes the load one that public services can bear, if there is any.
func (r *run) beModest() {
	same := map[*governor]int{}
	var names []string
	for _, s := range r.subjects {
		if g := s.client.gov; g != nil {
			if same[g]++; !slices.Contains(names, g.host) {
				names = append(names, g.host)
			}
		}
	}
	if len(names) == 0 {
		return
	}
	most := 1
	for _, n := range same {
		most = max(most, n)
	}
	if r.load.Requests == 0 && r.load.Duration == 0 {
		r.load.Requests = politeDefault
	}
	r.load, r.notes = r.load.polite(most, checksOf(len(r.files)))
	list, are := names[0], "is a public service"
	if len(names) > 1 {
		list, are = fmt.Sprintf("%s and %d more", names[0], len(names)-1), "are public services"
	}
	r.notes = append([]string{fmt.Sprintf("%s %s: at most %d requests a second, %d at a time and %d in all, for every proxy alike", list, are, politeRate, politeInFlight, politeRequests)}, r.notes...)
}

// subject prepares asking one proxy.
func (r *run) subject(e policy.Entry, m *manners) (*subject, error) {
	base, err := site.ParseBase(e.URL)
	if err != nil {
		return nil, err
	}
	c := &client{manners: m, gov: m.of(base.Hostname()), timeout: r.load.Timeout}
	sc := site.Config{Allows: r.cfg.Settings.Allows, Proxy: modproxy.HTTPProxy(r.cfg.Settings, r.cfg.Getenv), Dial: r.cfg.Dial, Idle: r.load.Concurrency}
	if r.cfg.RootCAs != nil {
		if sc.Roots, err = r.cfg.RootCAs(e); err != nil {
			return nil, fmt.Errorf("its own authority: %w", err)
		}
	}
	c.Site = site.New(base, sc)
	c.Client.HTTP = c
	c.Client.User = site.Logins{Netrc: r.cfg.Netrc, GOAUTH: r.cfg.Getenv("GOAUTH"), Policy: r.cfg.Credentials}.For(e, base)
	return &subject{entry: e, client: c, seen: newHistogram(), tallies: map[Kind]*tally{}}, nil
}

func (r *run) close() {
	for _, s := range r.subjects {
		s.client.Close()
	}
}

// measure checks every proxy and then loads those that serve something.
func (r *run) measure(ctx context.Context) {
	var wg sync.WaitGroup
	for _, s := range r.subjects {
		s.begin(0)
		wg.Go(func() {
			s.checked.abilities = map[string]ability{}
			c := &checker{client: s.client, out: &s.checked, count: func() { s.count(false) }}
			c.check(ctx, r.files)
		})
	}
	if wg.Wait(); ctx.Err() != nil {
		return
	}
	r.choose()
	var list []*subject
	for _, s := range r.subjects {
		if s.loaded() {
			list = append(list, s)
		}
	}
	if len(list) == 0 {
		return
	}
	if n := r.warmUp(list); n > 0 {
		r.enter("warming up", n)
		pace := pace{count: n, interval: r.load.interval()}
		r.each(ctx, list, func(i int, s *subject) { r.turn(ctx, s, pace, nil) })
	}
	r.enter("measuring", r.count())
	for _, s := range list {
		s.rounds = make([]*hdrhistogram.Histogram, r.load.rounds())
		for i := range s.rounds {
			s.rounds[i] = newHistogram()
		}
	}
	if r.load.Rate > 0 {
		r.openLoop(ctx, list)
	} else {
		r.closedLoop(ctx, list)
	}
}

// choose says which files each proxy is loaded with: all have the same work,
// as far as they serve it.
func (r *run) choose() {
	offers := map[*subject][]Kind{}
	r.common = Kinds()
	for _, s := range r.subjects {
		if !s.serves() {
			continue
		}
		for i, f := range r.files {
			if v := s.checked.files[i]; v.made && !notOffered(v.class) && !slices.Contains(offers[s], f.kind) {
				offers[s] = append(offers[s], f.kind)
			}
		}
		r.common = slices.DeleteFunc(r.common, func(k Kind) bool { return !slices.Contains(offers[s], k) })
	}
	for s, kinds := range offers {
		s.digests = map[string]uint64{}
		for i, f := range r.files {
			if v := s.checked.files[i]; v.class == "" {
				s.digests[f.Path] = v.digest
			}
		}
		var list []file
		for _, k := range kinds {
			list = append(list, r.shared(s, k, offers)...)
		}
		s.seq = newSequence(list)
	}
}

// shared returns the files of a kind that s is loaded with: those that every
// proxy has which offers the kind or, if there is none, its own.
func (r *run) shared(s *subject, k Kind, offers map[*subject][]Kind) []file {
	has := func(s *subject, i int) bool {
		v := s.checked.files[i]
		return !notOffered(v.class) && v.size <= r.files[i].limit
	}
	var all, own []file
	for i, f := range r.files {
		if f.kind != k || !has(s, i) {
			continue
		}
		own = append(own, f)
		missing := false
		for other, kinds := range offers {
			missing = missing || slices.Contains(kinds, k) && !has(other, i)
		}
		if !missing {
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		return own
	}
	return all
}

// serves reports whether the proxy gave any right answer.
func (s *subject) serves() bool {
	return slices.ContainsFunc(s.checked.files, func(v verdict) bool { return v.made && v.class == "" })
}

// warmUp is how many requests do not count.
func (r *run) warmUp(list []*subject) int {
	if r.load.WarmUp >= 0 {
		return r.load.WarmUp
	}
	n := r.load.Concurrency
	for _, s := range list {
		files := 0
		for _, same := range s.seq {
			files = max(files, len(same)*len(s.seq))
		}
		n = max(n, files)
	}
	return n
}

// count is how many requests of the load each proxy is sent, 0 if that is not
// known.
func (r *run) count() int {
	n := r.load.Requests
	if r.load.Rate > 0 && r.load.Duration > 0 {
		due := int(math.Ceil(r.load.Rate * r.load.Duration.Seconds()))
		n = min(cmp.Or(n, due), due)
	}
	return n
}

// enter begins a phase of total requests to each proxy. It waits for Run, which
// so tells of each phase, however short.
func (r *run) enter(phase string, total int) {
	for _, s := range r.subjects {
		s.begin(total)
	}
	r.phases <- phase
}

func (s *subject) begin(total int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done, s.total, s.failed = 0, total, 0
}

func (s *subject) count(failed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done++
	if failed {
		s.failed++
	}
}

// tell reports the state.
func (r *run) tell() {
	if r.cfg.Progress == nil {
		return
	}
	p := Progress{Phase: r.phase, Elapsed: time.Since(r.start)}
	for _, s := range r.subjects {
		s.mu.Lock()
		row := ProgressRow{Name: s.entry.Name, Done: s.done, Total: s.total, Failed: s.failed}
		if p.Phase == "measuring" && s.seen.TotalCount() > 0 {
			row.P50, row.P95 = quantile(s.seen, 50), quantile(s.seen, 95)
		}
		s.mu.Unlock()
		if p.Phase != "checking" && !s.loaded() { // not written any more
			row.Dead = cmp.Or(s.checked.dead.Class, s.firstFailure(), decision.Missing)
		}
		p.Rows = append(p.Rows, row)
	}
	r.cfg.Progress(p)
}

// firstFailure is the class of the first file that was not served.
func (s *subject) firstFailure() decision.Class {
	for _, v := range s.checked.files {
		if v.class != "" {
			return v.class
		}
	}
	return ""
}
