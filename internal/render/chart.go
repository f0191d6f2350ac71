package render

import (
	"encoding/xml"
	"fmt"
	"math"
	"strings"
)

// A Chart shows how times are spread, a bar for each row, on a logarithmic
// scale that all rows share.
type Chart struct {
	Title    string
	Subtitle string // what was measured, in one line
	Panels   []ChartPanel
	Footer   string
}

// A ChartPanel is a group of rows under a heading.
type ChartPanel struct {
	Name string
	Rows []ChartRow
}

// A ChartRow is one bar: times in milliseconds, each at least the one before.
// A row without any has only its note.
type ChartRow struct {
	Name               string
	P50, P90, P99, Max float64
	Note               string // to the right, such as "3 % failed"
	Bad                bool   // the note is about a failure
}

// Measures of a chart, in pixels.
const (
	chartWidth  = 920
	chartLeft   = 214 // names
	chartRight  = 206 // figures and notes
	chartTop    = 86
	chartRow    = 22
	chartHead   = 36
	chartBar    = 12
	chartBottom = 62
)

// ChartSVG returns the chart as an SVG document of its own: no script, no font
// and nothing else from elsewhere. It has dark colours where the reader has.
func ChartSVG(c Chart) []byte {
	d := &drawing{low: math.Inf(1), high: math.Inf(-1)}
	height := chartTop
	for _, p := range c.Panels {
		height += chartHead + chartRow*len(p.Rows)
		for _, r := range p.Rows {
			if r = r.ordered(); r.P50 > 0 {
				d.low, d.high = min(d.low, r.P50), max(d.high, r.Max)
			}
		}
	}
	d.scale()
	height += chartBottom
	fmt.Fprintf(d, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-label="%s">`+"\n", chartWidth, height, chartWidth, height, xmlText(c.Title))
	d.WriteString(chartStyle)
	fmt.Fprintf(d, `<rect class="page" width="%d" height="%d" rx="6"/>`+"\n", chartWidth, height)
	d.text(20, 30, "title", "start", c.Title, 96)
	d.text(20, 50, "soft", "start", c.Subtitle, 130)
	d.axis(chartTop, height-chartBottom) // behind the bars
	y := chartTop
	for _, p := range c.Panels {
		d.text(20, y+24, "head", "start", p.Name, 60)
		y += chartHead
		for _, r := range p.Rows {
			d.row(r.ordered(), y)
			y += chartRow
		}
	}
	d.legend(y + 44)
	d.text(chartWidth-20, y+44, "soft", "end", c.Footer, 70)
	d.WriteString("</svg>\n")
	return []byte(d.String())
}

// ordered returns the row with times that can be drawn: from 0.1 µs to a day,
// each at least the one before; without any if p50 is none.
func (r ChartRow) ordered() ChartRow {
	const least, most = 1e-4, 86_400_000
	if !(r.P50 > 0) {
		r.P50 = 0
		return r
	}
	last := least
	for _, v := range []*float64{&r.P50, &r.P90, &r.P99, &r.Max} {
		if !(*v > last) { // NaN, too
			*v = last
		}
		*v = min(*v, most)
		last = *v
	}
	return r
}

const chartStyle = `<style>
text { font: 12px ui-sans-serif, system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #1f2328; }
.title { font-size: 17px; font-weight: 600; } .head { font-weight: 600; } .soft { fill: #59636e; } .bad { fill: #b3261e; }
.page { fill: #ffffff; stroke: #d1d9e0; } .grid { stroke: #e3e7eb; } .line { stroke: #7b93b5; stroke-width: 1.5; }
.a { fill: #1f5fae; } .b { fill: #8fb5e3; } .end { fill: #7b93b5; }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3; } .soft { fill: #9198a1; } .bad { fill: #ff8a80; } .page { fill: #0d1117; stroke: #3d444d; }
.grid { stroke: #262c34; } .line { stroke: #6f87a8; } .a { fill: #6ca6f0; } .b { fill: #2d5688; } .end { fill: #6f87a8; }
}
</style>
`

// A drawing is an SVG document that grows.
type drawing struct {
	strings.Builder
	low, high float64 // of the axis, in milliseconds
}

// scale widens the axis to whole steps.
func (d *drawing) scale() {
	if d.low > d.high {
		d.low, d.high = 1, 10
	}
	d.low, d.high = stepBelow(d.low), stepAbove(d.high)
	if d.high <= d.low {
		d.high = d.low * 10
	}
}

// steps of an axis: 1, 2 and 5 of each power of ten.
func step(i int) float64 {
	return []float64{1, 2, 5}[((i%3)+3)%3] * math.Pow(10, math.Floor(float64(i)/3))
}

func stepBelow(v float64) float64 {
	i := int(math.Floor(math.Log10(v))) * 3
	for step(i+1) <= v {
		i++
	}
	return step(i)
}

func stepAbove(v float64) float64 {
	i := int(math.Floor(math.Log10(v))) * 3
	for step(i) < v {
		i++
	}
	return step(i)
}

// x returns where a time stands.
func (d *drawing) x(v float64) float64 {
	part := (math.Log(v) - math.Log(d.low)) / (math.Log(d.high) - math.Log(d.low))
	return chartLeft + min(max(part, 0), 1)*(chartWidth-chartLeft-chartRight)
}

func (d *drawing) text(x, y int, class, anchor, s string, most int) {
	if s = strings.TrimSpace(LogLine(s)); s != "" {
		fmt.Fprintf(d, `<text x="%d" y="%d" class="%s" text-anchor="%s">%s</text>`+"\n", x, y, class, anchor, xmlText(fit(s, most)))
	}
}

// row draws the bar of one row: up to p50, p90, p99, and a line to the longest.
func (d *drawing) row(r ChartRow, y int) {
	d.text(chartLeft-12, y+15, "name", "end", middle(r.Name, 28), 28)
	if r.P50 > 0 {
		top, middle := y+(chartRow-chartBar)/2, y+chartRow/2
		d.rect("a", d.x(r.P50), d.x(r.P90), top)
		d.rect("b", d.x(r.P90), d.x(r.P99), top)
		fmt.Fprintf(d, `<line class="line" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/><circle class="end" cx="%.1f" cy="%d" r="2.5"/>`+"\n",
			d.x(r.P99), d.x(r.Max), middle, middle, d.x(r.Max), middle)
	}
	class := "soft"
	if r.Bad {
		class = "bad"
	}
	d.text(chartWidth-chartRight+14, y+15, class, "start", r.Note, 30)
}

// rect draws a bar of at least two pixels.
func (d *drawing) rect(class string, from, to float64, y int) {
	fmt.Fprintf(d, `<rect class="%s" x="%.1f" y="%d" width="%.1f" height="%d" rx="1.5"/>`+"\n", class, from, y, max(to-from, 2), chartBar)
}

// axis draws the lines of the scale, and its labels below. As
// many steps have a label as there is room for.
func (d *drawing) axis(top, bottom int) {
	last := math.Inf(-1)
	i := int(math.Floor(math.Log10(d.low))) * 3
	for ; step(i) < d.low*0.999; i++ {
	}
	for ; step(i) <= d.high*1.001; i++ {
		x := d.x(step(i))
		if x-last < 44 {
			continue
		}
		last = x
		fmt.Fprintf(d, `<line class="grid" x1="%.1f" x2="%.1f" y1="%d" y2="%d"/>`+"\n", x, x, top+4, bottom+4)
		d.text(int(x), top-4, "soft", "middle", chartTime(step(i)), 12)
		d.text(int(x), bottom+18, "soft", "middle", chartTime(step(i)), 12)
	}
}

// legend says what the parts of a bar are.
func (d *drawing) legend(y int) {
	x := 20
	for _, part := range []struct{ class, text string }{{"a", "p50 to p90"}, {"b", "p90 to p99"}} {
		fmt.Fprintf(d, `<rect class="%s" x="%d" y="%d" width="18" height="10" rx="1.5"/>`+"\n", part.class, x, y-9)
		d.text(x+24, y, "soft", "start", part.text, 20)
		x += 110
	}
	fmt.Fprintf(d, `<line class="line" x1="%d" x2="%d" y1="%d" y2="%d"/><circle class="end" cx="%d" cy="%d" r="2.5"/>`+"\n", x, x+18, y-4, y-4, x+18, y-4)
	d.text(x+28, y, "soft", "start", "longest", 20)
}

// chartTime writes a step of the axis.
func chartTime(ms float64) string {
	switch {
	case ms < 0.999:
		return fmt.Sprintf("%.0f µs", ms*1000)
	case ms < 999.5:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.0f s", ms/1000)
}

// xmlText returns s for the text or an attribute of an XML document.
func xmlText(s string) string {
	var b strings.Builder
	xml.EscapeText(&b, []byte(LogLine(s))) // writing to a Builder never fails
	return b.String()
}
