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

// Who comes after the last caller has left does not join the call that was
// cancelled, even while that has not ended.
func TestNoCancelledFlightIsJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var g flights[int]
		slow := func(ctx context.Context) (int, error) {
			time.Sleep(time.Second)
			return 1, context.Cause(ctx)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
		defer cancel()
		if _, err := g.do(ctx, "key", slow); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("left with %v", err)
		}
		if v, err := g.do(t.Context(), "key", slow); v != 1 || err != nil {
			t.Errorf("got %d, %v; want an answer", v, err)
		}
		g.close()
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

// Without a folder all is held in memory.
func TestInMemory(t *testing.T) {
	o := newOrigin("", 300)
	r := via(o.get)
	d := newDatabase(t, "", r)
	wantSums(t, d, o, mod(1))
	o.grow(600)
	wantSums(t, d, o, mod(599))
	r.set(down)
	newClient(t, d).verify(o, mod(1), mod(599))
}

// What is known is so without asking anybody, also after a restart.
func TestKnown(t *testing.T) {
	o := newOrigin("", 300)
	r := via(o.get)
	dir := t.TempDir()
	d := newDatabase(t, dir, r)
	wantSums(t, d, o, mod(1))
	d.Close()
	r.set(func(ctx context.Context, path string) ([]byte, error) {
		if ctx.Err() == nil {
			t.Errorf("asked for %s", path)
		}
		return nil, errDown
	})
	d = newDatabase(t, dir, r)
	for range 2 {
		if zip, gomod, ok := d.Known(mod(1)); !ok || zip != o.hash(mod(1).Path+mod(1).Version) || gomod == "" {
			t.Errorf("Known = %q, %q, %v", zip, gomod, ok)
		}
		if _, _, ok := d.Known(mod(2)); ok {
			t.Error("known, and nobody has asked for it")
		}
	}
	if err := os.RemoveAll(filepath.Join(dir, "tile")); err != nil {
		t.Fatal(err)
	}
	if _, _, ok := newDatabase(t, dir, r).Known(mod(1)); ok {
		t.Error("known, and nothing proves it")
	}
}

// A database with another key is another one.
func TestFolder(t *testing.T) {
	if a, b := Folder(verifierKey), Folder(strings.Replace(verifierKey, "+", "+0", 1)); a == b || !strings.HasPrefix(a, testName+"+") || strings.Count(a, "+") != 1 {
		t.Errorf("folders %q and %q", a, b)
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
