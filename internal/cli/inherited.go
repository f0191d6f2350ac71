package cli

import (
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
)

// inherited returns the settings that are in force, as the go command finds
// them: the environment, then the user's file of "go env -w". GOROOT/go.env
// holds Go's own defaults, which we know. They are without credentials but for
// goproxy, the value of GOPROXY as it is; hidden says that GOSUMDB had some. A
// file that cannot be read is no settings, as for the go command.
func inherited(h Host) (in decision.Inherited, goproxy string, hidden bool) {
	file, _ := userEnv(h)
	sources := goenv.Sources{Getenv: h.Getenv, User: file}
	lookup := func(name string) string {
		if set := sources.Lookup(name); set.From == "" {
			return set.Value
		}
		return ""
	}
	goproxy = lookup("GOPROXY")
	in = decision.Inherited{
		GOPROXY:   goenv.RedactChain(goproxy),
		GOPRIVATE: goenv.RedactPatterns(lookup("GOPRIVATE")), GONOPROXY: goenv.RedactPatterns(lookup("GONOPROXY")), GONOSUMDB: goenv.RedactPatterns(lookup("GONOSUMDB")),
		GOSUMDB: goenv.RedactSumDB(lookup("GOSUMDB")), GOVCS: h.Getenv("GOVCS"),
		NoProxy: h.Getenv("NO_PROXY"),
	}
	if in.NoProxy == "" {
		in.NoProxy = h.Getenv("no_proxy")
	}
	return in, goproxy, in.GOSUMDB != lookup("GOSUMDB")
}
