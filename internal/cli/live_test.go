package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/probe"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// On a terminal a table shows what each proxy is being asked, and is gone when
// the answer is there: on the screen stays what stdout alone holds.
func TestLiveTable(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	policy := strings.NewReplacer("PROXY", p.URL, "SILENT", p.Silent).Replace(`version: 1
proxies:
  broken: { url: "PROXY/502" }
  silent: { url: "http://SILENT" }
  a-portal-with-a-long-name: { url: "PROXY/html" }
  good: { url: "PROXY/slow=20ms" }
environments:
  default: { chain: [broken, silent, a-portal-with-a-long-name, good, direct], probe: { timeout: 300ms } }
`)
	for _, tt := range []struct {
		name    string
		columns int
		env     string
		shell   string // SETUP is the program
		drawn   bool
		colour  bool
	}{
		{"wide", 120, "", "SETUP", true, true},
		{"narrow", 60, "", "SETUP", true, true},
		{"very narrow", 36, "", "SETUP", true, true},
		{"no colour", 120, "NO_COLOR=1", "SETUP", true, false},
		{"between other lines", 60, "", "echo above; SETUP; echo below", true, true},
		{"a failure", 60, "", "SETUP --on-fallback fail || true", true, true},
		{"stdout to a file", 60, "", "SETUP >out", true, false},
		{"stdout to a shell", 60, "", `eval "$(SETUP --format shell)"`, true, false},
		{"stderr to a file", 60, "", "SETUP 2>err", false, true},
		{"dumb terminal", 60, "TERM=dumb", "SETUP", false, false},
		{"log of a CI system", 60, "CI=true", "SETUP", false, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, ".goproxy-setup.yaml"), []byte(policy), 0o644); err != nil {
				t.Fatal(err)
			}
			raw := onTerminal(t, dir, tt.columns, tt.env, strings.ReplaceAll(tt.shell, "SETUP", "goproxy-setup setup"))
			s := newScreen(tt.columns)
			s.write(raw)
			if s.unknown != "" {
				t.Errorf("the terminal was sent %q", s.unknown)
			}
			if got := strings.Contains(raw, "\x1b[K"); got != tt.drawn {
				t.Errorf("a table was drawn: %v; want %v", got, tt.drawn)
			}
			if got := strings.Contains(raw, "\x1b[31m"); got != tt.colour {
				t.Errorf("colours: %v; want %v", got, tt.colour)
			}
			checkScreen(t, s.text(), tt.shell)
			for _, file := range []string{"out", "err"} { // no drawing outside the terminal
				if data, _ := os.ReadFile(filepath.Join(dir, file)); strings.Contains(string(data), "\x1b") {
					t.Errorf("%s holds\n%q", file, data)
				}
			}
			if t.Failed() {
				t.Logf("sent:\n%q\nthe screen:\n%s", raw, s.text())
			}
		})
	}
}

// checkScreen checks that the screen shows the result from its first line on,
// and nothing of the table.
func checkScreen(t *testing.T, text, shell string) {
	t.Helper()
	for _, left := range []string{"connecting", "asking for", "ok after", "error after", "silent after"} {
		if strings.Contains(text, left) {
			t.Errorf("%q stays on the screen", left)
		}
	}
	if above, ok := strings.CutPrefix(text, "above\n"); ok != strings.Contains(shell, "above") {
		t.Errorf("the line above is there: %v", ok)
	} else {
		text = above
	}
	first, _, _ := strings.Cut(text, "\n")
	if elsewhere := strings.Contains(shell, ">out"); elsewhere != (text == "\n") {
		t.Errorf("the screen is empty: %v; want %v", text == "\n", elsewhere)
	} else if !elsewhere && !strings.HasPrefix(first, "✗ broken") {
		t.Errorf("the first line is %q; want that of the first proxy", first)
	}
	if strings.Contains(shell, "below") != strings.HasSuffix(text, "\nbelow\n") {
		t.Error("the line below is not the last one")
	}
}

// News of a request that arrives after the verdict changes nothing any more.
func TestLiveTableKeepsVerdicts(t *testing.T) {
	h, _, stderr := host(t, nil)
	h.ErrWidth = 80
	l := newLive(h, &policy.Settings{Chain: []policy.Entry{{Name: "a"}, {Name: "b"}, {Name: "direct"}}})
	for _, e := range []probe.Event{
		{Entry: "a", Kind: decision.Zip},
		{Entry: "b", Kind: decision.Zip},
		{Entry: "a", Done: true, Class: decision.Refused, Took: 3 * time.Millisecond},
		{Entry: "a", Kind: decision.List},
		{Entry: "a", Kind: decision.List, Done: true},
		{Entry: "sumdb.example.com", Kind: decision.SumDB},
	} {
		l.show(e)
	}
	s := newScreen(80)
	s.write(strings.ReplaceAll(stderr.String(), "\n", "\r\n"))
	if want := "  a  refused after 3ms\n  b  asking for zip\n"; s.text() != want {
		t.Errorf("the table is\n%s; want\n%s", s.text(), want)
	}
}

// onTerminal runs a shell command on a terminal of its own, and returns what
// that was sent.
func onTerminal(t *testing.T, dir string, columns int, env, shell string) string {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: script(1) has other options on this system")
	}
	if _, err := exec.LookPath("script"); err != nil {
		t.Skip("SKIPPED: script(1) of util-linux is not installed, so there is no terminal")
	}
	shell = "stty cols " + strconv.Itoa(columns) + " rows 24; " + shell
	cmd := exec.CommandContext(t.Context(), "script", "--quiet", "--return", "--command", shell, "/dev/null")
	cmd.Dir = dir
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "SHELL=/bin/sh", "TERM=xterm", "GOENV=off",
		"GOSUMDB=" + proxytest.GOSUMDB, "HTTPS_PROXY=http://127.0.0.1:1",
	}
	if env != "" {
		cmd.Env = append(cmd.Env, env)
	}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", shell, err, out)
	}
	return string(out)
}
