package sumdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"golang.org/x/mod/sumdb/tlog"
)

// A proof proves hashes of one tree by its tiles: those that are kept, and what
// is missing or wrong there from the routes. It is the [tlog.TileReader] behind
// a [tlog.TileHashReader], which has the last word.
type proof struct {
	tree   tlog.Tree
	local  func(tlog.Tile) []byte                              // may be wrong; nil if there is none
	fetch  func(tlog.Tile) ([]byte, error)                     // may be wrong
	search func(tlog.Tile, func([]byte) error) ([]byte, error) // asks route after route until one is accepted
	proven []hashes                                            // in the tree; not kept yet
}

// proof returns a proof for tree that lasts as long as ctx.
func (d *Database) proof(ctx context.Context, tree tlog.Tree) *proof {
	return &proof{
		tree:  tree,
		local: d.tiles.local,
		fetch: func(t tlog.Tile) ([]byte, error) {
			return d.fetches.do(ctx, t.Path(), func(ctx context.Context) ([]byte, error) {
				return d.fetchTile(ctx, t, func([]byte) error { return nil })
			})
		},
		search: func(t tlog.Tile, check func([]byte) error) ([]byte, error) { return d.fetchTile(ctx, t, check) },
	}
}

// fetchTile asks the routes for a tile of the right size that check accepts.
// Who keeps tiles for others may have dropped a narrow one when it was complete.
func (d *Database) fetchTile(ctx context.Context, t tlog.Tile, check func([]byte) error) ([]byte, error) {
	accept := func(w int) func([]byte) error {
		return func(data []byte) error {
			if len(data) != w*tlog.HashSize {
				return fmt.Errorf("a tile of %d bytes instead of %d", len(data), w*tlog.HashSize)
			}
			return check(data[:t.W*tlog.HashSize])
		}
	}
	data, err := d.fetch(ctx, t.Path(), accept(t.W))
	if err != nil && t.W < fullWidth && ctx.Err() == nil {
		var ferr error
		if data, ferr = d.fetch(ctx, full(t).Path(), accept(fullWidth)); ferr == nil {
			err = nil
		}
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Path(), err)
	}
	return data[:t.W*tlog.HashSize], nil
}

// Height implements [tlog.TileReader].
func (p *proof) Height() int { return tileHeight }

// SaveTiles implements [tlog.TileReader]. That a tile belongs to a tree which
// the database signed says nothing about that tree and the pinned one.
func (p *proof) SaveTiles(list []tlog.Tile, data [][]byte) {
	for i, t := range list {
		if p.find(t) == nil {
			p.proven = append(p.proven, hashes{t, data[i]})
		}
	}
}

// find returns a tile that was proven here, or nil.
func (p *proof) find(t tlog.Tile) []byte {
	if i := slices.IndexFunc(p.proven, func(h hashes) bool { return h.Tile == t }); i >= 0 {
		return p.proven[i].data
	}
	return nil
}

// ReadTiles implements [tlog.TileReader]. The list has the tiles at the tree's
// right edge first, which together give the hash of the tree, and then full
// ones, each after the tile above it, which has its hash.
func (p *proof) ReadTiles(list []tlog.Tile) ([][]byte, error) {
	data, err := p.read(list)
	if err != nil {
		return nil, err
	}
	var edge []int
	at := map[tlog.Tile]int{}
	for i, t := range list {
		at[t] = i
		if t.W < fullWidth {
			edge = append(edge, i)
		}
	}
	if err := p.proveEdge(list, data, edge); err != nil {
		return nil, err
	}
	for i, t := range list {
		if t.W < fullWidth {
			continue
		}
		parent := tlog.Tile{H: t.H, L: t.L + 1, N: t.N >> tileHeight}
		parent.W = width(p.tree.N, parent.L, parent.N)
		above, ok := at[parent]
		if !ok {
			return nil, fmt.Errorf("tile %s without the one above it", t.Path())
		}
		want, err := tlog.HashFromTile(parent, data[above], tlog.StoredHashIndex(parent.L*tileHeight, t.N))
		if err != nil {
			return nil, err
		}
		if data[i], err = p.proveFull(t, data[i], want); err != nil {
			return nil, err
		}
	}
	return data, nil
}

// read returns each tile from the first place that has one, right or wrong.
func (p *proof) read(list []tlog.Tile) ([][]byte, error) {
	data, errs := make([][]byte, len(list)), make([]error, len(list))
	var wg sync.WaitGroup
	for i, t := range list {
		if data[i] = p.find(t); data[i] != nil {
			continue
		}
		if data[i] = p.local(t); data[i] != nil {
			continue
		}
		wg.Go(func() { data[i], errs[i] = p.fetch(t) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return data, nil
}

// proveFull returns the tile whose hash is want.
func (p *proof) proveFull(t tlog.Tile, data []byte, want tlog.Hash) ([]byte, error) {
	check := func(data []byte) error {
		const top = tileHeight - 1 // the uppermost level that a tile gives: two hashes
		left, lerr := tlog.HashFromTile(t, data, tlog.StoredHashIndex(t.L*tileHeight+top, 2*t.N))
		right, rerr := tlog.HashFromTile(t, data, tlog.StoredHashIndex(t.L*tileHeight+top, 2*t.N+1))
		if lerr != nil || rerr != nil || tlog.NodeHash(left, right) != want {
			return errWrongTile
		}
		return nil
	}
	if check(data) == nil {
		return data, nil
	}
	return p.search(t, check)
}

var errWrongTile = errors.New("the tile does not belong to the signed tree")

const (
	maxCandidates   = 8    // of one tile; there are not that many routes
	maxCombinations = 4096 // of the tiles at the edge
)

// proveEdge sees to it that the tiles at the tree's edge give its hash. Each of
// them proves nothing alone: if they do not fit together, it gathers what every
// route has for each, and looks for those that do.
func (p *proof) proveEdge(list []tlog.Tile, data [][]byte, edge []int) error {
	if p.fits(list, data, edge) {
		return nil
	}
	candidates := make([][][]byte, len(edge))
	errs := make([]error, len(edge))
	var wg sync.WaitGroup
	for k, i := range edge {
		wg.Go(func() { candidates[k], errs[k] = p.gather(list[i], data[i]) })
	}
	wg.Wait()
	tries := 0
	var choose func(k int) bool
	choose = func(k int) bool {
		if k == len(edge) {
			tries++
			return p.fits(list, data, edge)
		}
		for _, c := range candidates[k] {
			data[edge[k]] = c
			if tries < maxCombinations && choose(k+1) {
				return true
			}
		}
		return false
	}
	if choose(0) {
		return nil
	}
	return fmt.Errorf("no route has the tiles at the edge of the signed tree of %d records, such as %w", p.tree.N, errs[0])
}

// gather returns the different versions of a tile that there are, and an error
// that says what the routes did.
func (p *proof) gather(t tlog.Tile, first []byte) ([][]byte, error) {
	var mu sync.Mutex
	found := [][]byte{first}
	_, err := p.search(t, func(data []byte) error {
		mu.Lock()
		defer mu.Unlock()
		known := slices.ContainsFunc(found, func(f []byte) bool { return bytes.Equal(f, data) })
		if !known && len(found) < maxCandidates {
			found = append(found, bytes.Clone(data))
		}
		return errNextPlease
	})
	mu.Lock()
	defer mu.Unlock()
	return slices.Clone(found), err
}

var errNextPlease = errors.New("not all tiles at the edge fit the signed tree")

// fits reports whether the tiles at the edge give the hash of the tree.
func (p *proof) fits(list []tlog.Tile, data [][]byte, edge []int) bool {
	hash, err := tlog.TreeHash(p.tree.N, tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		out := make([]tlog.Hash, len(indexes))
		for j, x := range indexes {
			t := tlog.TileForIndex(tileHeight, x)
			k := slices.IndexFunc(edge, func(i int) bool { return list[i].L == t.L && list[i].N == t.N })
			if k < 0 {
				return nil, errWrongTile
			}
			var err error
			if out[j], err = tlog.HashFromTile(list[edge[k]], data[edge[k]], x); err != nil {
				return nil, err
			}
		}
		return out, nil
	}))
	return err == nil && hash == p.tree.Hash
}
