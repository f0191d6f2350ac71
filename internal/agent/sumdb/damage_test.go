package sumdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/tlog"
)

// Whatever becomes of a file: with routes it heals, and without them nothing
// wrong is said.
func TestDamagedFiles(t *testing.T) {
	const size = 700
	damages := map[string]func(string) string{
		"empty":               func(string) string { return "" },
		"half":                func(s string) string { return s[:len(s)/2] },
		"first bit":           func(s string) string { return string(s[0]^1) + s[1:] },
		"last bit":            func(s string) string { return s[:len(s)-1] + string(s[len(s)-1]^1) },
		"a bit in the middle": func(s string) string { return s[:len(s)/2] + string(s[len(s)/2]^1) + s[len(s)/2+1:] },
		"longer":              func(s string) string { return s + strings.Repeat("\n", 32) },
		"endless":             func(s string) string { return s + strings.Repeat("x", 1<<20) },
	}
	o := newOrigin("", size)
	mods := []module.Version{mod(1), mod(300), mod(size - 1)}
	base := t.TempDir()
	d := newDatabase(t, base, via(o.get))
	wantSums(t, d, o, mods...)
	newClient(t, d).verify(o, mods...)
	d.Close()
	healthy := files(t, base)
	if len(healthy) < 3+4 {
		t.Fatalf("stored %d files", len(healthy))
	}
	for name := range healthy {
		for how, damage := range damages {
			t.Run(name+"/"+how, func(t *testing.T) {
				t.Parallel()
				dir := t.TempDir()
				for n, data := range healthy {
					if n == name {
						data = damage(data)
					}
					write(t, dir, n, data)
				}
				r := via(down)
				d := newDatabase(t, dir, r)
				for _, m := range mods {
					zip, _, err := d.Sums(t.Context(), m)
					if err == nil && zip != o.hash(m.Path+m.Version) {
						t.Fatalf("Sums(%s) = %q", m, zip)
					} else if err != nil {
						wantError(t, err, Outage)
					}
				}
				r.set(o.get)
				newClient(t, d).verify(o, mods...)
				d.Close()
				r.set(down)
				newClient(t, newDatabase(t, dir, r)).verify(o, mods...) // healed
			})
		}
	}
}

func write(t testing.TB, dir, name, data string) {
	t.Helper()
	name = filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(data), 0o644); err != nil {
		t.Fatal(err)
	}
}

var errDead = errors.New("the process was killed")

// A dying folder does so many operations and then none: the process was killed
// there, perhaps in the middle of a file, or the disk is full.
type dying struct {
	*os.Root
	left int // operations
}

func (d *dying) step() error {
	if d.left--; d.left < 0 {
		return errDead
	}
	return nil
}

func (d *dying) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	if flag&os.O_CREATE == 0 {
		return d.Root.OpenFile(name, flag, perm)
	}
	if err := d.step(); err != nil {
		return nil, err
	}
	f, err := d.Root.OpenFile(name, flag, perm)
	if err == nil && d.step() != nil {
		f.Close() // nothing can be written any more
	}
	return f, err
}

func (d *dying) Rename(from, to string) error {
	if err := d.step(); err != nil {
		return err
	}
	return d.Root.Rename(from, to)
}

func (d *dying) Remove(name string) error {
	if d.left < 0 {
		return errDead
	}
	return d.Root.Remove(name)
}

func openDying(t testing.TB, dir string, left int, r *routes) *Database {
	t.Helper()
	d, err := open(newDisk(&dying{openDir(t, dir), left}), verifierKey, r.fetch, testLog(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

// At whatever moment the process dies: what it has shown to a client, the next
// one still proves, and its head is not older.
func TestKill(t *testing.T) {
	for left := 0; ; left++ {
		dir := t.TempDir()
		o := newOrigin("", 200)
		r := via(o.get)
		d := openDying(t, dir, left, r)
		var shown []module.Version
		head := int64(0)
		for _, size := range []int{200, 256, 600} {
			o.grow(size)
			for _, m := range []module.Version{mod(size - 1), mod(size / 2)} {
				wantSums(t, d, o, m) // a full disk is no reason not to know
				body, _, err := d.Serve(t.Context(), lookupPath(m))
				if err != nil {
					if wantError(t, err, Outage); !strings.Contains(err.Error(), "disk") && !strings.Contains(err.Error(), "keep") {
						t.Errorf("after %d operations: %v", left, err)
					}
					continue
				}
				if _, ok := files(t, dir)[lookupPath(m)]; ok {
					shown = append(shown, m)
				}
				_, h, err := d.parseRecord(body, m)
				if err != nil {
					t.Fatal(err)
				}
				head = h.tree.N
				if n := pinned(t, dir); n != head {
					t.Fatalf("after %d operations: an answer shows a head of %d records, the disk has %d", left, head, n)
				}
			}
		}
		survived := d.disk.root.(*dying).left >= 0
		d.Close()
		r.set(down)
		d = newDatabase(t, dir, r)
		if n := d.head.Load().tree.N; n < head {
			t.Fatalf("after %d operations: the head is of %d records, one of %d was shown", left, n, head)
		}
		newClient(t, d).verify(o, shown...)
		if tmp := fmt.Sprint(files(t, filepath.Join(dir, "tmp"))); tmp != "map[]" {
			t.Errorf("temporary files are left: %s", tmp)
		}
		if survived {
			if len(shown) != 6 || left < 30 {
				t.Fatalf("%d modules after %d operations", len(shown), left)
			}
			return
		}
	}
}

// A disk that heals keeps what comes then, and what it has missed.
func TestFullDisk(t *testing.T) {
	o := newOrigin("", 300)
	r := via(o.get)
	dir := t.TempDir()
	d := openDying(t, dir, 0, r)
	wantSums(t, d, o, mod(1))
	_, _, err := d.Serve(t.Context(), lookupPath(mod(1)))
	if wantError(t, err, Outage); !errors.Is(err, errDead) {
		t.Errorf("got %v; want the disk's error", err)
	}
	if _, _, err := d.Serve(t.Context(), "latest"); !errors.Is(err, errDead) {
		t.Errorf("latest: %v; want the disk's error", err)
	}
	if _, _, err := d.Serve(t.Context(), "tile/8/0/000"); err != nil {
		t.Errorf("a tile: %v", err)
	}
	d.disk.root.(*dying).left = 1000
	newClient(t, d).verify(o, mod(1), mod(2))
	d.Close()
	newClient(t, newDatabase(t, dir, via(down))).verify(o, mod(1), mod(2))
}

// An evidence that can't be written is one still.
func TestForkOnAFullDisk(t *testing.T) {
	r := via(newOrigin("", 5).get)
	d := openDying(t, t.TempDir(), 1000, r)
	if _, _, err := d.Serve(t.Context(), "latest"); err != nil {
		t.Fatal(err)
	}
	d.disk.root.(*dying).left = 0
	r.set(newOrigin("other", 5).get)
	for range 2 {
		_, _, err := d.Sums(t.Context(), mod(1))
		wantError(t, err, Security)
	}
}

// A head that was lost is replaced, but shows no record of the past: nobody
// knows whether it proves.
func TestLostHead(t *testing.T) {
	o := newOrigin("", 300)
	dir := t.TempDir()
	r := via(o.get)
	d := newDatabase(t, dir, r)
	wantSums(t, d, o, mod(1), mod(2))
	d.Close()
	if err := os.Remove(filepath.Join(dir, "head")); err != nil {
		t.Fatal(err)
	}
	o.grow(700)
	d = newDatabase(t, dir, via(func(ctx context.Context, path string) ([]byte, error) {
		if path == "latest" {
			return o.get(ctx, path)
		}
		return nil, errDown
	}))
	if _, _, err := d.Serve(t.Context(), "latest"); err != nil {
		t.Fatal(err)
	}
	_, _, err := d.Serve(t.Context(), lookupPath(mod(1)))
	wantError(t, err, Outage)
	for name := range files(t, dir) {
		if strings.HasPrefix(name, "lookup/") {
			t.Errorf("%s is still there", name)
		}
	}
}

// A record whose tiles could not be written is answered, and not written
// either: after a restart it would not prove.
func TestTilesThatAreNotKept(t *testing.T) {
	o := newOrigin("", 300)
	dir := t.TempDir()
	d := newDatabase(t, dir, via(o.get))
	if _, _, err := d.Serve(t.Context(), "latest"); err != nil {
		t.Fatal(err)
	}
	write(t, dir, "tile", "no folder")
	newClient(t, d).verify(o, mod(1))
	for name := range files(t, dir) {
		if name != "head" && name != "tile" {
			t.Errorf("%s was written", name)
		}
	}
}

// The disk keeps the widest version of a tile.
func TestWidestTile(t *testing.T) {
	files := newDisk(openDir(t, t.TempDir()))
	defer files.close()
	if err := files.start(); err != nil {
		t.Fatal(err)
	}
	o := newOrigin("", 300)
	whole, err := o.get(t.Context(), "tile/8/0/000")
	if err != nil {
		t.Fatal(err)
	}
	tile := func(w int) hashes { return hashes{tlog.Tile{H: 8, W: w}, whole[:w*tlog.HashSize]} }
	for _, tt := range []struct{ keep, want int }{{100, 100}, {50, 100}, {101, 101}, {256, 256}, {1, 256}} {
		for _, s := range []*tiles{newTiles(files), newTiles(files)} { // which know nothing of the disk
			if err := s.keep([]hashes{tile(tt.keep)}); err != nil {
				t.Fatal(err)
			}
			if got := s.stored(tile(1).Tile); !bytes.Equal(got, tile(tt.want).data) {
				t.Errorf("after one of width %d: %d bytes; want width %d", tt.keep, len(got), tt.want)
			}
		}
	}
	other := hashes{tlog.Tile{H: 8, W: 2}, make([]byte, 2*tlog.HashSize)}
	if err := newTiles(files).keep([]hashes{other}); err != nil || !bytes.Equal(newTiles(files).local(other.Tile), other.data) {
		t.Errorf("what is proven does not replace what is damaged: %v", err)
	}
}
