package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/report"
)

// A Named is an environment's name and who says it, such as "--environment"
// or "github check run".
type Named struct {
	Name   string
	Source string
}

// Facts are what the caller and the CI system say about the build.
type Facts struct {
	Given  []Named // by the caller, the strongest first; blank names are skipped
	FromCI []Named // by the CI system, in the order in which they shall be tried

	// Proposed is the policy that a pull or merge request would bring, nil for
	// none. It decides nothing, but a name that it alone knows is no mistake.
	Proposed *Policy

	Branch      string // "" if it is not a branch that is built
	Tag         string //
	Target      string // branch that a pull or merge request would change
	PullRequest bool   // the build is of a pull or merge request
}

// A Choice is an environment and the block of the policy that applies to it.
type Choice struct {
	Environment string // the name asked for: "review/42"
	Block       string // "review/*"
	Source      string // which rule chose: a [Named]'s source, "match" or "default"
	Notice      string // what a person should know about it, "" for nothing
}

// Choose picks the environment: the one that the caller names, else one that
// the CI system names, else by the rules of "match", else "default". A block
// of just that name applies, else the most specific glob: the one with the
// longest text before its first "*", then the longest, then the first.
//
// A name by the caller that fits no block is an error of type [*Error], unless
// it is one of the proposed policy; of the CI system's names the first that fits
// a block counts. If no name does, "default" applies and Notice says so.
func (p *Policy) Choose(f Facts) (Choice, error) {
	var unknown []Named
	if i := slices.IndexFunc(f.Given, func(n Named) bool { return n.Name != "" }); i >= 0 {
		n := f.Given[i]
		if c, ok := p.named(n); ok {
			return c, nil
		}
		if f.Proposed == nil {
			return Choice{}, p.unknown(n)
		}
		if _, ok := f.Proposed.named(n); !ok {
			return Choice{}, p.unknown(n)
		}
		unknown = append(unknown, n)
	}
	for _, n := range f.FromCI {
		if n.Name == "" {
			continue
		}
		if c, ok := p.named(n); ok {
			return c, nil
		}
		unknown = append(unknown, n)
	}
	if len(unknown) == 0 {
		for _, r := range p.match {
			if r.applies(f) {
				env, _ := p.find(r.environment.v)
				return Choice{Environment: r.environment.v, Block: env.name, Source: "match"}, nil
			}
		}
	}
	env, ok := p.find(defaultBlock)
	if !ok {
		return Choice{}, p.noDefault(unknown)
	}
	c := Choice{Environment: defaultBlock, Block: env.name, Source: "default"}
	if len(unknown) > 0 {
		c.Notice = p.unknownNotice(unknown)
	}
	return c, nil
}

// named returns the choice that a name makes, if it fits a block.
func (p *Policy) named(n Named) (Choice, bool) {
	env, ok := p.find(n.Name)
	return Choice{Environment: n.Name, Block: env.name, Source: n.Source}, ok && badEnvironmentName(n.Name) == ""
}

// applies reports whether the rule's condition holds. Who opens a pull request
// chooses its branch's name, so that decides nothing there.
func (r *rule) applies(f Facts) bool {
	switch {
	case r.target.set:
		return f.PullRequest && f.Target != "" && matchGlob(r.target.v, f.Target)
	case f.PullRequest:
		return false
	case r.tag.set:
		return f.Tag != "" && matchGlob(r.tag.v, f.Tag)
	}
	return f.Branch != "" && matchGlob(r.branch.v, f.Branch)
}

// find returns the environment that applies to name.
func (p *Policy) find(name string) (environment, bool) {
	best := -1
	for i, e := range p.environments {
		switch {
		case e.name == name:
			return e, true
		case !isGlob(e.name) || !matchGlob(e.name, name):
		case best < 0 || compareGlobs(e.name, p.environments[best].name) < 0:
			best = i
		}
	}
	switch {
	case best >= 0:
		return p.environments[best], true
	case name == defaultBlock && p.implicitDefault():
		return environment{name: defaultBlock, chain: value[[]ref]{v: builtInChain}}, true
	}
	return environment{}, false
}

// implicitDefault reports whether a file without "default" gets the built-in
// chain for it. Where anything is enforced or isolated, a build that fits no
// environment must not slip out through the public chain.
func (p *Policy) implicitDefault() bool {
	strict := func(b *block) bool {
		return b.mode.v == Enforced || b.privateVia.v == ViaChain || len(b.allow.v) > 0
	}
	return !strict(&p.block) && !slices.ContainsFunc(p.environments, func(e environment) bool {
		return matchGlob(e.name, defaultBlock) || strict(&e.block)
	})
}

// HasEnvironments reports whether it matters what a build's environment is
// called: whether there is a block besides "default".
func (p *Policy) HasEnvironments() bool {
	return slices.ContainsFunc(p.environments, func(e environment) bool { return e.name != defaultBlock })
}

// environmentNames returns the names of the blocks, in the file's order.
func (p *Policy) environmentNames() []string {
	var names []string
	for _, e := range p.environments {
		names = append(names, e.name)
	}
	if p.implicitDefault() {
		names = append(names, defaultBlock)
	}
	return names
}

// unknown is the error for a name by the caller that fits no block.
func (p *Policy) unknown(n Named) *Error {
	names := p.environmentNames()
	hint := "the policy has " + Listed(names)
	if meant := didYouMean(n.Name, names); meant != "" {
		hint = meant + " " + hint
	}
	return &Error{
		ID: idName, Place: report.Place{File: p.name}, Hint: hint,
		Msg: fmt.Sprintf("unknown environment %q, named by %s", clip(n.Name), n.Source),
	}
}

// unknownNotice says why "default" applies although the CI system named
// something.
func (p *Policy) unknownNotice(unknown []Named) string {
	notice := fmt.Sprintf("%s; %s has no such environment, so %q applies", namedList(unknown), p.name, defaultBlock)
	if meant := didYouMean(unknown[0].Name, p.environmentNames()); meant != "" {
		notice += " (" + meant + ")"
	}
	return notice
}

// noDefault is the error for a build that no environment is for.
func (p *Policy) noDefault(unknown []Named) *Error {
	e := &Error{
		ID: idName, Place: report.Place{File: p.name},
		Msg:  "no environment is named, no match rule applies, and the policy has no default",
		Hint: `add "default" to environments, or name one of ` + Listed(p.environmentNames()),
	}
	if len(unknown) > 0 {
		e.Msg = namedList(unknown) + "; the policy has no such environment and no default"
	}
	return e
}

func namedList(list []Named) string {
	var parts []string
	for _, n := range list {
		parts = append(parts, fmt.Sprintf("%s names %q", n.Source, clip(n.Name)))
	}
	return strings.Join(parts, ", ")
}
