//go:build linux

package lab

import (
	"bytes"
	"context"
	"crypto/sha256"
	_ "embed"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/proxytest"
)

// A Project is what the go command downloads, and where from.
type Project struct {
	Name    string
	Mod     string // go.mod
	Sum     string // go.sum, complete
	Modules []module.Version

	origin proxytest.Options // what the upstreams serve
}

// The go.mod and go.sum of GitHub's command line tool, github.com/cli/cli/v2
// v2.74.0 (MIT licence): 181 modules, 107 MB of zips, the largest 39 MB.
var (
	//go:embed testdata/project.mod
	recordedMod string
	//go:embed testdata/project.sum
	recordedSum string
)

// Recorded returns a real project of more than 150 modules. They are fetched
// once, through whatever GOPROXY the go command has here, and kept in the
// user's cache folder.
func Recorded(ctx context.Context) (*Project, error) {
	p := &Project{Name: "github.com/cli/cli/v2@v2.74.0", Mod: recordedMod, Sum: recordedSum}
	if err := p.parse(); err != nil {
		return nil, err
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "goproxy-setup-tools", "lab", fmt.Sprintf("%.12x", sha256.Sum256([]byte(p.Mod+p.Sum+"with every zip"))))
	if _, err := os.Stat(dir); err != nil {
		if err := p.record(ctx, dir); err != nil {
			return nil, fmt.Errorf("recording the modules of %s: %w", p.Name, err)
		}
	}
	p.origin = proxytest.Options{Dir: dir}
	return p, nil
}

// record downloads every version of the project's go.sum and makes the download cache dir.
func (p *Project) record(ctx context.Context, dir string) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	work, err := os.MkdirTemp(filepath.Dir(dir), "recording-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	if err := p.write(work); err != nil {
		return err
	}
	// Of some versions go needs the go.mod alone. A proxy has their zips, too.
	cmd := exec.CommandContext(ctx, "go", append([]string{"mod", "download"}, p.versions()...)...)
	cmd.Dir = work
	cmd.Env = append(os.Environ(), "GOMODCACHE="+filepath.Join(work, "cache"), "GOFLAGS=-modcacherw", "GOTOOLCHAIN=local", "GOWORK=off")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go mod download: %w\n%s", err, lastLines(out, 5))
	}
	return os.Rename(filepath.Join(work, "cache", "cache", "download"), dir)
}

// versions returns, as path@version, all that go.sum has.
func (p *Project) versions() (list []string) {
	for line := range strings.Lines(p.Sum) {
		f := strings.Fields(line)
		if vers, ok := strings.CutSuffix(f[1], "/go.mod"); ok {
			list = append(list, f[0]+"@"+vers)
		}
	}
	return list
}

// Synthetic returns a project of n modules that are made here, for machines
// without a way out and for tests that have to be quick. Every tenth module is
// of half a megabyte, the others of some kilobytes.
func Synthetic(n int) (*Project, error) {
	p := &Project{Name: fmt.Sprintf("%d synthetic modules", n)}
	var mod, archive strings.Builder
	mod.WriteString("module project.example.com\n\ngo 1.23\n\nrequire (\n")
	rnd := rand.New(rand.NewChaCha8([32]byte{}))
	for i := range n {
		name, size := fmt.Sprintf("lab.example.com/Module%03d", i), 8_000
		if i%10 == 9 {
			size = 500_000
		}
		fmt.Fprintf(&mod, "\t%s v1.%d.0\n", name, i%7)
		at := fmt.Sprintf("-- %s@v1.%d.0/", name, i%7)
		fmt.Fprintf(&archive, "%sgo.mod --\nmodule %s\n\ngo 1.23\n%sm.go --\npackage m\n%snoise.txt --\n", at, name, at, at)
		for range size / 17 {
			fmt.Fprintf(&archive, "%016x\n", rnd.Uint64())
		}
	}
	mod.WriteString(")\n")
	p.Mod = mod.String()
	p.origin.Modules = archive.String()
	if err := p.parse(); err != nil {
		return nil, err
	}
	s, err := proxytest.Start(p.origin)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	for _, m := range p.Modules {
		p.Sum += s.GoSum(m.String())
	}
	return p, nil
}

func (p *Project) parse() error {
	f, err := modfile.Parse("go.mod", []byte(p.Mod), nil)
	if err != nil {
		return err
	}
	for _, r := range f.Require {
		p.Modules = append(p.Modules, r.Mod)
	}
	return nil
}

func (p *Project) write(dir string) error {
	for name, text := range map[string]string{"go.mod": p.Mod, "go.sum": p.Sum} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// files returns the path below a proxy's URL of every file of the modules.
func (p *Project) files() (names []string, err error) {
	for _, m := range p.Modules {
		path, err := module.EscapePath(m.Path)
		if err != nil {
			return nil, err
		}
		version, err := module.EscapeVersion(m.Version)
		if err != nil {
			return nil, err
		}
		for _, ext := range []string{".info", ".mod", ".zip"} {
			names = append(names, path+"/@v/"+version+ext)
		}
	}
	return names, nil
}

func lastLines(out []byte, n int) string {
	lines := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-n):], []byte("\n")))
}
