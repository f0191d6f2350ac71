package cli

import (
	"strings"

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
		GOPROXY:   redactChain(goproxy),
		GOPRIVATE: redactPatterns(lookup("GOPRIVATE")), GONOPROXY: redactPatterns(lookup("GONOPROXY")), GONOSUMDB: redactPatterns(lookup("GONOSUMDB")),
		GOSUMDB: redactSumDB(lookup("GOSUMDB")), GOVCS: h.Getenv("GOVCS"),
		NoProxy: h.Getenv("NO_PROXY"),
	}
	if in.NoProxy == "" {
		in.NoProxy = h.Getenv("no_proxy")
	}
	return in, goproxy, in.GOSUMDB != lookup("GOSUMDB")
}

// redactChain removes credentials from a GOPROXY list.
func redactChain(list string) string {
	c, err := goenv.ParseChain(list)
	if err != nil {
		return goenv.Redact(list)
	}
	for i, e := range c {
		if e.Proxy() {
			c[i].Value = goenv.Redact(e.Value)
		}
	}
	return c.String()
}

// redactPatterns removes credentials from a list of module patterns. Who writes
// a URL there has a pattern that matches nothing, and maybe a token in it.
func redactPatterns(list string) string {
	items := strings.Split(list, ",")
	for i, item := range items {
		if strings.Contains(item, "@") {
			items[i] = goenv.Redact(strings.TrimSpace(item))
		}
	}
	return strings.Join(items, ",")
}

// redactSumDB removes credentials from a GOSUMDB. The go command takes them from
// netrc, too.
func redactSumDB(value string) string {
	db, err := goenv.ParseSumDB(value)
	switch {
	case err != nil && strings.Contains(value, "@"):
		return goenv.Redact(value)
	case err != nil || db.URL == "" || goenv.Redact(db.URL) == db.URL:
		return value
	}
	db.URL = goenv.Redact(db.URL)
	return db.String()
}
