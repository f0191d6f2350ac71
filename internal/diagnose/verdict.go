package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/report"
)

// A Verdict says which layers are to blame for a module that cannot be had, or
// that is not what it should be.
type Verdict struct {
	Module module.Version
	Layers []layer
	Guilty []string // names of layers, or "go.sum"; none if nobody is to blame
	Text   string   // one sentence for people
	Next   string   // what to do, "" if nothing
	wrong  map[string]string
}

// judge compares what the layers have with each other and with the truth. It
// is pure.
func judge(mod module.Version, layers []layer, truth hashes, chain namedChain) Verdict {
	v := Verdict{Module: mod, Layers: layers, wrong: map[string]string{}}
	if truth.from == "" {
		truth = agreed(layers)
	}
	for _, l := range layers {
		if why := l.fault(truth); why != "" {
			v.wrong[l.Name] = why
		}
	}
	proxies := v.of(proxyLayer)
	served := slices.IndexFunc(proxies, func(l layer) bool { return l.answered() && v.wrong[l.Name] == "" }) >= 0
	switch {
	case truth.conflict != "":
		v.blame("go.sum", truth.conflict, "ask the module's author which is right; if a tag was moved, take a newer version, and remove the lines of this one from go.sum")
	case v.moved(proxies, truth):
		v.blame("direct", fmt.Sprintf("every proxy has the same bytes, and %s has another hash: the tag was moved after it was recorded", truth.from), "take another version; do not switch GOSUMDB off")
	case v.wrong["module cache"] != "":
		v.blame("module cache", "the module cache has a wrong file: "+v.wrong["module cache"], "go clean -modcache, or \"goproxy-setup doctor --fix\", which removes that file alone")
	default:
		v.blameProxies(proxies, served, chain)
	}
	late := v.late()
	if len(v.Guilty) == 0 {
		v.blameRest(served, late != "")
	}
	if late != "" {
		v.Text += "; not known is what " + late + " would have sent: " + timeOver + ", --timeout gives more"
	}
	return v
}

// late names the layers that were still sending when the time was over: they
// are neither to blame nor witnesses.
func (v *Verdict) late() string {
	var names []string
	for _, l := range v.Layers {
		if slices.ContainsFunc(l.Answers, func(a layerAnswer) bool { return a.late }) {
			names = append(names, l.Name)
		}
	}
	return strings.Join(names, ", ")
}

// fault says what is wrong with a layer's bytes; nothing is wrong with having
// none.
func (l layer) fault(truth hashes) string {
	for _, a := range l.Answers {
		want := map[string]string{"mod": truth.mod, "zip": truth.zip}[a.File]
		switch {
		case a.Hash != "" && want != "" && a.Hash != want:
			return fmt.Sprintf(".%s has the hash %s, and %s says %s", a.File, a.Hash, truth.from, want)
		case a.Answer == goenv.Garbage, a.Answer == goenv.Wrong, a.Answer == goenv.Truncated:
			return fmt.Sprintf(".%s: %s", a.File, a.Detail)
		}
	}
	return ""
}

// agreed returns the hashes that most layers have, if there are at least two
// and nobody else can vouch.
func agreed(layers []layer) (h hashes) {
	for _, file := range []string{"zip", "mod"} {
		count := map[string]int{}
		for _, l := range layers {
			if a, ok := l.get(file); ok && a.Hash != "" {
				count[a.Hash]++
			}
		}
		for hash, n := range count {
			if n < 2 || n*2 <= sum(count) {
				continue
			}
			if h.from = "the majority"; file == "zip" {
				h.zip = hash
			} else {
				h.mod = hash
			}
		}
	}
	return h
}

func sum(count map[string]int) (n int) {
	for _, c := range count {
		n += c
	}
	return n
}

func (v *Verdict) of(kind layerKind) (list []layer) {
	for _, l := range v.Layers {
		if l.Kind == kind && l.Skipped == "" {
			list = append(list, l)
		}
	}
	return list
}

func (v *Verdict) blame(name, text, next string) {
	v.Guilty, v.Text, v.Next = []string{name}, text, next
}

// moved reports whether at least two proxies serve the same bytes and these are
// not the recorded ones.
func (v *Verdict) moved(proxies []layer, truth hashes) bool {
	if truth.zip == "" || truth.from == "the majority" {
		return false
	}
	first, n := "", 0
	for _, l := range proxies {
		a, _ := l.get("zip")
		switch {
		case a.Hash == "":
			continue
		case a.Hash == truth.zip || first != "" && a.Hash != first:
			return false
		}
		first = a.Hash
		n++
	}
	return n >= 2
}

// blameProxies blames the proxies with wrong bytes, and then those that fail
// while another serves, or where go stops.
func (v *Verdict) blameProxies(proxies []layer, served bool, chain namedChain) {
	var texts []string
	for _, l := range proxies {
		if v.wrong[l.Name] != "" {
			v.Guilty = append(v.Guilty, l.Name)
			texts = append(texts, l.Name+" sends wrong bytes: "+v.wrong[l.Name])
		}
	}
	if len(v.Guilty) > 0 {
		v.Next = "put another proxy before it, and tell whoever runs it to clear its cache"
	}
	for _, l := range proxies {
		bad, failed := firstFailure(l)
		if failed && v.wrong[l.Name] == "" && (bad.Answer != goenv.Absent || served) {
			v.Guilty = append(v.Guilty, l.Name)
			if bad.Answer == goenv.Absent {
				texts = append(texts, fmt.Sprintf("%s has no .%s (%s), and another layer has it", l.Name, bad.File, bad.Detail))
				continue
			}
			texts = append(texts, fmt.Sprintf("%s fails for .%s: %s", l.Name, bad.File, bad.Detail))
		}
	}
	if len(v.Guilty) == 0 {
		return
	}
	v.Text = strings.Join(texts, "; ")
	if v.Next == "" {
		v.Next = "put a proxy that has it first; after a public proxy a bar instead of a comma lets go move on"
	}
	if name := v.stop(chain); name != "" {
		v.Text += fmt.Sprintf(". With this GOPROXY, go ends at %s", name)
	}
}

// firstFailure returns the first file that a layer could not give, those aside
// of which that is not known.
func firstFailure(l layer) (layerAnswer, bool) {
	for _, a := range l.Answers {
		if a.Answer != goenv.OK && !a.late {
			return a, true
		}
	}
	return layerAnswer{}, false
}

// stop returns the proxy at whose error go ends, "" if it gets all files or goes
// on to version control.
func (v *Verdict) stop(chain namedChain) string {
	for _, kind := range []goenv.File{goenv.Mod, goenv.Zip} { // in go's order; a build needs no .info
		name := chain.stop(goenv.Request{File: kind, Vouch: goenv.Database}, func(name string) goenv.Answer { return v.answer(name, kind.String()) })
		if name != "" {
			return name
		}
	}
	return ""
}

// answer returns what go makes of a proxy's file.
func (v *Verdict) answer(name, file string) goenv.Answer {
	for _, l := range v.of(proxyLayer) {
		a, ok := l.get(file)
		switch {
		case l.Name != name:
		case a.late:
			return goenv.OK // as far as is known
		case !ok: // not asked after an earlier file had failed
			a, _ = firstFailure(l)
			return a.Answer
		case a.Answer == goenv.OK && strings.HasPrefix(v.wrong[name], "."+file+" "):
			return goenv.Wrong
		default:
			return a.Answer
		}
	}
	return goenv.OK
}

// blameRest judges when no proxy is to blame: the database, version control,
// or nobody. If layers were late, the others' word is not the last one.
func (v *Verdict) blameRest(served, late bool) {
	for _, l := range v.of(databaseLayer) {
		if a, failed := firstFailure(l); failed && a.Answer != goenv.Absent {
			v.blame(l.Name, "the checksum database could not be asked: "+a.Detail, "allow its host, or put a proxy that passes it on first; a module in go.sum needs none")
			return
		}
	}
	direct := v.of(directLayer)
	switch {
	case served:
		v.Text = "nobody: every layer that go asks has the same files"
		if late {
			v.Text = "nobody: the layers that were done in time have the same files"
		}
		if cache := v.of(cacheLayer); len(cache) == 0 || !cache[0].answered() {
			v.Text += ", and the module cache has still to fetch them"
		}
	case len(direct) == 1 && direct[0].answered():
		v.Text = "nobody: no proxy has it, and version control has"
		if len(v.of(proxyLayer)) == 0 {
			v.Text = "nobody: version control has it"
		}
	case len(direct) == 1 && len(v.of(proxyLayer)) == 0 && !late:
		a, _ := firstFailure(direct[0])
		v.blame("direct", "version control does not give it: "+a.Detail, "check the name and the version, and that git may log in there")
	case len(v.of(proxyLayer)) == 0 && len(direct) == 0:
		v.Text = "nobody was asked"
	case late:
		v.Text = "nobody, as far as is known: no layer was seen to have it"
	default:
		v.blame("the version", "every layer says that it does not exist", "check the spelling; a tag that is minutes old may be kept as missing by a proxy for half an hour")
	}
}

// Fill puts the verdict into a report: a row for each layer.
func (v Verdict) Fill(r *report.Report) {
	for _, l := range v.Layers {
		p := report.Proxy{Name: l.Name, State: report.Usable, TookMS: l.Took.Milliseconds()}
		a, failed := firstFailure(l)
		switch {
		case l.Skipped != "":
			p.State, p.Cause = report.Unasked, l.Skipped
		case v.wrong[l.Name] != "":
			p.State, p.Class, p.Cause = report.Down, "wrong-content", v.wrong[l.Name]
		case failed && (a.Answer == goenv.Absent || l.Kind == directLayer):
			p.State, p.Cause = report.Unknown, fmt.Sprintf("%s: %s", a.File, a.Detail)
		case !failed && !l.answered():
			p.State, p.Cause = report.Unknown, timeOver
		case failed:
			p.State, p.Class, p.Cause = report.Down, a.Answer.String(), fmt.Sprintf("%s: %s", a.File, a.Detail)
		default:
			p.Cause = "has it"
		}
		if slices.Contains(v.Guilty, l.Name) {
			p.Use, p.State = "guilty", report.Down
		}
		for _, a := range l.Answers {
			detail := a.Detail
			if a.Hash != "" {
				detail = strings.TrimSpace(a.Hash + " " + detail)
			}
			p.Checks = append(p.Checks, report.Check{Name: a.File, OK: a.Answer == goenv.OK, Detail: detail, TookMS: a.Took.Milliseconds()})
		}
		r.Proxies = append(r.Proxies, p)
	}
	r.Outcome, r.Summary = report.OK, fmt.Sprintf("%s: to blame is %s.", v.Module, v.Text)
	if len(v.Guilty) > 0 {
		r.Outcome = report.Troubled
		r.Summary = fmt.Sprintf("%s: to blame is %s.", v.Module, strings.Join(v.Guilty, ", "))
		r.Findings = []report.Finding{{ID: "guilty-layer", Severity: report.Error, Title: "To blame: " + strings.Join(v.Guilty, ", "), Message: v.Text, Fix: v.Next}}
	}
}
