package explain_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/org/goproxy-setup/internal/explain"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/golab"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// A trial is how the real go command is made to be one of the commands.
type trial struct {
	args  []string
	goMod string // "" for a folder without a module
	goSum bool   // complete, or none at all
	// settings go beside those of the lab.
	settings []string
}

const needsHello = "module main.example.com\n\ngo 1.21\n\nrequire (\n\texample.com/greet v1.0.0 // indirect\n\texample.com/hello v1.0.0\n)\n"

// toolModule is a module with a program.
const toolModule = "-- example.com/tool@v1.0.0/go.mod --\nmodule example.com/tool\n\ngo 1.21\n-- example.com/tool@v1.0.0/main.go --\npackage main\n\nfunc main() {}\n"

var trials = map[string]trial{
	"build":      {args: []string{"build", "."}, goMod: needsHello, goSum: true},
	"vendor":     {args: []string{"mod", "vendor"}, goMod: needsHello, goSum: true},
	"download":   {args: []string{"mod", "download"}, goMod: needsHello, goSum: true},
	"graph":      {args: []string{"mod", "graph"}, goMod: needsHello, goSum: true},
	"updates":    {args: []string{"list", "-m", "-u", "all"}, goMod: needsHello, goSum: true},
	"get":        {args: []string{"get", "example.com/hello@v1.0.0"}, goMod: "module main.example.com\n\ngo 1.21\n"},
	"get-latest": {args: []string{"get", "example.com/greet@latest"}, goMod: "module main.example.com\n\ngo 1.21\n"},
	"install":    {args: []string{"install", "example.com/tool@v1.0.0"}},
	"toolchain":  {args: []string{"version"}, goMod: "module main.example.com\n\ngo 1.999.1\n", settings: []string{"GOTOOLCHAIN=auto"}},
}

// run makes one run of the go command in a folder of its own. It reports
// whether the command failed, and the kinds of files that were asked for.
func (tr trial) run(t *testing.T, fault string) (failed bool, asked map[explain.Column]bool, stderr string) {
	t.Helper()
	l := golab.New(t, toolModule)
	write := func(name, text string) {
		file := filepath.Join(l.Dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write("main.go", "package main\n\nimport _ \"example.com/hello\"\n\nfunc main() {}\n")
	if tr.goMod != "" {
		write("go.mod", tr.goMod)
	}
	if tr.goSum {
		write("go.sum", l.Proxies.GoSum("example.com/greet@v1.0.0")+l.Proxies.GoSum("example.com/hello@v1.0.0"))
	}
	settings := append([]string{"GOPROXY=" + l.Proxies.URL + fault, "GOSUMDB=" + proxytest.GOSUMDB, "GOCACHE=" + goCache(t), "CGO_ENABLED=0"}, tr.settings...)
	r := l.Run(t.Context(), t, settings, tr.args...)
	asked = map[explain.Column]bool{}
	for _, req := range l.Proxies.Requests() {
		switch p := req.Path; {
		case strings.Contains(p, "/supported"):
			asked[explain.SumDB] = true
		case strings.HasSuffix(p, "/@v/list"):
			asked[explain.ListFile] = true
		case strings.HasPrefix(p, "/sumdb/"):
		default:
			asked[explain.Column(strings.TrimPrefix(filepath.Ext(p), "."))] = true
		}
	}
	// A toolchain of ours is noise: if it comes as far as starting it, all
	// downloads went well.
	failed = r.Failed && !strings.Contains(r.Stderr, "no such file or directory") && !strings.Contains(r.Stderr, "exec")
	return failed, asked, r.Stderr
}

// goCache returns the build cache of whoever runs the test: a cold one takes
// long to fill.
func goCache(t *testing.T) string {
	out, err := exec.CommandContext(t.Context(), "go", "env", "GOCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// TestCommandsDifferential holds what we say of each command against the real
// go command: which kinds of files it asks for, and which of them it can do
// without.
func TestCommandsDifferential(t *testing.T) {
	var runs atomic.Int64
	t.Run("commands", func(t *testing.T) {
		for _, c := range explain.Commands() {
			tr, ok := trials[c.Name]
			if !ok {
				t.Errorf("no trial for %s", c.Name)
			}
			t.Run(c.Name, func(t *testing.T) {
				t.Parallel()
				runs.Add(1)
				failed, asked, stderr := tr.run(t, "")
				if failed {
					t.Errorf("fails without a fault: %s", stderr)
				}
				for _, f := range explain.Columns() {
					need := c.Need(f)
					if f != explain.Lookup && need != explain.IfMissing && asked[f] != (need != explain.No) {
						t.Errorf("%s is %s; asked for: %v", f, need, asked[f])
					}
				}
				n := len(c.Name)
				for _, f := range explain.Columns() {
					if c.Need(f) == explain.No {
						continue
					}
					for _, status := range []string{"403", "404", "502"} {
						if n++; n%everyTrial != 0 {
							continue
						}
						runs.Add(1)
						tr.check(t, c, f, status)
					}
				}
			})
		}
	})
	t.Logf("%d commands, %d runs of go", len(explain.Commands()), runs.Load())
}

// check makes one kind of file fail.
func (tr trial) check(t *testing.T, c explain.Command, f explain.Column, status string) {
	t.Helper()
	kind := map[explain.Column]string{explain.SumDB: "supported"}[f]
	if kind == "" {
		kind = string(f)
	}
	failed, _, stderr := tr.run(t, fmt.Sprintf("/%s:%s", kind, status))
	when, err := explain.ParseWhen(status)
	if err != nil {
		t.Fatal(err)
	}
	table := explain.TruthTable(goenv.Chain{{Value: "https://a.example.com"}}, when, goenv.Nobody, true)
	i := slices.Index(explain.Columns(), f)
	fate := table.Rows[0].Cells[i].Fate
	if fate == explain.Direct {
		return // to a database that is out of reach here
	}
	want := c.Outcome(f, fate)
	if want == explain.MayDie {
		want = explain.GoesOn // go.sum lists everything …
		if c.Name == "updates" {
			want = explain.Dies // … but the newest versions
		}
	}
	if got := map[bool]explain.Outcome{true: explain.Dies, false: explain.GoesOn}[failed]; got != want {
		t.Errorf("%s %s at %s: go %s; want %s\n%s", c.Name, status, f, got, want, stderr)
	}
}
