package sumdb

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
)

// A folder is what is used of an [os.Root].
type folder interface {
	OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error)
	MkdirAll(name string, perm fs.FileMode) error
	Rename(oldname, newname string) error
	Remove(name string) error
	RemoveAll(name string) error
	Close() error
}

// A disk keeps small files, named with slashes; each is whole or not there.
type disk struct {
	root     folder // nil: nothing is kept
	readOnly bool
	written  atomic.Int64 // names of temporary files
}

// writable reports whether what is written is found again.
func (d *disk) writable() bool { return d.root != nil && !d.readOnly }

func (d *disk) start() error {
	if !d.writable() {
		return nil
	}
	if err := d.root.RemoveAll("tmp"); err != nil { // left by a crash
		return err
	}
	return d.root.MkdirAll("tmp", 0o755)
}

// read returns the file, or an error that matches [fs.ErrNotExist]. One that is
// longer than limit was not written here; of it the beginning is returned.
func (d *disk) read(name string, limit int64) ([]byte, error) {
	if d.root == nil {
		return nil, fs.ErrNotExist
	}
	f, err := d.root.OpenFile(filepath.FromSlash(name), os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit))
}

// write writes the file; where nothing is kept, it does nothing. A durable file
// survives a power cut from then on.
func (d *disk) write(name string, data []byte, durable bool) error {
	if !d.writable() {
		return nil
	}
	name = filepath.FromSlash(name)
	tmp := filepath.Join("tmp", strconv.FormatInt(d.written.Add(1), 10))
	err := d.writeTemp(tmp, data, durable)
	if err == nil {
		err = d.root.MkdirAll(filepath.Dir(name), 0o755)
	}
	if err == nil {
		err = d.root.Rename(tmp, name)
	}
	if err != nil {
		d.root.Remove(tmp)
		return fmt.Errorf("writing %s: %w", name, err)
	}
	if durable {
		d.syncDir(filepath.Dir(name))
	}
	return nil
}

func (d *disk) writeTemp(tmp string, data []byte, durable bool) error {
	f, err := d.root.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err == nil && durable {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// syncDir makes a new name survive a power cut. Not every system can.
func (d *disk) syncDir(dir string) {
	if f, err := d.root.OpenFile(dir, os.O_RDONLY, 0); err == nil {
		f.Sync()
		f.Close()
	}
}

// remove deletes a file or folder and what is in it.
func (d *disk) remove(name string) error {
	if !d.writable() {
		return nil
	}
	return d.root.RemoveAll(filepath.FromSlash(name))
}

func (d *disk) close() error {
	if d.root == nil {
		return nil
	}
	return d.root.Close()
}
