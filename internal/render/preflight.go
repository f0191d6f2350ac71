package render

import (
	"fmt"
	"strings"

	"github.com/org/goproxy-setup/internal/report"
)

// mostModules is how many modules of a preflight a screen shows.
const mostModules = 50

// preflight writes what became of go.sum: a row for each proxy, then each
// module that cannot be had or that no proxy has.
func (w *screen) preflight(p *report.Preflight) {
	if p == nil {
		return
	}
	if w.Len() > 0 {
		w.WriteString("\n")
	}
	name := len("proxy")
	for _, x := range p.Proxies {
		name = max(name, columns(head(x.Name)))
	}
	w.line(fmt.Sprintf("%s  %7s  %7s  %7s  %7s  %7s", pad("proxy", name, false), "asked", "served", "missing", "refused", "failed"))
	for _, x := range p.Proxies {
		w.line(fmt.Sprintf("%s  %7d  %7d  %7d  %7d  %7d", pad(head(x.Name), name, false), x.Asked, x.Served, x.Missing, x.Refused, x.Failed))
	}
	for _, x := range p.Proxies {
		if len(x.Hosts) > 0 {
			w.text(fmt.Sprintf("zips of %s come from %s", x.Name, strings.Join(x.Hosts, ", ")), 0)
		}
		if x.GaveUp {
			w.text(fmt.Sprintf("%s was not asked for everything, after failures in a row: %s", x.Name, x.Cause), 0)
		}
		if x.Waited > 0 {
			w.text(fmt.Sprintf("%s limits requests: it was left alone for %s, as it asked", x.Name, took(x.Waited)), 0)
		}
	}
	shown := 0
	for _, m := range p.Notable {
		if m.Fate == report.FateWithheld {
			continue // named before anything was asked
		}
		if shown++; shown <= mostModules {
			w.module(m)
		}
	}
	if more := shown - mostModules + p.Omitted; shown > mostModules {
		w.line(fmt.Sprintf("and %d more; the JSON report lists them", more))
	}
}

// module writes one module that is not simply served.
func (w *screen) module(m report.PreflightModule) {
	state := report.Unknown
	if m.Fate.Failed() {
		state = report.Down
	}
	name := LogLine(m.Path + "@" + m.Version)
	if m.File != "" {
		name += "." + LogLine(m.File)
	}
	for i, line := range wrap(name+"  "+LogLine(string(m.Fate)), w.width-4) {
		if i == 0 {
			w.WriteString(w.mark(state) + " " + line + "\n")
			continue
		}
		w.line("    " + line)
	}
	w.text(m.Cause, 4)
}

// preflight writes the same for a page: the modules behind a click.
func (p *page) preflight(r *report.Report) {
	f := r.Preflight
	if f == nil {
		return
	}
	p.details(fmt.Sprintf("Preflight of %s: %d of %d modules served", markdownText(f.File), f.Served, f.Modules))
	p.WriteString("| Proxy | Files asked | Served | Missing | Refused | Failed | Zips from |\n| --- | --: | --: | --: | --: | --: | --- |\n")
	p.rows(len(f.Proxies), summaryModules, "proxies", func(i int) string {
		x := f.Proxies[i]
		n := func(n int) string { return fmt.Sprint(n) }
		return tableRow(code(x.Name), n(x.Asked), n(x.Served), n(x.Missing), n(x.Refused), n(x.Failed), short(strings.Join(x.Hosts, ", ")))
	})
	if len(f.Notable) > 0 {
		p.WriteString("| Module | | What happened |\n| --- | --- | --- |\n")
		p.rows(len(f.Notable), summaryModules, "modules", func(i int) string {
			m := f.Notable[i]
			return tableRow(code(m.Path+"@"+m.Version), short(string(m.Fate)), short(m.Cause))
		})
	}
	p.endDetails()
}
