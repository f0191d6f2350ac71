package store

import (
	"encoding/json"
	"errors"
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
	f, err := s.root.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	s.touch(key, info.Size())
	return &Entry{f, s.meta(key), info.Size(), info.ModTime()}, nil
}

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
	if err != nil || json.Unmarshal(data, &m) != nil || m.Grade != Verified && m.Grade != Pinned {
		m.Grade = Unvouched
	}
	return m
}

// Versions returns the versions of a module, whose path is escaped, for which
// the .mod is here: what a list may promise when no proxy can be asked.
func (s *Store) Versions(escaped string) []string {
	path, err := local("cache/download", escaped+"/@v")
	if err != nil {
		return nil
	}
	f, err := s.root.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	names, _ := f.Readdirnames(-1)
	var list []string
	for _, name := range names {
		if v, ok := strings.CutSuffix(name, ".mod"); ok {
			if v, err := module.UnescapeVersion(v); err == nil && semver.IsValid(v) && !module.IsPseudoVersion(v) {
				list = append(list, v)
			}
		}
	}
	slices.SortFunc(list, semver.Compare)
	return list
}

// Mutable returns an answer that may have changed since it was fetched. The
// error matches [fs.ErrNotExist] if there is none.
func (s *Store) Mutable(key string) (data []byte, fetched time.Time, err error) {
	path, err := local("mutable", key)
	if err != nil {
		return nil, time.Time{}, err
	}
	info, err := s.root.Stat(path)
	if err != nil {
		return nil, time.Time{}, err
	}
	data, err = s.root.ReadFile(path)
	return data, info.ModTime(), err
}

// PutMutable keeps such an answer, as of now.
func (s *Store) PutMutable(key string, data []byte) error {
	path, err := local("mutable", key)
	if err != nil {
		return err
	}
	return s.roomy(func() error { return s.writeBelow(path, data) })
}

// Pin returns the hash that key had at its first use, and makes that h1 if this
// is the first.
func (s *Store) Pin(key, h1 string) (pinned string, err error) {
	path, err := local("pins", key)
	if err != nil {
		return "", err
	}
	s.mu.Lock() // two first uses at once: one of them is the first
	defer s.mu.Unlock()
	data, err := s.root.ReadFile(path)
	if err == nil && len(data) > 0 {
		return strings.TrimSpace(string(data)), nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	return h1, s.writeBelow(path, []byte(h1+"\n"))
}

// Unpin forgets the pin of key, and the file with it. The error matches
// [fs.ErrNotExist] if there is no pin.
func (s *Store) Unpin(key string) error {
	path, err := local("pins", key)
	if err != nil {
		return err
	}
	if s.opt.ReadOnly {
		return ErrReadOnly
	}
	if err := s.root.Remove(path); err != nil {
		return err
	}
	return s.remove(key)
}

// maxQuarantine bounds the notes, in bytes: a hostile proxy writes no disk full.
const maxQuarantine = 1 << 20

// Quarantine notes that source sent wrong bytes for key. The bytes are gone.
func (s *Store) Quarantine(key, source, reason string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.Quarantined++
	if s.opt.ReadOnly || s.closed {
		return
	}
	note, err := json.Marshal(map[string]string{"time": time.Now().UTC().Format(time.RFC3339), "file": key, "source": source, "reason": reason})
	if err != nil {
		return
	}
	f, err := s.root.OpenFile("quarantine.log", os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return
	}
	defer f.Close()
	if info, err := f.Stat(); err == nil && info.Size() < maxQuarantine {
		f.Write(append(note, '\n'))
	}
}

// Regrade replaces what is known of a file. Its bytes must be those that m
// tells of.
func (s *Store) Regrade(key string, m Meta) {
	data, err := json.Marshal(m)
	if err != nil {
		return
	}
	s.replacing.Lock()
	defer s.replacing.Unlock()
	if s.meta(key).Sum != m.Sum {
		return // other bytes stand there meanwhile
	}
	if err := s.writeBelow(filepath.Join("meta", filepath.FromSlash(key)), data); err != nil && err != ErrReadOnly {
		s.opt.Log.Warn("grade not kept", "file", key, "err", err)
	}
}

// Remove takes a file away. The error of one that is not there is nil.
func (s *Store) Remove(key string) error {
	if s.opt.ReadOnly {
		return ErrReadOnly
	}
	return s.remove(key)
}

// remove takes a file away, then its grade.
func (s *Store) remove(key string) error {
	path, err := local("cache/download", key)
	if err != nil {
		return err
	}
	if err := s.root.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if zip, ok := strings.CutSuffix(path, ".zip"); ok {
		s.root.Remove(zip + ".ziphash")
	}
	s.root.Remove(filepath.Join("meta", filepath.FromSlash(key)))
	s.forget(key)
	return nil
}
