// Package atomicfile writes small files that are whole or not there, whatever
// happens meanwhile.
package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
)

// A Dir is what is used of an [os.Root].
type Dir interface {
	OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error)
	MkdirAll(name string, perm fs.FileMode) error
	Rename(oldname, newname string) error
	Remove(name string) error
}

// A Writer is safe for concurrent use: of two writers of one file one is the
// last.
type Writer struct {
	Dir Dir
	// Temp is a folder in Dir for files that are being written. Whoever opens
	// the folder next makes it empty first.
	Temp string

	names atomic.Int64
}

// Write writes the file and makes the folders above it. A durable file survives
// a power cut from then on; of another one may be left, for some seconds, the
// name without the bytes. On an error the file is what it was.
func (w *Writer) Write(name string, data []byte, durable bool) error {
	name = filepath.FromSlash(name)
	temp := filepath.Join(w.Temp, strconv.FormatInt(w.names.Add(1), 10)+".tmp")
	err := w.write(temp, data, durable)
	if err == nil {
		err = w.Dir.MkdirAll(filepath.Dir(name), 0o755)
	}
	if err == nil {
		err = w.Dir.Rename(temp, name)
	}
	if err != nil {
		w.Dir.Remove(temp)
		return fmt.Errorf("writing %s: %w", name, err)
	}
	if durable {
		SyncDir(w.Dir, filepath.Dir(name))
	}
	return nil
}

func (w *Writer) write(temp string, data []byte, durable bool) error {
	f, err := w.Dir.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && durable {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// SyncDir makes the names in a folder survive a power cut. Not every system
// can.
func SyncDir(d Dir, name string) {
	if f, err := d.OpenFile(name, os.O_RDONLY, 0); err == nil {
		f.Sync()
		f.Close()
	}
}
