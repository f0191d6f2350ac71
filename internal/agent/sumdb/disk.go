package sumdb

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/org/goproxy-setup/internal/agent/atomicfile"
)

// A folder is what is used of an [os.Root].
type folder interface {
	atomicfile.Dir
	RemoveAll(name string) error
	Close() error
}

// A disk keeps small files, named with slashes; each is whole or not there.
type disk struct {
	root  folder // nil: nothing is kept
	files atomicfile.Writer
}

func newDisk(root folder) *disk {
	return &disk{root: root, files: atomicfile.Writer{Dir: root, Temp: "tmp"}}
}

func (d *disk) start() error {
	if d.root == nil {
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
	if d.root == nil {
		return nil
	}
	return d.files.Write(name, data, durable)
}

// remove deletes a file or folder and what is in it.
func (d *disk) remove(name string) error {
	if d.root == nil {
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
