package probe_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/probe"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// trust makes cfg trust the servers' own authority.
func trust(cfg *probe.Config, p *proxytest.Server) {
	cfg.RootCAs = func(policy.Entry) (*x509.CertPool, error) { return pool(p), nil }
}

func TestTLS(t *testing.T) {
	for _, tt := range []struct {
		name   string
		mode   proxytest.TLS
		scheme string // instead of https
		trust  bool
		class  decision.Class
		detail string
		next   string
	}{
		{name: "private authority, trusted", mode: proxytest.PrivateCA, trust: true},
		{name: "private authority", mode: proxytest.PrivateCA, class: decision.UnknownCA, detail: `was issued by "proxytest CA (Example Corp)", which is not trusted here`, next: "SSL_CERT_DIR"},
		{name: "self-signed", mode: proxytest.SelfSigned, trust: true, class: decision.UnknownCA, detail: `was issued by "proxytest"`, next: "SSL_CERT_DIR"},
		{name: "expired", mode: proxytest.Expired, trust: true, class: decision.BadTLS, detail: "certificate has expired", next: "clock"},
		{name: "another host's", mode: proxytest.WrongHost, trust: true, class: decision.BadTLS, detail: "cannot validate certificate", next: "mended"},
		{name: "plain http on a TLS port", mode: proxytest.PrivateCA, scheme: "http", class: decision.BadStatus, detail: "400 Bad Request", next: "tell whoever runs"},
		{name: "TLS on a plain port", scheme: "https", class: decision.BadTLS, detail: "server gave HTTP response to HTTPS client", next: "write http://"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := proxytest.New(t, proxytest.Options{TLS: tt.mode})
			u := p.URL
			if tt.scheme != "" {
				_, rest, _ := strings.Cut(u, "://")
				u = tt.scheme + "://" + rest
			}
			cfg := setup(t, p, u)
			cfg.RootCAs = func(policy.Entry) (*x509.CertPool, error) { return x509.NewCertPool(), nil }
			if tt.trust {
				trust(&cfg, p)
			}
			ev := one(t, cfg)
			if ev.Class != tt.class || !strings.Contains(ev.Detail, tt.detail) || !strings.Contains(ev.Next, tt.next) {
				t.Errorf("got %q: %q, next %q; want %q: %q, next %q", ev.Class, ev.Detail, ev.Next, tt.class, tt.detail, tt.next)
			}
			if c, made := ev.Check(decision.TLS); tt.class == "" && (!made || !strings.Contains(c.Detail, `TLS 1.3, h2, issued by "proxytest CA (Example Corp)"`)) {
				t.Errorf("TLS check %+v", c)
			}
			if len(paths(p)) > 0 && (tt.class == decision.UnknownCA || tt.class == decision.BadTLS) && tt.scheme == "" {
				t.Errorf("asked %q over a connection that is not to be trusted", paths(p))
			}
		})
	}
}

func TestBrokenCA(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	cfg := setup(t, p, p.URL)
	cfg.RootCAs = func(e policy.Entry) (*x509.CertPool, error) {
		return nil, errors.New("certs/ca.pem: no certificate in it")
	}
	if ev := one(t, cfg); ev.Class != decision.UnknownCA || !strings.Contains(ev.Detail, "certs/ca.pem") || !strings.Contains(ev.Next, "tls.ca") {
		t.Errorf("got %q: %q, next %q", ev.Class, ev.Detail, ev.Next)
	}
}

// HTTPS_PROXY leads to the proxies as it does for the go command; its faults
// are its own.
func TestHTTPSProxy(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{TLS: proxytest.PrivateCA})
	plain := proxytest.New(t, proxytest.Options{})
	f := proxytest.NewForward(t, map[string]*proxytest.Server{"proxy.corp.example.com": p, "plain.example.com": plain})
	deny := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(http.StatusProxyAuthRequired) }))
	t.Cleanup(deny.Close)

	for _, tt := range []struct {
		name   string
		url    string
		env    []string
		policy string // https_proxy
		class  decision.Class
		detail string
		next   string
	}{
		{name: "from the environment", url: "https://proxy.corp.example.com", env: []string{"HTTPS_PROXY=" + f.URL}},
		{name: "lower case", url: "https://proxy.corp.example.com", env: []string{"https_proxy=" + f.URL}},
		{name: "from the policy", url: "https://proxy.corp.example.com", policy: f.URL, env: []string{"HTTPS_PROXY=http://" + p.Refuse}},
		{name: "plain http", url: "http://plain.example.com", env: []string{"HTTP_PROXY=" + f.URL}},
		{name: "blocked there", url: "https://other.example.com", env: []string{"HTTPS_PROXY=" + f.URL}, class: decision.NoProxyPath, detail: "answered 403 Forbidden to CONNECT", next: "NO_PROXY"},
		{name: "wants a login", url: "https://proxy.corp.example.com", env: []string{"HTTPS_PROXY=" + deny.URL}, class: decision.NoProxyPath, detail: "answered 407 Proxy Authentication Required to CONNECT", next: "check HTTPS_PROXY"},
		{name: "not there", url: "https://proxy.corp.example.com", env: []string{"HTTPS_PROXY=http://user:s3cret@" + p.Refuse}, class: decision.NoProxyPath, detail: "the HTTP proxy " + p.Refuse + ": connection refused", next: "check HTTPS_PROXY (now " + p.Refuse + ")"},
		{name: "silent", url: "https://proxy.corp.example.com", env: []string{"HTTPS_PROXY=http://" + p.Silent}, class: decision.NoProxyPath, detail: "did not answer to CONNECT", next: "NO_PROXY"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := setup(t, p, tt.url)
			trust(&cfg, p)
			cfg.Getenv = environ(tt.env...)
			cfg.Settings.HTTPSProxy = tt.policy
			if tt.name == "silent" {
				cfg.Settings.Probe.Timeout = short
			}
			ev := one(t, cfg)
			if ev.Class != tt.class || !strings.Contains(ev.Detail, tt.detail) || !strings.Contains(ev.Next, tt.next) {
				t.Errorf("got %q: %q, next %q; want %q: %q, next %q", ev.Class, ev.Detail, ev.Next, tt.class, tt.detail, tt.next)
			}
			if strings.Contains(show(ev), "s3cret") {
				t.Error("the evidence shows the proxy's password")
			}
		})
	}
}

// NO_PROXY of the environment and of the policy both count, and loopback is
// never asked through a proxy.
func TestNoProxy(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	f := proxytest.NewForward(t, nil)
	dial := func(ctx context.Context, network, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, strings.TrimPrefix(p.URL, "http://"))
	}
	for _, u := range []string{"http://a.example.com", "http://b.example.net", p.URL} {
		cfg := setup(t, p, u)
		cfg.Getenv = environ("HTTP_PROXY="+f.URL, "NO_PROXY=.example.com")
		cfg.Settings.NoProxy = "example.net"
		cfg.Dial = dial
		if ev := one(t, cfg); ev.Class != "" {
			t.Errorf("%s has class %q: %s", u, ev.Class, ev.Detail)
		}
	}
	if got := f.Requests(); len(got) != 0 {
		t.Errorf("%d requests through the proxy", len(got))
	}
}

// One accident of a proxy is forgiven, and only one.
func TestOneRetry(t *testing.T) {
	for _, tt := range []struct {
		name     string
		failures int64
		status   int
		class    decision.Class
		asked    int64 // 0 is not counted
	}{
		{"one 502", 1, 502, "", 0},
		{"two 502", 2, 502, decision.ServerError, 2},
		{"429 is an order", 1, 429, decision.RateLimited, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := proxytest.New(t, proxytest.Options{})
			var n atomic.Int64
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if n.Add(1) <= tt.failures {
					w.WriteHeader(tt.status)
					return
				}
				p.ServeHTTP(w, r)
			}))
			defer srv.Close()
			ev := one(t, setup(t, p, srv.URL))
			if ev.Class != tt.class || tt.asked != 0 && n.Load() != tt.asked {
				t.Errorf("class %q after %d requests; want %q", ev.Class, n.Load(), tt.class)
			}
			if _, made := ev.Check(decision.TCP); !made {
				t.Error("no TCP check")
			}
		})
	}
}

// The routes to the checksum database are asked beside the chain, and verified.
func TestDatabases(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	db := func(fault string) policy.Database {
		return policy.Database{Name: "sum.golang.org", GOSUMDB: "sum.golang.org " + fault, URL: p.URL + "/" + fault + "/sumdb/sum.golang.org"}
	}
	cfg := setup(t, p, p.URL+"/sumdb:404")
	cfg.Databases = []policy.Database{db("403"), db("forged"), db("html"), db("ok"), db("silent")}
	res := probe.Run(t.Context(), cfg)
	const host = "127.0.0.1"
	want := []decision.Class{decision.Forbidden, decision.WrongContent, decision.Portal, "", decision.Cancelled}
	for i, d := range res.Databases {
		if d.Class != want[i] || d.Host != host || d.GOSUMDB != cfg.Databases[i].GOSUMDB || (d.Class != "") != (d.Detail != "") {
			t.Errorf("database %d is %+v; want class %q", i, d, want[i])
		}
	}

	cfg.Settings.Mode = policy.Enforced // its hosts are not on an allow-list
	before := len(p.Requests())
	res = probe.Run(t.Context(), cfg)
	for _, d := range res.Databases {
		if d.Class != decision.NotAllowed {
			t.Errorf("enforced: %+v; want class %q", d, decision.NotAllowed)
		}
	}
	for _, r := range p.Requests()[before:] {
		if r.Prefix != "/sumdb:404" {
			t.Errorf("enforced: asked %s%s", r.Prefix, r.Path)
		}
	}
}

// Progress tells of each request and of each verdict, from one goroutine.
func TestProgress(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	cfg := setup(t, p, p.URL+"/502", p.URL)
	began, ended := map[string]int{}, map[string]int{}
	var verdicts []string
	cfg.Progress = func(ev probe.Event) {
		key := ev.Entry + " " + string(ev.Kind)
		switch {
		case ev.Kind == "":
			verdicts = append(verdicts, fmt.Sprint(ev.Entry, " ", ev.Class))
		case ev.Done:
			ended[key]++
		default:
			began[key]++
		}
	}
	probe.Run(t.Context(), cfg)
	slices.Sort(verdicts)
	if want := []string{p.URL + " ", p.URL + "/502 server-error"}; !slices.Equal(verdicts, want) {
		t.Errorf("verdicts %q; want %q", verdicts, want)
	}
	if n := began[p.URL+"/502 zip"]; n != 2 {
		t.Errorf("%d zip requests of the 502 proxy were told; want 2", n)
	}
	for key, n := range ended {
		if began[key] != n {
			t.Errorf("%s began %d times and ended %d times", key, began[key], n)
		}
	}
}

// An interrupted probe returns at once with what it has.
func TestInterrupted(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	cfg := setup(t, p, p.URL+"/silent")
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan struct{})
	cfg.Progress = func(probe.Event) {
		select {
		case <-asked:
		default:
			close(asked)
			cancel()
		}
	}
	start := time.Now()
	res := probe.Run(ctx, cfg)
	if ev := res.Evidence[0]; ev.Class != decision.Cancelled || time.Since(start) > cfg.Settings.Probe.Timeout/2 {
		t.Errorf("got %q after %v", ev.Class, time.Since(start))
	}
}

// Zips that are kept at another host fail there, and the advice is about that
// host.
func TestStorageHost(t *testing.T) {
	store := proxytest.New(t, proxytest.Options{})
	secure := proxytest.New(t, proxytest.Options{TLS: proxytest.PrivateCA})
	for _, tt := range []struct {
		name   string
		store  string
		all    bool // .mod files are redirected, too
		class  decision.Class
		detail string
		next   string
	}{
		{name: "healthy", store: store.URL},
		{name: "403", store: store.URL + "/403", class: decision.ZipBlocked, detail: "which fails: 403 Forbidden", next: "allow 127.0.0.1:"},
		{name: "500", store: store.URL + "/500", class: decision.ZipBlocked, detail: "which fails: 500", next: "tell whoever runs"},
		{name: "unknown authority", store: secure.URL, class: decision.ZipBlocked, detail: `issued by "proxytest CA (Example Corp)"`, next: "SSL_CERT_DIR"},
		{name: "not there", store: "http://" + store.Refuse, class: decision.ZipBlocked, detail: "connection refused", next: "allow " + store.Refuse},
		{name: "login page", store: store.URL + "/html", class: decision.Portal, detail: "redirected to 127.0.0.1:", next: "in a browser"},
		{name: "other bytes", store: store.URL + "/wrong-bytes", class: decision.WrongContent, detail: "redirected to", next: "do not use it"},
		{name: "everything is there", store: store.URL + "/403", all: true, class: decision.Forbidden, detail: "redirected to", next: "whether this runner"},
		{name: "no URL", store: "http://127.0.0.1:port", class: decision.BadRedirect, detail: "Location header", next: "write the final URL"},
		{name: "another scheme", store: "ftp://127.0.0.1", class: decision.BadRedirect, detail: "unsupported protocol scheme", next: "write the final URL"},
		{name: "a host that forges a line", store: "http://%E2%80%AEx%0A.invalid", class: decision.BadRedirect, detail: "Location header", next: "write the final URL"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := proxytest.New(t, proxytest.Options{})
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if tt.all || strings.HasSuffix(r.URL.Path, ".zip") {
					w.Header().Set("Location", tt.store+r.URL.EscapedPath())
					w.WriteHeader(http.StatusFound)
					return
				}
				p.ServeHTTP(w, r)
			}))
			defer srv.Close()
			cfg := setup(t, p, srv.URL)
			cfg.RootCAs = func(policy.Entry) (*x509.CertPool, error) { return x509.NewCertPool(), nil }
			ev := one(t, cfg)
			if ev.Class != tt.class || !strings.Contains(ev.Detail, tt.detail) || !strings.Contains(ev.Next, tt.next) {
				t.Errorf("got %q: %q, next %q; want %q: %q, next %q", ev.Class, ev.Detail, ev.Next, tt.class, tt.detail, tt.next)
			}
		})
	}
}
