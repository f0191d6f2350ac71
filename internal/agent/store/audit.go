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
// returns how many files are good, and an error that joins those of folders that
// could not be read.
func (s *Store) Verify(ctx context.Context, remove bool, report func(Problem)) (good int, err error) {
	err = s.walk("cache/download", func(key string, _ fs.DirEntry) error {
		if !servable(key) || ctx.Err() != nil {
			return ctx.Err()
		}
		err := s.check(key)
		if err == nil {
			good++
			return nil
		}
		report(Problem{key, err})
		if !remove {
			return nil
		}
		defer s.list(key)
		return s.removeFile(name{key: key})
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
	if e.Sum == "" && sum != "" {
		return errors.New("its hash at the time it was accepted is lost: it is fetched anew when it is asked for")
	}
	if sum != e.Sum {
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
// one. Nothing in it is believed: judge reads the bytes as if a proxy had sent
// them, and says what the file may count as. Its error refuses the file, which is
// reported, and the import goes on.
func (s *Store) Import(ctx context.Context, dir string, judge func(key string, sp *Spool) (Meta, error), report func(Problem)) (n Imported, err error) {
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
			n.Refused++
			return nil
		case d.IsDir() && (key == "sumdb" || key == "vcs"):
			return fs.SkipDir
		case d.IsDir() || !d.Type().IsRegular() || !servable(key):
			return nil
		case s.Has(key):
			n.Present++
			return nil
		}
		if err := s.take(from, key, judge); err != nil {
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
func (s *Store) take(from *os.Root, key string, judge func(key string, sp *Spool) (Meta, error)) error {
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
	m, err := judge(key, sp)
	if err != nil {
		return err
	}
	m.Source = Imports
	return <-s.Commit(sp, key, m)
}

// Imports is the source of files that no proxy has sent.
const Imports = "import"
