// Command release writes the files of a release into one folder: static
// binaries, both images for two architectures, and their checksums.
//
// The same commit gives the same bytes, on any machine and in any folder: the
// go command gets no path, date or environment to remember, and the images are
// written here rather than by a Docker engine, which would stamp the time of
// day on every layer. "make release-files" runs it; the program itself never
// imports it.
package main

import (
	"context"
	"crypto/sha256"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/semver"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var r release
	flag.StringVar(&r.out, "out", "dist", "folder to write, made if missing")
	flag.StringVar(&r.version, "version", "", "version to stamp (default: what git describe says)")
	flag.StringVar(&r.parts, "parts", "", "folder with busybox and certificates for the images (default: what .ci/tools/image-parts.sh prints)")
	pinned := flag.Bool("pinned", false, "refuse image parts that differ from .ci/tools/image-parts.sha256")
	flag.Parse()
	if err := r.run(ctx, *pinned); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

// A release is one run: where it writes, and what goes into the files.
type release struct {
	out     string
	version string
	parts   string
	commit  string
	date    time.Time // of the commit: every time stamp in the images
}

func (r *release) run(ctx context.Context, pinned bool) error {
	if r.version != "" && (semver.Canonical(r.version) != r.version || semver.Prerelease(r.version) != "") {
		return fmt.Errorf("-version: %q is no release such as v1.2.3: the tags v1 and v1.2 would move to it", r.version)
	}
	if err := r.describe(ctx); err != nil {
		return err
	}
	if r.parts == "" {
		args := []string{".ci/tools/image-parts.sh"}
		if pinned {
			args = append(args, "--pinned")
		}
		dir, err := output(ctx, "sh", args...)
		if err != nil {
			return err
		}
		r.parts = dir
	}
	if err := os.MkdirAll(r.out, 0o755); err != nil {
		return err
	}
	if err := r.writeContext(); err != nil {
		return err
	}
	for _, t := range targets {
		fmt.Fprintln(os.Stderr, "release: building", t.file())
		if err := t.build(ctx, r); err != nil {
			return err
		}
	}
	for _, f := range []flavour{plain, shell} {
		fmt.Fprintln(os.Stderr, "release: writing", f.file())
		if err := r.writeImage(f); err != nil {
			return err
		}
	}
	return r.writeChecksums()
}

// describe fills in what git knows. A tree without git is a release of
// nothing, dated 1970: still the same bytes each time.
func (r *release) describe(ctx context.Context) error {
	r.date = time.Unix(0, 0).UTC()
	if _, err := output(ctx, "git", "rev-parse", "--verify", "--quiet", "HEAD"); err == nil {
		seconds, err := output(ctx, "git", "log", "-1", "--format=%ct")
		if err != nil {
			return err
		}
		n, err := strconv.ParseInt(seconds, 10, 64)
		if err != nil {
			return fmt.Errorf("date of the commit: %w", err)
		}
		r.date = time.Unix(n, 0).UTC()
		if r.commit, err = output(ctx, "git", "rev-parse", "HEAD"); err != nil {
			return err
		}
		if r.version == "" {
			if r.version, err = output(ctx, "git", "describe", "--tags", "--always", "--dirty"); err != nil {
				return err
			}
		}
	}
	if r.version == "" {
		r.version = "devel"
	}
	return nil
}

// writeChecksums writes SHA256SUMS in the form that sha256sum --check reads.
func (r *release) writeChecksums() error {
	sums := map[string]string{}
	for _, name := range r.files() {
		data, err := os.ReadFile(filepath.Join(r.out, name))
		if err != nil {
			return err
		}
		sums[name] = fmt.Sprintf("%x  %s\n", sha256.Sum256(data), name)
	}
	var text strings.Builder
	for _, name := range slices.Sorted(maps.Keys(sums)) {
		text.WriteString(sums[name])
	}
	return os.WriteFile(filepath.Join(r.out, "SHA256SUMS"), []byte(text.String()), 0o644)
}

// files returns the names of all files that a release offers.
func (r *release) files() []string {
	names := []string{plain.file(), shell.file(), caFile}
	for _, arch := range architectures {
		names = append(names, busyboxFile(arch))
	}
	for _, t := range targets {
		names = append(names, t.file())
	}
	return names
}

// output runs a command and returns what it prints, without the last line break.
func output(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return strings.TrimRight(string(out), "\n"), nil
}
