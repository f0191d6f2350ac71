package bench

import (
	"bytes"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// measure runs a small load over sockets.
func measure(t *testing.T, change func(*Config), urls ...string) *Result {
	t.Helper()
	cfg := config(urls...)
	cfg.Load = Load{Requests: 60, Concurrency: 4, Timeout: 20 * time.Second, WarmUp: 0}
	if change != nil {
		change(&cfg)
	}
	res, err := Run(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// Each fault is seen, under its class, where it is; and only wrong bytes and
// silence about everything make a proxy one that is not right.
func TestFaults(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{Modules: released})
	for _, tt := range []struct {
		fault  string
		ok     bool
		class  decision.Class // of the proxy
		kind   Kind           // that fails
		under  decision.Class // load, or in the checks if it is not loaded with that
		loaded []Kind
	}{
		{"", true, "", "", "", Kinds()},
		{"/zip:502", true, "", Zip, decision.ServerError, Kinds()},
		{"/zip:wrong-bytes", false, "", Zip, decision.WrongContent, Kinds()},
		{"/zip:corrupt-zip", false, "", Zip, decision.WrongContent, Kinds()},
		{"/mod:wrong-bytes", false, "", Mod, decision.WrongContent, Kinds()},
		{"/mod:html", false, "", Mod, decision.Portal, Kinds()},
		{"/info:wrong-info", false, "", Info, decision.WrongContent, Kinds()},
		{"/info:endless", false, "", Info, decision.WrongContent, Kinds()},
		{"/list:endless", true, "", List, decision.WrongContent, Kinds()},
		{"/lookup:forged", false, "", SumDB, decision.WrongContent, Kinds()},
		{"/sumdb:404", true, "", SumDB, decision.NoSumDB, []Kind{List, Info, Mod, Zip}},
		{"/list:403", true, "", List, decision.Forbidden, []Kind{Info, Mod, Zip, SumDB}},
		{"/zip:cut", true, "", Zip, decision.Reset, Kinds()},
		{"/zip:reset", true, "", Zip, decision.Reset, Kinds()},
		{"/info:429", true, "", Info, decision.RateLimited, Kinds()},
		{"/redirect-host", true, "", "", "", Kinds()},
		{"/502", false, decision.ServerError, "", "", nil},
		{"/404", false, decision.Missing, "", "", nil},
		{"/html", false, decision.Portal, "", "", nil},
		{"/endless", false, decision.WrongContent, "", "", nil},
		{"/reset", false, decision.Reset, "", "", nil},
	} {
		t.Run(strings.Trim(tt.fault, "/"), func(t *testing.T) {
			t.Parallel()
			res := measure(t, nil, p.URL+tt.fault)
			one := res.Proxies[0]
			if res.OK() != tt.ok || one.Class != tt.class {
				t.Errorf("OK %v, class %q (%s); want %v and %q", res.OK(), one.Class, one.Detail, tt.ok, tt.class)
			}
			var loaded []Kind
			for _, f := range one.Kinds {
				loaded = append(loaded, f.Kind)
				if f.Kind != tt.kind && f.Failed > 0 {
					t.Errorf("%s: %+v", f.Kind, f.Failures)
				}
				if f.Kind == tt.kind && (f.Failed != f.Requests || f.Failures[0].Class != tt.under || f.Failures[0].Detail == "") {
					t.Errorf("%s: %+v; want all of class %q", f.Kind, f, tt.under)
				}
			}
			if !slices.Equal(loaded, tt.loaded) {
				t.Errorf("loaded with %q; want %q", loaded, tt.loaded)
			}
			for _, f := range one.Files {
				if f.Kind == tt.kind && (f.Right > 0 || len(f.Faults) != 1 || f.Faults[0].Class != tt.under) {
					t.Errorf("checks of %s: %+v; want class %q", f.Kind, f, tt.under)
				}
			}
		})
	}
}

// Whom nothing reaches is asked twice, and not loaded; the others are.
func TestUnreachable(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	res := measure(t, func(c *Config) { c.Load.Timeout = 300 * time.Millisecond }, "http://"+p.Refuse, "http://"+p.Silent, p.URL, p.URL+"/stall")
	for i, want := range []decision.Class{decision.Refused, decision.Silent, "", decision.Stalled} {
		if got := res.Proxies[i]; got.Class != want || (got.All == nil) != (want != "") {
			t.Errorf("%s: class %q; want %q", got.Name, got.Class, want)
		}
	}
	stalled := 0
	for _, r := range p.Requests() {
		if r.Prefix == "/stall" {
			stalled++
		}
	}
	if stalled != 2 {
		t.Errorf("%d requests to the one that stalls; want 2", stalled)
	}
	if res.OK() || len(res.Common) != len(Kinds()) {
		t.Errorf("OK %v, common %q", res.OK(), res.Common)
	}
}

// A body of 10 GiB is read up to its limit, and costs no memory.
func TestEndlessBodiesCostNothing(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	res := measure(t, func(c *Config) { c.Kinds = []Kind{Info, Mod} }, p.URL+"/info:endless")
	runtime.ReadMemStats(&after)
	if f := res.Proxies[0].Kinds[0]; f.Bytes > int64(f.Requests)*textLimit {
		t.Errorf("%d bytes of %d files were read", f.Bytes, f.Requests)
	}
	if grown := int64(after.HeapSys) - int64(before.HeapSys); grown > 64<<20 {
		t.Errorf("the heap has grown by %d MiB", grown>>20)
	}
}

// Who serves fewer kinds is compared by those alone that all serve.
func TestCommon(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	res := measure(t, nil, p.URL, p.URL+"/sumdb:404+list:403", p.URL+"/upper:403")
	if want := []Kind{Info, Mod, Zip}; !slices.Equal(res.Common, want) {
		t.Errorf("compared are %q; want %q", res.Common, want)
	}
	for _, one := range res.Proxies {
		sum := 0
		for _, f := range one.Kinds {
			if slices.Contains(res.Common, f.Kind) {
				sum += f.Requests
			}
			if f.Failed > 0 {
				t.Errorf("%s: %+v: a file that one does not serve is asked of nobody", one.Name, f)
			}
		}
		if one.All.Requests != sum {
			t.Errorf("%s: %d of %d requests are compared", one.Name, one.All.Requests, sum)
		}
	}
}

// What proxies can do is found out.
func TestAbilities(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{Modules: released})
	for _, tt := range []struct {
		fault string
		no    []string
		hosts []string
	}{
		{"", []string{canHTTP2}, nil},
		{"/list:500", []string{canList, canHTTP2}, nil},
		{"/latest:404", []string{canLatest, canHTTP2}, nil},
		{"/supported:404", []string{canSumDB, canHTTP2}, nil},
		{"/lookup:500", []string{canSumDB, canHTTP2}, nil},
		{"/toolchain:404", []string{canToolchain, canHTTP2}, nil},
		{"/zip:redirect-host", []string{canHTTP2}, []string{"zips", "big zips"}},
		{"/big-zip:redirect-host", []string{canHTTP2}, []string{"big zips"}},
	} {
		t.Run(strings.Trim(tt.fault, "/"), func(t *testing.T) {
			t.Parallel()
			res := measure(t, func(c *Config) { c.Load.Requests = 5 }, p.URL+tt.fault)
			var no, hosts []string
			for i, a := range res.Proxies[0].Abilities {
				switch {
				case i >= len(abilities):
					hosts = append(hosts, a.Name)
				case !a.Known:
					t.Errorf("%s is not known", a.Name)
				case !a.Yes:
					no = append(no, a.Name)
				}
			}
			if !slices.Equal(no, tt.no) || !slices.Equal(hosts, tt.hosts) {
				t.Errorf("it can not %q, redirects %q; want %q and %q", no, hosts, tt.no, tt.hosts)
			}
		})
	}
}

// HTTP/2 and the login of the policy are used as the go command would.
func TestTLS(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{TLS: proxytest.PrivateCA})
	res := measure(t, func(c *Config) {
		c.Credentials = func(policy.Entry) (string, string, bool) { return proxytest.User, proxytest.Password, true }
		c.RootCAs = func(policy.Entry) (*x509.CertPool, error) {
			pool := x509.NewCertPool()
			pool.AppendCertsFromPEM(p.CA)
			return pool, nil
		}
	}, p.URL+"/auth")
	one := res.Proxies[0]
	if one.Class != "" || one.All == nil || one.All.Failed > 0 {
		t.Fatalf("class %q (%s)", one.Class, one.Detail)
	}
	if i := slices.Index(abilities, canHTTP2); !one.Abilities[i].Yes {
		t.Errorf("HTTP/2: %+v", one.Abilities[i])
	}
	for _, r := range p.Requests() {
		if r.Header.Get("Authorization") == "" {
			t.Fatalf("%s came without the login", r.Path)
		}
	}
}

// Fresh is who knows the newest version that anybody knows.
func TestFresh(t *testing.T) {
	old := proxytest.New(t, proxytest.Options{Modules: released})
	young := proxytest.New(t, proxytest.Options{Modules: released + "-- golang.org/x/tools@v0.31.0/a.go --\npackage a\n-- golang.org/x/tools@v0.32.0-rc.1/a.go --\npackage a\n"})
	res := measure(t, func(c *Config) { c.Load.Requests = 5 }, old.URL, young.URL, old.URL+"/list:404")
	for i, want := range [][]Newest{
		{{Version: "v0.30.0", Behind: true}, {Version: "v0.200.0"}, {Version: "v0.31.0"}},
		{{Version: "v0.31.0"}, {Version: "v0.200.0"}, {Version: "v0.31.0"}},
		{{Class: decision.Missing}, {Class: decision.Missing}, {Class: decision.Missing}},
	} {
		for j, n := range res.Proxies[i].Fresh {
			want[j].Module = fresh[j].path
			if n != want[j] {
				t.Errorf("proxy %d: got %+v; want %+v", i, n, want[j])
			}
		}
	}
}

// A list is whatever a server sends.
func FuzzNewestIn(f *testing.F) {
	f.Add([]byte("v1.0.0\nv1.2.0 2020-01-01\nv1.10.0-rc.1\n"))
	f.Add([]byte("<html>"))
	f.Fuzz(func(t *testing.T, list []byte) {
		v := newestIn(list)
		if v != "" && !strings.Contains(string(list), v) {
			t.Errorf("%q is not in the list", v)
		}
		if again := newestIn(append([]byte(v+"\n"), list...)); again != v {
			t.Errorf("newestIn = %q, and %q with itself in front", v, again)
		}
	})
}

// A server that serves ranges is known for it.
func TestRange(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rec := httptest.NewRecorder()
		p.ServeHTTP(rec, r)
		if rec.Code != http.StatusOK {
			http.Error(w, "", rec.Code)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(rec.Body.Bytes()))
	}))
	defer srv.Close()
	res := measure(t, func(c *Config) { c.Load.Requests = 5 }, srv.URL)
	if a := res.Proxies[0].Abilities[slices.Index(abilities, canRange)]; !a.Yes || !res.OK() {
		t.Errorf("got %+v, OK %v", a, res.OK())
	}
}
