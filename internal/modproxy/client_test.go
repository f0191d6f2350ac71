package modproxy_test

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/proxytest"
)

const quoteMod = "rsc.io/quote/@v/v1.5.2.mod"

func client(t *testing.T, base string) *modproxy.Client {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: x509.NewCertPool()}}
	t.Cleanup(tr.CloseIdleConnections)
	return &modproxy.Client{Base: u, HTTP: tr}
}

func read(t *testing.T, c *modproxy.Client, path string, limit int64) (string, *modproxy.Error) {
	t.Helper()
	var data []byte
	a, err := c.Get(t.Context(), path)
	if err == nil {
		data, err = a.ReadAll(limit)
	}
	if err == nil {
		return string(data), nil
	}
	e, ok := errors.AsType[*modproxy.Error](err)
	if !ok {
		t.Fatalf("error is a %T: %v", err, err)
	}
	return "", e
}

func TestGet(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	for _, tt := range []struct {
		name, base, path string
		limit            int64
		status           int
		notExist         bool
		want             string // in the error, "" if there is none
	}{
		{name: "a file", base: p.URL, path: quoteMod},
		{name: "upper case", base: p.URL, path: "github.com/!burnt!sushi/toml/@v/v0.3.1.mod"},
		{name: "slash at the base's end", base: p.URL + "/ok//", path: quoteMod},
		{name: "redirect", base: p.URL + "/redirect", path: quoteMod},
		{name: "redirect to another host", base: p.URL + "/redirect-host=307", path: quoteMod},
		{name: "404 lets a comma move on", base: p.URL + "/404", path: quoteMod, status: 404, notExist: true, want: "/404/rsc.io/quote/@v/v1.5.2.mod: 404 Not Found"},
		{name: "410 as well", base: p.URL + "/410", path: quoteMod, status: 410, notExist: true, want: "410 Gone"},
		{name: "403 does not", base: p.URL + "/403", path: quoteMod, status: 403, want: "403 Forbidden"},
		{name: "204 is no success", base: p.URL + "/204", path: quoteMod, status: 204, want: "204 No Content"},
		{name: "304 is no success", base: p.URL + "/304", path: quoteMod, status: 304, want: "304 Not Modified"},
		{name: "redirect loop", base: p.URL + "/redirect-loop", path: quoteMod, want: "stopped after 10 redirects"},
		{name: "too large", base: p.URL, path: "rsc.io/quote/@v/v1.5.2.zip", limit: 2986, status: 200, want: "answer is too large: more than 2986 bytes"},
		{name: "just not too large", base: p.URL, path: "rsc.io/quote/@v/v1.5.2.zip", limit: 2987},
		{name: "ten gigabytes", base: p.URL + "/endless", path: quoteMod, limit: 1 << 20, status: 200, want: "answer is too large"},
		{name: "cut", base: p.URL + "/cut", path: quoteMod, status: 200, want: "unexpected EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.limit == 0 {
				tt.limit = 1 << 20
			}
			data, err := read(t, client(t, tt.base), tt.path, tt.limit)
			if tt.want == "" {
				if err != nil || data == "" {
					t.Fatalf("got %q, %v", data, err)
				}
				return
			}
			if err == nil || err.Status != tt.status || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "reading "+p.URL[:5]) {
				t.Fatalf("got %+v; want %q with status %d", err, tt.want, tt.status)
			}
			if got := errors.Is(err, fs.ErrNotExist); got != tt.notExist {
				t.Errorf("is fs.ErrNotExist: %v; want %v", got, tt.notExist)
			}
		})
	}
}

// The request looks like the go command's.
func TestRequest(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	c := client(t, p.URL+"/ok?tok=1")
	if _, err := read(t, c, "github.com/!burnt!sushi/toml/@v/v0.3.1.mod", 1<<20); err != nil {
		t.Fatal(err)
	}
	r := p.Requests()[0]
	if want := "/ok/github.com/%21burnt%21sushi/toml/@v/v0.3.1.mod?tok=1"; r.RawURL != want || r.Method != "GET" {
		t.Errorf("asked %s %s; want %s", r.Method, r.RawURL, want)
	}
	if e := r.Header.Get("Accept-Encoding"); e != "identity" {
		t.Errorf("Accept-Encoding is %q", e)
	}
}

func TestFiles(t *testing.T) {
	dir := t.TempDir()
	mod := filepath.Join(dir, filepath.FromSlash(quoteMod))
	if err := os.MkdirAll(filepath.Dir(mod), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mod, []byte("module rsc.io/quote\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	base := (&url.URL{Scheme: "file", Path: "/" + strings.TrimPrefix(filepath.ToSlash(dir), "/")}).String()
	c := client(t, base)
	if got, err := read(t, c, quoteMod, 100); err != nil || got != "module rsc.io/quote\n" {
		t.Errorf("got %q, %v", got, err)
	}
	if _, err := read(t, c, "rsc.io/quote/@v/v9.9.9.mod", 100); err == nil || err.Status != 404 || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: %v; want a 404", err)
	}
	if _, err := read(t, client(t, "file://host/dir"), quoteMod, 100); err == nil || err.Fix == "" {
		t.Errorf("a file URL with a host: %v; want an error with its fix", err)
	}
}

// Credentials go to the proxy itself and nowhere else, whatever it answers,
// and no error shows them even if the proxy repeats them.
func TestCredentials(t *testing.T) {
	var sent []string // "HOST Authorization", as they arrive; requests are serial
	record := func(r *http.Request) {
		sent = append(sent, r.Host+" "+r.Header.Get("Authorization")+r.Header.Get("Referer"))
	}
	other := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { record(r) }))
	defer other.Close()
	var own *httptest.Server
	own = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		record(r)
		switch {
		case strings.HasSuffix(r.URL.Path, "/other"):
			http.Redirect(w, r, other.URL, http.StatusFound)
		case strings.HasSuffix(r.URL.Path, "/own"):
			http.Redirect(w, r, own.URL+"/done", http.StatusFound)
		case strings.HasSuffix(r.URL.Path, "/plain"):
			http.Redirect(w, r, "http://"+r.Host, http.StatusFound)
		case strings.HasSuffix(r.URL.Path, "/mirror"):
			w.WriteHeader(http.StatusForbidden)
			w.Write([]byte("you sent " + r.Header.Get("Authorization") + " t0ps3cret/value"))
		case strings.HasSuffix(r.URL.Path, "/locate"):
			w.Header().Set("Location", "https://ci:t0ps3cret%2Fvalue@bad host/")
			w.WriteHeader(http.StatusFound)
		}
	}))
	defer own.Close()
	basic := "Basic " + base64.StdEncoding.EncodeToString([]byte("ci:t0ps3cret/value"))
	ownHost, otherHost := strings.TrimPrefix(own.URL, "https://"), strings.TrimPrefix(other.URL, "https://")

	for _, tt := range []struct {
		path string
		want []string
		err  string // contained
	}{
		{"own", []string{ownHost + " " + basic, ownHost + " " + basic}, ""},
		{"other", []string{ownHost + " " + basic, otherHost + " "}, ""},
		{"plain", []string{ownHost + " " + basic}, "redirected from https to plain http"},
		{"mirror", []string{ownHost + " " + basic}, "403 Forbidden"},
		{"locate", []string{ownHost + " " + basic}, "Location"},
	} {
		t.Run(tt.path, func(t *testing.T) {
			sent = nil
			c := client(t, own.URL+"/base?tok=1")
			c.HTTP = own.Client().Transport
			c.User = url.UserPassword("ci", "t0ps3cret/value")
			_, err := read(t, c, tt.path, 100)
			if strings.Join(sent, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("sent %q; want %q", sent, tt.want)
			}
			if tt.err == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), tt.err) {
				t.Fatalf("got %v; want %q", err, tt.err)
			}
			shown := err.Error() + err.URL + err.Text + err.Fix
			for _, secret := range []string{"t0ps3cret", basic[len("Basic "):], "tok=1"} {
				if strings.Contains(shown, secret) {
					t.Errorf("%q shows %q", shown, secret)
				}
			}
		})
	}
}

// Over plain http nothing is sent at all.
func TestNoCredentialsOverPlainHTTP(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	c := client(t, p.URL+"/auth")
	c.User = url.UserPassword(proxytest.User, proxytest.Password)
	_, err := read(t, c, quoteMod, 100)
	if err == nil || err.Status != 401 || !strings.Contains(err.Fix, strings.TrimPrefix(p.URL, "http://")) {
		t.Errorf("got %v; want a 401 with its fix", err)
	}
	if a := p.Requests()[0].Header.Get("Authorization"); a != "" {
		t.Errorf("sent %q", a)
	}
}

// A proxy that attacks the log gets one printable line.
func TestHostileText(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	_, err := read(t, client(t, p.URL+"/hostile"), quoteMod, 100)
	if err == nil || err.Status != 502 || err.Text == "" || strings.ContainsAny(err.Text, "\r\n\x1b\u202e") || len(err.Text) > 80 {
		t.Errorf("got %v with text %q", err, err.Text)
	}
}

// An error is found under others, and one of another kind becomes the cause.
func TestAsError(t *testing.T) {
	e := &modproxy.Error{Op: "reading", Status: 403}
	if got := modproxy.AsError(fmt.Errorf("zip: %w", e)); got != e {
		t.Errorf("got %+v; want %+v", got, e)
	}
	if got := modproxy.AsError(io.EOF); got.Status != 0 || got.Err != io.EOF {
		t.Errorf("got %+v; want the cause %v", got, io.EOF)
	}
}

// A server may ask for a pause of any length; what follows from it has a bound.
func TestRetryAfterIsBounded(t *testing.T) {
	header := ""
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Retry-After", header)
		w.WriteHeader(http.StatusTooManyRequests)
	}))
	defer srv.Close()
	base, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := &modproxy.Client{Base: base, HTTP: http.DefaultTransport}
	for h, want := range map[string]time.Duration{"30": 30 * time.Second, "-1": 0, "soon": 0, "Fri, 31 Dec 1999 23:59:59 GMT": 0,
		"999999999999": 7 * 24 * time.Hour, "Fri, 31 Dec 9999 23:59:59 GMT": 7 * 24 * time.Hour} {
		header = h
		_, err := c.Get(t.Context(), "x")
		if e := modproxy.AsError(err); e == nil || e.RetryAfter != want {
			t.Errorf("%s: %v; want %v", h, err, want)
		}
	}
}
