package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"text/tabwriter"

	"github.com/org/goproxy-setup/internal/ci"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/render"
	"github.com/org/goproxy-setup/internal/report"
)

func policyCommand() command {
	return command{
		name: "policy", summary: "check a policy file, or show what it says about an environment",
		usage: "check [FILE] | show --environment NAME",
		help: `check reports every mistake with its place: exit 0 if there is none, 2 if there
are some. show prints the effective settings of an environment and the line
each of them comes from.`,
		options: []option{
			{name: "policy", arg: "FILE", usage: "policy file (default " + policy.FileName + ")."},
			{name: "environment", arg: "NAME", usage: "environment to show (default \"default\")."},
			{name: "chain", arg: "LIST", usage: "names or URLs of proxies, instead of the policy's chain."},
			{name: "private", arg: "PATTERNS", usage: "patterns of private modules, in addition to the policy's."},
			{name: "json", usage: "print JSON."},
		},
		run: runPolicy,
	}
}

func runPolicy(_ context.Context, c *call) (int, error) {
	if len(c.args) == 0 {
		return ExitUsage, usagef("write \"policy check\" or \"policy show\"", "policy: what to do is missing")
	}
	// Options may follow the verb, as people write them.
	verb := c.args[0]
	if err := c.after(policyCommand(), c.args[1:]); err != nil {
		return ExitOK, err
	}
	args := c.args
	switch {
	case verb == "check" && len(args) <= 1:
		return checkPolicy(c)
	case verb == "show" && len(args) == 0:
		return showPolicy(c)
	case verb == "check" || verb == "show":
		return ExitUsage, usagef("", "unexpected argument %q", args[len(args)-1])
	}
	return ExitUsage, usagef("write \"policy check\" or \"policy show\"", "policy: unknown verb %q", verb)
}

// policyFile reads and parses the file that the call names.
func policyFile(c *call, file string) (*policy.Policy, error) {
	if file == "" {
		if file = c.text("policy"); file == "" {
			file = policy.FileName
		}
	}
	path := file
	if !filepath.IsAbs(path) {
		path = filepath.Join(c.Dir, path)
	}
	job := openJob(ci.Detect(c.Getenv), c.Host)
	if name, inTree := within(job.Workspace, path); job.PullRequest && inTree {
		if err := noLink(job.Workspace, name); err != nil {
			return nil, err
		}
	}
	data, err := readFile(path, maxPolicy)
	if errors.Is(err, os.ErrNotExist) {
		return nil, usagef("name the file, or run in the folder where it is", "policy file %s does not exist", file)
	}
	if err != nil {
		return nil, err
	}
	return policy.Parse(filepath.ToSlash(file), data)
}

func checkPolicy(c *call) (int, error) {
	file := ""
	if len(c.args) > 0 {
		file = c.args[0]
	}
	p, err := policyFile(c, file)
	r := &report.Report{Schema: report.Schema, Command: "policy check", Outcome: report.OK}
	r.Version, _ = build()
	if errs, ok := errors.AsType[policy.Errors](err); ok {
		r.Outcome, r.Findings = report.Invalid, errs.Findings()
		if r.Summary = fmt.Sprintf("%d mistakes", len(errs)); len(errs) == 1 {
			r.Summary = "1 mistake"
		}
	} else if err != nil {
		return ExitFailed, err
	} else {
		r.Findings, r.Summary = p.Findings(), p.Name()+" is valid"
	}
	exit := ExitOK
	if r.Outcome == report.Invalid {
		exit = ExitUsage
	}
	json, err := c.on("json")
	if err != nil {
		return ExitUsage, err
	}
	if json {
		out, err := render.Render(render.JSON, r, render.Options{})
		if err == nil {
			_, err = c.Stdout.Write(out)
		}
		return exit, err
	}
	for _, f := range r.Findings {
		line := fmt.Sprintf("%s: %s", f.Place, f.Message)
		if f.Severity != report.Error {
			line = fmt.Sprintf("%s: %s: %s", f.Place, f.Severity, f.Message)
		}
		if f.Fix != "" {
			line += " (" + f.Fix + ")"
		}
		fmt.Fprintln(c.Stdout, render.LogLine(line))
	}
	_, err = fmt.Fprintln(c.Stdout, render.LogLine(r.Summary))
	return exit, err
}

func showPolicy(c *call) (int, error) {
	p, err := policyFile(c, "")
	if err != nil {
		return ExitFailed, asUsage(err)
	}
	s, err := settingsOf(c, p)
	if err != nil {
		return ExitUsage, err
	}
	json, err := c.on("json")
	if err != nil {
		return ExitUsage, err
	}
	if json {
		return ExitOK, writeJSON(c.Stdout, s)
	}
	w := tabwriter.NewWriter(c.Stdout, 0, 8, 2, ' ', 0)
	for _, row := range s.Rows() {
		place := row.Place.String()
		if place == "" {
			place = "default"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\n", render.LogLine(row.Key), render.LogLine(row.Value), render.LogLine(place))
	}
	return ExitOK, w.Flush()
}

// settingsOf returns the settings of the environment that the call names, with
// its --chain and --private.
func settingsOf(c *call, p *policy.Policy) (policy.Settings, error) {
	var err error
	if c.text("chain") != "" {
		p, err = policy.FromChain(c.text("chain"), p)
	}
	if err == nil && c.text("private") != "" {
		p, err = p.WithPrivate(c.text("private"))
	}
	if err != nil {
		return policy.Settings{}, asUsage(err)
	}
	facts := policy.Facts{}
	if name := c.text("environment"); name != "" {
		facts.Given = []policy.Named{{Name: name, Source: c.from("environment")}}
	}
	choice, err := p.Choose(facts)
	if err != nil {
		return policy.Settings{}, asUsage(err)
	}
	s, err := p.Settings(choice, c.Getenv)
	return s, asUsage(err)
}

// asUsage marks the mistakes of a policy as the caller's to mend.
func asUsage(err error) error {
	if errs, ok := errors.AsType[policy.Errors](err); ok {
		return &usageError{err: errs}
	}
	if e, ok := errors.AsType[*policy.Error](err); ok {
		return &usageError{e, "correct the name, or add the environment to the policy"}
	}
	return err
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
