package ci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	maxPolicy  = 512 << 10 // bytes
	gitTimeout = 10 * time.Second
)

// BasePolicy returns the file at path, slash-separated and relative to the
// repository's root, as it is in the commit that the pull or merge request is
// based on. The head's own file is no authority: anybody can propose it.
//
// The error matches [fs.ErrNotExist] only if the base commit can be read and
// has no such file. Any other error tells why the commit can't be read.
func (j *Job) BasePolicy(ctx context.Context, path string) ([]byte, error) {
	if !fs.ValidPath(path) {
		return nil, fmt.Errorf("%q is not a path inside the repository", path)
	}
	var reasons []string
	if j.Base != "" && j.actions() {
		api, err := j.api()
		if err == nil {
			var data []byte
			data, err = api.File(ctx, j.Repository, j.Base, path)
			if err == nil || errors.Is(err, fs.ErrNotExist) {
				return data, err
			}
		}
		reasons = append(reasons, err.Error())
	}
	revision, err := j.baseRevision()
	if err == nil {
		var data []byte
		data, err = gitFile(ctx, j.Workspace, revision, path)
		if err == nil || errors.Is(err, fs.ErrNotExist) {
			return data, err
		}
	}
	// Not wrapped: an error of the operating system must not pass for "the
	// commit has no such file".
	reasons = append(reasons, err.Error())
	return nil, errors.New(j.redact(strings.Join(reasons, "; ")))
}

// baseRevision returns what git calls the base commit.
func (j *Job) baseRevision() (string, error) {
	switch {
	case j.Base != "":
		if strings.Trim(j.Base, "0123456789abcdef") != "" {
			return "", fmt.Errorf("the base commit %q is not a hash", j.Base)
		}
		return j.Base, nil
	case j.Target != "":
		if strings.ContainsAny(j.Target, "\x00 ~^:?*[\\") || strings.Contains(j.Target, "..") || strings.Contains(j.Target, "@{") {
			return "", fmt.Errorf("%q is not the name of a branch", j.Target)
		}
		return "refs/remotes/origin/" + j.Target, nil
	}
	return "", errors.New("this CI system does not tell the base commit of the pull request")
}

// gitFile reads a file of a commit from the clone in dir. It uses plumbing
// only: porcelain such as "git show" runs the repository's filters.
func gitFile(ctx context.Context, dir, revision, path string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, gitTimeout)
	defer cancel()
	err := ownRepository(ctx, dir)
	var out []byte
	if err == nil {
		out, err = git(ctx, dir, "rev-parse", "--verify", "--quiet", "--end-of-options", revision+"^{commit}")
	}
	if errors.Is(err, exec.ErrNotFound) {
		return nil, errors.New("git is not installed here, and is needed to read the base commit")
	}
	if err != nil {
		return nil, fmt.Errorf("the base commit (%s) is not in the clone: %w; fetch it, or clone with full depth", revision, err)
	}
	commit := strings.TrimSpace(string(out))
	out, err = git(ctx, dir, "--literal-pathspecs", "ls-tree", "-l", "-z", "--full-tree", commit, "--", path)
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%s of commit %.12s: %w", path, commit, fs.ErrNotExist)
	}
	// "100644 blob HASH    SIZE\tPATH\x00"
	f := strings.Fields(string(out))
	if len(f) < 5 || f[1] != "blob" || f[0] == "120000" {
		return nil, fmt.Errorf("%s of commit %.12s is not a regular file", path, commit)
	}
	if size, err := strconv.Atoi(f[3]); err != nil || size > maxPolicy {
		return nil, fmt.Errorf("%s of commit %.12s is larger than %d bytes", path, commit, maxPolicy)
	}
	return git(ctx, dir, "cat-file", "blob", f[2])
}

// ownRepository refuses a repository that dir is a part of. git takes a folder
// with the files of a bare repository for one, and a pull request can bring such
// files along: where a workspace has no .git (Jenkins' stash leaves it out), the
// base commit would be of the head's making.
func ownRepository(ctx context.Context, dir string) error {
	out, err := git(ctx, dir, "rev-parse", "--absolute-git-dir")
	if err != nil {
		return err
	}
	real, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return err
	}
	rel, err := filepath.Rel(filepath.FromSlash(strings.TrimSpace(string(out))), real)
	if err == nil && filepath.IsLocal(rel) {
		return errors.New("the workspace holds the files of a bare git repository, which are no clone")
	}
	return nil
}

// git runs git in dir and returns its output. Its error is one line.
func git(ctx context.Context, dir string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "git", append([]string{"--no-replace-objects", "-c", "safe.bareRepository=explicit"}, args...)...)
	cmd.Dir = dir
	cmd.Env = append(cmd.Environ(), "GIT_TERMINAL_PROMPT=0", "GIT_NO_LAZY_FETCH=1", "LC_ALL=C")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err == nil || errors.Is(err, exec.ErrNotFound) {
		return out, err
	}
	detail, _, _ := strings.Cut(strings.TrimSpace(stderr.String()), "\n")
	if detail == "" {
		detail = err.Error()
	}
	return nil, fmt.Errorf("git: %s", detail)
}
