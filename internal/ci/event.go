package ci

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/org/goproxy-setup/internal/report"
)

// An event is what we read of the payload that started a GitHub workflow.
type event struct {
	Repository  repository `json:"repository"`
	PullRequest *struct {
		Base commit `json:"base"`
		Head commit `json:"head"`
	} `json:"pull_request"`
	MergeGroup *struct {
		BaseSHA string `json:"base_sha"`
		BaseRef string `json:"base_ref"`
		HeadSHA string `json:"head_sha"`
	} `json:"merge_group"`
	Issue struct {
		PullRequest *struct{} `json:"pull_request"` // the issue is a pull request
	} `json:"issue"`
	WorkflowRun struct {
		Event string `json:"event"`
	} `json:"workflow_run"`
	Deployment struct {
		Environment string `json:"environment"`
	} `json:"deployment"`
}

type repository struct {
	FullName string `json:"full_name"`
}

type commit struct {
	SHA  string      `json:"sha"`
	Repo *repository `json:"repo"` // null if the fork was deleted
}

// readGitHub follows GitHub's default variables and, for what they don't tell,
// the event's payload.
func (c *Context) readGitHub(host Host) {
	getenv := host.Getenv
	c.Event = getenv("GITHUB_EVENT_NAME")
	c.Repository = getenv("GITHUB_REPOSITORY")
	c.Workspace = cmp.Or(getenv("GITHUB_WORKSPACE"), c.Workspace)
	c.Head = getenv("GITHUB_SHA")
	if ref := getenv("GITHUB_REF"); strings.HasPrefix(ref, "refs/tags/") {
		c.Tag = strings.TrimPrefix(ref, "refs/tags/")
	} else if after, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
		c.Branch = after
	}
	var e event
	if err := readEvent(host, &e); err != nil {
		c.Findings = append(c.Findings, report.Finding{
			ID: "event-payload", Severity: report.Notice, Title: "Event not read", Message: err.Error(),
		})
	}
	c.readRequest(&e, getenv)
	if e.Deployment.Environment != "" {
		c.Environments = append(c.Environments, Environment{e.Deployment.Environment, "github deployment event"})
	}
}

func readEvent(host Host, e *event) error {
	path := host.Getenv("GITHUB_EVENT_PATH")
	if path == "" {
		return nil
	}
	data, err := host.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(data, e)
	}
	if err != nil {
		return fmt.Errorf("reading the event's payload (GITHUB_EVENT_PATH): %w", err)
	}
	return nil
}

// readRequest recognizes every event in which the checkout may be the code of a
// pull request. For a comment and for a workflow run it started, GITHUB_SHA is
// the default branch's last commit, but the workflow often checks out the
// request itself.
func (c *Context) readRequest(e *event, getenv func(string) string) {
	switch p := e.PullRequest; {
	case p != nil:
		c.Base, c.Head = p.Base.SHA, cmp.Or(p.Head.SHA, c.Head)
		c.Fork = p.Head.Repo == nil || p.Head.Repo.FullName != e.Repository.FullName
	case strings.HasPrefix(c.Event, "pull_request"): // no payload
		c.Fork = true
	case e.MergeGroup != nil:
		c.Base, c.Head = e.MergeGroup.BaseSHA, cmp.Or(e.MergeGroup.HeadSHA, c.Head)
	case e.Issue.PullRequest != nil, strings.HasPrefix(e.WorkflowRun.Event, "pull_request"):
		c.Base, c.Fork = c.Head, true
	default:
		return
	}
	c.PullRequest = true
	c.Target = getenv("GITHUB_BASE_REF")
	if e.MergeGroup != nil {
		c.Target = strings.TrimPrefix(e.MergeGroup.BaseRef, "refs/heads/")
	}
	c.Target = cmp.Or(c.Target, c.Branch)
	c.Branch, c.Tag = "", ""
}
