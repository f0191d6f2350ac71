package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

func TestEviction(t *testing.T) {
	s := open(t, t.TempDir(), Options{MaxBytes: 10_000})
	for i := range 20 {
		put(t, s, fmt.Sprintf("example.com/a/@v/v1.0.%d.mod", i), make([]byte, 10), Meta{})
		put(t, s, fmt.Sprintf("example.com/a/@v/v1.0.%d.zip", i), make([]byte, 1000), Meta{Sum: "h1:x"})
		if i > 5 {
			if e, err := s.Get("example.com/a/@v/v1.0.0.zip"); err != nil {
				t.Fatalf("the file in use was evicted: %v", err)
			} else {
				e.Close()
			}
		}
	}
	st := s.Stats()
	if st.Bytes > 10_000 || st.Evictions == 0 {
		t.Errorf("stats = %+v; want at most 10000 bytes", st)
	}
	if got := len(s.Versions("example.com/a")); got != 20 {
		t.Errorf("%d .mod files left of 20: small files go last", got)
	}
	if hashes, _ := filepath.Glob(filepath.Join(s.Dir(), "example.com/a/@v/*.ziphash")); len(hashes) > 10 {
		t.Errorf("%d .ziphash files are left", len(hashes))
	}
	if files, bytes, err := s.GC(t.Context(), 500); err != nil || files == 0 || bytes == 0 || s.Stats().Bytes > 500 {
		t.Errorf("GC = %d, %d, %v; %+v left", files, bytes, err, s.Stats())
	}
}

func TestTooMuchIsRefused(t *testing.T) {
	s := open(t, t.TempDir(), Options{MaxBytes: 1000})
	sp, err := s.Spool()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sp.Write(make([]byte, 2000)); !errors.Is(err, ErrFull) {
		t.Errorf("Write = %v; want ErrFull", err)
	}
	sp.Discard()
	sp.Discard()
	if st := s.Stats(); st.SpoolBytes != 0 {
		t.Errorf("%d spool bytes after Discard", st.SpoolBytes)
	}
}

// On a full disk the store gives up what it holds, as much as it must.
func TestFullDisk(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	for i := range 10 {
		put(t, s, fmt.Sprintf("example.com/a/@v/v1.%d.0.zip", i), make([]byte, minRoom), Meta{})
	}
	fullUntil := func(files int) func() error {
		return func() error {
			if s.Stats().Files > files {
				return &os.PathError{Op: "write", Path: "spool/1", Err: syscall.ENOSPC}
			}
			return nil
		}
	}
	if err := s.roomy(fullUntil(7)); err != nil || s.Stats().Files != 7 {
		t.Errorf("%v, and %d files are left of 10", err, s.Stats().Files)
	}
	// What takes the room is somebody else: no reason to lose everything.
	if err := s.roomy(fullUntil(-1)); !errors.Is(err, ErrFull) || !errors.Is(err, syscall.ENOSPC) || s.Stats().Files != 4 {
		t.Errorf("%v, and %d files are left", err, s.Stats().Files)
	}
	tooLarge := func() error { return syscall.EFBIG }
	if err := s.roomy(tooLarge); err != syscall.EFBIG || s.Stats().Files != 4 {
		t.Errorf("a file that is too large: %v, and %d files are left", err, s.Stats().Files)
	}
}

// What is being fetched counts: with the files it stays within the bound.
func TestSpoolMakesRoom(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	for i := range 10 {
		put(t, s, fmt.Sprintf("example.com/a/@v/v1.%d.0.zip", i), make([]byte, 100), Meta{Sum: "h1:x"})
	}
	s.Close()
	s = open(t, dir, Options{MaxBytes: 1000}) // which counts them in the background
	sp, err := s.Spool()
	if err != nil {
		t.Fatal(err)
	}
	for range 60 {
		if _, err := sp.Write(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		<-s.counted
		s.evict() // as who counts them does
		if s.held() > 1000 {
			t.Fatalf("%d bytes are held", s.held())
		}
	}
	if err := <-s.Commit(sp, "example.com/a/@v/v2.0.0+incompatible.zip", Meta{Sum: "h1:x"}); err != nil {
		t.Fatal(err)
	}
	if st := s.Stats(); !s.Has("example.com/a/@v/v2.0.0+incompatible.zip") || st.Files < 2 || st.SpoolBytes != 0 || st.Bytes > 1000 {
		t.Errorf("the new file was evicted, or too much for it: %+v", st)
	}
}

// Answers that change are counted and evicted like files.
func TestMutableIsBounded(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{MaxBytes: 10_000})
	for i := range 100 {
		if err := s.PutMutable(fmt.Sprintf("example.com/m%d/@v/list", i), make([]byte, 1000)); err != nil {
			t.Fatal(err)
		}
		put(t, s, fmt.Sprintf("example.com/m%d/@v/v1.0.0.info", i), []byte("{}"), Meta{})
	}
	left, _ := filepath.Glob(filepath.Join(dir, "mutable/example.com/*/@v/list"))
	if len(left) == 0 || len(left) > 10 || s.Stats().Bytes > 10_000 {
		t.Errorf("%d lists are left, %+v", len(left), s.Stats())
	}
	before := s.Stats()
	s.Close()
	s = open(t, dir, Options{MaxBytes: 10_000})
	<-s.counted
	if after := s.Stats(); after.Bytes != before.Bytes || after.Files != before.Files {
		t.Errorf("after a restart %+v; before %+v", after, before)
	}
}

// What was used lately stays, also if nobody used it since the last start; a
// grade without a file goes.
func TestUseIsRemembered(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	old := time.Now().Add(-100 * time.Hour)
	for i := range 3 {
		key := fmt.Sprintf("example.com/a/@v/v1.%d.0.zip", i)
		put(t, s, key, make([]byte, 100), Meta{Sum: "h1:x"})
		at := old.Add(time.Duration(i) * time.Hour)
		if err := os.Chtimes(filepath.Join(s.Dir(), filepath.FromSlash(key)), at, at); err != nil {
			t.Fatal(err)
		}
	}
	content(t, s, "example.com/a/@v/v1.0.0.zip")
	orphan := filepath.Join(dir, "meta/example.com/a/@v/v9.0.0.mod")
	os.WriteFile(orphan, []byte("{}"), 0o644)
	s.Close()
	s = open(t, dir, Options{})
	if files, _, err := s.GC(t.Context(), 150); err != nil || files != 2 || !s.Has("example.com/a/@v/v1.0.0.zip") {
		t.Errorf("GC removed %d files, %v; want the two that nobody used", files, err)
	}
	if _, err := os.Stat(orphan); err == nil {
		t.Error("the grade of nothing is still there")
	}
}
