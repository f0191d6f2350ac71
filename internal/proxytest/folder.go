package proxytest

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// A folder is a download cache on disk. Its files are read when they are first
// asked for and then kept: the servers of a process that name the same folder
// share it, and no answer copies a zip.
type folder struct {
	dir   string
	files map[string]func() ([]byte, error) // by path below the proxy's URL
}

var folders struct {
	mu  sync.Mutex
	all map[string]*folder
}

// openFolder lists the module files below dir, which must not change any more.
func openFolder(dir string) (*folder, error) {
	folders.mu.Lock()
	defer folders.mu.Unlock()
	if f := folders.all[dir]; f != nil {
		return f, nil
	}
	f := &folder{dir, map[string]func() ([]byte, error){}}
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || !strings.Contains(name, "/@v/") {
			return err
		}
		switch filepath.Ext(name) {
		case ".info", ".mod", ".zip": // the rest is the go command's own
			f.files[name] = sync.OnceValues(func() ([]byte, error) {
				return os.ReadFile(filepath.Join(dir, filepath.FromSlash(name)))
			})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if folders.all == nil {
		folders.all = map[string]*folder{}
	}
	folders.all[dir] = f
	return f, nil
}
