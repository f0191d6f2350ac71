package cli

import (
	"context"
	goversion "go/version"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
)

// toolchain returns the toolchain that the go command will fetch through the
// chain before it does anything else, because go.mod asks for a newer one than
// is installed; "" if none, or if that cannot be told from here.
func toolchain(ctx context.Context, dir string) string {
	want := wantedToolchain(dir)
	if want == "" {
		return ""
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	// At the root, outside of any module, and without proxies, go answers for
	// itself and does not try to become another version first.
	cmd := exec.CommandContext(ctx, "go", "env", "GOTOOLCHAIN", "GOVERSION")
	cmd.Dir = filepath.VolumeName(dir) + string(filepath.Separator)
	cmd.Env = append(cmd.Environ(), "GOWORK=off", "GOPROXY=off")
	out, err := cmd.Output()
	mode, installed, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
	if err != nil || mode == "local" || mode == "path" || goversion.Compare(installed, want) >= 0 {
		return "" // no go here, no switching, or new enough
	}
	return want
}

// wantedToolchain returns the toolchain that go.mod in dir asks for, such as
// "go1.26.3", or "".
func wantedToolchain(dir string) string {
	file := filepath.Join(dir, "go.mod")
	data, err := readFile(file, 16<<20)
	if err != nil {
		return ""
	}
	mod, err := modfile.Parse(file, data, nil)
	if err != nil {
		return "" // go itself will say what is wrong
	}
	want := ""
	if mod.Go != nil {
		want = "go" + mod.Go.Version
	}
	if mod.Toolchain != nil && goversion.Compare(mod.Toolchain.Name, want) > 0 {
		want = mod.Toolchain.Name
	}
	if !goversion.IsValid(want) {
		return "" // "default", or a go of somebody's own
	}
	return want
}
