package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// Meta is what is known of a file besides its bytes.
type Meta struct {
	Grade  Grade  `json:"grade"`
	Source string `json:"source,omitempty"` // the proxy that sent it, as the policy names it
	Origin string `json:"origin,omitempty"` // the same whatever it is called: see upstream.Upstream.Origin
	Sum    string `json:"sum,omitempty"`    // h1 hash of a zip or .mod
}

// An Entry is a file of the store, open for reading. It keeps its bytes when
// the file is evicted meanwhile.
type Entry struct {
	*os.File
	Meta
	Size    int64
	ModTime time.Time
}

// Get opens a file; the caller closes it. The error matches [fs.ErrNotExist] if
// it is not there.
func (s *Store) Get(key string) (*Entry, error) {
	path, err := local("cache/download", key)
	if err != nil {
		return nil, err
	}
	guard := s.guard(key)
	guard.RLock()
	f, err := s.root.Open(path)
	if err != nil {
		guard.RUnlock()
		return nil, err
	}
	m := s.meta(key)
	guard.RUnlock()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	s.touch(name{key: key})
	if now := time.Now(); now.Sub(info.ModTime()) > usedAgain {
		s.root.Chtimes(path, now, now) // for the next start, which knows nothing else of its use
	}
	return &Entry{f, m, info.Size(), info.ModTime()}, nil
}

// usedAgain is how much later than noted a file may have been used.
const usedAgain = 24 * time.Hour

// Has reports whether a file is there.
func (s *Store) Has(key string) bool {
	path, err := local("cache/download", key)
	if err != nil {
		return false
	}
	info, err := s.root.Stat(path)
	return err == nil && info.Mode().IsRegular()
}

// meta returns what is known of a file; nothing vouches for one without.
func (s *Store) meta(key string) Meta {
	m := Meta{Grade: Unvouched}
	path, err := local("meta", key)
	if err != nil {
		return m
	}
	data, err := s.root.ReadFile(path)
	if err != nil || json.Unmarshal(data, &m) != nil {
		return Meta{Grade: Unvouched}
	}
	if m.Grade != Verified && m.Grade != Pinned {
		m.Grade = Unvouched
	}
	return m
}

// Versions returns the versions of a module, whose path is escaped, for which
// the .mod is here: what a list may promise when no proxy can be asked.
func (s *Store) Versions(escaped string) []string {
	list, _ := s.versions(escaped)
	return list
}

// versions also returns how many .mod there are, of versions that are no list's
// matter too.
func (s *Store) versions(escaped string) (list []string, mods int) {
	path, err := local("cache/download", escaped+"/@v")
	if err != nil {
		return nil, 0
	}
	f, err := s.root.Open(path)
	if err != nil {
		return nil, 0
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	for _, name := range names {
		v, ok := strings.CutSuffix(name, ".mod")
		if !ok {
			continue
		}
		mods++
		if v, err := module.UnescapeVersion(v); err == nil && semver.IsValid(v) && !module.IsPseudoVersion(v) {
			list = append(list, v)
		}
	}
	slices.SortFunc(list, semver.Compare)
	return list, mods
}

// Mutable returns an answer that may have changed since it was fetched. The
// error matches [fs.ErrNotExist] if there is none, or not all of it.
func (s *Store) Mutable(key string) (data []byte, fetched time.Time, err error) {
	path, err := local("mutable", key)
	if err != nil {
		return nil, time.Time{}, err
	}
	info, err := s.root.Stat(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	if data, err = s.root.ReadFile(path); err != nil {
		return nil, time.Time{}, err
	}
	sum, data, _ := bytes.Cut(data, []byte("\n"))
	if string(sum) != sumLine(data) {
		return nil, time.Time{}, fs.ErrNotExist // a power cut has taken the rest
	}
	s.touch(name{true, key})
	return data, info.ModTime(), nil
}

// PutMutable keeps such an answer, as of now.
func (s *Store) PutMutable(key string, data []byte) error {
	path, err := local("mutable", key)
	if err != nil {
		return err
	}
	whole := append([]byte(sumLine(data)+"\n"), data...)
	if err := s.roomy(func() error { return s.small.Write(path, whole, false) }); err != nil {
		return err
	}
	s.add(name{true, key}, int64(len(whole)))
	return nil
}

// sumLine is what stands before an answer that changes, to tell whether it is
// whole.
func sumLine(data []byte) string { return fmt.Sprintf("%08x", crc32.ChecksumIEEE(data)) }

// Regrade replaces what is known of a file, soon and off the caller's path. Its
// bytes must be those that m tells of.
func (s *Store) Regrade(key string, m Meta) { s.queue(commit{key: key, meta: m}) } // if it is busy, the next one does it

func (s *Store) regrade(c commit) {
	var err error
	if c.meta.Grade == Pinned {
		err = s.keepPin(c.key)
	}
	guard := s.guard(c.key)
	guard.Lock()
	defer guard.Unlock()
	if err == nil && s.Has(c.key) && s.meta(c.key).Sum == c.meta.Sum { // else other bytes stand there meanwhile
		err = s.putMeta(c.key, c.meta)
	}
	if err != nil {
		s.opt.Log.Warn("grade not kept", "file", c.key, "err", err)
	}
}

// Remove takes a file away if its hash is still sum. The error of one that is
// not there is nil.
func (s *Store) Remove(key, sum string) error {
	guard := s.guard(key)
	guard.Lock()
	if s.meta(key).Sum != sum {
		guard.Unlock()
		return nil
	}
	err := s.remove(key)
	guard.Unlock()
	s.list(key)
	return err
}

// remove takes a file away, then its grade. Its guard is held.
func (s *Store) remove(key string) error {
	path, err := local("cache/download", key)
	if err != nil {
		return err
	}
	if err := s.disk.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if zip, ok := strings.CutSuffix(path, ".zip"); ok {
		s.disk.Remove(zip + ".ziphash")
	}
	s.disk.Remove(filepath.Join("meta", filepath.FromSlash(key)))
	s.forget(name{key: key})
	return nil
}
