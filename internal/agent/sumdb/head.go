package sumdb

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/org/goproxy-setup/internal/modproxy"
)

// A head is one that the database signed; it never changes.
type head struct {
	tree tlog.Tree
	note []byte // signed by the database; nil of the empty tree from which all begins
}

var emptyTree = func() tlog.Tree {
	hash, err := tlog.TreeHash(0, nil)
	if err != nil {
		panic(err) // it reads nothing
	}
	return tlog.Tree{Hash: hash}
}()

// maxTree bounds the records of a tree: the arithmetic of package tlog has no
// bounds of its own, and a record for each second since the big bang is less.
const maxTree = 1 << 59

// parseHead verifies a signed note. Of its signatures it keeps those of the
// database: whoever passed it on may have added others, and clients would carry
// them on.
func (d *Database) parseHead(signed []byte) (*head, error) {
	if len(signed) > MaxAnswer {
		return nil, fmt.Errorf("head of the tree: more than %d bytes", MaxAnswer)
	}
	n, err := note.Open(signed, d.verifiers)
	if err != nil {
		return nil, fmt.Errorf("head of the tree: %w; it begins %q", err, modproxy.Excerpt(signed))
	}
	tree, err := tlog.ParseTree([]byte(n.Text))
	if err != nil {
		return nil, fmt.Errorf("head of the tree: %w", err)
	}
	if tree.N > maxTree || tree.N == 0 && tree != emptyTree {
		return nil, fmt.Errorf("head of the tree: there is no tree of %d records with hash %s", tree.N, tree.Hash)
	}
	own, err := note.Sign(&note.Note{Text: n.Text, Sigs: n.Sigs})
	return &head{tree, own}, err
}

// loadHead pins the head of an earlier run. Without one, no record of that run
// may be shown: the head that comes next need not prove it from tiles that are
// here.
func (d *Database) loadHead() error {
	signed, err := d.disk.read("head", MaxAnswer)
	if err == nil {
		h, err := d.parseHead(signed)
		if err == nil {
			d.head.Store(h)
			return nil
		}
		d.log.Warn("checksum database: the pinned head is damaged; a new one will be pinned, whatever it says of the past", "name", d.name, "err", err)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return d.disk.remove("lookup")
}

// merge brings a head that the database signed and the pinned one together: the
// older of them must be the beginning of the newer, which is pinned from then
// on. The error is a [*Fork] if it is not, a [*notKeptError] if all is well
// but for the disk, and otherwise says why nobody can tell.
func (d *Database) merge(ctx context.Context, h *head) error {
	for {
		pinned := d.head.Load()
		switch {
		case pinned.note == nil:
		case h.tree == pinned.tree:
			return nil
		case h.tree.N <= pinned.tree.N:
			p, err := d.contains(ctx, pinned, h)
			if err == nil {
				err = d.keepTiles(p) // a proxy that lags behind gives that head again
			}
			return err
		}
		p, err := d.contains(ctx, h, pinned)
		if err != nil {
			return err
		}
		// Every stored record is in the pinned tree. In the new one it proves
		// by full tiles, which were kept for the old one, and by those at the
		// old tree's edge and above it, which p has just proven.
		if err := d.keepTiles(p); err != nil {
			return err
		}
		if done, err := d.pin(pinned, h); done || err != nil {
			return err
		}
	}
}

// keepTiles keeps what p has proven of a tree that agrees with every head so
// far. Its error is a [*notKeptError].
func (d *Database) keepTiles(p *proof) error {
	if err := d.tiles.keep(p.proven); err != nil {
		return &notKeptError{err}
	}
	return nil
}

// pin pins the head, unless another than old is pinned meanwhile.
func (d *Database) pin(old, next *head) (done bool, err error) {
	d.pinning.Lock()
	defer d.pinning.Unlock()
	if d.head.Load() != old {
		return false, nil
	}
	if err := d.disk.write("head", next.note, true); err != nil {
		return false, &notKeptError{err}
	}
	d.head.Store(next)
	return true, nil
}

// contains checks that the newer tree begins with the older one, and returns
// the tiles that show it. If they show that it does not, the error is a
// [*Fork], and nothing more is answered.
func (d *Database) contains(ctx context.Context, newer, older *head) (*proof, error) {
	p := d.proof(ctx, newer.tree)
	if older.tree.N == newer.tree.N && older.tree.Hash != newer.tree.Hash {
		return nil, d.forked(d.newFork(older, newer, nil)) // two signatures say it all
	}
	reader := tlog.TileHashReader(newer.tree, p)
	hash, err := tlog.TreeHash(older.tree.N, reader)
	if err != nil {
		return nil, fmt.Errorf("comparing the tree of %d records with that of %d: %w", older.tree.N, newer.tree.N, err)
	}
	if hash != older.tree.Hash {
		path, err := tlog.ProveTree(newer.tree.N, older.tree.N, reader) // by the same tiles, mostly
		if err != nil {
			d.log.Debug("checksum database: the proof of a fork is not complete", "name", d.name, "err", err)
		}
		return nil, d.forked(d.newFork(older, newer, append([]tlog.Hash{hash}, path...)))
	}
	return p, nil
}

// refresh asks for the newest head and returns the one that is pinned then.
func (d *Database) refresh(ctx context.Context) (*head, error) {
	return d.latest.do(ctx, "", func(ctx context.Context) (*head, error) {
		signed, err := d.fetch(ctx, "latest", func(data []byte) error {
			_, err := d.parseHead(data)
			return err
		})
		if err != nil {
			return nil, err
		}
		h, err := d.parseHead(signed)
		if err != nil {
			return nil, err
		}
		if err := d.merge(ctx, h); err != nil {
			return nil, err
		}
		return d.head.Load(), nil
	})
}
