package sumdb

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/org/goproxy-setup/internal/checksum"
)

// A record is what the database says about one version of a module.
type record struct {
	id         int64
	text       []byte // its go.sum lines, as they are in the tree
	message    []byte // how an answer begins that has them: number, lines, blank line
	zip, gomod string // h1 hashes
	unkept     error  // why the head whose tree has the record is not pinned, if it is not
}

// parseRecord parses the answer to a lookup of m. It is what it seems to be if
// its record is in a tree that agrees with its head.
func (d *Database) parseRecord(data []byte, m module.Version) (*record, *head, error) {
	if len(data) > MaxAnswer {
		return nil, nil, fmt.Errorf("an answer of more than %d bytes", MaxAnswer)
	}
	sums, err := checksum.ParseRecord(data, m, d.key)
	if err != nil {
		return nil, nil, err
	}
	_, text, signed, err := tlog.ParseRecord(data)
	if err != nil {
		return nil, nil, err
	}
	h, err := d.parseHead(signed)
	if err != nil {
		return nil, nil, err
	}
	message, err := tlog.FormatRecord(sums.ID, text)
	if err != nil {
		return nil, nil, err
	}
	text = message[len(message)-1-len(text) : len(message)-1] // and let go of data
	return &record{id: sums.ID, text: text, message: message, zip: sums.Zip, gomod: sums.GoMod}, h, nil
}

// lookup returns the record of m, proven.
func (d *Database) lookup(ctx context.Context, m module.Version, path string) (*record, error) {
	if err := d.refused(); err != nil {
		return nil, err
	}
	if r, ok := d.records.get(m); ok {
		return r, nil
	}
	r, err := d.lookups.do(ctx, path, func(ctx context.Context) (*record, error) {
		if r, ok := d.stored(ctx, m, path); ok {
			return r, nil
		}
		return d.fetched(ctx, m, path)
	})
	if err == nil {
		err = d.refused() // found by another lookup, while this one was under way
	}
	return r, err
}

// stored returns a record that was proven before, if it still proves.
func (d *Database) stored(ctx context.Context, m module.Version, path string) (*record, bool) {
	pinned := d.head.Load()
	message, err := d.disk.read(path, MaxAnswer)
	if err != nil || pinned.note == nil {
		return nil, false
	}
	r, _, err := d.parseRecord(append(message, pinned.note...), m)
	if err == nil {
		err = d.prove(ctx, pinned.tree, r)
	}
	if err != nil && !isNotKept(err) {
		if ctx.Err() == nil {
			d.log.Warn("checksum database: a stored record does not prove and is fetched anew", "name", d.name, "module", m.Path, "version", m.Version, "err", err)
		}
		return nil, false
	}
	d.keep(m, path, r, false) // it is there
	return r, true
}

// errWrongRecord means that tiles which are true contradict a record.
var errWrongRecord = errors.New("the record is not the one in the signed tree")

// maxRoutes is how many routes may give wrong records before a right one.
const maxRoutes = 8

// fetched asks the routes for the record until one proves.
func (d *Database) fetched(ctx context.Context, m module.Version, path string) (*record, error) {
	var wrong [][]byte // answers
	for range maxRoutes {
		known := wrong // a slow route may still be judged when this is over
		data, err := d.fetch(ctx, path, func(data []byte) error {
			if slices.ContainsFunc(known, func(w []byte) bool { return bytes.Equal(w, data) }) {
				return errWrongRecord
			}
			_, _, err := d.parseRecord(data, m)
			return err
		})
		if err != nil && len(wrong) > 0 {
			return nil, fmt.Errorf("no route gave a record that is in the signed tree: %w", err)
		}
		if err != nil {
			return nil, d.notFetched(path, err)
		}
		r, err := d.adopt(ctx, m, path, data)
		if !errors.Is(err, errWrongRecord) {
			return r, err
		}
		wrong = append(wrong, data)
	}
	return nil, errWrongRecord
}

// adopt proves what the routes answered to a lookup, and keeps it.
func (d *Database) adopt(ctx context.Context, m module.Version, path string, data []byte) (*record, error) {
	r, h, err := d.parseRecord(data, m)
	if err != nil {
		return nil, err
	}
	mergeErr := d.merge(ctx, h)
	if err := d.refused(); err != nil {
		return nil, err
	}
	tree := d.head.Load().tree
	shown := r.id < tree.N
	if !shown && !isNotKept(mergeErr) {
		return nil, mergeErr // only the new head knows the record, and nobody could tell about that head
	}
	if !shown {
		tree, r.unkept = h.tree, mergeErr // agrees with the pinned one: that is enough to vouch
	}
	err = d.prove(ctx, tree, r)
	if err != nil && !isNotKept(err) {
		return nil, err
	}
	if shown {
		d.keep(m, path, r, err == nil)
	}
	return r, nil
}

// keep keeps a record that the pinned head knows; on the disk only if its tiles
// are there, too.
func (d *Database) keep(m module.Version, path string, r *record, onDisk bool) {
	d.records.put(m, r, len(r.message)+len(m.Path)+len(r.zip)+len(r.gomod))
	if !onDisk {
		return
	}
	if err := d.disk.write(path, r.message, false); err != nil {
		d.log.Warn("checksum database: a record is not kept", "name", d.name, "module", m.Path, "version", m.Version, "err", err)
	}
}

// prove proves that the tree has the record, and keeps the tiles which show it.
func (d *Database) prove(ctx context.Context, tree tlog.Tree, r *record) error {
	p := d.proof(ctx, tree)
	list, err := tlog.TileHashReader(tree, p).ReadHashes([]int64{tlog.StoredHashIndex(0, r.id)})
	if err != nil {
		return fmt.Errorf("proving record %d: %w", r.id, err)
	}
	if list[0] != tlog.RecordHash(r.text) {
		return fmt.Errorf("record %d: %w", r.id, errWrongRecord)
	}
	return d.keepTiles(p)
}
