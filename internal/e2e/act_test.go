//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
)

// An actRun is one run of a workflow by act: a fork of it also drives Forgejo
// and Gitea, and it reads the same files and log lines as GitHub's runner.
type actRun struct {
	result
	events []actEvent
}

// An actEvent is one line of "act --json".
type actEvent struct {
	Msg        string            `json:"msg"`
	Step       string            `json:"step"`
	StepID     []string          `json:"stepID"`
	Stage      string            `json:"stage"` // Main or Post
	StepResult string            `json:"stepResult"`
	Raw        bool              `json:"raw_output"`
	Command    string            `json:"command"` // set-env, set-output, warning, summary …
	Name       string            `json:"name"`
	Arg        string            `json:"arg"`
	Properties map[string]string `json:"kvPairs"`
	Content    string            `json:"content"` // of a summary
}

// act runs the workflow, in which actions/checkout stands for the files of dir,
// on this machine: steps run here, container actions in containers.
func act(t *testing.T, dir, workflow string, extra ...string) actRun {
	t.Helper()
	host := docker(t)
	bin := tool(t, "github.sh")
	write(t, dir, ".github/workflows/test.yml", workflow)
	commit(t, dir)

	// act keeps everything below its HOME; later steps may be another user's.
	home := openDir(t)
	args := []string{
		"--workflows", ".github/workflows/test.yml", "--platform", "ubuntu-latest=-self-hosted", "--json",
		"--container-daemon-socket", "-", "--no-cache-server", "--action-offline-mode", "--pull=false", "--rm",
		// Without the mount the runner's files would not be there, and act would not mind.
		"--container-options", "--volume " + home + ":" + home,
	}
	if !slices.ContainsFunc(extra, func(a string) bool { return a == "push" || a == "pull_request" }) {
		extra = append([]string{"push"}, extra...)
	}
	env := slices.DeleteFunc(environ(), func(v string) bool { return strings.HasPrefix(v, "HOME=") || strings.HasPrefix(v, "XDG_") })
	env = append(env, "HOME="+home, "DOCKER_HOST="+host, "GOFLAGS=-modcacherw",
		// The build cache is shared, so that a step's "go build" is quick.
		"GOCACHE="+must(t, dir, environ(), "go", "env", "GOCACHE"))
	run := actRun{result: run(t, dir, env, filepath.Join(bin, "act"), append(extra, args...)...)}
	for line := range strings.Lines(run.stdout) {
		var e actEvent
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("act said %q: %v", line, err)
		}
		run.events = append(run.events, e)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("act took %v, exit %d\n%s%s", run.took, run.exit, run.log(), run.stderr)
		}
	})
	return run
}

// log returns all that a person would see.
func (r actRun) log() string {
	var b strings.Builder
	for _, e := range r.events {
		b.WriteString(strings.TrimRight(e.Msg, "\n") + "\n")
	}
	return b.String()
}

// commands returns the commands of one kind in the order in which act obeyed them.
func (r actRun) commands(name string) []actEvent {
	var list []actEvent
	for _, e := range r.events {
		if e.Command == name {
			list = append(list, e)
		}
	}
	return list
}

// values returns what commands of one kind set: set-env or set-output.
func (r actRun) values(command string) map[string]string {
	values := map[string]string{}
	for _, e := range r.commands(command) {
		values[e.Name] = e.Arg
	}
	return values
}

// printed returns what the step with the given id printed itself.
func (r actRun) printed(id string) string {
	var b strings.Builder
	for _, e := range r.events {
		if e.Raw && slices.Contains(e.StepID, id) {
			b.WriteString(e.Msg)
		}
	}
	return b.String()
}

// outcome returns the result of the step with the given id.
func (r actRun) outcome(id string) string {
	for _, e := range r.events {
		if e.StepResult != "" && e.Stage == "Main" && slices.Equal(e.StepID, []string{id}) {
			return e.StepResult
		}
	}
	return ""
}

var imageBuilt sync.Once

// image returns the image that a release's action runs: the prebuilt binary.
func image(t *testing.T) string {
	t.Helper()
	const name = "goproxy-setup:e2e"
	imageBuilt.Do(func() { buildImage(t, name) })
	return name
}

// buildImage builds the image with the Dockerfile for prebuilt binaries.
func buildImage(t *testing.T, name string) {
	t.Helper()
	host := docker(t)
	binary, err := os.ReadFile(program(t))
	if err != nil {
		t.Fatal(err)
	}
	ca, err := os.ReadFile(filepath.Join(tool(t, "image-parts.sh"), "ca-certificates.crt"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	write(t, dir, "goproxy-setup-linux-"+runtime.GOARCH, string(binary))
	write(t, dir, "ca-certificates.crt", string(ca))
	if err := os.Chmod(filepath.Join(dir, "goproxy-setup-linux-"+runtime.GOARCH), 0o755); err != nil {
		t.Fatal(err)
	}
	must(t, root, environ("DOCKER_HOST="+host), "docker", "build", "--quiet", "--network", "none", "--tag", name,
		"--file", "ci-templates/image/Dockerfile", "--build-arg", "ARCH="+runtime.GOARCH, dir)
}

// releasedAction returns a folder with the action as a release has it: its
// image is prebuilt and named, not built. It is a repository for
// "uses: org/goproxy-setup@v1"; see [published].
func releasedAction(t *testing.T) string {
	t.Helper()
	return pinnedTree(t, "docker://"+image(t), "", strings.Repeat("0", 64)+"  goproxy-setup-linux-amd64\n")
}

// pinnedTree returns a folder with what the commit of the release v1.2.3 has.
// Its binaries are below the URL downloads, with the checksums sums.
func pinnedTree(t *testing.T, image, downloads, sums string) string {
	t.Helper()
	dir := t.TempDir()
	releaseSources(t, dir, downloads)
	write(t, dir, "dist/SHA256SUMS", sums)
	must(t, dir, environ(), "sh", ".ci/pin-release.sh", "v1.2.3", image, "dist/SHA256SUMS")
	return dir
}

// releaseSources copies what a release pins into dir. The URL downloads, if not
// empty, is where releases are.
func releaseSources(t *testing.T, dir, downloads string) {
	t.Helper()
	for _, name := range []string{"action.yml", ".ci", ".gitignore", "ci-templates"} {
		must(t, root, environ(), "cp", "-R", name, dir)
	}
	const file, real = "ci-templates/github/binary/action.yml", "https://github.com/org/goproxy-setup/releases/download"
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil || strings.Count(string(data), real) != 1 {
		t.Fatalf("%s: %v; want %s in it, once", file, err, real)
	}
	if downloads != "" {
		write(t, dir, file, strings.Replace(string(data), real, downloads, 1))
	}
}

// published makes act use the folder repository wherever a workflow says
// "uses: org/goproxy-setup@v1".
func published(repository string) []string {
	return []string{"--local-repository", "https://github.com/org/goproxy-setup@v1=" + repository}
}
