package agent

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/report"
)

const (
	// maxRows is how many modules a report lists, those with a story first.
	maxRows = 200
	// maxNamed is how many files a finding names.
	maxNamed = 5
	// lateShare is the part of all files, in percent, for which another proxy
	// may have been faster before that is worth a word: now and then is what
	// hedging is for.
	lateShare = 10
)

// Report returns what was answered so far, for the settings s whose chain was
// served. The outcome is a fallback if a proxy failed, or was late for many
// files; that the first proxy of a chain has not got a module is none.
func (j *Journal) Report(s *policy.Settings) *report.Report {
	j.mu.Lock()
	defer j.mu.Unlock()
	r := &report.Report{
		Schema: report.Schema, Command: report.AgentCommand, Outcome: report.OK, Environment: s.Environment, EnvironmentSource: s.Source,
		Summary: j.summary(s), Proxies: j.rows(s), Reasons: j.remarks(),
	}
	fallback := j.fallbackFindings(s)
	r.Findings = slices.Concat(j.unsoldFindings(s), fallback)
	report.SortFindings(r.Findings)
	if len(fallback) > 0 || len(j.troubled(s)) > 0 {
		r.Outcome = report.Fallback
	}
	if t := j.table(); len(t.Rows) > 0 {
		r.Tables = []report.Table{t}
	}
	return r
}

// summary says in one sentence how many modules came from where.
func (j *Journal) summary(s *policy.Settings) string {
	if len(j.modules) == 0 && len(j.unsold) == 0 && j.sums == 0 {
		return "No module was asked for."
	}
	counts := map[string]int{}
	for _, o := range j.modules {
		if o.stored {
			counts["the store"]++
		} else {
			counts[o.from]++
		}
	}
	order := []string{"the store"}
	for _, e := range s.Proxies() {
		order = append(order, e.Name)
	}
	var parts []string
	for _, from := range order {
		if n := counts[from]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d from %s", n, from))
		}
	}
	text := plural(len(j.modules), "module")
	if j.more > 0 {
		text = "more than " + text
	}
	if len(parts) > 0 {
		text += ", " + strings.Join(parts, ", ")
	}
	var failed []string
	for _, name := range j.troubled(s) {
		failed = append(failed, name+": "+brief(j.tallies[name].first))
	}
	if len(failed) > 0 {
		text += " (" + strings.Join(failed, "; ") + ")"
	}
	if n := len(j.unsold) + j.omitted; n > 0 {
		text += "; " + plural(n, "file") + " could not be served"
	}
	return text + "."
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// troubled returns the proxies that failed: those of the chain in its order,
// then others, such as servers of a checksum database.
func (j *Journal) troubled(s *policy.Settings) (names []string) {
	for _, e := range s.Proxies() {
		if t := j.tallies[e.Name]; t != nil && t.failures > 0 && !slices.Contains(names, e.Name) {
			names = append(names, e.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(j.tallies)) {
		if j.tallies[name].failures > 0 && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// rows describe the proxies of the chain.
func (j *Journal) rows(s *policy.Settings) (list []report.Proxy) {
	for i, e := range s.Chain {
		p := report.Proxy{Name: e.Name, URL: goenv.Redact(e.URL), State: report.Unasked, Use: use(i), Place: e.Place}
		if e.Keyword() {
			p.URL, p.Use = e.Name, ""
			if e.Name == "direct" {
				p.Cause = "the go command itself asks version control for what no proxy has"
			}
			list = append(list, p)
			continue
		}
		if t := j.tallies[e.Name]; t != nil {
			p.State, p.Cause = t.state(), t.story()
			if t.failures > 0 {
				p.Class, p.Next = string(t.first.Class), t.next(e)
			}
		}
		list = append(list, p)
	}
	return list
}

func use(i int) string {
	if i == 0 {
		return "primary"
	}
	return fmt.Sprintf("next (%d)", i+1)
}

func (t *tally) state() report.State {
	switch {
	case t.failures == 0 && t.files == 0:
		return report.Unasked
	case t.failures == 0:
		return report.Usable
	case t.files == 0:
		return report.Down
	}
	return report.Degraded
}

// story says in one line what the proxy did.
func (t *tally) story() string {
	parts := []string{"served " + plural(t.files, "file")}
	if t.failures > 0 {
		parts = append(parts, fmt.Sprintf("failed %s: %s", plural(t.failures, "request"), t.causes()))
	}
	if t.moved > 0 {
		parts = append(parts, fmt.Sprintf("not asked for %s, since it had failed", plural(t.moved, "file")))
	}
	if t.late > 0 {
		parts = append(parts, fmt.Sprintf("late for %s", plural(t.late, "file")))
	}
	return strings.Join(parts, "; ")
}

// causes is the first failure and, if there were others, how many of each class.
func (t *tally) causes() string {
	text := t.first.Detail
	if text == "" {
		text = brief(t.first)
	}
	if len(t.classes) < 2 {
		return text
	}
	var parts []string
	for _, c := range slices.Sorted(maps.Keys(t.classes)) {
		parts = append(parts, fmt.Sprintf("%d × %s", t.classes[c], c))
	}
	return text + " (" + strings.Join(parts, ", ") + ")"
}

// next is what to do about a proxy's failures.
func (t *tally) next(e policy.Entry) string {
	host := e.Name
	if u, err := url.Parse(e.URL); err == nil && u.Host != "" {
		host = u.Host
	}
	return nextStep(t.first.Class, t.first.Next, host)
}

// nextStep is what to do about a failure at a host.
func nextStep(c decision.Class, known, host string) string {
	switch c {
	case decision.Refused, decision.Timeout, decision.DNSFailure, decision.Reset:
		known = cmp.Or(known, "see that this machine reaches %s; a firewall or an outage may stand between")
	case decision.Silent, decision.Stalled:
		known = cmp.Or(known, "tell whoever runs %s: it takes requests and does not end them")
	case decision.Unauthorized, decision.Forbidden:
		known = cmp.Or(known, "ask whoever runs %s whether this machine and its login may read modules there")
	case decision.RateLimited:
		known = cmp.Or(known, "%s limits requests from this address: put a proxy of your own before it, or log in")
	case decision.UnknownCA, decision.BadTLS:
		known = cmp.Or(known, "have the certificate of %s mended, or trust its authority: tls.ca in the policy")
	case decision.WrongContent, decision.Portal:
		known = cmp.Or(known, "do not use %s until whoever runs it has cleared its cache")
	case decision.NotAllowed:
		known = cmp.Or(known, "add the host to the policy's \"allow\", if %s is meant to be read from there")
	}
	return strings.ReplaceAll(cmp.Or(known, "tell whoever runs %s, or name another proxy before it"), "%s", host)
}

// fallbackFindings returns the one finding of a run whose modules did not all
// come from the first proxy without any trouble.
func (j *Journal) fallbackFindings(s *policy.Settings) []report.Finding {
	f := report.Finding{ID: "fallback", Severity: report.Warning, Title: "Module proxy fallback used", Place: s.Places["chain"]}
	if s.OnFallback == policy.FallbackNotice {
		f.Severity = report.Notice
	}
	troubled := j.troubled(s)
	switch {
	case len(troubled) == 0:
		return j.lateFindings(s, f)
	case j.files == 0: // nobody served anything: that is said elsewhere
		return nil
	}
	name := troubled[0]
	t, e := j.tallies[name], entryOf(s, name)
	f.Message = fmt.Sprintf("%s failed while serving %s: %s", name, fileName(t.file), t.first.Detail)
	if t.instead != "" {
		f.Message += "; it came from " + t.instead
	}
	if n := t.failures - 1 + t.moved; n > 0 {
		f.Message += fmt.Sprintf("; %s likewise", plural(n, "more request"))
	}
	if len(troubled) > 1 {
		f.Message += "; " + strings.Join(troubled[1:], " and ") + " failed, too"
	}
	f.Fix = t.next(e)
	if e.Place.Line > 0 {
		f.Place = e.Place
	}
	return []report.Finding{f}
}

// lateFindings completes f if the first proxy was late too often.
func (j *Journal) lateFindings(s *policy.Settings, f report.Finding) []report.Finding {
	if j.rerouted*100 <= j.files*lateShare {
		return nil
	}
	var slowest string
	for _, e := range s.Proxies() {
		if t := j.tallies[e.Name]; t != nil && (slowest == "" || t.late > j.tallies[slowest].late) {
			slowest = e.Name
		}
	}
	e := entryOf(s, slowest)
	f.Title = "Slow module proxy"
	f.Message = fmt.Sprintf("%s was late for %d of %s, which other proxies served sooner", slowest, j.tallies[slowest].late, plural(j.files, "file"))
	f.Fix = "put a faster proxy before it, if that is always so"
	if e.Place.Line > 0 {
		f.Place = e.Place
	}
	return []report.Finding{f}
}

func entryOf(s *policy.Settings, name string) policy.Entry {
	for _, e := range s.Chain {
		if e.Name == name {
			return e
		}
	}
	return policy.Entry{Name: name}
}

// unsoldFindings returns one finding for the files that nobody could serve, one
// for those that a rule forbids, and one for the checksum database.
func (j *Journal) unsoldFindings(s *policy.Settings) (list []report.Finding) {
	files := slices.SortedFunc(maps.Keys(j.unsold), func(a, b modproxy.File) int { return cmp.Compare(j.unsold[a].number, j.unsold[b].number) })
	denied := slices.DeleteFunc(slices.Clone(files), func(f modproxy.File) bool { return !j.unsold[f].denied })
	failed := slices.DeleteFunc(files, func(f modproxy.File) bool { return j.unsold[f].denied })
	if len(failed) > 0 {
		list = append(list, report.Finding{
			ID: "not-served", Severity: report.Error, Title: "Module could not be served", Place: s.Places["chain"], Message: j.named(failed),
			Fix: cmp.Or(j.unsold[failed[0]].next, "the table has the next step for each proxy; the modules may exist, this is an outage"),
		})
	}
	if len(denied) > 0 {
		list = append(list, report.Finding{
			ID: "not-allowed", Severity: report.Error, Title: "Module not allowed", Place: s.Places["chain"], Message: j.named(denied),
			Fix: cmp.Or(j.unsold[denied[0]].next, "ask whoever decides on modules here to allow it, or use another version"),
		})
	}
	if j.sums > 0 {
		list = append(list, report.Finding{
			ID: "sumdb-not-served", Severity: report.Error, Title: "Checksum database not reachable", Place: s.Places["sumdb"],
			Message: fmt.Sprintf("%s to the checksum database could not be answered: %s", plural(j.sums, "request"), j.sumsCause),
			Fix:     "a complete go.sum needs no checksum database; otherwise see that one of its routes works",
		})
	}
	return list
}

// named says why the first of files was not served, and names some others.
func (j *Journal) named(files []modproxy.File) string {
	text := fileName(files[0]) + ": " + j.unsold[files[0]].cause
	var names []string
	for _, file := range files[1:min(len(files), maxNamed)] {
		names = append(names, fileName(file))
	}
	if len(names) > 0 {
		text += "; likewise " + strings.Join(names, ", ")
	}
	if n := len(files) - maxNamed; n > 0 {
		text += fmt.Sprintf(" and %d more", n)
	}
	return text
}

// fileName names a file for people.
func fileName(f modproxy.File) string {
	switch {
	case f.Path == "":
		return "the checksum database"
	case f.Kind == modproxy.List:
		return "the versions of " + f.Path
	case f.Kind == modproxy.Latest:
		return "the latest version of " + f.Path
	}
	return f.Path + "@" + f.Version + " (." + string(f.Kind) + ")"
}

// remarks are what else is worth knowing of the run.
func (j *Journal) remarks() (list []string) {
	for _, r := range []struct {
		n    int
		text string
	}{
		{j.hits, "came out of the agent's store"},
		{j.absent, "ended with \"not found\""},
		{j.stale, "got an earlier answer, since no proxy could be asked"},
		{j.secrets, "would have told the checksum database a private name, and was refused"},
	} {
		if r.n > 0 {
			list = append(list, plural(r.n, "request")+" "+r.text)
		}
	}
	return list
}

// table lists the modules, those that came another way than usual first.
func (j *Journal) table() report.Table {
	t := report.Table{Title: "Modules", Columns: []string{"Module", "Version", "From", "Why not the first"}}
	list := slices.SortedFunc(maps.Keys(j.modules), func(a, b module.Version) int {
		x, y := j.modules[a], j.modules[b]
		if (x.why == "") != (y.why == "") {
			return strings.Compare(y.why, x.why)
		}
		return cmp.Or(strings.Compare(a.Path, b.Path), strings.Compare(a.Version, b.Version))
	})
	t.More = max(0, len(list)-maxRows) + j.more
	for _, m := range list[:min(len(list), maxRows)] {
		o := j.modules[m]
		from := o.from
		if o.stored {
			from = "the store"
			if o.from != "" {
				from += " (" + o.from + ")"
			}
		}
		t.Rows = append(t.Rows, []string{m.Path, m.Version, from, o.why})
	}
	return t
}
