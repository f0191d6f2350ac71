package bench

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/probe"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// recorded is what a healthy proxy answers, recorded outside of any bubble.
var recorded = sync.OnceValue(func() map[string][]byte {
	p, err := proxytest.Start(proxytest.Options{Modules: released})
	if err != nil {
		panic(err)
	}
	defer p.Close()
	paths := []string{"golang.org/x/time/@latest", "golang.org/toolchain/@v/" + toolchainVersion + ".zip", "sumdb/" + proxytest.SumDBName + "/supported"}
	for _, f := range files(probe.Canaries(), Kinds(), testDB()) {
		paths = append(paths, f.Path)
	}
	for _, m := range fresh {
		paths = append(paths, m.path+"/@v/list")
	}
	m := map[string][]byte{}
	for _, path := range paths {
		rec := httptest.NewRecorder()
		p.ServeHTTP(rec, httptest.NewRequest("GET", "/"+path, nil))
		if rec.Code != http.StatusOK {
			panic(fmt.Sprintf("%s: %d", path, rec.Code))
		}
		m["/"+path] = rec.Body.Bytes()
	}
	return m
})

// released are versions of modules that release often.
const released = `
-- golang.org/x/tools@v0.30.0/a.go --
package a
-- google.golang.org/api@v0.200.0/a.go --
package a
-- k8s.io/client-go@v0.31.0/a.go --
package a
`

func testDB() goenv.SumDB {
	db, err := goenv.ParseSumDB(proxytest.GOSUMDB)
	if err != nil {
		panic(err)
	}
	return db
}

// A request is one that a server of a bubble has seen.
type request struct {
	host, path string
	at         time.Duration // since the bubble began
}

// A bubble is a network of pipes with its own time.
type bubble struct {
	// serve is called before a host answers, with the number of the request to
	// it; false hangs up instead.
	serve func(host, path string, n int) bool
	// refuse answers 429 and asks to wait for 30 seconds, if it is true.
	refuse func(n int) bool
	// redirect returns where a host sends requests, "" for nowhere.
	redirect func(host string) string

	conns chan net.Conn
	start time.Time

	mu       sync.Mutex
	seen     []request
	inFlight map[string]int
	most     map[string]int // requests in flight
}

func (b *bubble) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	b.conns <- server
	return client, nil
}

func (b *bubble) Accept() (net.Conn, error) {
	if c, ok := <-b.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (b *bubble) Close() error   { return nil }
func (b *bubble) Addr() net.Addr { return &net.TCPAddr{} }

func (b *bubble) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	path, err := url.PathUnescape(r.URL.EscapedPath())
	if err != nil {
		panic(err)
	}
	b.mu.Lock()
	n := len(b.from(r.Host))
	b.seen = append(b.seen, request{r.Host, path, time.Since(b.start)})
	b.inFlight[r.Host]++
	b.most[r.Host] = max(b.most[r.Host], b.inFlight[r.Host])
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		b.inFlight[r.Host]--
		b.mu.Unlock()
	}()
	if b.serve != nil && !b.serve(r.Host, path, n) {
		panic(http.ErrAbortHandler)
	}
	if b.refuse != nil && b.refuse(n) {
		w.Header().Set("Retry-After", "30")
		w.WriteHeader(http.StatusTooManyRequests)
		return
	}
	if b.redirect != nil {
		if to := b.redirect(r.Host); to != "" {
			http.Redirect(w, r, "http://"+to+r.URL.EscapedPath(), http.StatusFound)
			return
		}
	}
	if body, ok := recorded()[path]; ok {
		w.Write(body)
		return
	}
	http.NotFound(w, r)
}

// from returns what a host was asked; the caller holds the lock, or everything
// is over.
func (b *bubble) from(host string) []request {
	var list []request
	for _, r := range b.seen {
		if r.host == host {
			list = append(list, r)
		}
	}
	return list
}

// loadOf returns what a host was asked last, n requests.
func (b *bubble) loadOf(host string, n int) []request {
	list := b.from(host)
	return list[max(len(list)-n, 0):]
}

// run measures the hosts in a bubble.
func (b *bubble) run(t *testing.T, hosts []string, change func(*Config), check func(t *testing.T, res *Result)) {
	t.Helper()
	recorded() // outside
	synctest.Test(t, func(t *testing.T) {
		b.conns, b.start = make(chan net.Conn), time.Now()
		b.inFlight, b.most = map[string]int{}, map[string]int{}
		srv := &http.Server{Handler: b}
		go srv.Serve(b)
		cfg := config(hosts...)
		cfg.Dial = b.dial
		change(&cfg)
		res, err := Run(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		close(b.conns)
		srv.Close()
		time.Sleep(time.Minute) // until the last answers find that nobody listens
		check(t, res)
	})
}

// config measures http://HOST for each host, or the URL, politely nowhere.
func config(hosts ...string) Config {
	s := &policy.Settings{}
	for _, h := range hosts {
		e := policy.Entry{Name: h, URL: h}
		if !strings.Contains(h, "://") {
			e.URL = "http://" + h
		}
		s.Chain = append(s.Chain, e)
	}
	return Config{Settings: s, Load: DefaultLoad(), Modules: probe.Canaries(), SumDB: testDB(), Public: Impolite}
}

// Requests are due at the rate, whatever became of those before, and those that
// a stall has made wait are counted with the time that they waited.
func TestOpenLoop(t *testing.T) {
	const checks = 23
	b := &bubble{serve: func(host, path string, n int) bool {
		if n == checks+100 { // one stall of a second
			time.Sleep(time.Second)
		} else {
			time.Sleep(10 * time.Millisecond)
		}
		return true
	}}
	b.run(t, []string{"a.example.com"}, func(c *Config) {
		c.Load.Rate, c.Load.Requests, c.Load.Concurrency, c.Load.WarmUp = 100, 500, 1, 0
	}, func(t *testing.T, res *Result) {
		list := b.loadOf("a.example.com", 500)
		if len(b.from("a.example.com")) != checks+500 {
			t.Fatalf("%d requests; want %d", len(b.from("a.example.com")), checks+500)
		}
		for i := 1; i <= 100; i++ { // until the stall
			if gap := list[i].at - list[i-1].at; gap != 10*time.Millisecond {
				t.Fatalf("request %d came %v after the one before", i, gap)
			}
		}
		f := res.Proxies[0].All
		if f.Requests != 500 || f.Failed != 0 {
			t.Errorf("got %+v", f)
		}
		// The one connection is never idle, so that the second lost at the stall
		// stays: every later request is 990 ms late.
		for _, p := range []struct {
			name      string
			got, want float64
		}{{"p50", f.P50, 1000}, {"p99", f.P99, 1000}, {"max", f.Max, 1000}, {"sent p50", f.Service.P50, 10}, {"sent p99", f.Service.P99, 10}} {
			if p.got < p.want*0.999 || p.got > p.want*1.001 {
				t.Errorf("%s is %v ms; want %v", p.name, p.got, p.want)
			}
		}
		if res.Loop != "open" || res.Proxies[0].Unsent != 0 {
			t.Errorf("loop %s, %d unsent", res.Loop, res.Proxies[0].Unsent)
		}
	})
}

// A proxy that cannot keep up within the duration is not waited for for ever:
// what was due and never sent is counted.
func TestOpenLoopUnsent(t *testing.T) {
	b := &bubble{serve: func(string, string, int) bool { time.Sleep(time.Second); return true }}
	b.run(t, []string{"a.example.com"}, func(c *Config) {
		c.Load.Rate, c.Load.Requests, c.Load.Duration, c.Load.Concurrency, c.Load.WarmUp = 10, 0, 10*time.Second, 1, 0
		c.Load.Timeout = 2 * time.Second
	}, func(t *testing.T, res *Result) {
		// 100 are due; one a second is sent, until 10s + 2s.
		if p := res.Proxies[0]; p.All.Requests != 12 || p.Unsent != 88 {
			t.Errorf("%d sent, %d unsent; want 12 and 88", p.All.Requests, p.Unsent)
		}
	})
}

// The requests of all proxies take turns, each in its share of the interval.
func TestOpenLoopInterleaves(t *testing.T) {
	b := &bubble{}
	hosts := []string{"a.example.com", "b.example.com"}
	b.run(t, hosts, func(c *Config) {
		c.Load.Rate, c.Load.Requests, c.Load.WarmUp = 10, 20, 0
	}, func(t *testing.T, res *Result) {
		last := b.seen[len(b.seen)-40:]
		for i, r := range last {
			if want := hosts[i%2]; r.host != want || i > 0 && r.at-last[i-1].at != 50*time.Millisecond {
				t.Fatalf("request %d went to %s %v after the one before; want %s after 50ms", i, r.host, r.at-last[i-1].at, want)
			}
		}
	})
}

// Proxies take turns in rounds, another one first in each.
func TestClosedLoopInterleaves(t *testing.T) {
	b := &bubble{serve: func(host string, _ string, _ int) bool {
		time.Sleep(map[string]time.Duration{"a.example.com": 10, "b.example.com": 30}[host] * time.Millisecond)
		return true
	}}
	hosts := []string{"a.example.com", "b.example.com"}
	b.run(t, hosts, func(c *Config) {
		c.Load.Requests, c.Load.Concurrency, c.Load.WarmUp = 50, 5, 0
	}, func(t *testing.T, res *Result) {
		var turns []string
		for _, r := range b.seen[len(b.seen)-100:] {
			if len(turns) == 0 || turns[len(turns)-1] != r.host[:1] {
				turns = append(turns, r.host[:1])
			}
		}
		if got := strings.Join(turns, ""); got != "abababab" { // ab ba ba ab ab, where turns of one proxy join
			t.Errorf("turns %s", got)
		}
		if b.most["a.example.com"] != 5 {
			t.Errorf("%d requests in flight; want 5", b.most["a.example.com"])
		}
		for i, want := range []float64{10, 30} {
			if f := res.Proxies[i].All; f.Requests != 50 || f.P50 < want*0.999 || f.P50 > want*1.001 || f.Max > want*1.001 || len(res.Proxies[i].RoundsP50) != 5 {
				t.Errorf("%s: %+v", hosts[i], f)
			}
		}
	})
}

// Every other is asked politely that is compared with a public service, and
// the service itself whatever leads to it.
func TestPolite(t *testing.T) {
	const public, own = "public.example.com", "own.example.com"
	b := &bubble{
		serve:    func(string, string, int) bool { time.Sleep(3 * time.Second); return true },
		redirect: func(host string) string { return map[string]string{"detour.example.com": public}[host] },
	}
	b.run(t, []string{public, own, "detour.example.com"}, func(c *Config) {
		c.Load = Load{Requests: 100_000, Concurrency: 1000, Rate: 5000, Timeout: 10 * time.Second}
		c.Public = func(host string) bool { return host == public }
	}, func(t *testing.T, res *Result) {
		list := b.from(public)
		if len(list) > politeRequests {
			t.Errorf("%d requests to the public service", len(list))
		}
		for i := range list {
			if i > 0 && list[i].at-list[i-1].at < 500*time.Millisecond {
				t.Errorf("two requests within %v", list[i].at-list[i-1].at)
			}
		}
		if b.most[public] > politeInFlight {
			t.Errorf("%d requests in flight", b.most[public])
		}
		if len(b.from(own)) > politeRequests || res.Load.Rate > 2 {
			t.Errorf("%d requests to the other, at a rate of %v", len(b.from(own)), res.Load.Rate)
		}
		if len(res.Notes) < 3 || !strings.Contains(res.Notes[0], public) {
			t.Errorf("notes %q", res.Notes)
		}
	})
}

// A public service that says that it is asked too much is left alone as long as
// it asks for.
func TestPoliteRest(t *testing.T) {
	const last = 40 // before it refuses
	b := &bubble{refuse: func(n int) bool { return n == last }}
	b.run(t, []string{"public.example.com"}, func(c *Config) {
		c.Public = func(string) bool { return true }
	}, func(t *testing.T, res *Result) {
		list := b.from("public.example.com")
		if gap := list[last+1].at - list[last].at; gap < 30*time.Second || gap > 31*time.Second {
			t.Errorf("it was asked again after %v; want 30s", gap)
		}
		if f := res.Proxies[0].All; f.Failed != 1 || f.Failures[0].Class != decision.RateLimited {
			t.Errorf("failures %+v", f.Failures)
		}
	})
}

// Latencies do not count the time that we wait out of politeness.
func TestPoliteLatency(t *testing.T) {
	b := &bubble{serve: func(string, string, int) bool { time.Sleep(20 * time.Millisecond); return true }}
	b.run(t, []string{"public.example.com"}, func(c *Config) {
		c.Public = func(string) bool { return true }
	}, func(t *testing.T, res *Result) {
		f := res.Proxies[0].All
		if f.Requests != politeDefault || f.Max > 20.1 || f.P50 < 19.9 {
			t.Errorf("got %+v; want %d requests of 20 ms", f, politeDefault)
		}
	})
}

// What was measured until ctx ended is there, and nothing that we have cut
// counts as a failure.
func TestInterrupted(t *testing.T) {
	b := &bubble{serve: func(string, string, int) bool { time.Sleep(100 * time.Millisecond); return true }}
	recorded()
	synctest.Test(t, func(t *testing.T) {
		b.conns, b.start, b.inFlight, b.most = make(chan net.Conn), time.Now(), map[string]int{}, map[string]int{}
		srv := &http.Server{Handler: b}
		go srv.Serve(b)
		cfg := config("a.example.com")
		cfg.Dial = b.dial
		cfg.Load.Requests, cfg.Load.Concurrency, cfg.Load.WarmUp = 1000, 1, 0
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second+50*time.Millisecond)
		defer cancel()
		res, err := Run(ctx, cfg)
		close(b.conns)
		srv.Close()
		time.Sleep(time.Second) // until the last answer finds that nobody listens
		if err != nil {
			t.Fatal(err)
		}
		// 23 checks and what else fits into 10 s, one at a time.
		if f := res.Proxies[0].All; !res.Interrupted || f == nil || f.Requests != 77 || f.Failed != 0 || f.P50 < 99.9 || f.P50 > 100.1 {
			t.Errorf("interrupted %v, %+v", res.Interrupted, f)
		}
		if !slices.Contains(res.Proxies[0].Abilities, Ability{canSumDB, true, true, "the signature of " + proxytest.SumDBName + " is right"}) {
			t.Errorf("abilities %+v", res.Proxies[0].Abilities)
		}
	})
}
