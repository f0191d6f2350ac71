package agent

import (
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/agent/upstream"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// What a trusted client fetches with credentials reaches no stranger who asks
// for it meanwhile, and what a stranger is told reaches no trusted client.
func TestStrangersShareNoFetch(t *testing.T) {
	corp := proxytest.New(t, proxytest.Options{TLS: proxytest.PrivateCA})
	pub := proxytest.New(t, proxytest.Options{})
	c := configOf(t, `
proxies:
  corp: {url: "`+corp.URL+`/auth+slow=100ms"}
  pub: {url: "`+pub.URL+`/slow=50ms+404", full: true}
environments: {default: {chain: [corp, pub]}}
AGENT
`)
	c.Agent.FirstByte, c.Agent.Connect = 10*time.Second, 10*time.Second // a busy machine is no silent proxy
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(corp.CA)
	c.RootCAs = func(policy.Entry) (*x509.CertPool, error) { return roots, nil }
	c.Credentials = func(e policy.Entry) (user, password string, ok bool) { return "ci", "secret", e.Name == "corp" }
	s, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	a, err := New(s, c, slog.New(slog.NewTextHandler(t.Output(), nil)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	trusted, strange := a.Handler(nil), a.Handler(func(*http.Request) bool { return false })
	var wg sync.WaitGroup
	for i := range 20 {
		path := fmt.Sprintf("/example.com/case/m%d/@v/v1.0.0.info", i/2)
		ask := func(h http.Handler, want int) {
			wg.Go(func() {
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
				if rec.Code != want {
					t.Errorf("%s: %d; want %d: %s", path, rec.Code, want, rec.Body)
				}
			})
		}
		if i%2 == 0 {
			ask(strange, 404)
			ask(trusted, 200)
		} else {
			ask(trusted, 200)
			ask(strange, 404)
		}
	}
	wg.Wait()
}

// A gatekeeper without a checksum database refuses no lookup: others are asked.
func TestGatekeeperWithoutDatabase(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	l := start(t, `
proxies:
  gate: {url: "`+p.URL+`/sumdb:403", gatekeeper: true, gatekeeper_overridable: true}
  b: {url: "`+p.URL+`"}
environments: {default: {chain: [gate, b]}}
AGENT
`)
	if status, body := l.get("sumdb/" + proxytest.SumDBName + "/lookup/rsc.io/quote@v1.5.2"); status != 200 {
		t.Errorf("%d %s", status, body)
	}
	if status, _ := l.get(quoteZip); status != 200 || l.last().Source != "gate" || l.last().Grade != store.Verified {
		t.Errorf("%d, %+v", status, l.last())
	}
}

// A proxy that passes wrong tiles of a checksum database on costs no lookup, and
// what the database is asked for its sake is held against nobody.
func TestLyingDatabaseRoute(t *testing.T) {
	t.Parallel()
	p := proxytest.New(t, proxytest.Options{})
	liar := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resp, err := http.Get(p.URL + r.URL.Path)
		if err != nil {
			w.WriteHeader(502)
			return
		}
		defer resp.Body.Close()
		data, _ := io.ReadAll(resp.Body)
		if strings.Contains(r.URL.Path, "/tile/") && len(data) > 3 {
			data[3] ^= 1
		}
		w.WriteHeader(resp.StatusCode)
		w.Write(data)
	}))
	defer liar.Close()
	l := start(t, two(liar.URL, p.URL))
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			path := fmt.Sprintf("sumdb/%s/lookup/example.com/case/m%d@v1.0.0", proxytest.SumDBName, i)
			if status, body := l.get(path); status != 200 {
				t.Errorf("%s: %d %s", path, status, body)
			}
		})
	}
	wg.Wait()
	for _, u := range l.Agent.plan.Load().upstreams {
		if s := u.State(); u.CheckPath != "" && s != upstream.Healthy {
			t.Errorf("%s is %s: %s", u.Name, s, u.Status().Last)
		}
	}
	if n := l.store.Stats().Quarantined; n != 0 {
		t.Errorf("%d answers in the quarantine", n)
	}
}

// A proxy for private modules that hangs or is gone makes nobody else learn of
// them.
func TestPrivateNamesBesideSilence(t *testing.T) {
	t.Parallel()
	public := proxytest.New(t, proxytest.Options{})
	corp := proxytest.New(t, proxytest.Options{})
	var wg sync.WaitGroup
	for _, url := range []string{corp.URL + "/silent", corp.URL + "/stall", corp.URL + "/slow=200ms+404", "http://" + corp.Refuse, "http://" + corp.Silent} {
		l := start(t, `
private: [git.corp.example.com]
proxies: {corp: {url: "`+url+`", private: true}, pub: {url: "`+public.URL+`", full: true}, pub2: {url: "`+public.URL+`/ok=2"}}
environments: {default: {chain: [pub, corp, pub2, direct]}}
AGENT
`)
		for i := range 8 {
			for _, file := range []string{"@v/list", "@latest", "@v/v1.0.0.mod", "@v/v1.0.0.zip"} {
				wg.Go(func() { l.get(fmt.Sprintf("git.corp.example.com/team/m%d/%s", i, file)) })
			}
		}
	}
	wg.Wait()
	for _, r := range public.Requests() {
		t.Errorf("a public proxy was asked for %s", r.RawURL)
	}
}
