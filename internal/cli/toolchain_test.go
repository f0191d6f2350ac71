package cli

import (
	"os"
	"path/filepath"
	"testing"
)

func TestWantedToolchain(t *testing.T) {
	for _, tt := range []struct{ name, gomod, want string }{
		{"go line", "module m\ngo 1.26.3\n", "go1.26.3"},
		{"newer toolchain", "module m\ngo 1.24.0\ntoolchain go1.26.3\n", "go1.26.3"},
		{"older toolchain", "module m\ngo 1.26.3\ntoolchain go1.24.0\n", "go1.26.3"},
		{"default toolchain", "module m\ngo 1.24.0\ntoolchain default\n", "go1.24.0"},
		{"neither", "module m\n", ""},
		{"garbage", "<html>", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(tt.gomod), 0o644); err != nil {
				t.Fatal(err)
			}
			if got := wantedToolchain(dir); got != tt.want {
				t.Errorf("got %q; want %q", got, tt.want)
			}
		})
	}
	if got := wantedToolchain(t.TempDir()); got != "" {
		t.Errorf("without go.mod: got %q", got)
	}
}
