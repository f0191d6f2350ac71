package bench

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/render"
)

// Text returns the result for people at a terminal or in a log.
func (r *Result) Text(opt render.Options) []byte { return render.GridText(r.grids(), opt) }

// Markdown returns the result for a job summary or a report.
func (r *Result) Markdown() []byte {
	return render.GridMarkdown("Go module proxies side by side", r.grids())
}

// SVG returns a chart of the latencies.
func (r *Result) SVG() []byte { return render.ChartSVG(r.chart()) }

func (r *Result) grids() []render.Grid {
	list := []render.Grid{r.loadGrid()}
	if g := r.kindGrid(); len(g.Rows) > len(r.Proxies) {
		list = append(list, g)
	}
	list = append(list, r.abilityGrid(), r.fileGrid(), r.freshGrid())
	return slices.DeleteFunc(list, func(g render.Grid) bool { return len(g.Rows) == 0 && len(g.Notes) == 0 })
}

// loadGrid shows what every proxy was like under the same load.
func (r *Result) loadGrid() render.Grid {
	title := r.Load.text()
	if r.Interrupted {
		title = "interrupted, so far: " + title
	}
	tail := render.Column{Name: "p99*", Right: true, Rank: 4}
	if r.Loop == "open" {
		tail.Name = "p99 sent"
	}
	g := render.Grid{Title: title, Columns: []render.Column{
		{Name: "proxy"}, {Name: "requests", Right: true, Rank: 6}, {Name: "p50", Right: true}, {Name: "p90", Right: true, Rank: 1}, {Name: "p95", Right: true},
		{Name: "p99", Right: true}, tail, {Name: "max", Right: true, Rank: 2}, {Name: "mean", Right: true, Rank: 3}, {Name: "bytes/s", Right: true, Rank: 5}, {Name: "failed", Right: true},
	}}
	for _, p := range r.Proxies {
		row := make([]string, len(g.Columns))
		row[0] = p.marked()
		if f := p.All; f != nil {
			last := cmp.Or(f.Corrected, f.Service, &Percentiles{}).P99
			row = []string{row[0], fmt.Sprint(f.Requests), f.at(f.P50, 1), f.at(f.P90, 10), f.at(f.P95, 20), f.at(f.P99, 100), f.at(last, 100), f.at(f.Max, 1), f.at(f.Mean, 1), rate(f.BytesPerSecond), f.failed()}
		} else {
			row[len(row)-1] = "not loaded"
			if r.Interrupted && p.Class == "" {
				row[len(row)-1] = "not yet"
			}
		}
		g.Rows = append(g.Rows, row)
	}
	g.Notes = append(g.Notes, r.failureNotes()...)
	g.Notes = append(g.Notes, compare(r.Proxies)...)
	g.Notes = append(g.Notes, r.loopNotes()...)
	g.Notes = append(g.Notes, r.Notes...)
	return g
}

// marked is the proxy's name with a mark.
func (p *Proxy) marked() string {
	switch {
	case p.Class != "" || len(p.wrong()) > 0:
		return render.MarkNo + " " + p.label()
	case p.All != nil && p.All.Failed > 0 || p.Unsent > 0:
		return render.MarkBut + " " + p.label()
	case p.All == nil:
		return "? " + p.label()
	}
	return render.MarkYes + " " + p.label()
}

// label is the proxy's name for people: of an address without the scheme.
func (p *Proxy) label() string {
	for _, scheme := range []string{"https://", "http://"} {
		if rest, ok := strings.CutPrefix(p.Name, scheme); ok {
			return rest
		}
	}
	return p.Name
}

// at writes a percentile, if there are requests enough for it.
func (f *Figures) at(v float64, least int) string {
	if right := f.Requests - f.Failed; right < least || right == 0 {
		return "–"
	}
	return duration(v)
}

func (f *Figures) failed() string {
	switch {
	case f.Failed == 0:
		return "0"
	case f.FailureRate() < 0.001:
		return fmt.Sprintf("%d (<0.1 %%)", f.Failed)
	}
	return fmt.Sprintf("%d (%.1f %%)", f.Failed, 100*f.FailureRate())
}

// failureNotes says by class what failed, for each proxy.
func (r *Result) failureNotes() []string {
	var notes []string
	for _, p := range r.Proxies {
		if p.Class != "" {
			notes = append(notes, fmt.Sprintf("%s was not loaded, since it served nothing: %s: %s", p.label(), p.Class, p.Detail))
		}
		var all []Failure
		for _, k := range p.Kinds {
			for _, f := range k.Failures {
				f.Detail = fmt.Sprintf("%s: %s", k.Kind, f.Detail)
				i := slices.IndexFunc(all, func(a Failure) bool { return a.Class == f.Class })
				if i < 0 {
					all = append(all, f)
				} else {
					all[i].Count += f.Count
				}
			}
		}
		slices.SortStableFunc(all, func(a, b Failure) int { return b.Count - a.Count })
		for _, f := range all {
			notes = append(notes, fmt.Sprintf("%s: %d × %s (%s)", p.label(), f.Count, f.Class, f.Detail))
		}
		if p.Unsent > 0 {
			notes = append(notes, fmt.Sprintf("%s did not keep up: %d requests were due and never sent", p.label(), p.Unsent))
		}
	}
	return notes
}

// loopNotes says how the figures are to be read.
func (r *Result) loopNotes() []string {
	var notes []string
	measured, all := 0, 0
	for _, p := range r.Proxies {
		if p.All != nil {
			measured++
		}
		all = max(all, len(p.Kinds))
	}
	switch {
	case measured == 0:
		return nil
	case r.Loop == "open":
		notes = append(notes, "Times count from when a request was due, sent or not; p99 sent counts from when it was sent.")
	default:
		turns := ""
		if measured > 1 && r.Rounds > 1 {
			turns = fmt.Sprintf(" The proxies took turns in %d rounds.", r.Rounds)
		}
		notes = append(notes, "Each connection waits for its answer; p99* is a guess of p99 had they not waited."+turns)
	}
	if len(r.Common) > 0 && len(r.Common) < all {
		notes = append(notes, fmt.Sprintf("Compared are the kinds of files that all serve: %s.", join(kindNames(r.Common), 9)))
	}
	return notes
}

func kindNames(list []Kind) []string {
	var names []string
	for _, k := range list {
		names = append(names, string(k))
	}
	return names
}

// kindGrid shows each kind of file by itself.
func (r *Result) kindGrid() render.Grid {
	g := render.Grid{Title: "by kind of file", Columns: []render.Column{
		{Name: "kind"}, {Name: "proxy"}, {Name: "requests", Right: true, Rank: 3}, {Name: "p50", Right: true}, {Name: "p95", Right: true},
		{Name: "p99", Right: true, Rank: 1}, {Name: "max", Right: true, Rank: 2}, {Name: "failed", Right: true},
	}}
	for _, k := range Kinds() {
		first := true
		for _, p := range r.Proxies {
			for _, f := range p.Kinds {
				if f.Kind != k {
					continue
				}
				name := ""
				if first {
					name, first = string(k), false
				}
				g.Rows = append(g.Rows, []string{name, p.label(), fmt.Sprint(f.Requests), f.at(f.P50, 1), f.at(f.P95, 20), f.at(f.P99, 100), f.at(f.Max, 1), f.failed()})
			}
		}
	}
	return g
}

// abilityGrid shows what each proxy can do.
func (r *Result) abilityGrid() render.Grid {
	g := render.Grid{Title: "what they can do", Columns: []render.Column{{Name: "proxy"}}}
	for _, name := range abilities {
		g.Columns = append(g.Columns, render.Column{Name: name, Rank: map[string]int{canHTTP2: 1, canRange: 2}[name]})
	}
	g.Columns = append(g.Columns, render.Column{Name: "redirects", Rank: 3}) // there are notes about it
	for _, p := range r.Proxies {
		row := []string{p.label()}
		var redirected []string
		for i, a := range p.Abilities {
			switch {
			case i >= len(abilities):
				redirected = append(redirected, a.Name)
				g.Notes = append(g.Notes, fmt.Sprintf("%s redirects %s to %s", p.label(), a.Name, a.Detail))
			case !a.Known:
				row = append(row, "?")
			case a.Yes:
				row = append(row, render.MarkYes)
			default:
				row = append(row, render.MarkNo)
				if a.Name != canRange && a.Name != canHTTP2 { // the mark says it all
					g.Notes = append(g.Notes, fmt.Sprintf("%s: no %s (%s)", p.label(), a.Name, a.Detail))
				}
			}
		}
		from := join(redirected, 9)
		switch {
		case p.Class != "":
			from = "?"
		case from == "":
			from = "no"
		}
		g.Rows = append(g.Rows, append(row, from))
	}
	return g
}

// fileGrid shows whether the bytes are right.
func (r *Result) fileGrid() render.Grid {
	g := render.Grid{Title: fmt.Sprintf("right answers for %s", join(r.Modules, 3)), Columns: []render.Column{{Name: "proxy"}}}
	for _, k := range Kinds() {
		g.Columns = append(g.Columns, render.Column{Name: string(k)})
	}
	for _, p := range r.Proxies {
		row := make([]string, len(g.Columns))
		row[0] = p.label()
		for i, k := range Kinds() {
			row[i+1] = "?"
			for _, f := range p.Files {
				if f.Kind != k || unreachable(p.Class) {
					continue
				}
				mark := render.MarkYes
				if f.Wrong > 0 {
					mark = render.MarkNo
				} else if f.Right < f.Asked {
					mark = render.MarkBut
				}
				row[i+1] = fmt.Sprintf("%s %d/%d", mark, f.Right, f.Asked)
				for _, x := range f.Faults {
					if p.Class == "" && !p.failedUnderLoad(k, x.Class) {
						g.Notes = append(g.Notes, fmt.Sprintf("%s: %d × %s (%s)", p.label(), x.Count, x.Class, x.Detail))
					}
				}
			}
		}
		g.Rows = append(g.Rows, row)
	}
	return g
}

// failedUnderLoad reports whether files of the kind failed so under load, too.
func (p *Proxy) failedUnderLoad(k Kind, c decision.Class) bool {
	return slices.ContainsFunc(p.Kinds, func(f Figures) bool {
		return f.Kind == k && slices.ContainsFunc(f.Failures, func(x Failure) bool { return x.Class == c })
	})
}

// freshGrid shows the newest versions that are known.
func (r *Result) freshGrid() render.Grid {
	g := render.Grid{Title: "newest version that they know", Columns: []render.Column{{Name: "proxy"}}}
	for _, m := range fresh {
		g.Columns = append(g.Columns, render.Column{Name: m.label})
	}
	for _, p := range r.Proxies {
		if len(p.Fresh) == 0 {
			continue
		}
		row := []string{p.label()}
		for _, n := range p.Fresh {
			switch {
			case n.Version == "":
				row = append(row, "– "+string(n.Class))
			case n.Behind:
				row = append(row, render.MarkBut+" "+n.Version)
			default:
				row = append(row, n.Version)
			}
		}
		g.Rows = append(g.Rows, row)
	}
	return g
}

// chart draws the percentiles of each kind.
func (r *Result) chart() render.Chart {
	c := render.Chart{
		Title: "Go module proxies under the same load", Subtitle: r.Load.text(),
		Footer: fmt.Sprintf("goproxy-setup bench, %s", r.Started.Format(time.DateOnly)),
	}
	row := func(p Proxy, f *Figures) render.ChartRow {
		row := render.ChartRow{Name: p.label()}
		if f == nil {
			row.Note, row.Bad = "not loaded: "+string(p.Class), true
			return row
		}
		if right := f.Requests - f.Failed; right > 0 {
			row.P50, row.P90, row.P99, row.Max = f.P50, f.P90, f.P99, f.Max
			row.Note = "p50 " + duration(f.P50)
			if right >= 100 && f.Failed == 0 {
				row.Note += " · p99 " + duration(f.P99)
			}
		}
		if f.Failed > 0 {
			row.Note, row.Bad = strings.TrimPrefix(row.Note+" · "+fmt.Sprintf("%.1f %% failed", 100*f.FailureRate()), " · "), true
		}
		return row
	}
	all := render.ChartPanel{Name: "all kinds together"}
	for _, p := range r.Proxies {
		all.Rows = append(all.Rows, row(p, p.All))
	}
	c.Panels = append(c.Panels, all)
	for _, k := range Kinds() {
		panel := render.ChartPanel{Name: string(k)}
		for _, p := range r.Proxies {
			for _, f := range p.Kinds {
				if f.Kind == k {
					panel.Rows = append(panel.Rows, row(p, &f))
				}
			}
		}
		if len(panel.Rows) > 0 {
			c.Panels = append(c.Panels, panel)
		}
	}
	if len(c.Panels) == 2 { // of one kind: the same twice
		c.Panels = c.Panels[1:]
	}
	return c
}
