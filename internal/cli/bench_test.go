package cli

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/bench"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// On a terminal the state of each proxy is drawn, and gone when the figures are
// there; elsewhere it is a line now and then.
func TestBenchOnTerminal(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	for _, tt := range []struct {
		name    string
		columns int
		env     string
		shell   string
		drawn   bool
		colour  bool
	}{
		{"wide", 120, "", "BENCH", true, true},
		{"narrow", 60, "", "BENCH", true, true},
		{"no colour", 120, "NO_COLOR=1", "BENCH", true, false},
		{"stdout to a file", 60, "", "BENCH >out", true, false},
		{"stderr to a file", 60, "", "BENCH 2>err", false, true},
		{"dumb terminal", 60, "TERM=dumb", "BENCH", false, false},
		{"log of a CI system", 60, "CI=true", "BENCH", false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			args := "goproxy-setup bench --requests 20 --timeout 1s " + p.URL + " " + p.URL + "/zip:502 http://" + p.Refuse
			shell := strings.ReplaceAll(tt.shell, "BENCH", args) + " || true" // for the dead one the exit code is 1
			raw := onTerminal(t, dir, tt.columns, tt.env, shell)
			s := newScreen(tt.columns)
			s.write(raw)
			if s.unknown != "" {
				t.Errorf("the terminal was sent %q", s.unknown)
			}
			if got := strings.Contains(raw, "\x1b[K"); got != tt.drawn {
				t.Errorf("drawn: %v; want %v", got, tt.drawn)
			}
			if got := strings.Contains(raw, "\x1b[31m"); got != tt.colour {
				t.Errorf("colours: %v; want %v", got, tt.colour)
			}
			text := s.text()
			if tt.drawn && (strings.Contains(text, "measuring") || strings.Contains(text, "checking")) {
				t.Error("the state stays on the screen")
			}
			if first, _, _ := strings.Cut(text, "\n"); tt.drawn && !strings.Contains(shell, ">out") && !strings.HasPrefix(first, "20 requests to each proxy") {
				t.Errorf("the first line is %q", first)
			}
			for line := range strings.Lines(text) {
				if n := len([]rune(strings.TrimRight(line, "\n"))); n > tt.columns {
					t.Errorf("%d columns: %s", n, line)
				}
			}
			for _, file := range []string{"out", "err"} {
				if data, _ := os.ReadFile(filepath.Join(dir, file)); strings.Contains(string(data), "\x1b") {
					t.Errorf("%s holds\n%q", file, data)
				}
			}
			if t.Failed() {
				t.Logf("sent:\n%q\nthe screen:\n%s", raw, text)
			}
		})
	}
}

// Where there is no terminal a line is written when a phase begins, and then
// every ten seconds for each proxy.
func TestBenchProgressLines(t *testing.T) {
	h, _, stderr := host(t, nil)
	p := newBenchProgress(h)
	rows := []bench.ProgressRow{{Name: "a\n::error::x", Done: 5, Total: 10, Failed: 1, P50: 12 * time.Millisecond, P95: 31 * time.Millisecond}, {Name: "b", Dead: "refused"}}
	for _, s := range []bench.Progress{
		{Phase: "checking"}, {Phase: "checking", Elapsed: time.Second}, {Phase: "measuring", Elapsed: 3 * time.Second, Rows: rows},
		{Phase: "measuring", Elapsed: 12 * time.Second, Rows: rows}, {Phase: "measuring", Elapsed: 13 * time.Second, Rows: rows}, {Phase: "measuring", Elapsed: 14 * time.Second, Rows: rows},
	} {
		p.show(s)
	}
	p.done()
	want := "bench: checking\nbench: measuring\nbench: a ::error::x: 5 of 10, p50 12ms, p95 31ms, 1 failed\nbench: b: not loaded: refused\n"
	if stderr.String() != want {
		t.Errorf("got\n%s; want\n%s", stderr, want)
	}
}

// The state fits its line, and has a bar where there is room.
func TestBenchProgressDrawn(t *testing.T) {
	for _, columns := range []int{60, 120} {
		h, _, stderr := host(t, nil)
		h.ErrWidth = columns
		p := newBenchProgress(h)
		p.show(bench.Progress{Phase: "measuring", Elapsed: 3 * time.Second, Rows: []bench.ProgressRow{
			{Name: "mirror", Done: 300, Total: 1200, P50: 12 * time.Millisecond, P95: 31 * time.Millisecond}, {Name: strings.Repeat("long", 10), Done: 3},
		}})
		s := newScreen(columns)
		s.write(strings.ReplaceAll(stderr.String(), "\n", "\r\n"))
		if n := strings.Count(s.text(), "\n"); n != 3 || strings.Contains(s.text(), "█████░░░") != (columns == 120) {
			t.Errorf("%d columns:\n%s", columns, s.text())
		}
		p.done()
	}
}

// Ctrl-C in the middle shows what was measured so far, in whatever form, and
// exits 3.
func TestBenchInterrupted(t *testing.T) {
	for _, format := range []string{"table", "json"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			p := proxytest.New(t, proxytest.Options{})
			dir := t.TempDir()
			cmd := exec.CommandContext(t.Context(), "goproxy-setup", "bench", "--format", format, "--duration", "1h", "--concurrency", "2", p.URL+"/slow=5ms")
			cmd.Dir = dir
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GOENV=off", "GOSUMDB=" + proxytest.GOSUMDB}
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			for len(p.Requests()) < 100 { // of which some 40 are no load
				time.Sleep(time.Millisecond)
			}
			cmd.Process.Signal(os.Interrupt)
			err := cmd.Wait()
			if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.ExitCode() != ExitFailed {
				t.Errorf("%v; want exit %d\n%s", err, ExitFailed, &stderr)
			}
			want := "interrupted, so far: requests to each proxy within 1h0m0s"
			if format == "json" {
				want = `"interrupted": true`
			}
			if !strings.Contains(stdout.String(), want) || !strings.Contains(stderr.String(), "signal") {
				t.Errorf("stdout\n%s\nstderr\n%s", &stdout, &stderr)
			}
			if strings.Contains(stdout.String(), "not yet") {
				t.Errorf("nothing was measured:\n%s", &stdout)
			}
		})
	}
}
