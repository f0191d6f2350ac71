package sumdb_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/agent/sumdb"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// A proxy gets so much time for an answer; 0 is as much as it takes.
type proxy struct {
	url      string
	patience time.Duration
}

// fetchFrom asks proxies one after the other.
func fetchFrom(t *testing.T, proxies ...proxy) sumdb.Fetch {
	t.Helper()
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	var clients []*modproxy.Client
	for _, p := range proxies {
		base, err := url.Parse(p.url + "/" + modproxy.SumDBPath(proxytest.SumDBName))
		if err != nil {
			t.Fatal(err)
		}
		clients = append(clients, &modproxy.Client{Base: base, HTTP: tr})
	}
	return func(ctx context.Context, path string, accept func([]byte) error) ([]byte, error) {
		var errs []error
		absent := true
		for i, c := range clients {
			data, err := get(ctx, c, path, proxies[i].patience)
			absent = absent && errors.Is(err, fs.ErrNotExist)
			if err == nil {
				if err = accept(data); err == nil {
					return data, nil
				}
			}
			errs = append(errs, err)
		}
		if absent {
			return nil, errors.Join(errs...)
		}
		return nil, fmt.Errorf("%v", errors.Join(errs...))
	}
}

func get(ctx context.Context, c *modproxy.Client, path string, patience time.Duration) ([]byte, error) {
	if patience > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, patience)
		defer cancel()
	}
	a, err := c.Get(ctx, path)
	if err != nil {
		return nil, err
	}
	return a.ReadAll(sumdb.MaxAnswer)
}

func openProxy(t *testing.T, dir string, fetch sumdb.Fetch) *sumdb.Database {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	d, err := sumdb.Open(root, proxytest.GOSUMDB, fetch, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

var (
	quote = module.Version{Path: "rsc.io/quote", Version: "v1.5.2"}
	toml  = module.Version{Path: "github.com/BurntSushi/toml", Version: "v0.3.1"}
)

const quoteH1 = "h1:w5fcysjrx7yqtD/aO+QwRjYZOKnaM9Uh2b40tElTs3Y="

// A proxy with any fault is followed by one that works; alone it makes an
// outage, and never an absence that is none.
func TestFaultsOfProxies(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	for _, tt := range []struct {
		fault    string
		patience time.Duration
		alone    sumdb.Class // of the error if there is no other proxy; "": none
	}{
		{"ok", 0, ""},
		{"404", 0, sumdb.Absent},
		{"410", 0, sumdb.Absent},
		{"lookup:404", 0, sumdb.Absent},
		{"tile:404", 0, sumdb.Outage},
		{"403", 0, sumdb.Outage},
		{"tile:403", 0, sumdb.Outage},
		{"500", 0, sumdb.Outage},
		{"tile:502", 0, sumdb.Outage},
		{"html", 0, sumdb.Outage},
		{"tile:html", 0, sumdb.Outage},
		{"empty", 0, sumdb.Outage},
		{"hostile", 0, sumdb.Outage},
		{"endless", 0, sumdb.Outage},
		{"tile:endless", 0, sumdb.Outage},
		{"redirect-loop", 0, sumdb.Outage},
		{"portal-redirect", 0, sumdb.Outage},
		{"silent", 50 * time.Millisecond, sumdb.Outage},
		{"tile:stall", 50 * time.Millisecond, sumdb.Outage},
		{"cut", 0, sumdb.Outage},
		{"cut-silent", 0, sumdb.Outage},
		{"tile:cut-silent", 0, sumdb.Outage},
		{"close", 0, sumdb.Outage},
		{"reset", 0, sumdb.Outage},
		{"wrong-bytes", 0, sumdb.Outage},
		{"forged", 0, sumdb.Outage},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			t.Parallel()
			broken := proxy{p.URL + "/" + tt.fault, tt.patience}
			d := openProxy(t, t.TempDir(), fetchFrom(t, broken))
			zip, _, err := d.Sums(t.Context(), quote)
			if tt.alone == "" {
				if err != nil || zip != quoteH1 {
					t.Fatalf("alone: %q, %v", zip, err)
				}
			} else if e, ok := errors.AsType[*sumdb.Error](err); !ok || e.Class != tt.alone || errors.Is(err, fs.ErrNotExist) != (tt.alone == sumdb.Absent) {
				t.Fatalf("alone: %q, %v; want class %q", zip, err, tt.alone)
			}
			d = openProxy(t, t.TempDir(), fetchFrom(t, broken, proxy{p.URL, 0}))
			for _, m := range []module.Version{quote, toml} {
				if zip, gomod, err := d.Sums(t.Context(), m); err != nil || !strings.Contains(p.GoSum(m.String()), zip) || !strings.Contains(p.GoSum(m.String()), gomod) {
					t.Errorf("with another proxy: %q, %v", zip, err)
				}
			}
		})
	}
}

// goServer is a module proxy whose checksum database is d.
func goServer(t *testing.T, p *proxytest.Server, d *sumdb.Database) string {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		path, ok := strings.CutPrefix(r.URL.Path, "/"+modproxy.SumDBPath(proxytest.SumDBName)+"/")
		if !ok {
			p.ServeHTTP(w, r)
			return
		}
		body, contentType, err := d.Serve(r.Context(), path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Header().Set("Content-Type", contentType)
		w.Write(body)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// goCommand runs the real go command as a fresh client in an empty module.
func goCommand(t *testing.T, goproxy string, args ...string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module project.example.com\n\ngo 1.26\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "GOENV=off", "GOTOOLCHAIN=local",
		"GOFLAGS=-modcacherw", "GOPATH=" + t.TempDir(), "GOPROXY=" + goproxy, "GOSUMDB=" + proxytest.GOSUMDB}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// The real go command verifies what is stored while the database is down, and
// sees why anything else fails.
func TestGoVerifiesWithoutTheDatabase(t *testing.T) {
	p, db := proxytest.New(t, proxytest.Options{}), proxytest.New(t, proxytest.Options{})
	dir := t.TempDir()
	d := openProxy(t, dir, fetchFrom(t, proxy{db.URL, 0}))
	warm := []string{"rsc.io/quote@v1.5.2", "github.com/BurntSushi/toml@v0.3.1", "example.com/incompatible@v2.1.0+incompatible",
		"example.com/pseudo@v0.0.0-20240102030405-0123456789ab"}
	download := append([]string{"mod", "download"}, warm...)
	if out, err := goCommand(t, goServer(t, p, d), download...); err != nil {
		t.Fatalf("go mod download: %v\n%s", err, out)
	}
	d.Close()
	db.SetFault("502")
	before := len(db.Requests())
	d = openProxy(t, dir, fetchFrom(t, proxy{db.URL, 0}))
	srv := goServer(t, p, d)
	if out, err := goCommand(t, srv, download...); err != nil {
		t.Errorf("while the database is down: %v\n%s", err, out)
	}
	if n := len(db.Requests()); n != before {
		t.Errorf("%d requests to the database for what is stored", n-before)
	}
	for _, r := range p.Requests() {
		if strings.HasPrefix(r.Path, "/sumdb/") {
			t.Errorf("go asked the proxy itself for %s", r.Path)
		}
	}
	out, err := goCommand(t, srv, "mod", "download", "example.com/greet@v1.0.0")
	if err == nil || !strings.Contains(out, "502 Bad Gateway") || !strings.Contains(out, "checksum database "+proxytest.SumDBName) {
		t.Errorf("of what is not stored go says %v\n%s", err, out)
	}
	p.SetFault("zip:wrong-bytes")
	if out, err := goCommand(t, srv, download[:3]...); err == nil || !strings.Contains(out, "SECURITY ERROR") {
		t.Errorf("of a zip that is another: %v\n%s", err, out)
	}
}
