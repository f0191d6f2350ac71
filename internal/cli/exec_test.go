//go:build unix

package cli

import (
	"bufio"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/org/goproxy-setup/internal/proxytest"
)

// A signal reaches the command, whose answer to it is the answer; nothing is
// left in the temporary folder, and the report comes all the same.
func TestExecPassesSignalsOn(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	for name, tt := range map[string]struct {
		signal syscall.Signal
		script string
		exit   int
	}{
		"interrupt, handled":    {syscall.SIGINT, `trap 'exit 7' INT; echo ready; while :; do sleep 0.01; done`, 7},
		"terminate, handled":    {syscall.SIGTERM, `trap 'exit 8' TERM; echo ready; while :; do sleep 0.01; done`, 8},
		"hang up, handled":      {syscall.SIGHUP, `trap 'exit 9' HUP; echo ready; while :; do sleep 0.01; done`, 9},
		"terminate, not caught": {syscall.SIGTERM, `echo ready; exec sleep 600`, 128 + 15},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			cmd := exec.CommandContext(t.Context(), "goproxy-setup", "agent", "--exec", "--chain", p.URL, "--", "sh", "-c", tt.script)
			cmd.Dir = dir
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GOENV=off", "TMPDIR=" + dir}
			var stderr strings.Builder
			cmd.Stderr = &stderr
			out, err := cmd.StdoutPipe()
			if err == nil {
				err = cmd.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			if !lines.Scan() || lines.Text() != "ready" {
				t.Fatalf("the command printed %q (%v)", lines.Text(), lines.Err())
			}
			if stores, _ := filepath.Glob(filepath.Join(dir, "goproxy-setup-agent-*")); len(stores) != 1 {
				t.Errorf("stores while it runs: %q; want one", stores)
			}
			if err := cmd.Process.Signal(tt.signal); err != nil {
				t.Fatal(err)
			}
			for lines.Scan() {
				t.Errorf("stdout also has %q", lines.Text())
			}
			cmd.Wait()
			if got := cmd.ProcessState.ExitCode(); got != tt.exit || !strings.Contains(stderr.String(), "No module was asked for.") {
				t.Errorf("exit %d, stderr %q; want exit %d and a report", got, stderr.String(), tt.exit)
			}
			if stores, _ := filepath.Glob(filepath.Join(dir, "goproxy-setup-*")); len(stores) != 0 {
				t.Errorf("%q is left", stores)
			}
		})
	}
}
