//go:build linux

// Package lab measures module proxies under faults: the real go command
// downloads a real project through the proxy under test, which has two
// upstreams behind a simulated link; the first of them misbehaves.
//
// A [Contender] is what stands between go and the upstreams: our agent, other
// proxies, or nothing but a GOPROXY list. All meet the same faults in the same
// order ([Faults]), and every file that go ends up with is compared with the
// origin. Only tests and the program in lab/table import this package.
package lab

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/org/goproxy-setup/internal/proxytest"
)

// A Lab runs contenders. Its methods must not be called at the same time.
type Lab struct {
	Project *Project
	Program string // path of goproxy-setup
	Peers   string // folder with the other proxies' commands, see .ci/tools/peers.sh
	Dir     string // for temporary files, below which each run has its own

	RoundTrip time.Duration // of the link; 0 is no link
	Rate      int           // its bytes per second
	Cap       time.Duration // a run that takes longer is stopped; 0 is three times the healthy time, and 5 s

	healthy map[string]Run // by contender
}

// The link that the tables are for: a mirror on the same continent.
const (
	RoundTrip = 30 * time.Millisecond
	Rate      = 50_000_000 // bytes per second
)

// upstreams are the two proxies of one run and the link that they share.
type upstreams struct {
	first, second *proxytest.Server
	firstURL      string
}

func (l *Lab) startUpstreams(f Fault, at int) (*upstreams, error) {
	o := l.Project.origin
	if l.RoundTrip > 0 {
		o.Link = proxytest.NewLink(l.RoundTrip, l.Rate)
	}
	first, err := proxytest.Start(o)
	if err != nil {
		return nil, err
	}
	second, err := proxytest.Start(o)
	if err != nil {
		return nil, errors.Join(err, first.Close())
	}
	u := &upstreams{first, second, first.URL}
	switch {
	case f.Fault == "vanish" && at == 0:
		u.firstURL = "http://" + first.Refuse // gone before it was ever asked
	case f.Fault != "":
		first.SetFault(f.at(at))
	}
	return u, nil
}

// startOrigin starts a healthy upstream without a link, to compare with.
func (l *Lab) startOrigin() (*proxytest.Server, error) {
	return proxytest.Start(l.Project.origin)
}

func (u *upstreams) close() error { return errors.Join(u.first.Close(), u.second.Close()) }

// temp makes a folder for one run.
func (l *Lab) temp(name string) (dir string, remove func(), err error) {
	dir, err = os.MkdirTemp(l.Dir, name+"-")
	return dir, func() { os.RemoveAll(dir) }, err
}

// start starts a contender in front of the upstreams.
func (l *Lab) start(ctx context.Context, c Contender, dir string, u *upstreams) (*Process, error) {
	store := filepath.Join(dir, "proxy")
	if err := os.MkdirAll(store, 0o755); err != nil {
		return nil, err
	}
	p, err := c.start(ctx, setting{
		dir: store, program: l.Program, peers: l.Peers, first: u.firstURL, second: u.second.URL,
	})
	if err != nil {
		return nil, fmt.Errorf("starting %s: %w", c.Name, err)
	}
	return p, nil
}
