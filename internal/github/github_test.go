package github

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/report"
)

const token = "ghs_s3cret"

var base = strings.Repeat("2", 40)

// serve returns a client of a server that answers as GitHub Enterprise does,
// below /api/v3, and fails the test if it is asked without the token.
func serve(t *testing.T, routes map[string]http.HandlerFunc) *Client {
	t.Helper()
	mux := http.NewServeMux()
	for route, h := range routes {
		method, path, _ := strings.Cut(route, " ")
		mux.HandleFunc(method+" /api/v3"+path, func(w http.ResponseWriter, r *http.Request) {
			if got := r.Header.Get("Authorization"); got != "Bearer "+token {
				t.Errorf("%s: Authorization = %q", r.URL, got)
			}
			h(w, r)
		})
	}
	s := httptest.NewServer(mux)
	t.Cleanup(s.Close)
	c, err := New(s.URL+"/api/v3", token)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
}

func TestNew(t *testing.T) {
	for _, tt := range []struct {
		url, want string // part of the error; "" for success
	}{
		{"", ""},
		{"https://api.github.example.com", ""},
		{"https://git.corp.example.com/api/v3/", ""},
		{"http://127.0.0.1:8080/api/v3", ""},
		{"http://[::1]:8080", ""},
		{"http://git.corp.example.com/api/v3", "unencrypted"},
		{"ftp://git.corp.example.com", "unencrypted"},
		{"https://ci:s3cret@git.corp.example.com", "not a plain https URL"},
		{"https://git.corp.example.com/?s3cret", "not a plain https URL"},
		{"git.corp.example.com", "not a plain https URL"},
		{"https://s3cret\x7f", "not a plain https URL"},
	} {
		_, err := New(tt.url, token)
		if (err == nil) != (tt.want == "") || err != nil && (!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret")) {
			t.Errorf("New(%q) = %v; want %q", tt.url, err, tt.want)
		}
	}
}

func TestEnvironment(t *testing.T) {
	const route = "GET /repos/acme/shop/check-runs/42"
	for _, tt := range []struct {
		name       string
		h          http.HandlerFunc
		want       string
		wantErr    string // part of the error
		permission bool
	}{
		{"a job with an environment", answer(200, `{"id":42,"name":"build","deployment":{"id":1,"environment":"production"}}`), "production", "", false},
		{"a job without one", answer(200, `{"id":42,"deployment":null}`), "", "", false},
		{"not allowed", answer(403, `{"message":"Resource not accessible by integration"}`), "", "403 Forbidden: Resource not accessible by integration", true},
		{"hidden", answer(404, `{"message":"Not Found"}`), "", "404", true},
		{"bad token, repeated in the answer", answer(401, `{"message":"Bad credentials `+token+`"}`), "", "Bad credentials ***", true},
		{"server error", answer(500, `oops`), "", "500", false},
		{"no JSON", answer(200, `<html>`), "", "invalid character", false},
		{"rate limit", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-RateLimit-Remaining", "0")
			answer(403, `{"message":"API rate limit exceeded"}`)(w, nil)
		}, "", "rate limit", false},
		{"asked to slow down", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "60")
			answer(403, `{"message":"x","documentation_url":"https://docs.example.com/#secondary-rate-limits"}`)(w, nil)
		}, "", "slow down", false},
		{"endless", func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte(`{"name":"`))
			for range maxAnswer/1024 + 1 {
				w.Write(slices.Repeat([]byte("x"), 1024))
			}
		}, "", "larger than", false},
		{"endless error", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(500)
			for range maxAnswer/1024 + 1 {
				w.Write(slices.Repeat([]byte("x"), 1024))
			}
		}, "", "500", false},
		{"redirect to another host", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "http://localhost:1/", http.StatusFound)
		}, "", "another host", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := serve(t, map[string]http.HandlerFunc{route: tt.h}).Environment(t.Context(), "acme/shop", 42)
			if got != tt.want || (err == nil) != (tt.wantErr == "") {
				t.Fatalf("Environment = %q, %v; want %q, %q", got, err, tt.want, tt.wantErr)
			}
			if err != nil {
				wantError(t, err, tt.wantErr, tt.permission)
			}
		})
	}
}

func wantError(t *testing.T, err error, text string, permission bool) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || !strings.Contains(err.Error(), text) || errors.Is(err, fs.ErrPermission) != permission || errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("error %q, %#v; want %q, permission %v", err, err, text, permission)
	}
	if permission != strings.Contains(e.Fix, "permissions:") || len(err.Error()) > 500 || strings.Contains(err.Error(), token) {
		t.Errorf("error %q with fix %q; want the permission, a bounded text and no token", err, e.Fix)
	}
}

// TestTimeLimit lets a server answer never.
func TestTimeLimit(t *testing.T) {
	asked := make(chan struct{})
	c := serve(t, map[string]http.HandlerFunc{"GET /repos/acme/shop/check-runs/42": func(_ http.ResponseWriter, r *http.Request) {
		close(asked)
		<-r.Context().Done()
	}})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	if _, err := c.Environment(ctx, "acme/shop", 42); !errors.Is(err, context.Canceled) {
		t.Errorf("Environment = %v; want that the context ended", err)
	}
	if c.api.Client().Timeout != timeout {
		t.Errorf("the client has no limit of its own")
	}
}

func TestFile(t *testing.T) {
	contents := "GET /repos/acme/shop/contents/ci/policy.yaml"
	commit := "GET /repos/acme/shop/git/commits/" + base
	file := func(size int, text string) http.HandlerFunc {
		return answer(200, fmt.Sprintf(`{"type":"file","encoding":"base64","size":%d,"content":%q}`, size, base64.StdEncoding.EncodeToString([]byte(text))))
	}
	notFound := answer(404, `{"message":"Not Found"}`)
	for _, tt := range []struct {
		name             string
		contents, commit http.HandlerFunc
		want             string
		wantErr          string
		notExist         bool
		permission       bool
	}{
		{"there", file(10, "version: 1"), nil, "version: 1", "", false, false},
		{"the commit has none", notFound, answer(200, `{"sha":"`+base+`"}`), "", "no such file", true, false},
		{"the repository can't be read", notFound, notFound, "", "404", false, true},
		{"the API went down in between", notFound, answer(502, ``), "", "502", false, false},
		{"not allowed", answer(403, `{"message":"Resource not accessible by integration"}`), nil, "", "403", false, true},
		{"a directory", answer(200, `[{"type":"file","name":"x"}]`), nil, "", "not a regular file", false, false},
		{"a submodule", answer(200, `{"type":"submodule"}`), nil, "", "not a regular file", false, false},
		{"too big", file(MaxFile+1, ""), nil, "", "larger than", false, false},
		{"too big for the API", answer(200, `{"type":"file","encoding":"none","size":1500000,"content":""}`), nil, "", "larger than", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			routes := map[string]http.HandlerFunc{contents: func(w http.ResponseWriter, r *http.Request) {
				if r.FormValue("ref") != base {
					t.Errorf("asked for %q; want the base commit", r.FormValue("ref"))
				}
				tt.contents(w, r)
			}}
			if tt.commit != nil {
				routes[commit] = tt.commit
			}
			got, err := serve(t, routes).File(t.Context(), "acme/shop", base, "ci/policy.yaml")
			if string(got) != tt.want || (err == nil) != (tt.wantErr == "") {
				t.Fatalf("File = %q, %v; want %q, %q", got, err, tt.want, tt.wantErr)
			}
			if tt.notExist {
				if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), tt.wantErr) {
					t.Errorf("File = %v; want fs.ErrNotExist", err)
				}
			} else if err != nil {
				wantError(t, err, tt.wantErr, tt.permission)
			}
		})
	}
}

func TestArguments(t *testing.T) {
	c := serve(t, nil) // every request would be a 404
	for _, tt := range []struct{ repo, commit, path, want string }{
		{"acme", base, "p", "owner/name"},
		{"acme/shop/../../x", base, "p", "owner/name"},
		{"acme/..", base, "p", "owner/name"},
		{"acme/shop?x", base, "p", "owner/name"},
		{"acme/shop", "main", "p", "full hash"},
		{"acme/shop", base + "?", "p", "full hash"},
		{"acme/shop", base, "../p", "not a path"},
		{"acme/shop", base, "/p", "not a path"},
	} {
		if _, err := c.File(t.Context(), tt.repo, tt.commit, tt.path); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("File(%q, %q, %q) = %v; want %q", tt.repo, tt.commit, tt.path, err, tt.want)
		}
	}
	if _, err := c.Environment(t.Context(), "../x", 1); err == nil {
		t.Error("Environment takes any repository")
	}
	if err := c.CheckRun(t.Context(), "acme/shop", "HEAD", &report.Report{}, ""); err == nil || !strings.Contains(err.Error(), "full hash") {
		t.Errorf("CheckRun = %v; want that HEAD is no hash", err)
	}
}

// A checkRun is what the API was told.
type checkRun struct {
	Name, Conclusion, Status string
	HeadSHA                  string `json:"head_sha"`
	Output                   struct {
		Title, Summary string
		Annotations    []annotation
	}
}

type annotation struct {
	Path            string
	StartLine       int    `json:"start_line"`
	EndLine         int    `json:"end_line"`
	StartColumn     int    `json:"start_column"`
	AnnotationLevel string `json:"annotation_level"`
	Title, Message  string
}

func TestCheckRun(t *testing.T) {
	var told []checkRun
	record := func(w http.ResponseWriter, r *http.Request) {
		var c checkRun
		if err := json.NewDecoder(r.Body).Decode(&c); err != nil {
			t.Error(err)
		}
		told = append(told, c)
		answer(201, `{"id":7}`)(w, r)
	}
	c := serve(t, map[string]http.HandlerFunc{
		"POST /repos/acme/shop/check-runs": record, "PATCH /repos/acme/shop/check-runs/7": record,
	})
	r := &report.Report{Outcome: report.Fallback, Summary: "using the mirror"}
	for i := range 120 {
		r.Findings = append(r.Findings, report.Finding{Severity: report.Warning, Title: "down", Message: fmt.Sprint(i), Fix: "wait", Place: report.Place{File: "p.yaml", Line: i + 1, Column: 3}})
	}
	r.Findings = append(r.Findings, // none of these has a place the API takes
		report.Finding{Severity: report.Notice, Message: "no place"},
		report.Finding{Severity: report.Notice, Message: "outside", Place: report.Place{File: "/etc/p.yaml", Line: 1}},
		report.Finding{Severity: report.Notice, Message: "no line", Place: report.Place{File: "p.yaml"}})
	if err := c.CheckRun(t.Context(), "acme/shop", base, r, strings.Repeat("€", maxSummary)); err != nil {
		t.Fatal(err)
	}
	var sizes []int
	for i, c := range told {
		sizes = append(sizes, len(c.Output.Annotations))
		if c.Name != "goproxy-setup" || c.Output.Title != "using the mirror" || len(c.Output.Summary) > maxSummary || !strings.HasSuffix(c.Output.Summary, "€") {
			t.Errorf("request %d: name %q, title %q, summary of %d bytes", i, c.Name, c.Output.Title, len(c.Output.Summary))
		}
		for k, a := range c.Output.Annotations {
			n := i*50 + k
			want := annotation{"p.yaml", n + 1, n + 1, 3, "warning", "down", fmt.Sprintf("%d\nwait", n)}
			if a != want {
				t.Errorf("annotation %d = %+v; want %+v", n, a, want)
			}
		}
	}
	if !slices.Equal(sizes, []int{50, 50, 20}) {
		t.Fatalf("annotations in each request: %v; want 50, 50, 20", sizes)
	}
	if first := told[0]; first.HeadSHA != base || first.Status != "completed" || first.Conclusion != "neutral" {
		t.Errorf("created as %+v; want completed and neutral", first)
	}
}

func TestCheckRunConclusion(t *testing.T) {
	for outcome, want := range map[report.Outcome]string{
		report.OK: "success", report.Kept: "success", report.Fallback: "neutral", report.Exhausted: "failure", report.Invalid: "failure",
	} {
		if got := conclusion(outcome); got != want {
			t.Errorf("conclusion(%s) = %q; want %q", outcome, got, want)
		}
	}
}

func TestCheckRunRefused(t *testing.T) {
	c := serve(t, map[string]http.HandlerFunc{"POST /repos/acme/shop/check-runs": answer(403, `{"message":"Resource not accessible by integration"}`)})
	err := c.CheckRun(t.Context(), "acme/shop", base, &report.Report{Outcome: report.OK, Summary: "fine"}, "fine")
	wantError(t, err, "publishing the check run: 403", true)
}
