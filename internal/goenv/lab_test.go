package goenv_test

import (
	"testing"

	"github.com/org/goproxy-setup/internal/golab"
)

// A lab is where the real go command runs.
type lab struct{ *golab.Lab }

func newLab(t *testing.T, modules string) lab {
	t.Helper()
	return lab{golab.New(t, modules)}
}
