package store

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
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
	if s.opt.ReadOnly {
		return nil, ErrReadOnly
	}
	s.mu.Lock()
	s.spools++
	name := filepath.Join("spool", strconv.Itoa(s.spools))
	s.mu.Unlock()
	var f *os.File
	err := s.roomy(func() (err error) {
		f, err = s.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
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
func (sp *Spool) Rewind(size int64) error {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if size >= sp.size {
		return nil
	}
	if err := sp.f.Truncate(size); err != nil {
		return err
	}
	sp.store.unreserve(sp.size - size)
	sp.size = size
	_, err := sp.f.Seek(size, 0)
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
	sp.store.unreserve(sp.size)
	if !sp.moved {
		sp.store.root.Remove(sp.name)
	}
}

// A commit is one for the committer.
type commit struct {
	spool *Spool
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
	s.mu.Lock()
	closed := s.closed
	if !closed {
		// Under the lock, so that Close does not close the channel meanwhile;
		// the committer takes no lock while it is full.
		select {
		case s.commits <- c:
			s.mu.Unlock()
			return c.done
		default:
		}
	}
	s.mu.Unlock()
	if closed {
		sp.Discard()
		c.done <- os.ErrClosed
		return c.done
	}
	s.finish(c) // the disk is slower than the network: wait for it
	return c.done
}

func (s *Store) committer() {
	for c := range s.commits {
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
	if err := s.root.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	s.replacing.Lock()
	defer s.replacing.Unlock()
	// Other bytes may stand there, of a lower grade: never let them appear
	// under the new one.
	if err := s.remove(c.key); err != nil {
		return err
	}
	meta, err := json.Marshal(c.meta)
	if err != nil {
		return err
	}
	if err := s.writeBelow(filepath.Join("meta", filepath.FromSlash(c.key)), meta); err != nil {
		return err
	}
	if err := s.ziphash(path, c.meta.Sum); err != nil {
		return err
	}
	if err := s.move(c.spool, path); err != nil {
		return err
	}
	s.syncDir(filepath.Dir(path))
	s.add(c.key, c.spool.Size())
	s.evict()
	return nil
}

// ziphash writes the file that the go command keeps beside a zip.
func (s *Store) ziphash(path, sum string) error {
	zip, ok := strings.CutSuffix(path, ".zip")
	if !ok || sum == "" {
		return nil
	}
	return s.writeBelow(zip+".ziphash", []byte(sum))
}

// move renames the spool file, whose readers keep it.
func (s *Store) move(sp *Spool, path string) error {
	sp.mu.Lock()
	defer sp.mu.Unlock()
	if sp.done {
		return os.ErrClosed
	}
	if err := s.root.Rename(sp.name, path); err != nil {
		return err
	}
	sp.name, sp.moved = path, true
	return nil
}

// syncDir makes a new name survive a power cut. Not every system can; what is
// lost there is fetched again.
func (s *Store) syncDir(dir string) {
	if d, err := s.root.Open(dir); err == nil {
		d.Sync()
		d.Close()
	}
}

// touch notes that a file was used.
func (s *Store) touch(key string, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.files[key]; f != nil {
		f.used = time.Now()
		return
	}
	s.files[key] = &file{size, time.Now()}
	s.stats.Bytes += size
}

// add notes a new file.
func (s *Store) add(key string, size int64) {
	s.forget(key)
	s.touch(key, size)
}

func (s *Store) forget(key string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.files[key]; f != nil {
		s.stats.Bytes -= f.size
		delete(s.files, key)
	}
}
