package bench

import (
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/probe"
)

// Whatever the options say, a public service bears it.
func TestPoliteLoad(t *testing.T) {
	for _, tt := range []struct {
		name        string
		load        Load
		same, spent int
		want        Load
		notes       int
	}{
		{"nothing said", Load{Concurrency: 10}, 1, 30, Load{Requests: 170, Concurrency: 4, Rate: 2}, 1},
		{"burst", Load{Requests: 2000, Concurrency: 100, WarmUp: -1}, 1, 30, Load{Requests: 170, Concurrency: 4, Rate: 2}, 2},
		{"less than it bears", Load{Requests: 20, Concurrency: 1, Rate: 0.5, WarmUp: 50}, 1, 30, Load{Requests: 20, Concurrency: 1, Rate: 0.5}, 0},
		{"two on one host", Load{Requests: 2000, Concurrency: 4, Rate: 2}, 2, 30, Load{Requests: 70, Concurrency: 2, Rate: 1}, 3},
		{"ten on one host", Load{Requests: 2000, Concurrency: 4}, 10, 30, Load{Requests: 1, Concurrency: 1, Rate: 0.2}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, notes := tt.load.polite(tt.same, tt.spent)
			if got != tt.want || len(notes) != tt.notes {
				t.Errorf("got %+v, %q; want %+v and %d notes", got, notes, tt.want, tt.notes)
			}
		})
	}
}

func TestTurns(t *testing.T) {
	for _, l := range []Load{
		{Requests: 1, Concurrency: 10}, {Requests: 20, Concurrency: 10}, {Requests: 2000, Concurrency: 100}, {Requests: 1003, Concurrency: 7},
	} {
		sum, list := 0, l.turns()
		for _, n := range list {
			sum += n
		}
		if sum != l.Requests || slices.Min(list) < l.Requests/len(list) {
			t.Errorf("%+v has turns %v", l, list)
		}
	}
	if got := (Load{Concurrency: 3, Duration: time.Second}).turns(); !slices.Equal(got, []int{0, 0, 0, 0, 0}) {
		t.Errorf("without a number of requests the turns are %v", got)
	}
}

// Every round has every proxy once, and no proxy is always first.
func TestTurnOrder(t *testing.T) {
	for n := 1; n <= 6; n++ {
		first := map[int]bool{}
		for round := range 2 * n {
			list := turnOrder(n, round)
			first[list[0]] = true
			if slices.Sort(list); !slices.Equal(list, turnOrder(n, 0)) {
				t.Errorf("round %d of %d proxies is %v", round, n, list)
			}
		}
		if len(first) != n {
			t.Errorf("of %d proxies only %v begin", n, first)
		}
	}
}

// Kinds take turns, and each file of a kind comes as often as the others.
func TestSequence(t *testing.T) {
	list := files(probe.Canaries(), []Kind{Mod, Zip, List}, testDB())
	s := newSequence(list)
	count := map[string]int{}
	for i := range 90 {
		f := s.at(i)
		count[f.Path]++
		if want := []Kind{List, Mod, Zip}[i%3]; f.kind != want {
			t.Fatalf("request %d is for %s; want %s", i, f.kind, want)
		}
	}
	for _, f := range list {
		if count[f.Path] != 10 {
			t.Errorf("%s is asked for %d times of 90", f.Path, count[f.Path])
		}
	}
}

// Only names that every proxy may know are asked for.
func TestModules(t *testing.T) {
	const text = `git.corp.example.com/secret v1.0.0 h1:a=
git.corp.example.com/secret v1.0.0/go.mod h1:b=
github.com/stretchr/testify v1.9.0 h1:c=
github.com/stretchr/testify v1.9.0/go.mod h1:d=
golang.org/x/mod v0.20.0/go.mod h1:e=
golang.org/x/text v0.20.0 h1:f=
golang.org/x/text v0.20.0/go.mod h1:g=
golang.org/x/../etc v0.20.0 h1:f=
golang.org/x/../etc v0.20.0/go.mod h1:g=
`
	sums, err := checksum.ParseGoSum("go.sum", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	public, private := policy.Entry{Name: "public"}, policy.Entry{Name: "corp", Private: true}
	for _, tt := range []struct {
		name     string
		proxies  []policy.Entry
		patterns string
		want     []string
	}{
		{"public", []policy.Entry{public}, "", []string{"github.com/stretchr/testify", "golang.org/x/text"}},
		{"one of them is public", []policy.Entry{private, public}, "", []string{"github.com/stretchr/testify", "golang.org/x/text"}},
		{"private", []policy.Entry{private}, "", []string{"git.corp.example.com/secret", "github.com/stretchr/testify", "golang.org/x/text"}},
		{"a pattern says otherwise", []policy.Entry{public}, "github.com/stretchr/*", []string{"golang.org/x/text"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var got []string
			for _, c := range Modules(sums, tt.proxies, tt.patterns) {
				got = append(got, c.Path)
			}
			if !slices.Equal(got, tt.want) {
				t.Errorf("got %q; want %q", got, tt.want)
			}
		})
	}
}

// Of a large go.sum some are asked for, from all over the file.
func TestModulesSpread(t *testing.T) {
	var text strings.Builder
	for i := range 100 {
		m := module.Version{Path: "golang.org/x/m" + string(rune('a'+i/26)) + string(rune('a'+i%26)), Version: "v0.1.0"}
		text.WriteString(m.Path + " " + m.Version + " h1:a=\n" + m.Path + " " + m.Version + "/go.mod h1:a=\n")
	}
	sums, err := checksum.ParseGoSum("go.sum", []byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	list := Modules(sums, []policy.Entry{{}}, "")
	if len(list) != mostModules || list[0].Path != "golang.org/x/maa" || list[mostModules-1].Path != "golang.org/x/mdv" {
		t.Errorf("got %d modules, %v", len(list), list)
	}
	if n := checksOf(len(files(append(probe.Canaries(), list...), Kinds(), testDB()))); n+politeDefault > politeRequests {
		t.Errorf("%d checks leave no room for a load", n)
	}
}

// The catalogue's services are public, and nobody else.
func TestCataloguePublic(t *testing.T) {
	for _, p := range policy.Catalogue() {
		s := config(p.URL)
		r, err := newRun(Config{Settings: s.Settings, Load: Load{Requests: 1e6, Concurrency: 1000, Rate: 1000}, Modules: probe.Canaries()})
		if err != nil {
			t.Fatal(err)
		}
		if r.load.Rate > politeRate || r.load.Concurrency > politeInFlight || r.load.Requests+checksOf(len(r.files)) > politeRequests {
			t.Errorf("%s would bear %+v", p.Name, r.load)
		}
		r.close()
	}
	if cataloguePublic("proxy.corp.example.com") || cataloguePublic("127.0.0.1") || cataloguePublic("") {
		t.Error("somebody's own proxy counts as public")
	}
}

// Each phase is told of, even if it takes no time at all.
func TestPhases(t *testing.T) {
	var phases []string
	b := &bubble{serve: func(host, path string, n int) bool { return true }}
	b.run(t, []string{"a.example.com"}, func(c *Config) {
		c.Load.Requests, c.Load.WarmUp = 1, 1
		c.Progress = func(p Progress) {
			if len(p.Rows) != 1 || p.Phase == "measuring" && p.Rows[0].Total != 1 {
				t.Errorf("got %+v", p)
			}
			phases = append(phases, p.Phase)
		}
	}, func(t *testing.T, res *Result) {
		if got := slices.Compact(phases); !slices.Equal(got, []string{"checking", "warming up", "measuring"}) {
			t.Errorf("got %q", got)
		}
	})
}
