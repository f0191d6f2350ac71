package agent

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/goproxy-setup/internal/proxytest"
)

// certificate returns one for 127.0.0.1, for servers and clients, that is its
// own authority.
func certificate(t *testing.T, name string) *tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}
}

func poolOf(c *tls.Certificate) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(c.Leaf)
	return pool
}

// Beyond loopback a listener speaks TLS, and clients show all that is
// configured: a certificate, a login, or both. A renewal changes certificate
// and login of listeners that are open.
func TestTLSListener(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	l := start(t, "private: [git.corp.example.com]\nproxies: {corp: {url: \""+p.URL+"\", private: true}}\nenvironments: {default: {chain: [corp]}}\nAGENT\n")
	own, next, client, stranger := certificate(t, "agent"), certificate(t, "renewed"), certificate(t, "client"), certificate(t, "stranger")
	get := func(base string, server, own *tls.Certificate, login string) (status int, err error) {
		cfg := &tls.Config{RootCAs: poolOf(server)}
		if own != nil { // whatever authorities the server names
			cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return own, nil }
		}
		tr := &http.Transport{TLSClientConfig: cfg, DisableKeepAlives: true}
		req, err := http.NewRequest(http.MethodGet, base+"/git.corp.example.com/team/private/@v/v1.0.0.mod", nil)
		if err != nil {
			return 0, err
		}
		if user, password, ok := strings.Cut(login, ":"); ok {
			req.SetBasicAuth(user, password)
		}
		resp, err := tr.RoundTrip(req)
		if err != nil {
			return 0, err
		}
		defer resp.Body.Close()
		return resp.StatusCode, nil
	}
	for _, tt := range []struct {
		name   string
		access Access
		client *tls.Certificate
		login  string
		want   int // 0 is no connection
	}{
		{"no credentials are asked for", Access{}, nil, "", 403},
		{"a login", Access{Username: "ci", Password: "a"}, nil, "ci:a", 200},
		{"no login", Access{Username: "ci", Password: "a"}, nil, "", 401},
		{"a certificate", Access{ClientCA: poolOf(client)}, client, "", 200},
		{"no certificate", Access{ClientCA: poolOf(client)}, nil, "", 401},
		{"a stranger's certificate", Access{ClientCA: poolOf(client)}, stranger, "", 0},
		{"both", Access{ClientCA: poolOf(client), Username: "ci", Password: "a"}, client, "ci:a", 200},
		{"both, certificate alone", Access{ClientCA: poolOf(client), Username: "ci", Password: "a"}, client, "", 401},
		{"both, login alone", Access{ClientCA: poolOf(client), Username: "ci", Password: "a"}, nil, "ci:a", 401},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.access.Certificate = own
			srv := NewServer(l.Agent, tt.access, nil)
			defer srv.Shutdown(t.Context())
			base, err := srv.Listen("0.0.0.0:0")
			if err != nil {
				t.Fatal(err)
			}
			if status, err := get(base, own, tt.client, tt.login); status != tt.want || (err != nil) != (tt.want == 0) {
				t.Errorf("%d, %v; want %d", status, err, tt.want)
			}
		})
	}
	t.Run("renewed", func(t *testing.T) {
		srv := NewServer(l.Agent, Access{Certificate: own, Username: "ci", Password: "a"}, nil)
		defer srv.Shutdown(t.Context())
		base, err := srv.Listen("0.0.0.0:0")
		if err != nil {
			t.Fatal(err)
		}
		srv.Renew(Access{Certificate: next, Username: "ci", Password: "b"})
		if _, err := get(base, own, nil, "ci:b"); err == nil {
			t.Error("the old certificate is still shown")
		}
		for login, want := range map[string]int{"ci:a": 401, "ci:b": 200} {
			if status, err := get(base, next, nil, login); status != want {
				t.Errorf("%s: %d, %v; want %d", login, status, err, want)
			}
		}
		srv.Renew(Access{})
		if status, _ := get(base, next, nil, ""); status != 401 {
			t.Errorf("without TLS nothing changes before a restart: %d", status)
		}
	})
}

// A web page that makes a name of its own lead to this machine is a stranger.
func TestForeignHost(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	l := start(t, "private: [git.corp.example.com]\nproxies: {corp: {url: \""+p.URL+"\", private: true}}\nenvironments: {default: {chain: [corp]}}\nAGENT\n")
	h := NewServer(l.Agent, Access{}, nil).handler(true)
	for host, want := range map[string]int{
		"127.0.0.1:8765": 200, "[::1]:8765": 200, "localhost:8765": 200, "agent": 200, "x.localhost": 200, "host.docker.internal:8765": 200, "192.0.2.1": 200, "": 200, "evil.example.com:8765": 403, "evil.example.com.": 403,
	} {
		r := httptest.NewRequest(http.MethodGet, "/git.corp.example.com/team/private/@v/v1.0.0.mod", nil)
		r.Host = host
		rec := httptest.NewRecorder()
		if h.ServeHTTP(rec, r); rec.Code != want {
			t.Errorf("%q: %d; want %d", host, rec.Code, want)
		}
	}
}

// A body that never comes holds nothing for long.
func TestSlowBody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := NewServer(&Agent{}, Access{Password: "x"}, nil).handler(false)
		client, server := net.Pipe()
		srv := &http.Server{Handler: h, IdleTimeout: idleTimeout}
		go srv.Serve(&oneConn{server})
		started := time.Now()
		go fmt.Fprint(client, "GET /x HTTP/1.1\r\nHost: agent\r\nContent-Length: 1000\r\n\r\n")
		line, _ := bufio.NewReader(client).ReadString('\n')
		io.Copy(io.Discard, client)
		if took := time.Since(started); !strings.Contains(line, "401") || took > headerTimeout+time.Second {
			t.Errorf("%q after %v", line, took)
		}
		srv.Close()
	})
}

// oneConn is a listener with one connection.
type oneConn struct{ net.Conn }

func (l *oneConn) Accept() (net.Conn, error) {
	if c := l.Conn; c != nil {
		l.Conn = nil
		return c, nil
	}
	return nil, http.ErrServerClosed
}
func (l *oneConn) Addr() net.Addr { return &net.TCPAddr{} }
func (l *oneConn) Close() error   { return nil }

// A bug is told to the client, and to the log with its place.
func TestBug(t *testing.T) {
	var log bytes.Buffer
	a := &Agent{log: slog.New(slog.NewTextHandler(&log, nil))} // without a plan
	rec := httptest.NewRecorder()
	a.Handler(nil).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/"+quoteMod, nil))
	if rec.Code != 500 || !strings.Contains(log.String(), "serve.go") || a.meters.kinds["mod"][ResultFailed] != 1 {
		t.Errorf("%d %s, %v, log %s", rec.Code, rec.Body, a.meters.kinds, &log)
	}
}

// What net/http says of this machine is logged, and what it says of strangers
// is not.
func TestServerLog(t *testing.T) {
	var log bytes.Buffer
	w := serverLog{slog.New(slog.NewTextHandler(&log, nil))}
	for line, want := range map[string]bool{"http: Accept error: too many open files; retrying in 5ms\n": true, "http: TLS handshake error from 192.0.2.1: EOF\n": false} {
		log.Reset()
		if _, err := w.Write([]byte(line)); err != nil || (log.Len() > 0) != want {
			t.Errorf("%q: %v, log %q", line, err, &log)
		}
	}
}

func TestOnLoopback(t *testing.T) {
	for address, want := range map[string]bool{"127.0.0.1:1": true, "[::1]:1": true, "localhost:1": true, "0.0.0.0:1": false, ":1": false, "192.0.2.1:1": false} {
		if got := OnLoopback(address); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

// A kernelWriter sees what net/http would hand to the kernel.
type kernelWriter struct {
	*httptest.ResponseRecorder
	from io.Reader
}

func (w *kernelWriter) ReadFrom(r io.Reader) (int64, error) {
	w.from = r
	return io.Copy(w.ResponseRecorder, r)
}

// The kernel copies a stored file to its client, which it can as long as nothing
// is wrapped around the file or the connection.
func TestKernelCopies(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	l := start(t, two(p.URL, p.URL+"/ok=b"))
	h := NewServer(l.Agent, Access{}, nil).handler(true)
	for _, from := range []Result{ResultFetched, ResultHit} {
		w := &kernelWriter{ResponseRecorder: httptest.NewRecorder()}
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/"+quoteZip, nil))
		part, ok := w.from.(*io.LimitedReader)
		if !ok {
			t.Fatalf("%s: copied from a %T", from, w.from)
		}
		if _, ok := part.R.(*os.File); !ok || l.last().Result != from || l.last().Bytes != int64(w.Body.Len()) {
			t.Errorf("%s: copied from a %T; %+v, %d bytes", from, part.R, l.last(), w.Body.Len())
		}
		l.pool.Wait()
	}
}
