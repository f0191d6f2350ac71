package probe_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/probe"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// A bubble is a network of pipes for tests with their own time: hosts by name,
// each a handler of the recorded files with a behaviour before it.
type bubble struct {
	files map[string]*httptest.ResponseRecorder
	hosts map[string]behaviour
	conns pipes // to the hosts
}

// A behaviour is run before a host answers; false hangs up instead.
type behaviour func(path string) bool

// after answers every request that late.
func after(d time.Duration) behaviour {
	return func(string) bool { time.Sleep(d); return true }
}

// afterOn answers requests for paths that contain part that late.
func afterOn(part string, d time.Duration, others time.Duration) behaviour {
	return func(path string) bool {
		if strings.Contains(path, part) {
			time.Sleep(d)
		} else {
			time.Sleep(others)
		}
		return true
	}
}

// files is what a healthy proxy answers, recorded outside of any bubble.
var files = sync.OnceValue(func() map[string]*httptest.ResponseRecorder {
	p, err := proxytest.Start(proxytest.Options{})
	if err != nil {
		panic(err)
	}
	defer p.Close()
	m := map[string]*httptest.ResponseRecorder{}
	for _, path := range []string{
		quoteZip, quoteMod, "rsc.io/quote/@v/v1.5.2.info", "rsc.io/sampler/@v/v1.3.0.mod", "github.com/hashicorp/errwrap/@v/v1.0.0.mod",
		"github.com/!burnt!sushi/toml/@v/v0.3.1.mod", "golang.org/x/time/@v/list",
		"golang.org/x/text/@v/v0.0.0-20170915032832-14c0d48ead0c.zip",
		"sumdb/sum.golang.org/supported", "sumdb/sum.golang.org/lookup/rsc.io/quote@v1.5.2",
	} {
		rec := httptest.NewRecorder()
		p.ServeHTTP(rec, httptest.NewRequest("GET", "/"+path, nil))
		if rec.Code != http.StatusOK {
			panic(fmt.Sprintf("%s: %d", path, rec.Code))
		}
		m["/"+path] = rec
	}
	return m
})

// serve answers for all hosts until the listener is closed.
func (b *bubble) serve() {
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, err := url.PathUnescape(r.URL.EscapedPath())
		if err != nil || !b.hosts[r.Host](path) {
			panic(http.ErrAbortHandler)
		}
		if rec := b.files[path]; rec != nil {
			w.Write(rec.Body.Bytes())
			return
		}
		http.NotFound(w, r)
	})}
	srv.Serve(b.conns)
}

// dial connects to a host of the bubble; to one that has no behaviour the
// connection never comes about.
func (b *bubble) dial(ctx context.Context, _, address string) (net.Conn, error) {
	if host, _, _ := net.SplitHostPort(address); b.hosts[host] == nil {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	client, server := net.Pipe()
	b.conns <- server
	return client, nil
}

// pipes is a listener; closing the channel closes it.
type pipes chan net.Conn

func (l pipes) Accept() (net.Conn, error) {
	if c, ok := <-l; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}
func (l pipes) Close() error   { return nil }
func (l pipes) Addr() net.Addr { return &net.TCPAddr{} }

// inBubble runs a probe of http://NAME.example.com for each name, in a bubble.
func inBubble(t *testing.T, hosts map[string]behaviour, names []string, change func(*probe.Config), check func(t *testing.T, res probe.Result, took time.Duration)) {
	t.Helper()
	p := proxytest.New(t, proxytest.Options{})
	b := &bubble{files: files(), hosts: map[string]behaviour{}}
	for name, act := range hosts {
		b.hosts[name+".example.com"] = act
	}
	cfg := setup(t, p)
	for _, name := range names {
		cfg.Settings.Chain = append(cfg.Settings.Chain, policy.Entry{Name: name, URL: "http://" + name + ".example.com"})
	}
	cfg.Settings.Probe.Timeout = 5 * time.Second
	cfg.Settings.Probe.Slow = 800 * time.Millisecond
	cfg.Dial = b.dial
	cfg.Settled = func(seen []decision.Evidence, elapsed time.Duration) (bool, time.Duration) {
		return decision.Settled(cfg.Settings, false, seen, elapsed)
	}
	if change != nil {
		change(&cfg)
	}
	synctest.Test(t, func(t *testing.T) {
		b.conns = make(pipes)
		go b.serve()
		start := time.Now()
		res := probe.Run(t.Context(), cfg)
		check(t, res, time.Since(start))
		synctest.Wait()
		if s := leaked(); s != "" {
			t.Errorf("a goroutine is left behind:\n%s", s)
		}
		time.Sleep(2 * time.Hour) // the hosts that hang come to their end
		close(b.conns)
	})
}

// leaked returns the stack of a goroutine that the probe left behind, or "".
func leaked() string {
	buf := make([]byte, 1<<20)
	stacks := strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
	i := slices.IndexFunc(stacks[1:], func(s string) bool { // the first is ours
		return strings.Contains(s, "synctest bubble") && (strings.Contains(s, "/internal/probe.") || strings.Contains(s, "http.(*Transport)") || strings.Contains(s, "http.(*persistConn)"))
	})
	if i < 0 {
		return ""
	}
	return stacks[1+i]
}

func evidence(res probe.Result, name string) decision.Evidence {
	i := slices.IndexFunc(res.Evidence, func(e decision.Evidence) bool { return e.Entry == name })
	return res.Evidence[i]
}

// Six proxies, two of them black holes and one slow: it is settled at the very
// moment of the last answer that it needed.
func TestSettledWithTheLastAnswerNeeded(t *testing.T) {
	hosts := map[string]behaviour{
		"fast": after(20 * time.Millisecond), "second": after(30 * time.Millisecond),
		"third": after(40 * time.Millisecond), "slow": after(4 * time.Second),
	}
	names := []string{"fast", "hole1", "slow", "second", "hole2", "third"}
	inBubble(t, hosts, names, nil, func(t *testing.T, res probe.Result, took time.Duration) {
		// second: zip, and then everything else side by side in two waves.
		if second := evidence(res, "second").Took; took != second || second != 90*time.Millisecond {
			t.Errorf("settled after %v; second answered after %v; want both after 90ms", took, second)
		}
		for name, class := range map[string]decision.Class{
			"fast": "", "second": "", "slow": decision.Cancelled, "hole1": decision.Cancelled, "hole2": decision.Cancelled, "third": decision.Cancelled,
		} {
			if ev := evidence(res, name); ev.Class != class {
				t.Errorf("%s has class %q: %s; want %q", name, ev.Class, ev.Detail, class)
			}
		}
		if d := evidence(res, "slow").Detail; d != "silent for 90ms" {
			t.Errorf("slow: %q", d)
		}
	})
}

// A black hole in the first place is waited for no longer than its connection
// may take.
func TestBlackHoleFirst(t *testing.T) {
	hosts := map[string]behaviour{"good": after(20 * time.Millisecond)}
	inBubble(t, hosts, []string{"hole", "good"}, nil, func(t *testing.T, res probe.Result, took time.Duration) {
		hole, good := evidence(res, "hole"), evidence(res, "good")
		if took != 3*time.Second || hole.Took != took || hole.Class != decision.Timeout || hole.Detail != "no connection to hole.example.com within 3s" {
			t.Errorf("settled after %v; hole: %q %q", took, hole.Class, hole.Detail)
		}
		if good.Class != "" || good.Took != 60*time.Millisecond || good.Latency != 20*time.Millisecond {
			t.Errorf("good: class %q, took %v, latency %v", good.Class, good.Took, good.Latency)
		}
	})
}

// A proxy that never answers costs its time-out, retry included, and no more
// than the budget.
func TestSilentProxy(t *testing.T) {
	never := func(string) bool { time.Sleep(time.Hour); return false }
	for _, tt := range []struct {
		name    string
		timeout time.Duration
		budget  time.Duration
		act     behaviour
		class   decision.Class
		took    time.Duration
	}{
		{"time-out", 5 * time.Second, 12 * time.Second, never, decision.Silent, 5 * time.Second},
		{"budget", 60 * time.Second, 10 * time.Second, never, decision.Silent, 9 * time.Second},
		{"the second attempt has what is left", 5 * time.Second, 0, firstFails(2*time.Second, time.Hour), decision.Silent, 5 * time.Second},
		{"the second attempt succeeds", 5 * time.Second, 0, firstFails(2*time.Second, 0), "", 2*time.Second + 100*time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			change := func(cfg *probe.Config) {
				cfg.Settings.Probe.Timeout, cfg.Budget = tt.timeout, tt.budget
			}
			inBubble(t, map[string]behaviour{"p": tt.act}, []string{"p"}, change, func(t *testing.T, res probe.Result, took time.Duration) {
				if ev := res.Evidence[0]; ev.Class != tt.class || took != tt.took {
					t.Errorf("class %q (%s) after %v; want %q after %v", ev.Class, ev.Detail, took, tt.class, tt.took)
				}
			})
		})
	}
}

// firstFails hangs up on the first request after d, and delays the others.
func firstFails(d, others time.Duration) behaviour {
	var n atomic.Int64
	return func(string) bool {
		if n.Add(1) == 1 {
			time.Sleep(d)
			return false
		}
		time.Sleep(others)
		return true
	}
}

// Grades that builds do without get max(150 ms, 2 × the critical time), no
// longer; critical ones get the whole time-out.
func TestTimeForGrades(t *testing.T) {
	for _, tt := range []struct {
		name     string
		act      behaviour
		required bool // sumdb
		took     time.Duration
		kind     decision.CheckKind
		class    decision.Class // of the check
		verdict  decision.Class
	}{
		{"a list that hangs, fast proxy", afterOn("/list", time.Hour, 10*time.Millisecond), false, 10*time.Millisecond + 150*time.Millisecond, decision.List, decision.Cancelled, ""},
		{"a list that hangs, slower proxy", afterOn("/list", time.Hour, 100*time.Millisecond), false, 100*time.Millisecond + 400*time.Millisecond, decision.List, decision.Cancelled, ""},
		{"a list just in time", afterOn("/list", 139*time.Millisecond, 10*time.Millisecond), false, 159 * time.Millisecond, decision.List, "", ""},
		{"a lookup that hangs", afterOn("/lookup/", time.Hour, 10*time.Millisecond), false, 160 * time.Millisecond, decision.SumDB, decision.Cancelled, ""},
		{"a required lookup that hangs", afterOn("/lookup/", time.Hour, 10*time.Millisecond), true, 5 * time.Second, decision.SumDB, decision.Silent, ""},
		{"a big zip that hangs", afterOn("x/text", time.Hour, 10*time.Millisecond), false, 5 * time.Second, decision.BigZip, decision.Silent, decision.Silent},
		{"a .mod of the build that is late", afterOn("errwrap", 2*time.Second, 10*time.Millisecond), false, 2010 * time.Millisecond, decision.Project, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			change := func(cfg *probe.Config) {
				if tt.required {
					cfg.Settings.SumDB = policy.SumDBRequired
				}
			}
			inBubble(t, map[string]behaviour{"p": tt.act}, []string{"p"}, change, func(t *testing.T, res probe.Result, took time.Duration) {
				ev := res.Evidence[0]
				c, made := ev.Check(tt.kind)
				if took != tt.took || !made || c.Class != tt.class || ev.Class != tt.verdict {
					t.Errorf("took %v, class %q, %s %+v; want %v, %q, %q", took, ev.Class, tt.kind, c, tt.took, tt.verdict, tt.class)
				}
			})
		})
	}
}

// What arrives after the decision is not recorded, even while the routes to
// the checksum database are still waited for.
func TestLateAnswers(t *testing.T) {
	noSumDB := func(path string) bool { time.Sleep(10 * time.Millisecond); return !strings.Contains(path, "/sumdb/") }
	hosts := map[string]behaviour{
		"first": noSumDB, "late": after(100 * time.Millisecond), "db1": after(time.Second), "db2": after(300 * time.Millisecond), "db3": after(time.Hour),
	}
	change := func(cfg *probe.Config) {
		cfg.Settings.Probe.Keep = 1
		for _, name := range []string{"db1", "db2", "db3"} {
			cfg.Databases = append(cfg.Databases, policy.Database{Name: name, GOSUMDB: name, URL: "http://" + name + ".example.com/sumdb/sum.golang.org"})
		}
	}
	inBubble(t, hosts, []string{"first", "late"}, change, func(t *testing.T, res probe.Result, took time.Duration) {
		if ev := evidence(res, "first"); ev.Class != "" || ev.Took > 160*time.Millisecond {
			t.Errorf("first: class %q after %v: %s", ev.Class, ev.Took, ev.Detail)
		}
		if ev := evidence(res, "late"); ev.Class != decision.Cancelled {
			t.Errorf("late has class %q; want %q", ev.Class, decision.Cancelled)
		}
		// db2 verifies after 300 ms; db1, listed before it, has 600 ms more.
		if took != 900*time.Millisecond {
			t.Errorf("took %v; want 900ms", took)
		}
		for i, want := range []decision.Class{decision.Cancelled, "", decision.Cancelled} {
			if d := res.Databases[i]; d.Class != want {
				t.Errorf("%s has class %q: %s; want %q", d.GOSUMDB, d.Class, d.Detail, want)
			}
		}
	})
}

// A chain that verifies lookups waits for no other route.
func TestDatabasesNotNeeded(t *testing.T) {
	hosts := map[string]behaviour{"p": after(10 * time.Millisecond), "db": after(time.Hour)}
	change := func(cfg *probe.Config) {
		cfg.Databases = []policy.Database{{Name: "db", GOSUMDB: "db", URL: "http://db.example.com"}}
	}
	inBubble(t, hosts, []string{"p"}, change, func(t *testing.T, res probe.Result, took time.Duration) {
		if took != 30*time.Millisecond || res.Databases[0].Class != decision.Cancelled {
			t.Errorf("took %v; database %+v", took, res.Databases[0])
		}
	})
}

// A server that GOSUMDB names is waited for even so: go asks no other.
func TestOwnDatabaseIsNeeded(t *testing.T) {
	hosts := map[string]behaviour{"p": after(10 * time.Millisecond), "db": after(300 * time.Millisecond)}
	change := func(cfg *probe.Config) {
		cfg.Databases = nil
		cfg.SumDB, _ = goenv.ParseSumDB("sum.golang.org http://db.example.com/sumdb/sum.golang.org")
	}
	inBubble(t, hosts, []string{"p"}, change, func(t *testing.T, res probe.Result, took time.Duration) {
		if took != 300*time.Millisecond || len(res.Databases) != 1 || res.Databases[0].Class != "" {
			t.Errorf("took %v; databases %+v", took, res.Databases)
		}
	})
}

// No more than eight requests are at one host at the same time, even if two
// entries of the chain are on it.
func TestConcurrency(t *testing.T) {
	var mu sync.Mutex
	now, most := 0, 0
	act := func(string) bool {
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		time.Sleep(50 * time.Millisecond)
		mu.Lock()
		now--
		mu.Unlock()
		return true
	}
	change := func(cfg *probe.Config) {
		cfg.Settings.Chain = append(cfg.Settings.Chain, policy.Entry{Name: "again", URL: "http://p.example.com"})
	}
	inBubble(t, map[string]behaviour{"p": act}, []string{"p"}, change, func(t *testing.T, res probe.Result, _ time.Duration) {
		for _, ev := range res.Evidence {
			if ev.Class != "" {
				t.Errorf("%s: %s", ev.Entry, ev.Detail)
			}
		}
		if most != 8 {
			t.Errorf("%d requests at the same time; want 8", most)
		}
	})
}
