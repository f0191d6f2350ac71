package render

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// No text in a grid becomes more than text, and rows keep their cells, at any
// width.
func FuzzGrid(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		g := []Grid{{
			Title: s, Notes: []string{s}, Columns: []Column{{Name: s}, {Name: "b", Right: true, Rank: 2}, {Name: s, Rank: 1}},
			Rows: [][]string{{s, s, s}, {MarkYes + " " + s, "1", ""}},
		}}
		for _, width := range []int{0, 60, 120} {
			for line := range strings.Lines(string(GridText(g, Options{Width: width}))) {
				if fault := unsafeLine(strings.TrimSuffix(line, "\n")); fault != "" {
					t.Errorf("width %d: %q holds %s", width, line, fault)
				}
				if n := columns(strings.TrimSuffix(line, "\n")); n > max(width, defaultWidth) {
					t.Errorf("width %d: %d columns in %q", width, n, line)
				}
			}
		}
		rows := 0
		for line := range strings.Lines(string(GridMarkdown(s, g))) {
			if fault := unsafeLine(strings.TrimSuffix(line, "\n")); fault != "" {
				t.Errorf("Markdown: %q holds %s", line, fault)
			}
			if !strings.HasPrefix(line, "| ") || len(tableCells(line)) != 3 {
				continue
			}
			rows++
			for _, cell := range tableCells(line) {
				if _, err := markdownPlain(strings.TrimLeft(cell, "-+#>=0123456789.) ")); err != nil && !strings.HasPrefix(cell, "--") {
					t.Errorf("Markdown: cell %q: %v", cell, err)
				}
			}
		}
		if rows != 4 {
			t.Errorf("%d rows with three cells; want 4 of\n%s", rows, GridMarkdown(s, g))
		}
	})
}

// What has the highest rank goes first where there is no room.
func TestGridRanks(t *testing.T) {
	long := strings.Repeat("x", 18)
	g := []Grid{{
		Columns: []Column{{Name: "a"}, {Name: "b", Rank: 2}, {Name: "c", Rank: 1}, {Name: "d"}},
		Rows:    [][]string{{long, long, long, long}},
	}}
	for width, want := range map[int]string{60: "a c d", 100: "a b c d"} {
		head, _, _ := strings.Cut(string(GridText(g, Options{Width: width})), "\n")
		if got := strings.Join(strings.Fields(head), " "); got != want {
			t.Errorf("width %d shows %q; want %q", width, got, want)
		}
	}
	if text := string(GridText(g, Options{Width: 60})); !strings.Contains(text, "(no room for: b)") {
		t.Errorf("what is missing is not said:\n%s", text)
	}
	ascii := []Grid{{Columns: []Column{{Name: "a"}}, Rows: [][]string{{"✓ 1"}, {"✗ 2"}}}}
	if text := string(GridText(ascii, Options{ASCII: true})); !strings.Contains(text, "+ 1") || !strings.Contains(text, "x 2") {
		t.Errorf("without ✓ and ✗:\n%s", text)
	}
}

// A chart is well-formed whatever its texts and figures are, and holds nothing
// that a browser would run or load.
func FuzzChart(f *testing.F) {
	for i, s := range seeds() {
		f.Add(s, float64(i%7)/3, float64(i), float64(i*i), float64(i*1000))
	}
	f.Add("x", 1e-300, 1e300, 0.0, -1.0)
	f.Fuzz(func(t *testing.T, s string, p50, p90, p99, max float64) {
		svg := ChartSVG(Chart{Title: s, Subtitle: s, Footer: s, Panels: []ChartPanel{{Name: s, Rows: []ChartRow{
			{Name: s, P50: p50, P90: p90, P99: p99, Max: max, Note: s, Bad: true}, {Name: s, P50: 1, P90: 2, P99: 3, Max: 4},
		}}}})
		d := xml.NewDecoder(bytes.NewReader(svg))
		for {
			tok, err := d.Token()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatalf("%v in\n%s", err, svg)
			}
			e, ok := tok.(xml.StartElement)
			if !ok {
				continue
			}
			if !slices.Contains([]string{"svg", "style", "rect", "text", "line", "circle"}, e.Name.Local) {
				t.Errorf("element %s", e.Name.Local)
			}
			for _, a := range e.Attr {
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "Inf") || strings.HasPrefix(a.Name.Local, "on") || a.Name.Local == "href" {
					t.Errorf("%s has %s=%q", e.Name.Local, a.Name.Local, a.Value)
				}
			}
		}
	})
}

func TestChartTicks(t *testing.T) {
	for _, tt := range []struct {
		v            float64
		below, above float64
	}{{0.3, 0.2, 0.5}, {1, 1, 1}, {3, 2, 5}, {7, 5, 10}, {99, 50, 100}, {1000, 1000, 1000}} {
		if b, a := stepBelow(tt.v), stepAbove(tt.v); !near(b, tt.below) || !near(a, tt.above) {
			t.Errorf("%v lies between %v and %v; want %v and %v", tt.v, b, a, tt.below, tt.above)
		}
	}
}

func near(a, b float64) bool { return a > b*0.999 && a < b*1.001 }

func TestMiddle(t *testing.T) {
	for _, tt := range []struct {
		s    string
		n    int
		want string
	}{{"short", 10, "short"}, {"https://proxy.example.com/zip", 12, "http…com/zip"}, {"长长长长长长长长", 9, "长…长长长"}} {
		if got := middle(tt.s, tt.n); got != tt.want || columns(got) > tt.n {
			t.Errorf("middle(%q, %d) = %q; want %q", tt.s, tt.n, got, tt.want)
		}
	}
}
