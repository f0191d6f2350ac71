package probe

import (
	_ "embed"
	"fmt"
	"runtime"
	"strings"
	"sync"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/policy"
)

// projectModules is how many modules of the build's go.sum a proxy is asked for.
const projectModules = 5

// canary returns the zip that the entry is asked for first: the policy's, if
// its name may be told to the entry, or the built-in one.
func (p *proxy) canary() Canary {
	mod, hash, ok := strings.Cut(p.cfg.Settings.Probe.Canary, " ")
	path, version, isModule := strings.Cut(mod, "@")
	if !ok || !isModule || module.Check(path, version) != nil || !p.mayKnow(path) {
		return quote
	}
	return Canary{Version: module.Version{Path: path, Version: version}, Zip: hash}
}

// mayKnow reports whether the entry may learn that a module of this name
// exists.
func (p *proxy) mayKnow(path string) bool { return MayKnow(p.entry, p.private, path) }

// questions are what is asked once the canary zip was served: what builds need
// comes first.
func (p *proxy) questions(c Canary) []question {
	if c != quote {
		return append(p.project(), p.questionsAbout(c.Version)...)
	}
	list := append(p.project(), critical(bigQuestion(decision.BigZip, big)), absentQuestion(),
		modQuestion(decision.Escape, toml.Version, toml.Mod))
	list = append(list, p.databaseQuestions()...)
	return append(append(list, listQuestion(listed), infoQuestion(quote.Version)), p.toolchain()...)
}

// questionsAbout are those of questions, put for one module that the proxy
// serves where the built-in canaries may not be allowed.
func (p *proxy) questionsAbout(m module.Version) []question {
	list := append([]question{critical(bigQuestion(decision.BigZip, m)), absentQuestion()}, p.databaseQuestions()...)
	if !module.IsPseudoVersion(m.Version) {
		list = append(list, listQuestion(m))
	}
	return append(append(list, infoQuestion(m)), p.toolchain()...)
}

func critical(q question) question {
	q.critical = true
	return q
}

func (p *proxy) databaseQuestions() []question {
	list := []question{supportedQuestion(p.sumdb), lookupQuestion(p.sumdb, modproxy.SumDBPath(p.sumdb.Name), quote)}
	if p.cfg.Settings.SumDB == policy.SumDBRequired {
		list[0].critical, list[1].critical = true, true
	}
	return list
}

func (p *proxy) toolchain() []question {
	m := module.Version{Path: "golang.org/toolchain", Version: fmt.Sprintf("v0.0.1-%s.%s-%s", p.cfg.Toolchain, runtime.GOOS, runtime.GOARCH)}
	if p.cfg.Toolchain == "" || module.Check(m.Path, m.Version) != nil {
		return nil
	}
	return []question{critical(bigQuestion(decision.Toolchain, m))} // no go command runs without it
}

// project are the questions for modules of the build's own go.sum.
func (p *proxy) project() []question {
	if p.cfg.Settings.Probe.Canary == "built-in" || p.cfg.GoSum == nil {
		return nil
	}
	var list []question
	for _, m := range p.pick(p.cfg.GoSum) {
		q := critical(modQuestion(decision.Project, m, p.cfg.GoSum.GoMod(m)))
		q.module = m
		list = append(list, q)
	}
	return list
}

// pick chooses modules of go.sum that the entry may know: those whose zip the
// build uses, spread over the file. A private proxy is asked for modules that
// only it has, too.
func (p *proxy) pick(g *checksum.GoSum) []module.Version {
	var public, other []module.Version
	for _, s := range g.Sums {
		m := s.Module
		switch {
		case s.GoMod || g.Zip(m) != s.Hash || g.GoMod(m) == "" || module.Check(m.Path, m.Version) != nil || !p.mayKnow(m.Path):
		case KnownPublic(m.Path) && !goenv.MatchPatterns(p.private, m.Path):
			public = append(public, m)
		default:
			other = append(other, m)
		}
	}
	own := spread(other, max(2, projectModules-len(public)))
	return append(spread(public, projectModules-len(own)), own...)
}

// spread returns at most n elements of list, from its first to its last.
func spread(list []module.Version, n int) []module.Version {
	if len(list) <= n {
		return list
	}
	out := make([]module.Version, n)
	for i := range out {
		out[i] = list[i*(len(list)-1)/max(1, n-1)]
	}
	return out
}

//go:embed public.txt
var publicList string

// publicPaths is the set of module paths in public.txt.
var publicPaths = sync.OnceValue(func() map[string]bool {
	set := map[string]bool{}
	for line := range strings.Lines(publicList) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			set[line] = true
		}
	}
	return set
})

// KnownPublic reports whether a module path is on the embedded list of public
// modules, or below a path that is. It errs on the side of silence: most public
// modules are not on it.
func KnownPublic(path string) bool {
	for {
		if publicPaths()[path] {
			return true
		}
		slash := strings.LastIndexByte(path, '/')
		if slash < 0 {
			return false
		}
		path = path[:slash]
	}
}
