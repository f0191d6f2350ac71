package proxytest

import (
	"archive/zip"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/dirhash"
)

// SumDBName is the checksum database that knows every module of the server.
const SumDBName = "sumdb.example.com"

// GOSUMDB is the value of that variable for the checksum database: its name and
// key. Behind a blank may follow the database's URL, p.URL+"/sumdb/"+SumDBName.
const GOSUMDB = SumDBName + "+b16d6d3d+AcOYNk6ZeDCw7GXjYEvIMnROEbxZMba037E5n/g3YYqB"

// sumDBKey signs for the database. It is the same in every run, so that no
// cache of an earlier run contradicts this one.
const sumDBKey = "PRIVATE+KEY+" + SumDBName + "+b16d6d3d+AZqq4thSlBNEyK1auIVQKlV7wcRVDuGta6e3V+nxK7gy"

// databasePath returns the path below a module proxy's URL for what a client
// asks of a checksum database itself: who comes for its host, through a
// [ForwardProxy], finds it at the root.
func databasePath(host, path string) string {
	name := hostname(host)
	if strings.HasPrefix(name, "sum.golang.") { // it has an alias
		name = "sum.golang.org"
	}
	if name != "sum.golang.org" && name != SumDBName || strings.HasPrefix(path, "/sumdb/") {
		return path
	}
	return "/sumdb/" + name + path
}

// GoSum returns the go.sum lines, as this server's database has them, for the
// modules ("path@version"), or for all if none is named. It panics if the
// server has no such module.
func (s *Server) GoSum(modules ...string) string {
	if len(modules) == 0 {
		modules = s.catalog.modules()
	}
	var b strings.Builder
	for _, m := range modules {
		path, vers, _ := strings.Cut(m, "@")
		lines, err := s.catalog.goSum(path, vers)
		if err != nil {
			panic(err)
		}
		b.Write(lines)
	}
	return b.String()
}

// checksumDatabase returns a database with the catalogue's modules in a fixed
// order: servers of the same modules sign the same tree.
func (c *catalog) checksumDatabase() *sumdb.Server {
	db := sumdb.NewTestServer(sumDBKey, c.goSum)
	for _, m := range c.modules() {
		path, vers, _ := strings.Cut(m, "@")
		if _, err := db.Lookup(context.Background(), module.Version{Path: path, Version: vers}); err != nil {
			panic(err) // we made these modules
		}
	}
	return sumdb.NewServer(db)
}

// modules lists the catalogue's modules that have a .zip, as path@version.
func (c *catalog) modules() []string {
	mods := []string{BigModule}
	for name := range c.names() {
		if name, ok := strings.CutSuffix(name, ".zip"); ok {
			p, v, _ := strings.Cut(name, "/@v/")
			p, perr := module.UnescapePath(p)
			v, verr := module.UnescapeVersion(v)
			if perr == nil && verr == nil {
				mods = append(mods, p+"@"+v)
			}
		}
	}
	slices.Sort(mods)
	return slices.Compact(mods)
}

// goSum returns the two go.sum lines of a module; its error is
// [fs.ErrNotExist] if there is no such module.
func (c *catalog) goSum(path, vers string) ([]byte, error) {
	if lines, ok := c.lines.Load(path + "@" + vers); ok {
		return lines.([]byte), nil
	}
	name, err := escaped(module.Version{Path: path, Version: vers})
	if err != nil {
		return nil, err
	}
	zip, ok1 := c.file(name + ".zip")
	gomod, ok2 := c.file(name + ".mod")
	if !ok1 || !ok2 {
		return nil, &fs.PathError{Op: "proxytest: lookup", Path: path + "@" + vers, Err: fs.ErrNotExist}
	}
	h1, ok := c.zipHash(name)
	if !ok {
		if h1, err = hashZip(zip); err != nil {
			return nil, err
		}
	}
	modH1, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(gomod)), nil
	})
	if err != nil {
		return nil, err
	}
	lines := fmt.Appendf(nil, "%s %s %s\n%[1]s %[2]s/go.mod %[4]s\n", path, vers, h1, modH1)
	c.lines.Store(path+"@"+vers, lines)
	return lines, nil
}

// zipHash returns what the go command noted beside a zip of the folder, so that
// nobody has to hash it again.
func (c *catalog) zipHash(name string) (string, bool) {
	if c.folder == nil {
		return "", false
	}
	h1, err := os.ReadFile(filepath.Join(c.folder.dir, filepath.FromSlash(name)+".ziphash"))
	return strings.TrimSpace(string(h1)), err == nil
}

// hashZip is dirhash.HashZip of bytes.
func hashZip(data []byte) (string, error) {
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return "", err
	}
	files := map[string]*zip.File{}
	for _, f := range z.File {
		files[f.Name] = f
	}
	return dirhash.Hash1(slices.Collect(maps.Keys(files)), func(name string) (io.ReadCloser, error) {
		return files[name].Open()
	})
}
