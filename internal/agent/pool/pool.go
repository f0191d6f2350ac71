package pool

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/agent/upstream"
)

// A Target is a proxy of a route, and where the file is there.
type Target struct {
	*upstream.Upstream
	Path string // below the proxy's URL, unescaped
	// Last says that whoever is no gatekeeper comes after this gatekeeper only
	// if it answers that there is no such file.
	Last bool
	// Partial says that the proxy does not mirror everything of this kind,
	// whatever it does with others.
	Partial bool
}

// decides reports whether a 403 of the target is a decision. A proxy that does
// not pass a checksum database on may say so by that.
func (t Target) decides() bool { return t.Gatekeeper && !t.Partial }

// A Body is what was fetched, whole.
type Body struct {
	io.ReaderAt
	Size   int64
	Framed bool   // its end could be told from a connection that was cut
	Path   string // of the file on disk
}

// A Request is for one file.
type Request struct {
	Key     string // names the file: requests with one key and the same targets share a fetch
	Targets []Target
	Alone   bool // shares its fetch with nobody: what it accepts is its own business
	Rules
	Limit int64 // bytes that the file may have
	Keep  bool  // commit it to the store as Key
	// Ahead says that nobody waits for the file yet: until somebody does, it is
	// worth no extra request, and no proxy that seems dead is tried for it.
	Ahead bool
	// Accept judges the body before anybody sees it. Its error says what is
	// wrong with the bytes, never what is wrong with the network; it matches
	// [ErrNext] if nothing is, and is an [*fs.PathError] if it is this machine's
	// own trouble. It may be called for several bodies at once.
	Accept func(ctx context.Context, b Body) (store.Meta, error)
	// Vouched reports whether Accept will compare the file with a hash that
	// somebody vouches for: then the parts of a transfer that was cut may be of
	// different proxies. Nil is no.
	Vouched func(ctx context.Context) bool
}

// ErrNext is the error of an Accept that wants to see another proxy's answer,
// although nothing may be wrong with this one.
var ErrNext = errors.New("another answer is wanted")

// A Served file was accepted just now. The caller closes File.
type Served struct {
	File *os.File // to be read from the start
	Size int64
	store.Meta
	Outcomes []Outcome // of the proxies that were asked before, or beside
	Shared   bool      // another request had begun the fetch
}

// An Error is a request that no proxy could serve.
type Error struct {
	Verdict  Verdict
	Outcomes []Outcome // one for each proxy of the route
	Local    error     // this machine's own trouble, such as a full disk; nil if the proxies'
}

// Error returns one line for each proxy.
func (e *Error) Error() string {
	if e.Local != nil {
		return e.Local.Error()
	}
	lines := make([]string, 0, len(e.Outcomes))
	for _, o := range e.Outcomes {
		lines = append(lines, o.Proxy+": "+o.Detail)
	}
	return strings.Join(lines, "\n")
}

// Unwrap returns this machine's own trouble.
func (e *Error) Unwrap() error { return e.Local }

// Is matches an absent file with [fs.ErrNotExist].
func (e *Error) Is(target error) bool { return target == fs.ErrNotExist && e.Verdict == Absent }

// RetryAfter returns the shortest pause that a proxy asked for, 0 if none did.
func (e *Error) RetryAfter() (d time.Duration) {
	for _, o := range e.Outcomes {
		if o.RetryAfter > 0 && (d == 0 || o.RetryAfter < d) {
			d = o.RetryAfter
		}
	}
	return d
}

// A Pool is safe for concurrent use.
type Pool struct {
	store      *store.Store
	log        *slog.Logger
	firstPause time.Duration // tests make it shorter
	budget     budget
	standings  standings

	mu      sync.Mutex // guards the fields below
	flights map[string]*flight
	alone   int // flights that share with nobody, so far
	stats   Stats
	wg      sync.WaitGroup
}

// Stats count what a pool has done.
type Stats struct {
	Fetches  int64 // flights, each for any number of requests
	Shared   int64 // requests that joined one
	Hedges   int64
	Retries  int64
	Resumed  int64 // transfers that were cut and continued
	InFlight int
}

// New returns a pool that spools and keeps its files in s.
func New(s *store.Store, log *slog.Logger) *Pool {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Pool{store: s, log: log, firstPause: firstPause, budget: budget{extra: extraBurst}, flights: map[string]*flight{}}
}

// Stats returns what was done so far.
func (p *Pool) Stats() Stats {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.stats
	s.InFlight = len(p.flights)
	return s
}

// Wait returns when no fetch is on its way any more.
func (p *Pool) Wait() { p.wg.Wait() }

// Forget drops what is remembered of proxies for which gone reports true.
func (p *Pool) Forget(gone func(*upstream.Upstream) bool) { p.standings.forget(gone) }

// A flight is one fetch, for any number of requests.
type flight struct {
	name   string
	done   chan struct{} // closed when spool or err is set
	empty  chan struct{} // closed when all who boarded before have opened the spool file
	cancel context.CancelFunc

	// riders have boarded before done and not left yet; the last one to leave
	// ends the flight. Guarded by Pool.mu.
	riders  int
	awaited atomic.Bool // by a rider that has not asked ahead

	// Set before done is closed.
	spool    *store.Spool
	size     int64
	meta     store.Meta
	outcomes []Outcome
	err      error
	idle     bool // for want of anybody who waited, not everything was tried
}

// errAgain means that a flight ended between being joined and being opened, or
// was not made for the one who joined it.
var errAgain = errors.New("the flight is over")

// Fetch fetches a file, or joins the fetch that is on its way. The error is an
// [*Error], or ctx's.
func (p *Pool) Fetch(ctx context.Context, r Request) (*Served, error) {
	name := r.name()
	for range 3 {
		f, shared, late := p.board(r, name)
		s, err := p.ride(ctx, f, r, late)
		if err == errAgain {
			p.drop(f)
			continue
		}
		if err == nil {
			s.Shared = shared
		}
		return s, err
	}
	return nil, &Error{Verdict: Failed, Local: fmt.Errorf("%s was fetched and could not be kept", r.Key)}
}

// name is the same for requests that may share a fetch: for the same file, and
// by the same proxies. Who may ask fewer must not be sent what others may have,
// and who may ask more must not be told that nobody has it.
func (r Request) name() string {
	name := []byte(r.Key)
	for _, t := range r.Targets {
		name = fmt.Appendf(name, " %p", t.Upstream)
	}
	return string(name)
}

// board joins the flight for r, or starts one. Every rider must ride.
func (p *Pool) board(r Request, name string) (f *flight, shared, late bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.Alone {
		p.alone++
		name = fmt.Sprint(name, " ", p.alone)
	}
	if f = p.flights[name]; f != nil {
		p.stats.Shared++
		if late = f.over(); !late {
			f.riders++
		}
		p.await(f, r)
		return f, true, late
	}
	// The flight outlives the request that began it, if others ride along.
	ctx, cancel := context.WithCancel(context.Background())
	f = &flight{name: name, done: make(chan struct{}), empty: make(chan struct{}), cancel: cancel, riders: 1}
	p.await(f, r)
	p.flights[name] = f
	p.stats.Fetches++
	p.wg.Go(func() { p.fly(ctx, f, r) })
	return f, false, false
}

// await notes that somebody waits for a flight, which then earns extra requests
// as one.
func (p *Pool) await(f *flight, r Request) {
	if !r.Ahead && !f.awaited.Swap(true) {
		p.budget.earn()
	}
}

func (f *flight) over() bool {
	select {
	case <-f.done:
		return true
	default:
		return false
	}
}

// ride waits for the flight and opens the file.
func (p *Pool) ride(ctx context.Context, f *flight, r Request, late bool) (*Served, error) {
	if !late {
		defer p.leave(f)
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	switch {
	case f.err == nil:
	case f.idle && !r.Ahead:
		return nil, errAgain
	default:
		return nil, f.err
	}
	file, err := f.spool.Open()
	if err != nil { // boarded after the commit
		return p.kept(f, r.Key)
	}
	return &Served{File: file, Size: f.size, Meta: f.meta, Outcomes: f.outcomes}, nil
}

func (p *Pool) kept(f *flight, key string) (*Served, error) {
	e, err := p.store.Get(key)
	if err != nil {
		return nil, errAgain
	}
	if e.Origin != f.meta.Origin { // another flight's: of proxies that r may not ask
		e.Close()
		return nil, errAgain
	}
	return &Served{File: e.File, Size: e.Size, Meta: e.Meta, Outcomes: f.outcomes}, nil
}

// leave ends a flight that nobody rides any more.
func (p *Pool) leave(f *flight) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if f.riders--; f.riders > 0 {
		return
	}
	close(f.empty)
	if !f.over() {
		f.cancel()
		p.forget(f) // who comes now must not board it
	}
}

// drop makes the name free for another flight.
func (p *Pool) drop(f *flight) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.forget(f)
}

// forget is drop while p.mu is held.
func (p *Pool) forget(f *flight) {
	if p.flights[f.name] == f {
		delete(p.flights, f.name)
	}
}

// fly fetches the file, hands it to the riders, and keeps it. The flight can be
// joined until the file is in the store.
func (p *Pool) fly(ctx context.Context, f *flight, r Request) {
	defer f.cancel()
	won, outcomes, err := p.race(ctx, r, f)
	f.outcomes, f.err = outcomes, err
	if err == nil {
		f.spool, f.size, f.meta = won.spool, won.spool.Size(), won.meta
	}
	p.mu.Lock()
	close(f.done)
	if err != nil || !r.Keep {
		p.forget(f)
	}
	p.mu.Unlock()
	if err != nil {
		return
	}
	<-f.empty // they open it at once: the wait is short
	if !r.Keep {
		f.spool.Discard()
		return
	}
	<-p.store.Commit(f.spool, r.Key, f.meta) // the store logs its errors
	p.drop(f)
}
