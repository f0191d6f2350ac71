package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/report"
)

// FromChain returns base with chain instead of every chain of its own. chain
// is a list of names and URLs separated by commas or bars; which of the two is
// of no meaning, since the entries decide what stands between them. Whether an
// environment permits the chain is told by [Policy.Settings]. The error is of
// type [Errors].
func FromChain(chain string, base *Policy) (*Policy, error) {
	at := report.Place{File: "--chain"}
	var refs []ref
	for text := range strings.FieldsFuncSeq(chain, func(r rune) bool { return r == ',' || r == '|' }) {
		if text = strings.TrimSpace(text); text != "" {
			refs = append(refs, ref{text, at})
		}
	}
	switch {
	case len(refs) == 0:
		return nil, Errors{{ID: idValue, Place: at, Msg: "the chain is empty", Hint: `name proxies, as in "official,direct"`}}
	case len(refs) > maxChain:
		return nil, Errors{{ID: idTooMuch, Place: at, Msg: fmt.Sprintf("more than %d entries", maxChain)}}
	}
	if _, errs := base.entries(refs); len(errs) > 0 {
		return nil, errs
	}
	p := *base
	p.override = &refs
	return &p, nil
}

// WithPrivate returns p with patterns, a GOPRIVATE list, added to the private
// modules of every environment. The error is of type [Errors].
func (p *Policy) WithPrivate(patterns string) (*Policy, error) {
	at := report.Place{File: "--private"}
	var errs Errors
	for _, problem := range goenv.LintPatterns(patterns) {
		e := &Error{ID: idValue, Place: at, Msg: fmt.Sprintf("pattern %q cannot match: %s", clip(problem.Pattern), problem.Reason)}
		if problem.Fix != "" {
			e.Hint = fmt.Sprintf("write %q", problem.Fix)
		}
		errs = append(errs, e)
	}
	if len(errs) > 0 {
		return nil, errs
	}
	list := strings.Split(patterns, ",")
	list = slices.DeleteFunc(list, func(s string) bool { return s == "" })
	q := *p
	q.private = value[[]string]{v: list, place: at, set: true}
	return &q, nil
}
