package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/ci"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/render"
	"github.com/org/goproxy-setup/internal/report"
)

func probeCommand() command {
	options := readingOptions()
	for i, o := range options {
		switch o.name {
		case "go-sum":
			options[i].usage = "preflight: ask the chain for every module of this go.sum file, in the\nway go would, instead of looking at each proxy."
		case "timeout":
			options[i].usage = "for all, or for each round (default 12s, with --go-sum 5m)."
		case "json":
			options[i].usage = "print the report as JSON."
		}
	}
	return command{
		name: "probe", summary: "look at module proxies, or at what a chain does with a go.sum",
		usage: "[NAME|URL…]",
		mixed: true,
		help: `Without --go-sum it asks each proxy in grades, from its name to a signed record
of the checksum database, and shows every phase with its time. With it, nothing
is built, and yet known what a build would come to: missing modules, refused
zips, hosts that zips come from.

Names are those of the policy and of the catalogue. Without any, the policy's
chain is asked; without a policy file, the GOPROXY that is set.

Names of modules that are not known to be public go to no proxy that is not
marked private; they are shown before anything is asked.

Exit codes: 0 all usable, 1 some proxy or module is not, 2 wrong options or
files, 3 could not run.`,
		options: append(options,
			option{name: "ask-all", usage: "with --go-sum, tell every proxy every name that no pattern covers."},
			option{name: "watch", usage: "go on asking until interrupted, and show what changes."},
			option{name: "interval", arg: "DURATION", usage: "between the rounds of --watch (default 5s)."},
			option{name: "count", arg: "N", usage: "end --watch after N rounds."},
			option{name: "credential-host", arg: "NAME=HOST", repeat: true, usage: "let the secret ${NAME} of the policy be sent to HOST; may be repeated."},
			option{name: "credentials", arg: "NAME=VALUE", repeat: true, hidden: true, usage: "secrets for the policy's ${NAME}, one a line; variables of their own serve as well."},
			option{name: "github-token", arg: "TOKEN", hidden: true, usage: "for the policy of a pull request's base (default GITHUB_TOKEN)."},
		),
		run: runProbe,
	}
}

// A look is one run of the command.
type look struct {
	*setup
	json     bool
	watch    bool
	askAll   bool
	timeout  time.Duration // of a round
	interval time.Duration
	count    int // rounds, 0 is no end

	sums *checksum.GoSum // the build's, whose modules proxies are asked for; nil without one
}

func runProbe(ctx context.Context, c *call) (int, error) {
	l, err := newLook(c)
	if err != nil {
		return ExitUsage, err
	}
	in, err := l.input(ctx)
	if err != nil {
		return ExitFailed, lookError(err)
	}
	if len(in.Settings.Proxies()) == 0 {
		return ExitUsage, usagef("name proxies, as in \"goproxy-setup probe official\"", "there is no module proxy to ask")
	}
	if l.text("go-sum") != "" {
		return l.goSumOf(ctx, in)
	}
	return l.rounds(ctx, in)
}

func newLook(c *call) (*look, error) {
	l := &look{}
	var err error
	for _, o := range []struct {
		name string
		into *bool
	}{{"json", &l.json}, {"watch", &l.watch}, {"ask-all", &l.askAll}} {
		if *o.into, err = c.on(o.name); err != nil {
			return nil, err
		}
	}
	usual := 12 * time.Second
	if c.text("go-sum") != "" {
		usual = preflightBudget
	}
	if l.timeout, err = c.duration("timeout", 100*time.Millisecond, usual, time.Hour); err != nil {
		return nil, err
	}
	if l.interval, err = c.duration("interval", 100*time.Millisecond, 5*time.Second, 24*time.Hour); err != nil {
		return nil, err
	}
	if l.count, err = c.number("count", 1, 0, 1<<30); err != nil {
		return nil, err
	}
	if (c.text("interval") != "" || l.count != 0) && !l.watch {
		return nil, usagef("add --watch", "--interval and --count are for --watch")
	}
	if l.watch && c.text("go-sum") != "" {
		return nil, usagef("leave out one of them", "a preflight (--go-sum) is made once, and --watch has no end")
	}
	if l.askAll && c.text("go-sum") == "" {
		return nil, usagef("add --go-sum go.sum", "--ask-all is for the preflight")
	}
	if l.setup, err = openSetup(c); err != nil {
		return nil, err
	}
	if l.only, err = named(c); err != nil {
		return nil, err
	}
	l.deadline = time.Now().Add(l.timeout)
	return l, nil
}

// named returns the proxies that the arguments name, of which each may be a
// list as in GOPROXY.
func named(c *call) ([]string, error) {
	var list []string
	for _, arg := range c.args {
		for name := range strings.FieldsFuncSeq(arg, func(r rune) bool { return r == ',' || r == '|' }) {
			if name = strings.TrimSpace(name); name != "" {
				list = append(list, name)
			}
		}
	}
	switch {
	case len(c.args) > 0 && len(list) == 0:
		return nil, usagef("name a proxy, or write its URL", "an empty argument names no proxy")
	case len(list) > maxNamed:
		return nil, usagef("", "more than %d proxies", maxNamed)
	case len(list) > 0 && c.text("chain") != "":
		return nil, usagef("leave out one of them", "proxies are named both by arguments and by %s", c.from("chain"))
	}
	return list, nil
}

// maxNamed bounds the proxies of one call.
const maxNamed = 64

// lookError marks what the caller has to mend.
func lookError(err error) error {
	if _, ok := errors.AsType[*usageError](err); !ok {
		return asUsage(err)
	}
	return err
}

// rounds asks the proxies, once or again and again.
func (l *look) rounds(ctx context.Context, in *decision.Input) (int, error) {
	exit, drawn := ExitFailed, 0
	var before []report.Proxy
	for round := 1; ; round++ {
		r, err := l.round(ctx, in, round == 1)
		if err != nil {
			if before != nil { // the last whole round counts
				return exit, nil
			}
			return ExitFailed, err
		}
		exit = ExitOK
		if r.Outcome != report.OK {
			exit = ExitNo
		}
		if drawn, err = l.show(r, before, drawn); err != nil {
			return ExitFailed, err
		}
		before = r.Proxies
		if !l.watch || round == l.count {
			return exit, nil
		}
		select {
		case <-time.After(l.interval):
		case <-ctx.Done():
			return exit, nil
		}
	}
}

// round asks every proxy once. The error is that of an interrupt.
func (l *look) round(ctx context.Context, in *decision.Input, first bool) (*report.Report, error) {
	l.deadline = time.Now().Add(l.timeout)
	cfg := l.probeConfig(ctx, in)
	if l.live = first; first {
		l.sums = l.goSum()
	}
	cfg.GoSum = l.sums
	l.ask(ctx, in, cfg)
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	r := l.newReport()
	r.Proxies = decision.Judge(in)
	r.Outcome, r.Summary = verdictOn(r.Proxies)
	return l.job.Clean(r)
}

// newReport returns a report with what all of them have in common. Whoever
// looks at proxies by hand needs no word about a missing policy.
func (l *look) newReport() *report.Report {
	r := &report.Report{Schema: report.Schema, Command: "probe", Outcome: report.OK}
	r.Version, _ = build()
	r.Findings = slices.DeleteFunc(slices.Clone(l.findings), func(f report.Finding) bool {
		return f.ID == "no-policy" || f.ID == "environment-unknown"
	})
	report.SortFindings(r.Findings)
	return r
}

// verdictOn sums up what was found.
func verdictOn(proxies []report.Proxy) (report.Outcome, string) {
	var bad, weak []string
	n := 0
	for _, p := range proxies {
		if p.State == report.Unasked {
			continue
		}
		n++
		switch p.State {
		case report.Usable:
		case report.Degraded:
			weak = append(weak, p.Name)
		default:
			bad = append(bad, p.Name)
		}
	}
	switch {
	case len(bad) == 0 && n == 1 && weak != nil:
		return report.OK, "The proxy is usable, but not for everything."
	case len(bad) == 0 && weak != nil:
		return report.OK, fmt.Sprintf("All %d proxies are usable, but not for everything: %s.", n, strings.Join(weak, ", "))
	case len(bad) == 0 && n == 1:
		return report.OK, "The proxy is usable."
	case len(bad) == 0:
		return report.OK, fmt.Sprintf("All %d proxies are usable.", n)
	case n == 1:
		return report.Incomplete, "The proxy is not usable."
	case len(bad) == n:
		return report.Incomplete, fmt.Sprintf("None of %d proxies is usable.", n)
	}
	return report.Incomplete, fmt.Sprintf("%d of %d proxies not usable: %s.", len(bad), n, strings.Join(bad, ", "))
}

// show writes one round. On a terminal a round takes the place of the one
// before, which had drawn lines; elsewhere only what has changed is told.
func (l *look) show(r *report.Report, before []report.Proxy, drawn int) (int, error) {
	if l.json || before == nil || l.Width > 0 {
		out, err := l.rendered(r)
		if err != nil {
			return 0, err
		}
		if drawn > 0 && l.Width > 0 && !l.json {
			out = append(fmt.Appendf(nil, "\x1b[%dA\r\x1b[J", drawn), out...)
		}
		_, err = l.Stdout.Write(out)
		return strings.Count(string(out), "\n"), err
	}
	for i, p := range r.Proxies {
		was := before[i]
		if was.State == p.State && was.Class == p.Class {
			continue
		}
		line := fmt.Sprintf("%s  %s: %s, now %s", time.Now().Format(time.TimeOnly), p.Name, state(was), state(p))
		if p.Cause != "" {
			line += ": " + p.Cause
		}
		if _, err := io.WriteString(l.Stdout, render.LogLine(line)+"\n"); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

func state(p report.Proxy) string {
	if p.Class == "" {
		return string(p.State)
	}
	return fmt.Sprintf("%s (%s)", p.State, p.Class)
}

// rendered returns what stdout carries.
func (l *look) rendered(r *report.Report) ([]byte, error) {
	kind := render.Table
	if l.json {
		kind = render.JSON
	}
	opt := render.Options{Width: l.Width, Color: l.Width > 0 && l.Getenv("NO_COLOR") == "" && l.Getenv("TERM") != "dumb"}
	if l.Width == 0 {
		opt.Width = ci.LogWidth
	}
	return render.Render(kind, r, opt)
}

// goSumOf asks the chain for every module of go.sum, and shows what it has.
func (l *look) goSumOf(ctx context.Context, in *decision.Input) (int, error) {
	sums, file, err := l.readGoSum()
	if errors.Is(err, fs.ErrNotExist) {
		return ExitUsage, usagef("name the go.sum of the build", "%s: %s does not exist", l.from("go-sum"), file)
	}
	if err != nil {
		return ExitUsage, goSumError(err)
	}
	chain, err := l.chainOf(in)
	if err != nil {
		return ExitUsage, err
	}
	cfg := l.preflightConfig(ctx, in, chain, sums, file, l.askAll)
	cfg.Budget = l.timeout
	p, err := l.fly(ctx, cfg)
	if err != nil {
		return ExitFailed, err
	}
	r := l.newReport()
	r.Preflight = p
	r.Findings = append(r.Findings, decision.PreflightFindings(p)...)
	report.SortFindings(r.Findings)
	exit := ExitOK
	if r.Summary = decision.PreflightSummary(p); !decision.PreflightHolds(p) {
		r.Outcome, exit = report.Incomplete, ExitNo
	}
	if r, err = l.job.Clean(r); err != nil {
		return ExitFailed, err
	}
	out, err := l.rendered(r)
	if err == nil {
		_, err = l.Stdout.Write(out)
	}
	return exit, err
}
