// Package internal_test holds the rule that the layers of this program obey.
package internal_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/org/goproxy-setup/internal/"

// layers lists our packages from the bottom up. Imports only ever point down:
// a package may import any layer before its own, and never a sibling.
var layers = [][]string{
	{"goenv", "report", "netrc", "agent/breaker"}, {"policy", "checksum"}, {"decision", "lint", "explain"}, // pure
	{"agent/atomicfile"}, {"render", "modproxy", "github", "files", "agent/store"}, {"fault"}, {"site"}, {"probe", "ci", "agent/upstream", "agent/sumdb"},
	{"agent/pool", "agent/accept", "preflight"}, {"agent", "diagnose", "bench"}, {"cli"},
}

// pure is how many of the layers hold rules and no input or output.
const pure = 3

// tools are programs and fixtures beside the product; nothing of it imports
// them, except tests.
var tools = []string{"proxytest", "agent/pipenet", "golab", "e2e", "lab", "lab/table", "release"}

// impure are the packages that the pure layers do not import themselves.
var impure = []string{"os", "net", "net/http", "os/exec"}

func TestImportsPointDown(t *testing.T) {
	for dir, imports := range sources(t) {
		own := layer(dir)
		if own < 0 && !slices.Contains(tools, dir) {
			t.Errorf("package %s has no place in the layers", dir)
		}
		for _, imp := range imports {
			name, ours := strings.CutPrefix(imp.path, module)
			switch {
			case !ours && own >= 0 && own < pure && slices.Contains(impure, imp.path):
				t.Errorf("%s: a pure package imports %s", imp.file, imp.path)
			case !ours || own < 0:
			case slices.Contains(tools, name):
				t.Errorf("%s imports %s, which is for tests only", imp.file, name)
			case layer(name) >= own:
				t.Errorf("%s imports %s, which is not below it", imp.file, name)
			}
		}
	}
}

// layer returns the index of the package's layer, or -1.
func layer(name string) int {
	return slices.IndexFunc(layers, func(l []string) bool { return slices.Contains(l, name) })
}

type imported struct{ file, path string }

// sources returns the imports of every package below this folder, tests aside.
func sources(t *testing.T) map[string][]imported {
	t.Helper()
	all := map[string][]imported{}
	err := fs.WalkDir(os.DirFS("."), ".", func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			if d != nil && d.Name() == "testdata" {
				return fs.SkipDir
			}
			return err
		}
		dir := path.Dir(file)
		if dir == "." || filepath.Ext(file) != ".go" || strings.HasSuffix(file, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		all[dir] = append(all[dir], imported{})
		for _, spec := range f.Imports {
			all[dir] = append(all[dir], imported{file, strings.Trim(spec.Path.Value, `"`)})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 5 {
		t.Fatalf("found only %d packages", len(all))
	}
	return all
}
