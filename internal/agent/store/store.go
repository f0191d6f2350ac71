// Package store keeps accepted module files on disk.
//
// A file has a key: its path below the URL of a module proxy, such as
// "rsc.io/quote/@v/v1.5.2.zip". Below the store's folder are
//
//	cache/download/KEY   the files, just as the go command keeps them: "GOPROXY=file://…" on it works
//	meta/KEY             grade, source and hash of each
//	mutable/KEY          answers that change: lists, @latest, the .info of a branch
//	pins/KEY             h1 hashes of private modules, as first seen; never evicted
//	sumdb/NAME+HASH/     what is known of a checksum database; see package sumdb
//	spool/               files that are being fetched; deleted at the next start
//	quarantine.log       wrong bytes that were refused; before them quarantine.log.1
//	VERSION, lock
//
// No file has its name below cache/download before its bytes were accepted, are
// complete and on the disk. A crash at any moment leaves less, never a lie: the
// grade is written before the file appears, and taken away after it is gone. A
// pin is on the disk before the file that made it. A power cut may take the
// grade of a file, which is as good as not there then, and an answer that
// changes; either is fetched anew.
package store

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/org/goproxy-setup/internal/agent/atomicfile"
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
	Log      *slog.Logger // nil discards
}

// A Store is open for one process. It is safe for concurrent use.
type Store struct {
	dir   string
	root  *os.Root
	disk  atomicfile.Dir    // root; what is written goes through it
	small atomicfile.Writer // of files that are written at once
	lock  *os.File
	opt   Options

	commits chan commit
	counted chan struct{} // closed when the files of earlier runs are known
	lost    error         // why some of them are not; read it after counted
	stop    context.CancelFunc
	wg      sync.WaitGroup

	guards    [64]sync.RWMutex  // of files, by key: see guard
	listing   sync.Mutex        // held while a module's list is written
	shrinking sync.Mutex        // held while files are chosen and removed
	noting    sync.Mutex        // held while quarantine.log grows
	pinning   sync.Mutex        // guards pins, and is held while one is looked for
	pins      map[string]string // first uses that are not on the disk yet

	mu     sync.Mutex // guards the fields below; nobody waits for the disk with it
	files  map[name]*file
	gone   map[name]bool // removed while files are counted; nil afterwards
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

// A name is that of a file that may be evicted: below cache/download, or below
// mutable.
type name struct {
	mutable bool
	key     string
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
	// ErrPin means that a pin is there and nobody can tell what it says. No file
	// that it is for is good or bad.
	ErrPin = errors.New("the pin of the first use cannot be read")
)

// Open opens the store in dir, which is made if it does not exist. The error
// matches [ErrLocked] or [ErrVersion], and no file was changed then, or is that
// of the file system.
func Open(dir string, o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Store{dir: dir, opt: o, files: map[name]*file{}, gone: map[name]bool{}, pins: map[string]string{}, commits: make(chan commit, 64), counted: make(chan struct{})}
	if err := s.open(); err != nil {
		s.release()
		return nil, fmt.Errorf("opening the store %s: %w", dir, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.wg.Go(s.committer)
	s.wg.Go(func() { s.count(ctx) })
	return s, nil
}

func (s *Store) open() (err error) {
	if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return err
	}
	known, err := s.openRoot()
	if err != nil {
		return err
	}
	if s.lock, err = lockFile(filepath.Join(s.dir, "lock")); err != nil {
		return err
	}
	if err := s.root.RemoveAll("spool"); err != nil { // left by a crash
		return err
	}
	for _, name := range []string{"cache/download", "meta", "mutable", "pins", "sumdb", "spool"} {
		if err := s.root.MkdirAll(name, 0o755); err != nil {
			return err
		}
	}
	if known {
		return nil
	}
	return s.small.Write("VERSION", []byte(version), false)
}

// openRoot opens the folder, and reports whether a store is in it.
func (s *Store) openRoot() (known bool, err error) {
	if s.root, err = os.OpenRoot(s.dir); err != nil {
		return false, err
	}
	s.write(s.root)
	return s.checkVersion()
}

// write makes dir the one through which files are written and removed.
func (s *Store) write(dir atomicfile.Dir) {
	s.disk = dir
	s.small.Dir, s.small.Temp = dir, "spool"
}

// beside opens the store in dir, which another process may be using, for what
// needs nothing but its files.
func beside(dir string) (*Store, error) {
	s := &Store{dir: dir, opt: Options{Log: slog.New(slog.DiscardHandler)}}
	known, err := s.openRoot()
	if err == nil && !known {
		err = fmt.Errorf("%w: there is none", ErrVersion)
	}
	if err != nil {
		s.release()
		return nil, err
	}
	return s, nil
}

// ours are the names in the folder of a store.
var ours = []string{"lock", "VERSION", "cache", "meta", "mutable", "pins", "sumdb", "spool", "quarantine.log", "quarantine.log.1"}

// checkVersion reads VERSION. Without one, or with nothing in it, the folder is
// a new store if it is empty, or if "lock" says that somebody began to make one
// here, who is still at it or was killed, and there is nothing else.
func (s *Store) checkVersion() (known bool, err error) {
	have, err := s.root.ReadFile("VERSION")
	switch {
	case err == nil && string(have) == version:
		return true, nil
	case err == nil && len(have) > 0:
		return false, fmt.Errorf("%w: VERSION says %.40q; name another folder, or remove this one", ErrVersion, have)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return false, err
	}
	entries, err := fs.ReadDir(s.root.FS(), ".")
	if err != nil {
		return false, err
	}
	// Of the file system, if the folder is one.
	entries = slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.Name() == "lost+found" })
	began := len(entries) == 0
	for _, e := range entries {
		if !slices.Contains(ours, e.Name()) {
			return false, fmt.Errorf("%w: it has no file VERSION, but a file %.80q; name an empty folder", ErrVersion, e.Name())
		}
		began = began || e.Name() == "lock"
	}
	if !began {
		return false, fmt.Errorf("%w: it has no file VERSION; name an empty folder", ErrVersion)
	}
	return false, nil
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
	s.keepPins()
	s.root.RemoveAll("spool")
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

// Sub returns the folder called name for what is known of a checksum database.
// The caller closes it.
func (s *Store) Sub(name string) (*os.Root, error) {
	path, err := local("sumdb", name)
	if err != nil {
		return nil, err
	}
	if err := s.root.MkdirAll(path, 0o755); err != nil {
		return nil, err
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

// guard returns the lock of a file, its grade and what lies beside it: held for
// reading while file and grade are opened together, and for writing while they
// are exchanged or removed. No data is synced with it.
func (s *Store) guard(key string) *sync.RWMutex {
	return &s.guards[maphash.String(seed, key)%uint64(len(s.guards))]
}

var seed = maphash.MakeSeed()
