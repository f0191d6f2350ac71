package checksum

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/module"
)

// emptyGoModHash is the hash of an empty go.mod file. An old go wrote such
// lines for what is no module; the go command drops them.
const emptyGoModHash = "h1:G7mAYYxgmS0lVkHyy2hEOLQCFB0DlQFTMLWggykrydY="

// A Sum is one line of a go.sum file.
type Sum struct {
	Module module.Version // its Version never has the suffix "/go.mod"
	GoMod  bool           // the hash is that of the .mod file, not of the zip
	Hash   string         // "h1:…"; any other prefix is an algorithm that go does not know
	Line   int            // counted from 1
}

// String returns the line without its newline.
func (s Sum) String() string {
	suffix := ""
	if s.GoMod {
		suffix = "/go.mod"
	}
	return s.Module.Path + " " + s.Module.Version + suffix + " " + s.Hash
}

// A GoSum is a parsed go.sum file. The zero value is an empty one.
type GoSum struct {
	Sums []Sum // in the order of the file

	first map[key]string
}

type key struct {
	module module.Version
	goMod  bool
}

// A LineError is a malformed line of a go.sum file.
type LineError struct {
	File string
	Line int // counted from 1
	Msg  string
}

func (e *LineError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Msg) }

// maxLineErrors bounds the mistakes that are reported of one file.
const maxLineErrors = 100

// ParseGoSum parses a go.sum file; name is for its errors. It accepts what the
// go command accepts: blank lines, any white space, repeated lines, hashes of
// unknown algorithms, paths and versions of any form.
//
// The error joins a [*LineError] for each line without exactly three fields,
// of which there are at most 100; the go command gives up at the first.
//
// Source: readGoSum in cmd/go/internal/modfetch.
func ParseGoSum(name string, data []byte) (*GoSum, error) {
	g := &GoSum{first: map[key]string{}}
	var errs []error
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		f := strings.Fields(line)
		switch {
		case len(f) == 0:
			continue
		case len(f) != 3:
			errs = append(errs, &LineError{name, n, fmt.Sprintf("%d fields; a line is: module version hash", len(f))})
			if len(errs) == maxLineErrors {
				return nil, errors.Join(errs...)
			}
			continue
		case f[2] == emptyGoModHash:
			continue
		}
		version, goMod := strings.CutSuffix(f[1], "/go.mod")
		s := Sum{module.Version{Path: f[0], Version: version}, goMod, f[2], n}
		g.Sums = append(g.Sums, s)
		k := key{s.Module, goMod}
		if _, ok := g.first[k]; !ok && strings.HasPrefix(s.Hash, "h1:") {
			g.first[k] = s.Hash
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return g, nil
}

// Zip returns the h1 hash of the module's zip, or "". If lines contradict each
// other, it is the first one's, as the go command has it.
func (g *GoSum) Zip(m module.Version) string { return g.first[key{m, false}] }

// GoMod returns the h1 hash of the module's .mod file, or "", likewise.
func (g *GoSum) GoMod(m module.Version) string { return g.first[key{m, true}] }
