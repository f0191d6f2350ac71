package probe_test

import (
	"path/filepath"
	"testing"
)

func absolute(t *testing.T, dir string) string {
	t.Helper()
	abs, err := filepath.Abs(filepath.FromSlash(dir))
	if err != nil {
		t.Fatal(err)
	}
	return filepath.ToSlash(abs)
}
