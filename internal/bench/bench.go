// Package bench measures module proxies side by side: how fast they are under
// load, what they can do, how fresh they are, and whether their bytes are
// right.
//
// The requests are those of the go command for real modules. Every proxy is
// first asked once for each file, which fills its cache and shows what it
// serves; then all are loaded alike, in turns, so that a network that drifts
// hurts them alike. A latency begins when its request was due, not when there
// was a free connection to send it: a proxy that stalls cannot hide how many
// would have waited. Public services are asked politely, whatever the load.
package bench

import (
	"context"
	"crypto/x509"
	"net"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/netrc"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/probe"
)

// Config is what a measurement depends on. Settings, Load and Modules are
// required.
type Config struct {
	Settings *policy.Settings // its chain's proxies are measured
	Load     Load
	Kinds    []Kind // of files; nil is all
	// Modules are asked for. Every proxy of the chain may know them.
	Modules []probe.Canary
	// SumDB is the checksum database whose records are asked for; the zero
	// value is Go's default. Off leaves records out.
	SumDB goenv.SumDB
	// Public reports whether a host is a public service that is to be asked
	// politely; nil is the catalogue. See [Impolite].
	Public func(host string) bool
	// Progress is told of the state while Run runs, from Run's own goroutine: now
	// and then, and of each phase.
	Progress func(Progress)

	// The rest is as in [probe.Config].
	Getenv      func(string) string
	Netrc       []netrc.Machine
	Credentials func(policy.Entry) (user, password string, ok bool)
	RootCAs     func(policy.Entry) (*x509.CertPool, error)
	Dial        func(ctx context.Context, network, address string) (net.Conn, error)
}

// Impolite is the Config.Public of somebody who owns all that he asks.
func Impolite(string) bool { return false }

// A Kind is a kind of file, and of request.
type Kind string

// The kinds, in the order in which they are shown.
const (
	List  Kind = "list"
	Info  Kind = "info"
	Mod   Kind = "mod"
	Zip   Kind = "zip"
	SumDB Kind = "sumdb" // a record of the checksum database, through the proxy
)

// Kinds returns all kinds.
func Kinds() []Kind { return []Kind{List, Info, Mod, Zip, SumDB} }

// A Progress is the state of a measurement.
type Progress struct {
	Phase   string // "checking", "warming up" or "measuring"
	Elapsed time.Duration
	Rows    []ProgressRow // one for each proxy
}

// A ProgressRow is one proxy while it is measured.
type ProgressRow struct {
	Name        string
	Done, Total int            // requests of the phase; Total 0 is not known
	Failed      int            // of Done
	P50, P95    time.Duration  // 0 if there is nothing yet
	Dead        decision.Class // why it is not loaded, "" if it is
}

// Run measures. It returns what was measured when ctx ends, too; an error means
// that nothing could be.
func Run(ctx context.Context, cfg Config) (*Result, error) {
	r, err := newRun(cfg)
	if err != nil {
		return nil, err
	}
	defer r.close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.measure(ctx)
	}()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		r.tell()
		select {
		case <-tick.C:
		case r.phase = <-r.phases:
		case <-done:
			return r.result(ctx.Err() != nil), nil
		}
	}
}
