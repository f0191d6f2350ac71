//go:build e2e

package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// A publication is what the release workflow has made of v1.2.3.
type publication struct {
	tree   string   // what the tag v1 has
	tags   []string // of git
	images []string // that were pushed, with their tags
}

// publish runs the scripts of the release workflow's job "publish". Its origin
// is a folder; gh and skopeo, which have no GitHub and no registry here, only
// remember what they were told.
func publish(t *testing.T, downloads, sums string) publication {
	t.Helper()
	dir := t.TempDir()
	tree, origin := filepath.Join(dir, "tree"), filepath.Join(dir, "origin")
	if err := os.Mkdir(tree, 0o755); err != nil {
		t.Fatal(err)
	}
	releaseSources(t, tree, downloads)
	must(t, dir, environ(), "git", "init", "--quiet", "--bare", origin)
	must(t, tree, environ(), "git", "init", "--quiet", "--initial-branch=main")
	must(t, tree, environ(), "git", "remote", "add", "origin", origin)
	commit(t, tree)
	write(t, tree, "dist/SHA256SUMS", sums)
	for _, name := range []string{"gh", "skopeo"} {
		write(t, dir, "bin/"+name, "#!/bin/sh\necho ${0##*/} \"$@\" >>\"$CALLS\"\n[ \"$1\" != inspect ] || echo manifest\n")
		if err := os.Chmod(filepath.Join(dir, "bin", name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	env := environ("PATH="+dir+"/bin:"+os.Getenv("PATH"), "CALLS="+dir+"/calls", "VERSION=v1.2.3", "IMAGE=ghcr.io/org/goproxy-setup",
		"GITHUB_ACTOR=somebody", "TOKEN=secret", "GH_TOKEN=secret", "GITHUB_OUTPUT="+dir+"/output")
	for _, script := range publishScripts(t) {
		if data, err := os.ReadFile(dir + "/output"); err == nil {
			_, pinned, _ := strings.Cut(strings.TrimSpace(string(data)), "pinned=")
			env = append(env, "PINNED="+pinned)
		}
		must(t, tree, env, "bash", "-e", "-c", script)
	}
	p := publication{tree: filepath.Join(dir, "clone")}
	must(t, dir, environ(), "git", "-c", "advice.detachedHead=false", "clone", "--quiet", "--branch", "v1", origin, p.tree)
	p.tags = strings.Fields(must(t, origin, environ(), "git", "tag", "--points-at", "v1"))
	calls, err := os.ReadFile(dir + "/calls")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(calls)) {
		if fields := strings.Fields(line); fields[0] == "skopeo" && fields[1] == "copy" {
			p.images = append(p.images, strings.TrimPrefix(fields[len(fields)-1], "docker://"))
		}
	}
	return p
}

// publishScripts returns the scripts of the job "publish".
func publishScripts(t *testing.T) (scripts []string) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, ".github/workflows/release.yml"))
	if err != nil {
		t.Fatal(err)
	}
	var workflow struct {
		Jobs map[string]struct{ Steps []struct{ Run string } }
	}
	if err := yaml.Unmarshal(data, &workflow); err != nil {
		t.Fatal(err)
	}
	for _, step := range workflow.Jobs["publish"].Steps {
		if step.Run != "" {
			scripts = append(scripts, step.Run)
		}
	}
	if len(scripts) == 0 {
		t.Fatal("release.yml publishes nothing")
	}
	return scripts
}

// A release makes every tag by which a template or a page names our images, and
// the tags of git that go with them.
func TestReleaseTags(t *testing.T) {
	p := publish(t, "", strings.Repeat("0", 64)+"  goproxy-setup-linux-amd64\n")
	for _, tag := range []string{"v1", "v1.2", "v1.2.3"} {
		if !slices.Contains(p.tags, tag) {
			t.Errorf("tags %q; want %s among them", p.tags, tag)
		}
	}
	named := regexp.MustCompile(`[\w.…/-]*/goproxy-setup:[\w.{$-]*`)
	found := 0
	for _, pattern := range []string{"README.md", "docs/*.md", "ci-templates"} {
		files, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			filepath.WalkDir(file, func(path string, d fs.DirEntry, err error) error {
				if err != nil || d.IsDir() {
					return err
				}
				text, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				for _, image := range named.FindAllString(string(text), -1) {
					found++
					if !slices.Contains(p.images, image) {
						t.Errorf("%s names the image %s; a release pushes %q", path, image, p.images)
					}
				}
				return nil
			})
		}
	}
	if found == 0 {
		t.Error("no page names an image")
	}
}
