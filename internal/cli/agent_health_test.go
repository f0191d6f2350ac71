package cli

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// A health command knows no more than the agent's own settings, and asks plain
// http and TLS alike.
func TestHealthcheck(t *testing.T) {
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" {
			w.WriteHeader(http.StatusNotFound)
		}
		io.WriteString(w, "ok\n::error::no command\n")
	})
	plain, secure, sick := httptest.NewServer(handler), httptest.NewUnstartedServer(handler), httptest.NewServer(http.NotFoundHandler())
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	for _, s := range []*httptest.Server{plain, secure, sick} {
		t.Cleanup(s.Close)
	}
	port := func(s *httptest.Server) string {
		_, port, err := net.SplitHostPort(s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return port
	}
	for _, tt := range []struct {
		name string
		env  map[string]string
		args []string
		exit int
		want string // part of the output
	}{
		{"a URL", nil, []string{plain.URL}, ExitOK, "ok"},
		{"a URL of TLS on this machine", nil, []string{secure.URL + "/"}, ExitOK, "ok"},
		{"a listener", nil, []string{"--listen", "0.0.0.0:" + port(plain)}, ExitOK, "ok"},
		{"a listener with TLS", map[string]string{"GOPROXY_SETUP_LISTEN": "0.0.0.0:" + port(secure)}, nil, ExitOK, "ok"},
		{"a listener for both protocols", nil, []string{"--listen", "[::]:" + port(plain)}, ExitOK, "ok"},
		{"the policy's listener", map[string]string{"GOPROXY_SETUP_POLICY_INLINE": `agent: {listen: ["127.0.0.1:` + port(plain) + `"]}`}, nil, ExitOK, "ok"},
		{"not well", nil, []string{sick.URL}, ExitNo, "404"},
		{"nobody there", nil, []string{"http://127.0.0.1:1"}, ExitNo, "no answer: "},
		{"no URL", nil, []string{"127.0.0.1:8765"}, ExitUsage, "is no URL of an agent"},
		{"nothing known", nil, nil, ExitUsage, "which agent is to be asked?"},
		{"any port", nil, []string{"--listen", "127.0.0.1:0"}, ExitUsage, "which agent is to be asked?"},
		{"what means nothing", nil, []string{"--store", "x", plain.URL}, ExitUsage, "--store means nothing here"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h, stdout, stderr := host(t, tt.env, append([]string{"agent", "healthcheck"}, tt.args...)...)
			exit := Main(t.Context(), h)
			got := stdout.String() + stderr.String()
			if exit != tt.exit || !strings.Contains(got, tt.want) || strings.Contains(got, "\n::") {
				t.Errorf("exit %d, %q; want %d and %q", exit, got, tt.exit, tt.want)
			}
		})
	}
}
