package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/zip"

	"github.com/org/goproxy-setup/internal/checksum"
)

// maxSmall bounds a .mod or .info, in bytes, as the go command does.
const maxSmall = 16 << 20

// A Problem is a file that is not what it should be.
type Problem struct {
	Key string
	Err error
}

// Verify reads every file again and reports those whose bytes are not the ones
// that were accepted, or not of their kind. With remove they are removed. It
// returns how many files are good.
func (s *Store) Verify(ctx context.Context, remove bool, report func(Problem)) (good int, err error) {
	err = s.walk(func(key string, _ fs.DirEntry) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		err := s.check(key)
		if err == nil {
			good++
			return nil
		}
		report(Problem{key, err})
		if remove {
			return s.remove(key)
		}
		return nil
	})
	return good, err
}

func (s *Store) check(key string) error {
	e, err := s.Get(key)
	if err != nil {
		return err
	}
	defer e.Close()
	sum, err := sumOf(key, e.File, e.Size)
	if err != nil {
		return err
	}
	if e.Sum != "" && sum != "" && sum != e.Sum {
		return fmt.Errorf("the hash is %s, and was %s when the file was accepted", sum, e.Sum)
	}
	return nil
}

// sumOf returns the h1 hash of a zip or .mod, and "" for an .info.
func sumOf(key string, f io.ReaderAt, size int64) (string, error) {
	if strings.HasSuffix(key, ".zip") {
		if size > zip.MaxZipFile {
			return "", checksum.ErrTooLarge
		}
		return checksum.HashZip(f, size)
	}
	if size > maxSmall {
		return "", checksum.ErrTooLarge
	}
	data := make([]byte, size)
	if _, err := f.ReadAt(data, 0); err != nil && size > 0 {
		return "", err
	}
	if strings.HasSuffix(key, ".mod") {
		return checksum.HashGoMod(data), nil
	}
	if !json.Valid(data) {
		return "", errors.New("not the JSON of an .info")
	}
	return "", nil
}

// An Imported tells what came of an import.
type Imported struct {
	Files   int // taken over
	Present int // here already
	Refused int // see the problems
}

// Import copies the module files of dir, a GOMODCACHE or the cache/download in
// one. Nothing in it is believed: hashes are computed anew, and vouch says what
// a file may count as. An error of vouch refuses the file; it is reported and
// the import goes on.
func (s *Store) Import(ctx context.Context, dir string, vouch func(key, h1 string) (Grade, error), report func(Problem)) (n Imported, err error) {
	if s.opt.ReadOnly {
		return n, ErrReadOnly
	}
	from, err := downloads(dir)
	if err != nil {
		return n, err
	}
	defer from.Close()
	err = fs.WalkDir(from.FS(), ".", func(key string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil:
			report(Problem{key, err})
			return nil
		case d.IsDir() && (key == "sumdb" || key == "vcs"):
			return fs.SkipDir
		case d.IsDir() || !d.Type().IsRegular() || !servable(key):
			return nil
		case s.Has(key):
			n.Present++
			return nil
		}
		if err := s.take(from, key, vouch); err != nil {
			report(Problem{key, err})
			n.Refused++
			if errors.Is(err, ErrFull) {
				return err
			}
			return nil
		}
		n.Files++
		return nil
	})
	return n, err
}

// downloads opens the cache/download of dir, or dir if it is one.
func downloads(dir string) (*os.Root, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	below, err := root.OpenRoot("cache/download")
	if errors.Is(err, fs.ErrNotExist) {
		return root, nil
	}
	root.Close()
	return below, err
}

// take copies one file.
func (s *Store) take(from *os.Root, key string, vouch func(key, h1 string) (Grade, error)) error {
	if err := validKey(key); err != nil {
		return err
	}
	f, err := from.Open(key)
	if err != nil {
		return err
	}
	defer f.Close()
	sp, err := s.Spool()
	if err != nil {
		return err
	}
	defer sp.Discard()
	if _, err := io.Copy(sp, io.LimitReader(f, zip.MaxZipFile+1)); err != nil {
		return err
	}
	sum, err := sumOf(key, sp, sp.Size())
	if err != nil {
		return err
	}
	grade, err := vouch(key, sum)
	if err != nil {
		return err
	}
	return <-s.Commit(sp, key, Meta{Grade: grade, Source: "import", Sum: sum})
}

// validKey refuses what no module has as its path and version.
func validKey(key string) error {
	path, file, _ := strings.Cut(key, "/@v/")
	if _, err := module.UnescapePath(path); err != nil {
		return err
	}
	_, err := module.UnescapeVersion(file[:strings.LastIndex(file, ".")])
	return err
}
