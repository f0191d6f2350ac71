package probe

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/report"
)

// grades are the outcomes of one proxy, on the way to a verdict.
type grades struct {
	proxy    *proxy
	canary   Canary
	zip      outcome   // of the canary
	outcomes []outcome // of all that was asked after it
	waived   []question
	waited   time.Duration // for the questions that were waived

	zipBlocked    bool // zips fail, other files do not
	canaryRefused bool // the canary's failure says nothing about builds
}

func (g *grades) add(o outcome) { g.outcomes = append(g.outcomes, o) }

// missing notes the questions of list that had their time and no answer.
func (g *grades) missing(list []question, waited time.Duration) {
	g.waited = waited
	for _, q := range list {
		known := slices.ContainsFunc(g.outcomes, func(o outcome) bool { return o.question.kind == q.kind && o.question.path == q.path })
		if !known {
			g.waived = append(g.waived, q)
		}
	}
}

// blocks reports whether the outcome by itself keeps builds from using the
// proxy. A module that is refused or missing does not: others may be served,
// and the chain may go on after it.
func (g *grades) blocks(o outcome) bool {
	switch o.question.kind {
	case decision.Zip, decision.Project:
		return o.class != "" && o.class != decision.Forbidden && o.class != decision.Missing
	case decision.BigZip:
		// A gatekeeper or a partial mirror may refuse this very module.
		refused := (o.class == decision.Forbidden || o.class == decision.Missing) && !o.elsewhere(g.proxy.site)
		return o.class != "" && (!refused || g.proxy.entry.Full)
	}
	return false
}

// works returns a module of the build that the proxy serves.
func (g *grades) works() (module.Version, bool) {
	for _, o := range g.outcomes {
		if o.question.kind == decision.Project && o.class == "" {
			return o.question.module, true
		}
	}
	return module.Version{}, false
}

// failure returns the first outcome, in the order of the grades, that keeps
// builds from using the proxy, and its class; "" if there is none.
func (g *grades) failure() (outcome, decision.Class) {
	switch {
	case g.zipBlocked:
		return g.zip, decision.ZipBlocked
	case g.zip.class != "" && !g.canaryRefused:
		return g.zip, g.zip.class
	}
	project := g.of(decision.Project)
	for _, o := range append(project, g.of(decision.BigZip)...) {
		if g.blocks(o) {
			return o, g.classOf(o)
		}
	}
	if _, served := g.works(); served || len(project) == 0 {
		return outcome{}, ""
	}
	if g.canaryRefused {
		return g.zip, g.zip.class
	}
	return project[0], project[0].class
}

// classOf is the class of a failure that blocks builds: a big zip that fails
// alone, or where it is kept, is one of zips.
func (g *grades) classOf(o outcome) decision.Class {
	refused := o.class == decision.Forbidden || o.class == decision.Missing
	if o.question.kind == decision.BigZip && (refused || o.storageFault(g.proxy.site)) {
		return decision.ZipBlocked
	}
	return o.class
}

func (g *grades) of(kind decision.CheckKind) []outcome {
	var list []outcome
	for _, o := range g.outcomes {
		if o.question.kind == kind {
			list = append(list, o)
		}
	}
	return list
}

// evidence is the verdict on the proxy.
func (g *grades) evidence() decision.Evidence {
	ev := decision.Evidence{Entry: g.proxy.entry.Name, Latency: g.latency(), Checks: g.checks()}
	for _, o := range append([]outcome{g.zip}, g.of(decision.BigZip)...) {
		if o.elsewhere(g.proxy.site) {
			ev.FinalHost = o.host
		}
	}
	o, class := g.failure()
	switch {
	case class != "":
		ev.Class, ev.Detail, ev.Next = class, g.explain(o, class), g.proxy.next(o, class)
	case g.canaryRefused:
		ev.Detail = fmt.Sprintf("the canary is not allowed here (%s); %s", g.zip.detail, g.projectCheck().Detail)
	case g.projectCheck().Class != "":
		ev.Detail = g.projectCheck().Detail
	}
	ev.Took = time.Since(g.proxy.start)
	// Servers choose parts of the text, down to the names of hosts.
	ev.Detail, ev.Next, ev.FinalHost = modproxy.Line(ev.Detail), modproxy.Line(ev.Next), modproxy.Line(ev.FinalHost)
	for i := range ev.Checks {
		ev.Checks[i].Detail = modproxy.Line(ev.Checks[i].Detail)
	}
	return ev
}

// explain says what happened, for people.
func (g *grades) explain(o outcome, class decision.Class) string {
	switch {
	case class == decision.ZipBlocked && o.elsewhere(g.proxy.site):
		return fmt.Sprintf("zips are kept at %s, which fails: %s", o.host, o.detail)
	case class == decision.ZipBlocked && o.question.kind == decision.BigZip:
		return o.text() + "; small zips are served"
	case class == decision.ZipBlocked:
		return o.text() + "; its .mod file is served"
	case o.elsewhere(g.proxy.site):
		return fmt.Sprintf("%s: redirected to %s: %s", o.question.what, o.host, o.detail)
	case o.question.kind == decision.Project:
		return g.projectCheck().Detail
	case g.canaryRefused && o.question.kind == decision.Zip:
		return o.text() + "; " + g.projectCheck().Detail
	case o.hops <= 1 && o.status == 0:
		return o.detail // of the connection: the file does not matter
	}
	return o.text()
}

// latency is the median time of small files.
func (g *grades) latency() time.Duration {
	var times []time.Duration
	for _, o := range append([]outcome{g.zip}, g.outcomes...) {
		if o.question.small && o.class == "" && !o.elsewhere(g.proxy.site) {
			times = append(times, o.latency)
		}
	}
	if len(times) == 0 {
		return 0
	}
	slices.Sort(times)
	return times[len(times)/2]
}

// order is the order of the grades.
var order = []decision.CheckKind{
	decision.DNS, decision.TCP, decision.TLS, decision.HTTP, decision.Zip, decision.Project, decision.NotFound,
	decision.Escape, decision.Info, decision.List, decision.Supported, decision.SumDB, decision.BigZip, decision.Toolchain,
}

// checks lists the grades in their order, the connection's phases first.
func (g *grades) checks() []decision.Check {
	list := append(g.zip.phases(), g.zip.check())
	if len(g.of(decision.Project)) > 0 {
		list = append(list, g.projectCheck())
	}
	for _, o := range g.outcomes {
		if o.question.kind != decision.Project {
			list = append(list, o.check())
		}
	}
	for _, q := range g.waived {
		list = append(list, decision.Check{
			Kind: q.kind, Class: decision.Cancelled, Took: g.waited,
			Detail: fmt.Sprintf("no answer within %s", report.Round(g.waited)),
		})
	}
	slices.SortStableFunc(list, func(a, b decision.Check) int {
		return cmp.Compare(slices.Index(order, a.Kind), slices.Index(order, b.Kind))
	})
	return list
}

// phases are the checks of the connection. The second attempt may have used
// the connection of the first.
func (o outcome) phases() []decision.Check {
	list := o.trace.Checks(o.class, o.status, o.detail)
	if o.before == nil {
		return list
	}
	for _, c := range o.before.Checks(o.class, o.status, o.detail) {
		again := slices.ContainsFunc(list, func(l decision.Check) bool { return l.Kind == c.Kind })
		if c.Class == "" && !again {
			list = append(list, c)
		}
	}
	return list
}

func (o outcome) check() decision.Check {
	class := o.class
	if o.question.kind == decision.Supported && class == decision.Missing || o.question.kind == decision.SumDB && class == decision.Missing {
		class = decision.NoSumDB
	}
	return decision.Check{Kind: o.question.kind, Class: class, Status: o.status, Detail: o.text(), Took: o.took}
}

// projectCheck is the one check for all modules of the build that were asked.
func (g *grades) projectCheck() decision.Check {
	list := g.of(decision.Project)
	c := decision.Check{Kind: decision.Project}
	var bad []string
	for _, o := range list {
		c.Took = max(c.Took, o.took)
		if o.class == "" {
			c.Status = cmp.Or(c.Status, o.status)
			continue
		}
		if c.Class == "" || g.blocks(o) {
			c.Class, c.Status = o.class, o.status
		}
		if g.blocks(o) {
			bad = append([]string{o.text()}, bad...)
		} else {
			bad = append(bad, o.text())
		}
	}
	switch served := len(list) - len(bad); {
	case len(bad) > 0 && c.Class != decision.Forbidden && c.Class != decision.Missing: // not all were waited for
		c.Detail = bad[0]
	case served == 0 && len(list) > 0:
		c.Detail = fmt.Sprintf("none of %d modules of go.sum is served: %s", len(list), bad[0])
	case len(bad) > 0:
		c.Detail = fmt.Sprintf("%d of %d modules of go.sum are served, not: %s", served, len(list), bad[0])
	default:
		c.Detail = fmt.Sprintf("%d of %d modules of go.sum are served", served, len(list))
	}
	return c
}
