package ci

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/sethvargo/go-githubactions"

	"github.com/org/goproxy-setup/internal/render"
	"github.com/org/goproxy-setup/internal/report"
)

// PublishOptions say how much of a report to publish.
type PublishOptions struct {
	CheckRun   bool // also as a check run; GitHub only
	TableShown bool // stdout shows the table already: keep it out of the log
	Width      int  // of the terminal that shows the log; 0 if it is none
}

// Publish hands r to the steps that follow and to people by the system's own
// means:
//
//   - GitHub and Forgejo: variables, outputs, one annotation, the summary;
//   - GitLab: a section of the log, since variables travel by files;
//   - Jenkins: lines in the log;
//   - None: the table, if anything is wrong and stdout does not show it.
//
// All values are checked and all files are opened before anything is written.
// On an error no variable and no output is left behind, and neither is a file
// placed for later steps.
func (j *Job) Publish(ctx context.Context, r *report.Report, opt PublishOptions) error {
	err := j.publish(ctx, r, opt)
	if err != nil {
		return errors.Join(err, j.Discard())
	}
	return nil
}

func (j *Job) publish(ctx context.Context, r *report.Report, opt PublishOptions) error {
	if j.System == None && (opt.TableShown || r.Outcome == report.OK && !slices.ContainsFunc(r.Findings, pressing)) {
		return nil
	}
	r, err := j.Clean(r)
	if err != nil {
		return err
	}
	var table []byte
	if !opt.TableShown {
		if table, err = render.Render(render.Table, r, render.Options{Width: cmp.Or(opt.Width, LogWidth)}); err != nil {
			return err
		}
	}
	if !j.actions() {
		return j.writeLog(r, string(table))
	}
	summary, err := render.Render(render.Markdown, r, render.Options{})
	if err != nil {
		return err
	}
	if err := j.writeCommandFiles(r, string(summary), string(table)); err != nil {
		return err
	}
	if opt.CheckRun {
		j.checkRun(ctx, r, string(summary))
	}
	return nil
}

// LogWidth is how wide a table in a log may be, in columns.
const LogWidth = 120

// writeLog writes what people of GitLab and Jenkins read. GitLab folds the table
// away and shows the findings, worst last: a log is read from its end. There
// stands what is to blame, so that nobody needs a second run to know.
func (j *Job) writeLog(r *report.Report, table string) error {
	var b strings.Builder
	if j.System == GitLab && table != "" {
		const name = "goproxy_setup"
		now := time.Now()
		b.WriteString(render.GitLabSectionStart(name, "Go module proxies: "+r.Summary, true, now) + "\n")
		b.WriteString(table)
		b.WriteString(render.GitLabSectionEnd(name, now) + "\n")
		for _, f := range slices.Backward(r.Findings) {
			b.WriteString(findingLine(f) + "\n")
		}
	} else {
		b.WriteString(table)
	}
	if r.Diagnosis != "" {
		b.WriteString(render.LogLine("diagnosis: "+r.Diagnosis) + "\n")
	}
	_, err := io.WriteString(j.host.Stderr, b.String())
	return err
}

func findingLine(f report.Finding) string {
	line := string(f.Severity) + ": "
	if place := f.Place.String(); place != "" {
		line += place + ": "
	}
	return render.LogLine(line + f.Title + ": " + sentence(f))
}

// sentence returns what happened and what to do about it.
func sentence(f report.Finding) string {
	if f.Fix == "" {
		return f.Message
	}
	return f.Message + "; " + f.Fix
}

// maxAnnotations is how many annotations of a kind GitHub takes from one step.
const maxAnnotations = 10

// annotate writes the annotation: one for each run, on the worst finding, as a
// page full of them helps nobody. Only the mistakes in a policy are shown each
// in its place.
func annotate(a *githubactions.Action, r *report.Report) {
	n := 1
	if r.Outcome == report.Invalid {
		n = maxAnnotations
	}
	loud := slices.DeleteFunc(slices.Clone(r.Findings), quiet)
	for _, f := range loud[:min(n, len(loud))] {
		a.Infof("%s", render.WorkflowCommand(string(f.Severity), properties(f), sentence(f)))
	}
}

// quiet reports whether a finding is for the summary only: what is so in every
// run and needs nobody, such as a later proxy that lacks a feature, would teach
// people to overlook annotations.
func quiet(f report.Finding) bool {
	return f.Severity == report.Notice && (strings.HasPrefix(f.ID, "proxy-") || f.ID == "policy-risk")
}

// pressing reports whether a finding is more than a notice.
func pressing(f report.Finding) bool { return f.Severity != report.Notice }

func properties(f report.Finding) []render.Property {
	number := func(n int) string {
		if n == 0 {
			return ""
		}
		return fmt.Sprint(n)
	}
	return []render.Property{
		{Name: "file", Value: f.Place.File},
		{Name: "line", Value: number(f.Place.Line)},
		{Name: "col", Value: number(f.Place.Column)},
		{Name: "title", Value: f.Title},
	}
}

// checkRun publishes a check run. It is an extra: that it can't be had is no
// reason to fail the build.
func (j *Job) checkRun(ctx context.Context, r *report.Report, summary string) {
	api, err := j.api()
	if err == nil {
		err = api.CheckRun(ctx, j.Repository, j.Head, r, summary)
	}
	if err == nil {
		return
	}
	j.Log("notice: no check run: " + err.Error())
	if errors.Is(err, fs.ErrPermission) {
		j.Log(`notice: allow it by "permissions: checks: write", or leave --check-run out`)
	}
}

// jobOnly are settings that name files of this job, which later jobs of GitLab
// do not have.
var jobOnly = []string{"NETRC", "SSL_CERT_DIR"}

// travelling returns r as a dotenv report carries it to other jobs.
func (j *Job) travelling(r *report.Report) *report.Report {
	if j.System != GitLab {
		return r // elsewhere such a file serves the same job
	}
	t := *r
	t.Settings = slices.DeleteFunc(slices.Clone(r.Settings), func(s report.Setting) bool { return slices.Contains(jobOnly, s.Name) })
	return &t
}

// DotenvFindings warns of what a dotenv report cannot do with the settings: in
// GitLab a variable of a project, group, instance or pipeline wins over the
// report, and credentials do not travel with it. A job can't see where a
// variable comes from; one that is there before this program has exported
// anything, with another value, is such a variable or the image's own.
func (j *Job) DotenvFindings(settings []report.Setting) []report.Finding {
	if j.System != GitLab {
		return nil
	}
	ours := j.host.Getenv("GOPROXY_RESULT_ENVIRONMENT_SOURCE") != "" // from an earlier report
	var outrank, stay []string
	for _, s := range settings {
		if slices.Contains(jobOnly, s.Name) {
			stay = append(stay, s.Name)
		} else if v := j.host.Getenv(s.Name); v != "" && v != s.Value && !ours {
			outrank = append(outrank, s.Name)
		}
	}
	var list []report.Finding
	if outrank != nil {
		list = append(list, report.Finding{
			ID: "variable-outranks", Severity: report.Warning, Title: "CI/CD variable outranks the dotenv report",
			Message: strings.Join(outrank, ", ") + " had another value before this job's script ran: a CI/CD variable of the project, group or instance wins over artifacts:reports:dotenv in later jobs",
			Fix:     "delete that variable, or run the setup in the job that needs it",
		})
	}
	if stay != nil {
		list = append(list, report.Finding{
			ID: "dotenv-without-credentials", Severity: report.Warning, Title: "Credentials do not travel by dotenv",
			Message: strings.Join(stay, " and ") + " name files of this job: the dotenv report leaves them out, and a proxy that needs them will refuse later jobs",
			Fix:     "run the setup in the job that needs it: extends: .goproxy-setup",
		})
	}
	return list
}
