package cli

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/proxytest"
)

// What serves modules and does not say that it is an agent, and ready, is left
// for the chain.
func TestSetupAsksTheAgentItself(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	target, err := url.Parse(p.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name             string
		healthz, readyz  int
		fallback, reason string
	}{
		{"an agent", 200, 200, "", "does not say that it keeps secret.example.com private"},
		{"another module proxy", 404, 404, "true", "what answers there is no agent: /healthz says 404 Not Found"},
		{"draining", 200, 503, "true", "/readyz says 503 Service Unavailable"},
		{"not well", 500, 200, "true", "/healthz says 500 Internal Server Error"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			proxy := httputil.NewSingleHostReverseProxy(target)
			agent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/healthz":
					w.WriteHeader(tt.healthz)
				case "/readyz":
					w.WriteHeader(tt.readyz)
					io.WriteString(w, "ready\nprivate: git.example.com\n")
				default:
					proxy.ServeHTTP(w, r)
				}
			}))
			defer agent.Close()
			h, stdout, stderr := host(t, map[string]string{"GOENV": "off", "HTTPS_PROXY": "http://127.0.0.1:1", "GOPRIVATE": "git.example.com,secret.example.com"}, "setup", "--json", "--chain", p.URL+"/ok", "--agent", agent.URL)
			if exit := Main(t.Context(), h); exit != ExitOK {
				t.Fatalf("exit %d: %s", exit, stderr)
			}
			goproxy := p.URL + "/ok"
			if tt.fallback == "" {
				goproxy = agent.URL
			}
			for _, text := range []string{`"value": "` + goproxy + `"`, tt.reason} {
				if !strings.Contains(stdout.String(), text) {
					t.Errorf("the report lacks %q:\n%s", text, stdout)
				}
			}
		})
	}
}
