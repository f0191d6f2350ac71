package ci

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/org/goproxy-setup/internal/render"
	"github.com/org/goproxy-setup/internal/report"
)

// A runner is a job whose files and log a test can read.
type runner struct {
	*Job
	dir string
	env map[string]string
	log *bytes.Buffer
	api *fakeAPI
}

// newRunner returns a job of system in a directory of its own. The files of
// GitHub's runner are "env", "output" and "summary" in it.
func newRunner(t *testing.T, system System, variables ...string) *runner {
	t.Helper()
	r := &runner{dir: t.TempDir(), env: map[string]string{}, log: new(bytes.Buffer), api: &fakeAPI{t: t}}
	for _, dir := range []string{"work", "temp"} {
		if err := os.Mkdir(filepath.Join(r.dir, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if system == GitHub || system == Forgejo {
		for variable, name := range map[string]string{"GITHUB_ENV": "env", "GITHUB_OUTPUT": "output", "GITHUB_STEP_SUMMARY": "summary"} {
			r.env[variable] = filepath.Join(r.dir, name)
			r.write(t, name, "")
		}
		r.env["RUNNER_TEMP"] = filepath.Join(r.dir, "temp")
		r.env["GITHUB_REPOSITORY"] = "acme/shop"
		r.env["GITHUB_SHA"] = strings.Repeat("1", 40)
	}
	for i := 0; i < len(variables); i += 2 {
		r.env[variables[i]] = variables[i+1]
	}
	r.Job = Open(system, Host{
		Getenv: func(name string) string { return r.env[name] }, ReadFile: os.ReadFile, Stat: os.Stat,
		Stderr: r.log, Dir: filepath.Join(r.dir, "work"), TempDir: filepath.Join(r.dir, "temp"), PID: 2,
		API: func(string, string) (API, error) { return r.api, nil },
	})
	return r
}

func (r *runner) write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (r *runner) read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(r.dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// A fakeAPI is GitHub's API with one answer for each question.
type fakeAPI struct {
	t           *testing.T
	environment string
	file        string
	err         error
	asked       []string // in order
}

func (f *fakeAPI) Environment(_ context.Context, repo string, checkRun int64) (string, error) {
	f.asked = append(f.asked, fmt.Sprintf("environment %s %d", repo, checkRun))
	return f.environment, f.err
}

func (f *fakeAPI) File(_ context.Context, repo, commit, path string) ([]byte, error) {
	f.asked = append(f.asked, fmt.Sprintf("file %s %s %s", repo, commit, path))
	return []byte(f.file), f.err
}

func (f *fakeAPI) CheckRun(_ context.Context, repo, commit string, r *report.Report, summary string) error {
	if r.Summary == "" || summary == "" {
		f.t.Error("a check run without a summary")
	}
	f.asked = append(f.asked, fmt.Sprintf("check run %s %s", repo, commit))
	return f.err
}

// fallback is the report of a run whose primary is down, as bad as can be: its
// texts would be commands if they could.
func fallback() *report.Report {
	return &report.Report{
		Schema: report.Schema, Command: "setup", Version: "v1.0.0",
		Outcome: report.Fallback, Summary: "using goproxy.cn: corp answers 502",
		Environment: "production\n::error::forged", EnvironmentSource: "input",
		Settings: []report.Setting{
			{Name: "GOPROXY", Value: "https://mirror.example.com|direct"},
			{Name: "GOSUMDB", Value: "sum.golang.org https://sum.example.com"},
		},
		Outputs: []report.Setting{
			{Name: "goproxy", Value: "https://mirror.example.com|direct"},
			{Name: "fallback-used", Value: "true"},
			{Name: "no-proxy", Value: ""},
		},
		Proxies: []report.Proxy{
			{Name: "corp", URL: "https://goproxy.corp.example.com", State: report.Down, Use: "left out", Class: "server-error", Cause: "502 \x1b[31m##[error]forged", Next: "ask its owner", TookMS: 31},
			{Name: "mirror", URL: "https://mirror.example.com", State: report.Usable, Use: "fallback", TookMS: 12},
		},
		Findings: []report.Finding{
			{ID: "proxy-down", Severity: report.Warning, Title: "corp, is: down", Message: "502 100%\r\n::set-env name=X::forged",
				Fix: "ask its owner", Place: report.Place{File: ".goproxy-setup.yaml", Line: 12, Column: 5}},
			{ID: "slow", Severity: report.Notice, Title: "mirror is slow", Message: "took 900 ms"},
		},
	}
}

func TestPublishGitHub(t *testing.T) {
	for _, system := range []System{GitHub, Forgejo} {
		t.Run(string(system), func(t *testing.T) {
			r := newRunner(t, system)
			if err := r.Publish(t.Context(), fallback(), PublishOptions{}); err != nil {
				t.Fatal(err)
			}
			wantVariables(t, r.read(t, "env"), fallback().Settings)
			wantVariables(t, r.read(t, "output"), fallback().Outputs)
			if s := r.read(t, "summary"); !strings.Contains(s, "corp") {
				t.Errorf("summary = %q; want the proxies", s)
			}
			golden(t, "testdata/publish-github.log", r.log.Bytes())
			if n := strings.Count("\n"+r.log.String(), "\n::"); n != 1 {
				t.Errorf("%d workflow commands; want one annotation", n)
			}
		})
	}
}

// wantVariables reads a file of the runner's and compares it with what was to
// be written.
func wantVariables(t *testing.T, text string, want []report.Setting) {
	t.Helper()
	got, err := readCommandFile(text)
	if err != nil {
		t.Fatalf("the runner would refuse %q: %v", text, err)
	}
	want = slices.Clone(want)
	for i := range want {
		want[i].Why = ""
	}
	if !slices.Equal(got, want) {
		t.Errorf("the runner reads %q; want %q", got, want)
	}
}

func TestPublishInvalid(t *testing.T) {
	r := newRunner(t, GitHub)
	rep := &report.Report{Outcome: report.Invalid, Summary: "the policy has mistakes", Outputs: []report.Setting{{Name: "reason", Value: "invalid"}}}
	for i := range 12 {
		rep.Findings = append(rep.Findings, report.Finding{ID: "policy", Severity: report.Error, Title: "Policy", Message: "unknown key", Place: report.Place{File: "p.yaml", Line: i + 1}})
	}
	if err := r.Publish(t.Context(), rep, PublishOptions{TableShown: true}); err != nil {
		t.Fatal(err)
	}
	if n := strings.Count(r.log.String(), "::error file=p.yaml,line="); n != 10 {
		t.Errorf("%d annotations; want each mistake in its place, as many as the runner takes", n)
	}
}

// TestPublishNothing shows when a run leaves no variable behind.
func TestPublishNothing(t *testing.T) {
	for _, outcome := range []report.Outcome{report.Kept, report.Exhausted, report.Invalid} {
		t.Run(string(outcome), func(t *testing.T) {
			r := newRunner(t, GitHub)
			rep := fallback()
			rep.Outcome = outcome
			if err := r.Publish(t.Context(), rep, PublishOptions{}); err != nil {
				t.Fatal(err)
			}
			if env := r.read(t, "env"); env != "" {
				t.Errorf("exported %q; want nothing", env)
			}
			wantVariables(t, r.read(t, "output"), rep.Outputs)
		})
	}
}

// TestPublishAllOrNothing breaks a run in each way that can be foreseen. What
// stood in the files before must stand there afterwards, and nothing else.
func TestPublishAllOrNothing(t *testing.T) {
	value := func(list *[]report.Setting, s report.Setting) func(*testing.T, *runner, *report.Report) {
		return func(_ *testing.T, _ *runner, rep *report.Report) {
			if list == nil {
				rep.Settings = append(rep.Settings, s)
			} else {
				rep.Outputs = append(rep.Outputs, s)
			}
		}
	}
	outputs := new([]report.Setting)
	for _, tt := range []struct {
		name   string
		break_ func(*testing.T, *runner, *report.Report)
		want   string // part of the error
	}{
		{"line break in a setting", value(nil, report.Setting{Name: "A", Value: "x\ny"}), "A: the value has a line break"},
		{"carriage return in an output", value(outputs, report.Setting{Name: "a", Value: "x\ry"}), "a: the value has a line break"},
		{"NUL", value(nil, report.Setting{Name: "A", Value: "x\x00y"}), "NUL"},
		{"the library's delimiter", value(outputs, report.Setting{Name: "a", Value: delimiter}), "a: the value contains " + delimiter},
		{"not UTF-8", value(nil, report.Setting{Name: "A", Value: "x\xff"}), "UTF-8"},
		{"setting without a value", value(nil, report.Setting{Name: "A"}), "A: a variable without a value"},
		{"no variable's name", value(nil, report.Setting{Name: "A=B", Value: "x"}), `"A=B" is not a variable's name`},
		{"heredoc as a name", value(outputs, report.Setting{Name: "a<<E", Value: "x"}), `"a<<E" is not an output's name`},
		{"twice", value(nil, report.Setting{Name: "GOPROXY", Value: "off"}), "GOPROXY is set twice"},
		{"longer than a process takes", value(nil, report.Setting{Name: "A", Value: strings.Repeat("x", maxValue+1)}), "more than"},
		{"no file given", func(t *testing.T, r *runner, _ *report.Report) { delete(r.env, "GITHUB_ENV") }, "GITHUB_ENV is not set"},
		{"file not mounted", func(t *testing.T, r *runner, _ *report.Report) {
			r.env["GITHUB_OUTPUT"] = filepath.Join(r.dir, "not", "mounted")
		}, "GITHUB_OUTPUT: the runner's file can't be written"},
		{"a directory in place of the summary", func(t *testing.T, r *runner, _ *report.Report) { r.env["GITHUB_STEP_SUMMARY"] = r.dir }, "GITHUB_STEP_SUMMARY"},
		{"secret in a setting", func(t *testing.T, r *runner, rep *report.Report) {
			r.Mask("ci", "s3cret-token")
			rep.Settings = append(rep.Settings, report.Setting{Name: "A", Value: "https://ci:s3cret-token@x.example.com"})
		}, "the value of A contains a masked secret"},
		{"secret in an output, percent-encoded", func(t *testing.T, r *runner, rep *report.Report) {
			r.Mask("ci", "s3cret/token")
			rep.Outputs = append(rep.Outputs, report.Setting{Name: "a", Value: "ci:s3cret%2Ftoken@"})
		}, "the value of a contains a masked secret"},
		{"broken pipe after the files were written", func(t *testing.T, r *runner, _ *report.Report) { r.host.Stderr = failingWriter{} }, "broken pipe"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRunner(t, GitHub)
			for _, name := range []string{"env", "output", "summary"} {
				r.write(t, name, "EARLIER=1\n")
			}
			if _, err := r.place("file", "test", 0o700, 0o600, nil); err != nil {
				t.Fatal(err)
			}
			rep := fallback()
			tt.break_(t, r, rep)
			err := r.Publish(t.Context(), rep, PublishOptions{CheckRun: true})
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("Publish = %v; want an error with %q", err, tt.want)
			}
			for _, name := range []string{"env", "output", "summary"} {
				if got := r.read(t, name); got != "EARLIER=1\n" {
					t.Errorf("%s = %q; want it as before", name, got)
				}
			}
			if left, _ := os.ReadDir(filepath.Join(r.dir, "temp")); len(left) > 0 {
				t.Errorf("%s is left behind in the temporary directory", left[0].Name())
			}
			if len(r.api.asked) > 0 {
				t.Errorf("asked the API: %q", r.api.asked)
			}
		})
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("broken pipe") }

func TestPublishAfterAnOpenLine(t *testing.T) {
	r := newRunner(t, GitHub)
	r.write(t, "env", "EARLIER=1") // printf without a line's end
	if err := r.Publish(t.Context(), fallback(), PublishOptions{}); err != nil {
		t.Fatal(err)
	}
	wantVariables(t, r.read(t, "env"), append([]report.Setting{{Name: "EARLIER", Value: "1"}}, fallback().Settings...))
}

func TestPublishWithoutSummary(t *testing.T) {
	r := newRunner(t, Forgejo, "GITHUB_STEP_SUMMARY", "")
	if err := r.Publish(t.Context(), fallback(), PublishOptions{}); err != nil {
		t.Fatalf("Publish = %v; want the rest, as older runners have no summary", err)
	}
}

func TestPublishCheckRun(t *testing.T) {
	for _, tt := range []struct {
		name   string
		system System
		err    error
		want   string // in the log
	}{
		{"allowed", GitHub, nil, ""},
		{"not allowed", GitHub, fmt.Errorf("publishing: 403: %w", fs.ErrPermission), "checks: write"},
		{"broken", GitHub, errors.New("500\n::error::forged"), "notice: no check run: 500"},
		{"a forge without checks", Forgejo, fmt.Errorf("publishing: 404: %w", fs.ErrPermission), "checks: write"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRunner(t, tt.system)
			r.api.err = tt.err
			if err := r.Publish(t.Context(), fallback(), PublishOptions{CheckRun: true}); err != nil {
				t.Fatalf("Publish = %v; want success, a check run is an extra", err)
			}
			if want := []string{"check run acme/shop " + strings.Repeat("1", 40)}; !slices.Equal(r.api.asked, want) {
				t.Errorf("asked %q; want %q", r.api.asked, want)
			}
			log := r.log.String()
			if !strings.Contains(log, tt.want) || strings.Contains(log, "\n::error::") || tt.err == nil && strings.Contains(log, "no check run") {
				t.Errorf("log = %q; want %q and no forged command", log, tt.want)
			}
		})
	}
}

func TestPublishElsewhere(t *testing.T) {
	for _, system := range []System{GitLab, Jenkins, None} {
		t.Run(string(system), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // a section holds the time
				r := newRunner(t, system)
				rep := fallback()
				rep.Diagnosis = "corp (https://goproxy.corp.example.com) is to blame: its name resolves, but then: connection refused."
				if err := r.Publish(t.Context(), rep, PublishOptions{}); err != nil {
					t.Fatal(err)
				}
				golden(t, "testdata/publish-"+string(system)+".log", r.log.Bytes())
			})
		})
	}
}

func TestDotenvFindings(t *testing.T) {
	settings := []report.Setting{{Name: "GOPROXY", Value: "https://ours.example.com"}, {Name: "GOSUMDB", Value: "sum.golang.org"}}
	for _, tt := range []struct {
		name   string
		system System
		env    []string
		want   string // in the message; "" for no finding
	}{
		{"nothing set", GitLab, nil, ""},
		{"a variable of the project", GitLab, []string{"GOPROXY", "https://user:pw@theirs.example.com"}, "GOPROXY"},
		{"the same value", GitLab, []string{"GOPROXY", "https://ours.example.com"}, ""},
		{"perhaps an earlier report", GitLab, []string{"GOPROXY", "direct", "GOPROXY_RESULT_ENVIRONMENT_SOURCE", "match"}, ""},
		{"two of them", GitLab, []string{"GOPROXY", "direct", "GOSUMDB", "off"}, "GOPROXY, GOSUMDB"},
		{"elsewhere nothing outranks us", GitHub, []string{"GOPROXY", "direct"}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := newRunner(t, tt.system, tt.env...).DotenvFindings(settings)
			if len(got) == 0 && tt.want == "" {
				return
			}
			if len(got) != 1 || tt.want == "" || !strings.HasPrefix(got[0].Message, tt.want+" had") || strings.Contains(got[0].Message, "pw") {
				t.Errorf("DotenvFindings = %+v; want %q, without its value", got, tt.want)
			}
		})
	}
}

// A dotenv report of GitLab goes to other jobs, which don't have the files of
// this one; elsewhere such a file serves the job itself.
func TestDotenvLeavesOutFilesOfTheJob(t *testing.T) {
	rep := &report.Report{Outcome: report.OK, Settings: []report.Setting{{Name: "GOPROXY", Value: "https://ours.example.com"}, {Name: "NETRC", Value: "/job/netrc"}}}
	for system, kept := range map[System]bool{GitLab: false, Jenkins: true, None: true} {
		r := newRunner(t, system)
		if err := r.WriteFiles(rep, []Write{{render.Dotenv, "out.env"}}, render.Options{}); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(filepath.Join(r.dir, "work", "out.env"))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(data), "NETRC="); got != kept || !strings.Contains(string(data), "GOPROXY=") {
			t.Errorf("%s: %q; want NETRC in it: %v", system, data, kept)
		}
		if got := len(r.DotenvFindings(rep.Settings)) > 0; got == kept {
			t.Errorf("%s: a finding: %v", system, got)
		}
	}
}

// FuzzPublishLog puts one text in every place that people read. Nothing in the
// log may be a command but the one annotation.
func FuzzPublishLog(f *testing.F) {
	for _, text := range []string{"", "plain", "\n::error::x", "##[error]x", "x##vso[task.x]", "\r::error::x", "\u2028::x", "::", "a::b", " \t::warning::x",
		"\x1b[0Ksection_start:1:x\r", "100%0A::x", "file=x,line=1::y", "\u200b::x", "\xff", "#", "##", ":"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		for system, want := range map[System]int{GitHub: 1, GitLab: 0, Jenkins: 0} {
			r := newRunner(t, system)
			rep := fallback()
			rep.Summary, rep.Environment, rep.EnvironmentSource, rep.Version = text, text, text, text
			p, bad := &rep.Proxies[0], &rep.Findings[0]
			p.Name, p.URL, p.Use, p.Class, p.Cause, p.Next = text, text, text, text, text, text
			bad.ID, bad.Title, bad.Message, bad.Fix, bad.Place.File = text, text, text, text, text
			rep.Findings[1], rep.Diagnosis = *bad, text
			if err := r.Publish(t.Context(), rep, PublishOptions{}); err != nil {
				t.Fatal(err)
			}
			commands := 0
			for line := range strings.Lines(r.log.String()) {
				if system == GitLab && strings.HasPrefix(line, "\x1b[0Ksection_") {
					continue // ours, and their names and times are
				}
				command := strings.HasPrefix(strings.TrimSpace(line), "::")
				if command { // the runner looks for "##[" only where this is not so
					commands++
				}
				if !command && strings.Contains(line, "##[") || strings.ContainsAny(line, "\x1b\r") {
					t.Errorf("%s: line %q", system, line)
				}
			}
			if commands != want {
				t.Errorf("%s: %d commands in %q; want %d", system, commands, r.log.String(), want)
			}
		}
	})
}
