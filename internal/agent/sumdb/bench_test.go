package sumdb

import (
	"testing"

	"golang.org/x/mod/module"
)

// The way of an answer that was given before, and of one that was stored by an
// earlier run.
func BenchmarkServe(b *testing.B) {
	o := newOrigin("", big)
	dir := b.TempDir()
	d := newDatabase(b, dir, via(o.get))
	newClient(b, d).verify(o, mod(1))
	for _, bm := range []struct {
		name, path string
		forget     bool
	}{
		{"file=lookup/from=memory", lookupPath(mod(1)), false},
		{"file=lookup/from=disk", lookupPath(mod(1)), true},
		{"file=tile/from=memory", "tile/8/0/000.p/200", false},
		{"file=tile/from=disk", "tile/8/0/000.p/200", true},
	} {
		b.Run(bm.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if bm.forget {
					d.records = newLRU[module.Version, *record](recordsInMemory)
					d.tiles = newTiles(d.disk)
				}
				if _, _, err := d.Serve(b.Context(), bm.path); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
