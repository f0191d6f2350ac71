package policy

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/report"
)

// link judges what only the whole file tells: names, chains, rules that can
// never apply. It stops at more mistakes than anybody will read, so that a
// hostile file can't make it compare thousands of names with thousands.
func (p *Policy) link(d *decoder) {
	for _, env := range p.environments {
		if len(d.errs) > maxErrors {
			return
		}
		p.judge(d, env, env.chain)
		for i, v := range env.variants {
			p.judge(d, env, v.chain)
			p.noteUnreachable(env, i)
		}
	}
	p.linkMatch(d)
	if p.block.sumdb.v == SumDBOff {
		p.noteSumDBOff(p.block.sumdb.place)
	}
	p.noteAllPrivate(p.block.patterns)
	for _, env := range p.environments {
		p.noteAllPrivate(env.patterns)
	}
	if _, ok := p.find(defaultBlock); !ok {
		p.warn(idName, report.Place{File: p.name}, `add "default" if such builds shall work`,
			"the policy has no default: a build whose environment fits no block is refused")
	}
}

// judge checks one chain of an environment.
func (p *Policy) judge(d *decoder, env environment, chain value[[]ref]) {
	s, errs := p.settings(env, chain)
	d.errs = append(d.errs, errs...)
	d.errs = append(d.errs, check(&s)...)
	if env.sumdb.v == SumDBOff {
		p.noteSumDBOff(env.sumdb.place)
	}
	if s.Mode == Enforced && s.OnExhausted == ExhaustedKeep {
		p.warn(idRisk, s.Places["on_exhausted"], "use fail", "environment %q is enforced, and the settings that on_exhausted: keep leaves alone may go around its gatekeepers", clip(s.Block))
	}
}

func (p *Policy) noteSumDBOff(at report.Place) {
	p.warn(idRisk, at, "it needs --allow-downgrade from outside the file, too", "sumdb: off turns the checksum database off")
}

// noteAllPrivate warns of patterns that make every module private: go asks the
// checksum database about no private module, so that is "sumdb: off" by another
// name.
func (p *Policy) noteAllPrivate(patterns value[[]string]) {
	list := strings.Join(patterns.v, ",")
	if goenv.MatchPatterns(list, "golang.org/x/mod") && goenv.MatchPatterns(list, "github.com/google/uuid") {
		p.warn(idRisk, patterns.place, "name the hosts and owners of your own modules only",
			"these patterns cover public modules as well, which are then not verified against the checksum database")
	}
}

// noteUnreachable warns of a variant behind one that takes all it could match.
func (p *Policy) noteUnreachable(env environment, i int) {
	v := env.variants[i]
	for _, before := range env.variants[:i] {
		if before.variable == v.variable && coversGlob(before.is, v.is) {
			p.warn(idUnused, v.place, "move it up, or remove it",
				"this variant is never used: the one on line %d takes every %s that matches", before.place.Line, v.variable)
			return
		}
	}
}

// linkMatch checks the rules of "match" against each other and the
// environments.
func (p *Policy) linkMatch(d *decoder) {
	for i, r := range p.match {
		if len(d.errs) > maxErrors {
			return
		}
		name := r.environment
		switch env, ok := p.find(name.v); {
		case isGlob(name.v):
			d.errs = append(d.errs, &Error{ID: idValue, Place: name.place,
				Msg: fmt.Sprintf("match: environment %q is a pattern", clip(name.v)), Hint: "name one environment"})
		case !ok:
			d.errs = append(d.errs, &Error{ID: idName, Place: name.place,
				Msg: fmt.Sprintf("match: unknown environment %q", clip(name.v)), Hint: suggest(name.v, p.environmentNames())})
		case env.name == defaultBlock && i == len(p.match)-1:
			p.warn(idUnused, r.place, "remove it", "this match rule changes nothing: %q applies anyway", defaultBlock)
		}
		for _, before := range p.match[:i] {
			if before.covers(r) {
				p.warn(idUnused, r.place, "move it up, or remove it", "this match rule is never used: the one on line %d takes all that it matches", before.place.Line)
				break
			}
		}
	}
}

// covers reports whether r applies whenever other does.
func (r *rule) covers(other rule) bool {
	for _, pair := range [][2]value[string]{{r.tag, other.tag}, {r.branch, other.branch}, {r.target, other.target}} {
		if pair[0].set && pair[1].set {
			return coversGlob(pair[0].v, pair[1].v)
		}
	}
	return false
}

// check judges the settings of one environment with one chain.
func check(s *Settings) Errors {
	var errs Errors
	for _, rule := range []func(*Settings) Errors{checkOrder, checkAllow, checkGatekeepers, checkEnforced, checkPrivateVia, checkExhausted} {
		errs = append(errs, rule(s)...)
	}
	return errs
}

// chainError is a mistake of entry e in the chain of s.
func chainError(s *Settings, e Entry, hint, format string, args ...any) *Error {
	msg := fmt.Sprintf("environment %q: ", clip(s.Block)) + fmt.Sprintf(format, args...)
	return &Error{ID: idChain, Place: e.Place, Msg: msg, Hint: hint}
}

// checkOrder refuses entries that go would never ask or ask twice.
func checkOrder(s *Settings) (errs Errors) {
	end := ""
	for i, e := range s.Chain {
		same := slices.IndexFunc(s.Chain[:i], func(b Entry) bool { return b.Name == e.Name || b.URL != "" && b.URL == e.URL })
		switch {
		case end != "":
			errs = append(errs, chainError(s, e, fmt.Sprintf("%q must be the last", end), "%q after %q is never asked", e.Name, end))
		case same >= 0 && s.Chain[same].Name != e.Name:
			errs = append(errs, chainError(s, e, "", "%q is the same proxy as %q", e.Name, s.Chain[same].Name))
		case same >= 0:
			errs = append(errs, chainError(s, e, "", "the chain names %q twice", e.Name))
		case e.Keyword():
			end = e.Name
		}
	}
	return errs
}

// checkAllow refuses what the allow-list does not name.
func checkAllow(s *Settings) (errs Errors) {
	if len(s.Allow) == 0 {
		return nil
	}
	for _, e := range s.Chain {
		switch {
		case e.Name == "off" || strings.HasPrefix(e.URL, "file:"):
		case e.Name == "direct":
			errs = append(errs, chainError(s, e, "remove one of them", `"direct" asks any host, and "allow" names the only ones`))
		case !s.Allows(hostOf(e)):
			errs = append(errs, chainError(s, e, "the policy allows "+strings.Join(s.Allow, ", "), "host %q of %q is not in \"allow\"", hostOf(e), e.Name))
		}
	}
	return errs
}

// checkGatekeepers refuses a way around a gatekeeper in routed mode.
func checkGatekeepers(s *Settings) Errors {
	if s.Mode != Routed {
		return nil
	}
	guard := ""
	for _, e := range s.Chain {
		switch {
		case guard != "" && public(e):
			return Errors{chainError(s, e, "remove it, or give the gatekeeper gatekeeper_overridable: true",
				"%q after the gatekeeper %q is a way around it", e.Name, guard)}
		case e.Gatekeeper && !e.Overridable:
			guard = e.Name
		}
	}
	return nil
}

// checkEnforced refuses what lets a build go around the gatekeepers.
func checkEnforced(s *Settings) (errs Errors) {
	if s.Mode != Enforced {
		return nil
	}
	for _, e := range s.Chain {
		switch {
		case e.Name == "off":
			errs = append(errs, chainError(s, e, "remove it: an enforced chain ends with its last proxy anyway", `"off" hides the last gatekeeper's answer`))
		case public(e):
			errs = append(errs, chainError(s, e, "remove it, or make the environment mode: routed", "%q is a way around the gatekeepers of enforced mode", e.Name))
		}
	}
	if s.PrivateVia == ViaDirect {
		errs = append(errs, &Error{ID: idChain, Place: s.Places["private_via"], Hint: "remove it",
			Msg: fmt.Sprintf("environment %q: private_via: direct is for routed mode; an enforced environment fetches private modules through its chain", clip(s.Block))})
	}
	return errs
}

// checkPrivateVia refuses to send private module names to a proxy that is not
// marked for them.
func checkPrivateVia(s *Settings) (errs Errors) {
	if s.PrivateVia != ViaChain {
		return nil
	}
	for _, e := range s.Chain {
		if e.Private || e.Name == "off" || s.Mode == Enforced && public(e) { // the latter was refused already
			continue
		}
		hint := `mark it private: true under "proxies", or remove it from the chain`
		if e.Keyword() || public(e) {
			hint = "remove it from the chain"
		}
		errs = append(errs, chainError(s, e, hint, "private modules go through the chain, and %q is not marked private", e.Name))
	}
	return errs
}

// checkExhausted refuses to go direct from an enforced environment.
func checkExhausted(s *Settings) Errors {
	if s.OnExhausted != ExhaustedDirect {
		return nil
	}
	switch {
	case s.Mode == Enforced:
		return Errors{{ID: idChain, Place: s.Places["on_exhausted"], Hint: "set it in the routed environments",
			Msg: fmt.Sprintf("environment %q: on_exhausted: direct is for routed mode", clip(s.Block))}}
	case len(s.Allow) > 0:
		return Errors{{ID: idChain, Place: s.Places["on_exhausted"], Hint: "remove one of them",
			Msg: fmt.Sprintf("environment %q: on_exhausted: direct asks any host, and \"allow\" names the only ones", clip(s.Block))}}
	}
	return nil
}

// public reports whether e leads to the public: the version control systems or
// a proxy of the catalogue, under whatever name.
func public(e Entry) bool {
	return e.Name == "direct" || e.URL != "" && publicAt(hostOf(e)) != ""
}

func hostOf(e Entry) string {
	u, err := url.Parse(e.URL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
