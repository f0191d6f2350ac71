package goenv_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/golab"
	"github.com/org/goproxy-setup/internal/proxytest"
)

var roleMark = regexp.MustCompile(`as=([a-z])`)

// roleIn returns the role of the proxy that a text speaks of, "f" for the
// directory, or "".
func roleIn(text string) string {
	if m := roleMark.FindStringSubmatch(text); m != nil {
		return m[1]
	}
	if strings.Contains(text, "file://") {
		return "f"
	}
	return ""
}

// A course is what becomes of one module: the files asked for, and the end.
type course struct {
	steps []string // "a.info", in order
	at    goenv.File
	end   goenv.Ending
	role  string // of the proxy that end speaks of, "" if of none or unknown
}

func (c course) String() string {
	return fmt.Sprintf("%q, then %s at %s by %q", c.steps, c.end, c.at, c.role)
}

// model returns the course of a cell by Chain.Walk.
func (r row) model(chain goenv.Chain, c cell, noProxy string) course {
	files := []goenv.File{goenv.Info, goenv.Mod, goenv.Zip}
	if c.file == goenv.Latest {
		files = []goenv.File{goenv.Latest}
	}
	q := goenv.Request{Module: c.path, NoProxy: noProxy, Vouch: r.vouch}
	var w course
	for _, q.File = range files {
		w.walk(chain, c, q)
		if w.end != goenv.Served {
			break
		}
	}
	w.steps = slices.Compact(w.steps)
	return w
}

// walk adds what the model says of one file.
func (w *course) walk(chain goenv.Chain, c cell, q goenv.Request) {
	role := func(entry int) string { return roleIn(chain[entry].Value) }
	route := chain.Walk(q, func(entry int, f goenv.File) goenv.Answer {
		switch role := role(entry); role {
		case "x":
			return goenv.Unreachable
		case "f":
			return goenv.Absent
		default:
			return c.answers[role+"."+f.String()]
		}
	})
	for _, s := range route.Steps {
		if role := role(s.Entry); role != "x" && role != "f" { // these two keep no log
			w.steps = append(w.steps, role+"."+s.File.String())
		}
	}
	w.at, w.end, w.role = q.File, route.End, ""
	if route.Entry >= 0 {
		w.role = role(route.Entry)
	}
}

// observe returns the course of a cell as the go command took it.
func (l lab) observe(c cell, r golab.Result, log []proxytest.Request) course {
	w := course{steps: stepsOf(c, log)}
	files := []goenv.File{goenv.Info, goenv.Mod, goenv.Zip}
	if c.file == goenv.Latest {
		files = []goenv.File{goenv.Latest}
	}
	for _, w.at = range files {
		switch found, genuine := l.cached(c, r, w.at); {
		case !found:
			w.end, w.role = l.failure(c, r, w.at)
			return w
		case !genuine:
			w.end, w.role = goenv.Swallowed, lastRole(w.steps, w.at)
			return w
		}
		w.end, w.role = goenv.Served, lastRole(w.steps, w.at)
	}
	return w
}

// stepsOf returns the files that were asked for, without what go and net/http
// repeat: requests on a reused connection, 4xx over https.
func stepsOf(c cell, log []proxytest.Request) (steps []string) {
	for _, req := range log {
		file, ok := strings.CutPrefix(req.Path, "/"+c.path+"/@")
		role := roleIn(req.Prefix)
		if !ok || role == "" { // no role: a redirect was followed
			continue
		}
		if v, ok := strings.CutPrefix(file, "v/"); ok {
			file = strings.TrimPrefix(filepath.Ext("."+v), ".")
		}
		if c.file == goenv.Latest && (file == "mod" || file == "zip") {
			continue // a later story
		}
		steps = append(steps, role+"."+file)
	}
	return slices.Compact(steps)
}

// lastRole returns the role last asked for the file.
func lastRole(steps []string, at goenv.File) string {
	for _, s := range slices.Backward(steps) {
		if role, file, _ := strings.Cut(s, "."); at == goenv.Latest || file == at.String() {
			return role
		}
	}
	return ""
}

// cached reports whether go has accepted the file, and whether it is the one
// that healthy proxies have.
func (l lab) cached(c cell, r golab.Result, f goenv.File) (found, genuine bool) {
	name := filepath.Join(r.Cache, "cache", "download", c.path, "@v", c.version+"."+f.String())
	sums := ""
	switch f {
	case goenv.Latest:
		names, _ := filepath.Glob(filepath.Join(filepath.Dir(name), "*.info"))
		return len(names) > 0, true
	case goenv.Mod:
		sums = "module " + c.path + "\n\ngo 1.21\n"
	case goenv.Zip:
		name += "hash"
		sums = strings.Fields(l.Proxies.GoSum(c.path + "@" + c.version))[2]
	}
	data, err := os.ReadFile(name)
	return err == nil, f == goenv.Info || string(data) == sums
}

// failure reads from go's error how the way to the file ended.
func (l lab) failure(c cell, r golab.Result, at goenv.File) (goenv.Ending, string) {
	host, _, _ := strings.Cut(c.path, "/")
	text := r.Modules[c.path].Error
	role := roleIn(text)
	switch {
	case r.Killed:
		return goenv.Hung, ""
	case strings.Contains(r.Stderr, "SECURITY ERROR"):
		return goenv.LateFatal, ""
	case l.Outside.Asked(host):
		return goenv.WentDirect, ""
	case strings.Contains(text, "disabled by GOPROXY=off"):
		return goenv.TurnedOff, ""
	case text == "":
		return -1, "no error: " + r.Stderr
	case strings.Contains(text, "404 Not Found"), strings.Contains(text, "410 Gone"), role == "f":
		return goenv.NotFound, role
	case role == "" && at == goenv.Zip:
		return goenv.LateFatal, ""
	}
	return goenv.Stopped, role
}

// same reports whether go did what the model says, as far as go shows it.
func same(model, real course) bool {
	if model.at == goenv.Latest && model.end == goenv.Swallowed {
		model.end = goenv.Served // nobody can tell
	}
	if model.at == goenv.Mod && model.end == goenv.Swallowed {
		// If the file is no go.mod at all, go reports that and asks for no zip.
		real.steps = slices.DeleteFunc(slices.Clone(real.steps), func(s string) bool { return strings.HasSuffix(s, ".zip") })
	}
	if model.end == goenv.WentDirect || model.end == goenv.TurnedOff || real.role == "" {
		model.role, real.role = "", ""
	}
	return model.String() == real.String()
}

// lookupSteps returns how the proxies were asked on behalf of the checksum
// database.
func lookupSteps(log []proxytest.Request) (steps []string) {
	for _, req := range log {
		role := roleIn(req.Prefix)
		file, ok := strings.CutPrefix(req.Path, "/sumdb/"+proxytest.SumDBName+"/")
		if file, _, _ = strings.Cut(file, "/"); ok && role != "" && file != "tile" {
			steps = append(steps, role+"."+file)
		}
	}
	return slices.Compact(steps)
}

// observeLookup is observe for the checksum database.
func (l lab) observeLookup(c cell, r golab.Result) course {
	w := course{steps: lookupSteps(l.Proxies.Requests()), at: goenv.Lookup, end: goenv.Stopped}
	_, served := l.cached(c, r, goenv.Zip)
	switch {
	case r.Killed:
		w.end = goenv.Hung
	case served:
		w.end, w.role = goenv.Served, lastRole(w.steps, goenv.Lookup)
	case l.Outside.Asked(proxytest.SumDBName):
		w.end = goenv.WentDirect
	case strings.Contains(r.Modules[c.path].Error, "/sumdb/"):
		w.role = roleIn(r.Modules[c.path].Error)
	}
	return w
}
