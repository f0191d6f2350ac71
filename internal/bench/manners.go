package bench

import (
	"context"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/org/goproxy-setup/internal/fault"
	"github.com/org/goproxy-setup/internal/policy"
)

// cataloguePublic reports whether host is one of the public services that the
// catalogue names.
func cataloguePublic(host string) bool {
	var urls []string
	for _, p := range policy.Catalogue() {
		urls = append(urls, p.URL)
	}
	for _, d := range policy.Databases() {
		urls = append(urls, d.URL)
	}
	for _, raw := range urls {
		if u, err := url.Parse(raw); err == nil && u.Hostname() == host {
			return true
		}
	}
	return false
}

// Manners are the governors of the public services, by host. Whoever is asked
// by several proxies, or by their redirects, is asked no more often for that.
type manners struct {
	public func(host string) bool

	mu    sync.Mutex // guards hosts
	hosts map[string]*governor
}

func newManners(public func(string) bool) *manners {
	if public == nil {
		public = cataloguePublic
	}
	return &manners{public: public, hosts: map[string]*governor{}}
}

// of returns the governor of a host without its port, nil for one that may be
// loaded at will.
func (m *manners) of(host string) *governor {
	if !m.public(host) {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	g := m.hosts[host]
	if g == nil {
		g = &governor{host: host, left: politeRequests, slots: make(chan struct{}, politeInFlight)}
		m.hosts[host] = g
	}
	return g
}

// A governor keeps what one public service is asked within its limits.
type governor struct {
	host  string
	slots chan struct{} // requests in flight

	mu   sync.Mutex // guards the fields below
	left int        // requests that may still be sent
	next time.Time  // when the next one may be sent
}

// enter waits until one more request may be in flight and be sent. Who has
// entered must leave.
func (g *governor) enter(ctx context.Context) error {
	select {
	case g.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	err := g.turn(ctx)
	if err != nil {
		g.leave()
	}
	return err
}

func (g *governor) leave() { <-g.slots }

// turn waits until one more request may be sent. Nobody has a place in the
// queue: whoever waits looks again, since the service may have asked for rest.
func (g *governor) turn(ctx context.Context) error {
	for {
		at, err := g.take()
		if err != nil || at.IsZero() {
			return err
		}
		if err := sleepUntil(ctx, at); err != nil {
			return err
		}
	}
}

// take takes the turn, or returns when to ask again.
func (g *governor) take() (at time.Time, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.left == 0 {
		return at, &fault.NotAllowedError{Why: fmt.Sprintf("%s is a public service, and %d requests of one run are enough for it", g.host, politeRequests)}
	}
	now := time.Now()
	if now.Before(g.next) {
		return g.next, nil
	}
	g.left--
	g.next = now.Add(time.Second / politeRate)
	return at, nil
}

// rest leaves the service alone for a while: it said that it is asked too much.
func (g *governor) rest(d time.Duration) {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if until := time.Now().Add(min(max(d, 5*time.Second), time.Minute)); until.After(g.next) {
		g.next = until
	}
}

// sleepUntil returns at that time, or with the error of ctx.
func sleepUntil(ctx context.Context, at time.Time) error {
	d := time.Until(at)
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
