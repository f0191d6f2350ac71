package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	pathpkg "path"
	"path/filepath"
	"slices"

	"github.com/org/goproxy-setup/internal/ci"
	"github.com/org/goproxy-setup/internal/files"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/report"
)

// maxPolicy bounds the policy file, in bytes.
const maxPolicy = 512 << 10

// A loaded policy and how it was found.
type loaded struct {
	*policy.Policy
	// read returns a file that the policy names, relative to its own place and
	// as trustworthy as the policy itself.
	read     func(path string) ([]byte, error)
	builtIn  bool           // there is no file, and none was named
	proposed *policy.Policy // what a pull request would make of it, nil if that is nothing valid
	findings []report.Finding
}

// loadPolicy finds the policy: given inline, the file that --policy names, the
// file at the root of the repository, or the built-in one. In a pull or merge
// request it is the base commit's; the head's is checked, and not obeyed.
func loadPolicy(ctx context.Context, c *call, job *ci.Job) (*loaded, error) {
	if text := c.text("policy-inline"); text != "" {
		return parsed(c.from("policy-inline"), []byte(text), beside(ctx, job, c.Dir))
	}
	file := c.text("policy")
	path := file
	if file == "" {
		path = filepath.Join(job.Workspace, policy.FileName)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.Dir, path)
	}
	name, inTree := within(job.Workspace, path)
	request := job.PullRequest && inTree
	if request {
		if err := noLink(job.Workspace, name); err != nil {
			return nil, fmt.Errorf("reading the policy: %w", err)
		}
	}
	head, err := readFile(path, maxPolicy)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return nil, fmt.Errorf("reading the policy: %w", err)
	}
	if request {
		return baseOrHead(ctx, c, job, name, path, head, missing)
	}
	switch {
	case !missing:
		return parsed(name, head, beside(ctx, job, filepath.Dir(path)))
	case file != "":
		return nil, usagef("check the path; a step that runs before checkout sees no files of the repository", "%s: policy file %s does not exist", c.from("policy"), name)
	}
	return builtIn(), nil
}

// noPolicy is said where no policy file is.
const noPolicy = "no policy file found; does this step run before checkout?"

// builtIn returns the policy for a repository without one.
func builtIn() *loaded {
	return &loaded{Policy: policy.BuiltIn(), builtIn: true, findings: []report.Finding{{
		ID: "no-policy", Severity: report.Notice, Title: "No policy file", Message: noPolicy,
		Fix: "add " + policy.FileName + " at the root of the repository, or name a file with --policy",
	}}}
}

// parsed parses a policy. Its mistakes are the caller's to mend.
func parsed(name string, data []byte, read func(string) ([]byte, error)) (*loaded, error) {
	p, err := policy.Parse(name, data)
	if err != nil {
		return nil, &usageError{err, "docs/policy.md describes every key; \"goproxy-setup policy check\" reads the file alone"}
	}
	return &loaded{Policy: p, read: read, findings: p.Findings()}, nil
}

// baseOrHead returns the policy of the commit that a pull request is based on.
// If that can't be read, the head's is used without whatever needs trust.
func baseOrHead(ctx context.Context, c *call, job *ci.Job, name, path string, head []byte, missing bool) (*loaded, error) {
	base, err := job.BasePolicy(ctx, name)
	switch {
	case err == nil:
		l, err := parsed(name, base, beside(ctx, job, filepath.Dir(path)))
		if err != nil {
			return nil, fmt.Errorf("the policy of the base commit: %w", err)
		}
		if string(head) != string(base) {
			l.propose(name, head, missing)
		}
		return l, nil
	case errors.Is(err, fs.ErrNotExist):
		if c.text("policy") != "" && missing {
			return nil, usagef("", "%s: policy file %s does not exist", c.from("policy"), name)
		}
		l := builtIn()
		if !missing {
			l.findings = nil
			l.propose(name, head, false)
		}
		return l, nil
	case missing && c.text("policy") != "":
		return nil, usagef("", "%s: policy file %s does not exist", c.from("policy"), name)
	case missing:
		return builtIn(), nil
	}
	l, perr := parsed(name, head, beside(ctx, job, filepath.Dir(path)))
	if perr != nil {
		return nil, perr
	}
	safe, ignored := l.WithoutTrust()
	l.Policy = safe
	l.findings = append(l.findings, report.Finding{
		ID: "policy-base-unreadable", Severity: report.Notice, Title: "Policy of the base commit not readable",
		Message: "the policy of the base commit could not be read (" + err.Error() + "); this change's own policy applies, without credentials, forward proxies and downgrades",
		Fix:     "give the job \"contents: read\", or git and a clone that holds the base commit", Place: report.Place{File: name},
	})
	l.findings = append(l.findings, ignored...)
	return l, nil
}

// propose checks the policy that a pull request proposes. It applies once it is
// merged; until then its mistakes are worth an annotation.
func (l *loaded) propose(name string, head []byte, missing bool) {
	changed := report.Finding{
		ID: "policy-changed", Severity: report.Notice, Title: "Policy changed by this request",
		Message: "this change edits the policy; the policy of the base commit applies here",
		Fix:     "the new policy counts once it is merged", Place: report.Place{File: name, Line: 1},
	}
	switch {
	case missing:
		changed.Message = "this change removes the policy; the policy of the base commit applies here"
	case l.builtIn:
		changed.Message = "this change brings the policy; the base commit has none, so the built-in one applies here"
	}
	l.findings = append(l.findings, changed)
	if missing {
		return
	}
	p, err := policy.Parse(name, head)
	if errs, ok := errors.AsType[policy.Errors](err); ok {
		l.findings = append(l.findings, errs.Findings()...)
	}
	if err == nil {
		l.proposed = p
		l.findings = append(l.findings, p.Findings()...)
	}
}

// unknown says what to do about an environment that the policy does not have.
func (l *loaded) unknown(err error) error {
	if e, ok := errors.AsType[*policy.Error](err); ok && slices.ContainsFunc(l.findings, func(f report.Finding) bool { return f.Message == noPolicy }) {
		return &usageError{e, noPolicy}
	}
	return asUsage(err)
}

// beside returns a reader of files relative to dir. In a pull request those of
// the repository are the base commit's, wherever the policy is from.
func beside(ctx context.Context, job *ci.Job, dir string) func(path string) ([]byte, error) {
	return func(path string) ([]byte, error) {
		if !filepath.IsAbs(path) {
			path = filepath.Join(dir, path)
		}
		if name, inTree := within(job.Workspace, path); job.PullRequest && inTree {
			return job.BasePolicy(ctx, name)
		}
		return readFile(path, 1<<20)
	}
}

// within returns path as seen from the workspace, with slashes, and whether it
// lies there, by whatever name the caller knows the workspace.
func within(workspace, path string) (name string, inTree bool) {
	if name = relative(workspace, path); filepath.IsLocal(filepath.FromSlash(name)) {
		return name, true
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	real, werr := filepath.EvalSymlinks(workspace)
	if err != nil || werr != nil {
		return name, false
	}
	if real := relative(real, filepath.Join(dir, filepath.Base(path))); filepath.IsLocal(filepath.FromSlash(real)) {
		return real, true
	}
	return name, false
}

// noLink refuses a path below the workspace that is, or leads over, a symbolic
// link: a pull request could point it at any file of this machine, and read the
// file's words in the messages about it.
func noLink(workspace, name string) error {
	for ; name != "."; name = pathpkg.Dir(name) {
		info, err := os.Lstat(filepath.Join(workspace, filepath.FromSlash(name)))
		if err == nil && info.Mode()&fs.ModeSymlink != 0 {
			return usagef("put the file itself there", "%s is a symbolic link, which is not followed in a pull request", name)
		}
	}
	return nil
}

// readFile reads a file of at most limit bytes. What is no file, or too large a
// one, is the caller's mistake.
func readFile(path string, limit int64) ([]byte, error) {
	data, err := files.Read(path, limit)
	switch {
	case errors.Is(err, files.ErrNotRegular):
		err = usagef("name another file", "%s is not a regular file", path)
	case errors.Is(err, files.ErrTooLarge):
		err = usagef("name another file", "%s is larger than %d KiB", path, limit>>10)
	}
	return data, err
}

// relative returns path as a person in the workspace writes it, with slashes.
func relative(workspace, path string) string {
	if rel, err := filepath.Rel(workspace, path); err == nil && filepath.IsLocal(rel) {
		return filepath.ToSlash(rel)
	}
	return filepath.ToSlash(path)
}
