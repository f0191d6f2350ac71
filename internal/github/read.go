package github

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"

	gh "github.com/google/go-github/v60/github"
)

// MaxFile is the size in bytes of the largest file that [Client.File] returns.
const MaxFile = 512 << 10

// Environment returns the name of the deployment environment of the job whose
// check run is given, "" if the job has none. It needs "checks: read".
func (c *Client) Environment(ctx context.Context, repo string, checkRun int64) (string, error) {
	owner, name, err := splitRepo(repo)
	if err != nil {
		return "", err
	}
	const op = "reading the environment from the job's check run"
	req, err := c.api.NewRequest(http.MethodGet, fmt.Sprintf("repos/%s/%s/check-runs/%d", owner, name, checkRun), nil)
	if err != nil {
		return "", c.failure(op, "", err)
	}
	// go-github v60 knows check runs, but not this field of theirs.
	var run struct {
		Deployment struct {
			Environment string `json:"environment"`
		} `json:"deployment"`
	}
	if _, err := c.api.Do(ctx, req, &run); err != nil {
		return "", c.failure(op, `give the job "permissions: checks: read", or name the environment`, err)
	}
	return run.Deployment.Environment, nil
}

// File returns the file at path, slash-separated and relative to the root of
// repo, as of a commit given by its full hash. It needs "contents: read". The
// error matches [fs.ErrNotExist] only if the commit can be read and has no
// such file.
func (c *Client) File(ctx context.Context, repo, commit, path string) ([]byte, error) {
	owner, name, err := splitRepo(repo)
	if err != nil {
		return nil, err
	}
	if !fullHash.MatchString(commit) {
		return nil, fmt.Errorf("%q is not a commit's full hash", commit)
	}
	if !fs.ValidPath(path) {
		return nil, fmt.Errorf("%q is not a path inside a repository", path)
	}
	op := fmt.Sprintf("reading %s of commit %.12s", path, commit)
	const fix = `give the job "permissions: contents: read"`
	file, _, resp, err := c.api.Repositories.GetContents(ctx, owner, name, path, &gh.RepositoryContentGetOptions{Ref: commit})
	if resp != nil && resp.StatusCode == http.StatusNotFound {
		// Also the answer to a token that may not read the repository.
		if _, _, err := c.api.Git.GetCommit(ctx, owner, name, commit); err != nil {
			return nil, c.failure(op, fix, err)
		}
		return nil, &Error{Op: op, Detail: "the commit has no such file", Err: fs.ErrNotExist}
	}
	if err != nil {
		return nil, c.failure(op, fix, err)
	}
	if file.GetType() != "file" {
		return nil, &Error{Op: op, Err: errors.ErrUnsupported, Detail: "is not a regular file"}
	}
	if file.GetSize() > MaxFile {
		return nil, &Error{Op: op, Err: errors.ErrUnsupported, Detail: fmt.Sprintf("is larger than %d bytes", MaxFile)}
	}
	text, err := file.GetContent()
	if err != nil {
		return nil, c.failure(op, "", err)
	}
	return []byte(text), nil
}
