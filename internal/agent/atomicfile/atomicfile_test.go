package atomicfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func folder(t *testing.T) (*os.Root, string) {
	t.Helper()
	dir := t.TempDir()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	if err := root.Mkdir("tmp", 0o755); err != nil {
		t.Fatal(err)
	}
	return root, dir
}

// Readers see the bytes of one writer or another, never a part of them.
func TestWritersAtOnce(t *testing.T) {
	root, dir := folder(t)
	w := &Writer{Dir: root, Temp: "tmp"}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			text := strings.Repeat(fmt.Sprint(i), 10_000*(i+1))
			for n := range 20 {
				if err := w.Write("a/b/file", []byte(text), n%10 == 0); err != nil {
					t.Error(err)
				}
				data, err := os.ReadFile(filepath.Join(dir, "a/b/file"))
				if err != nil || len(data) == 0 || strings.Trim(string(data), string(data[:1])) != "" || len(data) != 10_000*int(data[0]-'0'+1) {
					t.Errorf("read %d bytes, %v", len(data), err)
				}
			}
		})
	}
	wg.Wait()
	if left, _ := os.ReadDir(filepath.Join(dir, "tmp")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

var errFull = errors.New("no space left")

// A full folder is one in which nothing can be renamed.
type full struct{ *os.Root }

func (full) Rename(string, string) error { return errFull }

func TestErrorLeavesTheOldFile(t *testing.T) {
	root, dir := folder(t)
	if err := (&Writer{Dir: root, Temp: "tmp"}).Write("file", []byte("old"), true); err != nil {
		t.Fatal(err)
	}
	w := &Writer{Dir: full{root}, Temp: "tmp"}
	if err := w.Write("file", []byte("new"), false); !errors.Is(err, errFull) {
		t.Errorf("Write = %v; want the folder's error", err)
	}
	if err := w.Write("file/below", []byte("new"), false); err == nil {
		t.Error("a file was made below a file")
	}
	if data, err := os.ReadFile(filepath.Join(dir, "file")); string(data) != "old" {
		t.Errorf("the file is %q, %v", data, err)
	}
	if left, _ := os.ReadDir(filepath.Join(dir, "tmp")); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}
