package proxytest

import (
	"archive/zip"
	"bytes"
	"cmp"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/txtar"
	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
	modzip "golang.org/x/mod/zip"
)

// recorded holds the files of real public modules in download-cache layout,
// byte for byte as a public proxy served them.
//
//go:embed all:testdata/public
var recorded embed.FS

//go:embed testdata/modules.txtar
var defaultModules []byte

// BigModule is served with a zip of about 5 MB that is generated, not recorded:
// its .info and .mod are the real ones, its h1 is not the public one.
const BigModule = "golang.org/x/text@v0.0.0-20170915032832-14c0d48ead0c"

// released is the time in every synthetic .info file.
var released = time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)

// catalog is every file a server has, by its path below the proxy's URL,
// without the leading slash.
type catalog struct {
	files  map[string][]byte
	public map[string]bool // escaped module paths that were recorded
}

// base is the catalog without Options.Modules; servers share it.
var base = sync.OnceValues(func() (*catalog, error) {
	c := &catalog{files: map[string][]byte{}, public: map[string]bool{}}
	const root = "testdata/public/"
	err := fs.WalkDir(recorded, path.Clean(root), func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := recorded.ReadFile(name)
		name = strings.TrimPrefix(name, root)
		c.files[name] = data
		if mod, _, ok := strings.Cut(name, "/@v/"); ok {
			c.public[mod] = true
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	return c, c.add(defaultModules)
})

// with returns c and the modules of the txtar archive; c itself is unchanged.
func (c *catalog) with(archive string) (*catalog, error) {
	if archive == "" {
		return c, nil
	}
	d := &catalog{files: make(map[string][]byte, len(c.files)), public: c.public}
	maps.Copy(d.files, c.files)
	return d, d.add([]byte(archive))
}

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

// caseModule matches module paths that exist on every server, as v1.0.0; see
// the fault "as".
var caseModule = regexp.MustCompile(`^[a-z0-9.-]*example\.com/case/.`)

// toolchain matches the files of every toolchain. They are noise: enough to
// see that the proxy has them, not to run them.
var toolchain = regexp.MustCompile(`^golang\.org/toolchain/@v/(v0\.0\.1-go1\.[0-9a-z.]+-[0-9a-z]+)\.(mod|zip)$`)

// file returns the file at the path (as in catalog.files), or false.
func (c *catalog) file(name string) ([]byte, bool) {
	if data, ok := c.files[name]; ok {
		return data, true
	}
	if name == strings.Replace(BigModule, "@", "/@v/", 1)+".zip" {
		return bigZip(), true
	}
	if mod, ok := strings.CutSuffix(name, "/@v/list"); ok {
		list := c.versions(mod)
		return []byte(strings.Join(list, "")), len(list) > 0
	}
	if mod, ok := strings.CutSuffix(name, "/@latest"); ok {
		return c.latest(mod)
	}
	if mod, _, ok := strings.Cut(name, "/@v/v1.0.0."); ok && caseModule.MatchString(mod) {
		return caseFile(mod, name)
	}
	if m := toolchain.FindStringSubmatch(name); m != nil {
		gomod := []byte("module golang.org/toolchain\n")
		if m[2] == "mod" {
			return gomod, true
		}
		return noisyZip("golang.org/toolchain@"+m[1], 2<<20, memFile{"go.mod", gomod}), true
	}
	return nil, false
}

// versions returns the lines of the version list, oldest first.
func (c *catalog) versions(mod string) (lines []string) {
	if caseModule.MatchString(mod) {
		return []string{"v1.0.0\n"}
	}
	for name := range c.files {
		if v, ok := strings.CutPrefix(name, mod+"/@v/"); ok && path.Ext(v) == ".info" {
			if v = strings.TrimSuffix(v, ".info"); !module.IsPseudoVersion(v) {
				lines = append(lines, v+"\n")
			}
		}
	}
	slices.SortFunc(lines, func(a, b string) int {
		return cmp.Or(semver.Compare(strings.TrimSpace(a), strings.TrimSpace(b)), strings.Compare(a, b))
	})
	return lines
}

// latest returns the .info of the newest version, tagged or not.
func (c *catalog) latest(mod string) (info []byte, ok bool) {
	newest := ""
	for name, data := range c.files {
		if v, isVersion := strings.CutPrefix(name, mod+"/@v/"); isVersion && path.Ext(v) == ".info" {
			if newest == "" || semver.Compare(v, newest) > 0 {
				newest, info = v, data
			}
		}
	}
	return info, newest != ""
}

// caseFile makes a file of a module that exists by its name alone.
func caseFile(escapedPath, name string) ([]byte, bool) {
	mod, err := module.UnescapePath(escapedPath)
	if err != nil {
		return nil, false
	}
	var c = catalog{files: map[string][]byte{}}
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
