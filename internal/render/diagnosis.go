package render

import (
	"fmt"
	"strings"

	"github.com/org/goproxy-setup/internal/report"
)

// heading writes a line above what follows.
func (w *screen) heading(text string) {
	if w.Len() > 0 {
		w.WriteString("\n")
	}
	w.WriteString(w.colour(bold, fit(LogLine(text), w.width)) + "\n")
}

// inForce writes a row for each setting: its value and where that comes from.
func (w *screen) inForce(r *report.Report) {
	if len(r.InForce) == 0 {
		return
	}
	w.heading("Settings")
	name, value := 0, 0
	for _, s := range r.InForce {
		name = max(name, columns(LogLine(s.Name)))
		if n := columns(LogLine(s.Value)); n <= w.width/2 { // a longer one has lines of its own
			value = max(value, n)
		}
	}
	for _, s := range r.InForce {
		line := "  " + pad(LogLine(s.Name), name, false) + "  "
		beside := line + pad(LogLine(s.Value), value, false) + "  " + LogLine(s.Why)
		if columns(beside) <= w.width {
			w.line(beside)
			continue
		}
		for i, part := range wrap(visible(s.Value), w.width-4-name) {
			if i > 0 {
				line = strings.Repeat(" ", name+4)
			}
			w.line(line + part)
		}
		w.text("from "+s.Why, name+4)
	}
	if len(r.Proxies) > 0 {
		w.heading("Proxies")
	}
}

// checks writes what the checks saw that found nothing, and how many were made.
func (w *screen) checks(r *report.Report) {
	if len(r.Checks) == 0 {
		return
	}
	w.heading("Checks")
	made, skipped := 0, 0
	for _, c := range r.Checks {
		switch {
		case c.Skipped:
			skipped++
			continue
		case c.OK && c.Detail != "":
			id, _, _ := strings.Cut(c.Name, " ")
			for i, line := range wrap(visible(id+" "+c.Detail), w.width-4) {
				lead := "  " + w.mark(report.Usable) + " "
				if i > 0 {
					lead = "    "
				}
				w.WriteString(lead + LogLine(line) + "\n")
			}
		}
		made++
	}
	w.text(fmt.Sprintf("%d checks were made, %d do not apply here.", made, skipped), 2)
}
