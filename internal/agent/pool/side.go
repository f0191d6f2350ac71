package pool

import (
	"slices"

	"github.com/org/goproxy-setup/internal/agent/upstream"
)

// A side is how one target takes part in a race.
type side struct {
	rank  rank
	force bool // asked although it seems dead, or is slow, busy or paused
	state state
}

// A rank tells who is asked first; targets of one rank are asked in their order.
type rank int

const (
	prompt rank = iota
	late        // often overtaken; slow, busy or paused for a moment
	dead        // left alone; asked rather than none
	ranks
)

type state int

const (
	untried state = iota
	running
	ended
)

// line puts the targets in the order of this request.
func (rc *race) line() {
	for i, t := range rc.r.Targets {
		rc.sides = append(rc.sides, rc.place(i))
		rc.outcomes = append(rc.outcomes, Outcome{Proxy: t.Name, Class: upstream.NotAsked, Detail: "not asked", Gatekeeper: t.decides(), Full: t.Full && !t.Partial})
	}
}

// place returns how a target takes part by its health now.
func (rc *race) place(i int) side {
	switch t := rc.r.Targets[i]; {
	case t.Dead():
		return side{rank: dead, force: true}
	case !t.Ready():
		return side{rank: late, force: true}
	case rc.p.standings.demoted(t.Upstream):
		return side{rank: late}
	}
	return side{}
}

// next asks the next target of a rank below bound, and reports whether there was
// one. Who is kept from requests is forced only when nobody else is left.
func (rc *race) next(bound rank) bool {
	if rc.guarded() {
		return false
	}
	for r := range bound {
		for i, s := range rc.sides {
			switch {
			case s.rank != r || s.state != untried || !rc.mayAsk(i):
			case r > prompt && s.force && (len(rc.running) > 0 || !rc.worth()):
			case rc.outcomes[i].Class != upstream.NotAsked && !rc.p.budget.spend(): // asked before
			default:
				rc.ask(i, false)
				return true
			}
		}
	}
	return false
}

// mayAsk reports whether the gatekeepers before a target let it be asked: each
// must have been, however late it is, unless it is dead. If it is the last one
// of a policy, what it cannot judge goes to the next gatekeeper and to nobody
// else.
func (rc *race) mayAsk(i int) bool {
	if rc.r.Targets[i].decides() {
		return true
	}
	for j, t := range rc.r.Targets[:i] {
		s := rc.sides[j]
		switch {
		case !t.decides():
		case t.Last && !rc.outcomes[j].missing():
			return false
		case s.state == running, s.rank < dead && rc.outcomes[j].Class == upstream.NotAsked:
			return false
		}
	}
	return true
}

// guarded reports whether a gatekeeper is being asked. Beside it nobody else
// begins: its refusal must be heard.
func (rc *race) guarded() bool {
	return slices.ContainsFunc(rc.running, func(a *attempt) bool { return a.outcome.Gatekeeper })
}
