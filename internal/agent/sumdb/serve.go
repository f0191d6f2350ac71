package sumdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	textType = "text/plain; charset=UTF-8"
	tileType = "application/octet-stream"
)

// Serve answers path, which is unescaped as in a URL's Path and begins behind
// /sumdb/NAME/: "supported", "latest", "lookup/M@V", and "tile/8/…" as the go
// command asks for them. Tiles of another height than 8, and those of level
// "data" that hold whole records, are asked by no go command; they are not
// answered, since nothing here could prove them. "latest" is the pinned head,
// which is also that of every lookup: the newest that the agent has seen.
//
// The caller does not change body. The error is an [*Error].
func (d *Database) Serve(ctx context.Context, path string) (body []byte, contentType string, err error) {
	contentType = textType
	switch kind, _, _ := strings.Cut(path, "/"); {
	case path == "supported":
		return nil, textType, nil // also after a fork: the answer that follows says so, and go asks nobody else
	case path == "latest":
		body, err = d.serveLatest(ctx)
	case kind == "lookup":
		body, err = d.serveLookup(ctx, path)
	case kind == "tile":
		contentType = tileType
		body, err = d.serveTile(ctx, path)
	default:
		err = d.fail(path, NotAPath, errors.New("not a file of a checksum database"))
	}
	if err != nil {
		return nil, "", d.failed(path, err)
	}
	return body, contentType, nil
}

func (d *Database) serveLatest(ctx context.Context) ([]byte, error) {
	h := d.head.Load()
	if err := d.refused(); err != nil || h.note != nil {
		return h.note, err
	}
	h, err := d.refresh(ctx)
	if err != nil {
		return nil, err
	}
	return h.note, d.refused()
}

func (d *Database) serveLookup(ctx context.Context, path string) ([]byte, error) {
	m, err := parseLookup(path)
	if err != nil {
		return nil, d.fail(path, NotAPath, err)
	}
	r, err := d.lookup(ctx, m, path)
	if err != nil {
		return nil, err
	}
	h := d.head.Load()
	if r.id >= h.tree.N {
		return nil, r.unkept
	}
	return slices.Concat(r.message, h.note), nil
}

// maxPath bounds a path, in bytes: no module has one that long.
const maxPath = 1024

// parseLookup is the inverse of [modproxy.LookupPath].
//
// Source: golang.org/x/mod/sumdb.Server.ServeHTTP; it asks for canonical
// versions, too.
func parseLookup(path string) (m module.Version, err error) {
	if len(path) > maxPath {
		return m, fmt.Errorf("longer than %d bytes", maxPath)
	}
	name, version, ok := strings.Cut(strings.TrimPrefix(path, "lookup/"), "@")
	if !ok {
		return m, errors.New("a lookup is MODULE@VERSION")
	}
	if m.Path, err = module.UnescapePath(name); err != nil {
		return m, err
	}
	if m.Version, err = module.UnescapeVersion(version); err != nil {
		return m, err
	}
	if module.CanonicalVersion(m.Version) != m.Version {
		return m, fmt.Errorf("version %q is not canonical", m.Version)
	}
	return m, module.Check(m.Path, m.Version)
}

// parseTile parses the path of a tile that may be asked for.
func parseTile(path string) (tlog.Tile, error) {
	if len(path) > maxPath {
		return tlog.Tile{}, fmt.Errorf("longer than %d bytes", maxPath)
	}
	t, err := tlog.ParseTilePath(path)
	switch {
	case err != nil:
		return t, errors.New("malformed path of a tile")
	case t.H != tileHeight || t.L < 0:
		return t, fmt.Errorf("only tiles of height %d that hold hashes are answered", tileHeight)
	case width(maxTree, t.L, t.N) < t.W:
		return t, errors.New("no tree is that large")
	}
	return t, nil
}

// serveTile answers a tile of the pinned tree with hashes that are proven. A
// client may have seen a newer head elsewhere. If the newest that can be had
// does not know the tile either, it is passed on as it comes, neither proven
// nor kept: the client proves it against its own head.
func (d *Database) serveTile(ctx context.Context, path string) ([]byte, error) {
	t, err := parseTile(path)
	if err != nil {
		return nil, d.fail(path, NotAPath, err)
	}
	if err := d.refused(); err != nil {
		return nil, err
	}
	if data := d.tiles.proven(t); data != nil {
		return data, nil
	}
	h := d.head.Load()
	if width(h.tree.N, t.L, t.N) < t.W {
		d.refresh(ctx) // if that fails, the pinned head is the newest that can be had
		if err := d.refused(); err != nil {
			return nil, err
		}
		h = d.head.Load()
	}
	var data []byte
	if width(h.tree.N, t.L, t.N) < t.W {
		data, err = d.foreignTile(ctx, h, t, path)
	} else {
		data, err = d.provenTile(ctx, h, t)
	}
	if err == nil {
		err = d.refused()
	}
	return data, err
}

// provenTile returns a tile of the pinned tree.
func (d *Database) provenTile(ctx context.Context, h *head, t tlog.Tile) ([]byte, error) {
	whole := t // as wide as it is in the tree
	whole.W = width(h.tree.N, t.L, t.N)
	data, err := d.proofs.do(ctx, whole.Path(), func(ctx context.Context) ([]byte, error) {
		p := d.proof(ctx, h.tree)
		first := tlog.StoredHashIndex(t.L*tileHeight, t.N<<tileHeight)
		if _, err := tlog.TileHashReader(h.tree, p).ReadHashes([]int64{first}); err != nil {
			return nil, err
		}
		if err := d.tiles.keep(p.proven); err != nil {
			d.log.Warn("checksum database: tiles are not kept", "name", d.name, "err", err)
		}
		return p.find(whole), nil
	})
	if err != nil {
		return nil, err
	}
	return data[:t.W*tlog.HashSize], nil
}

// foreignTile passes on what the routes have for a tile that no head known here
// has signed. It must begin as the part of it that is proven.
func (d *Database) foreignTile(ctx context.Context, h *head, t tlog.Tile, path string) ([]byte, error) {
	var begin []byte
	known := t
	if known.W = width(h.tree.N, t.L, t.N); known.W > 0 {
		begin, _ = d.provenTile(ctx, h, known) // nothing, if nobody can prove it now
	}
	data, err := d.passed.do(ctx, path, func(ctx context.Context) ([]byte, error) {
		return d.fetch(ctx, path, func(data []byte) error {
			if len(data) != t.W*tlog.HashSize {
				return fmt.Errorf("a tile of %d bytes instead of %d", len(data), t.W*tlog.HashSize)
			}
			if !bytes.HasPrefix(data, begin) {
				return errWrongTile
			}
			return nil
		})
	})
	if err != nil {
		return nil, d.notFetched(path, err)
	}
	return data, nil
}
