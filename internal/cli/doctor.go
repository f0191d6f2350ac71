package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/ci"
	"github.com/org/goproxy-setup/internal/diagnose"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/render"
	"github.com/org/goproxy-setup/internal/report"
)

func doctorCommand() command {
	return command{
		name: "doctor", summary: "find what is broken on this machine, with its place and its fix",
		help: `Doctor reads Go's settings and where each comes from, asks every module proxy of
the chain in force, and looks at names, certificates, clocks, logins, git, PATH,
the module cache, CI files and go.work. It changes nothing and needs no root.
docs/doctor.md lists its checks. With --bisect it asks each layer for one module
version and names the one that is to blame.

Exit codes: 0 nothing is wrong, notices aside; 1 something is; 2 wrong options;
3 could not run.`,
		options: []option{
			{name: "bisect", arg: "MODULE@VERSION", usage: "ask the module cache, each proxy, the checksum database and version control\nfor the same files, and name the guilty one."},
			{name: "fix", usage: "mend what can be mended without a decision, after showing it; asks on a\nterminal."},
			{name: "yes", usage: "with --fix: do not ask."},
			{name: "chain", arg: "LIST", usage: "judge this GOPROXY, of names or URLs, instead of the one in force."},
			{name: "policy", arg: "FILE", usage: "policy file whose proxies LIST may name (default " + policy.FileName + ")."},
			{name: "go-sum", arg: "FILE", usage: "the build's go.sum, whose modules proxies are checked with (default go.sum)."},
			{name: "resolver", arg: "ADDRESS", repeat: true, usage: "also ask this name server for the proxies' hosts; may be repeated."},
			{name: "timeout", arg: "DURATION", usage: "for the whole (default 10s, with --bisect 1m)."},
			{name: "working-directory", arg: "DIR", usage: "folder that relative paths start from."},
			{name: "format", arg: "FORMAT", usage: "what stdout carries: table (the default), json, sarif, junit, markdown,\ncodequality or warnings-ng."},
			{name: "write", arg: "KIND=PATH", repeat: true, usage: "also write a file; may be repeated. Kinds: those of --format but table."},
			{name: "json", usage: "the same as --format json."},
		},
		run: runDoctor,
	}
}

// doctorForms are the forms that a diagnosis has; the others are for settings
// to be exported.
var doctorForms = []string{"table", "json", "sarif", "junit", "markdown", "codequality", "warnings-ng"}

// A doctor is one run of the command.
type doctor struct {
	*call
	job      *ci.Job
	format   render.Kind
	writes   []ci.Write
	fix, yes bool
	bisect   module.Version // zero if not asked for
	timeout  time.Duration
	config   diagnose.Config
	live     *live
}

func runDoctor(ctx context.Context, c *call) (int, error) {
	d, err := newDoctor(c)
	if err != nil {
		return ExitUsage, err
	}
	if err := d.read(ctx); err != nil {
		return ExitFailed, err
	}
	r := &report.Report{Schema: report.Schema, Command: "doctor", Outcome: report.OK}
	r.Version, _ = build()
	if d.bisect.Path != "" {
		bounded, cancel := context.WithTimeout(ctx, d.timeout)
		defer cancel()
		diagnose.Read(bounded, d.config).Bisect(bounded, d.bisect).Fill(r)
	} else if err := d.examine(ctx, r); err != nil {
		return ExitFailed, err
	}
	if ctx.Err() != nil {
		return ExitFailed, context.Cause(ctx)
	}
	if err := d.show(ctx, r); err != nil {
		return ExitFailed, err
	}
	if r.Outcome != report.OK {
		return ExitNo, nil
	}
	return ExitOK, nil
}

// newDoctor reads the options.
func newDoctor(c *call) (d *doctor, err error) {
	d = &doctor{call: c}
	if dir := c.text("working-directory"); dir != "" {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(c.Dir, dir)
		}
		c.Dir = dir
	}
	name, err := c.choice("format", doctorForms...)
	if err != nil {
		return nil, err
	}
	if d.format = render.Kind(name); c.text("json") == "true" {
		d.format = render.JSON
	}
	for _, text := range c.all("write") {
		w, err := ci.ParseWrite(text)
		if err == nil && !slices.Contains(doctorForms[1:], string(w.Kind)) {
			err = fmt.Errorf("%s is no form of a diagnosis (valid: %s)", w.Kind, strings.Join(doctorForms[1:], ", "))
		}
		if err != nil {
			return nil, usagef("", "%s: %w", c.from("write"), err)
		}
		d.writes = append(d.writes, w)
	}
	if d.fix, err = c.on("fix"); err != nil {
		return nil, err
	}
	if d.yes, err = c.on("yes"); err != nil {
		return nil, err
	}
	if d.yes && !d.fix {
		return nil, usagef("add --fix", "%s: there is nothing to say yes to", c.from("yes"))
	}
	if d.bisect, err = d.module(); err != nil {
		return nil, err
	}
	usual := 10 * time.Second
	if d.bisect.Path != "" {
		usual = time.Minute // zips may be large
	}
	if d.timeout, err = c.duration("timeout", time.Second, usual, 10*time.Minute); err != nil {
		return nil, err
	}
	if d.fix && d.bisect.Path != "" {
		return nil, usagef("give one of them", "--bisect mends nothing: it cannot be given with --fix")
	}
	return d, nil
}

// module reads the version that is to be bisected.
func (d *doctor) module() (module.Version, error) {
	text := d.text("bisect")
	if text == "" {
		return module.Version{}, nil
	}
	path, version, ok := strings.Cut(text, "@")
	if !ok || version == "" {
		return module.Version{}, usagef("write MODULE@VERSION, as in example.com/mod@v1.2.3", "%s: %q names no version", d.from("bisect"), text)
	}
	if err := module.Check(path, version); err != nil {
		return module.Version{}, usagef("give a whole version such as v1.2.3: \"go list -m MODULE@latest\" tells the latest", "%s: %w", d.from("bisect"), err)
	}
	return module.Version{Path: path, Version: version}, nil
}

// read gathers what the diagnosis depends on. It does not wait for a file
// system that hangs.
func (d *doctor) read(ctx context.Context) error {
	bounded, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	type end struct {
		err error
		bug any
	}
	ended := make(chan end, 1)
	go func() {
		var e end
		defer func() {
			e.bug = recover()
			ended <- e
		}()
		e.err = d.gather(bounded)
	}()
	select {
	case e := <-ended:
		if e.bug != nil {
			panic(e.bug) // where it is seen to
		}
		return e.err
	case <-bounded.Done():
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return fmt.Errorf("the policy file, go.sum and the file of \"go env -w\" could not be read within %s: a file system hangs, or --timeout is too short", d.timeout)
}

// gather reads the files that the options or the CI system name.
func (d *doctor) gather(ctx context.Context) error {
	d.job = openJob(ci.Detect(d.Getenv), d.Host)
	d.config = diagnose.Config{Getenv: d.Getenv, Environ: d.Environ, Dir: d.Dir, Home: d.Home}
	if d.job.PullRequest {
		d.config.Tree = d.job.Workspace
	}
	user, err := userEnv(d.Host)
	if d.config.User = user; err != nil {
		d.config.User.Data = nil // a check finds out why
	}
	if err := d.resolvers(); err != nil {
		return err
	}
	p, err := d.policy()
	if err != nil {
		return err
	}
	if list := d.text("chain"); list != "" {
		if err := d.chain(p, list); err != nil {
			return err
		}
	}
	if err := d.goSum(); err != nil {
		return err
	}
	d.config.Toolchain = toolchain(ctx, d.Host)
	return nil
}

// resolvers reads the addresses of name servers.
func (d *doctor) resolvers() error {
	for _, text := range d.all("resolver") {
		host, port, err := net.SplitHostPort(text)
		if err != nil {
			host, port = strings.Trim(text, "[]"), "53"
		}
		if net.ParseIP(host) == nil {
			return usagef("write an IP address, with a port if it is not 53", "%s: %q is no address of a name server", d.from("resolver"), text)
		}
		d.config.Resolvers = append(d.config.Resolvers, net.JoinHostPort(host, port))
	}
	return nil
}

// policy reads the repository's policy file. Its mistakes are findings, unless
// the caller has named it.
func (d *doctor) policy() (*policy.Policy, error) {
	file := d.text("policy")
	path := file
	if file == "" {
		path = filepath.Join(d.job.Workspace, policy.FileName)
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(d.Dir, path)
	}
	if name, inTree := within(d.job.Workspace, path); d.job.PullRequest && inTree {
		if err := noLink(d.job.Workspace, name); err != nil {
			return nil, err
		}
	}
	data, err := readFile(path, maxPolicy)
	switch {
	case errors.Is(err, fs.ErrNotExist) && file == "":
		return policy.BuiltIn(), nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, usagef("check the path", "%s: policy file %s does not exist", d.from("policy"), file)
	case err != nil && file != "":
		return nil, err
	}
	d.config.HasPolicy = true
	var p *policy.Policy
	if err == nil {
		p, err = policy.Parse(relative(d.job.Workspace, path), data)
	}
	if list, ok := errors.AsType[policy.Errors](err); ok {
		d.config.PolicyFile = list.Findings()
	} else if err != nil {
		d.config.PolicyFile = []report.Finding{{Severity: report.Error, Title: "Policy file", Message: err.Error(), Fix: "make it a file that can be read"}}
	}
	if p == nil {
		p = policy.BuiltIn()
	}
	return p, nil
}

// chain takes a list of names and URLs for the GOPROXY to judge. What stands
// between them is the caller's.
func (d *doctor) chain(p *policy.Policy, list string) error {
	named, err := policy.FromChain(list, p)
	if err != nil {
		return asUsage(err)
	}
	choice, err := named.Choose(policy.Facts{})
	if err != nil {
		return asUsage(err)
	}
	s, err := named.Settings(choice, d.Getenv)
	if err != nil {
		return asUsage(err)
	}
	value, rest := "", list
	for _, e := range s.Chain { // blanks aside, the entries are those of the list
		name := strings.TrimLeft(rest, ",| ")
		end := strings.IndexAny(name, ",|")
		if end < 0 {
			end = len(name)
		}
		entry := e.URL
		if e.Keyword() {
			entry = e.Name
		}
		if value += entry; end < len(name) {
			value += name[end : end+1]
		}
		rest = name[end:]
	}
	d.config.Policy = s
	d.config.Over = []goenv.Setting{{Name: "GOPROXY", Value: strings.TrimRight(value, ",|"), Origin: goenv.Origin(d.from("chain"))}}
	return nil
}

// goSum reads the build's go.sum. One that is broken is a finding, unless the
// caller has named it.
func (d *doctor) goSum() error {
	file := d.text("go-sum")
	path := file
	if file == "" {
		path = "go.sum"
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(d.Dir, path)
	}
	data, err := readFile(path, 8<<20)
	if err == nil {
		d.config.GoSum, err = checksum.ParseGoSum(relative(d.job.Workspace, path), data)
	}
	if err != nil && file != "" {
		return usagef("name a go.sum", "%s: %s", d.from("go-sum"), firstLine(err))
	}
	return nil
}

// examine makes the checks, and mends what it may.
func (d *doctor) examine(ctx context.Context, r *report.Report) error {
	bounded, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	m := diagnose.Read(bounded, d.config)
	d.live = newLive(d.Host, &m.Policy)
	m.Progress = d.live.show
	checks := diagnose.Checks()
	list := diagnose.Run(bounded, m, checks)
	d.live.done()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r.Proxies = m.Proxies(bounded)
	if d.fix {
		m = d.mend(ctx, m, list)
	}
	r.InForce = m.InForce()
	diagnose.Fill(r, list)
	r.Summary = "Nothing is wrong."
	if n := diagnose.Troubles(list); n > 0 {
		r.Outcome = report.Troubled
		if r.Summary = fmt.Sprintf("%d things are wrong.", n); n == 1 {
			r.Summary = "One thing is wrong."
		}
	}
	return nil
}

// show writes the report to files, to the CI system and to stdout.
func (d *doctor) show(ctx context.Context, r *report.Report) error {
	opt := render.Options{Width: d.Width, Color: d.Width > 0 && d.Getenv("NO_COLOR") == "" && d.Getenv("TERM") != "dumb"}
	if d.Width == 0 && d.job.System != ci.None {
		opt.Width = ci.LogWidth
	}
	clean, err := d.job.Clean(r)
	if err != nil {
		return err
	}
	out, err := render.Render(d.format, clean, opt)
	if err == nil {
		err = d.job.WriteFiles(r, d.writes, opt)
	}
	if err == nil && d.job.System != ci.None {
		err = d.job.Publish(ctx, r, ci.PublishOptions{TableShown: d.format == render.Table, Width: d.ErrWidth})
	}
	if err != nil {
		return err
	}
	if _, err := d.Stdout.Write(out); err != nil {
		return fmt.Errorf("writing to stdout: %w", err)
	}
	return nil
}
