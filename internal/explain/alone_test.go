package explain_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/explain"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/golab"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// Cells that end the go command, or never end it, have a run of their own: bytes
// that contradict go.sum, and proxies that fall silent.
func TestTruthTableAlone(t *testing.T) {
	when, err := explain.ParseWhen("silent,stall,wrong,html,empty,cut-silent,corrupt-zip,502,404")
	if err != nil {
		t.Fatal(err)
	}
	faults := map[string]string{"silent": "silent", "stall": "stall", "wrong": "wrong-bytes", "corrupt-zip": "corrupt-zip"}
	rnd := rand.New(rand.NewPCG(5, 6))
	runs := 0
	for _, chain := range []string{"{a},{b}", "{a}|{b}", "{a}|direct"} {
		c, err := goenv.ParseChain(strings.NewReplacer("{a}", "https://a.example.com", "{b}", "https://b.example.com").Replace(chain))
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range explain.TruthTable(c, when, goenv.GoSum, true).Rows {
			for _, f := range []explain.Column{explain.InfoFile, explain.ModFile, explain.ZipFile} {
				it := cell{Cell: row.Cells[slices.Index(explain.Columns(), f)], entry: row.Entry, when: row.When, version: "v1.0.0"}
				if it.Fate == explain.Unasked || it.Fate == explain.Direct || rnd.IntN(everyCell) > 0 {
					continue
				}
				fault := faults[row.When]
				if fault == "" {
					fault = row.When
				}
				if row.When == "wrong" && f == explain.InfoFile {
					fault = "wrong-info"
				}
				it.path = "m1.example.com/case/x"
				for i := range row.Entry {
					it.path += fmt.Sprintf("/%c_%s_404", roles[i], f)
				}
				it.path += fmt.Sprintf("/%c_%s_%s", roles[row.Entry], f, fault)
				runs++
				alone(t, chain, it)
			}
		}
	}
	t.Logf("%d runs of go", runs)
}

func alone(t *testing.T, chain string, it cell) {
	t.Helper()
	l := golab.New(t, "")
	for name, text := range map[string]string{"go.mod": "module main.example.com\n\ngo 1.21\n", "go.sum": l.Proxies.GoSum(it.path + "@v1.0.0")} {
		if err := os.WriteFile(filepath.Join(l.Dir, name), []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	ctx := t.Context()
	if it.Fate == explain.Forever {
		ctx = golab.Until(t, func() bool { return slices.ContainsFunc(l.Proxies.Requests(), it.isIt) })
	}
	r := l.Download(ctx, t, []string{"GOPROXY=" + expand(l, chain, -1, ""), "GOSUMDB=off"}, it.path+"@v1.0.0")
	got, detail := observe(l, it, r)
	switch {
	case r.Killed:
		got = explain.Forever
	case strings.Contains(r.Stderr, "SECURITY ERROR"):
		got = explain.Fatal
	}
	if got != it.Fate {
		t.Errorf("GOPROXY=%s, %s at %s of entry %d: go: %s; table: %s\n%s%s", chain, it.when, it.File, it.entry, got, it.Fate, detail, r.Stderr)
	}
}

// The waiting time is counted in requests: how many go sends to a proxy that
// fails at each, how many of them at the same time, is measured once; here the
// numbers are held against the real go command.
func TestWaitsDifferential(t *testing.T) {
	const modules, workers = 7, 2
	timeout, err := explain.ParseWhen("timeout")
	if err != nil {
		t.Fatal(err)
	}
	for _, sep := range []string{"|", ","} {
		for command, tr := range map[string][]string{"download": {"mod", "download"}, "build": {"build", "."}} {
			l := golab.New(t, "")
			gomod, gosum, main := "module main.example.com\n\ngo 1.21\n\nrequire (\n", "", "package main\n\nimport (\n"
			for i := range modules {
				path := fmt.Sprintf("m%d.example.com/case/x", i)
				gomod += "\t" + path + " v1.0.0\n"
				main += "\t_ \"" + path + "\"\n"
				gosum += l.Proxies.GoSum(path + "@v1.0.0")
			}
			for name, text := range map[string]string{"go.mod": gomod + ")\n", "go.sum": gosum, "main.go": main + ")\n\nfunc main() {}\n"} {
				if err := os.WriteFile(filepath.Join(l.Dir, name), []byte(text), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			goproxy := fmt.Sprintf("%s/502/as=a%s%s/as=b", l.Proxies.URL, sep, l.Proxies.URL)
			r := l.Run(t.Context(), t, []string{"GOPROXY=" + goproxy, "GOSUMDB=off", "GOCACHE=" + goCache(t), "CGO_ENABLED=0"}, tr...)
			if r.Failed != (sep == ",") {
				t.Errorf("%s with %q: failed is %v\n%s", command, sep, r.Failed, r.Stderr)
			}
			asked := map[string]int{}
			for _, req := range l.Proxies.Requests() {
				if strings.Contains(req.Prefix, "as=a") {
					asked[strings.TrimPrefix(filepath.Ext(req.Path), ".")]++
				}
			}
			c, err := goenv.ParseChain("https://a.example.com" + sep + "https://b.example.com")
			if err != nil {
				t.Fatal(err)
			}
			waits := explain.Waits(c, timeout, explain.Size{Mods: modules, Zips: modules, Workers: workers})
			i := slices.IndexFunc(waits, func(w explain.Wait) bool { return w.Command == command })
			infos := asked["info"]
			if command == "build" {
				infos = (infos + workers - 1) / workers // in parallel
			}
			rounds := (asked["mod"]+workers-1)/workers + infos + (asked["zip"]+workers-1)/workers
			if want := (time.Duration(rounds) * 30 * time.Second).Seconds(); waits[i].Seconds != want {
				t.Errorf("%s with %q: %d mod, %d info, %d zip asked, so %.0f s; got %.0f s by %s", command, sep, asked["mod"], asked["info"], asked["zip"], want, waits[i].Seconds, waits[i].Formula)
			}
		}
	}
}

// isIt reports whether a request is the one that the cell is about.
func (c cell) isIt(req proxytest.Request) bool {
	role := roleMark.FindStringSubmatch(req.Prefix)
	return role != nil && role[1] == string(roles[c.entry]) && strings.HasPrefix(req.Path, "/"+c.path+"/@v/") && strings.HasSuffix(req.Path, "."+string(c.File))
}
