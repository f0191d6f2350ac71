// Package store keeps accepted module files on disk.
//
// A file has a key: its path below the URL of a module proxy, such as
// "rsc.io/quote/@v/v1.5.2.zip". Below the store's folder are
//
//	cache/download/KEY   the files, just as the go command keeps them: "GOPROXY=file://…" on it works
//	meta/KEY             grade, source and hash of each
//	mutable/KEY          answers that change: lists, @latest, the .info of a branch
//	pins/KEY             h1 hashes of private modules, as first seen; never evicted
//	sumdb/NAME/          what is known of a checksum database; see package sumdb
//	spool/               files that are being fetched; deleted at the next start
//	quarantine.log       wrong bytes that were refused
//	VERSION, lock
//
// No file has its name below cache/download before its bytes were accepted, are
// complete and on the disk. A crash at any moment leaves less, never a lie: the
// grade is written before the file appears, and taken away after it is gone.
package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// version is that of the layout.
const version = "goproxy-setup store 1\n"

// A Grade says how much is known of a file's bytes.
type Grade string

const (
	Verified  Grade = "verified"  // go.sum of the run or a checksum database vouch for it
	Pinned    Grade = "pinned"    // the same as at the first use; private modules
	Unvouched Grade = "unvouched" // well-formed, and nothing could vouch for it
)

// Options are how a store is opened.
type Options struct {
	MaxBytes int64        // what files and spool may hold together; 0 is no bound
	ReadOnly bool         // nothing is written, and another process may have it open
	Log      *slog.Logger // nil discards
}

// A Store is open for one process. It is safe for concurrent use.
type Store struct {
	dir  string
	root *os.Root
	lock *os.File // nil if read-only
	opt  Options

	commits chan commit
	stop    context.CancelFunc
	wg      sync.WaitGroup

	replacing sync.Mutex // held while a file and its grade are exchanged

	mu     sync.Mutex // guards the fields below
	files  map[string]*file
	stats  Stats
	spools int // names given out
	closed bool
}

// Stats count what a store holds and has done.
type Stats struct {
	Bytes       int64 // of files; those of earlier runs are counted in the background
	Files       int
	SpoolBytes  int64 // being fetched
	Evictions   int64
	Quarantined int64
}

// A file is one that may be evicted.
type file struct {
	size int64
	used time.Time
}

var (
	// ErrLocked means that another process has the store open.
	ErrLocked = errors.New("another agent uses this store")
	// ErrVersion means that the folder holds something else than a store that
	// this program can read.
	ErrVersion = errors.New("not a store of this version")
	// ErrFull means that a file does not fit: into the bound, or on the disk.
	ErrFull = errors.New("the store is full")
	// ErrReadOnly is the error of every writing method of a read-only store.
	ErrReadOnly = errors.New("the store is read-only")
)

// Open opens the store in dir, which is made if it does not exist. The error
// matches [ErrLocked] or [ErrVersion], or is that of the file system; nothing
// was changed then.
func Open(dir string, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{dir: dir, opt: o, files: map[string]*file{}, commits: make(chan commit, 64)}
	if err := s.open(); err != nil {
		s.release()
		return nil, fmt.Errorf("opening the store %s: %w", dir, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	if !o.ReadOnly {
		s.wg.Go(s.committer)
	}
	s.wg.Go(func() { s.count(ctx) })
	return s, nil
}

func (s *Store) open() (err error) {
	if !s.opt.ReadOnly {
		if err := os.MkdirAll(s.dir, 0o755); err != nil {
			return err
		}
	}
	if s.root, err = os.OpenRoot(s.dir); err != nil {
		return err
	}
	if err := s.checkVersion(); err != nil || s.opt.ReadOnly {
		return err
	}
	if s.lock, err = lockFile(filepath.Join(s.dir, "lock")); err != nil {
		return err
	}
	for _, name := range []string{"cache/download", "meta", "mutable", "pins", "sumdb"} {
		if err := s.root.MkdirAll(name, 0o755); err != nil {
			return err
		}
	}
	if err := s.root.RemoveAll("spool"); err != nil { // left by a crash
		return err
	}
	return s.root.Mkdir("spool", 0o700)
}

// checkVersion reads VERSION, or writes it into an empty folder.
func (s *Store) checkVersion() error {
	have, err := s.root.ReadFile("VERSION")
	switch {
	case err == nil && string(have) == version:
		return nil
	case err == nil:
		return fmt.Errorf("%w: VERSION says %.40q; name another folder, or remove this one", ErrVersion, have)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return err
	}
	if len(entries) > 0 || s.opt.ReadOnly {
		return fmt.Errorf("%w: it has no file VERSION; name an empty folder", ErrVersion)
	}
	return writeFile(s.root, "VERSION", []byte(version))
}

// release gives back what open took.
func (s *Store) release() {
	if s.lock != nil {
		s.lock.Close()
	}
	if s.root != nil {
		s.root.Close()
	}
}

// Close waits for what was committed and closes the store.
func (s *Store) Close() error {
	s.mu.Lock()
	again := s.closed
	s.closed = true
	s.mu.Unlock()
	if again {
		return nil
	}
	s.stop()
	close(s.commits)
	s.wg.Wait()
	if !s.opt.ReadOnly {
		s.root.RemoveAll("spool")
	}
	s.release()
	return nil
}

// Dir returns the folder that the go command can use as "GOPROXY=file://…".
func (s *Store) Dir() string { return filepath.Join(s.dir, "cache", "download") }

// Stats returns what is held now.
func (s *Store) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.Files = len(s.files)
	return st
}

// Sub returns a folder for what is known of the checksum database called name.
// The caller closes it.
func (s *Store) Sub(name string) (*os.Root, error) {
	path, err := local("sumdb", name)
	if err != nil {
		return nil, err
	}
	if !s.opt.ReadOnly {
		if err := s.root.MkdirAll(path, 0o755); err != nil {
			return nil, err
		}
	}
	return s.root.OpenRoot(path)
}

// maxKey bounds a key, in bytes.
const maxKey = 1024

// local returns the path of key below a folder of the store.
func local(dir, key string) (string, error) {
	if len(key) > maxKey || !fs.ValidPath(key) || key == "." || strings.ContainsAny(key, "\\:\x00") {
		return "", fmt.Errorf("%.80q is no key of a store", key)
	}
	return filepath.Join(filepath.FromSlash(dir), filepath.FromSlash(key)), nil
}

// writeFile writes a small file under its final name, whole or not at all.
func writeFile(root *os.Root, name string, data []byte) error {
	tmp := name + ".tmp"
	if err := root.WriteFile(tmp, data, 0o644); err != nil {
		root.Remove(tmp)
		return err
	}
	return root.Rename(tmp, name)
}

// writeBelow does the same, and makes the folders above it.
func (s *Store) writeBelow(name string, data []byte) error {
	if s.opt.ReadOnly {
		return ErrReadOnly
	}
	if err := s.root.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return writeFile(s.root, name, data)
}
