package sumdb

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/tlog"
)

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
