package render

import (
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/report"
)

var document = Document{Blocks: []Block{
	{Title: "example.com/x", Text: []string{"a paragraph that says what this is about"}},
	{
		Title: "Settings:", Head: []string{"variable", "value", "where it comes from"},
		Rows: [][]Cell{
			Cells("GOPROXY", "https://proxy.example.com|direct", "/home/me/.config/go/env:3"),
			{{Text: "GOSUMDB"}, {Text: "off", Tone: Bad}, {Text: "environment, which hides what a long line of other places has to say about it", Tone: Dim}},
			Cells("HOSTILE", "\x1b[31m::error::x\n##[error]", "\u202e::set-output"),
		},
		Notes: []string{"a note"},
	},
	{Findings: []report.Finding{{ID: "L01", Severity: report.Error, Title: "A finding", Message: "what happened", Fix: "what to do"}}},
}}

func TestDocument(t *testing.T) {
	for _, width := range []string{"80", "60"} {
		opt := Options{Width: map[string]int{"80": 80, "60": 60}[width]}
		golden(t, "testdata/document."+width+".txt", document.Text(opt))
	}
	text := string(document.Text(Options{Width: 100, Color: true}))
	if !strings.Contains(text, "\x1b[31moff\x1b[0m") {
		t.Errorf("no colour in\n%q", text)
	}
	for line := range strings.Lines(string(document.Text(Options{Width: 60}))) {
		if n := len([]rune(strings.TrimRight(line, "\n"))); n > 60 {
			t.Errorf("%d columns: %q", n, line)
		}
	}
}
