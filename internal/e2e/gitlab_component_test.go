//go:build e2e

package e2e

import (
	"crypto/sha256"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/proxytest"
)

// component makes a component's project of pipe: the templates of a release,
// whose binaries are below the URL downloads.
func component(t *testing.T, pipe *pipeline, downloads, sums string) {
	t.Helper()
	if err := os.RemoveAll(filepath.Join(pipe.dir, "templates")); err != nil {
		t.Fatal(err)
	}
	tree := pinnedTree(t, "docker://example.com/goproxy-setup", downloads, sums)
	must(t, tree, environ(), "cp", "-R", "ci-templates/gitlab/templates", pipe.dir)
	commit(t, pipe.dir)
}

// releaseServer serves the program as a release does, on a free port of host,
// and returns the URL above its version, and the checksums.
func releaseServer(t *testing.T, host string) (downloads, sums string) {
	t.Helper()
	data, err := os.ReadFile(program(t))
	if err != nil {
		t.Fatal(err)
	}
	name := "goproxy-setup-" + runtime.GOOS + "-" + runtime.GOARCH
	listener, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1.2.3/"+name {
			http.NotFound(w, r)
			return
		}
		w.Write(data)
	}))
	server.Listener.Close()
	server.Listener = listener
	server.Start()
	t.Cleanup(server.Close)
	sums = fmt.Sprintf("%s  goproxy-setup-darwin-amd64\n%x  %s\n", strings.Repeat("0", 64), sha256.Sum256(data), name)
	return server.URL, sums
}

// TestGitLabComponent runs a job for the whole pipeline, out of the component
// as a release makes it, on a machine without the program.
func TestGitLabComponent(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	pipe := newPipeline(t, p, policyFor(p.URL, p.URL+"/ok"), `
include:
  - component: $CI_SERVER_FQDN/$CI_PROJECT_PATH/goproxy-setup@$CI_COMMIT_SHA
    inputs: {environment: staging, job: choose}

build:
  needs: [choose]
  script:
    - echo "got [$GOPROXY] of [$GOPROXY_RESULT_ENVIRONMENT]"
    - go env GOPROXY
    - go mod download
    - go run .
`)
	downloads, sums := releaseServer(t, "127.0.0.1")
	component(t, pipe, downloads, sums)
	pipe.env = goEnviron(t)
	r := pipe.run(t, pipe.inFolder()...)
	if r.exit != 0 || status(r, "choose") != "PASS" {
		t.Errorf("exit %d\n%s%s", r.exit, r.stdout, r.stderr)
	}
	chain := p.URL + "|" + p.URL + "/ok"
	pipe.expect(t, map[string][]string{
		"build": {"got [" + chain + "] of [staging]\n", "\n" + chain + "\n", proverb},
	})
	if !strings.Contains(r.stdout, "choose environment: { name: staging }") {
		t.Errorf("the job has no environment:\n%s", r.stdout)
	}
	checkDotenv(t, pipe, "choose")
}

// TestGitLabContainers runs both forms in real containers, where a job has
// nothing but its image: there a BusyBox, Go and no program of ours.
func TestGitLabContainers(t *testing.T) {
	image := golangImage(t)
	p := bridgeProxy(t, proxytest.Options{})
	pipe := newPipeline(t, p, policyFor(p.URL+"/502", p.URL), `
include:
  - component: $CI_SERVER_FQDN/$CI_PROJECT_PATH/goproxy-setup@$CI_COMMIT_SHA
    inputs: {environment: staging, job: choose, image: "`+image+`"}

later:
  image: `+image+`
  script:
    - go env GOPROXY
    - go mod download

alone:
  image: `+image+`
  needs: []
  extends: .goproxy-setup
  script:
    - go env GOPROXY
    - go mod download
`)
	downloads, sums := releaseServer(t, engine.bridge)
	component(t, pipe, downloads, sums)
	r := pipe.runInContainers(t, image)
	if r.exit != 0 || status(r, "choose") != "WARN" {
		t.Errorf("exit %d; want choose WARN\n%s%s", r.exit, r.stdout, r.stderr)
	}
	pipe.expect(t, map[string][]string{"later": {"\n" + p.URL + "\n"}, "alone": {"\n" + p.URL + "\n"}})
}

// runInContainers runs the jobs in real containers; image has Go and a shell.
func (p *pipeline) runInContainers(t *testing.T, image string) result {
	t.Helper()
	env := environ("HOME="+t.TempDir(), "DOCKER_HOST="+docker(t))
	// gitlab-ci-local copies files with the bash and rsync of this image.
	const helper = "goproxy-setup:e2e-gitlab-helper"
	write(t, p.dir, "helper/Dockerfile", "FROM "+image+"\nADD programs.tar /\n")
	must(t, p.dir+"/helper", env, "sh", "-c", `tar -chPf programs.tar $(for p in bash rsync; do command -v $p; ldd $(command -v $p) | grep -o '/[^ ]*'; done | sort -u)`)
	must(t, p.dir, env, "docker", "build", "--quiet", "--tag", helper, "helper")
	return run(t, p.dir, env, filepath.Join(tool(t, "gitlab.sh"), "gitlab-ci-local"), "--pull-policy", "if-not-present", "--helper-image", helper)
}
