package agent

import (
	"bufio"
	"crypto/x509"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// privateRequests is how many random requests the leak test makes; the tests
// with the tag e2e make more.
var privateRequests = 1_000

// Whatever the proxy for private modules does wrong, and whoever asks, no proxy
// beside it learns a private name: not of a module, not of its versions, not in
// a lookup.
func TestPrivateNamesStayPrivate(t *testing.T) {
	t.Parallel()
	public := proxytest.New(t, proxytest.Options{})
	corp := proxytest.New(t, proxytest.Options{})
	l := start(t, `
private: [git.corp.example.com, "*.corp.example.org"]
proxies:
  corp: {url: "`+corp.URL+`", private: true}
  pub: {url: "`+public.URL+`", full: true}
  pub2: {url: "`+public.URL+`/ok=2"}
environments: {default: {chain: [corp, pub, pub2, direct]}}
AGENT
`)
	faults := []string{"", "404", "410", "403", "401", "500", "502", "html", "empty", "hostile", "close", "reset", "cut", "cut-silent", "corrupt-zip",
		"wrong-bytes", "wrong-info", "redirect", "redirect-loop", "redirect-dead", "portal-redirect", "204",
		"429=30"} // the last one: it asks for a pause
	hosts := []string{"git.corp.example.com/team", "git.corp.example.com/!team", "a.corp.example.org/x", "git.corp.example.com"}
	files := []string{"@v/list", "@latest", "@v/v1.0.0.info", "@v/v1.0.0.mod", "@v/v1.0.0.zip", "@v/main.info", "@v/v1.2.info"}
	rnd := rand.New(rand.NewPCG(3, 3))
	for _, fault := range faults {
		corp.SetFault(fault)
		var wg sync.WaitGroup
		paths := make(chan string)
		for range 8 {
			wg.Go(func() {
				for path := range paths {
					rec := httptest.NewRecorder()
					l.Handler(func(*http.Request) bool { return false }).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/"+path, nil))
					if rec.Code != 403 {
						t.Errorf("%s: a stranger is told %d %s", path, rec.Code, rec.Body)
					}
					if status, body := l.get(path); status == 404 && strings.HasPrefix(path, "sumdb/") {
						t.Errorf("%s: 404, after which the go command asks the database itself: %s", path, body)
					}
				}
			})
		}
		for n := range privateRequests / len(faults) {
			module := fmt.Sprintf("%s/m%d", hosts[rnd.IntN(len(hosts))], rnd.IntN(1000))
			path := module + "/" + files[rnd.IntN(len(files))]
			if n%10 == 0 {
				path = "sumdb/" + proxytest.SumDBName + "/lookup/" + module + "@v1.0.0"
			}
			paths <- path
		}
		close(paths)
		wg.Wait()
	}
	for _, r := range public.Requests() {
		if strings.Contains(r.RawURL, "corp") {
			t.Fatalf("a public proxy was asked for %s", r.RawURL)
		}
	}
	if len(corp.Requests()) < privateRequests/10 {
		t.Errorf("the private proxy had %d requests only", len(corp.Requests()))
	}
}

// Without a proxy for private modules the go command fetches them directly, or
// not at all.
func TestPrivateWithoutProxy(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	for chain, want := range map[string]int{"[a, direct]": 404, "[a]": 403} {
		l := start(t, "private: [git.corp.example.com]\nproxies: {a: {url: \""+p.URL+"\"}}\nenvironments: {default: {chain: "+chain+"}}\nAGENT\n")
		if status, body := l.get("git.corp.example.com/team/private/@v/v1.0.0.mod"); status != want {
			t.Errorf("%s: %d %s; want %d", chain, status, body, want)
		}
	}
	if n := len(p.Requests()); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// Strangers get public modules alone, or nothing at all where clients have to
// say who they are.
func TestStrangers(t *testing.T) {
	t.Parallel()
	p := proxytest.New(t, proxytest.Options{})
	l := start(t, `
private: [git.corp.example.com]
proxies:
  corp: {url: "`+p.URL+`/ok=corp", private: true}
  pub: {url: "`+p.URL+`"}
environments: {default: {chain: [corp, pub]}}
AGENT
`)
	const private = "/git.corp.example.com/team/private/@v/v1.0.0.mod"
	locked := Access{Username: "ci", Password: "s3cret"}
	both := Access{Username: "ci", Password: "s3cret", ClientCA: x509.NewCertPool()}
	for _, tt := range []struct {
		name           string
		access         Access
		loopback, tls  bool
		user, password string
		path           string
		want           int
	}{
		{"loopback", Access{}, true, false, "", "", private, 200},
		{"loopback beside others", locked, true, false, "", "", private, 200},
		{"stranger, public", Access{}, false, false, "", "", "/" + quoteMod, 200},
		{"stranger, private", Access{}, false, false, "", "", private, 403},
		{"stranger, lookup", Access{}, false, false, "", "", "/sumdb/" + proxytest.SumDBName + "/supported", 200},
		{"no login", locked, false, true, "", "", "/" + quoteMod, 401},
		{"wrong login", locked, false, true, "ci", "wrong", private, 401},
		{"login", locked, false, true, "ci", "s3cret", private, 200},
		{"login without TLS", locked, false, false, "ci", "s3cret", private, 401},
		{"health for all", locked, false, false, "", "", "/healthz", 200},
		{"meters not", locked, false, false, "", "", "/metrics", 401},
		{"a certificate and a login, login alone", both, false, true, "ci", "s3cret", "/" + quoteMod, 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewUnstartedServer(NewServer(l.Agent, tt.access, nil).handler(tt.loopback))
			if tt.tls {
				srv.StartTLS()
			} else {
				srv.Start()
			}
			defer srv.Close()
			req, err := http.NewRequest(http.MethodGet, srv.URL+tt.path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if tt.user != "" {
				req.SetBasicAuth(tt.user, tt.password)
			}
			resp, err := srv.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != tt.want {
				t.Errorf("status %d; want %d", resp.StatusCode, tt.want)
			}
		})
	}
	p.SetFault("500")
	for path, want := range map[string]string{
		"/": "module proxy", "/readyz": "ready", "/metrics": `upstream_up{proxy="2"}`, "/rsc.io/quote/@v/v1.0.0.zip": "no module proxy could serve",
		"/sumdb/" + proxytest.SumDBName + "/lookup/rsc.io/quote@v1.0.0": "cannot be asked",
	} {
		rec := httptest.NewRecorder()
		l.Handler(func(*http.Request) bool { return false }).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		if text := rec.Body.String(); !strings.Contains(text, want) || strings.Contains(text, "corp") || strings.Contains(text, "pub") {
			t.Errorf("%s tells strangers %s", path, text)
		}
		rec = httptest.NewRecorder()
		l.Handler(nil).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, path, nil))
		if text := rec.Body.String(); !strings.Contains(text, "corp") && !strings.Contains(text, "pub") {
			t.Errorf("%s does not tell the others: %s", path, text)
		}
	}
}

// What no go command sends is refused before anything is done with it.
func TestHostileRequests(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	l := start(t, two(p.URL, p.URL+"/ok=b"))
	for _, path := range []string{
		"../etc/passwd", "rsc.io/quote/@v/../../x.zip", "rsc.io/quote/@v/v1.5.2.zip/", "rsc.io//quote/@v/list", "%2e%2e/x/@v/list", "rsc.io/quote/@v/v1.5.2.exe",
		"rsc.io/Quote/@v/list", "rsc.io/quote%00/@v/list", "rsc.io/quote/@v/..%2f..%2fx.mod", "http://evil.example.com/@v/list", strings.Repeat("a/", 2000) + "@v/list",
	} {
		u, err := url.Parse("http://agent/" + path)
		if err != nil {
			continue
		}
		r := httptest.NewRequest(http.MethodGet, "http://agent/x", nil)
		r.URL = u
		rec := httptest.NewRecorder()
		l.Handler(nil).ServeHTTP(rec, r)
		if rec.Code != 400 {
			t.Errorf("%.60s: %d", path, rec.Code)
		}
	}
	for path, want := range map[string]int{"sumdb/evil.example.com/supported": 404, "sumdb/" + proxytest.SumDBName + "/../x": 404, "sumdb/": 404} {
		if status, _ := l.get(path); status != want {
			t.Errorf("%s: %d; want %d", path, status, want)
		}
	}
	rec := httptest.NewRecorder()
	l.Handler(nil).ServeHTTP(rec, httptest.NewRequest(http.MethodPost, "/"+quoteMod, strings.NewReader("x")))
	if rec.Code != 405 {
		t.Errorf("POST: %d", rec.Code)
	}
	if n := len(p.Requests()); n != 0 {
		t.Errorf("%d requests were passed on", n)
	}
}

// HEAD and ranges, as clients other than go use them.
func TestHeadAndRange(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	l := start(t, two(p.URL, p.URL+"/ok=b"))
	ask := func(method, header string) *httptest.ResponseRecorder {
		r := httptest.NewRequest(method, "/"+quoteZip, nil)
		if header != "" {
			r.Header.Set("Range", header)
		}
		rec := httptest.NewRecorder()
		l.Handler(nil).ServeHTTP(rec, r)
		return rec
	}
	_, whole := l.get(quoteZip)
	if r := ask(http.MethodHead, ""); l.last().Bytes != 0 || r.Code != 200 || r.Body.Len() != 0 || r.Header().Get("Content-Length") != fmt.Sprint(len(whole)) {
		t.Errorf("HEAD: %d, %d bytes, %v", r.Code, r.Body.Len(), r.Header())
	}
	if r := ask(http.MethodGet, "bytes=100-199"); l.last().Bytes != 100 || r.Code != 206 || r.Body.String() != whole[100:200] {
		t.Errorf("range: %d, %d bytes", r.Code, r.Body.Len())
	}
}

// Floods end with an error, and the agent goes on.
func TestFloods(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	l := start(t, two(p.URL, p.URL+"/ok=b"))
	srv := NewServer(l.Agent, Access{}, nil)
	base, err := srv.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer srv.Shutdown(t.Context())
	addr := strings.TrimPrefix(base, "http://")
	send := func(write func(w io.Writer) error) string {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		go write(conn)
		line, _ := bufio.NewReader(conn).ReadString('\n')
		return strings.TrimSpace(line)
	}
	headers := send(func(w io.Writer) error {
		b := bufio.NewWriter(w)
		fmt.Fprint(b, "GET /healthz HTTP/1.1\r\nHost: agent\r\n")
		for i := range 10_000 {
			fmt.Fprintf(b, "X-Header-%d: value\r\n", i)
		}
		fmt.Fprint(b, "\r\n")
		return b.Flush()
	})
	if !strings.Contains(headers, "431") {
		t.Errorf("10 000 headers: %q", headers)
	}
	body := send(func(w io.Writer) error {
		fmt.Fprintf(w, "GET /%s HTTP/1.1\r\nHost: agent\r\nContent-Length: %d\r\n\r\n", quoteMod, int64(10)<<30)
		junk := make([]byte, 1<<20)
		for {
			if _, err := w.Write(junk); err != nil {
				return err
			}
		}
	})
	if !strings.Contains(body, "200") {
		t.Errorf("a body of 10 GB: %q", body)
	}
	if status, _ := l.get("healthz"); status != 200 {
		t.Errorf("afterwards: %d", status)
	}
}

// After Close nothing runs any more.
func TestNothingIsLeft(t *testing.T) {
	before := runtime.NumGoroutine()
	p, err := proxytest.Start(proxytest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a, err := New(s, configOf(t, two(p.URL+"/zip:cut", p.URL)), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	srv := NewServer(a, Access{}, nil)
	base, err := srv.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{}
	for _, path := range []string{quoteZip, quoteMod, "rsc.io/nothing/@v/list"} {
		if resp, err := (&http.Client{Transport: tr}).Get(base + "/" + path); err == nil {
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
		}
	}
	tr.CloseIdleConnections()
	srv.Shutdown(t.Context())
	a.Close()
	s.Close()
	p.Close()
	for range 500 {
		if runtime.NumGoroutine() <= before {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	buf := make([]byte, 1<<20)
	t.Errorf("%d goroutines, %d before\n%s", runtime.NumGoroutine(), before, buf[:runtime.Stack(buf, true)])
}
