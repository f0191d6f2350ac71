package upstream_test

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/agent/upstream"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// known returns a resolver that knows these names.
func known(names map[string][]string) func(context.Context, string) ([]netip.Addr, error) {
	return func(_ context.Context, host string) ([]netip.Addr, error) {
		var list []netip.Addr
		for _, a := range names[host] {
			list = append(list, netip.MustParseAddr(a))
		}
		if list == nil {
			return nil, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
		}
		return list, nil
	}
}

// named returns a server's URL with a name in it.
func named(url, name string) string { return strings.Replace(url, "127.0.0.1", name, 1) }

// A name that resolves to where nobody may be asked is refused there, and its
// other addresses are asked.
func TestForbiddenAddresses(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	base := parse(t, named(p.URL, "proxy.example.com"))
	for _, addr := range []string{
		"169.254.169.254", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe", "fe80::1", "fd00:ec2::254",
		"100.100.100.200", "168.63.129.16", "0.0.0.0", "224.0.0.1",
	} {
		u := open(t, upstream.Config{URL: base, Resolve: known(map[string][]string{"proxy.example.com": {addr}})})
		if _, f := fetch(t.Context(), u, quoteMod); f == nil || f.Class != decision.NotAllowed || !strings.Contains(f.Detail, "is never asked") {
			t.Errorf("%s: %+v", addr, f)
		}
		u = open(t, upstream.Config{URL: base, Resolve: known(map[string][]string{"proxy.example.com": {addr, "127.0.0.1"}})})
		if _, f := fetch(t.Context(), u, quoteMod); f != nil {
			t.Errorf("%s, then a good one: %+v", addr, f)
		}
	}
}

func TestUnknownName(t *testing.T) {
	u := open(t, upstream.Config{URL: parse(t, "https://proxy.example.com"), Resolve: known(nil)})
	if _, f := fetch(t.Context(), u, quoteMod); f == nil || f.Class != decision.DNSFailure || f.Detail != "no such host proxy.example.com" {
		t.Errorf("got %+v", f)
	}
}

// Redirects lead nowhere that the policy does not allow, nor to forbidden
// addresses behind allowed names.
func TestRedirects(t *testing.T) {
	other := proxytest.New(t, proxytest.Options{})
	_, port, _ := net.SplitHostPort(strings.TrimPrefix(other.URL, "http://"))
	to := "" // where the proxy redirects to
	p := serveHTTP(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, to, http.StatusFound) })
	names := known(map[string][]string{"cdn.example.com": {"127.0.0.1"}, "inner.example.com": {"169.254.169.254", "fd00:ec2::254"}})
	allows := func(host string) bool { return host == "127.0.0.1" || strings.HasSuffix(host, ".example.com") }
	for _, tt := range []struct {
		to     string
		class  decision.Class
		detail string
	}{
		{"http://cdn.example.com:" + port + "/" + quoteMod, "", ""},
		{"http://cdn.example.net:" + port + "/" + quoteMod, decision.NotAllowed, "the policy's allow-list does not name cdn.example.net"},
		{"http://inner.example.com:" + port + "/" + quoteMod, decision.NotAllowed, "is never asked: the host is "},
		{"http://169.254.169.254/latest/meta-data", decision.NotAllowed, "169.254.169.254 is never asked"},
		{"http://2852039166/latest/meta-data", decision.NotAllowed, "is never asked"},
		{"http://unknown.example.com/", decision.DNSFailure, "no such host unknown.example.com"},
		{"gopher://cdn.example.com/", decision.BadRedirect, "unsupported protocol scheme"},
		{"http://bad host/", decision.BadRedirect, "Location header"},
	} {
		to = tt.to
		u := open(t, upstream.Config{URL: parse(t, p), Resolve: names, Allows: allows})
		_, f := fetch(t.Context(), u, quoteMod)
		switch {
		case tt.class == "" && f != nil:
			t.Errorf("%s: %+v", tt.to, f)
		case tt.class != "" && (f == nil || f.Class != tt.class || !strings.Contains(f.Detail, tt.detail)):
			t.Errorf("%s: %+v; want %s %q", tt.to, f, tt.class, tt.detail)
		}
	}
}
