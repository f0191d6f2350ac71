//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// onSmallDisk is a command line that mounts a disk of five megabytes, which the
// command behind it alone sees, as the folder "store" of its working directory;
// first fills it by the shell command if there is one.
func onSmallDisk(t *testing.T, first string) []string {
	t.Helper()
	by := []string{"unshare", "--mount"}
	if os.Getuid() != 0 {
		by = append(by, "--map-root-user")
	}
	if r := run(t, t.TempDir(), environ(), by[0], append(by[1:], "mount", "-t", "tmpfs", "none", "/mnt")...); r.exit != 0 {
		skip(t, "this machine does not let a test mount a disk: %s", r.stderr)
	}
	script := "mkdir -p store && mount -t tmpfs -o size=5m none store && " + first + `exec "$@"`
	return append(by, "sh", "-c", script, "sh")
}

// A disk that is full costs what the store holds, then an answer that says so;
// when there is room again the agent goes on, as if nothing had been.
func TestAgentFullDisk(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	a := startAgentBy(t, onSmallDisk(t, ""), agentPolicy(p.URL, p.URL+"/ok=second"))
	get := func(url, path string) (int, string) {
		t.Helper()
		resp, err := http.Get(url + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		return resp.StatusCode, string(body)
	}
	right := func(when, path string) {
		t.Helper()
		_, want := get(p.URL, path)
		if status, got := get(a.url, path); status != 200 || got != want {
			t.Errorf("%s: %s: %d, %d bytes of %d: %.300q", when, path, status, len(got), len(want), got)
		}
	}
	for i := range 6 {
		right("while the store fills the disk", fmt.Sprintf("/golang.org/toolchain/@v/v0.0.1-go1.99.%d.linux-amd64.zip", i)) // of two megabytes
	}
	if !strings.Contains(a.logText(), "files removed to make room") {
		t.Errorf("nothing was removed:\n%s", a.logText())
	}

	// Something else takes the disk: /proc shows it as the agent sees it.
	other := filepath.Join(fmt.Sprintf("/proc/%d/root", a.cmd.Process.Pid), a.store, "other")
	if err := os.WriteFile(other, make([]byte, 8<<20), 0o644); err == nil {
		t.Fatal("the disk takes eight megabytes")
	}
	big := "/" + strings.Replace(proxytest.BigModule, "@", "/@v/", 1) + ".zip" // of five, and there are less
	status, text := get(a.url, big)
	if status != http.StatusServiceUnavailable || !strings.Contains(text, "no space left on device") || !strings.Contains(text, "next: ") {
		t.Errorf("on a full disk: %d %.300q", status, text)
	}
	if _, text := get(a.url, "/metrics"); !strings.Contains(text, `goproxy_setup_upstream_up{proxy="first"} 1`) {
		t.Errorf("the full disk was held against the proxy:\n%s", text)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	right("with room again", big)
	a.stop(t)
}

// An agent that finds no room at its start says what is wrong, where.
func TestAgentStartsOnFullDisk(t *testing.T) {
	line := append(onSmallDisk(t, "{ head -c 8000000 /dev/zero >store/other || true; } && mkdir store/store && "), program(t), "agent", "--chain", "https://proxy.example.com", "--store", "store/store", "--listen", "127.0.0.1:0")
	r := run(t, t.TempDir(), environ("GOENV=off"), line[0], line[1:]...)
	if r.exit != 3 || !strings.Contains(r.stderr, "store/store") || !strings.Contains(r.stderr, "no space left on device") {
		t.Errorf("%+v", r)
	}
}

// Nor does it start on a disk that cannot be written.
func TestAgentStartsOnReadOnlyDisk(t *testing.T) {
	for name, first := range map[string]string{"empty": "", "with a store": "cp -r \"$SEED\" store/store && "} {
		seed := t.TempDir()
		s, err := store.Open(seed, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		line := append(onSmallDisk(t, first+"mount -o remount,ro store && "), program(t), "agent", "--chain", "https://proxy.example.com", "--store", "store/store", "--listen", "127.0.0.1:0")
		r := run(t, t.TempDir(), environ("GOENV=off", "SEED="+seed), line[0], line[1:]...)
		if r.exit != 3 || !strings.Contains(r.stderr, "store/store") || !strings.Contains(r.stderr, "read-only file system") {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
