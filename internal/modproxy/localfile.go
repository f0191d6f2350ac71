package modproxy

import (
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// open reads from a file:// proxy. As in the go command, a file that does not
// exist is a 404 and one that may not be read a 403.
func (c *Client) open(u *url.URL, r Resume) (*Answer, error) {
	if u.Host != "" || u.RawQuery != "" {
		e := c.fail(u.String(), errors.New("a file URL has nothing but a path"))
		e.Fix = "write file:///DIRECTORY with three slashes"
		return nil, e
	}
	f, size, err := openRegular(localPath(u.Path))
	if err != nil {
		e := c.fail(u.String(), errors.Unwrap(err)) // the URL has the path already
		switch {
		case errors.Is(err, fs.ErrNotExist):
			e.Status = http.StatusNotFound
		case errors.Is(err, fs.ErrPermission):
			e.Status = http.StatusForbidden
		}
		return nil, e
	}
	if r.From < 0 || r.From > size || r.Size > 0 && r.Size != size {
		r.From = 0 // it is another file now
	}
	if _, err := f.Seek(r.From, io.SeekStart); err != nil {
		f.Close()
		return nil, c.fail(u.String(), err)
	}
	return &Answer{Body: f, Size: size, From: r.From, Framed: true, url: u.String(), client: c}, nil
}

var errNotRegular = errors.New("not a regular file")

// openRegular opens a file, but nothing that could block or never end, and
// returns its size.
func openRegular(name string) (f *os.File, size int64, err error) {
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = &fs.PathError{Op: "open", Path: name, Err: errNotRegular}
	}
	if err != nil {
		return nil, 0, err
	}
	f, err = os.Open(name)
	return f, info.Size(), err
}

// localPath turns the path of a file URL into one of this system.
func localPath(path string) string {
	if runtime.GOOS == "windows" {
		path = strings.TrimPrefix(path, "/") // /C:/dir
	}
	return filepath.FromSlash(path)
}
