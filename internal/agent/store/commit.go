package store

import (
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/org/goproxy-setup/internal/agent/atomicfile"
)

// A Spool is a file that is being fetched. It is no part of what the store
// serves until it is committed.
type Spool struct {
	f     *os.File // not embedded: its ReadFrom would go around Write
	store *Store
	name  string

	mu    sync.Mutex // guards the fields below
	size  int64      // counted against the bound
	moved bool       // committed: the name is gone
	done  bool
}

// Spool makes an empty spool file. The caller commits or discards it.
func (s *Store) Spool() (*Spool, error) {
	s.mu.Lock()
	s.spools++
	name := filepath.Join("spool", strconv.Itoa(s.spools))
	s.mu.Unlock()
	var f *os.File
	err := s.roomy(func() (err error) {
		f, err = s.disk.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &Spool{f: f, store: s, name: name}, nil
}

// Write appends. The error matches [ErrFull] if there is no room for p.
func (sp *Spool) Write(p []byte) (int, error) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if sp.done {
		return 0, os.ErrClosed
	}
	if err := sp.store.reserve(int64(len(p))); err != nil {
		return 0, err
	}
	sp.size += int64(len(p))
	written := 0
	err := sp.store.roomy(func() error {
		n, err := sp.f.Write(p[written:])
		written += n
		return err
	})
	return written, err
}

// Rewind makes the file empty again.
func (sp *Spool) Rewind() error {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if err := sp.f.Truncate(0); err != nil {
		return err
	}
	sp.store.unreserve(sp.size)
	sp.size = 0
	_, err := sp.f.Seek(0, io.SeekStart)
	return err
}

// ReadAt implements [io.ReaderAt].
func (sp *Spool) ReadAt(p []byte, off int64) (int, error) { return sp.f.ReadAt(p, off) }

// Size returns how many bytes were written.
func (sp *Spool) Size() int64 {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	return sp.size
}

// Open opens the same bytes once more, to be read from the start. It fails
// after Discard.
func (sp *Spool) Open() (*os.File, error) {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if sp.done {
		return nil, os.ErrClosed
	}
	return sp.store.root.Open(sp.name)
}

// Path returns where the bytes are, until they are committed.
func (sp *Spool) Path() string { return filepath.Join(sp.store.dir, sp.name) }

// Discard gives the spool file up. Who has opened it keeps its bytes. Calling
// it again, or after a commit, does nothing.
func (sp *Spool) Discard() {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if sp.done {
		return
	}
	sp.done = true
	sp.f.Close()
	if !sp.moved {
		sp.store.unreserve(sp.size)
		sp.store.disk.Remove(sp.name)
	}
}

// A commit is one for the committer.
type commit struct {
	spool *Spool // nil: the file is there, and its grade is another now
	key   string
	meta  Meta
	done  chan error
}

// Commit gives the bytes of a spool file their final name, off the caller's
// path: the result comes through the channel, once. The spool file can be
// opened until then and is discarded afterwards. On an error nothing is visible
// that was not before.
func (s *Store) Commit(sp *Spool, key string, m Meta) <-chan error {
	c := commit{sp, key, m, make(chan error, 1)}
	queued, closed := s.queue(c)
	switch {
	case closed:
		sp.Discard()
		c.done <- os.ErrClosed
	case !queued:
		s.finish(c) // the disk is slower than the network: wait for it
	}
	return c.done
}

// queue hands c to the committer, unless that is busy or gone.
func (s *Store) queue(c commit) (queued, closed bool) {
	// Under the lock, so that Close does not close the channel meanwhile; the
	// committer takes no lock while it is full.
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false, true
	}
	select {
	case s.commits <- c:
		return true, false
	default:
		return false, false
	}
}

func (s *Store) committer() {
	for c := range s.commits {
		if c.spool == nil {
			s.regrade(c)
			continue
		}
		s.finish(c)
	}
}

func (s *Store) finish(c commit) {
	err := s.roomy(func() error { return s.commit(c) })
	if err != nil {
		s.opt.Log.Warn("file not kept", "file", c.key, "err", err)
	}
	c.spool.Discard()
	c.done <- err
}

func (s *Store) commit(c commit) error {
	path, err := local("cache/download", c.key)
	if err != nil {
		return err
	}
	if err := c.spool.f.Sync(); err != nil {
		return err
	}
	if c.meta.Grade == Pinned {
		if err := s.keepPin(c.key); err != nil {
			return err
		}
	}
	if err := s.disk.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := s.replace(c, path); err != nil {
		return err
	}
	atomicfile.SyncDir(s.disk, filepath.Dir(path))
	s.list(c.key)
	s.evict()
	return nil
}

// replace puts the file and its grade where others may have been. Those may be
// other bytes, of a lower grade, which never appear under the new one.
func (s *Store) replace(c commit, path string) error {
	guard := s.guard(c.key)
	guard.Lock()
	defer guard.Unlock()
	if err := s.remove(c.key); err != nil {
		return err
	}
	err := s.putMeta(c.key, c.meta)
	if err == nil {
		err = s.ziphash(path, c.meta.Sum)
	}
	if err == nil {
		err = s.move(c.spool, path)
	}
	if err != nil {
		s.remove(c.key) // the grade of nothing
		return err
	}
	s.add(name{key: c.key}, c.spool.Size())
	return nil
}

// putMeta writes the grade of a file. It is not made durable: who finds none
// fetches the file anew.
func (s *Store) putMeta(key string, m Meta) error {
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	path, err := local("meta", key)
	if err != nil {
		return err
	}
	return s.small.Write(path, data, false)
}

// ziphash writes the file that the go command keeps beside a zip.
func (s *Store) ziphash(path, sum string) error {
	zip, ok := strings.CutSuffix(path, ".zip")
	if !ok || sum == "" {
		return nil
	}
	return s.small.Write(zip+".ziphash", []byte(sum), false)
}

// move renames the spool file, whose readers keep it.
func (s *Store) move(sp *Spool, path string) error {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if sp.done {
		return os.ErrClosed
	}
	if err := s.disk.Rename(sp.name, path); err != nil {
		return err
	}
	sp.name, sp.moved = path, true
	s.unreserve(sp.size) // it counts as a file from now on
	return nil
}

// list writes the list of versions that the go command reads when the store is
// its GOPROXY, if key is that of a .mod: they are those whose .mod is here.
func (s *Store) list(key string) {
	module, file, _ := strings.Cut(key, "/@v/")
	if !strings.HasSuffix(file, ".mod") {
		return
	}
	s.listing.Lock()
	defer s.listing.Unlock()
	path, err := local("cache/download", module+"/@v/list")
	if err != nil {
		return
	}
	versions, mods := s.versions(module)
	if mods == 0 {
		s.disk.Remove(path)
		return
	}
	var text strings.Builder
	for _, v := range versions {
		text.WriteString(v + "\n")
	}
	if err := s.small.Write(path, []byte(text.String()), false); err != nil {
		s.opt.Log.Warn("list of versions not kept", "file", path, "err", err)
	}
}

// touch notes that a file was used.
func (s *Store) touch(n name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.files[n]; f != nil {
		f.used = time.Now()
	}
}

// add notes a new file.
func (s *Store) add(n name, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.files[n]; f != nil {
		s.stats.Bytes -= f.size
	}
	s.files[n] = &file{size, time.Now()}
	s.stats.Bytes += size
}

func (s *Store) forget(n name) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.files[n]; f != nil {
		s.stats.Bytes -= f.size
		delete(s.files, n)
	}
	if s.gone != nil {
		s.gone[n] = true
	}
}
