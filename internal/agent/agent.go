// Package agent is a module proxy on this machine in front of all others: one
// URL for the go command.
//
// A request is routed by its module path, answered from the store if the file
// is there, and otherwise fetched by package pool from the proxies of the
// route. No byte leaves before it was accepted, and no outage is called "not
// found".
package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/org/goproxy-setup/internal/agent/pool"
	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/agent/sumdb"
	"github.com/org/goproxy-setup/internal/agent/upstream"
	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/netrc"
	"github.com/org/goproxy-setup/internal/policy"
)

// A Config is what an agent serves: one environment of a policy, and what the
// policy may not say itself.
type Config struct {
	Settings *policy.Settings
	Agent    policy.Agent
	// GoSum vouches for files in addition to the checksum database; nil if the
	// agent serves more than the one run that brought it.
	GoSum *checksum.GoSum
	// Private are patterns of private modules beside the policy's.
	Private string
	// Unlisted are patterns of modules that are in no checksum database, beside
	// the private ones.
	Unlisted string
	// Getenv is the environment for HTTPS_PROXY and its kin; nil is empty.
	Getenv func(string) string
	// Credentials returns user and password for an entry; nil is none.
	Credentials func(policy.Entry) (user, password string, ok bool)
	// RootCAs returns the authorities that an entry's certificate is checked
	// against, nil for the system's.
	RootCAs func(policy.Entry) (*x509.CertPool, error)
	Netrc   []netrc.Machine
}

// An Agent answers requests of the go command. It is safe for concurrent use.
type Agent struct {
	store   *store.Store
	pool    *pool.Pool
	log     *slog.Logger
	meters  meters
	observe func(Event) // nil if nobody listens
	plan    atomic.Pointer[plan]
	started time.Time
	vain    atomic.Int64 // when a wait for the checksum database was the last in vain

	background context.Context // ends with Close
	stop       context.CancelFunc
	ahead      chan struct{} // slots for files that nobody has asked for yet
	wg         sync.WaitGroup

	mu        sync.Mutex                 // guards the fields below
	databases map[string]*sumdb.Database // by verifier key; open as long as the agent
	served    map[string]bool            // what exists: "path@version", and "path" if a list of it has versions, behind the realm
	draining  bool
}

// New returns an agent that keeps its files in s, which the caller closes after
// it. observe, if not nil, is told of every answer; it may be called
// concurrently.
func New(s *store.Store, c Config, log *slog.Logger, observe func(Event)) (*Agent, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	ctx, stop := context.WithCancel(context.Background())
	a := &Agent{
		store: s, pool: pool.New(s, log), log: log, observe: observe, started: time.Now(),
		background: ctx, stop: stop, ahead: make(chan struct{}, aheadAtOnce),
		databases: map[string]*sumdb.Database{}, served: map[string]bool{},
	}
	if err := a.Reload(c); err != nil {
		a.Close()
		return nil, err
	}
	return a, nil
}

// Reload puts another configuration in force: requests that are on their way
// end as they began. On an error the old one stays.
func (a *Agent) Reload(c Config) error {
	p, err := newPlan(c, a.log)
	if err != nil {
		return err
	}
	for i := range p.databases {
		if err := a.openDatabase(&p.databases[i]); err != nil {
			p.close()
			return err
		}
	}
	old := a.plan.Swap(p)
	if old != nil {
		old.close()
		a.pool.Forget(func(u *upstream.Upstream) bool { return !p.has(u) })
	}
	return nil
}

// openDatabase opens what is known of a checksum database, once.
func (a *Agent) openDatabase(d *database) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if open := a.databases[d.spec.Key]; open != nil {
		d.Database = open
		return nil
	}
	dir, err := a.store.Sub(sumdb.Folder(d.spec.Key))
	if err != nil {
		return fmt.Errorf("checksum database %s: %w", d.spec.Name, err)
	}
	key := d.spec.Key
	db, err := sumdb.Open(dir, key, func(ctx context.Context, path string, accept func([]byte) error) ([]byte, error) {
		return a.fetchSum(ctx, key, path, accept)
	}, a.log)
	if err != nil {
		return fmt.Errorf("checksum database %s: %w", d.spec.Name, err)
	}
	a.databases[key] = db
	d.Database = db
	return nil
}

// fetchSum reads a path of a checksum database by one of the routes that are in
// force now.
func (a *Agent) fetchSum(ctx context.Context, key, path string, accept func([]byte) error) ([]byte, error) {
	p := a.plan.Load()
	d := p.database(func(s goenv.SumDB) bool { return s.Key == key })
	if d == nil {
		return nil, errors.New("the checksum database is not configured any more")
	}
	s, err := a.pool.Fetch(ctx, pool.Request{
		Key: "sumdb/" + d.spec.Name + "/" + path, Targets: d.targets(p, path), Alone: true, Limit: sumdb.MaxAnswer,
		Accept: func(_ context.Context, b pool.Body) (store.Meta, error) {
			data, err := readAll(b, b.Size)
			if err == nil {
				err = accept(data)
			}
			if err != nil { // an answer may be refused only to see what the others say
				err = fmt.Errorf("%w: %w", pool.ErrNext, err)
			}
			return store.Meta{}, err
		},
	})
	if err != nil {
		return nil, err
	}
	defer s.File.Close()
	d.worked(s.Source)
	return readAll(s.File, s.Size)
}

// readAll reads a small file.
func readAll(r io.ReaderAt, size int64) ([]byte, error) {
	data := make([]byte, size)
	if n, err := r.ReadAt(data, 0); err != nil && (err != io.EOF || int64(n) < size) {
		return nil, err
	}
	return data, nil
}

// Drain makes the agent say that it is not ready any more. Requests are still
// answered.
func (a *Agent) Drain() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.draining = true
}

// Close ends what the agent does in the background. No request may be on its
// way.
func (a *Agent) Close() {
	a.stop()
	a.wg.Wait()
	a.pool.Wait()
	if p := a.plan.Load(); p != nil {
		p.close()
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range a.databases {
		d.Close()
	}
}

// maxServed bounds how many versions are remembered as served.
const maxServed = 100_000

// remember notes what a file that a realm has served, of so many bytes, proves to
// exist there: its version, and versions that a list has. A branch may be gone
// tomorrow, and a module without a tag has an empty list.
func (a *Agent) remember(realm string, f modproxy.File, size int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.served) >= maxServed {
		clear(a.served) // the store knows most of them, too
	}
	if f.Version != "" && !changes(f) {
		a.served[realm+f.Path+"@"+f.Version] = true
	}
	if tagged(f.Version) || f.Kind == modproxy.List && size > 0 {
		a.served[realm+f.Path] = true
	}
}

// wasServed reports whether a version was served by the realm or, without a
// version, any that a list has.
func (a *Agent) wasServed(realm string, m module.Version) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.served[realm+m.String()]
}

// tagged reports whether a list of versions names this one.
func tagged(version string) bool { return semver.IsValid(version) && !module.IsPseudoVersion(version) }
