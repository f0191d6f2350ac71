//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/proxytest"
)

// jobPolicy is a policy whose first proxy breaks at zips. The chain names it
// on the line agentLine. What is not on this machine is not reached: checksum
// databases.
func jobPolicy(p *proxytest.Server) string {
	return fmt.Sprintf(`version: 1
https_proxy: "http://127.0.0.1:9"
proxies:
  first: { url: "%[1]s/zip:502" }
  second: { url: "%[1]s/ok", full: true }
environments:
  default: { chain: [first, second, direct] }
`, p.URL)
}

const agentLine = "7"

// builtThroughAgent reports whether the modules of [project] came by the way
// that an agent with jobPolicy takes.
func builtThroughAgent(t *testing.T, p *proxytest.Server) {
	t.Helper()
	asked := map[string]int{}
	for _, r := range p.Requests() {
		if r.Path == "/rsc.io/quote/@v/v1.5.2.zip" || r.Path == "/rsc.io/sampler/@v/v1.3.0.zip" {
			asked[r.Prefix]++
		}
	}
	if asked["/zip:502"] == 0 || asked["/ok"] == 0 {
		t.Errorf("requests for zips: %v; want the first proxy asked, and the second after it", asked)
	}
}

// releasedImage returns the released image without a shell.
func releasedImage(t *testing.T) string {
	t.Helper()
	must(t, root, environ("DOCKER_HOST="+docker(t)), "docker", "load", "--input", filepath.Join(releaseFiles(t), "goproxy-setup-image.tar"))
	return "goproxy-setup:1.2.3-" + runtime.GOARCH
}

// agentWorkflow is the workflow of ci-templates with the given replacements,
// each of which must be there.
func agentWorkflow(t *testing.T, oldnew ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "ci-templates/github/agent.yml"))
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for i := 0; i < len(oldnew); i += 2 {
		if !strings.Contains(text, oldnew[i]) {
			t.Fatalf("agent.yml has no %q", oldnew[i])
		}
		text = strings.ReplaceAll(text, oldnew[i], oldnew[i+1])
	}
	return text
}

// withBinary makes an action of the workflow take the program as it is.
func withBinary(t *testing.T, action string) []string {
	uses := "uses: org/goproxy-setup/ci-templates/github/" + action + "@v1"
	return []string{uses, uses + "\n        with: { binary: " + program(t) + " }"}
}

// A command of a workflow behind an agent: the build's page names the proxy that
// failed, at the policy's line, and lists the modules. The environment is that of
// the step before: the policy has no other. act's steps have the rights and tokens
// of this machine; on GitHub's runner a "run" step has none.
func TestAgentWorkflowCommand(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	dir := project(t, p)
	write(t, dir, policyFile, strings.Replace(jobPolicy(p), "default:", "staging:", 1))
	const uses = "uses: org/goproxy-setup/ci-templates/github/binary@v1"
	workflow := agentWorkflow(t, uses, uses+"\n        with: { environment: staging, binary: "+program(t)+" }")
	run := act(t, dir, workflow, append(published(releasedAction(t)), "--job", "command")...)
	if run.exit != 0 {
		t.Errorf("exit %d", run.exit)
	}
	builtThroughAgent(t, p)
	var warned bool
	for _, w := range run.commands("warning") {
		warned = warned || w.Properties["line"] == agentLine && strings.Contains(w.Arg, "first failed while serving")
	}
	if !warned {
		t.Errorf("warnings = %+v; want one at line %s", run.commands("warning"), agentLine)
	}
	var summary strings.Builder
	for _, s := range run.commands("summary") {
		summary.WriteString(s.Content)
	}
	for _, text := range []string{"a fallback was used", "| rsc.io/quote | v1.5.2 | second | first: 502 Bad Gateway |"} {
		if !strings.Contains(summary.String(), text) {
			t.Errorf("the summary lacks %q:\n%s", text, &summary)
		}
	}
}

// An agent for the rest of the job: it is ready when its step ends, and the
// steps that follow build through it.
func TestAgentWorkflowJob(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	dir := project(t, p)
	write(t, dir, policyFile, jobPolicy(p))
	workflow := agentWorkflow(t, append(withBinary(t, "agent"), "- run: go build ./...", "- run: go build ./... && go env GOPROXY")...)
	run := act(t, dir, workflow, append(published(releasedAction(t)), "--job", "job")...)
	if n := endAgents(t, filepath.Dir(dir)); n != 1 { // act keeps its folders beside ours
		t.Errorf("%d agents are left; want the job's, which GitHub's runner would end", n)
	}
	got := run.values("set-env")["GOPROXY"]
	if run.exit != 0 || !regexp.MustCompile(`^http://127\.0\.0\.1:\d+,direct$`).MatchString(got) || !strings.Contains(run.log(), "\n"+got+"\n") {
		t.Errorf("exit %d, GOPROXY=%q; want the agent's URL, and the build to use it", run.exit, got)
	}
	if !strings.Contains(run.log(), "msg=ready url="+strings.TrimSuffix(got, ",direct")) {
		t.Error("the last step does not show the agent's log")
	}
	if out := run.values("set-output"); out["url"]+",direct" != got || out["fallback-used"] != "false" || out["selected"] != "agent" {
		t.Errorf("outputs = %v", out)
	}
	builtThroughAgent(t, p)
}

// An agent that cannot start is a warning, and the build does without it.
func TestAgentWorkflowWithoutAgent(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	dir := project(t, p)
	write(t, dir, policyFile, jobPolicy(p))
	write(t, dir, "file", "no folder\n")
	workflow := agentWorkflow(t, "uses: org/goproxy-setup/ci-templates/github/agent@v1",
		"uses: org/goproxy-setup/ci-templates/github/agent@v1\n        with: { binary: "+program(t)+", store: file/store }")
	run := act(t, dir, workflow, append(published(releasedAction(t)), "--job", "job")...)
	got := run.values("set-env")["GOPROXY"]
	if run.exit != 0 || !strings.HasSuffix(got, "/ok|direct") {
		t.Errorf("exit %d, GOPROXY=%q; want the chain", run.exit, got)
	}
	if w := fmt.Sprint(run.commands("warning")); !strings.Contains(w, "goproxy-setup agent did not start") {
		t.Errorf("warnings = %s", w)
	}
}

// endAgents ends the agents that work in a folder or keep files there, as the
// runner would when the job has ended, and returns how many there were.
func endAgents(t *testing.T, dir string) (ended int) {
	t.Helper()
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range lines {
		line, err := os.ReadFile(file)
		pid, perr := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil || perr != nil || !strings.Contains(string(line), "goproxy-setup\x00agent") {
			continue
		}
		if cwd, _ := os.Readlink(filepath.Join(filepath.Dir(file), "cwd")); !strings.Contains(string(line), dir+"/") && !strings.HasPrefix(cwd+"/", dir+"/") {
			continue
		}
		ended++
		syscall.Kill(pid, syscall.SIGTERM)
		for range 500 {
			if left, err := os.ReadFile(file); err != nil || len(left) == 0 { // a zombie has none
				break
			}
			time.Sleep(10 * time.Millisecond)
		}
		if left, err := os.ReadFile(file); err == nil && len(left) > 0 {
			t.Errorf("the agent %d does not end", pid)
		}
	}
	return ended
}

// A service container: started before checkout, found by its alias from the
// action's container and from the job's. In act the workspace is root's, as the
// job is, and this image has no git; on GitHub git has to be told to read it.
func TestAgentWorkflowService(t *testing.T) {
	image := golangImage(t)
	p := bridgeProxy(t, proxytest.Options{})
	dir := project(t, p)
	policy := strings.ReplaceAll(strings.TrimSpace(jobPolicy(p)), "\n", "\n            ")
	workflow := agentWorkflow(t,
		"container: golang:1.26", "container: "+image,
		"ghcr.io/org/goproxy-setup:v1", releasedImage(t),
		`- run: git config --global --add safe.directory "$GITHUB_WORKSPACE"`, "- run: command -v go",
		"environments:\n              default: { chain: [official, goproxy.cn, direct] }", policy,
		"- run: go build ./...", "- run: go build ./... && go env GOPROXY",
	)
	run := act(t, dir, workflow, append(published(releasedAction(t)), "--job", "service", "--env", "HTTPS_PROXY=http://127.0.0.1:9")...)
	const want = "http://goproxy:8765,direct"
	if got := run.values("set-env")["GOPROXY"]; run.exit != 0 || got != want || !strings.Contains(run.log(), "\n"+want+"\n") {
		t.Errorf("exit %d, GOPROXY=%q; want %q, and the build to use it", run.exit, got, want)
	}
	builtThroughAgent(t, p)
}
