//go:build e2e

package e2e

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/proxytest"
)

// An agent in the background of a GitLab job: ready before the script, gone
// after it. A job that is to set variables for others does without one.
func TestGitLabAgentInBackground(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	pipe := newPipeline(t, p, jobPolicy(p), includeTemplate+`    inputs: {environment: default, agent: background, job: choose}

build:
  extends: .goproxy-setup
  needs: []
  script:
    - echo "got [$GOPROXY]"
    - go mod download
    - go run .
    - echo "changed [$(git status --porcelain)]"

later:
  needs: [choose]
  script:
    - echo "later [$GOPROXY]"
`)
	r := pipe.run(t, pipe.inFolder()...)
	if r.exit != 0 || status(r, "build") != "PASS" {
		t.Errorf("exit %d\n%s%s", r.exit, r.stdout, r.stderr)
	}
	if n := endAgents(t, pipe.dir); n != 0 {
		t.Errorf("%d agents outlive their jobs", n)
	}
	pipe.expect(t, map[string][]string{
		"build": {"got [http://127.0.0.1:", ",direct]\n", proverb, "changed []\n", "msg=draining"},
		"later": {"later [" + p.URL + "/ok|direct]\n"},
	})
	builtThroughAgent(t, p)
}

// One command behind an agent: its exit code is the job's, and the log says
// where modules came from.
func TestGitLabAgentExec(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	pipe := newPipeline(t, p, jobPolicy(p), includeTemplate+`
build:
  extends: .goproxy-setup-exec
  script:
    - goproxy_exec go run .

fails:
  extends: .goproxy-setup-exec
  script:
    - goproxy_exec sh -c 'exit 42'
  allow_failure: {exit_codes: [42]}
`)
	r := pipe.run(t)
	if r.exit != 0 || status(r, "build") != "PASS" || status(r, "fails") != "WARN" {
		t.Errorf("exit %d; want build PASS and fails WARN\n%s%s", r.exit, r.stdout, r.stderr)
	}
	pipe.expect(t, map[string][]string{
		"build": {proverb, "from second (first: 502 Bad Gateway)", "first failed while serving"},
		"fails": {"No module was asked for."},
	})
	builtThroughAgent(t, p)
	if files, _ := filepath.Glob(filepath.Join(pipe.dir, ".gitlab-ci-local/builds/build/.goproxy-setup/*.codequality.json")); len(files) != 1 {
		t.Errorf("code quality reports: %q; want one", files)
	}
}

// An agent as a service of a GitLab job, found by its alias. The names that the
// job's variables have of the repository's policy are none of its own.
func TestGitLabAgentService(t *testing.T) {
	image := golangImage(t)
	p := bridgeProxy(t, proxytest.Options{})
	policy := strings.ReplaceAll(strings.TrimSpace(jobPolicy(p)), "\n", "\n          ")
	downloads, sums := releaseServer(t, engine.bridge)
	pipe := newPipeline(t, p, strings.Replace(jobPolicy(p), "default:", "staging:", 1), `
include:
  - component: $CI_SERVER_FQDN/$CI_PROJECT_PATH/goproxy-setup@$CI_COMMIT_SHA
    inputs: {agent: "http://goproxy:8765", environment: staging, chain: "second,direct", policy: .goproxy-setup.yaml}

build:
  image: `+image+`
  extends: .goproxy-setup
  services:
    - name: `+releasedImage(t)+`
      alias: goproxy
      command: [agent]
      variables:
        GOPROXY_SETUP_LISTEN: 0.0.0.0:8765
        GOPROXY_SETUP_POLICY_INLINE: |
          `+policy+`
        GOPROXY_SETUP_ENVIRONMENT: ""
        GOPROXY_SETUP_POLICY: ""
        GOPROXY_SETUP_CHAIN: ""
  script:
    - echo "got [$GOPROXY]"
    - go mod download
    - go run .
`)
	component(t, pipe, downloads, sums)
	r := pipe.runInContainers(t, image)
	if r.exit != 0 || status(r, "build") != "PASS" {
		t.Errorf("exit %d\n%s%s", r.exit, r.stdout, r.stderr)
	}
	pipe.expect(t, map[string][]string{"build": {"got [http://goproxy:8765,direct]\n", proverb}})
	builtThroughAgent(t, p)
}

// The forms of an agent in Jenkins: one of the step's own, one that runs already,
// as in a side-car container, and one for a command.
func TestJenkinsAgent(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	workspace := func() string {
		dir := project(t, p)
		write(t, dir, ".goproxy-setup.yaml", jobPolicy(p))
		commit(t, dir)
		return dir
	}
	background, broken, sidecar, command := workspace(), workspace(), workspace(), workspace()
	write(t, broken, ".goproxy-setup/store", "no folder\n")
	vars := agent(t, filepath.Dir(program(t)))
	url := runningAgent(t, sidecar)

	results := jenkins(t,
		build{Name: "background", Workspace: background, Environment: agent(t, filepath.Dir(program(t))), Script: `
			goproxySetup(agent: 'background') {
				sh 'echo "inside GOPROXY=[$GOPROXY]"; go mod download; go run .; git status --porcelain'
			}
			sh 'echo "after GOPROXY=[$GOPROXY]"'`},
		build{Name: "fails", Workspace: background, Environment: vars, Script: `
			goproxySetup(agent: 'background') { sh 'exit 7' }`},
		build{Name: "does not start", Workspace: broken, Environment: vars, Script: `
			goproxySetup(agent: 'background') { sh 'echo "inside GOPROXY=[$GOPROXY]"' }`},
		build{Name: "side-car", Workspace: sidecar, Environment: vars, Script: `
			goproxySetup(agent: '` + url + `') { sh 'echo "inside GOPROXY=[$GOPROXY]"; go run .' }`},
		build{Name: "exec", Workspace: command, Environment: agent(t, filepath.Dir(program(t))), Script: `
			sh 'goproxy-setup agent --exec -- go run .'`},
	)
	for name, want := range map[string]struct {
		result string
		log    []string
	}{
		"background":     {"SUCCESS", []string{"inside GOPROXY=[http://127.0.0.1:", proverb, "after GOPROXY=[]", "msg=draining"}},
		"fails":          {"FAILURE", []string{"script returned exit code 7", "msg=draining"}},
		"does not start": {"UNSTABLE", []string{"the agent did not start, so the build does without it", "inside GOPROXY=[" + p.URL + "/ok|direct]"}},
		"side-car":       {"SUCCESS", []string{"inside GOPROXY=[" + url + ",direct]", proverb}},
		"exec":           {"SUCCESS", []string{proverb, "from second (first: 502 Bad Gateway)", "first failed while serving"}},
	} {
		got := results[name]
		if got.Result != want.result {
			t.Errorf("%s: %s; want %s\n%s", name, got.Result, want.result, got.Log)
			continue
		}
		for _, text := range want.log {
			if !strings.Contains(got.Log, text) {
				t.Errorf("%s: the log lacks %q:\n%s", name, text, got.Log)
			}
		}
	}
	for _, dir := range []string{background, broken} {
		if n := endAgents(t, dir); n != 0 {
			t.Errorf("%d agents outlive their braces", n)
		}
	}
	builtThroughAgent(t, p)
}

// runningAgent starts an agent in dir for the length of the test and returns its URL.
func runningAgent(t *testing.T, dir string) string {
	t.Helper()
	files := t.TempDir()
	cmd := exec.CommandContext(t.Context(), program(t), "agent", "--listen", "127.0.0.1:0", "--address-file", files+"/url", "--store", files+"/store")
	cmd.Dir, cmd.Env = dir, goEnviron(t)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	return must(t, dir, environ(), "sh", "-c", `until [ -s "$0" ]; do sleep 0.05; done; cat "$0"`, files+"/url")
}
