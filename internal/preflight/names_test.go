package preflight

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/proxytest"
	"github.com/org/goproxy-setup/internal/report"
)

const secrets = `
-- git.corp.example.com/lib@v1.0.0/go.mod --
module git.corp.example.com/lib
-- github.com/acme/rocket@v1.2.3/go.mod --
module github.com/acme/rocket
-- github.com/acme/Swordfish@v1.2.3/go.mod --
module github.com/acme/Swordfish
-- golang.org/x/swordfish@v0.1.0/go.mod --
module golang.org/x/swordfish
`

var secretModules = []string{"git.corp.example.com/lib@v1.0.0", "github.com/acme/rocket@v1.2.3", "github.com/acme/Swordfish@v1.2.3", "golang.org/x/swordfish@v0.1.0", "rsc.io/quote@v1.5.2"}

// Whatever a proxy answers that is not marked private, it learns no name but
// those that are known to be public; one that is learns all. What a pattern
// covers is told to nobody else even if the caller wants all to be asked.
func TestNoPrivateNames(t *testing.T) {
	sum := proxytest.New(t, proxytest.Options{Modules: secrets})
	for _, fault := range []string{"ok", "404", "403", "502", "429=9999", "html", "reset", "redirect", "redirect-host", "zip:403", "mod:404", "mod:wrong-bytes"} {
		for _, sep := range []string{",", "|"} {
			for _, all := range []bool{false, true} {
				t.Run(fmt.Sprint(fault, sep, all), func(t *testing.T) {
					t.Parallel()
					public := proxytest.New(t, proxytest.Options{Modules: secrets})
					own := proxytest.New(t, proxytest.Options{Modules: secrets})
					cfg := configFor(t, public.URL+"/"+fault+sep+own.URL+sep+"direct", "b", sum.GoSum(secretModules...))
					cfg.Private, cfg.NoProxy, cfg.AskAll = "git.corp.example.com,golang.org/x/swordfish", "none", all
					r := run(t, cfg)
					told := fmt.Sprint(asked(public))
					for _, name := range []string{"git.corp", "swordfish"} {
						if strings.Contains(told, "golang.org/x/"+name) || strings.Contains(told, "git.corp") {
							t.Errorf("the public proxy was told %s", told)
						}
					}
					if strings.Contains(told, "acme") != all {
						t.Errorf("asked for all: %v; the public proxy was told %s", all, told)
					}
					if !strings.Contains(told, "rsc.io/quote") {
						t.Errorf("the public proxy was told %s", told)
					}
					if !all && r.Served < 4 {
						t.Errorf("got %+v; want the four private ones served by the private proxy", r)
					}
				})
			}
		}
	}
}

func asked(p *proxytest.Server) []string {
	var list []string
	for _, r := range p.Requests() {
		list = append(list, r.RawURL)
	}
	return list
}

// Names are there before anything is asked: those that look private first, and
// none that somebody has covered, or that nobody else would learn.
func TestNames(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{Modules: secrets})
	for _, tt := range []struct {
		name             string
		marked           string // entries marked private
		private, noProxy string
		recorded         string
		want             []string
	}{
		{"no pattern", "", "", "", "", []string{"git.corp.example.com/lib", "github.com/acme/Swordfish", "github.com/acme/rocket"}},
		{"a pattern", "", "github.com/acme", "", "", []string{"git.corp.example.com/lib"}},
		{"goes direct", "", "", "github.com/acme", "", []string{"git.corp.example.com/lib"}},
		{"a private chain", "ab", "", "", "", nil},
		{"known to the database", "", "", "", "github.com/acme/rocket", []string{"git.corp.example.com/lib", "github.com/acme/Swordfish"}},
	} {
		cfg := config(t, p, "P/ok|P/ok=b", tt.marked, secretModules...)
		cfg.Private, cfg.NoProxy = tt.private, tt.noProxy
		cfg.Recorded = func(m module.Version) bool { return m.Path == tt.recorded }
		plan, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, n := range plan.Names {
			got = append(got, n.Path)
			if strings.HasPrefix(n.Path, "git.corp") == (n.Why == "") {
				t.Errorf("%s: %+v", tt.name, n)
			}
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: names %q; want %q", tt.name, got, tt.want)
		}
	}
	if len(p.Requests()) > 0 {
		t.Errorf("a plan asked %q", asked(p))
	}
}

// What was kept from a proxy is not called missing, and what a pattern sends to
// version control is asked of nobody.
func TestWithheld(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{Modules: secrets})
	cfg := config(t, p, "P/ok,direct", "", secretModules...)
	cfg.Private, cfg.NoProxy = "golang.org/x/swordfish", "golang.org/x/swordfish"
	cfg.Budget = 10 * time.Second
	r := run(t, cfg)
	if r.Served != 1 || r.Withheld != 3 || r.Private != 1 {
		t.Errorf("got %+v; want 1 served, 3 withheld, 1 private", r)
	}
	for _, m := range r.Notable {
		if m.Fate != report.FateWithheld || m.Cause != "not asked of a" {
			t.Errorf("got %+v", m)
		}
	}
}
