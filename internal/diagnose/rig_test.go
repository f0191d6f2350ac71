package diagnose_test

import (
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/diagnose"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// A rig is a machine in a temporary directory: a home, a work tree, a system's
// settings, a module proxy, and the real go and git commands.
type rig struct {
	*testing.T
	home, dir, etc string
	env            map[string]string
	proxy          *proxytest.Server
	config         diagnose.Config // beside what the rig itself says
	fill           func(*diagnose.Machine)
}

// newRig returns a machine on which nothing is wrong.
func newRig(t *testing.T) *rig {
	t.Helper()
	root := t.TempDir()
	r := &rig{T: t, home: filepath.Join(root, "home"), dir: filepath.Join(root, "work"), etc: filepath.Join(root, "etc")}
	for _, d := range []string{r.home, r.dir, r.etc} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	var path []string
	for _, name := range []string{"go", "git"} {
		file, err := exec.LookPath(name)
		if err != nil {
			t.Skipf("SKIPPED: there is no %s command", name)
		}
		if dir := filepath.Dir(file); !slices.Contains(path, dir) {
			path = append(path, dir)
		}
	}
	r.proxy = proxytest.New(t, proxytest.Options{})
	r.env = map[string]string{
		"PATH": strings.Join(path, string(filepath.ListSeparator)), "HOME": r.home, "GOPROXY": r.proxy.URL + ",direct", "GOSUMDB": proxytest.GOSUMDB,
		"GOTOOLCHAIN": "local", "GIT_CONFIG_NOSYSTEM": "1", "GOCACHE": filepath.Join(root, "gocache"), "GOFLAGS": "-modcacherw",
		"HTTPS_PROXY": "http://127.0.0.1:1", // nothing gets out
	}
	r.write(filepath.Join(r.dir, "go.mod"), "module example.com/work\n\ngo 1.21.0\n")
	return r
}

// write writes a file and the directories above it.
func (r *rig) write(file, text string) {
	r.Helper()
	if !filepath.IsAbs(file) {
		file = filepath.Join(r.dir, file)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		r.Fatal(err)
	}
}

// program writes a shell script that may be run.
func (r *rig) program(file, text string) {
	r.Helper()
	r.write(file, "#!/bin/sh\n"+text+"\n")
	if err := os.Chmod(file, 0o755); err != nil {
		r.Fatal(err)
	}
}

// cache returns a path in the machine's download cache.
func (r *rig) cache(file string) string {
	return filepath.Join(r.home, "go", "pkg", "mod", "cache", "download", filepath.FromSlash(file))
}

// run runs the go or git command on the machine.
func (r *rig) run(name string, args ...string) string {
	r.Helper()
	cmd := exec.Command(name, args...)
	cmd.Dir, cmd.Env = r.dir, r.environ()
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.Fatalf("%s %s: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func (r *rig) environ() []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(r.env)) {
		list = append(list, name+"="+r.env[name])
	}
	return list
}

// machine reads the machine as doctor does.
func (r *rig) machine(ctx context.Context) *diagnose.Machine {
	c := r.config
	c.Getenv = func(name string) string { return r.env[name] }
	c.Environ, c.Dir, c.Home, c.Etc = r.environ(), r.dir, r.home, r.etc
	c.User.Path = filepath.Join(r.home, ".config", "go", "env")
	if f := r.env["GOENV"]; f != "" {
		c.User.Path = f
	}
	if c.User.Path == "off" {
		c.User = goenv.EnvFile{}
	}
	c.User.Data, _ = os.ReadFile(c.User.Path)
	m := diagnose.Read(ctx, c)
	if r.fill != nil {
		r.fill(m)
	}
	return m
}

// examine makes all checks.
func (r *rig) examine() []diagnose.Examined {
	r.Helper()
	ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
	defer cancel()
	return diagnose.Run(ctx, r.machine(ctx), diagnose.Checks())
}

// ids returns the IDs of the checks that found something.
func ids(list []diagnose.Examined) (found []string) {
	for _, e := range list {
		if len(e.Findings) > 0 {
			found = append(found, e.ID)
		}
	}
	return found
}

// show lists all findings, for messages.
func show(list []diagnose.Examined) string {
	var b strings.Builder
	for _, e := range list {
		for _, f := range e.Findings {
			b.WriteString(e.ID + " " + f.Place.String() + " " + f.Message + "\n    fix: " + f.Fix + "\n")
		}
	}
	return b.String()
}
