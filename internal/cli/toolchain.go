package cli

import (
	"cmp"
	"context"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/org/goproxy-setup/internal/explain"
	"github.com/org/goproxy-setup/internal/goenv"
)

// toolchain returns the toolchain that the go command will fetch through the
// chain before it does anything else, because go.mod, go.work or GOTOOLCHAIN
// asks for another one than is installed; "" if none, or if that cannot be told
// from here.
func toolchain(ctx context.Context, h Host) string {
	s := goenv.Sources{Getenv: h.Getenv}
	s.User, _ = userEnv(h) // go ignores one that it cannot read
	goMod, goWork, _, err := moduleFiles(h.Dir, s.Lookup("GOWORK").Value)
	if err != nil {
		return ""
	}
	m, err := explain.ParseMain(goMod, goWork)
	if err != nil {
		return "" // go itself will say what is wrong
	}
	mode := s.Lookup("GOTOOLCHAIN").Value
	if mode == "local" || m.Lines == (goenv.GoLines{}) && (mode == "" || mode == "auto" || mode == "path") {
		return "" // nothing asks for another
	}
	mode, installed := installedGo(ctx, h.Dir, mode)
	if installed == "" {
		return "" // no go here
	}
	t, err := goenv.SelectToolchain(mode, installed, m.Lines)
	if err != nil || t.Installed || t.PathOnly || inPath(t.Name) {
		return ""
	}
	return t.Name
}

// inPath reports whether PATH leads to a program of that name.
func inPath(name string) bool {
	_, err := exec.LookPath(name)
	return err == nil
}

// installedGo returns the version of the go command, "" if there is none, and
// GOTOOLCHAIN: mode, if it is not empty, or else go's default.
func installedGo(ctx context.Context, dir, mode string) (inForce, version string) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	// At the root, outside of any module, and without proxies, go answers for
	// itself and does not try to become another version first.
	cmd := exec.CommandContext(ctx, "go", "env", "GOTOOLCHAIN", "GOVERSION")
	cmd.Dir = filepath.VolumeName(dir) + string(filepath.Separator)
	cmd.Env = append(cmd.Environ(), "GOWORK=off", "GOPROXY=off")
	if mode != "" {
		cmd.Env = append(cmd.Env, "GOTOOLCHAIN=local")
	}
	out, err := cmd.Output()
	if err != nil {
		return mode, ""
	}
	builtIn, version, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	return cmp.Or(mode, builtIn), version
}
