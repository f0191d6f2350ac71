//go:build unix

package cli

import (
	"bytes"
	"errors"
	"net"
	"os"
	"os/exec"
	"syscall"
	"testing"
)

// A signal in the middle of the probe: exit 3, nothing exported, and a
// script that evaluates our output stops.
func TestInterrupted(t *testing.T) {
	for _, sig := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		t.Run(sig.String(), func(t *testing.T) {
			t.Parallel()
			silent, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer silent.Close()
			dir := t.TempDir()
			cmd := exec.CommandContext(t.Context(), "goproxy-setup", "setup", "--format", "shell", "--chain", "http://"+silent.Addr().String()+",direct",
				"--timeout", "5m", "--write", "json=report.json", "--write", "dotenv=out.env")
			cmd.Dir = dir
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GOENV=off", "HTTPS_PROXY=http://" + silent.Addr().String(), "TMPDIR=" + dir}
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			conn, err := silent.Accept() // now it probes
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			cmd.Process.Signal(sig)
			err = cmd.Wait()
			if e, ok := errors.AsType[*exec.ExitError](err); !ok || e.ExitCode() != ExitFailed {
				t.Errorf("%v; want exit %d\n%s", err, ExitFailed, &stderr)
			}
			if stdout.String() != "(exit 3)\n" {
				t.Errorf("stdout %q; want (exit 3)", &stdout)
			}
			if !bytes.Contains(stderr.Bytes(), []byte("signal")) {
				t.Errorf("stderr %q; want the signal named", &stderr)
			}
			if left, err := os.ReadDir(dir); len(left) > 0 || err != nil {
				t.Errorf("left behind: %v, %v", left, err)
			}
		})
	}
}
