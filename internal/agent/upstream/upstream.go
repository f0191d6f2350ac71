// Package upstream asks one module proxy on behalf of the agent: with limits
// where the go command has none, over connections to each of its addresses,
// and with a memory of failures.
//
// Every request ends with an [Answer] whose body is watched, or a [Failure]
// that names its class. What follows from it is package pool's business.
package upstream

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/org/goproxy-setup/internal/agent/breaker"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/fault"
	"github.com/org/goproxy-setup/internal/modproxy"
)

// Limits bound what a proxy may take. A zero field is that of [DefaultLimits].
type Limits struct {
	Connect   time.Duration // until a connection stands, name resolution and TLS included
	FirstByte time.Duration // from the request to the answer's header, redirects included
	// Rate is how many bytes per second a body must bring, over each Window.
	// Only the time counts in which the reader waited for the proxy: a disk that
	// is slow to take the bytes is not the proxy's fault.
	Rate   int64
	Window time.Duration // tests make it shorter
}

// DefaultLimits are generous to a proxy that works and short for one that does
// not: a module proxy may need seconds to fetch a version it has never seen.
var DefaultLimits = Limits{Connect: 3 * time.Second, FirstByte: 10 * time.Second, Rate: 16_000, Window: 5 * time.Second}

// What a [Config] that does not say otherwise means.
const (
	DefaultInFlight = 64                     // requests at a time
	DefaultSlow     = 800 * time.Millisecond // 99th percentile to the first byte
)

// The breaker's limits, for real requests and active checks alike: failures in
// a row that open it, and how long it stays open at first and at most.
const (
	failuresToOpen   = 3
	shortestCooldown = 5 * time.Second
	longestCooldown  = time.Minute
)

// Config is one proxy. Name and URL are required.
type Config struct {
	Name       string // as the policy calls it
	URL        *url.URL
	User       *url.Userinfo // credentials for URL's own host, over https
	Gatekeeper bool          // its 403 is a decision
	Full       bool          // mirrors everything public
	RootCAs    *x509.CertPool
	Proxy      func(*url.URL) (*url.URL, error) // the HTTP proxy on the way; nil is none
	Allows     func(host string) bool           // hosts that may be asked, redirects included; nil is all
	Limits     Limits
	// CheckPath is the file that [Upstream.Run] asks for until the proxy has
	// served a .mod or .info, which it then asks for instead; best a .mod that
	// every proxy has: unescaped, as for [Upstream.Get]. "" asks for nothing.
	CheckPath string
	// Resolve returns the addresses of a host; nil is the system's resolver.
	Resolve func(ctx context.Context, host string) ([]netip.Addr, error)
	Log     *slog.Logger

	// For tests.
	InFlight int           // requests at a time; 0 is [DefaultInFlight]
	Slow     time.Duration // bound of the 99th percentile; 0 is [DefaultSlow]
	Dial     func(ctx context.Context, network, address string) (net.Conn, error)
}

// withDefaults fills in what is zero.
func (c Config) withDefaults() Config {
	c.Limits.Connect = cmp.Or(c.Limits.Connect, DefaultLimits.Connect)
	c.Limits.FirstByte = cmp.Or(c.Limits.FirstByte, DefaultLimits.FirstByte)
	c.Limits.Rate = cmp.Or(c.Limits.Rate, DefaultLimits.Rate)
	c.Limits.Window = cmp.Or(c.Limits.Window, DefaultLimits.Window)
	c.InFlight = cmp.Or(c.InFlight, DefaultInFlight)
	c.Slow = cmp.Or(c.Slow, DefaultSlow)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Resolve == nil {
		c.Resolve = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	return c
}

// An Upstream is one proxy. It is safe for concurrent use.
type Upstream struct {
	Config
	origin  string
	client  *modproxy.Client
	net     *network
	breaker *breaker.Breaker
	slots   chan struct{} // one for each request on its way
	bytes   atomic.Int64  // of bodies

	mu      sync.Mutex               // guards the fields below
	used    time.Time                // when somebody wanted something of it, last
	served  string                   // a small file that it has served; "" if none
	pause   time.Time                // the proxy asked for silence until then
	recent  window                   // times to the first byte of any file
	small   window                   // the same of .info and .mod files alone
	slow    slowness                 // what follows from small
	classes map[decision.Class]int64 // answers by class; "" served
	last    string                   // the last failure
	shown   breaker.State            // that was logged last
	checks  int64                    // active checks made
	failing int                      // of those, failures in a row
}

// New returns a proxy to which no connection stands yet.
func New(c Config) *Upstream {
	c = c.withDefaults()
	u := &Upstream{
		Config:  c,
		origin:  c.origin(),
		slots:   make(chan struct{}, c.InFlight),
		recent:  newWindow(recentSamples),
		small:   newWindow(smallSamples),
		classes: map[decision.Class]int64{},
		shown:   breaker.Closed,
		breaker: breaker.New(breaker.Config{Failures: failuresToOpen, Cooldown: shortestCooldown, Longest: longestCooldown}),
	}
	u.net = newNetwork(&u.Config)
	u.client = &modproxy.Client{Base: c.URL, HTTP: u.net, User: c.User}
	return u
}

// Origin tells proxies apart in any policy: by address, and whether they are asked
// with credentials. It is a hash, since an address may hold a token.
func (u *Upstream) Origin() string { return u.origin }

func (c *Config) origin() string {
	base := *c.URL
	base.User = nil
	text := base.String()
	if c.User != nil {
		text += " with credentials"
	}
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:12])
}

// Close cuts the connections that nobody uses, and the others as soon as the
// last request is done. A request may still be made; it opens its own.
func (u *Upstream) Close() { u.net.retire() }

// An Answer is a file on its way.
type Answer struct {
	*modproxy.Answer
	FirstByte time.Duration // from the request to the header
}

// Get asks for path, which is unescaped as in a URL's Path. With force it asks
// although the proxy failed before; see [Upstream.Ready].
//
// After an answer the caller reads the body, closes it and calls done, once:
// with nil if the file was accepted, or else with what was wrong. Errors of
// the body are a [*Failure]. Before a failure there is nothing to call.
func (u *Upstream) Get(ctx context.Context, path string, force bool) (a *Answer, done func(*Failure), _ *Failure) {
	return u.Resume(ctx, path, modproxy.Resume{}, force)
}

// Resume is [Upstream.Get] for the rest of a file, from the URL at which it was
// begun: where that redirects to may have expired. Answer.From tells whether
// the proxy sends the whole file instead. If it has another one, or refuses to
// send parts, that is the class [Unfit].
func (u *Upstream) Resume(ctx context.Context, path string, r modproxy.Resume, force bool) (*Answer, func(*Failure), *Failure) {
	t, refused := u.admit(ctx, force)
	if refused != nil {
		return nil, nil, refused
	}
	a, answer, err := u.send(ctx, path, r, u.Limits.FirstByte)
	var once sync.Once
	finish := func(f *Failure) {
		once.Do(func() {
			a.end(nil)
			u.record(a, path, f, t)
			<-u.slots
		})
	}
	if err != nil {
		if r.From > 0 && (err.Class == decision.BadStatus || err.Class == decision.WrongContent) {
			err.Class = Unfit
		}
		finish(err)
		return nil, nil, err
	}
	u.latency(path, answer.FirstByte)
	return answer, finish, nil
}

// send makes one request within the limit, which is up to the header. The
// caller ends the attempt.
func (u *Upstream) send(ctx context.Context, path string, r modproxy.Resume, limit time.Duration) (*attempt, *Answer, *Failure) {
	a, ctx := u.net.begin(ctx, limit)
	answer, err := u.client.Resume(ctx, path, r)
	a.header.Stop()
	took := time.Since(a.started)
	if err != nil {
		return a, nil, u.failure(a, err)
	}
	a.enter(fault.Reading)
	answer.Body = u.watch(a, answer.Body)
	return a, &Answer{answer, took}, nil
}

// NotAsked is the class of a request that was not sent, since the proxy failed
// before, is busy or asked for a pause: it says nothing about the file.
const NotAsked decision.Class = "not-asked"

// Unfit is the class of an answer that does not fit what the caller has already,
// which is nobody's fault: asked for the rest of a file, a proxy that has packed
// it otherwise or knows no parts may have the whole of it.
const Unfit decision.Class = "unfit"

func (u *Upstream) notAsked(format string, args ...any) *Failure {
	return &Failure{Upstream: u.Name, Class: NotAsked, Detail: "not asked: " + fmt.Sprintf(format, args...)}
}

// IsFailure returns err as a failure, if a watched body ended with it.
func IsFailure(err error) (*Failure, bool) { return errors.AsType[*Failure](err) }
