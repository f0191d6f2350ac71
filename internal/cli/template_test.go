package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestTemplateLinks shows a repository with symbolic links where the Jenkins
// step keeps its files. They lead to files of the machine, which stay as they
// are. GitLab's template has the same functions.
func TestTemplateLinks(t *testing.T) {
	script, err := os.ReadFile("../../ci-templates/jenkins/resources/goproxy-setup/setup.sh")
	if err != nil {
		t.Fatal(err)
	}
	for name, link := range map[string]func(dir, machine string) error{
		"the folder": func(dir, machine string) error {
			return os.Symlink(machine, filepath.Join(dir, ".goproxy-setup"))
		},
		".gitignore": func(dir, machine string) error {
			folder := filepath.Join(dir, ".goproxy-setup")
			if err := os.Mkdir(folder, 0o755); err != nil {
				return err
			}
			return os.Symlink(filepath.Join(machine, ".gitignore"), filepath.Join(folder, ".gitignore"))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir, machine := t.TempDir(), t.TempDir()
			victim := filepath.Join(machine, ".gitignore")
			if err := os.WriteFile(victim, []byte("mine\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			if err := link(dir, machine); err != nil {
				t.Skip("SKIPPED: no symbolic links: ", err)
			}
			cmd := exec.Command("sh", "-c", string(script))
			cmd.Dir = dir
			cmd.Env = append(cmd.Environ(), "GOPROXY_SETUP_BINARY=true", "GOPROXY_SETUP_FILES=.goproxy-setup/x")
			out, err := cmd.CombinedOutput()
			if _, ran := err.(*exec.ExitError); err != nil && !ran {
				t.Skip("SKIPPED: no sh: ", err)
			}
			if got, err := os.ReadFile(victim); string(got) != "mine\n" {
				t.Errorf("a file of the machine is now %q (%v)\n%s", got, err, out)
			}
		})
	}
}
