package files_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/org/goproxy-setup/internal/files"
)

func TestRead(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, []byte("12345"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		path  string
		limit int64
		want  string
		err   error
	}{
		{file, 5, "12345", nil},
		{file, 4, "", files.ErrTooLarge},
		{dir, 5, "", files.ErrNotRegular},
		{filepath.Join(dir, "none"), 5, "", fs.ErrNotExist},
	} {
		got, err := files.Read(tt.path, tt.limit)
		if string(got) != tt.want || !errors.Is(err, tt.err) {
			t.Errorf("Read(%s, %d) = %q, %v; want %q, %v", tt.path, tt.limit, got, err, tt.want, tt.err)
		}
	}
}

// What a link leads to outside of the root is not read.
func TestReadIn(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join("..", "secret"), filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{filepath.Join(dir, "file"), filepath.Join(filepath.Dir(dir), "secret")} {
		if err := os.WriteFile(name, []byte("12345"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer root.Close()
	if got, err := files.ReadIn(root, "file", 5); string(got) != "12345" || err != nil {
		t.Errorf("read %q, %v", got, err)
	}
	if got, err := files.ReadIn(root, "link", 5); err == nil {
		t.Errorf("read %q", got)
	}
}

// A directory of that name is none of go's files.
func TestNearest(t *testing.T) {
	top := t.TempDir()
	below := filepath.Join(top, "a", "b")
	if err := os.MkdirAll(filepath.Join(below, "go.work"), 0o755); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(top, "go.work")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got := files.Nearest(below, "go.work"); got != file {
		t.Errorf("found %q; want %q", got, file)
	}
	if got := files.Nearest(below, "go.no"); got != "" {
		t.Errorf("found %q", got)
	}
}
