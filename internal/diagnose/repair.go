package diagnose

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/org/goproxy-setup/internal/render"
)

// A Repair mends a finding without a decision of anybody: it brings nothing
// that was not meant to be there, and takes away nothing that cannot be had
// again.
type Repair struct {
	Shown string // the command that does the same, as one would type it
	do    func(ctx context.Context) error
}

// Do mends the finding.
func (r *Repair) Do(ctx context.Context) error {
	if err := r.do(ctx); err != nil {
		return fmt.Errorf("%s: %w", r.Shown, err)
	}
	return nil
}

// goEnv returns the repair that runs "go env" with arguments. Before it does
// anything, go may fetch the newer version that go.mod wants, through the very
// proxies that are to be mended: it must not.
func (m *Machine) goEnv(args ...string) *Repair {
	if m.Go.Path == "" {
		return nil
	}
	return &Repair{"GOTOOLCHAIN=local " + commandLine("go", append([]string{"env"}, args...)...), func(ctx context.Context) error {
		_, errs, err := m.goAlone(ctx, append([]string{"env"}, args...)...)
		if exit, ok := errors.AsType[*exec.ExitError](err); ok {
			return fmt.Errorf("%s: %s", exit, firstLine(errs))
		}
		return err
	}}
}

// remove returns the repair that removes files of the module cache: go fetches
// them again. Each must lie in root.
func remove(root string, files ...string) *Repair {
	args := []string{"-f"}
	for _, f := range files {
		args = append(args, filepath.Join(root, filepath.FromSlash(f)))
	}
	return &Repair{commandLine("rm", args...), func(context.Context) error {
		r, err := os.OpenRoot(root)
		if err != nil {
			return err
		}
		defer r.Close()
		for _, f := range files {
			if err := r.Remove(f); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
		return nil
	}}
}

// chmod returns the repair that sets the permissions of a file.
func chmod(file string, mode fs.FileMode) *Repair {
	return &Repair{fmt.Sprintf("chmod %o %s", mode, shellWord(file)), func(context.Context) error { return os.Chmod(file, mode) }}
}

// commandLine returns a command as one would type it.
func commandLine(name string, args ...string) string {
	words := []string{name}
	for _, a := range args {
		words = append(words, shellWord(a))
	}
	return strings.Join(words, " ")
}

// shellWord returns s as one word of a shell's command line.
func shellWord(s string) string { return render.ShellWord(s) }

// firstLine returns the first line of text that is not blank.
func firstLine(text string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(text), "\n")
	return strings.TrimSpace(line)
}
