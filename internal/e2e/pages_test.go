//go:build e2e

package e2e

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/proxytest"
)

// served publishes a release whose binary is the program, and returns the URL
// at which its tag v1 can be read.
func served(t *testing.T) (tree, url string) {
	t.Helper()
	downloads, sums := releaseServer(t, "127.0.0.1")
	tree = publish(t, downloads, sums).tree
	server := httptest.NewServer(http.FileServer(http.Dir(tree)))
	t.Cleanup(server.Close)
	return tree, server.URL
}

// examples returns the code blocks of a page in a language.
func examples(t *testing.T, page, language string) (list []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, page))
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range strings.Split(string(data), "\n```") {
		if text, ok := strings.CutPrefix(part, language+"\n"); ok && i%2 == 1 {
			list = append(list, text)
		}
	}
	if len(list) == 0 {
		t.Fatalf("%s has no %s", page, language)
	}
	return list
}

// gitlabTag is where the GitLab README includes the template from.
const gitlabTag = "https://raw.githubusercontent.com/org/goproxy-setup/v1/"

// The examples of the GitLab README work as they stand there, from a release's
// tag, on a machine without the program. Those that are parts of a file are
// read by GitLab's rules.
func TestGitLabREADME(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	_, url := served(t)
	runs := 0
	for i, text := range examples(t, "ci-templates/gitlab/README.md", "yaml") {
		text = strings.ReplaceAll(text, gitlabTag, url+"/")
		whole := strings.HasPrefix(text, "include:") && strings.Contains(text, "\nbuild:")
		switch {
		case strings.HasPrefix(text, "    inputs:"):
			text = "include:\n  - remote: " + url + "/ci-templates/gitlab/templates/goproxy-setup.yml\n" + text
		case strings.HasPrefix(text, "  "):
			text = "build:\n  script: [go build]\n" + text
		}
		if !strings.Contains(text, "include:") {
			text = "include:\n  - remote: " + url + "/ci-templates/gitlab/templates/goproxy-setup.yml\n" + text
		}
		if !strings.Contains(text, "\nbuild:") {
			text += "\nbuild:\n  script: [go build]\n"
		}
		pipe := newPipeline(t, p, policyFor(p.URL, p.URL+"/ok"), text)
		pipe.env = slices.DeleteFunc(goEnviron(t), func(v string) bool { return strings.Contains(v, "_PROXY=") }) // it would ask them for the template
		if r := pipe.run(t, "--list"); r.exit != 0 {
			t.Errorf("example %d: exit %d\n%s%s\n%s", i, r.exit, r.stdout, r.stderr, text)
		}
		if !whole {
			continue
		}
		runs++
		r := pipe.run(t, pipe.inFolder("--variable", "HTTPS_PROXY=http://127.0.0.1:9")...)
		if r.exit != 0 || status(r, "build") != "PASS" || !strings.Contains(r.stdout, "staging") {
			t.Errorf("example %d: exit %d\n%s%s\n%s", i, r.exit, r.stdout, r.stderr, text)
		}
		inJob, _ := filepath.Glob(filepath.Join(pipe.dir, ".goproxy-setup/goproxy-setup-*"))
		before, _ := filepath.Glob(filepath.Join(pipe.dir, ".gitlab-ci-local/builds/*/.goproxy-setup/goproxy-setup-*"))
		if len(inJob)+len(before) != 1 {
			t.Errorf("example %d: downloaded %q and %q; want the release's program", i, inJob, before)
		}
	}
	if runs < 2 {
		t.Errorf("%d examples were run; want that in the job and that for the pipeline", runs)
	}
}

// So does the first one of the Jenkins README.
func TestJenkinsREADME(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	tree, _ := served(t)
	workspace := project(t, p)
	write(t, workspace, ".goproxy-setup.yaml", policyFor(p.URL, p.URL+"/ok"))
	commit(t, workspace)
	vars := agent(t)
	vars["WORKSPACE_TMP"] = t.TempDir()
	if err := os.Symlink(vars["GOCACHE"], vars["WORKSPACE_TMP"]+"/go-build"); err != nil { // a full one is faster
		t.Fatal(err)
	}
	delete(vars, "GOCACHE")
	delete(vars, "HOME") // which the image's user has none of
	vars["GOPATH"] = t.TempDir()
	vars["GOENV"] = "off"
	script := examples(t, "ci-templates/jenkins/README.md", "groovy")[0]
	r := jenkinsWith(t, filepath.Join(tree, "ci-templates/jenkins"), build{Name: "first", Workspace: workspace, Environment: vars, Script: script})["first"]
	if r.Result != "SUCCESS" || !strings.Contains(r.Log, "staging") {
		t.Errorf("%s\n%s", r.Result, r.Log)
	}
	if asked := p.Requests(); !slices.ContainsFunc(asked, func(q proxytest.Request) bool { return strings.HasSuffix(q.Path, "rsc.io/quote/@v/v1.5.2.zip") }) {
		t.Errorf("the build got nothing by the chain: %v\n%s", asked, r.Log)
	}
}

// What the README says of getting the program without Go.
func TestREADMEInstall(t *testing.T) {
	const releases = "https://github.com/org/goproxy-setup/releases/latest/download"
	binary, err := os.ReadFile(program(t))
	if err != nil {
		t.Fatal(err)
	}
	const name = "goproxy-setup-linux-amd64"
	server := newMirror(t, map[string][]byte{"/" + name: binary, "/SHA256SUMS": []byte(sum([]byte("other")) + "  goproxy-setup-darwin-arm64\n" + sum(binary) + "  " + name + "\n")})
	dir := t.TempDir()
	script := regexp.MustCompile(`(?m)^go install .*$`).ReplaceAllString(examples(t, "README.md", "sh")[0], "")
	script = strings.NewReplacer(releases, server.URL, "/usr/local/bin", dir).Replace(script)
	must(t, t.TempDir(), environ(), "sh", "-ec", script)
	if got, err := os.ReadFile(filepath.Join(dir, "goproxy-setup")); err != nil || sum(got) != sum(binary) {
		t.Errorf("installed %d bytes, %v\n%s", len(got), err, script)
	}
}
