package explain_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/org/goproxy-setup/internal/explain"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/golab"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// roles are the names of a chain's proxies.
const roles = "abc"

// faults are the words of --when as proxytest names them; those that are
// failures of a connection that a path cannot ask for stand for each other.
var faults = map[string]string{
	"200": "ok", "404": "404", "410": "410", "400": "400", "401": "401", "403": "403", "429": "429", "451": "451", "500": "500", "502": "502", "503": "503",
	"204": "204", "302": "redirect", "307": "redirect",
	"reset": "reset", "dns": "close", "timeout": "close", "tls": "reset", "redirect-loop": "redirect-loop",
	"cut": "cut", "cut-silent": "cut-silent", "cut-zip": "cut-silent", "html": "html", "empty": "empty", "corrupt-zip": "corrupt-zip",
	"wrong": "wrong-bytes",
}

// files are the kinds of files that a module path can make fail.
var files = []explain.Column{explain.ListFile, explain.InfoFile, explain.ModFile, explain.ZipFile}

// A cell is one cell of a truth table, and the module that shows what the real
// go command does there.
type cell struct {
	explain.Cell
	entry   int
	when    string
	path    string // of the module
	version string
}

// cells returns a cell for every row and kind of file of a table. The path of
// each tells the proxies before its entry to answer 404, and its entry to fail.
func cells(table explain.Table, offset int) (list []cell) {
	n := offset
	for _, row := range table.Rows {
		for _, c := range row.Cells {
			if !slices.Contains(files, c.File) || c.Fate == explain.Unasked {
				continue
			}
			if n++; n%everyCell != 0 {
				continue
			}
			fault := faults[row.When]
			if row.When == "wrong" && c.File == explain.InfoFile {
				fault = "wrong-info"
			}
			it := cell{Cell: c, entry: row.Entry, when: row.When, version: "v1.0.0"}
			it.path = fmt.Sprintf("m%d.example.com/case/x", n)
			if c.File == explain.ListFile {
				it.version = "latest"
				it.path = strings.Replace(it.path, "/case/", "/query/", 1)
			}
			for i := range row.Entry {
				it.path += fmt.Sprintf("/%c_%s_404", roles[i], c.File)
			}
			it.path += fmt.Sprintf("/%c_%s_%s", roles[row.Entry], c.File, fault)
			list = append(list, it)
		}
	}
	return list
}

// archive returns the modules that are asked for their latest version, with two
// versions each: half of their list is a list.
func archive(list []cell) string {
	var b strings.Builder
	for _, c := range list {
		if c.version == "latest" {
			for _, version := range []string{"v1.0.0", "v1.1.0"} {
				fmt.Fprintf(&b, "-- %s@%s/go.mod --\nmodule %[1]s\n-- %[1]s@%[2]s/x.go --\npackage x\n", c.path, version)
			}
		}
	}
	return b.String()
}

var roleMark = regexp.MustCompile(`as=([a-z])`)

// observe returns what the go command did at a cell.
func observe(l *golab.Lab, c cell, r golab.Result) (explain.Fate, string) {
	last := -1
	for _, req := range l.Proxies.Requests() {
		file, ok := strings.CutPrefix(req.Path, "/"+c.path+"/@v/")
		role := roleMark.FindStringSubmatch(req.Prefix)
		if !ok || role == nil || strings.TrimPrefix(filepath.Ext("."+file), ".") != string(c.File) {
			continue
		}
		last = strings.Index(roles, role[1])
	}
	text := r.Modules[c.path].Error
	if kept, genuine := cached(l, c, r); kept {
		switch {
		case last > c.entry:
			return explain.Next, ""
		case genuine:
			return explain.Served, ""
		}
		return explain.Swallowed, ""
	}
	host, _, _ := strings.Cut(c.path, "/")
	switch {
	case l.Outside.Asked(host):
		return explain.Direct, ""
	case strings.Contains(text, "disabled by GOPROXY=off"):
		return explain.Off, ""
	case strings.Contains(text, "404 Not Found"), strings.Contains(text, "410 Gone"):
		return explain.NotFound, ""
	case c.File == explain.ZipFile && !strings.Contains(text, "as="):
		return explain.Fatal, text
	case text == "":
		return "no error", r.Stderr
	}
	return explain.Stop, text
}

// cached reports whether go has kept the file, and whether it is the right one.
// A list is kept if a version was found.
func cached(l *golab.Lab, c cell, r golab.Result) (kept, genuine bool) {
	name := filepath.Join(r.Cache, "cache", "download", c.path, "@v", c.version+"."+string(c.File))
	want := ""
	switch c.File {
	case explain.ListFile:
		infos, _ := filepath.Glob(filepath.Join(filepath.Dir(name), "*.info"))
		return len(infos) > 0, true
	case explain.InfoFile:
		_, err := os.Stat(name)
		return err == nil, true
	case explain.ModFile:
		want = "module " + c.path + "\n\ngo 1.21\n"
	case explain.ZipFile:
		name += "hash"
		want = strings.Fields(l.Proxies.GoSum(c.path + "@" + c.version))[2]
	}
	data, err := os.ReadFile(name)
	return err == nil, string(data) == want
}

// chains returns values of GOPROXY with one to three proxies, all separators
// and all ends.
func chains() (list []string) {
	for n := 1; n <= len(roles); n++ {
		for seps := range 1 << (n - 1) {
			for _, tail := range []string{"", ",direct", "|direct", ",off", "|off"} {
				var b strings.Builder
				for i := range n {
					if i > 0 {
						b.WriteByte(",|"[seps>>(i-1)&1])
					}
					fmt.Fprintf(&b, "{%c}", roles[i])
				}
				list = append(list, b.String()+tail)
			}
		}
	}
	return list
}

// expand fills in the proxies of a chain; more faults of a role may follow.
func expand(l *golab.Lab, chain string, role int, more string) string {
	for i, r := range roles {
		base := fmt.Sprintf("%s/as=%c", l.Proxies.URL, r)
		if i < role {
			base += "/supported:404"
		} else if i == role {
			base += more
		}
		chain = strings.ReplaceAll(chain, fmt.Sprintf("{%c}", r), base)
	}
	return chain
}

// TestTruthTableDifferential holds truth tables against the real go command:
// values of GOPROXY × faults × kinds of files, each cell by a module of its
// own.
func TestTruthTableDifferential(t *testing.T) {
	var words []string
	for word := range faults {
		words = append(words, word)
	}
	slices.Sort(words)
	when, err := explain.ParseWhen(strings.Join(words, ","))
	if err != nil {
		t.Fatal(err)
	}
	var values, modules, lookups atomic.Int64
	t.Run("chains", func(t *testing.T) {
		for n, chain := range chains() {
			if n%everyChain != 0 && everyChain > 1 {
				continue
			}
			for _, vouch := range []goenv.Vouch{goenv.Nobody, goenv.Database} {
				t.Run(fmt.Sprintf("%s/%d", chain, vouch), func(t *testing.T) {
					t.Parallel()
					values.Add(1)
					modules.Add(int64(compare(t, chain, when, vouch, n)))
					if vouch == goenv.Database {
						lookups.Add(int64(compareLookups(t, chain, when, n)))
					}
				})
			}
		}
	})
	t.Logf("%d runs over values of GOPROXY, %d faults, %d cells of files, %d cells of the checksum database", values.Load(), len(when), modules.Load(), lookups.Load())
}

// compare checks the cells of one chain's table and returns how many.
func compare(t *testing.T, chain string, when []explain.When, vouch goenv.Vouch, offset int) int {
	c, err := goenv.ParseChain(strings.NewReplacer("{a}", "https://a.example.com", "{b}", "https://b.example.com", "{c}", "https://c.example.com").Replace(chain))
	if err != nil {
		t.Fatal(err)
	}
	list := cells(explain.TruthTable(c, when, vouch, true), offset)
	l := golab.New(t, archive(list))
	goproxy := expand(l, chain, -1, "")
	var queries []string
	for _, it := range list {
		queries = append(queries, it.path+"@"+it.version)
	}
	settings := []string{"GOPROXY=" + goproxy, "GOSUMDB=off"}
	if vouch == goenv.Database {
		settings[1] = "GOSUMDB=" + proxytest.GOSUMDB + " " + l.Proxies.URL + "/sumdb/" + proxytest.SumDBName
	}
	r := l.Download(t.Context(), t, settings, queries...)
	for _, it := range list {
		want := it.Fate
		if want == explain.Swallowed && it.File == explain.ListFile {
			want = explain.Served // nobody can tell a wrong list
		}
		got, detail := observe(l, it, r)
		if got != want {
			t.Errorf("GOPROXY=%s, %s at %s of entry %d: go: %s; table: %s\n%s", chain, it.when, it.File, it.entry, got, want, detail)
		}
	}
	return len(list)
}

// compareLookups checks the two columns of the checksum database. Which proxy
// is asked for it holds for a process, so each cell has its own run.
func compareLookups(t *testing.T, chain string, when []explain.When, offset int) int {
	n, count := offset, 0
	for i := range strings.Count(chain, "{") {
		for _, w := range when {
			if n++; n%(8*everyCell) != 0 || w.ZipOnly {
				continue
			}
			for _, f := range []explain.Column{explain.SumDB, explain.Lookup} {
				l := golab.New(t, "")
				kind := map[explain.Column]string{explain.SumDB: "supported", explain.Lookup: "lookup"}[f]
				goproxy := expand(l, chain, i, fmt.Sprintf("/%s:%s", kind, faults[w.Word]))
				c, err := goenv.ParseChain(goproxy)
				if err != nil {
					t.Fatal(err)
				}
				const module = "m1.example.com/case/x"
				r := l.Download(t.Context(), t, []string{"GOPROXY=" + goproxy, "GOSUMDB=" + proxytest.GOSUMDB}, module+"@v1.0.0")
				row := explain.TruthTable(c, []explain.When{w}, goenv.Database, true).Rows[i]
				want := row.Cells[slices.Index(explain.Columns(), f)].Fate
				if want == explain.Swallowed {
					want = explain.Served // any body that comes with 200 is a yes
				}
				if got := observeLookup(l, i, r.Modules[module].Error); got != want {
					t.Errorf("GOPROXY=%s, %s at %s of entry %d: go: %s; table: %s\n%s", chain, w.Word, f, i, got, want, r.Modules[module].Error)
				}
				count++
			}
		}
	}
	return count
}

func observeLookup(l *golab.Lab, entry int, text string) explain.Fate {
	last := -1
	for _, req := range l.Proxies.Requests() {
		if role := roleMark.FindStringSubmatch(req.Prefix); role != nil && strings.Contains(req.Path, "/lookup/") {
			last = strings.Index(roles, role[1])
		}
	}
	switch {
	case l.Outside.Asked(proxytest.SumDBName):
		return explain.Direct
	case text != "":
		return explain.Stop
	case last > entry:
		return explain.Next
	}
	return explain.Served
}
