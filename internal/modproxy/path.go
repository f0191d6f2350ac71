package modproxy

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/module"
)

// maxPath bounds the path of a request, in bytes. No module has one that long:
// the go command could not keep its files.
const maxPath = 1024

// ParsePath returns the file that path, unescaped as in a URL's Path and
// without a leading slash, names below the URL of a module proxy: the inverse
// of [File.URLPath]. Who serves modules calls it before anything else is done
// with the path.
//
// It refuses what no go command asks for, such as "..", capital letters, and
// versions of .mod and .zip that are not canonical. An .info may be asked for
// any revision that can stand in a file's name.
//
// Source: "GOPROXY protocol" in the Go Modules Reference, module.UnescapePath
// and module.UnescapeVersion.
func ParsePath(path string) (File, error) {
	f, err := parsePath(path)
	if err != nil {
		return File{}, fmt.Errorf("path %q: %w", Excerpt([]byte(path)), err)
	}
	return f, nil
}

func parsePath(path string) (f File, err error) {
	if len(path) > maxPath {
		return f, fmt.Errorf("longer than %d bytes", maxPath)
	}
	escaped, file, versioned := strings.Cut(path, "/@v/")
	if !versioned {
		var latest bool
		if escaped, latest = strings.CutSuffix(path, "/@latest"); !latest {
			return f, errors.New("not a file of the GOPROXY protocol")
		}
		f.Kind = Latest
	}
	if f.Path, err = module.UnescapePath(escaped); err != nil {
		return f, err
	}
	switch {
	case f.Kind == Latest:
		return f, nil
	case file == "list":
		f.Kind = List
		return f, nil
	}
	for _, kind := range []Kind{Info, Mod, Zip} {
		if version, ok := strings.CutSuffix(file, "."+string(kind)); ok {
			f.Kind = kind
			return f.withVersion(version)
		}
	}
	return f, errors.New("not a file of the GOPROXY protocol")
}

// withVersion returns f with the version that is escaped in a path.
func (f File) withVersion(escaped string) (_ File, err error) {
	if f.Version, err = module.UnescapeVersion(escaped); err != nil {
		return f, err
	}
	switch {
	case f.Canonical(), f.Kind == Info: // "v1.2", a branch, a commit
		return f, nil
	case module.CanonicalVersion(f.Version) != f.Version:
		return f, fmt.Errorf("version %q is not canonical", f.Version)
	}
	return f, module.Check(f.Path, f.Version)
}

// Canonical reports whether f is of one certain version, whose files never
// change: the list, "@latest" and the .info of a branch do, and that of a
// version that the path does not fit, as it is of "v2.0.0+incompatible".
func (f File) Canonical() bool {
	return f.Version != "" && module.CanonicalVersion(f.Version) == f.Version && module.Check(f.Path, f.Version) == nil
}
