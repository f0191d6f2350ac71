package agent

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/org/goproxy-setup/internal/proxytest"
)

// What came another way is not in the store for private modules, in enforced
// mode and for strangers: a policy may have changed, and stores are shared.
func TestStoredByAnotherWay(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	const chain = "environments: {default: {chain: [x]}}\nAGENT\n"
	enforced := func(fault string) string {
		return "proxies: {gate: {url: \"" + p.URL + "/ok=gate" + fault + "\", gatekeeper: true, private: true}}\nenvironments: {default: {mode: enforced, chain: [gate]}}\nAGENT\n"
	}
	private := func(fault string) string {
		return "private: [rsc.io]\nproxies: {corp: {url: \"" + p.URL + "/ok=corp" + fault + "\", private: true}}\nenvironments: {default: {chain: [corp, direct]}}\nAGENT\n"
	}
	for _, tt := range []struct {
		name    string
		policy  string
		trusted bool
		status  int
		result  Result
	}{
		{"the same proxy by another name", "proxies: {x: {url: \"" + p.URL + "\"}}\n" + chain, true, 200, ResultHit},
		{"for a stranger, too", "proxies: {x: {url: \"" + p.URL + "\"}}\n" + chain, false, 200, ResultHit},
		{"another proxy", "proxies: {x: {url: \"" + p.URL + "/404\"}}\n" + chain, true, 200, ResultHit},
		{"for a stranger not", "proxies: {x: {url: \"" + p.URL + "/404\"}}\n" + chain, false, 404, ResultAbsent},
		{"a gatekeeper refuses", enforced("/403"), true, 403, ResultDenied},
		{"a gatekeeper does not have it", enforced("/404"), true, 404, ResultAbsent},
		{"a gatekeeper serves it", enforced(""), true, 200, ResultFetched},
		{"private, and not there", private("/404"), true, 404, ResultAbsent},
		{"private, and there", private(""), true, 200, ResultFetched},
		{"private, without a proxy", "private: [rsc.io]\nproxies: {x: {url: \"" + p.URL + "\"}}\nenvironments: {default: {chain: [x, direct]}}\nAGENT\n", true, 404, ResultAbsent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := start(t, two(p.URL, p.URL+"/ok=b"))
			for _, path := range []string{quoteZip, quoteMod, "rsc.io/quote/@v/v1.5.2.info"} {
				if status, body := l.get(path); status != 200 {
					t.Fatalf("%d %s", status, body)
				}
			}
			l.pool.Wait()
			if err := l.Reload(configOf(t, tt.policy)); err != nil {
				t.Fatal(err)
			}
			get := func() int {
				rec := httptest.NewRecorder()
				l.Handler(func(*http.Request) bool { return tt.trusted }).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/"+quoteZip, nil))
				return rec.Code
			}
			if status := get(); status != tt.status || l.last().Result != tt.result {
				t.Errorf("%d, %s; want %d, %s", status, l.last().Result, tt.status, tt.result)
			}
			l.pool.Wait()
			if status := get(); tt.status == 200 && (status != 200 || l.last().Result != ResultHit) {
				t.Errorf("again: %d, %s", status, l.last().Result)
			}
		})
	}
}

// A cache in front may give a file to others if everybody may have it.
func TestCacheControl(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	for policy, want := range map[string]string{
		two(p.URL, p.URL+"/ok=b"): "public, max-age=31536000, immutable",
		"private: [rsc.io]\nproxies: {corp: {url: \"" + p.URL + "\", private: true}}\nenvironments: {default: {chain: [corp]}}\nAGENT\n": "private, max-age=31536000, immutable",
	} {
		l := start(t, policy)
		for range 2 {
			rec := httptest.NewRecorder()
			l.Handler(nil).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/"+quoteMod, nil))
			if got := rec.Header().Get("Cache-Control"); got != want {
				t.Errorf("%s: %q; want %q", l.last().Result, got, want)
			}
			l.pool.Wait()
		}
	}
}
