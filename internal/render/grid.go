package render

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Grid is a table of plain text with notes below it, for a terminal, a log or
// a page. Nothing in it is encoded.
type Grid struct {
	Title   string
	Columns []Column
	Rows    [][]string
	Notes   []string
}

// A Column is one of a [Grid]'s.
type Column struct {
	Name  string
	Right bool // numbers
	// Rank says who goes first where a terminal is too narrow: the highest. A
	// column of rank 0 stays.
	Rank int
}

// Marks that a cell may begin with, to be coloured on a terminal.
const (
	MarkYes = "✓"
	MarkNo  = "✗"
	MarkBut = "!"
)

// GridText returns the grids for people at a terminal or in a log.
func GridText(grids []Grid, opt Options) []byte {
	w := &screen{width: max(cmp.Or(opt.Width, defaultWidth), leastWidth), opt: opt}
	for _, g := range grids {
		if w.Len() > 0 {
			w.WriteString("\n")
		}
		w.text(g.Title, 0)
		w.grid(g)
		for _, n := range g.Notes {
			w.text(n, 0)
		}
	}
	return []byte(w.String())
}

// grid writes the table, without the columns for which there is no room.
func (w *screen) grid(g Grid) {
	if len(g.Rows) == 0 {
		return
	}
	rows := make([][]string, len(g.Rows))
	size := make([]int, len(g.Columns))
	head := make([]string, len(g.Columns))
	most := max(w.width/4, 12)
	for c, col := range g.Columns {
		head[c] = middle(LogLine(col.Name), most)
		size[c] = columns(head[c])
	}
	for i, row := range g.Rows {
		rows[i] = make([]string, len(g.Columns))
		for c := range g.Columns {
			rows[i][c] = middle(LogLine(row[c]), most)
			size[c] = max(size[c], columns(rows[i][c]))
		}
	}
	shown, missing := w.room(g.Columns, size)
	w.cells(head, g.Columns, size, shown)
	for _, row := range rows {
		w.cells(row, g.Columns, size, shown)
	}
	if missing != nil {
		w.text("(no room for: "+strings.Join(missing, ", ")+")", 2)
	}
}

// room returns which columns fit, and the names of those that do not.
func (w *screen) room(list []Column, size []int) (shown []bool, missing []string) {
	shown = make([]bool, len(list))
	used := 0
	for c := range list {
		shown[c] = true
		used += size[c] + 2
	}
	for used > w.width {
		worst := -1
		for c, col := range list {
			if shown[c] && col.Rank > 0 && (worst < 0 || col.Rank >= list[worst].Rank) {
				worst = c
			}
		}
		if worst < 0 {
			break
		}
		shown[worst] = false
		used -= size[worst] + 2
		missing = append(missing, list[worst].Name)
	}
	slices.Reverse(missing)
	return shown, missing
}

// cells writes one line of a grid.
func (w *screen) cells(row []string, list []Column, size []int, shown []bool) {
	var line strings.Builder
	for c, s := range row {
		if !shown[c] {
			continue
		}
		padded := pad(s, size[c], list[c].Right)
		line.WriteString("  " + strings.Replace(padded, s, w.marked(s), 1))
	}
	w.WriteString(strings.TrimRight(line.String(), " ") + "\n")
}

// marked colours a cell by its mark.
func (w *screen) marked(s string) string {
	for _, m := range []struct{ mark, ascii, code string }{{MarkYes, "+", green}, {MarkNo, "x", red}, {MarkBut, "!", yellow}} {
		if rest, ok := strings.CutPrefix(s, m.mark); ok {
			if w.opt.ASCII {
				s = m.ascii + rest
			}
			return w.colour(m.code, s)
		}
	}
	return s
}

// GridMarkdown returns the grids for a job summary, an issue or a report.
func GridMarkdown(title string, grids []Grid) []byte {
	p := &page{}
	fmt.Fprintf(p, "### %s\n\n", short(title))
	for _, g := range grids {
		if g.Title != "" {
			fmt.Fprintf(p, "**%s**\n\n", short(g.Title))
		}
		if len(g.Rows) > 0 {
			p.grid(g)
		}
		for _, n := range g.Notes {
			fmt.Fprintf(p, "%s\n\n", short(n))
		}
	}
	return []byte(strings.TrimRight(p.String(), "\n") + "\n")
}

func (p *page) grid(g Grid) {
	cell := func(s string) string { return markdownInline(cut(s, summaryCell)) }
	names := make([]string, len(g.Columns))
	rules := make([]string, len(g.Columns))
	for c, col := range g.Columns {
		names[c], rules[c] = cell(col.Name), "---"
		if col.Right {
			rules[c] = "--:"
		}
	}
	p.WriteString(tableRow(names...) + tableRow(rules...))
	p.rows(len(g.Rows), summaryDetails, "rows", func(i int) string {
		cells := make([]string, len(g.Columns))
		for c, s := range g.Rows[i] {
			cells[c] = cell(s)
		}
		return tableRow(cells...)
	})
}
