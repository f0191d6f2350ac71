package store

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func open(t *testing.T, dir string, o Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// put commits data under key and waits for it.
func put(t *testing.T, s *Store, key string, data []byte, m Meta) {
	t.Helper()
	sp, err := s.Spool()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := sp.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := <-s.Commit(sp, key, m); err != nil {
		t.Fatal(err)
	}
}

func content(t *testing.T, s *Store, key string) (string, Meta) {
	t.Helper()
	e, err := s.Get(key)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	data, err := io.ReadAll(e)
	if err != nil || int64(len(data)) != e.Size {
		t.Fatalf("read %d bytes of %d: %v", len(data), e.Size, err)
	}
	return string(data), e.Meta
}

const modKey = "example.com/a/@v/v1.0.0.mod"

func TestCommitSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	meta := Meta{Grade: Verified, Source: "corp", Origin: "0123", Sum: "h1:x"}
	put(t, s, modKey, []byte("module example.com/a\n"), meta)
	put(t, s, "example.com/a/@v/v1.0.0.zip", []byte("PK"), Meta{Grade: Pinned, Source: "corp", Sum: "h1:y"})
	s.Close()
	s = open(t, dir, Options{})
	if text, m := content(t, s, modKey); text != "module example.com/a\n" || m != meta {
		t.Errorf("Get = %q, %+v; want what was committed", text, m)
	}
	if sum, err := os.ReadFile(filepath.Join(s.Dir(), "example.com/a/@v/v1.0.0.ziphash")); err != nil || string(sum) != "h1:y" {
		t.Errorf("ziphash = %q, %v", sum, err)
	}
	if got := s.Versions("example.com/a"); !slices.Equal(got, []string{"v1.0.0"}) {
		t.Errorf("Versions = %q", got)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, "spool", "*")); len(left) > 0 {
		t.Errorf("spool files left: %v", left)
	}
}

// A file that was not graded by us is worth no more than its form.
func TestNoGradeIsUnvouched(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	put(t, s, modKey, []byte("module a\n"), Meta{Grade: Verified})
	for _, text := range []string{"", "{", `{"grade":"excellent"}`} {
		os.WriteFile(filepath.Join(dir, "meta", filepath.FromSlash(modKey)), []byte(text), 0o644)
		if _, m := content(t, s, modKey); m.Grade != Unvouched {
			t.Errorf("with grade file %q: %+v", text, m)
		}
	}
}

func TestReadersKeepTheirBytes(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	sp, err := s.Spool()
	if err != nil {
		t.Fatal(err)
	}
	sp.Write([]byte("first"))
	early, err := sp.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer early.Close()
	if err := <-s.Commit(sp, modKey, Meta{}); err != nil {
		t.Fatal(err)
	}
	put(t, s, modKey, []byte("second"), Meta{})
	if data, err := io.ReadAll(early); err != nil || string(data) != "first" {
		t.Errorf("the spool's reader reads %q, %v", data, err)
	}
	if text, _ := content(t, s, modKey); text != "second" {
		t.Errorf("Get = %q", text)
	}
	sp.Discard() // does nothing
	if _, err := sp.Open(); err == nil {
		t.Error("a spool file can be opened after the commit")
	}
}

func TestHostileKeys(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(dir, "outside.mod")
	os.WriteFile(outside, []byte("secret"), 0o644)
	s := open(t, filepath.Join(dir, "store"), Options{})
	os.Symlink(outside, filepath.Join(s.Dir(), "link.mod"))
	for _, key := range []string{"", ".", "..", "/etc/passwd", "../../../outside.mod", "a/../../b", "a//b", "a/", "a\\b", "c:/x", "a\x00b", "link.mod", strings.Repeat("a", 2000), strings.Repeat("a/", 300) + strings.Repeat("b", 300)} {
		if e, err := s.Get(key); err == nil {
			e.Close()
			t.Errorf("Get(%q) opens a file", key)
		}
		if s.Has(key) {
			t.Errorf("Has(%q)", key)
		}
		if key == "link.mod" || strings.HasSuffix(key, "b") && len(key) > 500 {
			continue
		}
		sp, err := s.Spool()
		if err != nil {
			t.Fatal(err)
		}
		if err := <-s.Commit(sp, key, Meta{}); err == nil {
			t.Errorf("Commit under %q", key)
		}
	}
	if data, err := os.ReadFile(outside); err != nil || string(data) != "secret" {
		t.Errorf("a file outside of the store changed: %q, %v", data, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	t.Run("a folder of something else", func(t *testing.T) {
		dir := t.TempDir()
		os.WriteFile(filepath.Join(dir, "precious"), []byte("x"), 0o644)
		if _, err := Open(dir, Options{}); !errors.Is(err, ErrVersion) {
			t.Errorf("Open = %v; want ErrVersion", err)
		}
		if names, _ := os.ReadDir(dir); len(names) != 1 {
			t.Errorf("the folder changed: %v", names)
		}
	})
	t.Run("a store of another version", func(t *testing.T) {
		dir := t.TempDir()
		os.WriteFile(filepath.Join(dir, "VERSION"), []byte("goproxy-setup store 9\n"), 0o644)
		os.Mkdir(filepath.Join(dir, "spool"), 0o755)
		if _, err := Open(dir, Options{}); !errors.Is(err, ErrVersion) {
			t.Errorf("Open = %v; want ErrVersion", err)
		}
		if _, err := os.Stat(filepath.Join(dir, "spool")); err != nil {
			t.Error("something of the other version was removed")
		}
	})
	t.Run("a store in use", func(t *testing.T) {
		dir := t.TempDir()
		open(t, dir, Options{})
		if _, err := Open(dir, Options{}); !errors.Is(err, ErrLocked) {
			t.Errorf("Open = %v; want ErrLocked", err)
		}
	})
	t.Run("what only looks like one", func(t *testing.T) {
		dir := t.TempDir()
		os.Mkdir(filepath.Join(dir, "cache"), 0o755) // of a GOMODCACHE, say
		if _, err := Open(dir, Options{}); !errors.Is(err, ErrVersion) {
			t.Errorf("Open = %v; want ErrVersion", err)
		}
	})
	t.Run("a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		os.WriteFile(file, nil, 0o644)
		if _, err := Open(file, Options{}); err == nil {
			t.Error("Open accepts a file")
		}
	})
}

// A start that was cut short, by a kill, a power cut or a second process, is no
// reason to refuse the folder for ever, or to lose what it holds.
func TestOpenAgain(t *testing.T) {
	for name, left := range map[string]map[string]string{
		"a disk of its own":            {"lost+found/": ""},
		"killed after the lock":        {"lock": ""},
		"killed before VERSION":        {"lock": "", "spool/1.tmp": version[:5], "meta/x/y": "", "pins/x/y": ""},
		"power cut":                    {"lock": "", "VERSION": "", "pins/" + modKey: "h1:first\n"},
		"power cut that took the name": {"lock": "", "pins/" + modKey: "h1:first\n", "quarantine.log": "x\n"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range left {
				path := filepath.Join(dir, filepath.FromSlash(file))
				os.MkdirAll(filepath.Dir(path), 0o755)
				if strings.HasSuffix(file, "/") {
					os.Mkdir(path, 0o700)
					continue
				}
				os.WriteFile(path, []byte(text), 0o644)
			}
			s := open(t, dir, Options{})
			want := "h1:new"
			if left["pins/"+modKey] != "" {
				want = "h1:first"
			}
			if got, err := s.Pin(modKey, "h1:new"); err != nil || got != want {
				t.Errorf("Pin = %q, %v; want %q", got, err, want)
			}
			s.Close()
			if data, err := os.ReadFile(filepath.Join(dir, "VERSION")); string(data) != version {
				t.Errorf("VERSION = %q, %v", data, err)
			}
		})
	}
	dir := t.TempDir()
	results := make(chan error, 8)
	for range cap(results) {
		go func() {
			s, err := Open(dir, Options{})
			if err == nil {
				t.Cleanup(func() { s.Close() })
			}
			results <- err
		}()
	}
	opened := 0
	for range cap(results) {
		if err := <-results; err == nil {
			opened++
		} else if !errors.Is(err, ErrLocked) {
			t.Errorf("beside another start: %v; want ErrLocked", err)
		}
	}
	if opened != 1 {
		t.Errorf("opened %d times", opened)
	}
}

func TestMutable(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	if _, _, err := s.Mutable("example.com/a/@v/list"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Mutable = %v; want ErrNotExist", err)
	}
	s.PutMutable("example.com/a/@v/list", []byte("v1.0.0\n"))
	s.PutMutable("example.com/a/@v/list", []byte("v1.0.1\n"))
	data, at, err := s.Mutable("example.com/a/@v/list")
	if err != nil || string(data) != "v1.0.1\n" || time.Since(at) > time.Hour {
		t.Errorf("Mutable = %q, %v, %v", data, at, err)
	}
	if s.Has("example.com/a/@v/list") {
		t.Error("a list stands among the files that never change")
	}
	for _, text := range []string{"", "12345678\nv1.0.0\n", "v1.0.1\n", strings.Repeat("\x00", 16)} { // after a power cut
		os.WriteFile(filepath.Join(s.dir, "mutable/example.com/a/@v/list"), []byte(text), 0o644)
		if data, _, err := s.Mutable("example.com/a/@v/list"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Mutable of a damaged file = %q, %v", data, err)
		}
	}
}

// Over file:// the go command wants to know which versions there are.
func TestListOfVersions(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	want := func(text string) {
		t.Helper()
		data, err := os.ReadFile(filepath.Join(s.Dir(), "example.com/a/@v/list"))
		if string(data) != text || (text == "") != errors.Is(err, fs.ErrNotExist) {
			t.Errorf("list = %q, %v; want %q", data, err, text)
		}
	}
	for _, v := range []string{"v1.10.0", "v1.9.0", "v0.0.0-20200101000000-0123456789ab", "v1.9.1-!r!c1"} {
		put(t, s, "example.com/a/@v/"+v+".mod", []byte("module a\n"), Meta{Sum: "h1:" + v})
		put(t, s, "example.com/a/@v/"+v+".zip", []byte("PK"), Meta{Sum: "h1:zip"})
	}
	put(t, s, "example.com/a/@v/v1.2.0.info", []byte("{}"), Meta{})
	want("v1.9.0\nv1.9.1-RC1\nv1.10.0\n")
	s.Remove("example.com/a/@v/v1.9.0.mod", "h1:v1.9.0")
	s.Remove("example.com/a/@v/v1.10.0.mod", "h1:other") // are other bytes meanwhile
	want("v1.9.1-RC1\nv1.10.0\n")
	s.GC(t.Context(), 0)
	want("")
}

// What a store of 100 000 files costs at the start.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	s, err := Open(dir, Options{})
	if err != nil {
		b.Fatal(err)
	}
	for i := range 100_000 {
		name := filepath.Join(s.Dir(), fmt.Sprintf("example.com/m%d/@v", i/10))
		if i%10 == 0 {
			os.MkdirAll(name, 0o755)
		}
		os.WriteFile(filepath.Join(name, fmt.Sprintf("v1.0.%d.mod", i%10)), nil, 0o644)
	}
	s.Close()
	for b.Loop() {
		s, err := Open(dir, Options{})
		if err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		s.Close()
		b.StartTimer()
	}
}
