package probe_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/probe"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// A canary that is refused means "not allowed here": the build's own modules
// decide.
func TestCanaryNotAllowed(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{Modules: "-- git.example.com/lib@v1.0.0/go.mod --\nmodule git.example.com/lib\n"})
	cfg := setup(t, p, p.URL+"/public:403")
	cfg.Settings.Chain[0].Private = true
	cfg.Settings.Private = []string{"git.example.com"}
	cfg.GoSum = goSum(t, p.GoSum("git.example.com/lib@v1.0.0"))
	ev := one(t, cfg)
	if ev.Class != "" || !strings.Contains(ev.Detail, "the canary is not allowed here (403 Forbidden") || !strings.Contains(ev.Detail, "1 of 1 modules of go.sum are served") {
		t.Errorf("got %q: %q; want a healthy proxy that does not know the canary", ev.Class, ev.Detail)
	}
	if c, _ := ev.Check(decision.BigZip); c.Class != "" || !strings.Contains(c.Detail, "git.example.com/lib@v1.0.0.zip") {
		t.Errorf("big zip %+v; want a zip of the build", c)
	}
	want := []string{quoteZip, quoteMod, "git.example.com/lib/@v/v1.0.0.mod"}
	if got := paths(p)[:3]; !slices.Equal(got, want) {
		t.Errorf("asked %q; want %q", got, want)
	}
}

// The policy may name another canary, but its name goes only to proxies that
// may know it.
func TestOwnCanary(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{Modules: "-- git.example.com/lib@v1.0.0/go.mod --\nmodule git.example.com/lib\n"})
	own := strings.Fields(p.GoSum("git.example.com/lib@v1.0.0"))
	cfg := setup(t, p, p.URL+"/public:403", p.URL+"/ok")
	cfg.Settings.Chain[0].Private = true
	cfg.Settings.Probe.Canary = own[0] + "@" + own[1] + " " + own[2]
	cfg.GoSum = nil
	for _, ev := range probe.Run(t.Context(), cfg).Evidence {
		if ev.Class != "" {
			t.Errorf("%s: %s", ev.Entry, show(ev))
		}
	}
	for _, r := range p.Requests() {
		if ours := strings.Contains(r.Path, "git.example.com"); r.Prefix == "/ok" && ours {
			t.Errorf("a public proxy was asked for %s", r.Path)
		}
	}
}

// "built-in" asks for no module of the build.
func TestBuiltInCanary(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	cfg := setup(t, p, p.URL)
	cfg.Settings.Probe.Canary = "built-in"
	ev := one(t, cfg)
	if _, made := ev.Check(decision.Project); made || ev.Class != "" {
		t.Errorf("got %s; want a healthy proxy without a check of go.sum", show(ev))
	}
	if slices.ContainsFunc(paths(p), func(s string) bool { return strings.Contains(s, "sampler") }) {
		t.Errorf("asked %q", paths(p))
	}
}

// Of a proxy that is said to have every public module, a refused big zip
// counts.
func TestFullProxyWithoutBigZips(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	cfg := setup(t, p, p.URL+"/big-zip:403")
	cfg.Settings.Chain[0].Full = true
	if ev := one(t, cfg); ev.Class != decision.ZipBlocked || !strings.Contains(ev.Detail, "small zips are served") {
		t.Errorf("got %q: %q", ev.Class, ev.Detail)
	}
}

// A toolchain that has no name of one is not asked for.
func TestNoSuchToolchain(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	cfg := setup(t, p, p.URL)
	cfg.Toolchain = "go1.26/../../evil"
	ev := one(t, cfg)
	if c, made := ev.Check(decision.Toolchain); made {
		t.Errorf("it was asked for: %+v", c)
	}
}
