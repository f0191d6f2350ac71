package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/report"
)

// logRows is how many rows of a list a log shows: the rows worth reading come
// first, and the summary and the JSON report have them all.
const logRows = 20

// agentHeadline is that of a report on what an agent has served.
func agentHeadline(r *report.Report) heading {
	switch {
	case slices.ContainsFunc(r.Findings, func(f report.Finding) bool { return f.Severity == report.Error }):
		return heading{"❌", "Go modules: some could not be served"}
	case r.Outcome == report.Fallback:
		return heading{"⚠️", "Go modules: a fallback was used"}
	}
	return heading{"✅", "Go modules: served by the first proxies of the chain"}
}

// tables writes the lists, closed until somebody clicks on them.
func (p *page) tables(r *report.Report) {
	for _, t := range r.Tables {
		if len(t.Rows) == 0 {
			continue
		}
		p.details(fmt.Sprintf("%s (%d)", short(t.Title), len(t.Rows)+t.More))
		p.WriteString(tableRow(shortAll(t.Columns)...) + "|" + strings.Repeat(" --- |", len(t.Columns)) + "\n")
		p.rows(len(t.Rows), summaryTables, "rows", func(i int) string { return tableRow(shortAll(cells(t, t.Rows[i]))...) })
		if t.More > 0 {
			fmt.Fprintf(p, "_… and %d more._\n\n", t.More)
		}
		p.endDetails()
	}
}

// cells returns as many cells of a row as the list has columns.
func cells(t report.Table, row []string) []string {
	list := make([]string, len(t.Columns))
	copy(list, row)
	return list
}

func shortAll(cells []string) []string {
	list := make([]string, len(cells))
	for i, c := range cells {
		list[i] = short(c)
	}
	return list
}

// list writes the first rows of a list in columns.
func (w *screen) list(t report.Table) {
	if len(t.Rows) == 0 {
		return
	}
	if w.Len() > 0 {
		w.WriteString("\n")
	}
	w.text(fmt.Sprintf("%s (%d):", t.Title, len(t.Rows)+t.More), 0)
	shown := t.Rows[:min(len(t.Rows), logRows)]
	lines := make([][]string, 0, len(shown)+1)
	size := make([]int, len(t.Columns))
	for _, row := range append([][]string{t.Columns}, shown...) {
		line := cells(t, row)
		for c, s := range line {
			limit := w.width / 6
			if c == 0 || c == len(line)-1 {
				limit = w.width / 3
			}
			line[c] = fit(LogLine(s), limit)
			size[c] = max(size[c], columns(line[c]))
		}
		lines = append(lines, line)
	}
	for _, line := range lines {
		var b strings.Builder
		for c, s := range line {
			b.WriteString("  " + pad(s, size[c], false))
		}
		w.line(fit(strings.TrimRight(b.String(), " "), w.width))
	}
	if n := len(t.Rows) + t.More - len(shown); n > 0 {
		w.line(fmt.Sprintf("  … and %d more", n))
	}
}
