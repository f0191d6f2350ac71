// Package accept judges fetched module files before anybody sees them.
//
// A file must be what its name says: an .info of that version, a .mod with a
// module line, a zip that the go command can unpack. Then its hash is compared
// with what vouches for it, in this order: the go.sum of the run that asks, the
// checksum database or, for private modules, the hash at the first use. A go.sum
// that contradicts what the database is known to say vouches for nothing.
package accept

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"

	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/modproxy"
)

// Bounds of a file, in bytes. The go command has none for lists and .info
// files; these are a hundred times what the largest of them have.
const (
	maxInfo = 1 << 20
	maxList = 16 << 20
)

// Limit returns how many bytes a file of this kind may have.
func Limit(k modproxy.Kind) int64 {
	switch k {
	case modproxy.Zip:
		return zip.MaxZipFile
	case modproxy.Mod:
		return zip.MaxGoMod
	case modproxy.List:
		return maxList
	}
	return maxInfo
}

// Vouchers are who can say which bytes a file must have. Each may be nil.
type Vouchers struct {
	// GoSum is that of the run that asks. What it vouches for counts in this
	// run alone: a store outlives it.
	GoSum *checksum.GoSum
	// Sums returns the hashes that a checksum database has for a version, and
	// the database's name. An error means that it cannot tell now.
	Sums func(ctx context.Context, m module.Version) (zip, gomod, name string, err error)
	// Recorded is Sums for what is known here: it asks nobody, so that a run whose
	// go.sum is complete does not wait for the database.
	Recorded func(m module.Version) (zip, gomod, name string, ok bool)
	// Patience bounds the wait for Sums, after which nobody vouches; 0 is no bound.
	Patience time.Duration
	// Vain, if not nil, remembers when a wait was in vain, for all who share it:
	// for a while afterwards what is Recorded has to do.
	Vain *atomic.Int64
	// Pin returns the hash that a file had at its first use, and makes it h1 if
	// this is the first. Its error is this machine's: it says nothing of the file.
	Pin func(key, h1 string) (string, error)
	Log *slog.Logger // nil discards
}

// A Body is a fetched file that nobody has seen yet.
type Body struct {
	io.ReaderAt
	Size   int64
	Framed bool   // its end could be told from a connection that was cut
	Path   string // of the file on disk
}

// File judges one file. Its error says what is wrong with the bytes; it is a
// [*checksum.MismatchError] if they are well-formed and others than those that
// somebody vouches for, and matches [store.ErrPin] if nobody can tell.
func (v *Vouchers) File(ctx context.Context, f modproxy.File, b Body) (store.Meta, error) {
	m := store.Meta{Grade: store.Unvouched}
	if f.Kind == modproxy.Zip {
		sum, err := zipSum(f, b)
		if err != nil {
			return m, err
		}
		m.Sum = sum
		return v.vouch(ctx, f, m)
	}
	if b.Size > Limit(f.Kind) {
		return m, fmt.Errorf("%d bytes are too many for a .%s", b.Size, f.Kind)
	}
	data := make([]byte, b.Size)
	if _, err := b.ReadAt(data, 0); err != nil && err != io.EOF {
		return m, err
	}
	switch f.Kind {
	case modproxy.Mod:
		if err := checkMod(data); err != nil {
			return m, err
		}
		// The beginning of a go.mod is one, too. A pin would keep it for ever.
		if !b.Framed && !v.Vouches(ctx, f) {
			return m, errUnframed
		}
		m.Sum = checksum.HashGoMod(data)
		return v.vouch(ctx, f, m)
	case modproxy.List:
		return m, checkList(data, b.Framed)
	}
	return m, checkInfo(f, data)
}

// Imported returns a judge of the files that [store.Store.Import] finds: they are
// judged as if a proxy had sent them, and nobody vouches for them. What sums, a
// go.sum, has other hashes of is refused; it may be nil.
func Imported(ctx context.Context, sums *checksum.GoSum) func(key string, sp *store.Spool) (store.Meta, error) {
	v := &Vouchers{GoSum: sums}
	return func(key string, sp *store.Spool) (store.Meta, error) {
		f, err := modproxy.ParsePath(key)
		if err == nil && !f.Canonical() {
			err = fmt.Errorf("%q is no certain version", modproxy.Excerpt([]byte(f.Version)))
		}
		if err != nil {
			return store.Meta{}, err
		}
		return v.File(ctx, f, Body{ReaderAt: sp, Size: sp.Size(), Framed: true, Path: sp.Path()})
	}
}
