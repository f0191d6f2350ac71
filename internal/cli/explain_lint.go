package cli

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/ci"
	"github.com/org/goproxy-setup/internal/lint"
	"github.com/org/goproxy-setup/internal/render"
	"github.com/org/goproxy-setup/internal/report"
)

// lint checks the settings. An error among the findings is exit 1.
func (x *explaining) lint(ctx context.Context) (int, error) {
	var writes []ci.Write
	for _, text := range x.all("write") {
		w, err := ci.ParseWrite(text)
		if err == nil && !slices.Contains([]render.Kind{render.SARIF, render.CodeQuality, render.WarningsNG, render.JSON, render.Markdown}, w.Kind) {
			err = fmt.Errorf("%s has no room for findings (write sarif, codequality, warnings-ng, json or markdown)", w.Kind)
		}
		if err != nil {
			return ExitUsage, usagef("", "%s: %w", x.from("write"), err)
		}
		writes = append(writes, w)
	}
	asJSON, err := x.on("json")
	if err != nil {
		return ExitUsage, err
	}
	r := x.lintReport(ctx)
	if err := x.job.WriteFiles(r, writes, render.Options{}); err != nil {
		return ExitFailed, err
	}
	exit := ExitOK
	if len(r.Findings) > 0 && r.Findings[0].Severity == report.Error {
		exit = ExitNo
	}
	var out []byte
	if asJSON {
		out, err = render.Render(render.JSON, r, render.Options{})
	} else {
		out = lintDocument(r).Text(x.screen())
	}
	if err == nil {
		_, err = x.Stdout.Write(out)
	}
	return exit, err
}

// lintReport runs the rules. The title of each finding begins with its ID.
func (x *explaining) lintReport(ctx context.Context) *report.Report {
	in := lint.Input{
		Sources: x.Sources, Netrc: x.Netrc, NetrcName: x.NetrcName,
		Lines: x.Main.Lines, GoAt: x.Main.GoAt, ToolchainAt: x.Main.ToolchainAt, InPath: inPath,
	}
	if x.LookupEnv != nil {
		in.Present = func(name string) bool { _, ok := x.LookupEnv(name); return ok }
	}
	_, in.HaveGo = installedGo(ctx, x.Dir, "local")
	r := &report.Report{Schema: report.Schema, Command: "explain --lint", Outcome: report.OK}
	r.Version, _ = build()
	count := map[report.Severity]int{}
	for _, err := range x.mistakes {
		f := report.Finding{ID: "unreadable", Severity: report.Error, Title: "A file that cannot be read", Message: firstLine(err)}
		if u, ok := errors.AsType[*usageError](err); ok {
			f.Fix = u.hint
		}
		count[f.Severity]++
		r.Findings = append(r.Findings, f)
	}
	for _, f := range lint.Check(in) {
		one := f.Report(render.ShellWord)
		count[one.Severity]++
		r.Findings = append(r.Findings, one)
	}
	if count[report.Error] > 0 {
		r.Outcome = report.Invalid
	}
	r.Summary = summary(count)
	return r
}

// summary counts the findings in a sentence.
func summary(count map[report.Severity]int) string {
	var parts []string
	for _, s := range []report.Severity{report.Error, report.Warning, report.Notice} {
		switch n := count[s]; {
		case n == 1:
			parts = append(parts, "1 "+string(s))
		case n > 1:
			parts = append(parts, fmt.Sprintf("%d %ss", n, s))
		}
	}
	if parts == nil {
		return fmt.Sprintf("Nothing is wrong with these settings, by %d rules.", len(lint.Rules()))
	}
	return strings.Join(parts, ", ") + "; docs/lint.md says more about each."
}

// lintDocument shows the findings for people, each with its ID.
func lintDocument(r *report.Report) render.Document {
	shown := slices.Clone(r.Findings)
	for i := range shown {
		shown[i].Title = shown[i].ID + ": " + shown[i].Title
	}
	return render.Document{Blocks: []render.Block{{Findings: shown}, {Text: []string{r.Summary}}}}
}
