package render

import (
	"cmp"
	"strings"

	"github.com/org/goproxy-setup/internal/report"
)

// Widths of the table for people. A cause beside the other columns needs room
// for a phrase, otherwise it goes below them.
const (
	defaultWidth = 80
	leastWidth   = 60
	leastCause   = 40
)

// table writes the report for people: the settings in force, a row for each
// proxy, what checks saw, the findings, what happened in one sentence, and last
// the value of GOPROXY.
func table(r *report.Report, opt Options) ([]byte, error) {
	w := &screen{width: max(cmp.Or(opt.Width, defaultWidth), leastWidth), opt: opt}
	findings := untold(r)
	if r.Command == "probe" {
		w.phases(r)
	}
	w.inForce(r)
	w.proxies(r, findings)
	w.preflight(r.Preflight)
	w.checks(r)
	group := ""
	for _, f := range findings {
		if f.Group != group {
			group = f.Group
			w.heading(group)
		}
		w.finding(f)
	}
	for _, t := range r.Tables {
		w.list(t)
	}
	if w.Len() > 0 && r.Summary != "" {
		w.WriteString("\n")
	}
	w.text(r.Summary, 0)
	switch v := goproxy(r); {
	case v != "" && exports(r):
		w.line("GOPROXY=" + v)
	case v != "":
		w.line("GOPROXY=" + v + " (unchanged)")
	}
	return []byte(w.String()), nil
}

// A screen is text of a limited width.
type screen struct {
	strings.Builder
	width int
	opt   Options
}

// line writes s, made safe for a log, as one line of any length.
func (w *screen) line(s string) { w.WriteString(strings.TrimRight(LogLine(s), " ") + "\n") }

// text writes s in as many lines as it takes, indented.
func (w *screen) text(s string, indent int) {
	for _, line := range wrap(visible(s), w.width-indent) {
		w.line(strings.Repeat(" ", indent) + line)
	}
}

// colour surrounds s with the codes of a terminal colour, if they are wanted.
func (w *screen) colour(code, s string) string {
	if !w.opt.Color || code == "" {
		return s
	}
	return "\x1b[" + code + "m" + s + "\x1b[0m"
}

const (
	red    = "31"
	green  = "32"
	yellow = "33"
	dim    = "2"
	bold   = "1"
)

var stateMarks = map[report.State]struct{ mark, ascii, colour string }{
	report.Usable:   {"✓", "+", green},
	report.Degraded: {"!", "!", yellow},
	report.Down:     {"✗", "x", red},
	report.Unknown:  {"?", "?", yellow},
	report.Unasked:  {"·", "-", dim},
}

func (w *screen) mark(s report.State) string {
	m, known := stateMarks[s]
	if !known {
		m = stateMarks[report.Unknown]
	}
	if w.opt.ASCII {
		return w.colour(m.colour, m.ascii)
	}
	return w.colour(m.colour, m.mark)
}

// proxies writes the rows. A hint that one of the findings repeats is left to
// it.
func (w *screen) proxies(r *report.Report, findings []report.Finding) {
	repeated := map[string]bool{"": true}
	for _, f := range findings {
		repeated[f.Fix] = true
	}
	rows := make([][4]string, len(r.Proxies))
	var size [4]int
	for i, p := range r.Proxies {
		rows[i] = [4]string{fit(LogLine(p.Name), w.width/3), fit(LogLine(p.Use), 12), fit(LogLine(string(p.State)), 12), took(p.TookMS)}
		for c, s := range rows[i] {
			size[c] = max(size[c], columns(s))
		}
	}
	indent := 2
	for _, n := range size {
		if n > 0 {
			indent += n + 2
		}
	}
	if w.width-indent < leastCause {
		indent = 4
	}
	for i, p := range r.Proxies {
		lines := wrap(visible(p.Cause), w.width-indent)
		if r.Command == "probe" {
			lines = append(lines, w.particulars(p, w.width-indent)...)
		}
		if !repeated[p.Next] {
			lines = append(lines, wrap("hint: "+visible(p.Next), w.width-indent)...)
		}
		w.row(p.State, rows[i], size, indent, lines)
	}
}

// particulars are for somebody who looks at one proxy: what happened where the
// cause says only what follows, and where zips come from.
func (w *screen) particulars(p report.Proxy, width int) (lines []string) {
	for _, c := range p.Checks {
		if p.State == report.Degraded && !c.OK && c.Detail != "" {
			lines = append(lines, wrap(visible(c.Name+": "+c.Detail), width)...)
		}
	}
	if p.FinalHost != "" && p.Class == "" {
		lines = append(lines, wrap(visible("zips come from "+p.FinalHost), width)...)
	}
	return lines
}

// row writes one proxy. The first line of its cause stands beside the other
// columns if indent is where they end.
func (w *screen) row(state report.State, cells [4]string, size [4]int, indent int, cause []string) {
	line, used := w.mark(state)+" ", 2
	for c, s := range cells {
		if size[c] == 0 {
			continue
		}
		padded := pad(s, size[c], c == 3)
		if c == 2 {
			padded = w.colour(stateMarks[state].colour, s) + padded[len(s):]
		}
		line += padded + "  "
		used += size[c] + 2
	}
	if used == indent && len(cause) > 0 {
		line += LogLine(cause[0])
		cause = cause[1:]
	}
	w.WriteString(strings.TrimRight(line, " ") + "\n")
	for _, s := range cause {
		w.line(strings.Repeat(" ", indent) + s)
	}
}

func (w *screen) finding(f report.Finding) {
	if w.Len() > 0 {
		w.WriteString("\n")
	}
	severity := cmp.Or(string(f.Severity), string(report.Warning))
	title := f.Title
	if place := f.Place.String(); place != "" {
		title = place + ": " + title
	}
	for i, line := range wrap(severity+": "+LogLine(title), w.width-2) {
		if rest, ok := strings.CutPrefix(line, severity); ok && i == 0 {
			code := map[report.Severity]string{report.Error: red, report.Warning: yellow}[f.Severity]
			w.WriteString(w.colour(code, severity) + rest + "\n")
			continue
		}
		w.line("  " + line)
	}
	w.text(f.Message, 2)
	if f.Fix != "" {
		w.text("hint: "+f.Fix, 2)
	}
}
