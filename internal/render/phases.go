package render

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"github.com/org/goproxy-setup/internal/report"
)

// phases is the order of the checks, as a request meets them.
var phases = []string{
	"dns", "tcp", "tls", "http", "zip", "go.sum", "not-found", "escape", "info", "list", "supported", "sumdb", "big-zip", "toolchain",
}

// mostName is how many columns a proxy's name may take at the head of a table.
const mostName = 20

// phases writes a row for each phase and a column for each proxy that was
// asked, in as many tables as the width takes.
func (w *screen) phases(r *report.Report) {
	var asked []report.Proxy
	for _, p := range r.Proxies {
		if len(p.Checks) > 0 {
			asked = append(asked, p)
		}
	}
	var rows []string
	for _, p := range asked {
		for _, c := range p.Checks {
			if !slices.Contains(rows, c.Name) {
				rows = append(rows, c.Name)
			}
		}
	}
	rank := func(name string) int { return (slices.Index(phases, name) + len(phases) + 1) % (len(phases) + 1) } // unknown ones last
	slices.SortStableFunc(rows, func(a, b string) int { return cmp.Compare(rank(a), rank(b)) })
	label := 0
	for _, name := range rows {
		label = max(label, columns(LogLine(name)))
	}
	for len(asked) > 0 {
		n, used := 0, label
		for n < len(asked) {
			size := w.columnSize(asked[n], rows)
			if n > 0 && used+2+size > w.width {
				break
			}
			used += 2 + size
			n++
		}
		w.phaseTable(asked[:n], rows, label)
		asked = asked[n:]
	}
}

// phaseTable writes one table.
func (w *screen) phaseTable(proxies []report.Proxy, rows []string, label int) {
	w.WriteString(pad("", label, false))
	for _, p := range proxies {
		w.WriteString("  " + pad(head(p.Name), w.columnSize(p, rows), true))
	}
	w.WriteString("\n")
	for _, name := range rows {
		w.WriteString(pad(LogLine(name), label, false))
		for _, p := range proxies {
			text, colour := w.cell(p, name)
			blanks := pad("", w.columnSize(p, rows)-columns(text), false)
			w.WriteString("  " + blanks + w.colour(colour, text))
		}
		w.WriteString("\n")
	}
	w.WriteString("\n")
}

// head is the name of a proxy at the head of a column. What tells two URLs apart stands at
// their ends as often as at their beginnings.
func head(name string) string {
	name = LogLine(name)
	if _, rest, ok := strings.Cut(name, "://"); ok {
		name = rest
	}
	if columns(name) <= mostName {
		return name
	}
	begin, _ := split(name, mostName/2)
	end := []rune(name)
	for columns(string(end)) > mostName-1-columns(begin) {
		end = end[1:]
	}
	return LogLine(begin + "…" + string(end))
}

func (w *screen) columnSize(p report.Proxy, rows []string) int {
	size := columns(head(p.Name))
	for _, name := range rows {
		text, _ := w.cell(p, name)
		size = max(size, columns(text))
	}
	return size
}

// cell says what came of one check: its time, or why it failed.
func (w *screen) cell(p report.Proxy, name string) (text, colour string) {
	i := slices.IndexFunc(p.Checks, func(c report.Check) bool { return c.Name == name })
	if i < 0 {
		return "-", dim
	}
	c := p.Checks[i]
	if c.OK {
		return took(max(c.TookMS, 1)), ""
	}
	why := c.Class
	if c.Status != 0 && c.Status != 200 {
		why = strconv.Itoa(c.Status)
	}
	down := stateMarks[report.Down]
	mark := down.mark
	if w.opt.ASCII {
		mark = down.ascii
	}
	return fit(mark+" "+LogLine(cmp.Or(why, "failed")), mostName), down.colour
}
