package probe_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/netrc"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/probe"
	"github.com/org/goproxy-setup/internal/proxytest"
)

func environ(kv ...string) func(string) string {
	return func(name string) string {
		for _, s := range kv {
			if k, v, _ := strings.Cut(s, "="); k == name {
				return v
			}
		}
		return ""
	}
}

// Credentials come from the policy or the netrc file, and only over https.
func TestCredentials(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{TLS: proxytest.PrivateCA})
	plain := proxytest.New(t, proxytest.Options{})
	host := strings.TrimPrefix(p.URL, "https://")
	hostname, _, _ := strings.Cut(host, ":")
	good := netrc.Machine{Name: host, Login: proxytest.User, Password: proxytest.Password}
	for _, tt := range []struct {
		name  string
		url   string
		netrc netrc.Machine
		creds []string // from the policy
		env   []string
		class decision.Class
		next  string
	}{
		{name: "netrc", url: p.URL, netrc: good},
		{name: "netrc among others", url: p.URL, netrc: good, env: []string{"GOAUTH=git /src; netrc"}},
		{name: "policy", url: p.URL, creds: []string{proxytest.User, proxytest.Password}},
		{name: "policy before netrc", url: p.URL, netrc: good, creds: []string{"ci", "0ldpass"}, class: decision.Unauthorized, next: "was refused: it may have expired"},
		{name: "none", url: p.URL, class: decision.Unauthorized, next: "machine " + host + " (port included, both needed)"},
		{name: "netrc without the port", url: p.URL, netrc: netrc.Machine{Name: hostname, Login: "ci", Password: "secret"}, class: decision.Unauthorized, next: "machine " + host},
		{name: "GOAUTH=off", url: p.URL, netrc: good, env: []string{"GOAUTH=off"}, class: decision.Unauthorized, next: "NETRC"},
		{name: "GOAUTH names a command", url: p.URL, env: []string{"GOAUTH=corp-login"}, class: decision.Unauthorized, next: "GOAUTH names a command, which the probe does not run"},
		{name: "plain http", url: plain.URL, creds: []string{proxytest.User, proxytest.Password}, class: decision.Unauthorized, next: "use https"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cfg := setup(t, p, tt.url+"/auth")
			trust(&cfg, p)
			cfg.Netrc = []netrc.Machine{tt.netrc}
			cfg.Getenv = environ(tt.env...)
			cfg.Credentials = func(policy.Entry) (string, string, bool) {
				if tt.creds == nil {
					return "", "", false
				}
				return tt.creds[0], tt.creds[1], true
			}
			ev := one(t, cfg)
			if ev.Class != tt.class || !strings.Contains(ev.Next, tt.next) {
				t.Errorf("got %q: %q, next %q; want %q, next %q", ev.Class, ev.Detail, ev.Next, tt.class, tt.next)
			}
			if s := show(ev); strings.Contains(s, proxytest.Password) || strings.Contains(s, "0ldpass") {
				t.Error("the evidence shows a password")
			}
		})
	}
	for _, r := range plain.Requests() {
		if r.Header.Get("Authorization") != "" {
			t.Error("credentials were sent over plain http")
		}
	}
}

// A password that happens to be a word of the files changes no verdict.
func TestPasswordWithinTheFiles(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{TLS: proxytest.PrivateCA})
	cfg := setup(t, p, p.URL)
	trust(&cfg, p)
	cfg.Credentials = func(policy.Entry) (string, string, bool) { return "ci", "sampler", true }
	if ev := one(t, cfg); ev.Class != "" {
		t.Errorf("got %q: %s", ev.Class, ev.Detail)
	}
}

// A redirect takes the credentials nowhere, whatever the file.
func TestCredentialsOnRedirect(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{TLS: proxytest.PrivateCA})
	host := strings.TrimPrefix(p.URL, "https://")
	other := strings.TrimPrefix(p.Other, "https://")
	cfg := setup(t, p, p.URL+"/redirect-host")
	trust(&cfg, p)
	cfg.Netrc = []netrc.Machine{{Name: host, Login: "ci", Password: "secret"}, {Name: other, Login: "other", Password: "secret"}}
	if ev := one(t, cfg); ev.Class != "" {
		t.Errorf("got %q: %s", ev.Class, ev.Detail)
	}
	seen := 0
	for _, r := range p.Requests() {
		has := r.Header.Get("Authorization") != ""
		if r.Host == other {
			seen++
		}
		if has != (r.Host == host) {
			t.Errorf("%s %s%s: credentials sent: %v", r.Host, r.Prefix, r.Path, has)
		}
	}
	if seen == 0 {
		t.Error("nothing was redirected")
	}
}

// What the policy does not allow is not asked, neither first nor by redirect.
func TestAllow(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	other := proxytest.New(t, proxytest.Options{})
	handler := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, strings.Replace(other.URL, "127.0.0.1", "localhost", 1)+r.URL.Path, http.StatusFound)
	}))
	t.Cleanup(handler.Close)
	for _, tt := range []struct {
		name, url string
		allow     []string
		class     decision.Class
		detail    string
	}{
		{"named", p.URL, []string{"127.0.0.1"}, "", ""},
		{"not named", p.URL, []string{"proxy.corp.example.com"}, decision.NotAllowed, "the policy's allow-list does not name 127.0.0.1"},
		{"redirect to a host not named", handler.URL, []string{"127.0.0.1"}, decision.NotAllowed, "the policy's allow-list does not name localhost"},
		{"redirect to a host that is named", handler.URL, []string{"127.0.0.1", "localhost"}, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := len(p.Requests()) + len(other.Requests())
			cfg := setup(t, p, tt.url)
			cfg.Settings.Allow = tt.allow
			ev := one(t, cfg)
			if ev.Class != tt.class || !strings.Contains(ev.Detail, tt.detail) || (tt.class != "") != strings.Contains(ev.Next, "\"allow\"") {
				t.Errorf("got %q: %q, next %q; want %q: %q", ev.Class, ev.Detail, ev.Next, tt.class, tt.detail)
			}
			if after := len(p.Requests()) + len(other.Requests()); tt.class != "" && after != before {
				t.Errorf("%d requests were sent", after-before)
			}
		})
	}
}

// Link-local and metadata addresses are never asked, neither by address nor by
// name nor by redirect.
func TestMetadataAddresses(t *testing.T) {
	redirect := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "http://169.254.169.254/latest/meta-data/", http.StatusFound)
	}))
	t.Cleanup(redirect.Close)
	p := proxytest.New(t, proxytest.Options{})
	for _, u := range []string{
		"http://169.254.169.254", "http://169.254.1.1:8080/x", "http://[fe80::1]", "http://[::ffff:169.254.169.254]", "http://[fd00:ec2::254]",
		"http://100.100.100.200", "http://metadata.google.internal", "http://Metadata.Google.Internal.", "http://metadata.tencentyun.com", redirect.URL,
	} {
		t.Run(u, func(t *testing.T) {
			cfg := setup(t, p, u)
			cfg.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
				if !strings.HasPrefix(address, "127.0.0.1:") {
					t.Errorf("dialled %s", address)
				}
				var d net.Dialer
				return d.DialContext(ctx, network, address)
			}
			if ev := one(t, cfg); ev.Class != decision.NotAllowed || !strings.Contains(ev.Detail, "never asked") {
				t.Errorf("got %q: %q; want %q", ev.Class, ev.Detail, decision.NotAllowed)
			}
		})
	}
}

// A database is no proxy of the policy, whatever its name: it gets no login of
// the policy.
func TestDatabaseCredentials(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{TLS: proxytest.PrivateCA})
	cfg := setup(t, p, p.URL+"/sumdb:404")
	trust(&cfg, p)
	cfg.Databases = []policy.Database{{Name: cfg.Settings.Chain[0].Name, GOSUMDB: "x", URL: p.URL + "/ok/sumdb/sum.golang.org"}}
	cfg.Credentials = func(policy.Entry) (string, string, bool) { return "ci", "secret", true }
	res := probe.Run(t.Context(), cfg)
	if d := res.Databases[0]; d.Class != "" {
		t.Errorf("the database has class %q: %s", d.Class, d.Detail)
	}
	for _, r := range p.Requests() {
		if sent := r.Header.Get("Authorization") != ""; sent != (r.Prefix == "/sumdb:404") {
			t.Errorf("%s%s: credentials sent: %v", r.Prefix, r.Path, sent)
		}
	}
}
