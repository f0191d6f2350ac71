// Package files reads files that somebody else wrote: regular ones alone, so
// that no pipe keeps the reader waiting, and never more than a file of its kind
// can have.
package files

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// What is refused, wrapped in an [*fs.PathError].
var (
	ErrNotRegular = errors.New("not a regular file")
	ErrTooLarge   = errors.New("larger than any file of its kind")
)

// Read reads a regular file of at most limit bytes.
func Read(path string, limit int64) ([]byte, error) {
	return read(path, limit, os.Stat, os.Open)
}

// ReadIn is [Read] for a file below root, which no link leads out of.
func ReadIn(root *os.Root, name string, limit int64) ([]byte, error) {
	return read(name, limit, root.Stat, root.Open)
}

func read(path string, limit int64, stat func(string) (fs.FileInfo, error), open func(string) (*os.File, error)) ([]byte, error) {
	info, err := stat(path)
	switch {
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, &fs.PathError{Op: "reading", Path: path, Err: ErrNotRegular}
	case info.Size() > limit:
		return nil, &fs.PathError{Op: "reading", Path: path, Err: ErrTooLarge}
	}
	f, err := open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1)) // those of /proc say that they are empty
	if err == nil && int64(len(data)) > limit {
		return nil, &fs.PathError{Op: "reading", Path: path, Err: ErrTooLarge}
	}
	return data, err
}

// Nearest returns the file called name in dir or the nearest directory above
// it, "" if there is none, as the go command finds go.mod and go.work.
func Nearest(dir, name string) string {
	for {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err == nil && !info.IsDir() {
			return file
		}
		above := filepath.Dir(dir)
		if above == dir {
			return ""
		}
		dir = above
	}
}
