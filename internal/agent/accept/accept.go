// Package accept judges fetched module files before anybody sees them.
//
// A file must be what its name says: an .info of that version, a .mod with a
// module line, a zip that the go command can unpack. Then its hash is compared
// with what vouches for it, in this order: the go.sum of the run that asks, the
// checksum database or, for private modules, the hash at the first use. A go.sum
// that contradicts what the database is known to say vouches for nothing.
package accept

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
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

// vouch asks who can tell whether the bytes are the right ones. With an error
// the grade is the one that m had.
func (v *Vouchers) vouch(ctx context.Context, f modproxy.File, m store.Meta) (store.Meta, error) {
	if v.HasSum(f) {
		return m, v.byGoSum(f, m.Sum)
	}
	if v.Sums != nil {
		zip, gomod, name, err := v.sums(ctx, f)
		if err == nil {
			return graded(m, store.Verified, match(f, m.Sum, one(f, zip, gomod), name))
		}
		v.log().LogAttrs(ctx, slog.LevelDebug, "nothing vouches", slog.String("module", f.Path), slog.String("version", f.Version), slog.Any("err", err))
	}
	if v.Pin != nil {
		key, err := f.URLPath()
		if err != nil {
			return m, err
		}
		want, err := v.Pin(key, m.Sum)
		if err != nil {
			return m, err
		}
		err = match(f, m.Sum, want, "the pin of the first use")
		if mismatch, is := errors.AsType[*checksum.MismatchError](err); is {
			mismatch.Next = "if the version was changed on purpose, run \"goproxy-setup agent forget " + f.Path + "@" + f.Version + "\""
		}
		return graded(m, store.Pinned, err)
	}
	return m, nil
}

// graded returns m with a grade that its bytes have if there is no error.
func graded(m store.Meta, g store.Grade, err error) (store.Meta, error) {
	if err == nil {
		m.Grade = g
	}
	return m, err
}

// byGoSum compares a hash with the line of the run's go.sum, and with what the
// checksum database is known to say: whoever sent the go.sum may have made it
// fit the bytes.
func (v *Vouchers) byGoSum(f modproxy.File, h1 string) error {
	if err := match(f, h1, v.goSum(f), "go.sum"); err != nil || v.Recorded == nil {
		return err
	}
	zip, gomod, name, ok := v.Recorded(module.Version{Path: f.Path, Version: f.Version})
	if !ok {
		return nil
	}
	return match(f, h1, one(f, zip, gomod), name)
}

// one returns the hash that is for f's kind.
func one(f modproxy.File, zip, gomod string) string {
	if f.Kind == modproxy.Mod {
		return gomod
	}
	return zip
}

// Known reports whether the run's go.sum names the file's version, or a tagged
// one if the file is of no version.
func (v *Vouchers) Known(f modproxy.File) bool {
	if v.GoSum == nil {
		return false
	}
	if f.Version != "" {
		m := module.Version{Path: f.Path, Version: f.Version}
		return v.GoSum.GoMod(m) != "" || v.GoSum.Zip(m) != ""
	}
	for _, s := range v.GoSum.Sums {
		if s.Module.Path == f.Path && semver.IsValid(s.Module.Version) && !module.IsPseudoVersion(s.Module.Version) {
			return true
		}
	}
	return false
}

// Vouched reports whether m is of bytes that may be served as they are: a grade
// that says so, or a line in the run's go.sum. The error is a mismatch.
func (v *Vouchers) Vouched(f modproxy.File, m store.Meta) (bool, error) {
	if v.HasSum(f) && m.Sum != "" {
		return true, v.byGoSum(f, m.Sum)
	}
	return m.Grade == store.Verified || m.Grade == store.Pinned, nil
}

// Again judges stored bytes, of which nothing but the hash is known, by what
// can vouch now.
func (v *Vouchers) Again(ctx context.Context, f modproxy.File, m store.Meta) (store.Meta, error) {
	m.Grade = store.Unvouched
	return v.vouch(ctx, f, m)
}

// Vouches reports whether somebody vouches for a file that is still to come.
func (v *Vouchers) Vouches(ctx context.Context, f modproxy.File) bool {
	if v.HasSum(f) {
		return true
	}
	if v.Sums == nil {
		return false
	}
	_, _, _, err := v.sums(ctx, f)
	return err == nil
}

// vainFor is how long nobody waits after a wait that was in vain: a build asks
// for one file after the other.
const vainFor = 30 * time.Second

func (v *Vouchers) sums(ctx context.Context, f modproxy.File) (zip, gomod, name string, err error) {
	m := module.Version{Path: f.Path, Version: f.Version}
	if v.Patience == 0 {
		return v.Sums(ctx, m)
	}
	if v.Vain != nil && v.Recorded != nil && time.Now().UnixNano()-v.Vain.Load() < int64(vainFor) {
		zip, gomod, name, ok := v.Recorded(m)
		if !ok {
			err = errVain
		}
		return zip, gomod, name, err
	}
	wait, cancel := context.WithTimeout(ctx, v.Patience)
	defer cancel()
	zip, gomod, name, err = v.Sums(wait, m)
	if err != nil && v.Vain != nil && wait.Err() != nil && ctx.Err() == nil {
		v.Vain.Store(time.Now().UnixNano())
	}
	return zip, gomod, name, err
}

var errVain = errors.New("the checksum database did not answer a moment ago")

// HasSum reports whether the run's go.sum has the hash of a file.
func (v *Vouchers) HasSum(f modproxy.File) bool { return v.goSum(f) != "" }

func (v *Vouchers) goSum(f modproxy.File) string {
	if v.GoSum == nil {
		return ""
	}
	m := module.Version{Path: f.Path, Version: f.Version}
	switch f.Kind {
	case modproxy.Zip:
		return v.GoSum.Zip(m)
	case modproxy.Mod:
		return v.GoSum.GoMod(m)
	}
	return ""
}

func (v *Vouchers) log() *slog.Logger {
	if v.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return v.Log
}

func match(f modproxy.File, got, want, by string) error {
	if got == want {
		return nil
	}
	name := f.Path + "@" + f.Version
	if f.Kind == modproxy.Mod {
		name += "/go.mod"
	}
	return &checksum.MismatchError{File: name, Got: got, Want: want, By: by}
}

// zipSum returns the h1 hash of a zip that the go command can unpack. The hash
// comes first: it bounds the directory, of which [zip.CheckZip] would hold any
// number of entries in memory.
func zipSum(f modproxy.File, b Body) (string, error) {
	sum, err := checksum.HashZip(b, b.Size)
	if err == nil {
		var checked zip.CheckedFiles
		if checked, err = zip.CheckZip(module.Version{Path: f.Path, Version: f.Version}, b.Path); err == nil {
			err = checked.Err()
		}
	}
	if err != nil {
		return "", fmt.Errorf("no zip of this module: %w", err)
	}
	return sum, nil
}

// maxWords bounds the words of a .mod, each of which costs some hundred bytes
// of memory when it is parsed. The longest files that there are have ten thousand.
const maxWords = 1 << 18

// checkMod wants what the go command needs of a .mod: it reads HTML and nothing
// at all as a file without a module line, and keeps that.
func checkMod(data []byte) error {
	if modfile.ModulePath(data) == "" {
		return fmt.Errorf("no go.mod: it has no module line, and begins %q", modproxy.Excerpt(data))
	}
	words := 0
	for _, c := range data {
		if strings.IndexByte(" \t\r\n()[],", c) >= 0 {
			words++
		}
	}
	if words > maxWords {
		return fmt.Errorf("no go.mod: more than %d words", maxWords)
	}
	file, err := modfile.ParseLax("go.mod", data, nil)
	if err != nil {
		return fmt.Errorf("no go.mod: %w", err)
	}
	if file.Module == nil {
		return fmt.Errorf("no go.mod: its module line names no module, and it begins %q", modproxy.Excerpt(data))
	}
	return nil
}

// An info is what the go command reads of an .info.
type info struct {
	Version string
	Time    time.Time
}

func checkInfo(f modproxy.File, data []byte) error {
	var i info
	if err := json.Unmarshal(data, &i); err != nil {
		return fmt.Errorf("no .info: %w; it begins %q", err, modproxy.Excerpt(data))
	}
	switch {
	case f.Canonical() && i.Version != f.Version:
		return fmt.Errorf("an .info of version %q instead of %q", modproxy.Excerpt([]byte(i.Version)), f.Version)
	case i.Version != module.CanonicalVersion(i.Version) || i.Version == "":
		return fmt.Errorf("no .info: its version %q is not canonical", modproxy.Excerpt([]byte(i.Version)))
	}
	return module.Check(f.Path, i.Version)
}

var errUnframed = errors.New("a file whose end cannot be told from a cut connection, and whose hash nobody knows")

// checkList wants versions, one a line: the go command reads HTML as a list
// without versions, and goes on with what it has.
func checkList(data []byte, framed bool) error {
	if !framed {
		return errUnframed
	}
	for line := range bytes.Lines(data) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			continue
		}
		// As the go command: what stands behind the version does not matter.
		version, _, _ := strings.Cut(string(line), " ")
		if !semver.IsValid(version) {
			return fmt.Errorf("no list of versions: a line %q", modproxy.Excerpt(line))
		}
	}
	return nil
}
