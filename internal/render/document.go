package render

import (
	"cmp"
	"strings"

	"github.com/org/goproxy-setup/internal/report"
)

// A Document is text and tables for people at a terminal or in a log.
type Document struct{ Blocks []Block }

// A Block is one part of a [Document]; what is empty is left out.
type Block struct {
	Title string
	Text  []string // paragraphs, before the table
	Head  []string // of the table's columns
	Rows  [][]Cell
	// Findings are shown as in [Table].
	Findings []report.Finding
	Notes    []string // paragraphs, after the table
}

// A Cell is one cell of a table.
type Cell struct {
	Text string
	Tone Tone
}

// A Tone picks a colour.
type Tone int

const (
	Plain Tone = iota
	Good
	Bad
	Warn
	Dim
)

var tones = [...]string{Plain: "", Good: green, Bad: red, Warn: yellow, Dim: dim}

// Cells returns plain cells.
func Cells(texts ...string) []Cell {
	row := make([]Cell, len(texts))
	for i, s := range texts {
		row[i].Text = s
	}
	return row
}

// Text writes the document. Nothing in it can end a line, colour it or be
// taken for a command; see [LogLine].
func (d Document) Text(opt Options) []byte {
	w := &screen{width: max(cmp.Or(opt.Width, defaultWidth), leastWidth), opt: opt}
	for _, b := range d.Blocks {
		w.block(b)
	}
	return []byte(w.String())
}

func (w *screen) block(b Block) {
	if w.Len() > 0 && (b.Title != "" || b.Text != nil || b.Rows != nil || b.Notes != nil) {
		w.WriteString("\n")
	}
	if b.Title != "" {
		w.text(b.Title, 0)
	}
	for _, s := range b.Text {
		w.text(s, 0)
	}
	w.rows(b.Head, b.Rows)
	for _, f := range b.Findings {
		w.finding(f)
	}
	for _, s := range b.Notes {
		w.text(s, 0)
	}
}

// leastText is how many columns the last column of a table needs beside the
// others.
const leastText = 24

// rows writes a table. Its last column takes what is left of the width and is
// broken into lines; if too little is left, it goes below the others.
func (w *screen) rows(head []string, rows [][]Cell) {
	if len(rows) == 0 {
		return
	}
	all := rows
	if head != nil {
		titles := Cells(head...)
		for i := range titles {
			titles[i].Tone = Dim
		}
		all = append([][]Cell{titles}, rows...)
	}
	size := make([]int, len(all[0]))
	for _, row := range all {
		for i, c := range row {
			size[i] = min(max(size[i], columns(LogLine(c.Text))), w.width/2)
		}
	}
	last, indent := len(size)-1, 2
	for _, n := range size[:last] {
		indent += n + 2
	}
	beside := w.width-indent >= min(size[last], leastText)
	if !beside {
		indent = 4
	}
	for _, row := range all {
		var line strings.Builder
		line.WriteString("  ")
		for i, c := range row[:last] {
			text := fit(LogLine(c.Text), size[i])
			line.WriteString(w.colour(tones[c.Tone], text) + strings.Repeat(" ", size[i]-columns(text)+2))
		}
		indent, beside := indent, beside
		if longest := longestWord(row[last].Text); longest > w.width-indent && longest <= w.width-4 {
			indent, beside = 4, false // rather than to break a URL in two
		}
		lines := wrap(visible(row[last].Text), w.width-indent)
		if beside && len(lines) > 0 {
			line.WriteString(w.colour(tones[row[last].Tone], LogLine(lines[0])))
			lines = lines[1:]
		}
		w.WriteString(strings.TrimRight(line.String(), " ") + "\n")
		for _, s := range lines {
			w.WriteString(strings.Repeat(" ", indent) + w.colour(tones[row[last].Tone], LogLine(s)) + "\n")
		}
	}
}

func longestWord(s string) int {
	n := 0
	for word := range strings.FieldsSeq(visible(s)) {
		n = max(n, columns(word))
	}
	return n
}
