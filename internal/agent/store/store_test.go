package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/checksum"
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
	meta := Meta{Verified, "corp", "h1:x"}
	put(t, s, modKey, []byte("module example.com/a\n"), meta)
	put(t, s, "example.com/a/@v/v1.0.0.zip", []byte("PK"), Meta{Pinned, "corp", "h1:y"})
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

func TestEviction(t *testing.T) {
	s := open(t, t.TempDir(), Options{MaxBytes: 10_000})
	for i := range 20 {
		put(t, s, fmt.Sprintf("example.com/a/@v/v1.0.%d.mod", i), make([]byte, 10), Meta{})
		put(t, s, fmt.Sprintf("example.com/a/@v/v1.0.%d.zip", i), make([]byte, 1000), Meta{Sum: "h1:x"})
		if i > 5 {
			s.Has("example.com/a/@v/v1.0.0.zip")
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
	if err := s.roomy(fullUntil(-1)); !errors.Is(err, ErrFull) || !errors.Is(err, syscall.ENOSPC) || s.Stats().Files != 0 {
		t.Errorf("%v, and %d files are left", err, s.Stats().Files)
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
		ro, err := Open(dir, Options{ReadOnly: true})
		if err != nil {
			t.Fatalf("reading beside the agent: %v", err)
		}
		if _, err := ro.Spool(); !errors.Is(err, ErrReadOnly) {
			t.Errorf("Spool = %v; want ErrReadOnly", err)
		}
		ro.Close()
	})
	t.Run("a file", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		os.WriteFile(file, nil, 0o644)
		if _, err := Open(file, Options{}); err == nil {
			t.Error("Open accepts a file")
		}
	})
}

func TestPins(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	if got, err := s.Pin(modKey, "h1:first"); err != nil || got != "h1:first" {
		t.Errorf("first Pin = %q, %v", got, err)
	}
	put(t, s, modKey, []byte("module a\n"), Meta{Grade: Pinned})
	s.GC(t.Context(), 0)
	s.Close()
	s = open(t, dir, Options{})
	if got, err := s.Pin(modKey, "h1:other"); err != nil || got != "h1:first" {
		t.Errorf("Pin after eviction and restart = %q, %v; want the first", got, err)
	}
	if err := s.Unpin(modKey); err != nil {
		t.Fatal(err)
	}
	if err := s.Unpin(modKey); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("second Unpin = %v; want ErrNotExist", err)
	}
	if got, _ := s.Pin(modKey, "h1:other"); got != "h1:other" {
		t.Errorf("Pin after Unpin = %q", got)
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
}

func TestQuarantineIsBounded(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	for range 30 {
		s.Quarantine(modKey, "evil", strings.Repeat("\x1b\n", 30_000))
	}
	info, err := os.Stat(filepath.Join(dir, "quarantine.log"))
	if err != nil || info.Size() == 0 || info.Size() > 2*maxQuarantine {
		t.Errorf("notes: %v, %v", info, err)
	}
}

func TestVerify(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	mod := []byte("module example.com/a\n")
	put(t, s, modKey, mod, Meta{Verified, "corp", checksum.HashGoMod(mod)})
	put(t, s, "example.com/b/@v/v1.0.0.mod", []byte("bitrot"), Meta{Verified, "corp", checksum.HashGoMod(mod)})
	put(t, s, "example.com/c/@v/v1.0.0.zip", []byte("PK cut"), Meta{})
	put(t, s, "example.com/c/@v/v1.0.0.info", []byte("<html>"), Meta{})
	var bad []string
	good, err := s.Verify(t.Context(), true, func(p Problem) { bad = append(bad, p.Key) })
	if err != nil || good != 1 || len(bad) != 3 {
		t.Errorf("Verify = %d good, %v bad, %v; want 1 and 3", good, bad, err)
	}
	if s.Has("example.com/b/@v/v1.0.0.mod") || !s.Has(modKey) {
		t.Error("the wrong files were removed")
	}
}

func TestImport(t *testing.T) {
	cache := t.TempDir()
	write := func(name, text string) {
		path := filepath.Join(cache, "cache/download", filepath.FromSlash(name))
		os.MkdirAll(filepath.Dir(path), 0o755)
		os.WriteFile(path, []byte(text), 0o644)
	}
	write("example.com/a/@v/v1.0.0.mod", "module example.com/a\n")
	write("example.com/a/@v/v1.0.0.info", `{"Version":"v1.0.0"}`)
	write("example.com/a/@v/v1.0.0.zip", "cut")
	write("example.com/a/@v/v1.0.0.ziphash", "h1:lies")
	write("example.com/a/@v/list", "v1.0.0\n")
	write("example.com/a/@v/v1.0.0.lock", "")
	write("example.com/a/@v/v1.0.1.mod.123.tmp", "half")
	write("example.com/evil/@v/v1.0.0.mod", "module evil\n")
	write("sumdb/sum.example.com/lookup/x@v/v1.mod", "x")
	write("vcs/@v/x.info", "{}")
	write("Bad Path/@v/v1.0.0.mod", "module x\n")
	s := open(t, t.TempDir(), Options{})
	var problems []string
	n, err := s.Import(t.Context(), cache, func(key, h1 string) (Grade, error) {
		if strings.Contains(key, "evil") {
			return "", errors.New("go.sum says otherwise")
		}
		return Unvouched, nil
	}, func(p Problem) { problems = append(problems, p.Key+": "+p.Err.Error()) })
	if err != nil || n != (Imported{Files: 2, Refused: 3}) {
		t.Errorf("Import = %+v, %v (%q); want 2 files and 3 refused", n, err, problems)
	}
	if s.Has("example.com/a/@v/v1.0.0.zip") || s.Has("example.com/evil/@v/v1.0.0.mod") {
		t.Error("a bad file was imported")
	}
	n, err = s.Import(t.Context(), filepath.Join(cache, "cache/download"), func(string, string) (Grade, error) { return Unvouched, nil }, func(Problem) {})
	if err != nil || n.Present != 2 || n.Files != 1 {
		t.Errorf("second Import = %+v, %v", n, err)
	}
}

// A child that commits files as fast as it can is killed at a random moment:
// what is visible is whole, and graded as it was.
func TestKill(t *testing.T) {
	if dir := os.Getenv("STORE_KILL_DIR"); dir != "" {
		churn(dir)
	}
	dir := t.TempDir()
	rounds := kills
	for i := range rounds {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKill$")
		cmd.Env = append(os.Environ(), "STORE_KILL_DIR="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(10+rand.IntN(60)) * time.Millisecond)
		cmd.Process.Kill()
		cmd.Wait()
		s, err := Open(dir, Options{MaxBytes: 1 << 20})
		if err != nil {
			t.Fatalf("round %d: %v", i, err)
		}
		s.walk(func(key string, _ fs.DirEntry) error {
			text, m := content(t, s, key)
			if want := churned(key); text != want || m.Grade == Verified && m.Sum != checksum.HashGoMod([]byte(want)) {
				t.Errorf("round %d: %s has %d bytes and %+v", i, key, len(text), m)
			}
			return nil
		})
		if left, _ := filepath.Glob(filepath.Join(dir, "spool", "*")); len(left) > 0 {
			t.Errorf("round %d: spool files left: %v", i, left)
		}
		s.Close()
	}
}

// churned is the content that belongs to key.
func churned(key string) string { return strings.Repeat(key+"\n", 1+len(key)*40%997) }

func churn(dir string) {
	s, err := Open(dir, Options{MaxBytes: 1 << 20})
	if err != nil {
		panic(err)
	}
	for {
		key := fmt.Sprintf("example.com/m%d/@v/v1.0.0.mod", rand.IntN(200))
		sp, err := s.Spool()
		if err != nil {
			panic(err)
		}
		io.Copy(sp, bytes.NewReader([]byte(churned(key))))
		s.Commit(sp, key, Meta{Verified, "x", checksum.HashGoMod([]byte(churned(key)))})
	}
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
