package cli

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

var update = flag.Bool("update", false, "rewrite golden files")

// golden compares got with a file, which "go test -update" rewrites first.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	file = filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(file, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is out of date (%v): run go test -update and read the diff; got\n%s", file, err, got)
	}
}

// host returns a host with the arguments and variables given, and its streams.
func host(t *testing.T, env map[string]string, args ...string) (h Host, stdout, stderr *bytes.Buffer) {
	t.Helper()
	stdout, stderr = new(bytes.Buffer), new(bytes.Buffer)
	dir := t.TempDir()
	return Host{
		Args: args, Getenv: func(name string) string { return env[name] }, Dir: dir, Home: dir, TempDir: dir,
		Stdin: strings.NewReader(""), Stdout: stdout, Stderr: stderr,
	}, stdout, stderr
}

func TestHelp(t *testing.T) {
	for file, args := range map[string][]string{
		"help.txt": {"-h"}, "help-setup.txt": {"setup", "-h"}, "help-policy.txt": {"policy", "-h"}, "help-version.txt": {"version", "--help"},
		"help-explain.txt": {"explain", "-h"}, "help-probe.txt": {"probe", "-h"}, "help-agent.txt": {"agent", "-h"},
		"help-bench.txt": {"bench", "-h"}, "help-doctor.txt": {"doctor", "-h"},
	} {
		h, stdout, stderr := host(t, nil, args...)
		if exit := Main(t.Context(), h); exit != ExitOK || stderr.Len() > 0 {
			t.Errorf("%q: exit %d, stderr %q", args, exit, stderr)
		}
		golden(t, file, stdout.Bytes())
	}
}

// A panic is a bug and still keeps the promises: exit 3, and a script that
// evaluates our output stops.
func TestPanicExitsThree(t *testing.T) {
	h, stdout, stderr := host(t, nil, "setup", "--format", "shell")
	h.Getenv = func(string) string { panic("nobody\n::error::home") }
	if exit := Main(t.Context(), h); exit != ExitFailed {
		t.Errorf("exit %d; want %d", exit, ExitFailed)
	}
	if got, want := stdout.String(), "(exit 3)\n"; got != want {
		t.Errorf("stdout %q; want %q", got, want)
	}
	if !strings.Contains(stderr.String(), "bug: ") || strings.Contains(stderr.String(), "\n::error") {
		t.Errorf("stderr %q", stderr)
	}
}

// An action is what we read of an action.yml.
type action struct {
	Inputs  map[string]struct{ Description string }
	Outputs map[string]struct{ Description string }
}

func readAction(t *testing.T, file string) action {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var a action
	if err := yaml.Unmarshal(data, &a); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return a
}

// The action's inputs are the options of setup, and its outputs are those that
// setup writes.
func TestActionIsTheCommandLine(t *testing.T) {
	// Only a person at a terminal needs these: in an action stdout is the log,
	// and the system is known.
	notInputs := []string{"ci", "format", "json"}
	var options []string
	for _, o := range setupCommand().options {
		if !slices.Contains(notInputs, o.name) {
			options = append(options, o.name)
		}
	}
	slices.Sort(options)
	root := filepath.Join("..", "..")
	main := readAction(t, filepath.Join(root, "action.yml"))
	binary := readAction(t, filepath.Join(root, "ci-templates", "github", "binary", "action.yml"))
	if got := names(main.Inputs); !slices.Equal(got, options) {
		t.Errorf("action.yml has the inputs\n%q; setup has the options\n%q", got, options)
	}
	// The binary form has more inputs (where the binary comes from), and needs
	// no translation of the temporary directory or the job's container.
	for _, name := range options {
		if _, ok := binary.Inputs[name]; !ok && name != "runner-temp" && name != "job-container" {
			t.Errorf("the binary action has no input %q", name)
		}
	}
	agentFile := filepath.Join(root, "ci-templates", "github", "agent", "action.yml")
	agent := readAction(t, agentFile)
	text, err := os.ReadFile(agentFile)
	if err != nil {
		t.Fatal(err)
	}
	for name := range agent.Inputs {
		if !strings.Contains(string(text), "inputs."+name+" ") {
			t.Errorf("the agent action does not use its input %s", name)
		}
		known := slices.Contains([]string{"version", "checksum", "download-url", "binary"}, name) // of the program itself
		if !known && !slices.Contains(options, name) && !slices.ContainsFunc(agentCommand().options, func(o option) bool { return o.name == name }) {
			t.Errorf("the agent action's input %s is no option of agent or setup", name)
		}
	}
	for _, name := range []string{"url", "log"} {
		if _, ok := agent.Outputs[name]; !ok {
			t.Errorf("the agent action has no output %s", name)
		}
		delete(agent.Outputs, name)
	}
	for _, a := range []action{main, binary, agent} {
		if got := names(a.Outputs); !slices.Equal(got, writtenOutputs(t)) {
			t.Errorf("outputs\n%q; setup writes\n%q", got, writtenOutputs(t))
		}
		for name, in := range a.Inputs {
			if in.Description == "" {
				t.Errorf("input %s has no description", name)
			}
		}
	}
}

func names[T any](m map[string]T) []string {
	var list []string
	for name := range m {
		list = append(list, name)
	}
	slices.Sort(list)
	return list
}

// writtenOutputs returns the names of the outputs that a run writes.
func writtenOutputs(t *testing.T) []string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "output")
	for _, f := range []string{file, filepath.Join(dir, "env"), filepath.Join(dir, "summary")} {
		if err := os.WriteFile(f, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	h, _, stderr := host(t, map[string]string{
		"GITHUB_ACTIONS": "true", "GITHUB_OUTPUT": file, "GITHUB_WORKSPACE": dir,
		"GITHUB_ENV": filepath.Join(dir, "env"), "GITHUB_STEP_SUMMARY": filepath.Join(dir, "summary"),
		"INPUT_CHAIN": "http://127.0.0.1:1,direct", "HTTPS_PROXY": "http://127.0.0.1:1", "INPUT_TIMEOUT": "1s",
	})
	if exit := Main(t.Context(), h); exit != ExitOK {
		t.Fatalf("exit %d: %s", exit, stderr)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for line := range strings.Lines(string(data)) {
		if name, _, ok := strings.Cut(line, "<<"); ok {
			list = append(list, name)
		}
	}
	slices.Sort(list)
	return list
}
