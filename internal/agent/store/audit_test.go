package store

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/checksum"
)

func TestVerify(t *testing.T) {
	s := open(t, t.TempDir(), Options{})
	mod := []byte("module example.com/a\n")
	put(t, s, modKey, mod, Meta{Grade: Verified, Source: "corp", Sum: checksum.HashGoMod(mod)})
	put(t, s, "example.com/b/@v/v1.0.0.mod", []byte("bitrot"), Meta{Grade: Verified, Source: "corp", Sum: checksum.HashGoMod(mod)})
	put(t, s, "example.com/c/@v/v1.0.0.zip", []byte("PK cut"), Meta{})
	put(t, s, "example.com/c/@v/v1.0.0.info", []byte("<html>"), Meta{})
	put(t, s, "example.com/d/@v/v1.0.0.mod", mod, Meta{}) // as after a power cut
	var bad []string
	good, err := s.Verify(t.Context(), true, func(p Problem) { bad = append(bad, p.Key) })
	if err != nil || good != 1 || len(bad) != 4 {
		t.Errorf("Verify = %d good, %v bad, %v; want 1 and 4", good, bad, err)
	}
	if s.Has("example.com/b/@v/v1.0.0.mod") || !s.Has(modKey) {
		t.Error("the wrong files were removed")
	}
	// What cannot be read is not called good.
	if err := os.Rename(s.Dir(), s.Dir()+"2"); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(s.Dir()+"2", s.Dir()); err != nil {
		t.Fatal(err)
	}
	if good, err := s.Verify(t.Context(), false, func(Problem) {}); err == nil {
		t.Errorf("%d files of a folder that leads elsewhere are good", good)
	}
	<-s.counted
	s.lost = fs.ErrPermission
	if _, _, err := s.GC(t.Context(), 0); !errors.Is(err, fs.ErrPermission) {
		t.Errorf("GC of a store that could not be read = %v", err)
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
	judge := func(key string, sp *Spool) (Meta, error) {
		data := make([]byte, sp.Size())
		sp.ReadAt(data, 0)
		if strings.Contains(string(data), "evil") || strings.Contains(key, "Bad") || string(data) == "cut" {
			return Meta{}, errors.New("other bytes than it must have")
		}
		return Meta{Grade: Unvouched, Sum: checksum.HashGoMod(data)}, nil
	}
	n, err := s.Import(t.Context(), cache, judge, func(p Problem) { problems = append(problems, p.Key+": "+p.Err.Error()) })
	if err != nil || n != (Imported{Files: 2, Refused: 3}) {
		t.Errorf("Import = %+v, %v (%q); want 2 files and 3 refused", n, err, problems)
	}
	if s.Has("example.com/a/@v/v1.0.0.zip") || s.Has("example.com/evil/@v/v1.0.0.mod") {
		t.Error("a bad file was imported")
	}
	if _, m := content(t, s, modKey); m.Grade != Unvouched || m.Source != Imports {
		t.Errorf("an imported file has %+v", m)
	}
	n, err = s.Import(t.Context(), filepath.Join(cache, "cache/download"), judge, func(Problem) {})
	if err != nil || n != (Imported{Present: 2, Refused: 3}) {
		t.Errorf("second Import = %+v, %v", n, err)
	}
}
