package preflight

import (
	"cmp"
	"slices"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/probe"
)

// A publicity is what is known, without asking anybody, of who may learn a
// module's name.
type publicity int

const (
	unclear publicity = iota // nothing is known
	public                   // it is on the list of public modules, or a public checksum database has it
	covered                  // a pattern calls it private
)

// A Name is the path of a module that is not known to be public.
type Name struct {
	Path string
	Why  string // why it looks private, "" if only nothing is known
}

// publicityOf judges one name. A pattern counts more than the list: who calls
// a public module private has a reason.
func (c *Config) publicityOf(m module.Version) publicity {
	switch {
	case goenv.MatchPatterns(c.Private, m.Path):
		return covered
	case probe.KnownPublic(m.Path), c.Recorded != nil && c.Recorded(m):
		return public
	}
	return unclear
}

// judgeNames fills in what is known of each line's name, and which names would
// be told to somebody whom they may be none of the business of.
func (p *Plan) judgeNames() {
	best := map[string]publicity{} // one version that is known to be public is enough
	for _, l := range p.lines {
		if best[l.Path] == unclear {
			best[l.Path] = p.cfg.publicityOf(l.Version)
		}
	}
	open := slices.ContainsFunc(p.entries, func(e policy.Entry) bool { return e.Name != "" && !e.Private })
	for i := range p.lines {
		p.lines[i].known = best[p.lines[i].Path]
	}
	for path, known := range best {
		if open && known == unclear && !goenv.MatchPatterns(p.cfg.NoProxy, path) {
			p.Names = append(p.Names, Name{path, policy.LooksPrivate(path)})
		}
	}
	slices.SortFunc(p.Names, func(a, b Name) int {
		if (a.Why == "") != (b.Why == "") {
			return cmp.Compare(b.Why, a.Why) // those with a reason first
		}
		return cmp.Compare(a.Path, b.Path)
	})
}

// mayKnow reports whether an entry may learn the name of a line's module.
func (p *Plan) mayKnow(e policy.Entry, l *line) bool {
	return e.Private || l.known == public || l.known == unclear && p.cfg.AskAll
}
