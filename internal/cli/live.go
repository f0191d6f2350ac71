package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/probe"
	"github.com/org/goproxy-setup/internal/render"
)

// A live table shows, on a terminal, what each proxy is being asked. It draws
// over itself and leaves nothing behind.
type live struct {
	w     io.Writer // nil draws nothing
	width int
	order []string
	state map[string]string
	known map[string]bool // entries whose verdict is there
	drawn int             // lines on the screen
}

func newLive(h Host, s *policy.Settings) *live {
	l := &live{state: map[string]string{}, known: map[string]bool{}}
	if h.ErrWidth <= 0 || h.Getenv("TERM") == "dumb" || h.Getenv("CI") != "" {
		return l
	}
	l.w, l.width = h.Stderr, h.ErrWidth
	for _, e := range s.Proxies() {
		l.order = append(l.order, e.Name)
		l.state[e.Name] = "connecting"
	}
	l.draw()
	return l
}

// show takes one step of the probe.
func (l *live) show(e probe.Event) {
	if l.w == nil {
		return
	}
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
	var b strings.Builder
	l.up(&b)
	longest := 0
	for _, name := range l.order {
		longest = max(longest, len(name))
	}
	for _, name := range l.order {
		line := []rune(render.LogLine(fmt.Sprintf("  %-*s  %s", longest, name, l.state[name])))
		b.WriteString(string(line[:min(len(line), l.width-1)]) + "\x1b[K\n")
	}
	l.drawn = len(l.order)
	io.WriteString(l.w, b.String())
}

// up moves to the first line of the table.
func (l *live) up(b *strings.Builder) {
	if l.drawn > 0 {
		fmt.Fprintf(b, "\x1b[%dA\r", l.drawn)
	}
}

// done removes the table.
func (l *live) done() {
	if l.w == nil {
		return
	}
	var b strings.Builder
	l.up(&b)
	b.WriteString("\x1b[J")
	io.WriteString(l.w, b.String())
}
