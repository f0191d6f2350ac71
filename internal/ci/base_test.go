package ci

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const policyFile = ".goproxy-setup.yaml"

// newClone makes a clone in dir as CI systems do: the base commit is there,
// "origin/main" points to it, and the head has edited the policy.
func newClone(t *testing.T, dir string) (base string) {
	t.Helper()
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("SKIPPED: git is not installed, so no clone can be read")
	}
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	git := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(cmd.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_SYSTEM=/dev/null",
			"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.com", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.com")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %q: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q")
	write(policyFile, "base\n")
	write("big.yaml", strings.Repeat("#", maxPolicy+1))
	if err := os.Symlink("/etc/passwd", filepath.Join(dir, "link.yaml")); err != nil {
		t.Fatal(err)
	}
	git("add", ".")
	git("commit", "-qm", "base")
	base = git("rev-parse", "HEAD")
	git("update-ref", "refs/remotes/origin/main", base)
	// What a hostile head can bring along: its own policy, filters for it.
	write(policyFile, "head\n")
	write("new.yaml", "head\n")
	write(".gitattributes", "* diff=evil filter=evil\n")
	git("add", ".")
	git("commit", "-qm", "head")
	return base
}

func TestBasePolicyFromGit(t *testing.T) {
	gitlab := newRunner(t, GitLab)
	base := newClone(t, gitlab.host.Dir)
	jenkins := newRunner(t, Jenkins)
	newClone(t, jenkins.host.Dir)
	gitlab.PullRequest, gitlab.Base = true, base
	jenkins.PullRequest, jenkins.Target = true, "main"

	for name, r := range map[string]*runner{"commit": gitlab, "target branch": jenkins} {
		t.Run(name, func(t *testing.T) {
			data, err := r.BasePolicy(t.Context(), policyFile)
			if string(data) != "base\n" || err != nil {
				t.Errorf("BasePolicy = %q, %v; want the base commit's file", data, err)
			}
			for path, want := range map[string]string{
				"new.yaml": "", "no/such.yaml": "", // "" stands for fs.ErrNotExist
				"big.yaml": "larger than", "link.yaml": "not a regular file",
				"../outside.yaml": "not a path inside", "/etc/passwd": "not a path inside", ":(top)*": "",
			} {
				data, err := r.BasePolicy(t.Context(), path)
				if err == nil || (want == "") != errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), want) {
					t.Errorf("BasePolicy(%s) = %q, %v; want %q", path, data, err, want)
				}
			}
		})
	}
}

// TestBasePolicyUnreadable shows what a person reads who can't get the base
// commit. None of it may pass for "the base has no policy".
func TestBasePolicyUnreadable(t *testing.T) {
	unknown := strings.Repeat("9", 40)
	for _, tt := range []struct {
		name         string
		base, target string
		clone        bool
		want         string
	}{
		{"shallow clone", unknown, "", true, "is not in the clone"},
		{"branch not fetched", "", "release", true, "refs/remotes/origin/release"},
		{"no clone", unknown, "", false, "not a git repository"},
		{"no workspace", "", "main", false, "not a git repository"},
		{"system tells nothing", "", "", true, "does not tell the base commit"},
		{"hostile branch name", "", "--upload-pack=x ^{/y}", true, "is not the name of a branch"},
		{"reflog in a branch name", "", "main@{1}", true, "is not the name of a branch"},
		{"hostile commit", "--help", "", true, "is not a hash"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRunner(t, Jenkins)
			if tt.clone {
				newClone(t, r.host.Dir)
			}
			r.PullRequest, r.Base, r.Target = true, tt.base, tt.target
			if tt.name == "no workspace" {
				r.Workspace = filepath.Join(r.dir, "gone")
				tt.want = "no such file"
			}
			data, err := r.BasePolicy(t.Context(), policyFile)
			if err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("BasePolicy = %q, %v; want an error with %q", data, err, tt.want)
			}
		})
	}
}

// In an image without git the advice is not to clone more.
func TestBasePolicyWithoutGit(t *testing.T) {
	r := newRunner(t, GitLab)
	r.PullRequest, r.Base = true, newClone(t, r.host.Dir)
	t.Setenv("PATH", t.TempDir())
	_, err := r.BasePolicy(t.Context(), policyFile)
	if err == nil || errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "git is not installed") || strings.Contains(err.Error(), "full depth") {
		t.Errorf("BasePolicy: %v; want that git is not installed", err)
	}
}

// TestBasePolicyBareRepository shows a head that brings a repository of its own,
// base commit included, into a workspace without a .git: a bare one, which is
// made of files and folders that any commit can hold.
func TestBasePolicyBareRepository(t *testing.T) {
	for _, config := range []string{"", "[core]\n\tbare = false\n", "[core]\n\tbare = false\n\tworktree = .\n"} {
		r := newRunner(t, Jenkins)
		base := newClone(t, r.host.Dir)
		for _, name := range []string{"HEAD", "objects", "refs", "config"} {
			if err := os.Rename(filepath.Join(r.host.Dir, ".git", name), filepath.Join(r.host.Dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.RemoveAll(filepath.Join(r.host.Dir, ".git")); err != nil {
			t.Fatal(err)
		}
		if config != "" {
			if err := os.WriteFile(filepath.Join(r.host.Dir, "config"), []byte(config), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		r.PullRequest, r.Base, r.Target = true, base, "main"
		if data, err := r.BasePolicy(t.Context(), policyFile); err == nil || errors.Is(err, fs.ErrNotExist) {
			t.Errorf("config %q: BasePolicy = %q, %v; want that there is no clone", config, data, err)
		}
		// A git that does not know safe.bareRepository.
		if err := ownRepository(t.Context(), r.host.Dir); err == nil {
			t.Errorf("config %q: the workspace passes for a clone", config)
		}
	}
}

func TestBasePolicyFromAPI(t *testing.T) {
	base := strings.Repeat("2", 40)
	for _, tt := range []struct {
		name     string
		api      fakeAPI
		want     string
		notExist bool
		wantErr  string
	}{
		{"the API answers", fakeAPI{file: "base"}, "base", false, ""},
		{"the base has no policy", fakeAPI{err: fmt.Errorf("none: %w", fs.ErrNotExist)}, "", true, "none"},
		{"neither API nor clone", fakeAPI{err: fmt.Errorf("403: %w", fs.ErrPermission)}, "", false, "403: permission denied; the base commit ("},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRunner(t, GitHub)
			r.api = &tt.api
			r.PullRequest, r.Base = true, base
			data, err := r.BasePolicy(t.Context(), policyFile)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) || errors.Is(err, fs.ErrNotExist) != tt.notExist {
					t.Errorf("BasePolicy = %q, %v; want an error with %q", data, err, tt.wantErr)
				}
			} else if string(data) != tt.want || err != nil {
				t.Errorf("BasePolicy = %q, %v; want %q", data, err, tt.want)
			}
			if want := "file acme/shop " + base + " " + policyFile; len(r.api.asked) != 1 || r.api.asked[0] != want {
				t.Errorf("asked %q; want %q", r.api.asked, want)
			}
		})
	}
	t.Run("the clone knows what the API refuses", func(t *testing.T) {
		r := newRunner(t, GitHub)
		r.api.err = fs.ErrPermission
		r.PullRequest, r.Base = true, newClone(t, r.host.Dir)
		if data, err := r.BasePolicy(t.Context(), policyFile); string(data) != "base\n" || err != nil {
			t.Errorf("BasePolicy = %q, %v; want the base commit's file", data, err)
		}
	})
	t.Run("without an API", func(t *testing.T) {
		r := newRunner(t, Forgejo)
		r.host.API = nil
		r.PullRequest, r.Base = true, base
		if _, err := r.BasePolicy(t.Context(), policyFile); err == nil || !strings.Contains(err.Error(), "not available") {
			t.Errorf("BasePolicy = %v; want that the API is not available", err)
		}
	})
}
