package cli

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
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

// The README's examples work: its policy is valid, its steps name inputs that
// exist. [TestCommandsOfPages] looks at its commands.
func TestREADME(t *testing.T) {
	file := filepath.Join("..", "..", "README.md")
	inputs := readAction(t, filepath.Join("..", "..", "action.yml")).Inputs
	type step struct {
		Uses string
		With map[string]string
	}
	policies, ours := 0, 0
	for _, text := range blocks(t, file, "yaml") {
		if strings.HasPrefix(text, "version:") {
			policies++
			if _, err := policy.Parse("README.md", []byte(text)); err != nil {
				t.Error(err)
			}
			continue
		}
		var workflow struct {
			Jobs map[string]struct{ Steps []step }
		}
		if strings.HasPrefix(text, "- ") { // a step
			text = "jobs:\n  build:\n    steps:\n    " + strings.ReplaceAll(text, "\n", "\n    ")
		}
		if err := yaml.Unmarshal([]byte(text), &workflow); err != nil {
			t.Fatal(err)
		}
		for _, step := range workflow.Jobs["build"].Steps {
			if !strings.HasPrefix(step.Uses, "org/goproxy-setup@") {
				continue
			}
			ours++
			for name := range step.With {
				if _, ok := inputs[name]; !ok {
					t.Errorf("the workflow names the input %q, which does not exist", name)
				}
			}
		}
	}
	if policies == 0 || ours == 0 {
		t.Errorf("%d policies and %d steps; want at least one of each", policies, ours)
	}
}

// commandText finds the program and its arguments in a line of code.
var commandText = regexp.MustCompile(`(?:^|[\s("$])goproxy-setup(?:\.exe)? ([a-z]+(?: [^\n]*)?)`)

// Every command that a page or a template shows is one, and has the options that
// are given there.
func TestCommandsOfPages(t *testing.T) {
	seen := 0
	for _, pattern := range []string{"README.md", "docs/*.md", "ci-templates/*/*.md", "ci-templates/github/*.yml"} {
		files, err := filepath.Glob(filepath.Join("..", "..", pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v, %v", pattern, files, err)
		}
		for _, file := range files {
			for _, code := range pageCode(t, file) {
				for _, m := range commandText.FindAllStringSubmatch(code, -1) {
					seen++
					checkCommand(t, file, m[1])
				}
			}
		}
	}
	if seen < 20 {
		t.Errorf("found %d commands", seen)
	}
}

// pageCode returns the code of a Markdown file, in blocks and in lines, or the
// whole of another file.
func pageCode(t *testing.T, file string) (list []string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Ext(file) != ".md" {
		return []string{string(data)}
	}
	for i, part := range strings.Split(string(data), "\n```") {
		if i%2 == 1 {
			list = append(list, part)
			continue
		}
		for j, span := range strings.Split(part, "`") {
			if j%2 == 1 {
				list = append(list, span)
			}
		}
	}
	return list
}

// checkCommand checks the arguments of one command, up to where a shell's syntax
// or another program begins.
func checkCommand(t *testing.T, file, args string) {
	t.Helper()
	words := strings.Fields(args)
	all := commands()
	i := slices.IndexFunc(all, func(c command) bool { return c.name == strings.TrimRight(words[0], "\"')") })
	if i < 0 {
		t.Errorf("%s: goproxy-setup %s: there is no such command", file, args)
		return
	}
	for _, word := range words[1:] {
		word = strings.Trim(word, "\"'[]()`,.;:")
		if word == "--" || strings.ContainsAny(word, "|&>#") {
			return
		}
		name, _, _ := strings.Cut(strings.TrimPrefix(word, "--"), "=")
		known := func(o option) bool { return o.name == name && !o.hidden }
		if strings.HasPrefix(word, "--") && !slices.ContainsFunc(all[i].options, known) {
			t.Errorf("%s: goproxy-setup %s: %s has no option --%s", file, args, all[i].name, name)
		}
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
