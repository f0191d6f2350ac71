package ci

import (
	"cmp"
	"strings"

	"github.com/org/goproxy-setup/internal/report"
)

// A Context is what the variables of a job say about it. Every text in it may
// come from a stranger: branch names, for one.
type Context struct {
	System System
	Event  string // as the system names it: "push", "merge_request_event"; "" if it does not

	// PullRequest says that the code of the job may be that of a pull or merge
	// request: the policy is that of the base commit then, and no rule about
	// branches or tags applies.
	PullRequest bool
	// Fork says that this code comes from another repository, or that it can't
	// be told where it comes from.
	Fork   bool
	Branch string // "" for tags and pull requests
	Tag    string
	Target string // branch that the pull request is for
	Base   string // commit it is based on; "" if unknown
	Head   string // commit that a check belongs to

	Repository string // owner/name; GitHub and Forgejo only
	Workspace  string // root of the checkout, absolute
	Temp       Dir    // for files that live as long as the job

	// Container says that the steps that follow run elsewhere, with another
	// network and other certificates: this program is alone in its container.
	// A job that runs in a container as a whole is not meant.
	Container bool

	// Environments are the names that the system gives to the job's
	// environment, in the order in which they are to be tried.
	Environments []Environment

	// Findings tell what could not be read.
	Findings []report.Finding
}

// An Environment is a name for the job's environment and where it was found.
type Environment struct {
	Name   string
	Source string // "gitlab CI_ENVIRONMENT_NAME"
}

// A Dir is one directory under the names of two observers.
type Dir struct {
	Path string // as this program sees it
	Next string // as the steps that follow see it; "" if that can't be known
}

func readContext(system System, host Host) Context {
	c := Context{System: system, Workspace: host.Dir}
	switch system {
	case GitHub, Forgejo:
		c.readGitHub(host)
	case GitLab:
		c.readGitLab(host.Getenv)
	case Jenkins:
		c.readJenkins(host.Getenv)
	default:
		c.readOther(host.Getenv)
	}
	c.Container = alone(c, host)
	c.Temp = tempDir(c, host)
	return c
}

// readGitLab follows GitLab's predefined variables. A merge request pipeline
// is told by CI_MERGE_REQUEST_IID and not by its source, since a child pipeline
// has its parent as source and the variable all the same.
func (c *Context) readGitLab(getenv func(string) string) {
	c.Event = getenv("CI_PIPELINE_SOURCE")
	c.Branch = getenv("CI_COMMIT_BRANCH") // empty for tags and merge requests
	c.Tag = getenv("CI_COMMIT_TAG")
	c.Head = getenv("CI_COMMIT_SHA")
	c.Workspace = cmp.Or(getenv("CI_PROJECT_DIR"), c.Workspace)
	if getenv("CI_MERGE_REQUEST_IID") != "" {
		c.PullRequest = true
		c.Fork = getenv("CI_MERGE_REQUEST_SOURCE_PROJECT_ID") != getenv("CI_MERGE_REQUEST_PROJECT_ID")
		c.Target = getenv("CI_MERGE_REQUEST_TARGET_BRANCH_NAME")
		// The former is set for merged results only.
		c.Base = cmp.Or(getenv("CI_MERGE_REQUEST_TARGET_BRANCH_SHA"), getenv("CI_MERGE_REQUEST_DIFF_BASE_SHA"))
	} else if getenv("CI_EXTERNAL_PULL_REQUEST_IID") != "" {
		c.PullRequest = true
		c.Fork = getenv("CI_EXTERNAL_PULL_REQUEST_SOURCE_REPOSITORY") != getenv("CI_EXTERNAL_PULL_REQUEST_TARGET_REPOSITORY")
		c.Target = getenv("CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_NAME")
		c.Base = getenv("CI_EXTERNAL_PULL_REQUEST_TARGET_BRANCH_SHA")
	}
	if c.PullRequest {
		c.Branch, c.Tag = "", ""
	}
	c.environments("gitlab", getenv, "CI_ENVIRONMENT_NAME", "CI_ENVIRONMENT_TIER")
}

func (c *Context) readJenkins(getenv func(string) string) {
	c.Workspace = cmp.Or(getenv("WORKSPACE"), c.Workspace)
	c.Head = getenv("GIT_COMMIT")
	c.Tag = getenv("TAG_NAME")
	// BRANCH_NAME exists in multibranch jobs only, and is the tag's name there.
	c.Branch = cmp.Or(getenv("BRANCH_NAME"), strings.TrimPrefix(getenv("GIT_BRANCH"), "origin/"))
	if c.Tag != "" {
		c.Branch = ""
	}
	c.pullRequest(getenv)
	c.environments("jenkins", getenv, "ENVIRONMENT", "DEPLOY_ENV")
}

// readOther recognizes at least the pull requests of systems that have no
// support of their own: trusting their policy would be the worse mistake.
func (c *Context) readOther(getenv func(string) string) {
	c.pullRequest(getenv)
}

// requestVariables name a pull or merge request and its target branch: in
// Jenkins' multibranch jobs, Jenkins' GitHub and GitLab plugins, Azure
// Pipelines, Bitbucket, Buildkite, CircleCI, Woodpecker, Travis CI, Drone, Cirrus
// CI and AppVeyor.
var requestVariables = []struct{ id, target string }{
	{"CHANGE_ID", "CHANGE_TARGET"},
	{"ghprbPullId", "ghprbTargetBranch"},
	{"gitlabMergeRequestIid", "gitlabTargetBranch"},
	{"SYSTEM_PULLREQUEST_PULLREQUESTID", "SYSTEM_PULLREQUEST_TARGETBRANCH"},
	{"BITBUCKET_PR_ID", "BITBUCKET_PR_DESTINATION_BRANCH"},
	{"BUILDKITE_PULL_REQUEST", "BUILDKITE_PULL_REQUEST_BASE_BRANCH"},
	{"CIRCLE_PULL_REQUEST", ""},
	{"CI_COMMIT_PULL_REQUEST", "CI_COMMIT_TARGET_BRANCH"},
	{"TRAVIS_PULL_REQUEST", "TRAVIS_BRANCH"},
	{"DRONE_PULL_REQUEST", "DRONE_TARGET_BRANCH"},
	{"CIRRUS_PR", "CIRRUS_BASE_BRANCH"},
	{"APPVEYOR_PULL_REQUEST_NUMBER", "APPVEYOR_REPO_BRANCH"},
	// GitHub's and GitLab's own, for callers who say --ci none.
	{"GITHUB_BASE_REF", "GITHUB_BASE_REF"},
	{"CI_MERGE_REQUEST_IID", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME"},
}

// pullRequest looks for a pull request whose base is known by its branch only.
func (c *Context) pullRequest(getenv func(string) string) {
	for _, v := range requestVariables {
		if id := getenv(v.id); id == "" || id == "false" {
			continue
		}
		c.PullRequest, c.Branch, c.Tag = true, "", ""
		c.Target = strings.TrimPrefix(getenv(v.target), "refs/heads/")
		// Only Jenkins' multibranch jobs tell a fork from the repository's own branches.
		c.Fork = v.id != "CHANGE_ID" || getenv("CHANGE_FORK") != ""
		return
	}
}

// environments adds the names in the given variables.
func (c *Context) environments(system string, getenv func(string) string, variables ...string) {
	for _, v := range variables {
		if name := strings.TrimSpace(getenv(v)); name != "" {
			c.Environments = append(c.Environments, Environment{name, system + " " + v})
		}
	}
}
