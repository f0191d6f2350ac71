//go:build e2e

package e2e

import (
	"testing"

	"github.com/org/goproxy-setup/internal/lab"
)

// newLab is a laboratory for a project of n modules.
func newLab(t *testing.T, n int) *lab.Lab {
	t.Helper()
	project, err := lab.Synthetic(n)
	if err != nil {
		t.Fatal(err)
	}
	return &lab.Lab{Project: project, Program: program(t), Dir: t.TempDir(), RoundTrip: lab.RoundTrip, Rate: lab.Rate}
}

func contender(t *testing.T, name string) lab.Contender {
	t.Helper()
	c, err := lab.Named(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Whatever the first proxy does wrong, from the start or from the middle of the
// run, a build through the agent is green and has the origin's files. How long
// it takes is in the tables of "make bench".
func TestAgentFaults(t *testing.T) {
	l, agent := newLab(t, 12), contender(t, "agent")
	for _, f := range lab.Faults {
		for _, from := range []string{lab.FromStart, lab.FromMiddle} {
			t.Run(f.Name+"/"+from, func(t *testing.T) {
				run, err := l.Download(t.Context(), agent, f, from)
				if err != nil {
					t.Fatal(err)
				}
				if !run.Green || !run.Intact {
					t.Errorf("green %v, files intact %v, after %v: %s", run.Green, run.Intact, run.Took, run.Problem)
				}
				if run.Second == 0 {
					t.Errorf("the second proxy was not asked: the fault did nothing")
				}
			})
		}
	}
}

// The laboratory sees what a fault does to those that have no answer to it.
func TestFaultsBreakOthers(t *testing.T) {
	l, alone := newLab(t, 12), contender(t, "go alone")
	for _, name := range []string{"corrupted zip", "valid zip with other content", "truncated zip, no length"} {
		for _, f := range lab.Faults {
			if f.Name != name {
				continue
			}
			run, err := l.Download(t.Context(), alone, f, lab.FromMiddle)
			if err != nil {
				t.Fatal(err)
			}
			if run.Green {
				t.Errorf("%s: go alone is green", name)
			}
		}
	}
}

// 200 clients want one cold zip: one fetch, and all get its bytes.
func TestAgentHerd(t *testing.T) {
	h, err := newLab(t, 12).Herd(t.Context(), contender(t, "agent"), 200)
	if err != nil {
		t.Fatal(err)
	}
	if h.Right != h.Clients || h.Fetches != 1 {
		t.Errorf("%d of %d clients got the zip, %d fetches: %s", h.Right, h.Clients, h.Fetches, h.Problem)
	}
}

// The agent is killed at random moments while it fetches: then every file is
// there again, right, and nothing is left behind.
func TestAgentKill(t *testing.T) {
	for _, seed := range []uint64{1, 2} {
		k, err := newLab(t, 60).Kill(t.Context(), contender(t, "agent"), 20, seed)
		if err != nil {
			t.Fatal(err)
		}
		if !k.Clean() || k.Served == 0 {
			t.Errorf("seed %d: %d wrong, %d wrong in the store, %d lost, %q left, %d served: %q", seed, k.Wrong, k.Broken, k.Lost, k.Leaked, k.Served, k.Details)
		}
		t.Logf("seed %d: %d kills, %d files served, %d requests to the upstreams", seed, k.Kills, k.Served, k.Fetched)
	}
}
