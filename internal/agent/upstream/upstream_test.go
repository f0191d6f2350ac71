package upstream_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/agent/upstream"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/proxytest"
)

const (
	quoteMod = "rsc.io/quote/@v/v1.5.2.mod"
	quoteZip = "rsc.io/quote/@v/v1.5.2.zip"
)

// short limits, for proxies that never answer.
var short = upstream.Limits{Connect: time.Second, FirstByte: 1500 * time.Millisecond}

func parse(t testing.TB, base string) *url.URL {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// limitsFor returns short limits for a fault that is told by them, and others
// that no busy machine meets.
func limitsFor(c decision.Class) upstream.Limits {
	switch c {
	case decision.Silent, decision.Timeout:
		return short
	case decision.Stalled:
		return upstream.Limits{Window: 500 * time.Millisecond}
	}
	return upstream.DefaultLimits
}

// open returns an upstream that is closed when the test ends.
func open(t testing.TB, c upstream.Config) *upstream.Upstream {
	t.Helper()
	c.Name = "proxy"
	u := upstream.New(c)
	t.Cleanup(u.Close)
	return u
}

// fetch returns the file's content, or what failed. It reports the result as
// package pool does.
func fetch(ctx context.Context, u *upstream.Upstream, path string) ([]byte, *upstream.Failure) {
	a, done, f := u.Get(ctx, path, false)
	if f != nil {
		return nil, f
	}
	data, err := io.ReadAll(io.LimitReader(a.Body, 8<<20))
	a.Body.Close()
	if err != nil {
		if f, _ = upstream.IsFailure(err); f == nil {
			panic(err)
		}
	}
	done(f)
	return data, f
}

func pool(p *proxytest.Server) *x509.CertPool {
	c := x509.NewCertPool()
	c.AppendCertsFromPEM(p.CA)
	return c
}

// Each fault has its class, over HTTP/1 and HTTP/2.
func TestFaults(t *testing.T) {
	const ok = decision.Class("")
	for _, tt := range []struct {
		fault  string
		path   string // quoteZip, if ""
		class  decision.Class
		status int
		detail string // contained; HTTP/2 has other words for what is cut
	}{
		{fault: "ok", class: ok},
		{fault: "slow=10ms", class: ok},
		{fault: "redirect", class: ok},
		{fault: "redirect-host=307", class: ok},
		{fault: "404", class: decision.Missing, status: 404, detail: `404 Not Found ("proxytest: 404 Not Found")`},
		{fault: "410", class: decision.Missing, status: 410},
		{fault: "401", class: decision.Unauthorized, status: 401},
		{fault: "407", class: decision.Unauthorized, status: 407},
		{fault: "auth", class: decision.Unauthorized, status: 401},
		{fault: "403", class: decision.Forbidden, status: 403},
		{fault: "429", class: decision.RateLimited, status: 429},
		{fault: "451", class: decision.BadStatus, status: 451},
		{fault: "204", class: decision.BadStatus, status: 204},
		{fault: "304", class: decision.BadStatus, status: 304},
		{fault: "500", class: decision.ServerError, status: 500},
		{fault: "502", class: decision.ServerError, status: 502},
		{fault: "503=30", class: decision.ServerError, status: 503},
		{fault: "511", class: decision.Portal, status: 511},
		{fault: "hostile", class: decision.ServerError, status: 502, detail: "::error"},
		{fault: "redirect-loop", class: decision.BadRedirect, detail: "stopped after 10 redirects"},
		{fault: "redirect-dead", class: decision.Refused, detail: "connection refused"},
		{fault: "redirect-silent", class: decision.Silent, detail: "and then did not"},
		{fault: "silent", class: decision.Silent, detail: "did not answer within"},
		{fault: "stall", class: decision.Stalled, detail: "less than 16000 bytes per second over 500ms"},
		{fault: "cut", class: decision.Reset, detail: "cut in the middle"},
		{fault: "close", class: decision.Reset, detail: "closed without an answer"},
		{fault: "reset", class: decision.Reset, detail: "connection reset"},
		{fault: "zip:403", class: decision.Forbidden, status: 403},
		{fault: "zip:403", path: quoteMod, class: ok},
		{fault: "absent:500", path: "example.com/none/@v/v1.0.0.mod", class: decision.ServerError, status: 500},

		// Whoever accepts files has to see these.
		{fault: "html", class: ok}, {fault: "portal-redirect", class: ok}, {fault: "empty", class: ok},
		{fault: "endless", class: ok}, {fault: "cut-silent", class: ok}, {fault: "wrong-bytes", class: ok},
		{fault: "corrupt-zip", class: ok}, {fault: "wrong-info", class: ok}, {fault: "forged", class: ok},
	} {
		for _, mode := range []proxytest.TLS{"", proxytest.PrivateCA} {
			t.Run(fmt.Sprintf("%s %s tls=%s", tt.fault, tt.path, mode), func(t *testing.T) {
				t.Parallel()
				p := proxytest.New(t, proxytest.Options{TLS: mode})
				u := open(t, upstream.Config{URL: parse(t, p.URL+"/"+tt.fault), Limits: limitsFor(tt.class), RootCAs: pool(p)})
				path := tt.path
				if path == "" {
					path = quoteZip
				}
				data, f := fetch(t.Context(), u, path)
				if tt.class == ok {
					if f != nil || len(data) == 0 && tt.fault != "empty" {
						t.Fatalf("got %d bytes, %+v", len(data), f)
					}
					return
				}
				detail := tt.detail
				if mode != "" && tt.class == decision.Reset {
					detail = "INTERNAL_ERROR"
				}
				if f == nil || f.Class != tt.class || f.Status != tt.status || !strings.Contains(f.Detail, detail) {
					t.Fatalf("got %d bytes, %+v; want %s %d %q", len(data), f, tt.class, tt.status, detail)
				}
				if strings.ContainsAny(f.Error(), "\r\n\x1b") || f.Upstream != "proxy" || f.Took <= 0 {
					t.Errorf("failure %+v", f)
				}
			})
		}
	}
}

// What cannot even be connected to has its class, too.
func TestConnectFaults(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	secure := proxytest.New(t, proxytest.Options{TLS: proxytest.PrivateCA})
	expired := proxytest.New(t, proxytest.Options{TLS: proxytest.Expired})
	wrong := proxytest.New(t, proxytest.Options{TLS: proxytest.WrongHost})
	for _, tt := range []struct {
		name, base string
		roots      *x509.CertPool
		class      decision.Class
		detail     string
	}{
		{"refused", "http://" + p.Refuse, nil, decision.Refused, "connection refused"},
		{"black hole", "http://" + p.BlackHole, nil, decision.Timeout, "no connection to " + p.BlackHole + " within "},
		{"silent", "http://" + p.Silent, nil, decision.Silent, "it accepted the request, and then did not answer within"},
		{"silent instead of TLS", "https://" + p.Silent, nil, decision.Silent, "did not speak TLS within"},
		{"unknown authority", secure.URL, x509.NewCertPool(), decision.UnknownCA, `issued by "proxytest CA (Example Corp)"`},
		{"expired", expired.URL, pool(expired), decision.BadTLS, "certificate has expired"},
		{"another host's", wrong.URL, pool(wrong), decision.BadTLS, "cannot validate certificate"},
		{"TLS on a plain port", strings.Replace(p.URL, "http://", "https://", 1), nil, decision.BadTLS, "server gave HTTP response to HTTPS client"},
		{"plain http on a TLS port", strings.Replace(secure.URL, "https://", "http://", 1), nil, decision.BadStatus, "400 Bad Request"},
		{"link-local", "http://169.254.169.254", nil, decision.NotAllowed, "169.254.169.254 is never asked"},
		{"metadata", "http://metadata.google.internal", nil, decision.NotAllowed, "is never asked"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if strings.HasSuffix(tt.base, "//") {
				t.Skip("this system has no black hole")
			}
			u := open(t, upstream.Config{URL: parse(t, tt.base), Limits: limitsFor(tt.class), RootCAs: tt.roots})
			_, f := fetch(t.Context(), u, quoteMod)
			if f == nil || f.Class != tt.class || !strings.Contains(f.Detail, tt.detail) {
				t.Errorf("got %+v; want %s %q", f, tt.class, tt.detail)
			}
		})
	}
}

// The proxy's own credentials go to no other host, and into no text.
func TestCredentials(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{TLS: proxytest.PrivateCA})
	login := url.UserPassword(proxytest.User, proxytest.Password)
	u := open(t, upstream.Config{URL: parse(t, p.URL+"/auth/redirect-host"), User: login, RootCAs: pool(p)})
	if _, f := fetch(t.Context(), u, quoteMod); f != nil {
		t.Fatal(f)
	}
	requests := p.Requests()
	if len(requests) != 2 || "https://"+requests[1].Host != p.Other {
		t.Fatalf("asked %+v", requests)
	}
	for i, r := range requests {
		if sent := r.Header.Get("Authorization") != ""; sent != (i == 0) {
			t.Errorf("request %d to %s: credentials sent: %v", i, r.Host, sent)
		}
	}

	mirror := serveTLS(t, mirrorCredentials)
	u = open(t, upstream.Config{URL: parse(t, mirror.URL), User: url.UserPassword("ci", "t0ps3cret"), RootCAs: certs(mirror)})
	_, f := fetch(t.Context(), u, quoteMod)
	if f == nil || f.Status != 403 {
		t.Fatal(f)
	}
	shown := fmt.Sprintf("%+v %v %+v", f, f, u.Status())
	for _, secret := range []string{"t0ps3cret", "Y2k6dDBwczNjcmV0"} {
		if strings.Contains(shown, secret) {
			t.Errorf("%q shows %q", shown, secret)
		}
	}
}

// Behind an HTTP proxy there is one way, and its faults are its own.
func TestHTTPProxy(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{TLS: proxytest.PrivateCA})
	forward := proxytest.NewForward(t, map[string]*proxytest.Server{"proxy.example.com": p})
	via := func(to string) func(*url.URL) (*url.URL, error) {
		return func(*url.URL) (*url.URL, error) { return url.Parse(to) }
	}
	u := open(t, upstream.Config{URL: parse(t, "https://proxy.example.com"), RootCAs: pool(p), Proxy: via(forward.URL)})
	if _, f := fetch(t.Context(), u, quoteMod); f != nil {
		t.Error(f)
	}
	if a := u.Status().Addresses; len(a) != 0 {
		t.Errorf("looked up %v", a)
	}
	for _, tt := range []struct{ name, base, proxy, detail string }{
		{"refuses to tunnel", "https://other.example.com", forward.URL, "answered 403 Forbidden to CONNECT"},
		{"refuses connections", "https://proxy.example.com", "http://" + p.Refuse, "connection refused"},
		{"silent", "https://proxy.example.com", "http://" + p.Silent, "did not answer to CONNECT within"},
		{"no URL", "https://proxy.example.com", "http://%", "invalid URL escape"},
	} {
		u := open(t, upstream.Config{URL: parse(t, tt.base), Limits: short, RootCAs: pool(p), Proxy: via(tt.proxy)})
		if _, f := fetch(t.Context(), u, quoteMod); f == nil || f.Class != decision.NoProxyPath || !strings.Contains(f.Detail, tt.detail) {
			t.Errorf("%s: %+v; want %q", tt.name, f, tt.detail)
		}
	}
}

// A proxy that is a folder is asked in the same way.
func TestFileProxy(t *testing.T) {
	u := open(t, upstream.Config{URL: parse(t, "file://"+t.TempDir())})
	if _, f := fetch(t.Context(), u, quoteMod); f == nil || f.Class != decision.Missing || f.Status != 404 {
		t.Errorf("got %+v; want a 404", f)
	}
}
