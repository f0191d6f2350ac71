// Package ci knows the CI systems: which one this is, what it says about the
// job, and where results go so that later steps and people find them.
//
// [Open] reads the job's variables into a [Job]. Its methods ask for what the
// variables don't tell, mask secrets, place files for the steps that follow
// and publish a report by the system's own means. What the bytes look like is
// package render's business, what they say is the report's.
package ci

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/org/goproxy-setup/internal/report"
)

// A System is a kind of CI system.
type System string

const (
	GitHub  System = "github"  // GitHub Actions, act
	GitLab  System = "gitlab"  // GitLab CI
	Jenkins System = "jenkins" //
	Forgejo System = "forgejo" // Forgejo and Gitea Actions: GitHub's files without its checks
	None    System = "none"    // any shell
)

// Detect returns the system whose variables are set, or [None].
func Detect(getenv func(string) string) System {
	set := func(name string) bool {
		v := getenv(name)
		return v != "" && v != "false" && v != "0"
	}
	switch {
	case set("FORGEJO_ACTIONS"), set("GITEA_ACTIONS"): // they set GITHUB_ACTIONS too
		return Forgejo
	case set("GITHUB_ACTIONS"):
		return GitHub
	case set("GITLAB_CI"):
		return GitLab
	case set("JENKINS_URL"), set("JENKINS_HOME") && set("BUILD_TAG"): // an unconfigured Jenkins has no URL
		return Jenkins
	}
	return None
}

// Parse returns the system called name; "auto" and "" mean [Detect].
func Parse(name string, getenv func(string) string) (System, error) {
	if name == "" || name == "auto" {
		return Detect(getenv), nil
	}
	switch s := System(name); s {
	case GitHub, GitLab, Jenkins, Forgejo, None:
		return s, nil
	}
	return "", fmt.Errorf("unknown CI system %q: use auto, github, gitlab, jenkins, forgejo or none", name)
}

// Lookup returns the value of the option called name ("on-fallback") and the
// variable it was found in. In the systems that have inputs that is
// INPUT_ON-FALLBACK, then everywhere GOPROXY_SETUP_ON_FALLBACK. A blank value
// counts as not given: variable is "" then.
func Lookup(system System, getenv func(string) string, name string) (value, variable string) {
	upper := strings.ToUpper(name)
	var variables []string
	if system == GitHub || system == Forgejo {
		// The runner replaces blanks and leaves hyphens: no shell can read it.
		variables = append(variables, "INPUT_"+strings.ReplaceAll(upper, " ", "_"))
	}
	variables = append(variables, "GOPROXY_SETUP_"+strings.NewReplacer("-", "_", " ", "_").Replace(upper))
	for _, v := range variables {
		if s := strings.TrimSpace(getenv(v)); s != "" {
			return s, v
		}
	}
	return "", ""
}

// A Host is what a [Job] sees and touches besides the files it writes.
type Host struct {
	Getenv   func(string) string
	ReadFile func(string) ([]byte, error)
	Stat     func(string) (fs.FileInfo, error)
	Stderr   io.Writer // logs and workflow commands; runners read it as they read stdout
	Dir      string    // the working directory, absolute
	TempDir  string    // the system's directory for temporary files
	PID      int       // this process's number

	// API returns a client for the API at baseURL ("" for GitHub's own).
	// If nil, whatever needs the API is not available.
	API func(baseURL, token string) (API, error)
}

// An API is what a job asks of GitHub. Errors match [fs.ErrPermission] if the
// token may not ask.
type API interface {
	// Environment returns the environment of the job that a check run
	// belongs to, "" if it has none.
	Environment(ctx context.Context, repo string, checkRun int64) (string, error)
	// File returns a file of a commit. The error matches [fs.ErrNotExist] only
	// if the commit can be read and has no such file.
	File(ctx context.Context, repo, commit, path string) ([]byte, error)
	// CheckRun publishes r with a summary in Markdown as a check of a commit.
	CheckRun(ctx context.Context, repo, commit string, r *report.Report, summary string) error
}

// A Job is the CI job this program runs in. It is not safe for concurrent use.
type Job struct {
	Context
	host    Host
	secrets []string // longest first; see Mask
	placed  []string // directories to remove if the run fails; see Discard
}

// Open reads what the variables of system say about the job.
func Open(system System, host Host) *Job {
	return &Job{Context: readContext(system, host), host: host}
}

// lookup is [Lookup] with the system and the variables of the job.
func (j *Job) lookup(name string) (value, variable string) {
	return Lookup(j.System, j.host.Getenv, name)
}

// actions reports whether the runner understands GitHub's workflow commands and
// command files.
func (j *Job) actions() bool { return j.System == GitHub || j.System == Forgejo }

// token returns the token for the API, "" if the job gave none.
func (j *Job) token() string {
	token, _ := j.lookup("github-token")
	return cmp.Or(token, j.host.Getenv("GITHUB_TOKEN"))
}

// api returns a client for the forge's API.
func (j *Job) api() (API, error) {
	if j.host.API == nil || !j.actions() {
		return nil, fmt.Errorf("the API is not available in this CI system (%s)", j.System)
	}
	return j.host.API(j.host.Getenv("GITHUB_API_URL"), j.token())
}
