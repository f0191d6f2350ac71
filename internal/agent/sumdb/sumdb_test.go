package sumdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/tlog"
)

// Trees of every shape: what is vouched for is what the database says, and the
// go command's own client verifies it from the answers here, also when there is
// nothing left but these.
func TestEveryTree(t *testing.T) {
	for _, size := range []int{1, 2, 3, 255, 256, 257, 511, 512, 1000, big} {
		t.Run(fmt.Sprintf("records=%d", size), func(t *testing.T) {
			t.Parallel()
			o := newOrigin("", size)
			r := via(o.get)
			dir := t.TempDir()
			d := newDatabase(t, dir, r)
			mods := []module.Version{mod(0), mod(size / 2), mod(size - 1)}
			wantSums(t, d, o, mods...)
			newClient(t, d).verify(o, mods...)
			d.Close()

			r.set(down)
			r.reset()
			d = newDatabase(t, dir, r)
			wantSums(t, d, o, mods...)
			newClient(t, d).verify(o, mods...)
			if asked := r.reset(); len(asked) > 0 {
				t.Errorf("asked %q for what is stored", asked)
			}
		})
	}
}

// While the database grows, each head is pinned, and all that was stored stays
// provable without it.
func TestGrowth(t *testing.T) {
	o := newOrigin("", 1)
	r := via(o.get)
	dir := t.TempDir()
	d := newDatabase(t, dir, r)
	var stored []module.Version
	for _, size := range []int{1, 2, 100, 255, 256, 257, 300, 511, 513, 700, 1024, 1025, 3000, 65535, 65537, 66000} {
		o.grow(size)
		for _, n := range []int{size - 1, size * 2 / 3} {
			wantSums(t, d, o, mod(n))
			stored = append(stored, mod(n))
		}
		if n := pinned(t, dir); n != int64(size) {
			t.Fatalf("the head on the disk is of %d records; want %d", n, size)
		}
		r.set(down)
		newClient(t, d).verify(o, stored...)
		d.Close()
		d = newDatabase(t, dir, r) // nothing in memory
		newClient(t, d).verify(o, stored...)
		r.set(o.get)
	}
}

// A client that goes along keeps verifying while heads change under it.
func TestClientOfManyHeads(t *testing.T) {
	o := newOrigin("", 10)
	d := newDatabase(t, "", via(o.get))
	c := newClient(t, d)
	for size := 10; size < 1200; size += 97 {
		o.grow(size)
		c.verify(o, mod(size-1), mod(size/3))
	}
}

// A client may have a head from elsewhere that is newer than ours, and then
// asks for tiles of that tree.
func TestClientWithANewerHead(t *testing.T) {
	o := newOrigin("", 300)
	dir := t.TempDir()
	d := newDatabase(t, dir, via(o.get))
	wantSums(t, d, o, mod(5))
	o.grow(900)
	c := newClient(t, d)
	c.latest = o.head(t)
	c.verify(o, mod(5), mod(7))
	if n := pinned(t, dir); n != 900 {
		t.Errorf("the pinned head is of %d records; want 900", n)
	}

	// The route that has the tiles need not have the head: they are passed on.
	old := o.head(t)
	r := via(func(ctx context.Context, path string) ([]byte, error) {
		if path == "latest" {
			return old, nil
		}
		return o.get(ctx, path)
	})
	d = newDatabase(t, dir, r)
	o.grow(1300)
	c = newClient(t, d)
	c.latest = o.head(t)
	c.verify(o, mod(5))
	if n := pinned(t, dir); n != 900 {
		t.Errorf("the pinned head is of %d records; want 900", n)
	}
	// But not if they contradict what is known.
	d.Close()
	d = newDatabase(t, dir, r) // from the disk
	other := newOrigin("other", 1300)
	r.set(func(ctx context.Context, path string) ([]byte, error) {
		if path == "latest" {
			return old, nil
		}
		return other.get(ctx, path)
	})
	_, _, err := d.Serve(t.Context(), "tile/8/0/003.p/200")
	wantError(t, err, Outage)
}

// A head that is older than the pinned one and agrees with it changes nothing.
func TestOldHead(t *testing.T) {
	o := newOrigin("", 400)
	dir := t.TempDir()
	oldLookup, err := o.get(t.Context(), lookupPath(mod(3)))
	if err != nil {
		t.Fatal(err)
	}
	o.grow(1000)
	r := via(o.get)
	d := newDatabase(t, dir, r)
	wantSums(t, d, o, mod(999))
	r.set(func(ctx context.Context, path string) ([]byte, error) {
		if strings.HasPrefix(path, "lookup/") {
			return oldLookup, nil
		}
		return o.get(ctx, path)
	})
	wantSums(t, d, o, mod(3))
	if n := pinned(t, dir); n != 1000 {
		t.Errorf("the pinned head is of %d records; want 1000", n)
	}
	body, _, err := d.Serve(t.Context(), lookupPath(mod(3)))
	if err != nil || !strings.Contains(string(body), "go.sum database tree\n1000\n") {
		t.Errorf("Serve = %s, %v; want the pinned head", body, err)
	}
	newClient(t, d).verify(o, mod(3), mod(999))
}

// If nobody has the tiles of a new head, the pinned one is good enough for a
// record that it knows.
func TestNewHeadWithoutItsTiles(t *testing.T) {
	o := newOrigin("", 256)
	r := via(o.get)
	d := newDatabase(t, "", r)
	wantSums(t, d, o, mod(1))
	o.grow(600)
	r.set(func(ctx context.Context, path string) ([]byte, error) {
		if strings.HasPrefix(path, "tile/") {
			return nil, errDown
		}
		return o.get(ctx, path)
	})
	wantSums(t, d, o, mod(2))
	_, _, err := d.Sums(t.Context(), mod(500))
	wantError(t, err, Outage)
	r.set(o.get)
	wantSums(t, d, o, mod(500))
}

// Errors are forgotten; only what every route calls absent is absent, and a
// module that is stored is not asked for.
func TestErrors(t *testing.T) {
	o := newOrigin("", 300)
	r := via(o.get)
	d := newDatabase(t, t.TempDir(), r)
	absent := module.Version{Path: "example.com/absent", Version: "v1.0.0"}
	none := func(context.Context, string) ([]byte, error) { return nil, fs.ErrNotExist }
	noTiles := func(ctx context.Context, path string) ([]byte, error) {
		if strings.HasPrefix(path, "tile/") {
			return nil, fs.ErrNotExist
		}
		return o.get(ctx, path)
	}
	for _, tt := range []struct {
		name   string
		routes []route
		mod    module.Version
		want   Class // "": none
	}{
		{"absent", []route{o.get}, absent, Absent},
		{"absent by one of two", []route{o.get, down}, absent, Outage},
		{"down", []route{down}, mod(1), Outage},
		{"no tiles", []route{noTiles}, mod(1), Outage},
		{"html", []route{func(context.Context, string) ([]byte, error) { return []byte("<html>\n\n"), nil }}, mod(1), Outage},
		{"html, then absent", []route{func(context.Context, string) ([]byte, error) { return []byte("<html>\n\n"), nil }, none}, mod(1), Outage},
		{"too long", []route{func(ctx context.Context, path string) ([]byte, error) {
			data, err := o.get(ctx, path)
			return append(data, strings.Repeat("x", MaxAnswer)...), err
		}}, mod(1), Outage},
		{"healed", []route{down, o.get}, mod(1), ""},
		{"stored", []route{none}, mod(1), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r.set(tt.routes...)
			_, _, err := d.Sums(t.Context(), tt.mod)
			_, _, serr := d.Serve(t.Context(), lookupPath(tt.mod))
			if tt.want == "" {
				if err != nil || serr != nil {
					t.Fatal(err, serr)
				}
				return
			}
			wantError(t, err, tt.want)
			e := wantError(t, serr, tt.want)
			if e.Path != lookupPath(tt.mod) || e.Database != testName || strings.ContainsAny(e.Path, "\n") {
				t.Errorf("got %+v", e)
			}
		})
	}
	_, _, err := d.Sums(t.Context(), module.Version{Path: "not a path", Version: "v1.0.0"})
	wantError(t, err, NotAPath)
}

// A route that lies costs time, and nothing else.
func TestLyingRoutes(t *testing.T) {
	const size = big
	o, other := newOrigin("", size), newOrigin("other", size)
	lies := map[string]func(path string, data []byte) []byte{
		"other records": func(path string, data []byte) []byte {
			return []byte(strings.ReplaceAll(string(data), "h1:", "h1:A"))
		},
		"other tiles": func(path string, data []byte) []byte {
			if strings.HasPrefix(path, "tile/") {
				data, _ = other.get(nil, path)
			}
			return data
		},
		"tiles of zeros": func(path string, data []byte) []byte {
			if strings.HasPrefix(path, "tile/") {
				return make([]byte, len(data))
			}
			return data
		},
		"one wrong tile at the edge": func(path string, data []byte) []byte {
			if strings.HasPrefix(path, "tile/8/1/") && len(data) > 0 {
				data[3] ^= 1
			}
			return data
		},
		"half tiles": func(path string, data []byte) []byte { return data[:len(data)/2] },
		"full tiles alone": func(path string, data []byte) []byte {
			if strings.Contains(path, ".p/") {
				return nil
			}
			return data
		},
	}
	for name, lie := range lies {
		t.Run(name, func(t *testing.T) {
			liar := func(ctx context.Context, path string) ([]byte, error) {
				data, err := o.get(ctx, path)
				return lie(path, data), err
			}
			dir := t.TempDir()
			r := via(liar, o.get)
			d := newDatabase(t, dir, r)
			wantSums(t, d, o, mod(1), mod(65536+300), mod(size-1))
			newClient(t, d).verify(o, mod(1), mod(65536+300), mod(size-1))

			d = newDatabase(t, "", via(liar))
			_, _, err := d.Sums(t.Context(), mod(1))
			wantError(t, err, Outage)
			if !strings.Contains(err.Error(), testName) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// Callers of one module share one lookup. It ends with the last of them, and
// not before.
func TestCoalesce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOrigin("", 300)
		var gone error // why the last lookup ended
		r := via(func(ctx context.Context, path string) ([]byte, error) {
			select {
			case <-time.After(time.Second):
			case <-ctx.Done():
				gone = context.Cause(ctx)
				return nil, gone
			}
			return o.get(ctx, path)
		})
		d := newDatabase(t, "", r)
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				ctx := t.Context()
				if i%2 == 0 { // leaves early
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, 500*time.Millisecond)
					defer cancel()
				}
				_, _, err := d.Sums(ctx, mod(7))
				if i%2 == 0 {
					if wantError(t, err, Outage); !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("left with %v", err)
					}
				} else if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		lookups := 0
		for _, path := range r.reset() {
			if strings.HasPrefix(path, "lookup/") {
				lookups++
			}
		}
		if lookups != 1 || gone != nil {
			t.Errorf("%d lookups, ended by %v; want one that ends by itself", lookups, gone)
		}

		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if _, _, err := d.Sums(ctx, mod(8)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if !errors.Is(gone, errNobodyWaits) {
			t.Errorf("the lookup that nobody waits for ended by %v", gone)
		}
		wantSums(t, d, o, mod(8)) // a new one
	})
}

func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := via(func(ctx context.Context, path string) ([]byte, error) {
			<-ctx.Done()
			return nil, context.Cause(ctx)
		})
		d := newDatabase(t, "", r)
		var errs [3]error
		var wg sync.WaitGroup
		for i, path := range []string{lookupPath(mod(1)), "latest", "tile/8/0/000.p/1"} {
			wg.Go(func() { _, _, errs[i] = d.Serve(t.Context(), path) })
		}
		synctest.Wait()
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		wg.Wait()
		for _, err := range errs {
			wantError(t, err, Outage)
		}
		if _, _, err := d.Sums(t.Context(), mod(1)); !errors.Is(err, ErrClosed) {
			t.Errorf("got %v; want ErrClosed", err)
		}
	})
}

// Many callers at once, while the database grows: run with -race.
func TestConcurrency(t *testing.T) {
	o := newOrigin("", 200)
	dir := t.TempDir()
	d := newDatabase(t, dir, via(o.get))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 25 {
				n := 200 + g*7 + i*20
				if g == 0 {
					o.grow(n)
				}
				wantSums(t, d, o, mod(n%150))
				if i%5 == 0 {
					newClient(t, d).verify(o, mod(n%150), mod(i))
				}
			}
		})
	}
	wg.Wait()
	d.Close()
	d = newDatabase(t, dir, via(down))
	c := newClient(t, d)
	for n := range 25 {
		if n%5 == 0 {
			c.verify(o, mod(n))
		}
	}
}

// Without a folder, or where it is not to be written, all is held in memory.
func TestReadOnly(t *testing.T) {
	o := newOrigin("", 300)
	dir := t.TempDir()
	d := newDatabase(t, dir, via(o.get))
	wantSums(t, d, o, mod(1))
	d.Close()
	before := fmt.Sprint(files(t, dir))

	r := via(down)
	d, err := OpenReadOnly(openDir(t, dir), verifierKey, r.fetch, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	newClient(t, d).verify(o, mod(1))
	o.grow(600)
	r.set(o.get)
	wantSums(t, d, o, mod(599))
	r.set(down)
	newClient(t, d).verify(o, mod(1), mod(599))
	if after := fmt.Sprint(files(t, dir)); after != before {
		t.Errorf("the folder has changed")
	}
}

func TestOpen(t *testing.T) {
	if _, err := Open(nil, "sumdb.example.com", via().fetch, nil); err == nil || !strings.Contains(err.Error(), "verifier key") {
		t.Errorf("a bad key: %v", err)
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "head"), 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(openDir(t, dir), verifierKey, via().fetch, nil); err == nil || !strings.Contains(err.Error(), testName) {
		t.Errorf("a head that is no file: %v", err)
	}
}

func TestHeadsThatAreNone(t *testing.T) {
	d := newDatabase(t, "", via())
	o := newOrigin("", 5)
	good := string(o.head(t))
	h, err := d.parseHead([]byte(good + "— other.example.com Az3grkpNqcZOcvUPGEii+HGw4Omo/J/g+pjjn1+rGRhg6mVhwZBlloAIY+YYfBmHnOZbau4dxH0uzFPHVnZnnD3Sfg4=\n"))
	if err != nil || string(h.note) != good {
		t.Errorf("a head with a stranger's signature: %v, %s; want it without that", err, h.note)
	}
	sign := func(tree tlog.Tree) []byte { return signed(t, string(tlog.FormatTree(tree))) }
	for name, data := range map[string][]byte{
		"nothing":                 nil,
		"html":                    []byte("<html>"),
		"cut":                     []byte(good[:len(good)-10]),
		"changed":                 []byte(strings.Replace(good, "\n5\n", "\n6\n", 1)),
		"larger than arithmetic":  sign(tlog.Tree{N: 1<<63 - 1}),
		"empty and yet something": sign(tlog.Tree{}),
		"no tree":                 signed(t, "hello\n"),
	} {
		if h, err := d.parseHead(data); err == nil {
			t.Errorf("%s: accepted %+v", name, h)
		}
	}
}

// A head of the largest tree there may be is no more than one that does not
// prove: no arithmetic breaks.
func TestHugeTree(t *testing.T) {
	o := newOrigin("", 300)
	r := via(o.get)
	d := newDatabase(t, "", r)
	wantSums(t, d, o, mod(1))
	huge := signed(t, string(tlog.FormatTree(tlog.Tree{N: maxTree, Hash: tlog.Hash{1}})))
	for _, id := range []int64{7, 299, 300, maxTree - 1} {
		r.set(func(ctx context.Context, path string) ([]byte, error) {
			tile, err := tlog.ParseTilePath(path)
			switch {
			case path == "latest":
				return huge, nil
			case err == nil:
				return make([]byte, tile.W*tlog.HashSize), nil
			}
			return fmt.Appendf(nil, "%d\nexample.com/m7 v1.0.0 h1:x\nexample.com/m7 v1.0.0/go.mod h1:y\n\n%s", id, huge), nil
		})
		_, _, err := d.Sums(t.Context(), mod(7))
		wantError(t, err, Outage)
	}
	for _, path := range []string{"tile/8/0/x002/x251/x799/x813/x685/247", "tile/8/7/007", "tile/8/7/000.p/8", "tile/8/6/000.p/255"} {
		if _, _, err := d.Serve(t.Context(), path); err != nil {
			if e := wantError(t, err, NotAPath); e.Path != path {
				t.Error(e)
			}
		}
	}
	r.set(o.get)
	wantSums(t, d, o, mod(7))
}

func TestLRU(t *testing.T) {
	l := newLRU[int, string](3 * (overhead + 10))
	for i := range 4 {
		l.put(i, "x", 10)
		l.get(0)
	}
	if _, ok := l.get(1); ok || l.order.Len() != 3 {
		t.Errorf("%d entries; want the three used last", l.order.Len())
	}
	if v, ok := l.get(0); !ok || v != "x" {
		t.Errorf("what is used is forgotten")
	}
	l.put(0, "large", 1000)
	if v, _ := l.get(0); v != "large" || l.order.Len() != 1 {
		t.Errorf("a large one: %q beside %d", v, l.order.Len())
	}
}
