package proxytest

import (
	"embed"
	"io/fs"
	"iter"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
	"golang.org/x/mod/sumdb"
)

// recorded holds the files of real public modules in download-cache layout,
// byte for byte as a public proxy served them.
//
//go:embed all:testdata/public
var recorded embed.FS

//go:embed testdata/modules.txtar
var defaultModules []byte

// catalog is every file a server has, by its path below the proxy's URL,
// without the leading slash.
type catalog struct {
	files  map[string][]byte
	folder *folder         // comes first; nil if there is none
	public map[string]bool // escaped module paths that were recorded
	sums   func() *sumdb.Server
	lines  sync.Map // of go.sum, by path@version: to hash a zip takes its time
}

// base is the catalog without Options.Modules. The servers of a process share
// it and so have one checksum database, however often they are asked.
var base = sync.OnceValues(func() (*catalog, error) {
	c := &catalog{files: map[string][]byte{}, public: map[string]bool{}}
	c.sums = sync.OnceValue(c.checksumDatabase)
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

// with returns c and the modules that o adds; c itself is unchanged.
func (c *catalog) with(o Options) (*catalog, error) {
	if o.Modules == "" && o.Dir == "" {
		return c, nil
	}
	d := &catalog{files: make(map[string][]byte, len(c.files)), public: c.public}
	maps.Copy(d.files, c.files)
	d.sums = sync.OnceValue(d.checksumDatabase)
	if o.Dir != "" {
		var err error
		if d.folder, err = openFolder(o.Dir); err != nil {
			return nil, err
		}
	}
	return d, d.add([]byte(o.Modules))
}

// get returns a file that is there under its name, or false.
func (c *catalog) get(name string) ([]byte, bool) {
	if c.folder != nil {
		if read, ok := c.folder.files[name]; ok {
			data, err := read()
			return data, err == nil
		}
	}
	data, ok := c.files[name]
	return data, ok
}

// names returns the names that get knows, some of them twice.
func (c *catalog) names() iter.Seq[string] {
	return func(yield func(string) bool) {
		if c.folder != nil {
			for name := range c.folder.files {
				if !yield(name) {
					return
				}
			}
		}
		for name := range c.files {
			if !yield(name) {
				return
			}
		}
	}
}

// caseModule matches module paths that exist on every server, as v1.0.0; see
// the fault "as".
var caseModule = regexp.MustCompile(`^[a-z0-9.-]*example\.com/case/.`)

// toolchain matches the files of every toolchain. They are noise: enough to
// see that the proxy has them, not to run them.
var toolchain = regexp.MustCompile(`^golang\.org/toolchain/@v/(v0\.0\.1-go1\.[0-9a-z.]+-[0-9a-z]+)\.(mod|zip)$`)

// file returns the file at the path (as in catalog.files), or false.
func (c *catalog) file(name string) ([]byte, bool) {
	if data, ok := c.get(name); ok {
		return data, true
	}
	if name == strings.Replace(BigModule, "@", "/@v/", 1)+".zip" {
		return bigZip(), true
	}
	if mod, ok := strings.CutSuffix(name, "/@v/list"); ok {
		return c.list(mod)
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

// list returns the version list, oldest first, which is empty for a module
// without tagged versions.
func (c *catalog) list(mod string) (list []byte, ok bool) {
	if caseModule.MatchString(mod) {
		return []byte("v1.0.0\n"), true
	}
	versions := c.versions(mod)
	for _, v := range versions {
		if !module.IsPseudoVersion(v) {
			list = append(list, v+"\n"...)
		}
	}
	return list, len(versions) > 0
}

// latest returns the .info of the newest version: a release, if there is one.
func (c *catalog) latest(mod string) (info []byte, ok bool) {
	versions := c.versions(mod)
	if len(versions) == 0 {
		return nil, false
	}
	newest := versions[len(versions)-1]
	for _, v := range versions {
		if semver.Prerelease(v) == "" {
			newest = v
		}
	}
	newest, err := module.EscapeVersion(newest)
	if err != nil {
		return nil, false
	}
	return c.get(mod + "/@v/" + newest + ".info")
}

// versions returns all versions of a module, by its escaped path, oldest first.
func (c *catalog) versions(mod string) (list []string) {
	for name := range c.names() {
		v, ok := strings.CutPrefix(name, mod+"/@v/")
		if v, isInfo := strings.CutSuffix(v, ".info"); ok && isInfo {
			if v, err := module.UnescapeVersion(v); err == nil {
				list = append(list, v)
			}
		}
	}
	semver.Sort(list)
	return slices.Compact(list)
}
