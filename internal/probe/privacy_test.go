package probe_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/probe"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// Whatever a public proxy answers, and wherever it redirects to, it learns no
// name but those of well-known public modules.
func TestNoPrivateNames(t *testing.T) {
	secret := []string{"git.corp.example.com", "acme", "swordfish", "example.net"}
	const modules = `
-- git.corp.example.com/lib@v1.0.0/go.mod --
module git.corp.example.com/lib
-- github.com/acme/rocket@v1.2.3/go.mod --
module github.com/acme/rocket
-- golang.org/x/swordfish@v0.1.0/go.mod --
module golang.org/x/swordfish
-- github.com/stretchr/testify-swordfish@v1.0.0/go.mod --
module github.com/stretchr/testify-swordfish
-- github.com/stretchr@v1.0.0/go.mod --
module github.com/stretchr
-- inherited.example.net/x@v1.0.0/go.mod --
module inherited.example.net/x
`
	sum := proxytest.New(t, proxytest.Options{Modules: modules})
	all := sum.GoSum("git.corp.example.com/lib@v1.0.0", "github.com/acme/rocket@v1.2.3", "golang.org/x/swordfish@v0.1.0",
		"github.com/stretchr/testify-swordfish@v1.0.0", "inherited.example.net/x@v1.0.0", "rsc.io/quote@v1.5.2")
	for _, fault := range []string{
		"ok", "401", "403", "404", "500", "html", "redirect", "redirect-host", "silent", "stall", "cut", "reset",
		"public:403", "public:404", "zip:403", "zip:redirect-dead", "mod:404", "mod:wrong-bytes", "list:500", "absent:200ms", "sumdb:404", "big-zip:403", "example:403",
	} {
		if fault == "absent:200ms" {
			fault = "absent:slow=50ms"
		}
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			p := proxytest.New(t, proxytest.Options{Modules: modules})
			cfg := setup(t, p, p.URL+"/"+fault)
			cfg.GoSum = goSum(t, all)
			cfg.Settings.Probe.Timeout = 100 * time.Millisecond
			cfg.Settings.Private = []string{"git.corp.example.com", "golang.org/x/swordfish"}
			cfg.Settings.Probe.Canary = "github.com/acme/rocket@v1.2.3 h1:LzX7hefJvL54yjefDEDHNONDjII0t9xZLPXsUe+TKr0="
			cfg.Getenv = environ("GOPRIVATE=inherited.example.net")
			cfg.Databases = []policy.Database{{Name: "db", GOSUMDB: "db", URL: p.URL + "/ok/sumdb/sum.golang.org"}}
			for _, canary := range []string{cfg.Settings.Probe.Canary, "go.sum", "built-in"} {
				cfg.Settings.Probe.Canary = canary
				probe.Run(t.Context(), cfg)
			}
			for _, r := range p.Requests() {
				for _, s := range secret {
					if strings.Contains(r.RawURL+fmt.Sprint(r.Header), s) {
						t.Errorf("a public proxy was asked for %s", r.RawURL)
					}
				}
			}
			if len(p.Requests()) == 0 {
				t.Error("nothing was asked")
			}
		})
	}
}

// A private proxy is asked for modules that only it has, and for public ones.
func TestPrivateProxy(t *testing.T) {
	const modules = "-- git.corp.example.com/lib@v1.0.0/go.mod --\nmodule git.corp.example.com/lib\n"
	p := proxytest.New(t, proxytest.Options{Modules: modules})
	cfg := setup(t, p, p.URL)
	cfg.GoSum = goSum(t, p.GoSum("git.corp.example.com/lib@v1.0.0", "rsc.io/quote@v1.5.2", "rsc.io/sampler@v1.3.0"))
	cfg.Settings.Private = []string{"git.corp.example.com"}
	cfg.Settings.Chain[0].Private = true
	one(t, cfg)
	for _, want := range []string{"git.corp.example.com/lib/@v/v1.0.0.mod", quoteMod} {
		if !slices.Contains(paths(p), want) {
			t.Errorf("%s was not asked for", want)
		}
	}
}

// Of a long go.sum five modules are asked for, spread over it, always the same.
func TestSpread(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	var sum strings.Builder
	for i := range 40 {
		h := "h1:" + strings.Repeat("A", 43) + "="
		fmt.Fprintf(&sum, "golang.org/x/m%02d v0.1.0 %s\ngolang.org/x/m%02d v0.1.0/go.mod %s\n", i, h, i, h)
		fmt.Fprintf(&sum, "golang.org/x/old%02d v0.1.0/go.mod %s\n", i, h) // not used by the build
	}
	cfg := setup(t, p, p.URL)
	cfg.GoSum = goSum(t, sum.String())
	one(t, cfg)
	var got []string
	for _, path := range paths(p) {
		if m, ok := strings.CutSuffix(path, "/@v/v0.1.0.mod"); ok {
			got = append(got, strings.TrimPrefix(m, "golang.org/x/"))
		}
	}
	slices.Sort(got)
	if want := []string{"m00", "m09", "m19", "m29", "m39"}; !slices.Equal(got, want) {
		t.Errorf("asked for %q; want %q", got, want)
	}
}
