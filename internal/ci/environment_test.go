package ci

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// idToken returns an OIDC token with the given claims.
func idToken(claims string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".c2ln"
}

// tokenService answers like the runner's, if it is asked properly.
func tokenService(t *testing.T, status int, answer string) *httptest.Server {
	t.Helper()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /token", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer request-secret" || r.FormValue("audience") != audience || r.FormValue("v") != "2" {
			t.Errorf("asked %s with %q", r.URL, r.Header.Get("Authorization"))
		}
		w.WriteHeader(status)
		fmt.Fprint(w, answer)
	})
	mux.HandleFunc("GET /elsewhere", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/token?v=2", http.StatusFound)
	})
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	return s
}

func TestEnvironmentFromAPI(t *testing.T) {
	staging := fmt.Sprintf(`{"value": %q}`, idToken(`{"sub":"x","environment":"staging"}`))
	none := fmt.Sprintf(`{"value": %q}`, idToken(`{"sub":"x"}`))
	permitted := []string{"INPUT_CHECK-RUN-ID", "42", "INPUT_GITHUB-TOKEN", "t0ken"}
	for _, tt := range []struct {
		name     string
		system   System
		env      []string
		api      fakeAPI
		status   int    // of the token service, 0 for none
		answer   string // of the token service
		path     string // of the token service; "" for /token?v=2
		want     Environment
		findings []string // part of each message
	}{
		{name: "the check run knows", env: permitted, api: fakeAPI{environment: "production"}, want: Environment{"production", "github check run"}},
		{name: "nothing permitted, nothing asked", env: []string{"INPUT_CHECK-RUN-ID", "42"}, findings: []string{"is not known: this step was given neither"}},
		{name: "no check run number on old servers", env: []string{"INPUT_GITHUB-TOKEN", "t0ken"}, findings: []string{"is not known"}},
		{name: "no check run number, and the token service knows of none", env: []string{"INPUT_GITHUB-TOKEN", "t0ken"}, status: 200, answer: none},
		{name: "the job has no environment", env: permitted},
		{name: "only the token service knows", env: permitted, status: 200, answer: staging, want: Environment{"staging", "github oidc"}},
		{name: "may not read checks, but has a token service", env: permitted, api: fakeAPI{err: fs.ErrPermission}, status: 200, answer: staging,
			want: Environment{"staging", "github oidc"}},
		{name: "both refuse", env: permitted, api: fakeAPI{err: fmt.Errorf("403 %w", fs.ErrPermission)}, status: 403, answer: "request-secret",
			findings: []string{"github check run: 403", "github oidc: the token service answers 403"}},
		{name: "an error that repeats the token", env: permitted, api: fakeAPI{err: errors.New("bad t0ken-very-secret")}, findings: []string{"bad ***"}},
		{name: "no token", status: 200, answer: `{"value": "x.y"}`, findings: []string{"is no token"}},
		{name: "no JSON in the token", status: 200, answer: `{"value": "x.eA.z"}`, findings: []string{"is no token"}},
		{name: "an endless answer", status: 200, answer: strings.Repeat(" ", 1<<20), findings: []string{"does not answer"}},
		{name: "a redirect", status: 200, answer: staging, path: "/elsewhere", findings: []string{"does not answer"}},
		{name: "a number that is none", env: []string{"INPUT_CHECK-RUN-ID", "x; id", "INPUT_GITHUB-TOKEN", "t"}, findings: []string{`INPUT_CHECK-RUN-ID: "x; id"`}},
		{name: "elsewhere nobody is asked", system: Forgejo, env: permitted, api: fakeAPI{environment: "production"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.system == "" {
				tt.system = GitHub
			}
			r := newRunner(t, tt.system, tt.env...)
			tt.api.t = t
			r.api = &tt.api
			r.secrets = []string{"t0ken-very-secret"}
			if tt.status != 0 {
				if tt.path == "" {
					tt.path = "/token?v=2"
				}
				r.env["ACTIONS_ID_TOKEN_REQUEST_URL"] = tokenService(t, tt.status, tt.answer).URL + tt.path
				r.env["ACTIONS_ID_TOKEN_REQUEST_TOKEN"] = "request-secret"
			}
			got, findings := r.EnvironmentFromAPI(t.Context())
			if got != tt.want || len(findings) != len(tt.findings) {
				t.Fatalf("EnvironmentFromAPI = %+v, %+v; want %+v, %q", got, findings, tt.want, tt.findings)
			}
			for i, f := range findings {
				if !strings.Contains(f.Message, tt.findings[i]) || strings.Contains(f.Message, "secret") || f.Fix == "" {
					t.Errorf("finding %+v; want %q, no secret, and a next step", f, tt.findings[i])
				}
			}
		})
	}
}

func TestTokenServiceNeedsTLS(t *testing.T) {
	r := newRunner(t, GitHub, "ACTIONS_ID_TOKEN_REQUEST_URL", "http://tokens.example.com/", "ACTIONS_ID_TOKEN_REQUEST_TOKEN", "x")
	if got, findings := r.EnvironmentFromAPI(t.Context()); got.Name != "" || len(findings) != 1 || !strings.Contains(findings[0].Message, "https") {
		t.Errorf("EnvironmentFromAPI = %+v, %+v; want a finding about https", got, findings)
	}
}
