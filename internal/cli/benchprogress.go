package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/org/goproxy-setup/internal/bench"
	"github.com/org/goproxy-setup/internal/render"
	"github.com/org/goproxy-setup/internal/report"
)

// A benchProgress shows how far a measurement is: on a terminal by lines that
// are drawn over and over, elsewhere by one line now and then.
type benchProgress struct {
	canvas *canvas
	log    io.Writer // where there is no terminal
	phase  string
	told   time.Duration // when the last lines were written
	last   map[string]string
}

// logEvery is the time between two lines in a log.
const logEvery = 10 * time.Second

func newBenchProgress(h Host) *benchProgress {
	p := &benchProgress{canvas: newCanvas(h), last: map[string]string{}}
	if p.canvas == nil {
		p.log = h.Stderr
	}
	return p
}

func (p *benchProgress) show(s bench.Progress) {
	if p.canvas != nil {
		lines := []string{fmt.Sprintf("%s, %s", s.Phase, s.Elapsed.Round(time.Second))}
		longest := 0
		for _, r := range s.Rows {
			longest = max(longest, len(r.Name))
		}
		for _, r := range s.Rows {
			lines = append(lines, fmt.Sprintf("  %-*s  %s", longest, r.Name, benchState(r, p.canvas.width >= 80)))
		}
		p.canvas.draw(lines)
		return
	}
	if s.Phase == p.phase && s.Elapsed < p.told+logEvery {
		return
	}
	if s.Phase != p.phase { // nothing has happened in it yet
		p.phase, p.told = s.Phase, s.Elapsed
		fmt.Fprintf(p.log, "bench: %s\n", s.Phase)
		return
	}
	p.told = s.Elapsed
	for _, r := range s.Rows {
		line := r.Name + ": " + benchState(r, false)
		if line != p.last[r.Name] {
			fmt.Fprintf(p.log, "bench: %s\n", render.LogLine(line))
		}
		p.last[r.Name] = line
	}
}

// benchState says how far one proxy is, with a bar if there is room.
func benchState(r bench.ProgressRow, bar bool) string {
	if r.Dead != "" {
		return "not loaded: " + string(r.Dead)
	}
	s := fmt.Sprint(r.Done)
	if r.Total > 0 {
		s = fmt.Sprintf("%d of %d", r.Done, r.Total)
	}
	if bar && r.Total > 0 {
		const width = 20
		full := min(r.Done*width/r.Total, width)
		s = strings.Repeat("█", full) + strings.Repeat("░", width-full) + " " + s
	}
	if r.P50 > 0 {
		s += fmt.Sprintf(", p50 %s, p95 %s", report.Round(r.P50), report.Round(r.P95))
	}
	if r.Failed > 0 {
		s += fmt.Sprintf(", %d failed", r.Failed)
	}
	return s
}

func (p *benchProgress) done() { p.canvas.clear() }
