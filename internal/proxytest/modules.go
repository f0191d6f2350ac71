package proxytest

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	modzip "golang.org/x/mod/zip"
)

// BigModule is served with a zip of about 5 MB that is generated, not recorded:
// its .info and .mod are the real ones, its h1 is not the public one.
const BigModule = "golang.org/x/text@v0.0.0-20170915032832-14c0d48ead0c"

// released is the time in every synthetic .info file.
var released = time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)

// add makes .info, .mod and .zip of every module in the archive.
func (c *catalog) add(archive []byte) error {
	mods := map[module.Version]memFiles{}
	for _, f := range txtar.Parse(archive).Files {
		name, vers, ok := strings.Cut(f.Name, "@")
		vers, rest, ok2 := strings.Cut(vers, "/")
		if !ok || !ok2 {
			return fmt.Errorf("proxytest: file %q is not named PATH@VERSION/FILE", f.Name)
		}
		m := module.Version{Path: name, Version: vers}
		mods[m] = append(mods[m], memFile{rest, f.Data})
	}
	for m, files := range mods {
		if err := c.addModule(m, files); err != nil {
			return fmt.Errorf("proxytest: %s: %w", m, err)
		}
	}
	return nil
}

func (c *catalog) addModule(m module.Version, files memFiles) error {
	gomod := []byte("module " + modfile.AutoQuote(m.Path) + "\n")
	list := make([]modzip.File, len(files))
	for i, f := range files {
		list[i] = f
		if f.path == "go.mod" {
			gomod = f.data
		}
	}
	var z bytes.Buffer
	if err := modzip.Create(&z, m, list); err != nil {
		return err
	}
	info, err := json.Marshal(struct {
		Version string
		Time    time.Time
	}{m.Version, released})
	if err != nil {
		return err
	}
	name, err := escaped(m)
	if err != nil {
		return err
	}
	c.files[name+".info"], c.files[name+".mod"], c.files[name+".zip"] = info, gomod, z.Bytes()
	return nil
}

// bigZip completes the recorded .info and .mod of [BigModule]: enough of
// golang.org/x/text to build rsc.io/quote, and noise up to the real size.
var bigZip = sync.OnceValue(func() []byte {
	return noisyZip(BigModule, 4_800_000, memFile{"language/language.go", []byte(languageStub)})
})

// noisyZip makes a zip of the file and of noise, always the same. Errors there
// can be none: all is in memory.
func noisyZip(module string, size int, f memFile) []byte {
	noise := make([]byte, size)
	rand.NewChaCha8([32]byte{}).Read(noise)
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, f := range []memFile{f, {"testdata/noise.bin", noise}} {
		// Stored: compressing noise takes 0.1 s and gains nothing.
		dst, _ := w.CreateHeader(&zip.FileHeader{Name: module + "/" + f.path, Method: zip.Store})
		dst.Write(f.data)
	}
	w.Close()
	return out.Bytes()
}

const languageStub = `// Package language stands in for the real one: what rsc.io/sampler needs.
package language

type Tag struct{ name string }

func Make(name string) Tag { return Tag{name} }

func (t Tag) String() string { return t.name }

type Confidence int

type Matcher interface {
	Match(...Tag) (Tag, int, Confidence)
}

func NewMatcher([]Tag) Matcher { return first{} }

type first struct{}

func (first) Match(...Tag) (Tag, int, Confidence) { return Tag{}, 0, 0 }
`

// caseFile makes a file of a module that exists by its name alone.
func caseFile(escapedPath, name string) ([]byte, bool) {
	mod, err := module.UnescapePath(escapedPath)
	if err != nil {
		return nil, false
	}
	c := catalog{files: map[string][]byte{}}
	err = c.addModule(module.Version{Path: mod, Version: "v1.0.0"}, memFiles{
		{"go.mod", []byte("module " + mod + "\n\ngo 1.21\n")},
		{"case.go", []byte("package c\n")},
	})
	data, ok := c.files[name]
	return data, ok && err == nil
}

// escaped returns the path of the module's files up to their extension.
func escaped(m module.Version) (string, error) {
	p, err := module.EscapePath(m.Path)
	if err != nil {
		return "", err
	}
	v, err := module.EscapeVersion(m.Version)
	return p + "/@v/" + v, err
}

// A memFile is a file of a module zip.
type memFile struct {
	path string
	data []byte
}

type memFiles []memFile

func (f memFile) Path() string                 { return f.path }
func (f memFile) Lstat() (fs.FileInfo, error)  { return memInfo{f}, nil }
func (f memFile) Open() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(f.data)), nil }

type memInfo struct{ f memFile }

func (i memInfo) Name() string     { return path.Base(i.f.path) }
func (i memInfo) Size() int64      { return int64(len(i.f.data)) }
func (memInfo) Mode() fs.FileMode  { return 0o644 }
func (memInfo) ModTime() time.Time { return time.Time{} }
func (memInfo) IsDir() bool        { return false }
func (memInfo) Sys() any           { return nil }
