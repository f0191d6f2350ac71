package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/org/goproxy-setup/internal/ci"
	"github.com/org/goproxy-setup/internal/explain"
	"github.com/org/goproxy-setup/internal/render"
	"github.com/org/goproxy-setup/internal/report"
)

// screen returns how text is written to stdout.
func (x *explaining) screen() render.Options {
	opt := render.Options{Width: x.Width, Color: x.Width > 0 && x.Getenv("NO_COLOR") == "" && x.Getenv("TERM") != "dumb"}
	if x.Width == 0 && x.job.System != ci.None {
		opt.Width = ci.LogWidth
	}
	return opt
}

// document returns the explanation for people.
func (x *explaining) document(e *explanation) render.Document {
	var d render.Document
	add := func(b ...render.Block) { d.Blocks = append(d.Blocks, b...) }
	add(x.settingsBlock(e))
	if e.Refused != "" {
		add(render.Block{Text: []string{"go refuses this GOPROXY, and with it every download: " + e.Refused}})
	}
	if e.Route != nil {
		add(routeBlocks(e.Route)...)
	}
	if e.Table != nil && e.Needs == nil {
		add(tableBlocks(e.Table)...)
	}
	if e.Needs != nil {
		add(needsBlocks(e.Needs)...)
	}
	if len(e.Waits) > 0 {
		add(waitsBlock(e))
	}
	return d
}

// settingsBlock shows every setting with its place, and what it hides.
func (x *explaining) settingsBlock(e *explanation) render.Block {
	b := render.Block{Title: "Settings", Head: []string{"variable", "comes from", "value"}}
	if x.over {
		b.Title = "Settings, with those that this call names"
	}
	for _, s := range e.Settings {
		if s.Origin == "unset" {
			if slices.Contains([]string{"GOPROXY", "GOSUMDB"}, s.Name) {
				b.Rows = append(b.Rows, []render.Cell{{Text: s.Name}, {Text: "unset", Tone: render.Dim}, {Text: "(nothing: go refuses to download)", Tone: render.Bad}})
			}
			continue
		}
		value := render.Cell{Text: s.Value}
		if s.Value == "" {
			value = render.Cell{Text: "(empty)", Tone: render.Warn}
		}
		b.Rows = append(b.Rows, []render.Cell{{Text: s.Name}, {Text: s.Where()}, value})
		for _, h := range s.Shadowed {
			b.Rows = append(b.Rows, []render.Cell{{Text: ""}, {Text: h.Where(), Tone: render.Dim}, {Text: "hidden: " + h.Value, Tone: render.Dim}})
		}
	}
	if x.Sources.GOROOT.Path == "" {
		b.Notes = append(b.Notes, "No go command was found, so the defaults of its go.env are not known.")
	}
	return b
}

// routeBlocks shows the way to a module.
func routeBlocks(r *explain.Route) []render.Block {
	title := r.Module
	if r.Version != "" {
		title += "@" + r.Version
	}
	asked := render.Block{Title: title + " is looked for here, in this order"}
	if r.Excluded != "" {
		asked.Text = append(asked.Text, r.Excluded+" excludes this version: go behaves as if it did not exist.")
	}
	if p := r.Replaced; p != nil && !p.Local {
		by := p.Path
		if p.Version != "" {
			by += "@" + p.Version
		}
		asked.Text = append(asked.Text, fmt.Sprintf("%s replaces it: go asks for %s instead.", p.Place, by))
	}
	asked.Rows = visitRows(r.Visits)
	if r.Error != "" {
		asked.Text = append(asked.Text, "Nobody is asked: go refuses the list. "+r.Error)
	}
	blocks := []render.Block{asked}
	if p := patternsBlock(r.Patterns); p.Rows != nil {
		blocks = append(blocks, p)
	}
	if len(r.Checksum) > 0 {
		blocks = append(blocks, render.Block{Title: "Its checksums come from", Rows: visitRows(r.Checksum)})
	}
	return blocks
}

func visitRows(list []explain.Visit) (rows [][]render.Cell) {
	for i, v := range list {
		rows = append(rows, []render.Cell{{Text: fmt.Sprint(i + 1)}, {Text: "ask"}, {Text: v.Ask, Tone: render.Good}})
		line := func(what, text string) {
			if text != "" {
				rows = append(rows, []render.Cell{{Text: ""}, {Text: what, Tone: render.Dim}, {Text: text}})
			}
		}
		if len(list) > 1 || v.If != "first" {
			line("when", v.If)
		}
		for _, request := range v.Requests {
			line("get", request)
		}
		line("credentials", v.Credentials)
		line("note", v.Note)
	}
	return rows
}

func patternsBlock(list []explain.Pattern) render.Block {
	b := render.Block{Title: "Which patterns cover it", Head: []string{"variable", "comes from", "so the module"}}
	for _, p := range list {
		match := render.Cell{Text: "no pattern matches: it " + p.Means, Tone: render.Dim}
		if p.Match != "" {
			match = render.Cell{Text: fmt.Sprintf("%q matches: it %s", p.Match, p.Means)}
		}
		b.Rows = append(b.Rows, []render.Cell{{Text: p.Variable}, {Text: p.Place}, match})
		for _, n := range p.Near {
			text := fmt.Sprintf("nearly: %q, but %s", n.Pattern, n.Reason)
			if n.Write != "" {
				text += fmt.Sprintf("; write %q", n.Write)
			}
			b.Rows = append(b.Rows, []render.Cell{{Text: ""}, {Text: ""}, {Text: text, Tone: render.Warn}})
		}
	}
	return b
}

var fateTones = map[explain.Fate]render.Tone{
	explain.Served: render.Good, explain.Next: render.Good, explain.Direct: render.Good, explain.Unasked: render.Dim,
	explain.Off: render.Bad, explain.Stop: render.Bad, explain.NotFound: render.Bad, explain.Fatal: render.Bad,
	explain.Forever: render.Bad, explain.Swallowed: render.Warn,
}

// legend says what the words of a truth table mean, those that occur in it.
var legend = []struct {
	fate explain.Fate
	text string
}{
	{explain.Next, "next: the next entry is asked"},
	{explain.Direct, "direct: go turns to version control, for sumdb to the database itself"},
	{explain.Stop, "stop: go fails with this proxy's error, and asks nobody else"},
	{explain.Off, "off: go fails because of \"off\", and does not show this proxy's error"},
	{explain.NotFound, "not found: nobody is left to ask, so go fails"},
	{explain.Fatal, "fatal: the content is refused when nobody else can be asked any more"},
	{explain.Forever, "for ever: go has no limit for a silent proxy"},
	{explain.Swallowed, "swallowed: go believes the wrong content, and keeps it in the module cache"},
}

// tableBlocks shows a truth table, a block for each entry of the chain.
func tableBlocks(t *explain.Table) (blocks []render.Block) {
	head := []string{"answers"}
	for _, c := range explain.Columns() {
		head = append(head, string(c))
	}
	seen, means := map[explain.Fate]bool{}, []string{}
	for i, row := range t.Rows {
		if i == 0 || row.Entry != t.Rows[i-1].Entry {
			blocks = append(blocks, render.Block{Title: fmt.Sprintf("Entry %d: %s%s", row.Entry+1, row.Proxy, then(row.Separator)), Head: head})
		}
		cells := []render.Cell{{Text: row.When}}
		for _, c := range row.Cells {
			seen[c.Fate] = true
			cells = append(cells, render.Cell{Text: string(c.Fate), Tone: fateTones[c.Fate]})
		}
		b := &blocks[len(blocks)-1]
		b.Rows = append(b.Rows, cells)
		if text := row.When + ": " + row.Text; row.Text != "" && !slices.Contains(means, text) {
			means = append(means, text)
		}
	}
	if len(blocks) == 0 {
		return []render.Block{{Text: []string{"GOPROXY names no proxy, so none can fail."}}}
	}
	last := &blocks[len(blocks)-1]
	for _, l := range legend {
		if seen[l.fate] {
			last.Notes = append(last.Notes, l.text)
		}
	}
	if len(means) > 0 {
		last.Notes = append(last.Notes, strings.Join(means, "; ")+".")
	}
	last.Notes = append(last.Notes, "Entries before are taken to say 404, entries behind to be healthy. True bytes are vouched for by: "+t.Vouch+".")
	return blocks
}

func then(separator string) string {
	switch separator {
	case "|":
		return " (then a bar: next after any error)"
	case ",":
		return " (then a comma: next after 404 and 410 alone)"
	}
	return " (the last one)"
}

// needsBlocks shows what a command asks for and what kills it.
func needsBlocks(r *explain.CommandReport) []render.Block {
	needs := render.Block{Title: r.Line, Text: []string{"Requests: " + r.Order + "."}, Head: []string{"file", "is"}}
	for _, n := range r.Needs {
		text := string(n.Need)
		if n.Need == explain.No {
			text = "not asked for"
		}
		needs.Rows = append(needs.Rows, render.Cells(string(n.File), text))
	}
	rows := render.Block{Title: "What becomes of it if a proxy fails", Head: []string{"proxy", "answers", "at everything", "at one kind of file alone"}}
	for _, row := range r.Rows {
		by := map[explain.Outcome][]string{}
		var order []explain.Outcome
		for _, o := range row.Outcomes {
			if by[o.Outcome] == nil {
				order = append(order, o.Outcome)
			}
			by[o.Outcome] = append(by[o.Outcome], string(o.File))
		}
		var parts []string
		for _, o := range order {
			parts = append(parts, fmt.Sprintf("%s: %s", strings.Join(by[o], " "), o))
		}
		tone := map[explain.Outcome]render.Tone{explain.GoesOn: render.Good, explain.Dies: render.Bad, explain.Hangs: render.Bad, explain.Misled: render.Warn, explain.MayDie: render.Warn}
		rows.Rows = append(rows.Rows, []render.Cell{{Text: row.Proxy}, {Text: row.When}, {Text: string(row.Worst), Tone: tone[row.Worst]}, {Text: strings.Join(parts, "; "), Tone: render.Dim}})
	}
	return []render.Block{needs, rows}
}

// waitsBlock shows the worst waiting times.
func waitsBlock(e *explanation) render.Block {
	b := render.Block{
		Title: fmt.Sprintf("Waiting at worst, with the %d modules of go.sum and %d at a time", e.Size.Mods, e.Size.Workers),
		Head:  []string{"command", "proxy", "answers", "time", "then, and why"},
	}
	for _, w := range e.Waits {
		took := render.Cell{Text: report.Round(time.Duration(w.Seconds * float64(time.Second))).String()}
		if w.Seconds < 0 {
			took = render.Cell{Text: "for ever", Tone: render.Bad}
		}
		b.Rows = append(b.Rows, []render.Cell{{Text: w.Command}, {Text: w.Proxy}, {Text: w.When}, took, {Text: w.Then + ": " + w.Formula, Tone: render.Dim}})
	}
	b.Notes = []string{"A dead proxy is never remembered: every module and file pays again, and so does every go command. An agent in front of the proxies, or a time limit on the step, bounds this."}
	return b
}
