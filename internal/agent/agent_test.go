package agent

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// A lab is an agent over a store of its own.
type lab struct {
	*Agent
	t      *testing.T
	store  *store.Store
	policy string

	mu     sync.Mutex
	events []Event
}

// limits make proxies that never answer quick to test with, and leave a busy
// machine its time.
const limits = "\n  limits: {connect: 3s, first_byte: 1s}"

// start starts an agent for the environment "default" of a policy, in which
// the key "agent" may be written as AGENT.
func start(t *testing.T, text string) *lab {
	t.Helper()
	s, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, store: s}
	t.Cleanup(func() { s.Close() })
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	l.Agent, err = New(s, configOf(t, text), log, func(e Event) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.events = append(l.events, e)
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

// configOf parses a policy.
func configOf(t *testing.T, text string) Config {
	t.Helper()
	text = strings.ReplaceAll(text, "AGENT", "agent:\n  databases: [\""+proxytest.GOSUMDB+"\"]"+limits)
	p, err := policy.Parse("policy.yaml", []byte("version: 1\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	choice, err := p.Choose(policy.Facts{})
	if err != nil {
		t.Fatal(err)
	}
	set, err := p.Settings(choice, func(string) string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	return Config{Settings: &set, Agent: p.Agent()}
}

// get asks the agent for a path below its URL.
func (l *lab) get(path string) (status int, body string) {
	rec := httptest.NewRecorder()
	l.Handler(nil).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/"+path, nil))
	return rec.Code, rec.Body.String()
}

// last returns the last event.
func (l *lab) last() Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.events[len(l.events)-1]
}

const (
	quoteZip = "rsc.io/quote/@v/v1.5.2.zip"
	quoteMod = "rsc.io/quote/@v/v1.5.2.mod"
)

// two returns a policy with two proxies.
func two(a, b string) string {
	return "proxies: {a: {url: \"" + a + "\"}, b: {url: \"" + b + "\"}}\nenvironments: {default: {chain: [a, b]}}\nAGENT\n"
}

func TestServesAndKeeps(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	l := start(t, two(p.URL, p.URL+"/ok=b"))
	for _, path := range []string{quoteZip, "rsc.io/quote/@v/v1.5.2.info", quoteMod, "github.com/!burnt!sushi/toml/@v/v0.3.1.mod"} {
		status, first := l.get(path)
		if status != 200 || first == "" || l.last().Result != ResultFetched || l.last().Source != "a" {
			t.Fatalf("%s: %d, %+v", path, status, l.last())
		}
		if !strings.HasSuffix(path, ".info") && l.last().Grade != store.Verified {
			t.Errorf("%s is %s", path, l.last().Grade)
		}
		l.pool.Wait()
		if status, second := l.get(path); status != 200 || second != first || l.last().Result != ResultHit {
			t.Errorf("%s again: %d, %+v", path, status, l.last())
		}
	}
}

// Whatever the first proxy does, the client gets the right bytes from the
// second, and what the first one sent leaves no trace in the store.
func TestEveryFaultIsSurvived(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	healthy := start(t, two(p.URL, p.URL+"/ok=b"))
	for _, fault := range []string{
		"404", "410", "400", "401", "403", "429", "451", "500", "502", "503", "204", "304", "html", "empty", "hostile", "redirect-loop", "redirect-dead",
		"redirect-silent", "portal-redirect", "silent", "stall", "cut", "cut-silent", "close", "reset", "wrong-bytes", "corrupt-zip", "wrong-info", "endless",
	} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			l := start(t, two(p.URL+"/"+fault, p.URL))
			for _, path := range []string{quoteZip, quoteMod, "rsc.io/quote/@v/v1.5.2.info", "rsc.io/quote/@v/list"} {
				_, want := healthy.get(path)
				status, got := l.get(path)
				swallowed := strings.HasSuffix(path, "list") && fault == "empty" // nobody can tell: see TestEmptyList
				if status != 200 || got != want && !swallowed {
					t.Errorf("%s: %d, %d bytes; want %d: %+v", path, status, len(got), len(want), l.last())
				}
			}
		})
	}
	for _, address := range []string{p.Refuse, p.Silent, p.BlackHole} {
		l := start(t, two("http://"+address, p.URL))
		if status, _ := l.get(quoteZip); status != 200 {
			t.Errorf("%s: %d", address, status)
		}
	}
}

// A list without versions is doubted when the module is known to have some.
func TestEmptyList(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	l := start(t, two(p.URL+"/list:empty", p.URL))
	l.get(quoteMod)
	if status, list := l.get("rsc.io/quote/@v/list"); status != 200 || !strings.Contains(list, "v1.5.2") {
		t.Errorf("%d %q", status, list)
	}
}

// The list of a module without tags is empty, however often it is asked for.
func TestModuleWithoutTags(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	l := start(t, two(p.URL, p.URL+"/ok=b"))
	for range 2 {
		for _, path := range []string{"example.com/pseudo/@latest", "example.com/pseudo/@v/list"} {
			if err := os.RemoveAll(filepath.Join(l.store.Dir(), "../../mutable")); err != nil { // nothing is fresh any more
				t.Fatal(err)
			}
			if status, body := l.get(path); status != 200 || l.last().Result != ResultFetched || strings.HasSuffix(path, "list") != (body == "") {
				t.Errorf("%s: %d %q, %+v", path, status, body, l.last())
			}
		}
	}
	if n := l.store.Stats().Quarantined; n != 0 {
		t.Errorf("%d files were refused", n)
	}
}

// until waits for something that another goroutine does.
func until(t *testing.T, done func() bool) {
	t.Helper()
	for range 10_000 {
		if done() {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Fatal("it did not happen in 10 s")
}

// All proxies have the same other bytes: as loud as the go command.
func TestTampered(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	l := start(t, two(p.URL+"/zip:wrong-bytes", p.URL+"/zip:wrong-bytes/ok=b"))
	status, body := l.get(quoteZip)
	if status != 502 || !strings.Contains(body, "SECURITY ERROR") || !strings.Contains(body, "checksum mismatch") {
		t.Errorf("%d %s", status, body)
	}
	if _, err := l.store.Get(quoteZip); err == nil {
		t.Error("the wrong bytes were kept")
	}
}

// An outage is never called "not found".
func TestStatus(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	const nothing = "rsc.io/nothing/@v/v1.0.0.mod"
	for _, tt := range []struct {
		name, a, b, path string
		status           int
		body             string
	}{
		{"absent everywhere", "", "", nothing, 404, "not found: rsc.io/nothing@v1.0.0 (.mod)"},
		{"absent, and one is dead", "", "/502", nothing, 502, "502 Bad Gateway"},
		{"both dead", "/500", "/reset", quoteMod, 502, "this does not mean that it does not exist"},
		{"silent", "/silent", "/silent", quoteMod, 504, "did not answer within"},
		{"paced", "/429=30", "/429=30", quoteMod, 503, "this does not mean"},
		{"forbidden by no gatekeeper", "/403", "/403", quoteMod, 502, "403 Forbidden"},
		{"pages", "/html", "/html", "rsc.io/quote/@v/v1.5.2.info", 502, "b: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := start(t, two(p.URL+tt.a, p.URL+"/ok=b"+tt.b))
			status, body := l.get(tt.path)
			if status != tt.status || !strings.Contains(body, tt.body) {
				t.Errorf("%d %q; want %d %q", status, body, tt.status, tt.body)
			}
			if strings.ContainsAny(body, "\x1b\r") || strings.Contains(body, "\n\n") || len(body) > 648 {
				t.Errorf("the go command does not show %q", body)
			}
		})
	}
}

// What was served once exists: its absence is an outage.
func TestKnownIsNeverAbsent(t *testing.T) {
	t.Parallel()
	p := proxytest.New(t, proxytest.Options{})
	l := start(t, two(p.URL, p.URL+"/ok=b"))
	if status, _ := l.get("rsc.io/quote/@v/v1.5.2.info"); status != 200 {
		t.Fatal(status)
	}
	p.SetFault("404")
	if status, body := l.get(quoteZip); status == 404 || status == 200 {
		t.Errorf("%d %s", status, body)
	}
	if status, body := l.get("rsc.io/quote/@v/list"); status != 502 && status != 503 {
		t.Errorf("the list: %d %s", status, body)
	}
	p.SetFault("empty")
	if status, body := l.get("rsc.io/quote/@v/list"); status != 502 && status != 503 {
		t.Errorf("an empty list: %d %s", status, body)
	}
	p.SetFault("404")
	if status, _ := l.get("rsc.io/quote/@v/v1.9.9.mod"); status != 404 {
		t.Errorf("another version: %d", status)
	}
}

// A gatekeeper's 403 is final, whoever stands behind it.
func TestGatekeeper(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	l := start(t, `
proxies:
  gate: {url: "`+p.URL+`/403", gatekeeper: true, gatekeeper_overridable: true}
  b: {url: "`+p.URL+`"}
environments: {default: {chain: [gate, b]}}
AGENT
`)
	if status, body := l.get(quoteZip); status != 403 || !strings.Contains(body, "gate: 403 Forbidden") {
		t.Errorf("%d %s", status, body)
	}
	for _, r := range p.Requests() {
		if !strings.HasPrefix(r.Prefix, "/403") && !strings.Contains(r.Path, "/sumdb/") {
			t.Errorf("asked around the gatekeeper: %s", r.RawURL)
		}
	}
}

// A gatekeeper's refusal of what it has served before is one, and no outage.
func TestNotStaleAfterRefusal(t *testing.T) {
	t.Parallel()
	p := proxytest.New(t, proxytest.Options{})
	for fault, want := range map[string]struct {
		status int
		result Result
	}{"403": {403, ResultDenied}, "404": {404, ResultAbsent}, "502": {200, ResultStale}} {
		t.Run(fault, func(t *testing.T) {
			l := start(t, "proxies: {gate: {url: \""+p.URL+"/ok="+fault+"\", gatekeeper: true, private: true}}\nenvironments: {default: {mode: enforced, chain: [gate]}}\nAGENT\n")
			const branch = "rsc.io/quote/@v/main.info"
			v := &visit{a: l.Agent, plan: l.plan.Load(), trusted: true}
			v.links, v.everyone, _ = v.plan.route("rsc.io/quote", true)
			if err := l.store.PutMutable(v.mutable(branch), []byte(`{"Version":"v1.5.2"}`)); err != nil {
				t.Fatal(err)
			}
			l.remember(v.realm(), modproxy.File{Path: "rsc.io/quote", Version: "main", Kind: modproxy.Info}, 20)
			past := time.Now().Add(-time.Hour)
			if err := os.Chtimes(filepath.Join(l.store.Dir(), "../../mutable", v.mutable(branch)), past, past); err != nil {
				t.Fatal(err)
			}
			p.SetFault(fault)
			if status, body := l.get(branch); status != want.status || l.last().Result != want.result {
				t.Errorf("%d %s, %s; want %d, %s", status, body, l.last().Result, want.status, want.result)
			}
		})
	}
}

// What the first proxy fails at before anybody asks is told, too.
func TestReadAheadIsTold(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	l := start(t, two(p.URL+"/info:502", p.URL))
	l.get(quoteMod)
	l.wg.Wait()
	if e := l.last(); !e.Ahead || e.Source != "b" || e.First != "a" || len(e.Outcomes) == 0 || e.Outcomes[0].Status != 502 {
		t.Errorf("%+v", e)
	}
}

// Two hundred clients share one fetch, whoever leaves.
func TestHerd(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	// One proxy: a second one would be asked if this machine is busy.
	l := start(t, "environments: {default: {chain: [\""+p.URL+"/zip:slow=200ms\"]}}\nAGENT\n")
	srv := httptest.NewServer(l.Handler(nil))
	defer srv.Close()
	var wg sync.WaitGroup
	var mu sync.Mutex
	sizes := map[int64]int{}
	leaver, leave := context.WithCancel(t.Context())
	wg.Go(func() { // the first one, who begins the fetch, does not wait for it
		req, _ := http.NewRequestWithContext(leaver, http.MethodGet, srv.URL+"/"+quoteZip, nil)
		http.DefaultClient.Do(req)
	})
	until(t, func() bool { return p.Count(quoteZip) > 0 })
	for range 200 {
		wg.Go(func() {
			resp, err := http.Get(srv.URL + "/" + quoteZip)
			if err != nil {
				t.Error(err)
				return
			}
			defer resp.Body.Close()
			n, _ := io.Copy(io.Discard, resp.Body)
			mu.Lock()
			defer mu.Unlock()
			sizes[n]++
		})
	}
	until(t, func() bool { return l.pool.Stats().Shared > 0 })
	leave()
	wg.Wait()
	if len(sizes) != 1 || sizes[2987] != 200 {
		t.Errorf("sizes: %v", sizes)
	}
	if n := p.Count(quoteZip); n != 1 {
		t.Errorf("%d requests of the proxy", n)
	}
}
