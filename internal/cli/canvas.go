package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/org/goproxy-setup/internal/render"
)

// A canvas is some lines of a terminal that are drawn over and over, and leave
// nothing behind. A nil canvas draws nothing.
type canvas struct {
	w     io.Writer
	width int
	drawn int // lines on the screen
}

// newCanvas returns a canvas on the terminal that stderr is, nil if it is none
// or the log of a CI system.
func newCanvas(h Host) *canvas {
	if h.ErrWidth <= 0 || h.Getenv("TERM") == "dumb" || h.Getenv("CI") != "" {
		return nil
	}
	return &canvas{w: h.Stderr, width: h.ErrWidth}
}

// draw shows the lines in place of those before, each cut to the width. There
// are always as many.
func (c *canvas) draw(lines []string) {
	if c == nil {
		return
	}
	var b strings.Builder
	c.up(&b)
	for _, s := range lines {
		line := []rune(render.LogLine(s))
		b.WriteString(string(line[:min(len(line), c.width-1)]) + "\x1b[K\n")
	}
	c.drawn = len(lines)
	io.WriteString(c.w, b.String())
}

// up moves to the first line.
func (c *canvas) up(b *strings.Builder) {
	if c.drawn > 0 {
		fmt.Fprintf(b, "\x1b[%dA\r", c.drawn)
	}
}

// clear removes the lines.
func (c *canvas) clear() {
	if c == nil {
		return
	}
	var b strings.Builder
	c.up(&b)
	b.WriteString("\x1b[J")
	c.drawn = 0
	io.WriteString(c.w, b.String())
}
