package diagnose_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// In a pull request nothing outside of the work tree is shown through a link
// that its author brought along.
func TestLinksOfAStranger(t *testing.T) {
	r := newRig(t)
	secret := filepath.Join(r.home, "secret")
	r.write(secret, "TOKEN=s3cret\n")
	for _, name := range []string{"go.mod", "go.sum", "go.work", ".gitlab-ci.yml", "Dockerfile"} {
		os.Remove(filepath.Join(r.dir, name))
		if err := os.Symlink(secret, filepath.Join(r.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	if text := show(r.examine()); !strings.Contains(text, "TOKEN") {
		t.Errorf("a trusted tree's links are followed, and what they lead to is not shown:\n%s", text)
	}
	r.config.Tree = r.dir
	if text := show(r.examine()); strings.Contains(text, "TOKEN") || strings.Contains(text, "s3cret") || !strings.Contains(text, "go cannot read go.mod") {
		t.Errorf("shown:\n%s", text)
	}
}
