// Package upstream asks one module proxy on behalf of the agent: with limits
// where the go command has none, and a memory of failures.
//
// Every request ends with an [Answer] whose body is watched, or a [Failure]
// that names its class. What follows from it is package pool's business.
package upstream

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/org/goproxy-setup/internal/agent/breaker"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/policy"
)

// Limits bound what a proxy may take.
type Limits struct {
	Connect   time.Duration // until a connection stands, name resolution and TLS included
	FirstByte time.Duration // from the request to the answer's header
	Rate      int64         // bytes per second that a body must bring, over each Window
	Window    time.Duration
}

// DefaultLimits are generous to a proxy that works and short for one that does
// not: a module proxy may need seconds to fetch a version it has never seen.
var DefaultLimits = Limits{Connect: 3 * time.Second, FirstByte: 10 * time.Second, Rate: 16_000, Window: 5 * time.Second}

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
	Log        *slog.Logger
}

// An Upstream is one proxy. It is safe for concurrent use.
type Upstream struct {
	Config
	client  *modproxy.Client
	tr      *http.Transport
	breaker *breaker.Breaker

	mu      sync.Mutex // guards the fields below
	pause   time.Time  // the proxy asked for silence until then
	recent  []time.Duration
	classes map[decision.Class]int64 // answers by class; "" served
	bytes   int64
	last    string // the last failure
}

// New returns a proxy to which no connection stands yet.
func New(c Config) *Upstream {
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	u := &Upstream{Config: c, classes: map[decision.Class]int64{},
		breaker: breaker.New(breaker.Config{Failures: 3, Cooldown: 5 * time.Second, Longest: time.Minute})}
	u.tr = &http.Transport{
		DialContext:            u.dialer().DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: c.RootCAs},
		TLSHandshakeTimeout:    c.Limits.Connect,
		ForceAttemptHTTP2:      true,
		DisableCompression:     true, // else lengths lie
		MaxIdleConnsPerHost:    32,   // as many as the go command has requests at once, and hedges
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		HTTP2:                  &http.HTTP2Config{SendPingTimeout: 5 * time.Second, PingTimeout: 2 * time.Second},
	}
	if c.Proxy != nil {
		u.tr.Proxy = func(req *http.Request) (*url.URL, error) { return c.Proxy(req.URL) }
	}
	u.client = &modproxy.Client{Base: c.URL, HTTP: u, User: c.User}
	return u
}

// Close cuts the connections that nobody uses.
func (u *Upstream) Close() { u.tr.CloseIdleConnections() }

// A notAllowedError says why a request was not sent.
type notAllowedError struct{ why string }

func (e *notAllowedError) Error() string { return e.why }

// dialer checks every resolved address.
func (u *Upstream) dialer() *net.Dialer {
	return &net.Dialer{Timeout: u.Limits.Connect, Control: func(_, address string, _ syscall.RawConn) error {
		a, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		if why := policy.ForbiddenAddr(a.Addr()); why != "" {
			return &notAllowedError{fmt.Sprintf("%s is never asked: %s", address, why)}
		}
		return nil
	}}
}

// RoundTrip implements [http.RoundTripper]: it keeps redirects away from where
// the policy does not allow requests.
func (u *Upstream) RoundTrip(req *http.Request) (*http.Response, error) {
	host := strings.TrimSuffix(req.URL.Hostname(), ".")
	if why := policy.ForbiddenHost(host); why != "" {
		return nil, &notAllowedError{fmt.Sprintf("%s is never asked: %s", host, why)}
	}
	if u.Allows != nil && !u.Allows(host) {
		return nil, &notAllowedError{"the policy's allow-list does not name " + host}
	}
	return u.tr.RoundTrip(req)
}

// An Answer is a file on its way.
type Answer struct {
	*modproxy.Answer
	FirstByte time.Duration // from the request to the header
}

// A Failure says how a request for a file went wrong.
type Failure struct {
	Upstream   string
	Class      decision.Class
	Status     int // 0 if no response arrived
	Detail     string
	Next       string
	RetryAfter time.Duration
	Took       time.Duration
}

// Error returns one line without credentials.
func (f *Failure) Error() string { return f.Upstream + ": " + f.Detail }

// NotAsked is the class of a request that was not sent, since the proxy failed
// before: it says nothing about the file.
const NotAsked decision.Class = "not-asked"

// Ready reports whether a request would be sent now.
func (u *Upstream) Ready() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.breaker.State() != breaker.Open && !time.Now().Before(u.pause)
}

// Get asks for path, which is unescaped as in a URL's Path. With force it asks
// although the breaker is open. Reading the body fails with a [*Failure] if it
// stalls; the caller closes it and then calls [Upstream.Done].
func (u *Upstream) Get(ctx context.Context, path string, force bool) (*Answer, func(*Failure), *Failure) {
	done, ok := u.breaker.Allow()
	if !ok && !force || !force && !u.Ready() && ok && u.paused() {
		if ok {
			done(breaker.Neutral)
		}
		return nil, nil, &Failure{Upstream: u.Name, Class: NotAsked, Detail: "not asked, since it failed before: " + u.lastFailure()}
	}
	start := time.Now()
	ctx, cancel := context.WithCancelCause(ctx)
	header := time.AfterFunc(u.Limits.FirstByte, func() { cancel(errSilent) })
	a, err := u.client.Get(ctx, path)
	header.Stop()
	took := time.Since(start)
	finish := func(f *Failure) {
		cancel(nil)
		u.record(f, done)
	}
	if err != nil {
		f := u.failure(ctx, err)
		f.Took = took
		finish(f)
		return nil, nil, f
	}
	u.latency(took)
	a.Body = newWatched(a.Body, u, ctx, cancel)
	return &Answer{a, took}, finish, nil
}

func (u *Upstream) paused() bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return time.Now().Before(u.pause)
}

// record notes how a request ended; nil is a file that was accepted.
func (u *Upstream) record(f *Failure, done func(breaker.Result) bool) {
	result := breaker.Success
	u.mu.Lock()
	switch {
	case f == nil:
		u.classes[""]++
	case f.Class == decision.Cancelled:
		result = breaker.Neutral
	default:
		u.classes[f.Class]++
		if f.Class != decision.Missing {
			u.last = f.Detail
		}
		if !harmless(f.Class) {
			result = breaker.Failure
		}
		if f.RetryAfter > 0 {
			u.pause = time.Now().Add(min(f.RetryAfter, time.Minute))
		}
	}
	last := u.last
	u.mu.Unlock()
	if done != nil && done(result) {
		u.Log.Info("upstream state changed", "proxy", u.Name, "state", string(u.breaker.State()), "cause", last)
	}
}

// harmless reports whether an answer of this class is that of a proxy that
// works.
func harmless(c decision.Class) bool {
	switch c {
	case decision.Missing, decision.Forbidden, decision.RateLimited, decision.Unauthorized, decision.NotAllowed:
		return true
	}
	return false
}

func (u *Upstream) lastFailure() string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.last
}

// latencies is how many times to the first byte are remembered.
const latencies = 100

func (u *Upstream) latency(d time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.recent) == latencies {
		u.recent = u.recent[1:]
	}
	u.recent = append(u.recent, d)
}

// P95 returns the time within which 95 of 100 answers begin, and whether
// enough are known to tell.
func (u *Upstream) P95() (time.Duration, bool) {
	u.mu.Lock()
	list := slices.Clone(u.recent)
	u.mu.Unlock()
	if len(list) < 20 {
		return 0, false
	}
	slices.Sort(list)
	return list[len(list)*95/100], true
}

// Status is what is known of a proxy, for people and meters.
type Status struct {
	State   breaker.State
	Classes map[decision.Class]int64 // finished requests; "" are files that were served
	Bytes   int64                    // of bodies
	Last    string                   // the last failure, "" if there was none
}

// Status returns what is known now.
func (u *Upstream) Status() Status {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := Status{State: u.breaker.State(), Classes: map[decision.Class]int64{}, Bytes: u.bytes, Last: u.last}
	for c, n := range u.classes {
		s.Classes[c] = n
	}
	return s
}

// IsFailure returns err as a failure, if a watched body ended with it.
func IsFailure(err error) (*Failure, bool) { return errors.AsType[*Failure](err) }
