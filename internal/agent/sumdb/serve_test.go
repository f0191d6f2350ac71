package sumdb

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/proxytest"
)

func TestServe(t *testing.T) {
	o := newOrigin("", 700)
	d := newDatabase(t, "", via(o.get))
	if d.Name() != testName {
		t.Errorf("Name = %q", d.Name())
	}
	tile := func(path string) string {
		data, err := o.get(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	for _, tt := range []struct{ path, contentType, begin string }{
		{"supported", textType, ""},
		{"latest", textType, "go.sum database tree\n700\n"},
		{"lookup/example.com/m1@v1.0.0", textType, "1\nexample.com/m1 v1.0.0 h1:"},
		{"lookup/example.com/!upper@v2.0.0+incompatible", textType, "700\nexample.com/Upper v2.0.0+incompatible h1:"},
		{"lookup/golang.org/toolchain@v0.0.1-go1.26.0.linux-amd64", textType, "701\ngolang.org/toolchain v0.0.1-go1.26.0.linux-amd64 h1:"},
		{"tile/8/0/000", tileType, tile("tile/8/0/000")},
		{"tile/8/0/000.p/1", tileType, tile("tile/8/0/000.p/1")},
		{"tile/8/0/001.p/255", tileType, tile("tile/8/0/001.p/255")},
		{"tile/8/0/002.p/100", tileType, tile("tile/8/0/002.p/100")},
		{"tile/8/1/000.p/2", tileType, tile("tile/8/1/000.p/2")},
		{"tile/8/1/000.p/1", tileType, tile("tile/8/1/000.p/1")},
	} {
		body, contentType, err := d.Serve(t.Context(), tt.path)
		if err != nil || contentType != tt.contentType || !strings.HasPrefix(string(body), tt.begin) {
			t.Errorf("Serve(%q) = %q, %q, %v", tt.path, body, contentType, err)
		}
	}
}

var notPaths = []string{
	"", "/", "/latest", "latest/", "supported/", "key", "lookup", "lookup/", "lookup/@", "lookup/example.com/a", "lookup/example.com/a@",
	"lookup/example.com/a@main", "lookup/example.com/a@v1", "lookup/example.com/a@v1.0.0/go.mod", "lookup/example.com/a@v1.0.0@v1.0.0",
	"lookup/example.com/A@v1.0.0", "lookup/example.com/a@v1.0.0-RC1", "lookup/example.com/a@v2.0.0", "lookup/../head@v1.0.0", "lookup/example.com/../../x@v1.0.0",
	"lookup//example.com/a@v1.0.0", "lookup/example.com/a@v1.0.0\n", "lookup/example.com/a\x00@v1.0.0", "lookup/nodot@v1.0.0", "lookup/example.com\\a@v1.0.0",
	"lookup/example.com/" + strings.Repeat("a/", 600) + "b@v1.0.0", "tile", "tile/", "tile/8/0", "tile/8/data/000", "tile/8/data/000.p/1", "tile/4/0/000", "tile/16/0/000",
	"tile/8/-1/000", "tile/8/0/0", "tile/8/0/1000", "tile/8/0/000.p/0", "tile/8/0/000.p/256", "tile/8/0/x000/001", "tile/8/8/000", "tile/8/63/000", "tile/8/1/../0/000",
	"tile/8/0/x999/x999/x999/x999/x999/x999/999", "tile/8/0/" + strings.Repeat("x999/", 100) + "999", "tile/8/7/256", "Lookup/example.com/a@v1.0.0", "../latest", "tile/8/0/000/",
}

// Nobody is asked for what is no path of a database.
func TestNotPaths(t *testing.T) {
	r := via(down)
	d := newDatabase(t, "", r)
	for _, path := range notPaths {
		body, contentType, err := d.Serve(t.Context(), path)
		if body != nil || contentType != "" {
			t.Errorf("Serve(%q) = %q, %q", path, body, contentType)
		}
		if e := wantError(t, err, NotAPath); strings.ContainsAny(e.Error(), "\x00\n") || len(e.Error()) > 5000 {
			t.Errorf("Serve(%q): %q", path, e)
		}
	}
	if asked := r.reset(); len(asked) > 0 {
		t.Errorf("asked %q", asked)
	}
}

// What is fetched once is not fetched again: a client costs nothing that a
// client before has paid.
func TestServeAsksOnce(t *testing.T) {
	o := newOrigin("", big)
	r := via(o.get)
	d := newDatabase(t, "", r)
	newClient(t, d).verify(o, mod(1))
	asked := r.reset()
	if len(asked) != 1+3+2 { // lookup; three tiles at the edge, two below the uppermost
		t.Errorf("asked %d times: %q", len(asked), asked)
	}
	newClient(t, d).verify(o, mod(1))
	if asked := r.reset(); len(asked) > 0 {
		t.Errorf("asked again: %q", asked)
	}
}

// The real go command says loudly why it stops.
func TestGoSeesAFork(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	r := via(newOrigin("", 3).get)
	d := newDatabase(t, t.TempDir(), r)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		path, ok := strings.CutPrefix(req.URL.Path, "/"+modproxy.SumDBPath(testName)+"/")
		if !ok {
			p.ServeHTTP(w, req)
			return
		}
		body, _, err := d.Serve(req.Context(), path)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		w.Write(body)
	}))
	defer srv.Close()
	if _, _, err := d.Serve(t.Context(), "latest"); err != nil {
		t.Fatal(err)
	}
	r.set(newOrigin("other", 3).get)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte("module project.example.com\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "example.com/m1@v1.0.0", "rsc.io/quote@v1.5.2")
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), "GOENV=off", "GOTOOLCHAIN=local", "GOFLAGS=-modcacherw",
		"GOPATH=" + t.TempDir(), "GOPROXY=" + srv.URL, "GOSUMDB=" + verifierKey}
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "SECURITY ERROR: checksum database "+testName+" has signed two histories") ||
		!strings.Contains(string(out), "stop the agent and remove that file") {
		t.Errorf("go says %v\n%s", err, out)
	}
}

// FuzzServe: whatever is answered is true, and only what a go command could ask
// is asked.
func FuzzServe(f *testing.F) {
	for _, path := range append(notPaths, "latest", "supported", "lookup/example.com/m1@v1.0.0", "lookup/example.com/!upper@v1.2.3-!r!c1",
		"lookup/example.com/absent@v1.0.0", "tile/8/0/000.p/7", "tile/8/1/000.p/1", "tile/8/0/002", "tile/8/0/x001/234", "tile/8/6/000") {
		f.Add(path)
	}
	o := newOrigin("", 300)
	r := via(o.get)
	dir := f.TempDir()
	d := newDatabase(f, dir, r)
	f.Fuzz(func(t *testing.T, path string) {
		body, _, err := d.Serve(t.Context(), path)
		asked := r.reset()
		if err != nil {
			e, ok := err.(*Error)
			if !ok || e.Class == Security || body != nil {
				t.Fatalf("Serve(%q) = %q, %v", path, body, err)
			}
			if e.Class == NotAPath && len(asked) > 0 {
				t.Errorf("asked %q for the sake of %q", asked, path)
			}
			return
		}
		switch {
		case path == "supported":
		case path == "latest":
			if _, err := d.parseHead(body); err != nil {
				t.Error(err)
			}
		case strings.HasPrefix(path, "tile/"):
			want, err := o.get(t.Context(), path)
			if tile, _ := tlog.ParseTilePath(path); err != nil || !bytes.Equal(body, want) || tile.W*tlog.HashSize != len(body) {
				t.Errorf("Serve(%q) is not the tile: %v", path, err)
			}
		default:
			m, err := parseLookup(path)
			if err != nil {
				t.Fatalf("Serve(%q) = %q; but it is no lookup: %v", path, body, err)
			}
			if back, err := modproxy.LookupPath(m.Path, m.Version); err != nil || back != path {
				t.Errorf("%q is the lookup of %v, whose path is %q, %v", path, m, back, err)
			}
			newClient(t, d).verify(o, m)
		}
	})
}

// FuzzRoutes: whatever a route answers, what is said in the end is true; and if
// another route is honest, something is said.
func FuzzRoutes(f *testing.F) {
	const size = 300
	o := newOrigin("", size)
	lookup, err := o.get(context.Background(), lookupPath(mod(7)))
	if err != nil {
		f.Fatal(err)
	}
	edge, err := o.get(context.Background(), "tile/8/0/001.p/44")
	if err != nil {
		f.Fatal(err)
	}
	whole, err := o.get(context.Background(), "tile/8/0/000")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(lookup, edge)
	f.Add(lookup, whole)
	f.Add(bytes.Replace(lookup, []byte("h1:"), []byte("h1:A"), 1), edge)
	f.Add(append([]byte("+"), lookup...), whole[:32])
	f.Add(bytes.Replace(lookup, []byte("7\n"), []byte("8\n"), 1), bytes.Repeat([]byte{0}, 44*32))
	f.Add([]byte("<html>\n\n"), []byte(nil))
	f.Fuzz(func(t *testing.T, lookup, tile []byte) {
		liar := func(_ context.Context, path string) ([]byte, error) {
			if strings.HasPrefix(path, "lookup/") {
				return bytes.Clone(lookup), nil
			}
			return bytes.Clone(tile), nil
		}
		for _, list := range [][]route{{liar}, {liar, o.get}, {o.get, liar}} {
			d := newDatabase(t, "", via(list...))
			zip, _, err := d.Sums(t.Context(), mod(7))
			if err != nil && len(list) > 1 {
				t.Fatalf("with an honest route: %v", err)
			}
			if err == nil && zip != o.hash(fmt.Sprint(mod(7).Path, mod(7).Version)) {
				t.Fatalf("Sums = %q", zip)
			}
			if err == nil {
				newClient(t, d).verify(o, mod(7))
			}
		}
	})
}
