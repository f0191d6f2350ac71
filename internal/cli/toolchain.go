package cli

import (
	"context"
	goversion "go/version"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/org/goproxy-setup/internal/explain"
)

// toolchain returns the toolchain that the go command will fetch through the
// chain before it does anything else, because go.mod asks for a newer one than
// is installed; "" if none, or if that cannot be told from here.
func toolchain(ctx context.Context, dir string) string {
	want := wantedToolchain(dir)
	if want == "" {
		return ""
	}
	mode, installed := installedGo(ctx, dir)
	if mode == "" || mode == "local" || mode == "path" || goversion.Compare(installed, want) >= 0 {
		return "" // no go here, no switching, or new enough
	}
	return want
}

// installedGo returns GOTOOLCHAIN and the version of the go command, "" if
// there is none.
func installedGo(ctx context.Context, dir string) (mode, version string) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	// At the root, outside of any module, and without proxies, go answers for
	// itself and does not try to become another version first.
	cmd := exec.CommandContext(ctx, "go", "env", "GOTOOLCHAIN", "GOVERSION")
	cmd.Dir = filepath.VolumeName(dir) + string(filepath.Separator)
	cmd.Env = append(cmd.Environ(), "GOWORK=off", "GOPROXY=off")
	out, err := cmd.Output()
	if err != nil {
		return "", ""
	}
	mode, version, _ = strings.Cut(strings.TrimSpace(string(out)), "\n")
	return mode, version
}

// wantedToolchain returns the toolchain that go.mod in dir asks for, such as
// "go1.26.3", or "".
func wantedToolchain(dir string) string {
	file := filepath.Join(dir, "go.mod")
	data, err := readFile(file, 16<<20)
	if err != nil {
		return ""
	}
	m, err := explain.ParseMain(explain.File{Name: file, Data: data}, explain.File{})
	if err != nil {
		return "" // go itself will say what is wrong
	}
	return m.Toolchain
}
