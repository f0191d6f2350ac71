//go:build e2e

package e2e

import (
	"os/exec"
	"testing"
)

// BenchmarkStart starts the program and, side by side, one that does nothing:
// what is above that is ours.
func BenchmarkStart(b *testing.B) {
	for _, bm := range []struct {
		name string
		args []string
	}{
		{"program=true", []string{"true"}},
		{"program=goproxy-setup", []string{program(b), "version"}},
	} {
		b.Run(bm.name, func(b *testing.B) {
			for b.Loop() {
				if err := exec.Command(bm.args[0], bm.args[1:]...).Run(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
