package sumdb

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/module"
	xsumdb "golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/tlog"
)

const testName = "sumdb.example.com"

// The keys of these tests' databases; always the same, as a fuzzer's processes
// share their seeds.
const (
	signerKey   = "PRIVATE+KEY+" + testName + "+a95baff6+ARmQbJCs5RvK+JTC49XMK1iagScMSzUJ6mjM6Re2p04Z"
	verifierKey = testName + "+a95baff6+AROKVSF1Tve//Y7Uctkr2sGPt7ZeXZXwTrbIsnJE2TvP"
)

// An origin is a checksum database in memory that grows when it is asked.
// Origins with other salts know other hashes and are signed by the same key.
type origin struct {
	*xsumdb.TestServer
	salt    string
	handler http.Handler
}

// big is a tree with tiles on three levels.
const big = 65536 + 256*3 + 7

var bigOrigins = map[string]func() *origin{
	"":      sync.OnceValue(func() *origin { return makeOrigin("").grow(big) }),
	"other": sync.OnceValue(func() *origin { return makeOrigin("other").grow(big) }),
}

// newOrigin returns an origin of so many records. One that is big is shared,
// and must not grow.
func newOrigin(salt string, records int) *origin {
	if records == big {
		return bigOrigins[salt]()
	}
	return makeOrigin(salt).grow(records)
}

func makeOrigin(salt string) *origin {
	o := &origin{salt: salt}
	o.TestServer = xsumdb.NewTestServer(signerKey, func(path, version string) ([]byte, error) {
		if strings.Contains(path, "/absent") {
			return nil, fs.ErrNotExist
		}
		return fmt.Appendf(nil, "%s %s %s\n%[1]s %[2]s/go.mod %[4]s\n", path, version,
			o.hash(path+version), o.hash(path+version+"/go.mod")), nil
	})
	o.handler = xsumdb.NewServer(o.TestServer)
	return o
}

func (o *origin) hash(name string) string {
	sum := sha256.Sum256([]byte(o.salt + name))
	return "h1:" + base64.StdEncoding.EncodeToString(sum[:])
}

// mod is the n'th module that every origin learns of.
func mod(n int) module.Version {
	return module.Version{Path: fmt.Sprintf("example.com/m%d", n), Version: "v1.0.0"}
}

func lookupPath(m module.Version) string { return "lookup/" + m.Path + "@" + m.Version }

// grow makes the origin one of at least so many records.
func (o *origin) grow(records int) *origin {
	for n := range records {
		if _, err := o.Lookup(context.Background(), mod(n)); err != nil {
			panic(err)
		}
	}
	return o
}

func (o *origin) head(t testing.TB) []byte {
	t.Helper()
	signed, err := o.Signed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// get is the route to the origin itself.
func (o *origin) get(_ context.Context, path string) (_ []byte, err error) {
	defer func() {
		if p := recover(); p != nil { // the test server's way to say that a tile is not in its tree
			err = fmt.Errorf("500 %s: %v", path, p)
		}
	}()
	w := httptest.NewRecorder()
	o.handler.ServeHTTP(w, httptest.NewRequest("GET", "/"+path, nil))
	switch w.Code {
	case http.StatusOK:
		return w.Body.Bytes(), nil
	case http.StatusNotFound:
		return nil, fmt.Errorf("404 %s: %w", path, fs.ErrNotExist)
	}
	return nil, fmt.Errorf("%d %s", w.Code, path)
}

// A route is one way to a database.
type route func(ctx context.Context, path string) ([]byte, error)

var errDown = errors.New("the database is down")

func down(context.Context, string) ([]byte, error) { return nil, errDown }

// routes is a Fetch that asks each route in turn, and remembers what was asked.
type routes struct {
	mu    sync.Mutex // guards the fields below
	list  []route
	asked []string
}

func via(list ...route) *routes { return &routes{list: list} }

// set replaces the routes.
func (r *routes) set(list ...route) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = list
}

// reset returns what was asked since the last call.
func (r *routes) reset() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	asked := r.asked
	r.asked = nil
	return asked
}

func (r *routes) fetch(ctx context.Context, path string, accept func([]byte) error) ([]byte, error) {
	r.mu.Lock()
	r.asked = append(r.asked, path)
	list := r.list
	r.mu.Unlock()
	var errs []error
	absent := true
	for _, get := range list {
		data, err := get(ctx, path)
		if err == nil {
			if err = accept(data); err == nil {
				return data, nil
			}
			absent = false
		}
		absent = absent && errors.Is(err, fs.ErrNotExist)
		errs = append(errs, err)
	}
	if absent {
		return nil, errors.Join(errs...)
	}
	return nil, fmt.Errorf("every route failed: %v", errors.Join(errs...))
}

// newDatabase opens a database in dir; "" is in memory alone.
func newDatabase(t testing.TB, dir string, r *routes) *Database {
	t.Helper()
	d, err := Open(openDir(t, dir), verifierKey, r.fetch, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func testLog(t testing.TB) *slog.Logger { return slog.New(slog.NewTextHandler(t.Output(), nil)) }

func openDir(t testing.TB, dir string) *os.Root {
	t.Helper()
	if dir == "" {
		return nil
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// wantSums fails unless the database vouches for the modules as the origin does.
func wantSums(t testing.TB, d *Database, o *origin, mods ...module.Version) {
	t.Helper()
	for _, m := range mods {
		zip, gomod, err := d.Sums(t.Context(), m)
		if err != nil || zip != o.hash(m.Path+m.Version) || gomod != o.hash(m.Path+m.Version+"/go.mod") {
			t.Fatalf("Sums(%s) = %q, %q, %v", m, zip, gomod, err)
		}
	}
}

// A client is the go command's own code, which keeps nothing from one client to
// the next but, perhaps, the head.
type client struct {
	t      testing.TB
	d      *Database
	mu     sync.Mutex // guards the fields below
	latest []byte
	cache  map[string][]byte
}

func newClient(t testing.TB, d *Database) *client {
	return &client{t: t, d: d, cache: map[string][]byte{}}
}

func (c *client) ReadRemote(path string) ([]byte, error) {
	data, _, err := c.d.Serve(c.t.Context(), strings.TrimPrefix(path, "/"))
	return data, err
}

func (c *client) ReadConfig(file string) ([]byte, error) {
	if file == "key" {
		return []byte(verifierKey), nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.latest, nil
}

func (c *client) WriteConfig(_ string, old, next []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if string(c.latest) != string(old) {
		return xsumdb.ErrWriteConflict
	}
	c.latest = next
	return nil
}

func (c *client) ReadCache(file string) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if data, ok := c.cache[file]; ok {
		return data, nil
	}
	return nil, fs.ErrNotExist
}

func (c *client) WriteCache(file string, data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cache[file] = data
}

func (c *client) Log(msg string)           { c.t.Log(msg) }
func (c *client) SecurityError(msg string) { c.t.Errorf("the client says %s", msg) }

// verify fails unless the client verifies the modules.
func (c *client) verify(o *origin, mods ...module.Version) {
	c.t.Helper()
	x := xsumdb.NewClient(c)
	for _, m := range mods {
		lines, err := x.Lookup(m.Path, m.Version)
		want := fmt.Sprintf("%s %s %s", m.Path, m.Version, o.hash(m.Path+m.Version))
		if err != nil || !slices.Equal(lines, []string{want}) {
			c.t.Fatalf("the client's lookup of %s: %q, %v; want %q", m, lines, err, want)
		}
	}
}

// wantError fails unless err is an [*Error] of the class.
func wantError(t testing.TB, err error, want Class) *Error {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Class != want {
		t.Fatalf("got %v (%T); want class %q", err, err, want)
	}
	if errors.Is(err, fs.ErrNotExist) != (want == Absent) {
		t.Fatalf("%v is fs.ErrNotExist: %v", err, want != Absent)
	}
	return e
}

// files returns the content of every file below dir, by its slash path.
func files(t testing.TB, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		data, err := os.ReadFile(name)
		rel, _ := filepath.Rel(dir, name)
		all[filepath.ToSlash(rel)] = string(data)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// pinned returns the size of the tree whose head is on the disk.
func pinned(t testing.TB, dir string) int64 {
	t.Helper()
	signed, err := os.ReadFile(filepath.Join(dir, "head"))
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(signed), "\n\n")
	tree, err := tlog.ParseTree([]byte(text + "\n"))
	if err != nil {
		t.Fatal(err)
	}
	return tree.N
}
