package site

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/fault"
)

// A name that resolves to a metadata address is refused before the connection.
func TestDialerChecksResolvedAddresses(t *testing.T) {
	s := New(&url.URL{Host: "proxy.example.com"}, Config{})
	for _, addr := range []string{"169.254.169.254:80", "[fe80::1%lo]:80", "[fd00:ec2::254]:80", "100.100.100.200:80", "168.63.129.16:80"} {
		conn, err := s.dialer(nil)(t.Context(), "tcp", addr)
		if conn != nil {
			conn.Close()
		}
		if _, ok := errors.AsType[*fault.NotAllowedError](err); !ok {
			t.Errorf("dialling %s: %v; want a refusal", addr, err)
		}
	}
}

// A site forgets connections that are closed, cuts the others when it is closed
// itself, and opens none any more.
func TestConnections(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/close" {
			w.Header().Set("Connection", "close")
		}
	}))
	defer srv.Close()
	base, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	s := New(base, Config{Allows: func(string) bool { return true }, Proxy: func(*url.URL) (*url.URL, error) { return nil, nil }, Idle: 1})
	get := func(path string) error {
		a, err := s.Client.Get(t.Context(), path)
		if err != nil {
			return err
		}
		_, err = a.ReadAll(1)
		return err
	}
	known := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return len(s.conns)
	}
	for _, path := range []string{"close", "close", "close", "keep", "keep"} {
		if err := get(path); err != nil {
			t.Fatal(err)
		}
	}
	for n := 0; known() > 1 && n < 1000; n++ { // the transport closes them on a goroutine of its own
		time.Sleep(time.Millisecond)
	}
	if n := known(); n != 1 {
		t.Errorf("%d connections are known; want the one that is kept", n)
	}
	s.Close()
	if err := get("keep"); !errors.Is(err, errGone) {
		t.Errorf("after Close: %v; want %v", err, errGone)
	}
}
