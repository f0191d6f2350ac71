package probe_test

import (
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"flag"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/probe"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// TestMain lets more tests run at once than there are processors: most of them
// wait for a time-out.
func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "8")
	os.Exit(m.Run())
}

// setup returns a configuration that asks the URLs, each an entry named as
// itself, of a project that uses the modules.
func setup(t testing.TB, p *proxytest.Server, urls ...string) probe.Config {
	t.Helper()
	s := &policy.Settings{
		Mode: policy.Routed, SumDB: policy.SumDBPreferred,
		Probe: policy.Probe{Timeout: 20 * time.Second, Keep: 2, Canary: "go.sum"},
	}
	for _, u := range urls {
		s.Chain = append(s.Chain, policy.Entry{Name: u, URL: u})
	}
	sum := p.GoSum("rsc.io/quote@v1.5.2", "rsc.io/sampler@v1.3.0", "github.com/hashicorp/errwrap@v1.0.0", "github.com/BurntSushi/toml@v0.3.1")
	return probe.Config{Settings: s, GoSum: goSum(t, sum), Databases: []policy.Database{}}
}

func goSum(t testing.TB, text string) *checksum.GoSum {
	t.Helper()
	g, err := checksum.ParseGoSum("go.sum", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// one returns the only evidence.
func one(t *testing.T, cfg probe.Config) decision.Evidence {
	t.Helper()
	res := probe.Run(t.Context(), cfg)
	if len(res.Evidence) != 1 {
		t.Fatalf("got %d pieces of evidence; want 1", len(res.Evidence))
	}
	t.Log(show(res.Evidence[0]))
	return res.Evidence[0]
}

func show(v any) string {
	out, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		return err.Error()
	}
	return string(out)
}

// paths are the requests without those of phases that vary.
func paths(p *proxytest.Server) []string {
	var list []string
	for _, r := range p.Requests() {
		list = append(list, strings.TrimPrefix(r.Path, "/"))
	}
	return list
}

const (
	quoteZip = "rsc.io/quote/@v/v1.5.2.zip"
	quoteMod = "rsc.io/quote/@v/v1.5.2.mod"
)

// short is a time-out for proxies that never answer.
const short = 500 * time.Millisecond

// Each fault has its class, and says what happened and what to do.
func TestFaults(t *testing.T) {
	for _, tt := range []struct {
		fault  string
		class  decision.Class
		detail string // contained
		next   string // contained
		asked  int    // number of requests; 0 is not counted
		limit  time.Duration
	}{
		{fault: "", asked: 12},
		{fault: "slow=20ms"},
		{fault: "redirect"},
		{fault: "redirect-host"},

		// The whole proxy.
		{fault: "401", class: decision.Unauthorized, detail: "401 Unauthorized", next: "use https: the go command sends no login over plain http", asked: 1},
		{fault: "403", class: decision.Forbidden, detail: "none of 4 modules of go.sum is served", next: "whether this runner and its login may read", asked: 6},
		{fault: "404", class: decision.Missing, detail: "404 Not Found", next: "check the path of the proxy's URL: http://127.0.0.1:", asked: 6},
		{fault: "410", class: decision.Missing, detail: "410 Gone", next: "check the path", asked: 6},
		{fault: "407", class: decision.Unauthorized, detail: "407", next: "login", asked: 1},
		{fault: "429", class: decision.RateLimited, detail: "429 Too Many Requests", next: "limits requests from this address", asked: 1},
		{fault: "500", class: decision.ServerError, detail: "500 Internal Server Error", next: "tell whoever runs 127.0.0.1:", asked: 2},
		{fault: "first:502", class: decision.ServerError, detail: "502 Bad Gateway", next: "tell whoever runs"}, // one retry is not enough
		{fault: "511", class: decision.Portal, detail: "511 Network Authentication Required", next: "in a browser", asked: 1},
		{fault: "204", class: decision.BadStatus, detail: "204 No Content", next: "tell whoever runs", asked: 1},
		{fault: "hostile", class: decision.ServerError, detail: `502 Bad Gateway ("::error`, next: "tell whoever runs"},
		{fault: "html", class: decision.Portal, detail: "<!DOCTYPE html>", next: "in a browser on this network", asked: 1},
		{fault: "portal-redirect", class: decision.Portal, detail: "Guest network", next: "in a browser", asked: 2},
		{fault: "empty", class: decision.WrongContent, detail: "an empty answer instead of a zip", next: "do not use it", asked: 1},
		{fault: "endless", class: decision.WrongContent, detail: "answer is too large", next: "do not use it", asked: 1},
		{fault: "redirect-loop", class: decision.BadRedirect, detail: "stopped after 10 redirects", next: "redirects in a circle", asked: 10},
		{fault: "redirect-dead", class: decision.Refused, detail: "connection refused", next: "check the host and port", asked: 2},
		{fault: "silent", class: decision.Silent, detail: "then did not answer within ", next: "restart", asked: 1, limit: short},
		{fault: "stall", class: decision.Stalled, detail: "did not go on within", next: "MTU", asked: 1, limit: short},
		{fault: "cut", class: decision.Reset, detail: "cut in the middle", next: "firewall", asked: 2},
		{fault: "close", class: decision.Reset, detail: "closed without an answer", next: "HTTPS_PROXY", asked: 2},
		{fault: "reset", class: decision.Reset, detail: "connection reset", next: "HTTPS_PROXY", asked: 2},

		// Zips.
		{fault: "zip:403", class: decision.ZipBlocked, detail: "403 Forbidden (\"proxytest: 403 Forbidden\"); its .mod file is served", next: "why zips are refused", asked: 2},
		{fault: "zip:404", class: decision.ZipBlocked, detail: "its .mod file is served", next: "why zips are refused", asked: 2},
		{fault: "zip:redirect-dead", class: decision.ZipBlocked, detail: "zips are kept at 127.0.0.1:", next: ", too: 127.0.0.1:", asked: 2},
		{fault: "zip:redirect-silent", class: decision.ZipBlocked, detail: "did not answer within", next: ", too: 127.0.0.1:", asked: 1, limit: short},
		{fault: "zip:wrong-bytes", class: decision.WrongContent, detail: "a valid zip with other content: its hash is h1:", next: "do not use it", asked: 1},
		{fault: "zip:corrupt-zip", class: decision.WrongContent, detail: "begin like a zip but are none", next: "do not use it", asked: 1},
		{fault: "zip:cut-silent", class: decision.WrongContent, detail: "begin like a zip but are none", next: "do not use it", asked: 1},
		{fault: "big-zip:redirect-dead", class: decision.ZipBlocked, detail: "zips are kept at 127.0.0.1:", next: ", too: 127.0.0.1:"},
		{fault: "big-zip:html", class: decision.Portal, detail: "<!DOCTYPE", next: "in a browser"},
		{fault: "big-zip:403", detail: ""}, // this very module may be refused
		{fault: "big-zip:silent", class: decision.Silent, detail: "did not answer within", next: "restart", limit: short},

		// The build's own modules.
		{fault: "public:403", class: decision.Forbidden, detail: "none of 4 modules", next: "whether this runner"},
		{fault: "mod:403", class: decision.Forbidden, detail: "none of 4 modules of go.sum is served", next: "not those of go.sum"},
		{fault: "mod:404", class: decision.Missing, detail: "none of 4 modules of go.sum is served", next: "not those of go.sum"},
		{fault: "mod:500", class: decision.ServerError, detail: "500", next: "tell whoever runs"},
		{fault: "mod:wrong-bytes", class: decision.WrongContent, detail: "other content: its hash is h1:", next: "do not use it"},
		{fault: "mod:html", class: decision.Portal, detail: "not a go.mod file", next: "in a browser"},

		// What builds do without.
		{fault: "list:500"}, {fault: "info:500"}, {fault: "upper:404"}, {fault: "sumdb:404"}, {fault: "absent:403"},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			t.Parallel()
			p := proxytest.New(t, proxytest.Options{})
			cfg := setup(t, p, strings.TrimSuffix(p.URL+"/"+tt.fault, "/"))
			if tt.limit != 0 {
				cfg.Settings.Probe.Timeout = tt.limit
			}
			ev := one(t, cfg)
			if ev.Class != tt.class || !strings.Contains(ev.Detail, tt.detail) || !strings.Contains(ev.Next, tt.next) {
				t.Errorf("got %q: %q, next %q; want %q: %q, next %q", ev.Class, ev.Detail, ev.Next, tt.class, tt.detail, tt.next)
			}
			if ev.Class != "" && (ev.Next == "" || ev.Detail == "") {
				t.Error("a failure without its detail or next step")
			}
			if strings.ContainsAny(ev.Detail+ev.Next, "\r\n\x1b") {
				t.Errorf("detail or next step is not one printable line: %q %q", ev.Detail, ev.Next)
			}
			if got := paths(p); tt.asked != 0 && len(got) != tt.asked {
				t.Errorf("asked %d times, want %d: %q", len(got), tt.asked, got)
			}
		})
	}
}

// Grades that builds do without fail by themselves; the proxy stays usable.
func TestGrades(t *testing.T) {
	type want struct {
		kind   decision.CheckKind
		class  decision.Class
		status int
	}
	for _, tt := range []struct {
		fault string
		want  []want
	}{
		{"ok", []want{
			{decision.HTTP, "", 200}, {decision.Zip, "", 200}, {decision.Project, "", 200}, {decision.NotFound, "", 404},
			{decision.Escape, "", 200}, {decision.Info, "", 200}, {decision.List, "", 200}, {decision.Supported, "", 200},
			{decision.SumDB, "", 200}, {decision.BigZip, "", 200}, {decision.Toolchain, "", 200},
		}},
		{"toolchain:404", []want{{decision.Toolchain, decision.Missing, 404}}},
		{"absent:410", []want{{decision.NotFound, "", 410}}},
		{"absent:403", []want{{decision.NotFound, decision.Forbidden, 403}}},
		{"absent:500", []want{{decision.NotFound, decision.ServerError, 500}}},
		{"absent:html", []want{{decision.NotFound, decision.Portal, 200}}},
		{"absent:empty", []want{{decision.NotFound, decision.WrongContent, 200}}},
		{"upper:404", []want{{decision.Escape, decision.Missing, 404}}},
		{"info:html", []want{{decision.Info, decision.Portal, 200}}},
		{"wrong-info", []want{{decision.Info, decision.WrongContent, 200}}},
		{"list:500", []want{{decision.List, decision.ServerError, 500}}},
		{"list:403", []want{{decision.List, decision.Forbidden, 403}}},
		{"list:html", []want{{decision.List, decision.Portal, 200}}},
		{"list:empty", []want{{decision.List, decision.WrongContent, 200}}},
		{"list:endless", []want{{decision.List, decision.WrongContent, 200}}},
		// go asks the database itself after a 404, and sees no body of "supported".
		{"sumdb:404", []want{{decision.Supported, decision.NoSumDB, 404}, {decision.SumDB, decision.NoSumDB, 404}}},
		{"sumdb:410", []want{{decision.Supported, decision.NoSumDB, 410}}},
		{"sumdb:403", []want{{decision.Supported, decision.Forbidden, 403}}},
		{"sumdb:502", []want{{decision.Supported, decision.ServerError, 502}}},
		{"sumdb:html", []want{{decision.Supported, "", 200}, {decision.SumDB, decision.Portal, 200}}},
		{"lookup:forged", []want{{decision.SumDB, decision.WrongContent, 200}}},
		{"lookup:wrong-bytes", []want{{decision.SumDB, decision.WrongContent, 200}}},
		{"lookup:cut-silent", []want{{decision.SumDB, decision.WrongContent, 200}}},
		{"lookup:500", []want{{decision.SumDB, decision.ServerError, 500}}},
		{"big-zip:403", []want{{decision.BigZip, decision.Forbidden, 403}}},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			t.Parallel()
			p := proxytest.New(t, proxytest.Options{})
			// A slow big zip gives the other grades all the time they need.
			cfg := setup(t, p, p.URL+"/big-zip:slow=300ms/"+tt.fault)
			cfg.Toolchain = "go1.99.9"
			ev := one(t, cfg)
			for _, w := range tt.want {
				c, made := ev.Check(w.kind)
				if !made || c.Class != w.class || c.Status != w.status || c.Detail == "" {
					t.Errorf("got %+v; want class %q and status %d", c, w.class, w.status)
				}
			}
			if ev.Class != "" {
				t.Errorf("the proxy has class %q: %s", ev.Class, ev.Detail)
			}
			if ev.Latency <= 0 || ev.Took < ev.Latency {
				t.Errorf("latency %v, took %v", ev.Latency, ev.Took)
			}
		})
	}
}

// Checks stand in the order of the grades, the connection first.
func TestOrderOfChecks(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{TLS: proxytest.PrivateCA})
	cfg := setup(t, p, p.URL)
	cfg.RootCAs = func(policy.Entry) (*x509.CertPool, error) { return pool(p), nil }
	var got []decision.CheckKind
	for _, c := range one(t, cfg).Checks {
		got = append(got, c.Kind)
	}
	want := []decision.CheckKind{
		decision.TCP, decision.TLS, decision.HTTP, decision.Zip, decision.Project, decision.NotFound, decision.Escape,
		decision.Info, decision.List, decision.Supported, decision.SumDB, decision.BigZip,
	}
	if !slices.Equal(got, want) {
		t.Errorf("checks %q; want %q", got, want)
	}
}

func pool(p *proxytest.Server) *x509.CertPool {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(p.CA)
	return roots
}

// The final host of a zip is reported even if it is healthy.
func TestFinalHost(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	ev := one(t, setup(t, p, p.URL+"/big-zip:redirect-host"))
	if want := strings.TrimPrefix(p.Other, "http://"); ev.FinalHost != want || ev.Class != "" {
		t.Errorf("final host %q, class %q; want %q", ev.FinalHost, ev.Class, want)
	}
}

// A directory is a proxy, too.
func TestFileProxy(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	dir, err := filepath.Abs(filepath.FromSlash("../proxytest/testdata/public"))
	if err != nil {
		t.Fatal(err)
	}
	cfg := setup(t, p, (&url.URL{Scheme: "file", Path: "/" + strings.TrimPrefix(filepath.ToSlash(dir), "/")}).String())
	ev := one(t, cfg)
	if ev.Class != "" || ev.Latency <= 0 {
		t.Errorf("got %s; want a healthy proxy", show(ev))
	}
	cfg.Settings.Chain[0].URL += "/nothing/here"
	if ev := one(t, cfg); ev.Class != decision.Missing {
		t.Errorf("an empty directory has class %q; want %q", ev.Class, decision.Missing)
	}
}

// In a container, loopback and directories are not those of later steps: they
// are not even asked.
func TestContainer(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	for _, u := range []string{p.URL, p.URL + "/502", "http://localhost:1", "http://[::1]:1", "http://x.localhost", "file:///srv/modules"} {
		cfg := setup(t, p, u)
		cfg.Container = true
		if ev := one(t, cfg); ev.Class != decision.Local || ev.Next == "" {
			t.Errorf("%s has class %q; want %q", u, ev.Class, decision.Local)
		}
	}
	if got := paths(p); len(got) != 0 {
		t.Errorf("asked %q", got)
	}
}

// Nothing answers where nobody listens; the family of the address is named.
func TestConnections(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	noSuchHost := func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: "proxy.corp.example.com", IsNotFound: true}}
	}
	dnsSilent := func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "i/o timeout", Name: "proxy.corp.example.com", IsTimeout: true}}
	}
	blackHole := func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	onlyIf := func(needed bool, dial func(context.Context, string, string) (net.Conn, error)) func(context.Context, string, string) (net.Conn, error) {
		if needed { // no such address on this system
			return dial
		}
		return nil
	}
	for _, tt := range []struct {
		name, url string
		dial      func(context.Context, string, string) (net.Conn, error)
		class     decision.Class
		detail    string
		next      string
		check     decision.CheckKind // that has the class as well
	}{
		{"nobody listens", "http://" + p.Refuse, nil, decision.Refused, "connection refused", "check the host and port of " + p.Refuse, decision.TCP},
		{"accepts and is silent", "http://" + p.Silent, nil, decision.Silent, "then did not answer", "restart " + p.Silent, decision.HTTP},
		{"silent where TLS is due", "https://" + p.Silent, nil, decision.Silent, "then did not speak TLS", "restart", decision.TLS},
		{"no such host", "https://proxy.corp.example.com", noSuchHost, decision.DNSFailure, "no such host proxy.corp.example.com", "DNS, not the proxy", decision.TCP},
		{"name server silent", "https://proxy.corp.example.com", dnsSilent, decision.DNSFailure, "looking up proxy.corp.example.com: i/o timeout", "DNS, not the proxy", decision.TCP},
		{"packets are dropped", "http://" + cmp.Or(p.BlackHole, "127.0.0.1:1"), onlyIf(p.BlackHole == "", blackHole), decision.Timeout, "no connection to 127.0.0.1:", "set HTTPS_PROXY", decision.TCP},
		{"black hole", "https://proxy.corp.example.com", blackHole, decision.Timeout, "no connection to proxy.corp.example.com within", "set HTTPS_PROXY", decision.TCP},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := setup(t, p, tt.url)
			cfg.Settings.Probe.Timeout = short
			cfg.Dial = tt.dial
			ev := one(t, cfg)
			if ev.Class != tt.class || !strings.Contains(ev.Detail, tt.detail) || !strings.Contains(ev.Next, tt.next) {
				t.Errorf("got %q: %q, next %q; want %q: %q, next %q", ev.Class, ev.Detail, ev.Next, tt.class, tt.detail, tt.next)
			}
			if c, made := ev.Check(tt.check); !made || c.Class != tt.class {
				t.Errorf("check %s is %+v; want class %q", tt.check, c, tt.class)
			}
		})
	}
}
