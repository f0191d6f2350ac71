package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestToolchain(t *testing.T) {
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("SKIPPED: there is no go command")
	}
	for _, tt := range []struct{ name, mode, gomod, gowork, want string }{
		{"older", "auto", "module m\ngo 1.21.0\n", "", ""},
		{"go line", "auto", "module m\ngo 1.99.3\n", "", "go1.99.3"},
		{"go line without a patch", "auto", "module m\ngo 1.99\n", "", "go1.99.0"},
		{"newer toolchain", "auto", "module m\ngo 1.21.0\ntoolchain go1.99.3\n", "", "go1.99.3"},
		{"older toolchain", "auto", "module m\ngo 1.99.3\ntoolchain go1.24.0\n", "", "go1.99.3"},
		{"default toolchain", "auto", "module m\ngo 1.99.0\ntoolchain default\n", "", ""},
		{"go.work decides", "auto", "module m\ngo 1.99.0\n", "go 1.21.0\nuse ./sub\n", ""},
		{"go.work is newer", "auto", "module m\ngo 1.21.0\n", "go 1.99.0\nuse ./sub\n", "go1.99.0"},
		{"local", "local", "module m\ngo 1.99.0\n", "", ""},
		{"path", "path", "module m\ngo 1.99.0\n", "", ""},
		{"pinned", "go1.98.0", "module m\ngo 1.97.0\n", "", "go1.98.0"},
		{"refused", "1.98.0", "module m\ngo 1.99.0\n", "", ""},
		{"neither", "auto", "module m\n", "", ""},
		{"garbage", "auto", "<html>", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			sub := filepath.Join(dir, "sub", "package")
			if err := os.MkdirAll(sub, 0o755); err != nil {
				t.Fatal(err)
			}
			for name, text := range map[string]string{"sub/go.mod": tt.gomod, "go.work": tt.gowork} {
				if text == "" {
					continue
				}
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			env := map[string]string{"GOTOOLCHAIN": tt.mode, "GOENV": "off"}
			for _, at := range []string{filepath.Dir(sub), sub} {
				if got := toolchain(t.Context(), Host{Dir: at, Getenv: func(name string) string { return env[name] }}); got != tt.want {
					t.Errorf("in %s: got %q; want %q", at, got, tt.want)
				}
			}
		})
	}
}
