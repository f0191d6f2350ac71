package github

import (
	"context"
	"fmt"
	"io/fs"
	"strings"

	gh "github.com/google/go-github/v60/github"

	"github.com/org/goproxy-setup/internal/report"
)

// CheckName is the name of the check run, stable so that branch protection can
// name it.
const CheckName = "goproxy-setup"

// Limits of the Checks API.
const (
	maxBatch   = 50    // annotations of one request
	maxSummary = 65535 // characters
	maxMessage = 64 << 10
	maxTitle   = 255
)

// CheckRun publishes r as a completed check run of a commit, with an annotation
// for each finding that has a place in the repository. Summary is Markdown. It
// needs "checks: write".
func (c *Client) CheckRun(ctx context.Context, repo, commit string, r *report.Report, summary string) error {
	owner, name, err := splitRepo(repo)
	if err != nil {
		return err
	}
	if !fullHash.MatchString(commit) {
		return fmt.Errorf("%q is not a commit's full hash", commit)
	}
	const op, fix = "publishing the check run", `give the job "permissions: checks: write", or leave --check-run out`
	all := annotations(r.Findings)
	output := func(batch []*gh.CheckRunAnnotation) *gh.CheckRunOutput {
		return &gh.CheckRunOutput{
			Title:       new(cut(r.Summary, maxTitle)),
			Summary:     new(cut(summary, maxSummary)),
			Annotations: batch,
		}
	}
	batch := all[:min(len(all), maxBatch)]
	// Completed at once: should a later batch fail, the run is short of some
	// annotations and not in progress for ever.
	run, _, err := c.api.Checks.CreateCheckRun(ctx, owner, name, gh.CreateCheckRunOptions{
		Name: CheckName, HeadSHA: commit, Status: new("completed"), Conclusion: new(conclusion(r.Outcome)),
		Output: output(batch),
	})
	for err == nil {
		if all = all[len(batch):]; len(all) == 0 {
			return nil
		}
		batch = all[:min(len(all), maxBatch)] // the API adds them to those it has
		_, _, err = c.api.Checks.UpdateCheckRun(ctx, owner, name, run.GetID(), gh.UpdateCheckRunOptions{
			Name: CheckName, Output: output(batch),
		})
	}
	return c.failure(op, fix, err)
}

func conclusion(o report.Outcome) string {
	switch o {
	case report.OK, report.Kept:
		return "success"
	case report.Fallback:
		return "neutral"
	}
	return "failure"
}

// annotations returns those of the findings that have a line of a file in the
// repository: the API takes no others.
func annotations(findings []report.Finding) []*gh.CheckRunAnnotation {
	levels := map[report.Severity]string{
		report.Notice: "notice", report.Warning: "warning", report.Error: "failure",
	}
	var list []*gh.CheckRunAnnotation
	for _, f := range findings {
		if f.Place.Line < 1 || !fs.ValidPath(f.Place.File) || levels[f.Severity] == "" {
			continue
		}
		message := f.Message
		if f.Fix != "" {
			message += "\n" + f.Fix
		}
		a := &gh.CheckRunAnnotation{
			Path: new(f.Place.File), StartLine: new(f.Place.Line), EndLine: new(f.Place.Line),
			AnnotationLevel: new(levels[f.Severity]), Title: new(cut(f.Title, maxTitle)), Message: new(cut(message, maxMessage)),
		}
		if f.Place.Column > 0 {
			a.StartColumn, a.EndColumn = new(f.Place.Column), new(f.Place.Column)
		}
		list = append(list, a)
	}
	return list
}

// cut returns at most n bytes of s, which are no more than n characters.
func cut(s string, n int) string {
	return strings.ToValidUTF8(s[:min(len(s), n)], "")
}
