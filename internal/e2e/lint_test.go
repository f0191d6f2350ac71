//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// actionFiles are ours: each a real action or workflow.
func actionFiles(t *testing.T) (actions, workflows []string) {
	t.Helper()
	actions = []string{"action.yml", "ci-templates/github/binary/action.yml", "ci-templates/github/agent/action.yml"}
	for _, pattern := range []string{".github/workflows/*.yml", "ci-templates/github/*.yml"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			rel, err := filepath.Rel(root, f)
			if err != nil {
				t.Fatal(err)
			}
			workflows = append(workflows, rel)
		}
	}
	if len(workflows) == 0 {
		t.Fatal("found no workflow")
	}
	return actions, workflows
}

var attestations = regexp.MustCompile(`(?m)^ *attestations: write.*\n`)

// The schema of actions and workflows, and what actionlint knows beyond it.
func TestActionFilesAreClean(t *testing.T) {
	bin := tool(t, "github.sh")
	actions, workflows := actionFiles(t)
	dir := t.TempDir()
	for _, f := range append(actions, workflows...) {
		data, err := os.ReadFile(filepath.Join(root, f))
		if err != nil {
			t.Fatal(err)
		}
		// The validator's schema is older than this permission; actionlint knows it.
		write(t, dir, f, attestations.ReplaceAllString(string(data), ""))
		if r := run(t, dir, environ(), filepath.Join(bin, "action-validator"), f); r.exit != 0 {
			t.Errorf("action-validator %s: exit %d\n%s%s", f, r.exit, r.stdout, r.stderr)
		}
	}
	if r := run(t, root, environ(), filepath.Join(bin, "actionlint"), workflows...); r.exit != 0 {
		t.Errorf("actionlint: exit %d\n%s%s", r.exit, r.stdout, r.stderr)
	}
}

// actionlint reads an action where a workflow uses it: ours must accept every
// input that it declares, and offer every output.
func TestActionsAreUsable(t *testing.T) {
	bin := tool(t, "github.sh")
	dir := t.TempDir()
	for _, name := range []string{"action.yml", "Dockerfile", "ci-templates/github/binary/action.yml", "ci-templates/github/agent/action.yml"} {
		data, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, name, string(data))
	}
	for _, action := range []string{"./", "./ci-templates/github/binary", "./ci-templates/github/agent"} {
		var env strings.Builder
		for i, name := range outputNames(t) {
			fmt.Fprintf(&env, "          OUTPUT_%d: ${{ steps.setup.outputs.%s }}\n", i, name)
		}
		write(t, dir, ".github/workflows/use.yml", "on: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n    steps:\n"+
			"      - id: setup\n        uses: "+action+"\n        with:\n          environment: staging\n"+
			"      - run: env\n        env:\n"+env.String())
		must(t, dir, environ(), "git", "init", "--quiet")
		if r := run(t, dir, environ(), filepath.Join(bin, "actionlint")); r.exit != 0 {
			t.Errorf("a workflow that uses %s: exit %d\n%s%s", action, r.exit, r.stdout, r.stderr)
		}
	}
}
