package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/ci"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/github"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/render"
	"github.com/org/goproxy-setup/internal/report"
)

func setupCommand() command {
	return command{
		name: "setup", summary: "pick a module proxy chain that works, and export it",
		help: `Setup reads the policy for the environment's name, asks every module proxy of
its chain whether it really serves Go modules, and hands GOPROXY and its kin to
whatever runs next, by the means of the CI system. In a shell:

	eval "$(goproxy-setup setup --format shell)"

Without a policy file a GOPROXY that is already set is checked, reported and
left alone; otherwise the public chain is used.`,
		options: append(readingOptions(),
			option{name: "ci", arg: "SYSTEM", usage: "CI system: auto (the default), github, gitlab, jenkins, forgejo or none."},
			option{name: "format", arg: "FORMAT", usage: "what stdout carries: table (the default), shell, powershell, dotenv or json."},
			option{name: "write", arg: "KIND=PATH", repeat: true, usage: "also write a file; may be repeated. Kinds: dotenv, shell, powershell,\njson, markdown, codequality, junit, sarif, warnings-ng."},
			option{name: "agent", arg: "URL", usage: "point the build at the agent that runs there; if it does not serve, the chain\nis the fallback."},
			option{name: "override", usage: "replace a GOPROXY that is set although there is no policy file."},
			option{name: "strategy", arg: "STRATEGY", usage: "order or fastest, instead of the policy's."},
			option{name: "on-fallback", arg: "REACTION", usage: "notice, warn or fail, instead of the policy's."},
			option{name: "fallback-exit-code", arg: "N", usage: "exit with N after exporting a fallback chain, unless on_fallback\nis notice (default 0)."},
			option{name: "preflight", usage: "then ask the chain for every module of go.sum, and fail if one cannot\nbe had (adds up to 5m to the time, unless --timeout is given)."},
			option{name: "ask-all", usage: "let the preflight tell every proxy every name that no pattern covers."},
			option{name: "check-run", usage: "on GitHub, also publish a check run (needs \"checks: write\")."},
			option{name: "credential-host", arg: "NAME=HOST", repeat: true, usage: "let the secret ${NAME} of the policy be sent to HOST; may be repeated."},
			option{name: "allow-downgrade", usage: "permit \"sumdb: off\" in the policy."},
			option{name: "credentials", arg: "NAME=VALUE", repeat: true, hidden: true, usage: "secrets for the policy's ${NAME}, one a line; variables of their own serve as well."},
			option{name: "github-token", arg: "TOKEN", hidden: true, usage: "for the job's environment and the policy of a pull request's base (default GITHUB_TOKEN)."},
			option{name: "check-run-id", arg: "ID", hidden: true, usage: "the job's own check run, which tells its environment."},
			option{name: "runner-temp", arg: "host:DIR", hidden: true, usage: "the runner's temporary directory as later steps see it."},
			option{name: "job-container", arg: "ID", hidden: true, usage: "the job's own container, in which later steps see other paths."},
		),
		run:    runSetup,
		failed: setupFailed,
	}
}

// setupFailed keeps the promise that a script which evaluates our output stops
// when we fail.
func setupFailed(c *call, exit int) {
	switch format(c) {
	case render.Shell:
		c.Stdout.Write(render.ShellFailure(exit))
	case render.PowerShell:
		c.Stdout.Write(render.PowerShellFailure(exit))
	}
}

// format returns what stdout carries. It guesses if the options were not
// understood.
func format(c *call) render.Kind {
	if c.values != nil {
		if c.text("json") == "true" {
			return render.JSON
		}
		return render.Kind(c.text("format"))
	}
	for i, arg := range c.Args {
		name, value, joined := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		if name != "format" || !strings.HasPrefix(arg, "-") {
			continue
		}
		if !joined && i+1 < len(c.Args) {
			value = c.Args[i+1]
		}
		return render.Kind(value)
	}
	return render.Kind(c.Getenv("GOPROXY_SETUP_FORMAT"))
}

// A setup is one run of the command.
type setup struct {
	*call
	job    *ci.Job
	format render.Kind
	writes []ci.Write

	override, allowDowngrade, checkRun bool
	preflight, askAll                  bool
	fallbackExit                       int
	onFallback, strategy               string
	deadline                           time.Time
	only                               []string // what to look at instead of a chain, by "probe"
	live                               bool     // draw a table while proxies are asked

	findings []report.Finding // beside those of the decision
	creds    credentials
	cas      authorities

	sums     *checksum.GoSum // once sumsRead is set; nil if there is none
	sumsRead bool
}

func runSetup(ctx context.Context, c *call) (int, error) {
	s, err := newSetup(c)
	if err != nil {
		return ExitUsage, err
	}
	s.addDefaultReport()
	in, err := s.input(ctx)
	if err != nil {
		return ExitFailed, s.invalid(ctx, err)
	}
	d := s.probe(ctx, in)
	if ctx.Err() != nil {
		return ExitFailed, context.Cause(ctx)
	}
	if s.preflight {
		if err := s.preflightOf(ctx, in, &d); err != nil {
			return ExitFailed, err
		}
		d = decision.Decide(*in)
	}
	r, err := s.report(in, &d)
	if err != nil {
		return ExitFailed, err
	}
	exit := s.exit(in, &d)
	if err := s.publish(ctx, r, exit); err != nil {
		return ExitFailed, err
	}
	return exit, nil
}

// openSetup finds out where the program runs.
func openSetup(c *call) (*setup, error) {
	s := &setup{call: c, live: true}
	system, err := ci.Parse(c.text("ci"), c.Getenv)
	if err != nil {
		return nil, usagef("", "%s: %w", c.from("ci"), err)
	}
	if dir := c.text("working-directory"); dir != "" {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(c.Dir, dir)
		}
		c.Dir = dir
	}
	s.job = openJob(system, c.Host)
	s.findings = append(s.findings, s.job.Findings...)
	return s, nil
}

// newSetup reads the options that need no policy.
func newSetup(c *call) (s *setup, err error) {
	if s, err = openSetup(c); err != nil {
		return nil, err
	}
	var name string
	if name, err = c.choice("format", "table", "shell", "powershell", "dotenv", "json"); err != nil {
		return nil, err
	}
	if s.format = render.Kind(name); format(c) == render.JSON {
		s.format = render.JSON
	}
	for _, text := range c.all("write") {
		w, err := ci.ParseWrite(text)
		if err != nil {
			return nil, usagef("", "%s: %w", c.from("write"), err)
		}
		s.writes = append(s.writes, w)
	}
	timeout, err := c.duration("timeout", 100*time.Millisecond, 12*time.Second, 10*time.Minute)
	if err != nil {
		return nil, err
	}
	s.deadline = time.Now().Add(timeout)
	return s, s.rules()
}

// openJob reads what the host says about the CI job.
func openJob(system ci.System, h Host) *ci.Job {
	return ci.Open(system, ci.Host{
		Getenv: h.Getenv, ReadFile: os.ReadFile, Stat: os.Stat, Stderr: h.Stderr, Dir: h.Dir, TempDir: h.TempDir, PID: os.Getpid(),
		API: func(base, token string) (ci.API, error) { return github.New(base, token) },
	})
}

// rules reads the options that change a rule of the policy or of the outcome.
func (s *setup) rules() (err error) {
	for _, o := range []struct {
		name string
		into *bool
	}{{"override", &s.override}, {"allow-downgrade", &s.allowDowngrade}, {"check-run", &s.checkRun}, {"preflight", &s.preflight}, {"ask-all", &s.askAll}} {
		if *o.into, err = s.on(o.name); err != nil {
			return err
		}
	}
	if s.fallbackExit, err = s.number("fallback-exit-code", 0, 0, 125); err != nil {
		return err
	}
	if s.onFallback, err = s.choice("on-fallback", "", "notice", "warn", "fail"); err != nil {
		return err
	}
	s.strategy, err = s.choice("strategy", "", "order", "fastest")
	return err
}

// exit returns the exit code that the decision calls for. A fallback that is
// worth a notice only has none of its own.
func (s *setup) exit(in *decision.Input, d *decision.Decision) int {
	fallback := d.Outcome == report.Fallback || d.Outcome == report.Kept && in.Keep && in.Agent != nil
	switch {
	case nothing(d):
		return ExitNo
	case fallback && in.Settings.OnFallback != policy.FallbackNotice:
		return s.fallbackExit
	}
	return ExitOK
}

// nothing reports whether there is nothing that a build could go on with.
func nothing(d *decision.Decision) bool {
	return d.Outcome == report.Exhausted || d.Outcome == report.Incomplete || d.Outcome == report.Fallback && len(d.Settings) == 0
}

// invalid shows the mistakes of a policy on the build's page, each in its
// place, and returns err.
func (s *setup) invalid(ctx context.Context, err error) error {
	r := &report.Report{Schema: report.Schema, Command: "setup", Outcome: report.Invalid, Summary: "The policy is not valid; nothing was exported."}
	r.Version, _ = build()
	if list, ok := errors.AsType[policy.Errors](err); ok {
		r.Findings = list.Findings()
	} else if one, ok := errors.AsType[*policy.Error](err); ok {
		r.Findings = []report.Finding{one.Finding()}
	}
	if r.Findings == nil {
		return err
	}
	r.Findings = append(r.Findings, s.findings...)
	for i, f := range r.Findings {
		if strings.HasPrefix(f.Place.File, "--") { // an option is no file to annotate
			r.Findings[i].Message, r.Findings[i].Place = f.Place.File+": "+f.Message, report.Place{}
		}
	}
	usage, ok := errors.AsType[*usageError](err)
	if !ok {
		usage = &usageError{err: err}
	}
	return errors.Join(usage, s.job.Publish(ctx, r, ci.PublishOptions{TableShown: true}))
}

// report completes the decision's report by what only this run knows.
func (s *setup) report(in *decision.Input, d *decision.Decision) (*report.Report, error) {
	r := d.Report(in)
	r.Version, _ = build()
	r.Findings = append(r.Findings, s.findings...)
	var err error
	if r.Replay, err = json.Marshal(in); err != nil {
		return nil, err
	}
	if len(r.Settings) > 0 {
		if err := s.place(in, r); err != nil {
			return nil, err
		}
	}
	if slices.ContainsFunc(s.writes, func(w ci.Write) bool { return w.Kind == render.Dotenv }) {
		r.Findings = append(r.Findings, s.job.DotenvFindings(r.Settings)...)
	}
	report.SortFindings(r.Findings)
	s.outputs(in, d, r)
	return r, nil
}

// outputs fills in the step's results; their names are those in action.yml.
func (s *setup) outputs(in *decision.Input, d *decision.Decision, r *report.Report) {
	add := func(name, value string) { r.Outputs = append(r.Outputs, report.Setting{Name: name, Value: value}) }
	inForce := map[string]string{
		"GOPROXY": in.Inherited.GOPROXY, "GOPRIVATE": in.Inherited.GOPRIVATE, "GONOPROXY": in.Inherited.GONOPROXY,
		"GONOSUMDB": in.Inherited.GONOSUMDB, "GOSUMDB": in.Inherited.GOSUMDB, "NO_PROXY": in.Inherited.NoProxy,
	}
	for _, v := range r.Settings {
		inForce[v.Name] = v.Value
	}
	if nothing(d) {
		clear(inForce) // what is in force is nothing to go on with
	}
	for _, v := range []struct{ output, variable string }{
		{"goproxy", "GOPROXY"}, {"goprivate", "GOPRIVATE"}, {"gonoproxy", "GONOPROXY"}, {"gonosumdb", "GONOSUMDB"},
		{"gosumdb", "GOSUMDB"}, {"https-proxy", "HTTPS_PROXY"}, {"no-proxy", "NO_PROXY"},
	} {
		add(v.output, inForce[v.variable])
	}
	add("environment", in.Settings.Environment)
	add("environment-source", in.Settings.Source)
	add("primary", d.Primary)
	add("selected", d.Selected)
	add("fallback-used", strconv.FormatBool(d.Outcome == report.Fallback))
	add("unhealthy", strings.Join(d.Unhealthy, ","))
	add("reason", r.Summary)
	add("report", s.reportPath())
}

// reportPath returns where the JSON report is written, relative to the
// workspace if it lies there, "" if it is not written.
func (s *setup) reportPath() string {
	for _, w := range s.writes {
		if w.Kind != render.JSON {
			continue
		}
		file := w.Path
		if !filepath.IsAbs(file) {
			file = filepath.Join(s.Dir, file)
		}
		return relative(s.job.Workspace, file)
	}
	return ""
}

// publish hands the report to files, to the CI system and to stdout, in this
// order: variables are exported only when all else is in place.
func (s *setup) publish(ctx context.Context, r *report.Report, exit int) error {
	opt := render.Options{ExitCode: exit, Width: s.Width, Color: s.Width > 0 && s.Getenv("NO_COLOR") == "" && s.Getenv("TERM") != "dumb"}
	if s.Width == 0 && s.job.System != ci.None {
		opt.Width = ci.LogWidth
	}
	clean, err := s.job.Clean(r)
	if err != nil {
		return errors.Join(err, s.job.Discard())
	}
	out, err := render.Render(s.format, clean, opt)
	if err == nil {
		err = s.job.WriteFiles(r, s.writes, opt)
	}
	if err == nil {
		err = s.hideDefaultReport()
	}
	if err != nil {
		return errors.Join(err, s.job.Discard())
	}
	if err := s.job.Publish(ctx, r, ci.PublishOptions{CheckRun: s.checkRun, TableShown: s.format == render.Table, Width: s.ErrWidth}); err != nil {
		return err
	}
	if _, err := s.Stdout.Write(out); err != nil {
		return errors.Join(fmt.Errorf("writing to stdout: %w", err), s.job.Discard())
	}
	if s.Width > 0 && s.job.System == ci.None && s.format == render.Table && len(r.Settings) > 0 {
		fmt.Fprintln(s.Stderr, `hint: to use it in this shell: eval "$(goproxy-setup setup --format shell)"`)
	}
	return nil
}

// defaultReport is where the report of a GitHub or Forgejo step goes if nobody
// names a place, as its output has to name one.
const defaultReport = ".goproxy-setup/report.json"

// addDefaultReport asks for the report that the output "report" names.
func (s *setup) addDefaultReport() {
	if (s.job.System == ci.GitHub || s.job.System == ci.Forgejo) && s.reportPath() == "" {
		s.writes = append(s.writes, ci.Write{Kind: render.JSON, Path: filepath.Join(s.job.Workspace, filepath.FromSlash(defaultReport))})
	}
}

// hideDefaultReport makes git ignore the default report's folder, lest a build
// finds its work tree changed.
func (s *setup) hideDefaultReport() error {
	if s.reportPath() != defaultReport {
		return nil
	}
	root, err := os.OpenRoot(s.job.Workspace)
	if err != nil {
		return err
	}
	defer root.Close()
	return root.WriteFile(path.Join(path.Dir(defaultReport), ".gitignore"), []byte("*\n"), 0o644)
}
