package cli

import (
	"fmt"

	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/probe"
)

// A live table shows, on a terminal, what each proxy is being asked. It draws
// over itself and leaves nothing behind.
type live struct {
	canvas *canvas
	order  []string
	state  map[string]string
	known  map[string]bool // entries whose verdict is there
}

func newLive(h Host, s *policy.Settings) *live {
	l := &live{canvas: newCanvas(h), state: map[string]string{}, known: map[string]bool{}}
	for _, e := range s.Proxies() {
		l.order = append(l.order, e.Name)
		l.state[e.Name] = "connecting"
	}
	l.draw()
	return l
}

// show takes one step of the probe.
func (l *live) show(e probe.Event) {
	if _, ok := l.state[e.Entry]; !ok {
		return // a route to the checksum database
	}
	switch {
	case e.Kind == "" && e.Class == "":
		l.state[e.Entry] = fmt.Sprintf("ok after %s", e.Took.Round(1e6))
	case e.Kind == "":
		l.state[e.Entry] = fmt.Sprintf("%s after %s", e.Class, e.Took.Round(1e6))
	case e.Done || l.known[e.Entry]: // news of a request may come after the verdict
		return
	default:
		l.state[e.Entry] = "asking for " + string(e.Kind)
	}
	l.known[e.Entry] = e.Kind == ""
	l.draw()
}

func (l *live) draw() {
	longest := 0
	for _, name := range l.order {
		longest = max(longest, len(name))
	}
	var lines []string
	for _, name := range l.order {
		lines = append(lines, fmt.Sprintf("  %-*s  %s", longest, name, l.state[name]))
	}
	l.canvas.draw(lines)
}

// done removes the table.
func (l *live) done() { l.canvas.clear() }
