package goenv_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/golab"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// A row is one value of GOPROXY, held against the real go command with one
// module for each way in which its proxies may fail.
type row struct {
	goproxy string // with placeholders, see lab.expand
	noProxy bool   // GONOPROXY matches every third module
	vouch   goenv.Vouch
	seed    uint64
}

// expand fills in what a row leaves open: {a} is the http URL of the proxy with
// role a, {A} the same without scheme and for https, {x} a proxy that refuses
// connections, {f} a directory without any module. More faults of a role may
// follow its URL.
func (l lab) expand(goproxy string, more map[rune]string) string {
	for _, role := range roles {
		lower, upper := fmt.Sprintf("{%c}", role), strings.ToUpper(fmt.Sprintf("{%c}", role))
		goproxy = strings.ReplaceAll(goproxy, lower, fmt.Sprintf("%s/as=%c%s", l.Proxies.URL, role, more[role]))
		goproxy = strings.ReplaceAll(goproxy, upper, fmt.Sprintf("%s/as=%c%s", strings.TrimPrefix(l.TLS.URL, "https://"), role, more[role]))
	}
	goproxy = strings.ReplaceAll(goproxy, "{host}", strings.TrimPrefix(l.Proxies.URL, "http://"))
	goproxy = strings.ReplaceAll(goproxy, "{HOST}", strings.TrimPrefix(l.TLS.URL, "https://"))
	goproxy = strings.ReplaceAll(goproxy, "{x}", "http://"+l.Proxies.Refuse+"/as=x")
	return strings.ReplaceAll(goproxy, "{f}", "file://"+filepath.ToSlash(l.Dir)+"/empty")
}

// compare reports where the model and the go command differ.
func (r row) compare(t *testing.T, c cell, model, real course, out golab.Result) {
	t.Helper()
	if !same(model, real) {
		t.Errorf("GOPROXY=%s module %s\nmodel: %s\n   go: %s\n%s%s", r.goproxy, c.path, model, real, out.Modules[c.path].Error, out.Stderr)
	}
}

// check holds the model against runs of the go command and returns the number
// of modules that were asked for.
func (r row) check(t *testing.T) int {
	rnd := rand.New(rand.NewPCG(r.seed, 0))
	cells := newCells(rnd)
	l := newLab(t, archive(cells))
	goproxy := l.expand(r.goproxy, nil)
	settings := []string{"GOPROXY=" + goproxy, "GOSUMDB=off"}
	if r.vouch == goenv.Database {
		settings[1] = "GOSUMDB=" + proxytest.GOSUMDB + " " + l.Proxies.URL + "/sumdb/" + proxytest.SumDBName
	}
	noProxy := ""
	if r.noProxy {
		noProxy = "m*[147].example.com,none"
		settings = append(settings, "GONOPROXY="+noProxy)
	}
	out := l.Download(t.Context(), t, settings, queries(cells)...)
	chain, err := goenv.ParseChain(goproxy)
	if err != nil {
		l.checkRefused(t, err, cells, out)
		return len(cells)
	}
	log := l.Proxies.Requests()
	for _, c := range cells {
		r.compare(t, c, r.model(chain, c, noProxy), l.observe(c, out, log), out)
	}
	return len(cells) + r.checkHang(t, rnd, l, chain) + r.checkDatabase(t, rnd, l)
}

// checkRefused checks that go refuses a list for the same reason, unasked.
func (l lab) checkRefused(t *testing.T, err error, cells []cell, out golab.Result) {
	t.Helper()
	for _, c := range cells {
		text := out.Modules[c.path].Error
		if text == "" {
			t.Errorf("ParseChain: %v; go accepts the list", err)
		}
		if noEntries := strings.Contains(text, "contains no entries"); noEntries != errors.Is(err, goenv.ErrNoEntries) {
			t.Errorf("ParseChain: %v; go: %s", err, text)
		}
	}
	if log := l.Proxies.Requests(); len(log) > 0 {
		t.Errorf("ParseChain: %v; go asks for %s", err, log[0].RawURL)
	}
}

// checkHang makes one proxy fall silent, and kills go as soon as it has asked
// for all that the model says.
func (r row) checkHang(t *testing.T, rnd *rand.Rand, l lab, chain goenv.Chain) int {
	files := []goenv.File{goenv.Info, goenv.Mod, goenv.Zip, goenv.Latest}
	c := newCell(rnd, 1000, files[rnd.IntN(len(files))], goenv.Hang)
	if rnd.IntN(2) == 0 {
		c = newHang(rnd, 1000, c.file)
	}
	model := r.model(chain, c, "")
	if model.end != goenv.Hung {
		return 0
	}
	ctx := golab.Until(t, func() bool { return slices.Equal(stepsOf(c, l.Proxies.Requests()), model.steps) })
	out := l.Download(ctx, t, []string{"GOPROXY=" + l.expand(r.goproxy, nil), "GOSUMDB=off"}, queries([]cell{c})...)
	r.compare(t, c, model, l.observe(c, out, l.Proxies.Requests()), out)
	return 1
}

// checkDatabase follows the way to the checksum database. Which proxy is pinned
// holds for a process, so one module is all that a run can show.
func (r row) checkDatabase(t *testing.T, rnd *rand.Rand, l lab) int {
	if strings.Contains(r.goproxy, "}//") {
		return 0 // go asks for //sumdb, which has another meaning here
	}
	c, more := newLookup(rnd)
	goproxy := l.expand(r.goproxy, more)
	chain, err := goenv.ParseChain(goproxy)
	if err != nil || r.model(chain, cell{path: c.path}, "").end != goenv.Served {
		return 0 // go doesn't come as far as the database
	}
	var model course
	model.walk(chain, c, goenv.Request{File: goenv.Lookup})
	model.steps = slices.Compact(model.steps)
	ctx := t.Context()
	if model.end == goenv.Hung {
		ctx = golab.Until(t, func() bool { return slices.Equal(lookupSteps(l.Proxies.Requests()), model.steps) })
	}
	out := l.Download(ctx, t, []string{"GOPROXY=" + goproxy, "GOSUMDB=" + proxytest.GOSUMDB, "GONOPROXY=none"}, queries([]cell{c})...)
	r.compare(t, c, model, l.observeLookup(c, out), out)
	return 1
}

// TestDifferential holds ParseChain and Chain.Walk against the real go command.
func TestDifferential(t *testing.T) {
	var rows, modules atomic.Int64
	t.Run("rows", func(t *testing.T) {
		for i, r := range allRows() {
			if i%everyRow != 0 {
				continue
			}
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				rows.Add(1)
				modules.Add(int64(r.check(t)))
			})
		}
	})
	t.Logf("%d values of GOPROXY, %d modules", rows.Load(), modules.Load())
}

// TestDifferentialGoSum does it for modules with lines in go.sum. A mismatch
// ends the go command at once, so each module has its own run.
func TestDifferentialGoSum(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	l := newLab(t, "")
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(l.Dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("go.mod", "module main\n\ngo 1.21\n")
	n := 0
	for _, r := range []row{{goproxy: "{a}|{b}", vouch: goenv.GoSum}, {goproxy: "{a},{b}", vouch: goenv.GoSum}} {
		goproxy := l.expand(r.goproxy, nil)
		chain, _ := goenv.ParseChain(goproxy)
		for _, f := range []goenv.File{goenv.Mod, goenv.Zip} {
			for _, first := range finite {
				if n++; n%everyGoSum != 0 {
					continue
				}
				c := newCell(rnd, n, f, first)
				write("go.sum", l.Proxies.GoSum(c.path+"@"+c.version))
				out := l.Download(t.Context(), t, []string{"GOPROXY=" + goproxy, "GOSUMDB=off"}, queries([]cell{c})...)
				r.compare(t, c, r.model(chain, c, ""), l.observe(c, out, l.Proxies.Requests()), out)
			}
		}
	}
}

// TestDifferentialSumDB holds ParseSumDB against the real go command.
func TestDifferentialSumDB(t *testing.T) {
	l := newLab(t, "")
	c := cell{path: "m1.example.com/case/x", version: "v1.0.0"}
	for _, value := range []string{
		"off", "sum.golang.org", "sum.golang.google.cn", "sum.golang.org https://a.example.com", proxytest.GOSUMDB, " " + proxytest.GOSUMDB + "\t",
		" ", "OFF", "off ", "none", "sum.example.com", "sum.golang.google.cn https://a.example.com", "sum.golang.org https://a.example.com x",
		"sum.golang.org https://a.example.com:x", proxytest.SumDBName + "+b16d6d3d+x", strings.Replace(proxytest.GOSUMDB, "+b", "+c", 1),
	} {
		out := l.Download(t.Context(), t, []string{"GOPROXY=" + l.expand("{a}", nil), "GOSUMDB=" + value}, queries([]cell{c})...)
		refused := strings.Contains(out.Modules[c.path].Error, "GOSUMDB")
		if db, err := goenv.ParseSumDB(value); refused != (err != nil) {
			t.Errorf("ParseSumDB(%q) = %+v, %v; go: %s", value, db, err, out.Modules[c.path].Error)
		}
	}
}
