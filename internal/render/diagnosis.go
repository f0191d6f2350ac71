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
		value = max(value, columns(LogLine(s.Value)))
	}
	beside := w.width - 2 - name - 2 - value - 2 // room for the source
	for _, s := range r.InForce {
		line := "  " + pad(LogLine(s.Name), name, false) + "  "
		if longest := columns(LogLine(s.Why)); beside >= longest {
			w.line(line + pad(LogLine(s.Value), value, false) + "  " + LogLine(s.Why))
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
