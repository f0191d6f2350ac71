package proxytest

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	quoteZip = "/rsc.io/quote/@v/v1.5.2.zip"
	quoteH1  = "h1:w5fcysjrx7yqtD/aO+QwRjYZOKnaM9Uh2b40tElTs3Y="
	lookup   = "/sumdb/sum.golang.org/lookup/rsc.io/quote@v1.5.2"
)

// get is one request by a client that reads at most 8 MiB.
func get(t *testing.T, url string) (*http.Response, []byte, error) {
	t.Helper()
	return getWithin(t, time.Minute, url)
}

func getWithin(t *testing.T, limit time.Duration, url string) (*http.Response, []byte, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 8<<20))
	return resp, body, err
}

func TestFaults(t *testing.T) {
	p := New(t, Options{})
	timeout := context.DeadlineExceeded
	for _, tt := range []struct {
		fault, path string
		status      int
		body        string // its beginning
		err         error  // of the request or of reading the body
	}{
		{"", quoteZip, 200, "PK", nil},
		{"/ok", quoteZip, 200, "PK", nil},
		{"/404", quoteZip, 404, "proxytest: 404 Not Found", nil},
		{"/204", quoteZip, 204, "", nil},
		{"/429", quoteZip, 429, "", nil},
		{"/auth", quoteZip, 401, "", nil},
		{"/html", quoteZip, 200, "<!DOCTYPE html>", nil},
		{"/empty", quoteZip, 200, "", nil},
		{"/hostile", quoteZip, 502, "::error", nil},
		{"/redirect", quoteZip, 200, "PK", nil},
		{"/redirect=307", quoteZip, 200, "PK", nil},
		{"/redirect-host", quoteZip, 200, "PK", nil},
		{"/redirect-dead", quoteZip, 0, "", syscall.ECONNREFUSED},
		{"/redirect-silent", quoteZip, 0, "", timeout},
		{"/portal-redirect", quoteZip, 200, "<!DOCTYPE html>", nil},
		{"/slow=1ms", quoteZip, 200, "PK", nil},
		{"/slow=1h", quoteZip, 0, "", timeout},
		{"/silent", quoteZip, 0, "", timeout},
		{"/cut", quoteZip, 200, "PK", io.ErrUnexpectedEOF},
		{"/cut-silent", quoteZip, 200, "PK", nil},
		{"/short", quoteZip, 200, "PK", nil},
		{"/flaky=0", quoteZip, 200, "PK", nil},
		{"/flaky=100", quoteZip, 503, "", nil},
		{"/zip:403@1", quoteZip, 200, "PK", nil},
		{"/zip:404@0", quoteZip, 404, "", nil},
		{"/close", quoteZip, 0, "", io.EOF},
		{"/reset", quoteZip, 0, "", syscall.ECONNRESET},
		{"/wrong-info", "/rsc.io/quote/@v/v1.5.2.info", 200, `{"Version":"v9.9.9"`, nil},
		{"/wrong-info", "/example.com/hello/@latest", 200, `{"Version":"v9.9.9"`, nil},

		{"/zip:403+list:500", quoteZip, 403, "", nil},
		{"/zip:403+list:500", "/golang.org/x/time/@v/list", 500, "", nil},
		{"/zip:403+list:500", "/rsc.io/quote/@v/v1.5.2.mod", 200, "module \"rsc.io/quote\"", nil},
		{"/slow=1ms/zip:403", quoteZip, 403, "", nil},
		{"/zip:403/slow=1ms", quoteZip, 403, "", nil},
		{"/big-zip:403", quoteZip, 200, "PK", nil},
		{"/big-zip:redirect-dead", "/golang.org/x/text/@v/v0.0.0-20170915032832-14c0d48ead0c.zip", 0, "", syscall.ECONNREFUSED},
		{"/big-zip:403", "/golang.org/x/text/@v/v0.0.0-20170915032832-14c0d48ead0c.mod", 200, "module golang.org/x/text", nil},
		{"/upper:404", "/github.com/!burnt!sushi/toml/@v/v0.3.1.mod", 404, "", nil},
		{"/upper:404", "/rsc.io/quote/@v/v1.5.2.mod", 200, "", nil},
		{"/absent:500", "/absent.example.com/x/@v/v0.0.1.info", 500, "", nil},
		{"/absent:500", "/rsc.io/quote/@v/v1.5.2.info", 200, "", nil},
		{"/public:403", quoteZip, 403, "", nil},
		{"/public:403", "/example.com/hello/@v/list", 200, "v1.0.0\nv1.1.0\n", nil},
		{"", "/example.com/greet/@v/list", 200, "v1.0.0\nv1.1.0\nv1.2.0-pre.1\n", nil},
		{"", "/example.com/greet/@latest", 200, `{"Version":"v1.1.0"`, nil},
		{"", "/example.com/pseudo/@v/list", 200, "", nil},
		{"", "/example.com/pseudo/@latest", 200, `{"Version":"v0.0.0-2024`, nil},
		{"", "/example.com/absent/@v/list", 404, "", nil},
		{"/example:404", "/example.com/hello/@v/list", 404, "", nil},
		{"/latest:410", "/example.com/hello/@latest", 410, "", nil},
		{"/toolchain:403", "/golang.org/toolchain/@v/v0.0.1-go1.99.0.linux-amd64.zip", 403, "", nil},
		{"", "/golang.org/toolchain/@v/v0.0.1-go1.99.0.linux-amd64.zip", 200, "PK", nil},
		{"/big-zip:403", "/golang.org/toolchain/@v/v0.0.1-go1.99.0.linux-amd64.zip", 403, "", nil},
		{"/supported:502", lookup, 200, "942\n", nil},
		{"/supported:502", "/sumdb/sum.golang.org/supported", 502, "", nil},
		{"/sumdb:404", lookup, 404, "", nil},
		{"/lookup:html", lookup, 200, "<!DOCTYPE", nil},
		{"/tile:500", "/sumdb/" + SumDBName + "/tile/8/0/000.p/1", 500, "", nil},
		{"/as=a", "/example.com/case/a_502/b_zip_html/@v/v1.0.0.info", 502, "", nil},
		{"/as=b", "/example.com/case/a_502/b_zip_html/@v/v1.0.0.info", 200, `{"Version":"v1.0.0"`, nil},
		{"/as=b", "/example.com/case/a_502/b_zip_html/@v/v1.0.0.zip", 200, "<!DOCTYPE", nil},
	} {
		t.Run(tt.fault+tt.path, func(t *testing.T) {
			t.Parallel()
			limit := time.Minute
			if tt.err == timeout {
				limit = 50 * time.Millisecond
			}
			resp, body, err := getWithin(t, limit, p.URL+tt.fault+tt.path)
			if !errors.Is(err, tt.err) {
				t.Fatalf("error = %v; want %v", err, tt.err)
			}
			if resp == nil {
				if tt.status != 0 {
					t.Errorf("no answer; want status %d", tt.status)
				}
				return
			}
			if resp.StatusCode != tt.status || !strings.HasPrefix(string(body), tt.body) {
				t.Errorf("got %d %q; want %d %q…", resp.StatusCode, body, tt.status, tt.body)
			}
		})
	}
}

func TestContentFaults(t *testing.T) {
	p := New(t, Options{})
	body := func(url string) []byte {
		t.Helper()
		resp, data, err := get(t, url)
		if err != nil || resp.StatusCode != 200 {
			t.Fatalf("%s: %v, %v", url, resp, err)
		}
		return data
	}
	healthy := body(p.URL + quoteZip)
	if h1, err := hashZip(healthy); h1 != quoteH1 {
		t.Errorf("recorded zip: %s, %v; want %s", h1, err, quoteH1)
	}
	if h1, err := hashZip(body(p.URL + "/wrong-bytes" + quoteZip)); err != nil || h1 == quoteH1 {
		t.Errorf("wrong-bytes: %s, %v; want another hash of a valid zip", h1, err)
	}
	if h1, err := hashZip(body(p.URL + "/corrupt-zip" + quoteZip)); err == nil {
		t.Errorf("corrupt-zip: hash %s; want an error", h1)
	}
	if got := body(p.URL + "/cut-silent" + quoteZip); len(got) != len(healthy)/2 {
		t.Errorf("cut-silent: %d bytes; want half of %d", len(got), len(healthy))
	}
	if got := body(p.URL + "/short" + quoteZip); len(got) != len(healthy)/2 {
		t.Errorf("short: %d bytes; want half of %d", len(got), len(healthy))
	}
	if got := string(body(p.URL + "/forged" + lookup)); strings.Count(got, "\n— sum.golang.org ") != 1 || got == string(body(p.URL+lookup)) {
		t.Errorf("forged: %s", got)
	}
	if got := string(body(p.URL + "/wrong-bytes" + lookup)); strings.Contains(got, quoteH1) {
		t.Errorf("wrong-bytes: the lookup still has the right h1:\n%s", got)
	}
}

func TestEndlessEndsWithTheClient(t *testing.T) {
	p := New(t, Options{})
	resp, body, err := get(t, p.URL+"/endless"+quoteZip)
	if err != nil || resp.ContentLength != endlessLength || len(body) != 8<<20 {
		t.Errorf("got %d of %d bytes, %v", len(body), resp.ContentLength, err)
	}
}

func TestStallSendsHalf(t *testing.T) {
	p := New(t, Options{})
	resp, err := http.Get(p.URL + "/stall" + quoteZip)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if _, err := io.ReadFull(resp.Body, make([]byte, resp.ContentLength/2)); err != nil {
		t.Error(err)
	}
	// That no more comes is not shown, only that the end does when the server leaves.
	go p.Close()
	if _, err := resp.Body.Read(make([]byte, 1)); err == nil {
		t.Error("more than half of the body")
	}
}

func TestRedirectLoop(t *testing.T) {
	p := New(t, Options{})
	if _, _, err := get(t, p.URL+"/redirect-loop"+quoteZip); err == nil || !strings.Contains(err.Error(), "stopped after 10 redirects") {
		t.Errorf("got %v", err)
	}
}

func TestFirstAndSetFault(t *testing.T) {
	p := New(t, Options{})
	for i, want := range []int{503, 200, 200} {
		if resp, _, err := get(t, p.URL+"/first:503"+quoteZip); err != nil || resp.StatusCode != want {
			t.Errorf("request %d: %v, %v; want status %d", i, resp, err, want)
		}
	}
	p.SetFault("zip:502")
	if resp, _, err := get(t, p.URL+quoteZip); err != nil || resp.StatusCode != 502 {
		t.Errorf("SetFault: %v, %v; want status 502", resp, err)
	}
	p.SetFault("")
	if resp, _, err := get(t, p.URL+quoteZip); err != nil || resp.StatusCode != 200 {
		t.Errorf("healed: %v, %v; want status 200", resp, err)
	}
}

func TestRequestsAreRecorded(t *testing.T) {
	p := New(t, Options{})
	get(t, p.URL+"/slow=0s/404/github.com/%21burnt%21sushi/toml/@v/list")
	got := p.Requests()
	if len(got) != 1 {
		t.Fatalf("got %d requests", len(got))
	}
	r := got[0]
	if r.Method != "GET" || r.Prefix != "/slow=0s/404" || r.Path != "/github.com/!burnt!sushi/toml/@v/list" ||
		r.RawURL != "/slow=0s/404/github.com/%21burnt%21sushi/toml/@v/list" || r.Header.Get("User-Agent") == "" {
		t.Errorf("got %+v", r)
	}
}

func TestMisspeltFaultIsAnError(t *testing.T) {
	for _, fault := range []string{"/forbiden", "/zip:teapot", "/zipp:403", "/slow=fast", "/999", "/nozip:", "/redirect=200", "/403=1", "/html=x", "/as", "/as=a/example.com/case/a_teapot"} {
		p, err := Start(Options{})
		if err != nil {
			t.Fatal(err)
		}
		if resp, _, err := get(t, p.URL+fault+quoteZip); err != nil || resp.StatusCode != 500 {
			t.Errorf("%s: got %v, %v; want status 500", fault, resp, err)
		}
		if err := p.Close(); err == nil {
			t.Errorf("%s: Close returned no error", fault)
		}
	}
}

func TestAddresses(t *testing.T) {
	p := New(t, Options{})
	if _, _, err := get(t, "http://"+p.Refuse+quoteZip); !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Refuse: got %v", err)
	}
	if p.BlackHole != "" {
		_, err := net.DialTimeout("tcp", p.BlackHole, 50*time.Millisecond)
		if e, ok := errors.AsType[net.Error](err); !ok || !e.Timeout() {
			t.Errorf("BlackHole: got %v", err)
		}
	}
	for _, scheme := range []string{"http://", "https://"} {
		if _, _, err := getWithin(t, 50*time.Millisecond, scheme+p.Silent+quoteZip); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("Silent: got %v", err)
		}
	}
}

func TestCloseEndsHangingAnswers(t *testing.T) {
	for _, mode := range []TLS{"", PrivateCA} {
		p, err := Start(Options{TLS: mode})
		if err != nil {
			t.Fatal(err)
		}
		c := client(t, p)
		var clients sync.WaitGroup
		faults := []string{"/silent", "/stall", "/slow=1h", "/endless"}
		for _, fault := range faults {
			clients.Go(func() {
				resp, err := c.Get(p.URL + fault + quoteZip)
				if err != nil {
					return
				}
				if fault != "/endless" { // its client does not even read
					io.Copy(io.Discard, resp.Body)
				}
			})
		}
		for len(p.Requests()) < len(faults) {
			runtime.Gosched()
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
		clients.Wait()
		// Not by the client, which may yet find out that its connections are gone.
		if conn, err := net.Dial("tcp", p.addr()); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("after Close: %v, %v; want connection refused", conn, err)
		}
	}
}

func TestCloseLeavesNoGoroutines(t *testing.T) {
	if _, err := authority(); err != nil { // whatever lives as long as the process
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	p, err := Start(Options{TLS: PrivateCA})
	if err != nil {
		t.Fatal(err)
	}
	f, err := StartForward("", map[string]*Server{"p.example.com": p})
	if err != nil {
		t.Fatal(err)
	}
	proxy, _ := url.Parse(f.URL)
	for base, c := range map[string]*http.Client{p.URL: client(t, p), "https://p.example.com": throughProxy(t, p, proxy)} {
		for _, fault := range []string{"", "/cut", "/reset", "/close", "/redirect-host"} {
			resp, err := c.Get(base + fault + quoteZip)
			if err == nil {
				resp.Body.Close()
			}
		}
	}
	f.Close()
	p.Close()
	for runtime.NumGoroutine() > before { // a leak shows as a test that does not end
		runtime.Gosched()
	}
}

func TestGoSumPanicsOnUnknownModule(t *testing.T) {
	p := New(t, Options{})
	defer func() {
		if err, ok := recover().(error); !ok || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v", err)
		}
	}()
	p.GoSum("example.com/absent@v1.0.0")
}
