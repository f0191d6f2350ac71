// Package probe asks module proxies whether they really serve modules, and
// returns what it saw as evidence.
//
// All proxies of a policy are asked at once. Each is asked in grades: the
// connection, a small zip whose hash is known, .mod files of the build's own
// go.sum, then the other uses of a proxy side by side. What a proxy does wrong
// is evidence and never an error; what follows from it is decided elsewhere.
//
// The requests are those of the go command, with its HTTPS_PROXY, certificates
// and netrc, but each wait has a limit, which go has not. Names of modules that
// are not known to be public go only to proxies marked private.
package probe

import (
	"context"
	"crypto/x509"
	"net"
	"time"

	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/netrc"
	"github.com/org/goproxy-setup/internal/policy"
)

// Config is what a probe depends on. Only Settings is required.
type Config struct {
	Settings *policy.Settings
	// Budget bounds the whole; Settings.Probe.Timeout bounds each proxy. 0 is
	// no bound of its own.
	Budget time.Duration
	// Settled says from the evidence seen so far whether more of it is needed
	// and, if so, when to ask again should nothing arrive; 0 is never. Nil
	// waits for every proxy.
	Settled func(seen []decision.Evidence, elapsed time.Duration) (done bool, again time.Duration)
	// Progress is told of every step while Run runs, from Run's own goroutine.
	Progress func(Event)

	GoSum     *checksum.GoSum // of the build, nil if there is none
	Toolchain string          // the toolchain to ask for, such as "go1.26.3"; "" asks for none
	// Container says that the probe runs in a container whose loopback is not
	// that of the steps that follow.
	Container bool

	// Getenv finds HTTP_PROXY, HTTPS_PROXY, NO_PROXY, GOAUTH, GOPRIVATE and
	// GONOPROXY. Nil finds nothing.
	Getenv func(string) string
	// Netrc are the entries of the netrc file.
	Netrc []netrc.Machine
	// Credentials returns the login for an entry of the policy. Without one,
	// Netrc is searched.
	Credentials func(policy.Entry) (user, password string, ok bool)
	// RootCAs returns the authorities that are trusted for an entry; a nil pool
	// is the system's.
	RootCAs func(policy.Entry) (*x509.CertPool, error)

	// SumDB is the checksum database that lookups are verified against; the
	// zero value is Go's default.
	SumDB goenv.SumDB
	// Databases are the routes to it besides the chain; nil is the catalogue's.
	Databases []policy.Database
	// Dial opens connections instead of the network's own dialer; for tests.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// A Result is what a probe saw.
type Result struct {
	Evidence  []decision.Evidence // one for each proxy of the chain, in its order
	Databases []decision.Database // in the order of Config.Databases
}

// An Event is one step of a probe, for a live table.
type Event struct {
	Entry string             // proxy's name in the policy, or a database's
	Kind  decision.CheckKind // "" for the verdict on the entry
	Done  bool               // false when a request leaves, true when its result is known
	Class decision.Class     // of the result, "" if it passed
	Took  time.Duration      // of the request; of a verdict, since the start
}

// linger is how long Run waits for its goroutines once they have been told to
// stop. They stop at once, unless a file system hangs.
const linger = 100 * time.Millisecond

// Run asks every proxy of the chain, and the routes to the checksum database
// beside it, until the evidence is settled or the budget is spent. Who has not
// answered by then has evidence of class [decision.Cancelled], and whatever it
// still says is not recorded.
func Run(ctx context.Context, cfg Config) Result {
	r := newRun(cfg)
	ctx, cancel := context.WithCancel(ctx)
	defer r.stop(cancel)

	proxies := cfg.Settings.Proxies()
	answers := make(chan decision.Evidence, len(proxies)) // room for all: nobody waits for us
	for _, e := range proxies {
		r.wg.Go(func() {
			if ev := r.proxy(ctx, e); ctx.Err() == nil { // else we have made it fail
				answers <- ev
			}
		})
	}
	routes := make(chan route, len(r.databases))
	for i, db := range r.databases {
		r.wg.Go(func() {
			d := r.database(ctx, db)
			routes <- route{i, time.Since(r.start), d}
		})
	}

	w := waiting{run: r, answers: answers, routes: routes, want: len(proxies)}
	w.evidence(ctx)
	w.databases(ctx)
	return w.result(proxies)
}

// stop ends what is still running. No goroutine outlives Run for long.
func (r *run) stop(cancel context.CancelFunc) {
	cancel()
	stopped := make(chan struct{})
	go func() {
		r.wg.Wait()
		close(stopped)
	}()
	t := time.NewTimer(linger)
	defer t.Stop()
	select {
	case <-stopped:
	case <-t.C:
	}
}
