package proxytest

import (
	"net/url"
	"slices"
	"testing"
)

func TestForwardProxy(t *testing.T) {
	plain, secure := New(t, Options{}), New(t, Options{TLS: PrivateCA})
	f := NewForward(t, map[string]*Server{"plain.example.com": plain, "secure.example.com": secure})

	u, err := url.Parse(f.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := throughProxy(t, secure, u)
	for _, tt := range []struct {
		url    string
		status int // 0: no answer
	}{
		{"http://plain.example.com" + quoteZip, 200},
		{"https://secure.example.com/403" + quoteZip, 403},
		{"http://other.example.com" + quoteZip, 403},
		{"https://other.example.com" + quoteZip, 0},
	} {
		resp, err := c.Get(tt.url)
		status := 0
		if err == nil {
			resp.Body.Close()
			status = resp.StatusCode
		}
		if status != tt.status {
			t.Errorf("%s: status %d, %v; want %d", tt.url, status, err, tt.status)
		}
	}

	if got := len(secure.Requests()); got != 1 {
		t.Errorf("the secure server saw %d requests", got)
	}

	var got []string
	for _, r := range f.Requests() {
		got = append(got, r.Method+" "+r.Host)
	}
	want := []string{"GET plain.example.com", "CONNECT secure.example.com:443", "GET other.example.com", "CONNECT other.example.com:443"}
	if !slices.Equal(got, want) {
		t.Errorf("Requests = %q; want %q", got, want)
	}
	if r := plain.Requests(); len(r) != 1 || r[0].Host != "plain.example.com" {
		t.Errorf("the plain server saw %+v", r)
	}
	f.Close() // an open tunnel does not hold it up
}

// A client that means public hosts is served by the test's server, over TLS
// and with the recorded answer of the public checksum database.
func TestForwardProxyForAllHosts(t *testing.T) {
	p := New(t, Options{TLS: PrivateCA})
	f := NewForward(t, map[string]*Server{"*": p})
	u, err := url.Parse(f.URL)
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range []string{
		"https://anything.example.net" + quoteZip,
		"https://sum.golang.org/lookup/rsc.io/quote@v1.5.2",
		"https://" + SumDBName + "/lookup/example.com/hello@v1.0.0",
	} {
		resp, err := throughProxy(t, p, u).Get(target)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("%s: %s", target, resp.Status)
		}
	}
}
