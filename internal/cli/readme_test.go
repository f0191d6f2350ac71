package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"github.com/org/goproxy-setup/internal/policy"
)

// blocks returns the code blocks of a Markdown file that are in the language.
func blocks(t *testing.T, file, language string) []string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for i, part := range strings.Split(string(data), "\n```") {
		if text, ok := strings.CutPrefix(part, language+"\n"); ok && i%2 == 1 {
			list = append(list, text)
		}
	}
	if len(list) == 0 {
		t.Fatalf("%s has no %s block", file, language)
	}
	return list
}

// The README's examples work: its policy is valid, its workflow names inputs
// that exist, its commands are commands.
func TestREADME(t *testing.T) {
	file := filepath.Join("..", "..", "README.md")
	inputs := readAction(t, filepath.Join("..", "..", "action.yml")).Inputs
	policies, workflows := 0, 0
	for _, text := range blocks(t, file, "yaml") {
		if strings.HasPrefix(text, "version:") {
			policies++
			if _, err := policy.Parse("README.md", []byte(text)); err != nil {
				t.Error(err)
			}
			continue
		}
		workflows++
		var w struct {
			Jobs map[string]struct {
				Steps []struct {
					Uses string
					With map[string]string
				}
			}
		}
		if err := yaml.Unmarshal([]byte(text), &w); err != nil {
			t.Fatal(err)
		}
		for _, step := range w.Jobs["build"].Steps {
			if !strings.HasPrefix(step.Uses, "org/goproxy-setup@") {
				continue
			}
			for name := range step.With {
				if _, ok := inputs[name]; !ok {
					t.Errorf("the workflow names the input %q, which does not exist", name)
				}
			}
		}
	}
	if policies == 0 || workflows == 0 {
		t.Errorf("%d policies and %d workflows; want at least one of each", policies, workflows)
	}
}

// The README mentions every input and every output.
func TestREADMEIsComplete(t *testing.T) {
	data, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	a := readAction(t, filepath.Join("..", "..", "action.yml"))
	for name := range a.Outputs {
		if !strings.Contains(string(data), "`"+name+"`") {
			t.Errorf("the output %s is not in the README", name)
		}
	}
	// Set by default, and not meant to be touched.
	hidden := map[string]bool{"runner-temp": true, "job-container": true, "check-run-id": true, "github-token": true}
	for name := range a.Inputs {
		if !hidden[name] && !strings.Contains(string(data), "`"+name+"`") {
			t.Errorf("the input %s is not in the README", name)
		}
	}
}
