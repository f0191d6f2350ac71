package render

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/org/goproxy-setup/internal/report"
)

// GitHub drops a job summary of more than 1 MiB. Each section has its part of
// that, so that a long one cannot push out those that follow.
const (
	summaryProxies  = 400 << 10
	summaryFindings = 600 << 10
	summaryModules  = 750 << 10
	summaryTables   = 850 << 10
	summaryDetails  = 1000 << 10
	summaryCell     = 1000 // characters of any one text

	summaryDiagnosis = 2000 // characters
)

// summary writes Markdown for a job summary or a comment: what happened in one
// sentence, the chain, a row for each proxy, then what to do and why.
func summary(r *report.Report, _ Options) ([]byte, error) {
	p := &page{}
	head := headline(r)
	fmt.Fprintf(p, "### %s %s\n\n", head.icon, head.text)
	if r.Summary != "" {
		fmt.Fprintf(p, "%s\n\n", short(r.Summary))
	}
	p.facts(r)
	p.proxies(r)
	p.findings(r)
	p.preflight(r)
	p.tables(r)
	p.settings(r)
	p.inForce(r)
	p.reasons(r)
	p.checks(r)
	p.diagnosis(r)
	if r.Version != "" {
		fmt.Fprintf(p, "<sub>goproxy-setup %s</sub>\n", markdownText(r.Version))
	}
	return []byte(strings.TrimRight(p.String(), "\n") + "\n"), nil
}

type heading struct{ icon, text string }

func headline(r *report.Report) heading {
	if r.Command == report.AgentCommand {
		return agentHeadline(r)
	}
	if r.Command == "doctor" && r.Outcome == report.OK {
		return heading{"✅", "Go modules: nothing is wrong"}
	}
	switch r.Outcome {
	case report.Troubled:
		return heading{"❌", "Go modules: something is wrong here"}
	case report.OK:
		return heading{"✅", "Go modules: the primary proxy is in use"}
	case report.Fallback:
		if !exports(r) {
			return heading{"❌", "Go modules: a fallback would be needed, and is not allowed"}
		}
		return heading{"⚠️", "Go modules: a fallback is in use"}
	case report.Kept:
		return heading{"ℹ️", "Go modules: existing settings were kept"}
	case report.Exhausted:
		return heading{"❌", "Go modules: no proxy is usable"}
	}
	if r.Outcome == report.Incomplete {
		return heading{"❌", "Go modules: modules of go.sum cannot be had"}
	}
	return heading{"❌", "Go modules: the settings are wrong"}
}

// A page is a Markdown document that grows to a limited length.
type page struct{ strings.Builder }

// rows writes one row for each of n things until the page has limit bytes, and
// then a line that says how many are missing.
func (p *page) rows(n, limit int, things string, row func(i int) string) {
	for i := range n {
		text := row(i)
		if p.Len()+len(text) > limit {
			fmt.Fprintf(p, "\n_… and %d more %s, left out here for want of space; the JSON report has all of them._\n", n-i, things)
			break
		}
		p.WriteString(text)
	}
	p.WriteString("\n")
}

// details opens a block that is closed until somebody clicks on it.
func (p *page) details(title string) {
	fmt.Fprintf(p, "<details>\n<summary>%s</summary>\n\n", title)
}

func (p *page) endDetails() { p.WriteString("</details>\n\n") }

// facts writes the values that people copy from the page.
func (p *page) facts(r *report.Report) {
	if v := goproxy(r); v != "" {
		fmt.Fprintf(p, "**GOPROXY** %s\n\n", code(v))
	}
	if r.Environment != "" {
		fmt.Fprintf(p, "**Environment** %s", code(r.Environment))
		if r.EnvironmentSource != "" {
			fmt.Fprintf(p, " (from %s)", short(r.EnvironmentSource))
		}
		p.WriteString("\n\n")
	}
}

var stateIcons = map[report.State]string{
	report.Usable: "✅", report.Degraded: "⚠️", report.Down: "❌", report.Unknown: "❔", report.Unasked: "➖",
}

func (p *page) proxies(r *report.Report) {
	if len(r.Proxies) == 0 {
		return
	}
	p.WriteString("| | Proxy | State | Time | What happened | Next step |\n| :-: | --- | --- | --: | --- | --- |\n")
	p.rows(len(r.Proxies), summaryProxies, "proxies", func(i int) string {
		x := r.Proxies[i]
		name := code(x.Name)
		if x.Use != "" {
			name += " " + short(x.Use)
		}
		state := short(string(x.State))
		if x.Class != "" {
			state += ": " + short(x.Class)
		}
		return tableRow(cmp.Or(stateIcons[x.State], "❔"), name, state, took(x.TookMS), short(x.Cause), short(x.Next))
	})
}

// findings lists errors and warnings in the open, notices behind a click.
func (p *page) findings(r *report.Report) {
	known := map[string]bool{} // next steps that the table has said
	for _, x := range r.Proxies {
		known[x.Next] = true
	}
	var loud, quiet []report.Finding
	for _, f := range untold(r) {
		if f.Severity == report.Notice {
			quiet = append(quiet, f)
		} else {
			loud = append(loud, f)
		}
	}
	list := func(all []report.Finding) {
		p.rows(len(all), summaryFindings, "findings", func(i int) string { return finding(all[i], known) })
	}
	if len(loud) > 0 {
		list(loud)
	}
	if len(quiet) > 0 {
		p.details(fmt.Sprintf("Notices (%d)", len(quiet)))
		list(quiet)
		p.endDetails()
	}
}

func finding(f report.Finding, known map[string]bool) string {
	icon := map[report.Severity]string{report.Error: "❌", report.Warning: "⚠️", report.Notice: "ℹ️"}[f.Severity]
	text := fmt.Sprintf("- %s **%s**", cmp.Or(icon, "⚠️"), short(f.Title))
	if f.Group != "" {
		text += " (" + short(f.Group) + ")"
	}
	if f.Place.File != "" {
		text += " at " + code(f.Place.String())
	}
	if f.Message != "" {
		text += "  \n  " + short(f.Message)
	}
	if f.Fix != "" && !known[f.Fix] {
		text += "  \n  **Next:** " + short(f.Fix)
	}
	return text + "\n"
}

func (p *page) settings(r *report.Report) {
	if !exports(r) {
		return
	}
	p.details(fmt.Sprintf("Exported settings (%d)", len(r.Settings)))
	p.WriteString("| Variable | Value | Why |\n| --- | --- | --- |\n")
	p.rows(len(r.Settings), summaryDetails, "settings", func(i int) string {
		s := r.Settings[i]
		return tableRow(code(s.Name), code(s.Value), short(s.Why))
	})
	p.endDetails()
}

// inForce shows the settings that a diagnosis found, and where each comes from.
func (p *page) inForce(r *report.Report) {
	if len(r.InForce) == 0 {
		return
	}
	p.details(fmt.Sprintf("Settings in force (%d)", len(r.InForce)))
	p.WriteString("| Variable | Value | From |\n| --- | --- | --- |\n")
	p.rows(len(r.InForce), summaryDetails, "settings", func(i int) string {
		s := r.InForce[i]
		return tableRow(code(s.Name), code(s.Value), short(s.Why))
	})
	p.endDetails()
}

func (p *page) reasons(r *report.Report) {
	if len(r.Reasons) == 0 {
		return
	}
	p.details("Why this result")
	p.rows(len(r.Reasons), summaryDetails, "reasons", func(i int) string {
		return fmt.Sprintf("%d. %s\n", i+1, short(r.Reasons[i]))
	})
	p.endDetails()
}

// checks shows each graded request, which a table of proxies has no room for.
func (p *page) checks(r *report.Report) {
	type row struct {
		proxy string
		check report.Check
	}
	var rows []row
	for _, x := range r.Proxies {
		for _, c := range x.Checks {
			rows = append(rows, row{x.Name, c})
		}
	}
	if len(rows) == 0 {
		return
	}
	p.details(fmt.Sprintf("Checks (%d)", len(rows)))
	p.WriteString("| Proxy | Check | | Time | Detail |\n| --- | --- | :-: | --: | --- |\n")
	p.rows(len(rows), summaryDetails, "checks", func(i int) string {
		c, icon := rows[i].check, "❌"
		if c.OK {
			icon = "✅"
		}
		return tableRow(code(rows[i].proxy), short(c.Name), icon, took(max(c.TookMS, 1)), short(c.Detail))
	})
	p.endDetails()
}

// diagnosis ends the page with the paragraph that says what is to blame.
func (p *page) diagnosis(r *report.Report) {
	if r.Diagnosis != "" {
		fmt.Fprintf(p, "**Diagnosis.** %s\n\n", markdownText(cut(r.Diagnosis, summaryDiagnosis)))
	}
}

func tableRow(cells ...string) string {
	for i, c := range cells {
		cells[i] = markdownCell(c)
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}

func short(s string) string { return markdownText(cut(s, summaryCell)) }
func code(s string) string  { return markdownCode(cut(s, summaryCell)) }

// took writes milliseconds for people; "" for 0, which is "not asked".
func took(ms int64) string {
	switch {
	case ms <= 0:
		return ""
	case ms < 1000:
		return fmt.Sprintf("%d ms", ms)
	case ms < 10_000:
		return fmt.Sprintf("%.1f s", float64(ms)/1000)
	}
	return fmt.Sprintf("%d s", (ms+500)/1000)
}
