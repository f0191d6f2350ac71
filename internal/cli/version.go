package cli

import (
	"cmp"
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
)

// Set by the linker for a release; elsewhere what the go command recorded in
// the binary is used.
var version, commit string

func versionCommand() command {
	return command{
		name: "version", summary: "print version, commit and Go version",
		run: func(_ context.Context, c *call) (int, error) {
			v, rev := build()
			_, err := fmt.Fprintf(c.Stdout, "goproxy-setup %s %s %s %s/%s\n", v, rev, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return ExitOK, err
		},
	}
}

// build returns this program's version and commit, as far as they are known.
func build() (v, rev string) {
	v, rev = version, commit
	if info, ok := debug.ReadBuildInfo(); ok {
		v = cmp.Or(v, info.Main.Version)
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				rev = cmp.Or(rev, s.Value)
			}
		}
	}
	return cmp.Or(v, "(devel)"), cmp.Or(rev, "unknown")
}
