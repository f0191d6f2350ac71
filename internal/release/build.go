package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// A target is one platform we build for.
type target struct{ os, arch string }

var targets = []target{
	{"linux", "amd64"}, {"linux", "arm64"},
	{"darwin", "amd64"}, {"darwin", "arm64"},
	{"windows", "amd64"}, {"windows", "arm64"},
}

// file returns the name under which the binary is released; the templates in
// ci-templates put the same name together.
func (t target) file() string {
	name := "goproxy-setup-" + t.os + "-" + t.arch
	if t.os == "windows" {
		name += ".exe"
	}
	return name
}

// build compiles the static binary into r.out. Nothing of this machine goes in:
// no paths, no version control state, no build flags or CPU levels of its own.
func (t target) build(ctx context.Context, r *release) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=false",
		"-ldflags=-s -w "+r.stamp(), "-o", filepath.Join(r.out, t.file()), "./cmd/goproxy-setup")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+t.os, "GOARCH="+t.arch,
		"GOFLAGS=", "GOEXPERIMENT=", "GOAMD64=v1", "GOARM64=v8.0", "GOFIPS140=off")
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building %s: %w", t.file(), err)
	}
	return nil
}

// stamp returns the linker flags that tell the binary its version.
func (r *release) stamp() string {
	const in = "github.com/org/goproxy-setup/internal/cli"
	return fmt.Sprintf("-X %s.version=%s -X %s.commit=%s", in, r.version, in, r.commit)
}
