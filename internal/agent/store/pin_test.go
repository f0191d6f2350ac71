package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPins(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	if got, err := s.Pin(modKey, "h1:first"); err != nil || got != "h1:first" {
		t.Errorf("first Pin = %q, %v", got, err)
	}
	file := filepath.Join(dir, "pins", filepath.FromSlash(modKey))
	put(t, s, modKey, []byte("module a\n"), Meta{Grade: Pinned, Sum: "h1:first"})
	if data, err := os.ReadFile(file); string(data) != "h1:first\n" {
		t.Errorf("the file is there, and its pin is %q, %v", data, err)
	}
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
	put(t, s, modKey, []byte("module b\n"), Meta{Grade: Pinned, Sum: "h1:other"})

	// A person forgets it while the agent runs.
	if err := Forget(dir, modKey); err != nil {
		t.Fatal(err)
	}
	if got, err := s.Pin(modKey, "h1:third"); err != nil || got != "h1:third" || s.Has(modKey) {
		t.Errorf("Pin after Forget = %q, %v; the file is there: %v", got, err, s.Has(modKey))
	}
	if err := Forget(filepath.Join(dir, "none"), modKey); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Forget in no store: %v", err)
	}
	if err := Forget(t.TempDir(), modKey); !errors.Is(err, ErrVersion) {
		t.Errorf("Forget in an empty folder: %v", err)
	}
	s.Close() // a first use that no file has followed is one all the same
	if data, err := os.ReadFile(file); string(data) != "h1:third\n" {
		t.Errorf("after Close the pin is %q, %v", data, err)
	}
}

// A pin that cannot be read is none that may be made anew.
func TestDamagedPins(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	file := filepath.Join(dir, "pins", filepath.FromSlash(modKey))
	os.MkdirAll(filepath.Dir(file), 0o755)
	for _, text := range []string{"", "\n", "h1:cut", "\x00\x00\x00", "something else\n"} {
		os.WriteFile(file, []byte(text), 0o644)
		if got, err := s.Pin(modKey, "h1:new"); !errors.Is(err, ErrPin) || got != "" {
			t.Errorf("Pin with a file %q = %q, %v; want ErrPin", text, got, err)
		}
	}
	os.Remove(file)
	os.Mkdir(file, 0o755)
	if got, err := s.Pin(modKey, "h1:new"); !errors.Is(err, ErrPin) {
		t.Errorf("Pin that is a folder = %q, %v; want ErrPin", got, err)
	}
}

// A grade that a stored file is given later is there soon, with its pin.
func TestRegrade(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	put(t, s, modKey, []byte("module a\n"), Meta{Grade: Unvouched, Source: "corp", Sum: "h1:a"})
	s.Pin(modKey, "h1:a")
	s.Regrade(modKey, Meta{Grade: Verified, Source: "corp", Sum: "h1:other"}) // of other bytes
	s.Regrade(modKey, Meta{Grade: Pinned, Source: "corp", Sum: "h1:a"})
	s.Regrade("example.com/none/@v/v1.0.0.mod", Meta{Grade: Verified})
	s.Close()
	s = open(t, dir, Options{})
	if _, m := content(t, s, modKey); m != (Meta{Grade: Pinned, Source: "corp", Sum: "h1:a"}) {
		t.Errorf("Get = %+v", m)
	}
	if got, err := s.Pin(modKey, "h1:b"); err != nil || got != "h1:a" {
		t.Errorf("Pin = %q, %v", got, err)
	}
	if metas, _ := filepath.Glob(filepath.Join(dir, "meta/example.com/none/@v/*")); len(metas) > 0 {
		t.Errorf("the grade of no file: %v", metas)
	}
}

// Hostile proxies fill no disk, and the evidence of the last one is there.
func TestQuarantineIsBounded(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, Options{})
	for i := range 30 {
		s.Quarantine(modKey, fmt.Sprintf("evil%d.", i), strings.Repeat("\x1b\n", 30_000))
	}
	var all []byte
	for _, file := range []string{"quarantine.log.1", "quarantine.log"} {
		data, err := os.ReadFile(filepath.Join(dir, file))
		if err != nil {
			t.Error(err)
		}
		all = append(all, data...)
	}
	if len(all) > maxQuarantine || !strings.Contains(string(all), "evil29.") || strings.Contains(string(all), "evil0.") || s.Stats().Quarantined != 30 {
		t.Errorf("%d bytes of notes", len(all))
	}
}
