//go:build e2e

package e2e

import (
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/proxytest"
)

// An agentProcess is an agent that runs.
type agentProcess struct {
	url, store string
	cmd        *exec.Cmd
	exited     chan error
	log        *os.File
}

// startAgent starts an agent for a policy, and stops it when the test ends.
func startAgent(t *testing.T, policy string, args ...string) *agentProcess {
	t.Helper()
	return startAgentBy(t, nil, policy, args...)
}

// startAgentBy starts it by a command line that goes before its own.
func startAgentBy(t *testing.T, by []string, policy string, args ...string) *agentProcess {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "policy.yaml", policy)
	a := &agentProcess{store: filepath.Join(dir, "store"), exited: make(chan error, 1)}
	var err error
	if a.log, err = os.Create(filepath.Join(dir, "log")); err != nil {
		t.Fatal(err)
	}
	address := filepath.Join(dir, "address")
	line := slices.Concat(by, []string{program(t), "agent", "--policy", "policy.yaml", "--store", a.store, "--address-file", address}, args)
	a.cmd = exec.Command(line[0], line[1:]...)
	a.cmd.Dir, a.cmd.Env, a.cmd.Stderr = dir, environ("GOENV=off"), a.log
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { a.exited <- a.cmd.Wait() }()
	t.Cleanup(func() { a.stop(t) })
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if data, err := os.ReadFile(address); err == nil {
			a.url = strings.TrimSpace(string(data))
			return a
		}
		select {
		case err := <-a.exited:
			a.exited <- err
			t.Fatalf("the agent ended: %v\n%s", err, a.logText())
		default:
		}
		if time.Now().After(deadline) {
			t.Fatalf("the agent is not ready\n%s", a.logText())
		}
	}
}

func (a *agentProcess) logText() string {
	data, _ := os.ReadFile(a.log.Name())
	return string(data)
}

// await waits until the agent's log says something.
func (a *agentProcess) await(t *testing.T, text string) {
	t.Helper()
	for range 4000 {
		if strings.Contains(a.logText(), text) {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("no %q in the log:\n%s", text, a.logText())
}

// stop ends the agent as an operator does.
func (a *agentProcess) stop(t *testing.T) {
	t.Helper()
	a.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-a.exited:
		a.exited <- err
		if err != nil && !t.Failed() {
			t.Errorf("the agent ended with %v\n%s", err, a.logText())
		}
	case <-time.After(40 * time.Second):
		a.cmd.Process.Kill()
		t.Errorf("the agent did not end\n%s", a.logText())
	}
	if t.Failed() {
		t.Logf("agent's log:\n%s", a.logText())
	}
}

// agentPolicy is one with two proxies that go's own checksum database rules
// are for.
func agentPolicy(first, second string) string {
	return fmt.Sprintf(`version: 1
proxies: {first: {url: %q, full: true}, second: {url: %q, full: true}}
environments: {default: {chain: [first, second]}}
agent: {databases: [%q]}
`, first, second, proxytest.GOSUMDB)
}

// buildEnv is the environment of a build with one module proxy and an empty module
// cache.
func buildEnv(t *testing.T, goproxy string, extra ...string) []string {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, ".config/go/telemetry/mode", "off") // or go leaves a process behind that writes here
	return environ(append([]string{
		"HOME=" + dir, "GOPATH=" + dir + "/gopath", "GOCACHE=" + buildCache(t), "GOENV=off", "GOFLAGS=-modcacherw",
		"GOPROXY=" + goproxy, "GOSUMDB=" + proxytest.GOSUMDB, "GOBIN=" + dir + "/bin",
	}, extra...)...)
}

// buildCache is shared: what is compiled does not depend on where it came from.
func buildCache(t *testing.T) string {
	dir, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "goproxy-setup-e2e-gocache")
}

// A goStory is something that people do with the go command.
type goStory struct {
	name  string
	files map[string]string
	env   []string
	steps []string // commands
	keep  []string // files to compare afterwards
}

var goStories = []goStory{
	{name: "mod download", files: quoteProject, steps: []string{"go mod download -json"}, keep: []string{"go.sum"}},
	{name: "build with a complete go.sum", files: quoteProject, steps: []string{"go mod download", "go build -o /dev/null ."}, keep: []string{"go.sum"}},
	{name: "get", files: emptyProject, steps: []string{"go get example.com/greet@latest", "go get example.com/greet@v1.0.0", "go get example.com/hello@upgrade"}, keep: []string{"go.mod", "go.sum"}},
	{name: "get of a deep package", files: emptyProject, steps: []string{"go get example.com/deep/path/module@latest", "go get example.com/deep/path/nothing/here"}, keep: []string{"go.mod", "go.sum"}},
	{name: "get of a branch and of a pseudo-version", files: emptyProject, steps: []string{"go get example.com/pseudo@v0.0.0-20240102030405-0123456789ab", "go get example.com/incompatible@v2.1.0"}, keep: []string{"go.mod", "go.sum"}},
	{name: "capital letters", files: emptyProject, steps: []string{"go get example.com/Upper/Case"}, keep: []string{"go.mod", "go.sum"}},
	{name: "install of a nested command", files: map[string]string{}, steps: []string{"go install example.com/tool@v1.2.3", "go install example.com/tool@latest"}},
	{name: "list -m -u", files: oldProject, steps: []string{"go mod download", "go list -m -u all", "go list -m -versions example.com/greet", "go list -m -retracted -versions example.com/retracted"}},
	{name: "tidy with a new import", files: map[string]string{
		"go.mod": "module project.example.com\n\ngo 1.26\n", "main.go": "package main\n\nimport _ \"example.com/greet\"\n\nfunc main() {}\n",
	}, steps: []string{"go mod tidy"}, keep: []string{"go.mod", "go.sum"}},
	{name: "work", files: map[string]string{
		"go.work":  "go 1.26\n\nuse (\n\t./a\n\t./b\n)\n",
		"a/go.mod": "module a.example.com\n\ngo 1.26\n\nrequire example.com/hello v1.0.0\n", "a/a.go": "package a\n\nimport _ \"example.com/hello\"\n",
		"b/go.mod": "module b.example.com\n\ngo 1.26\n\nrequire example.com/greet v1.1.0\n", "b/b.go": "package b\n\nimport _ \"example.com/greet\"\n",
	}, steps: []string{"go work sync", "go mod download", "go build ./a ./b"}, keep: []string{"go.work.sum", "a/go.mod"}},
	{name: "toolchain switch", files: map[string]string{"go.mod": "module project.example.com\n\ngo 1.99.1\n"}, env: []string{"GOTOOLCHAIN=go1.99.1"}, steps: []string{"go version"}},
	{name: "what does not exist", files: emptyProject, steps: []string{"go get example.com/nothing@v1.0.0", "go get example.com/greet@v9.9.9", "go get example.com/greet@v1.7.0", "go list -m example.com/greet@nobranch"}},
}

var (
	quoteProject = map[string]string{
		"go.mod": "module project.example.com\n\ngo 1.26\n\nrequire example.com/greet v1.1.0\n", "main.go": "package main\n\nimport _ \"example.com/greet\"\n\nfunc main() {}\n",
	}
	emptyProject = map[string]string{"go.mod": "module project.example.com\n\ngo 1.26\n"}
	oldProject   = map[string]string{"go.mod": "module project.example.com\n\ngo 1.26\n\nrequire (\n\texample.com/greet v1.0.0\n\texample.com/hello v1.0.0\n\texample.com/retracted v1.0.1\n)\n"}
)

// tell runs the story and returns all that the go command said and wrote.
func (s goStory) tell(t *testing.T, goproxy string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range s.files {
		write(t, dir, name, text)
	}
	env := buildEnv(t, goproxy, s.env...)
	var b strings.Builder
	for _, step := range s.steps {
		args := strings.Fields(step)
		r := run(t, dir, env, args[0], args[1:]...)
		fmt.Fprintf(&b, "$ %s\n%s%sexit %d\n", step, r.stdout, r.stderr, r.exit)
	}
	for _, name := range s.keep {
		data, _ := os.ReadFile(filepath.Join(dir, name))
		fmt.Fprintf(&b, "-- %s --\n%s", name, data)
	}
	home := ""
	for _, v := range env {
		if h, ok := strings.CutPrefix(v, "HOME="); ok {
			home = h
		}
	}
	return strings.NewReplacer(goproxy, "PROXY", home, "HOME", dir, "DIR").Replace(b.String())
}

// Through the agent alone, every command says and does what it says and does
// with a healthy proxy; with the first proxy dead, too. In the rare texts about
// what does not exist, only the server's own words differ.
func TestAgentConformance(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	for _, s := range goStories {
		t.Run(s.name, func(t *testing.T) {
			want := comparable(s.tell(t, p.URL))
			for _, first := range []string{p.URL + "/ok=first", "http://" + p.Refuse, p.URL + "/502"} {
				a := startAgent(t, agentPolicy(first, p.URL))
				if got := comparable(s.tell(t, a.url)); got != want {
					t.Errorf("first proxy %s: got\n%s\nwant\n%s", strings.TrimPrefix(first, p.URL), got, want)
				}
				a.stop(t)
			}
		})
	}
}

// comparable leaves out what servers say in their own words, and the order in
// which parallel downloads are told.
func comparable(text string) string {
	var lines, downloads []string
	for line := range strings.Lines(text) {
		switch {
		case strings.HasPrefix(line, "go: downloading"):
			downloads = append(downloads, line)
			continue
		case strings.HasPrefix(line, "$"):
			downloads = nil
		case strings.Contains(line, "server response:"):
			line = "(server response)\n"
		case strings.HasPrefix(line, "\t") && strings.Contains(line, "not found:"):
			continue
		}
		if strings.HasPrefix(strings.TrimSpace(line), "first: ") || strings.HasPrefix(strings.TrimSpace(line), "second: ") || strings.HasPrefix(strings.TrimSpace(line), "not found:") {
			continue
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "")
}

// Ready, well, counted, drained.
func TestAgentOperations(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	a := startAgent(t, agentPolicy(p.URL, p.URL+"/ok=second"))
	for path, want := range map[string]string{"/healthz": "ok\n", "/readyz": "ready\n"} {
		if got := must(t, t.TempDir(), environ(), "curl", "-sS", a.url+path); got != strings.TrimSpace(want) {
			t.Errorf("%s: %q", path, got)
		}
	}
	if r := run(t, t.TempDir(), environ(), program(t), "agent", "healthcheck", a.url); r.exit != 0 || r.stdout != "ok\n" {
		t.Errorf("healthcheck: %+v", r)
	}
	if r := run(t, t.TempDir(), environ(), program(t), "agent", "healthcheck", "http://"+p.Refuse); r.exit != 1 {
		t.Errorf("healthcheck of nobody: %+v", r)
	}
	if resp, err := http.Get(a.url + "/example.com/greet/@v/v1.0.0.zip"); err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	metrics := must(t, t.TempDir(), environ(), "curl", "-sS", a.url+"/metrics")
	for _, want := range []string{
		`goproxy_setup_requests_total{kind="zip",result="fetched"} 1`, `goproxy_setup_upstream_up{proxy="first"} 1`, "goproxy_setup_store_bytes ",
		`goproxy_setup_request_seconds_bucket{kind="zip",le="+Inf"} 1`,
	} {
		if !strings.Contains(metrics, want) {
			t.Errorf("no %s in\n%s", want, metrics)
		}
	}
	if strings.Contains(metrics, "greet") {
		t.Error("the meters name a module")
	}
	// A second agent keeps off the store.
	if r := run(t, t.TempDir(), environ("GOENV=off"), program(t), "agent", "--chain", p.URL, "--store", a.store); r.exit != 2 || !strings.Contains(r.stderr, "another agent uses this store") {
		t.Errorf("a second agent: %+v", r)
	}
	a.stop(t)
	if !strings.Contains(a.logText(), "draining") {
		t.Errorf("log:\n%s", a.logText())
	}
}

// What the agent has kept is a module proxy by itself: with the agent gone, a
// build with an empty module cache takes everything from its folder.
func TestAgentStoreIsAProxy(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	a := startAgent(t, agentPolicy(p.URL, p.URL+"/ok=second"))
	story := goStory{files: quoteProject, steps: []string{"go mod tidy", "go mod download", "go build -o /dev/null ."}, keep: []string{"go.sum"}}
	want := story.tell(t, a.url)
	if strings.Contains(want, "exit 1") {
		t.Fatalf("through the agent:\n%s", want)
	}
	a.stop(t)
	before := len(p.Requests())
	story.env = []string{"GOSUMDB=off"} // go.sum vouches
	if got := story.tell(t, "file://"+a.store+"/cache/download"); comparable(got) != comparable(want) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	story = goStory{files: emptyProject, env: story.env, steps: []string{"go list -m -versions example.com/greet", "go get example.com/greet@latest"}, keep: []string{"go.mod"}}
	if got := story.tell(t, "file://"+a.store+"/cache/download"); strings.Contains(got, "exit 1") || !strings.Contains(got, "example.com/greet v1.1.0\n") || strings.Contains(got, "v1.0.0") {
		t.Errorf("of the versions that are here: %s", got)
	}
	if n := len(p.Requests()); n != before {
		t.Errorf("%d requests of the proxy", n-before)
	}
}

// The go command shows its user what the agent says.
func TestAgentErrorText(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	for first, want := range map[string]string{
		"/502":             "\tfirst: 502 Bad Gateway",
		"/hostile":         "\tfirst: 502 Bad Gateway",
		"/zip:corrupt-zip": "\tfirst: ",
	} {
		a := startAgent(t, agentPolicy(p.URL+first, p.URL+"/ok=second"+first))
		got := goStory{files: map[string]string{}, steps: []string{"go mod download example.com/greet@v1.0.0"}}.tell(t, a.url)
		if !strings.Contains(got, "server response:") || !strings.Contains(got, want) || strings.Contains(got, "404") {
			t.Errorf("%s: the go command says\n%s", first, got)
		}
		a.stop(t)
	}
}
