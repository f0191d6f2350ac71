package decision

import (
	"fmt"
	"slices"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/report"
)

// choose returns the entries that stay, in the order in which go shall ask
// them, and the rules that applied. verdicts are in policy order.
func choose(s *policy.Settings, verdicts []verdict) (kept []verdict, reasons []string) {
	kept, reasons = keep(s, verdicts)
	if s.Mode == policy.Enforced {
		return kept, reasons // gatekeepers are asked in the written order
	}
	kept, reason := reorder(s, kept)
	if reason != "" {
		reasons = append(reasons, reason)
	}
	return kept, reasons
}

// keep drops what is down or silent. Unknown entries keep their place behind
// a usable one, or as the primary, but are never promoted to the first place
// while anything usable is there.
func keep(s *policy.Settings, verdicts []verdict) (kept []verdict, reasons []string) {
	working := slices.ContainsFunc(verdicts, verdict.usable)
	guarded := "" // a gatekeeper that was left out and may not be walked around
	for i, v := range verdicts {
		drop := ""
		switch {
		case v.entry.Keyword() && s.Mode == policy.Enforced:
			drop = "enforced mode has no way around the gatekeepers"
		case guarded != "" && !v.entry.Gatekeeper:
			drop = fmt.Sprintf("the gatekeeper %s is left out, and its outage is no permission to go around it", guarded)
		case v.late:
			drop = v.why
		case v.state == report.Down:
			drop = "down: " + v.why
		case v.state == report.Unknown && i > 0 && working && len(kept) == 0:
			drop = "cannot be judged from here, and is no fallback while a usable entry is there"
		}
		if drop != "" {
			reasons = append(reasons, fmt.Sprintf("%s is left out: %s", v.entry.Name, drop))
			if v.entry.Gatekeeper && !v.entry.Overridable {
				guarded = v.entry.Name
			}
			continue
		}
		if v.state == report.Unknown {
			reasons = append(reasons, fmt.Sprintf("%s keeps its place: it cannot be judged from here (%s)", v.entry.Name, v.why))
		}
		kept = append(kept, v)
	}
	return kept, reasons
}

// reorder moves one faster entry to the front: the fastest, if the policy asks
// for that; otherwise the first that is not slow, if the front is. It never
// moves an entry past a gatekeeper, whose place is a rule and not a wish.
func reorder(s *policy.Settings, kept []verdict) ([]verdict, string) {
	if len(kept) == 0 || !kept[0].usable() {
		return kept, ""
	}
	front, best := kept[0], 0
	if s.Strategy != policy.Fastest && !front.slow(s.Probe.Slow) {
		return kept, ""
	}
	for i, v := range kept {
		if v.entry.Gatekeeper {
			break
		}
		if !v.usable() || !muchFaster(v.ev, front.ev) {
			continue
		}
		if s.Strategy == policy.Fastest {
			if best == 0 || v.ev.Latency < kept[best].ev.Latency {
				best = i
			}
		} else if !v.slow(s.Probe.Slow) {
			best = i
			break
		}
	}
	if best == 0 {
		return kept, ""
	}
	first := kept[best]
	rest := slices.Delete(slices.Clone(kept), best, best+1)
	return append([]verdict{first}, rest...), fmt.Sprintf("%s goes first: it answers in %s, %s in %s",
		first.entry.Name, report.Round(first.ev.Latency), front.entry.Name, report.Round(front.ev.Latency))
}

// Chain returns the whole chain of s as it is exported when every entry is
// usable.
func Chain(s *policy.Settings) (goenv.Chain, error) {
	all := make([]verdict, len(s.Chain))
	for i, e := range s.Chain {
		all[i].entry = e
	}
	return chain(s.Mode, all)
}

// chain gives every kept entry its separator. The separator belongs to the
// entry before it: a comma after a gatekeeper, so that its 403 stays final,
// and after everything in enforced mode; a bar after any other proxy, so that
// an outage is survived. The error is that of an entry which go would refuse,
// and with it the whole list.
func chain(mode policy.Mode, kept []verdict) (goenv.Chain, error) {
	var c goenv.Chain
	for i, v := range kept {
		e := goenv.Entry{Value: v.entry.Name}
		if !v.entry.Keyword() {
			value, err := goenv.CheckEntry(v.entry.URL)
			if err != nil {
				return nil, fmt.Errorf("proxy %s: %w", v.entry.Name, err)
			}
			e.Value = value
		}
		switch {
		case i == len(kept)-1:
			e.Sep = goenv.End
		case v.entry.Gatekeeper || mode == policy.Enforced:
			e.Sep = goenv.Comma
		default:
			e.Sep = goenv.Bar
		}
		c = append(c, e)
	}
	return c, nil
}
