package goenv_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/goenv"
)

// faults are the ways to give each answer, as proxytest names them.
var faults = map[goenv.Answer][]string{
	goenv.OK:          {"ok", "redirect"},
	goenv.Absent:      {"404", "410"},
	goenv.Status:      {"400", "401", "403", "429", "451", "500", "502", "503", "204", "304"},
	goenv.Unreachable: {"close", "reset", "redirect-loop"},
	goenv.Hang:        {"silent", "stall"},
	goenv.Broken:      {"cut"},
	goenv.Truncated:   {"cut-silent"},
	goenv.Garbage:     {"html", "empty"},
	goenv.Wrong:       {"wrong-bytes"},
}

// fileFaults are the exceptions.
var fileFaults = map[goenv.File]map[goenv.Answer][]string{
	goenv.Info: {goenv.Wrong: {"wrong-info"}},
	goenv.Zip:  {goenv.Garbage: {"html", "empty", "corrupt-zip"}},
}

// pick returns one of the faults that make a proxy give the answer.
func pick(rnd *rand.Rand, f goenv.File, a goenv.Answer) string {
	choice := fileFaults[f][a]
	if choice == nil {
		choice = faults[a]
	}
	return choice[rnd.IntN(len(choice))]
}

// roles are the names of a row's proxies.
const roles = "abcd"

// A cell is one module of a row. Its path tells each proxy what to answer.
type cell struct {
	path    string
	version string // "v1.0.0", or "latest" if file is goenv.Latest
	file    goenv.File
	answers map[string]goenv.Answer // by role and file, as "a.zip"; OK if absent
}

// newCell makes the cell with that number; answers of role a are first.
func newCell(rnd *rand.Rand, number int, f goenv.File, first goenv.Answer) cell {
	c := cell{version: "v1.0.0", file: f, answers: map[string]goenv.Answer{}}
	dir := "case"
	files := []goenv.File{f}
	if f == goenv.Latest {
		c.version, dir = "latest", "query"
		files = []goenv.File{goenv.List, goenv.Latest, goenv.Info}
	}
	c.path = fmt.Sprintf("m%d.example.com/%s/x", number, dir)
	for i, role := range roles {
		for _, file := range files {
			a := first
			if i > 0 || file != files[0] {
				a = randomAnswer(rnd)
			}
			if a == goenv.Wrong && f == goenv.Latest {
				a = goenv.Garbage // nobody can tell a wrong list or @latest
			}
			if a == goenv.OK && rnd.IntN(4) > 0 {
				continue
			}
			c.answers[fmt.Sprintf("%c.%s", role, file)] = a
			c.path += fmt.Sprintf("/%c_%s_%s", role, file, pick(rnd, file, a))
		}
	}
	return c
}

// randomAnswer prefers the answers after which go may ask the next proxy.
func randomAnswer(rnd *rand.Rand) goenv.Answer {
	often := []goenv.Answer{goenv.Absent, goenv.Status, goenv.Absent, goenv.OK, goenv.Unreachable, goenv.Broken}
	return append(often, finite[:]...)[rnd.IntN(len(often)+len(finite))]
}

// finite is every answer but Hang.
var finite = [...]goenv.Answer{goenv.OK, goenv.Absent, goenv.Status, goenv.Unreachable, goenv.Broken, goenv.Truncated, goenv.Garbage, goenv.Wrong}

// newHang makes a cell in which role b falls silent and role a fails.
func newHang(rnd *rand.Rand, number int, f goenv.File) cell {
	if f == goenv.Latest {
		f = goenv.Info
	}
	a := []goenv.Answer{goenv.Absent, goenv.Status}[rnd.IntN(2)]
	return cell{
		path:    fmt.Sprintf("m%d.example.com/case/a_%s_%s/b_%s_%s", number, f, pick(rnd, f, a), f, pick(rnd, f, goenv.Hang)),
		version: "v1.0.0", file: f,
		answers: map[string]goenv.Answer{"a." + f.String(): a, "b." + f.String(): goenv.Hang},
	}
}

// newLookup makes a cell without faults in its own files, and the faults that
// the proxies have when they stand in for the checksum database.
func newLookup(rnd *rand.Rand) (c cell, more map[rune]string) {
	c = cell{path: "m2000.example.com/case/x", version: "v1.0.0", answers: map[string]goenv.Answer{}}
	more = map[rune]string{}
	for _, role := range roles {
		for _, f := range []goenv.File{goenv.Supported, goenv.Lookup} {
			a := randomAnswer(rnd)
			if rnd.IntN(10) == 0 {
				a = goenv.Hang
			}
			c.answers[fmt.Sprintf("%c.%s", role, f)] = a
			more[role] += fmt.Sprintf("/%s:%s", f, pick(rnd, f, a))
		}
	}
	return c, more
}

// newCells makes a row's cells: each file with each first answer, and some more
// in which the second proxy matters. Of these, every n-th, n being everyCell.
func newCells(rnd *rand.Rand) (cells []cell) {
	files := []goenv.File{goenv.Info, goenv.Mod, goenv.Zip, goenv.Latest}
	firsts := slices.Concat(finite[:], []goenv.Answer{goenv.Absent, goenv.Status})
	n := rnd.IntN(everyCell)
	for _, f := range files {
		for _, first := range firsts {
			if n++; n%everyCell == 0 {
				cells = append(cells, newCell(rnd, n, f, first))
			}
		}
	}
	return cells
}

// archive returns the modules of the cells that ask for @latest, with two
// versions each: half of their list is a list.
func archive(cells []cell) string {
	var b strings.Builder
	for _, c := range cells {
		if c.file == goenv.Latest {
			for _, version := range []string{"v1.0.0", "v1.1.0"} {
				fmt.Fprintf(&b, "-- %s@%s/go.mod --\nmodule %[1]s\n-- %[1]s@%[2]s/x.go --\npackage x\n", c.path, version)
			}
		}
	}
	return b.String()
}

// queries returns the arguments of "go mod download".
func queries(cells []cell) []string {
	var args []string
	for _, c := range cells {
		args = append(args, c.path+"@"+c.version)
	}
	return args
}
