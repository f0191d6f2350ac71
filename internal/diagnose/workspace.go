package diagnose

import (
	"context"
	"errors"
	"fmt"
	goversion "go/version"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/files"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/report"
)

// maxModFile bounds a go.mod or go.work, in bytes, as go does.
const maxModFile = 16 << 20

// A workspace is the module, or the modules of go.work, at the working
// directory.
type workspace struct {
	root    string // of the module that the working directory lies in, "" if in none
	gomod   string // its go.mod
	mod     *modfile.File
	modErr  error
	gowork  string // "" if there is none, or if it is off
	work    *modfile.WorkFile
	workErr error
	members []member

	lines             goenv.GoLines // which Go has to run
	goAt, toolchainAt report.Place  // where they say so
}

// A member is one "use" of go.work.
type member struct {
	use  *modfile.Use
	dir  string // absolute
	mod  *modfile.File
	err  error
	file string // its go.mod
}

// readWorkspace finds go.work and go.mod as go does.
func (m *Machine) readWorkspace() (w workspace) {
	if w.gomod = files.Nearest(m.Dir, "go.mod"); w.gomod != "" {
		w.root = filepath.Dir(w.gomod)
		w.mod, w.modErr = m.readMod(w.gomod)
	}
	switch named := m.setting("GOWORK"); named {
	case "off":
	case "", "auto":
		w.gowork = files.Nearest(m.Dir, "go.work")
	default:
		w.gowork = named
	}
	if filepath.IsAbs(w.gowork) {
		data, err := m.readTree(w.gowork, maxModFile)
		if err == nil {
			w.work, err = modfile.ParseWork(w.gowork, data, nil)
		}
		w.workErr = err
	}
	if w.work != nil {
		for _, use := range w.work.Use[:min(len(w.work.Use), 10*maxFiles)] {
			dir := filepath.FromSlash(use.Path)
			if !filepath.IsAbs(dir) {
				dir = filepath.Join(filepath.Dir(w.gowork), dir)
			}
			x := member{use: use, dir: dir, file: filepath.Join(dir, "go.mod")}
			x.mod, x.err = m.readMod(x.file)
			w.members = append(w.members, x)
		}
	}
	switch { // in a workspace the toolchain is go.work's
	case w.work != nil:
		w.wants(m, w.gowork, w.work.Go, w.work.Toolchain)
	case w.mod != nil:
		w.wants(m, w.gomod, w.mod.Go, w.mod.Toolchain)
	}
	return w
}

// wants notes which Go a file asks for.
func (w *workspace) wants(m *Machine, file string, line *modfile.Go, toolchain *modfile.Toolchain) {
	if line != nil {
		w.lines.Go, w.goAt = line.Version, m.place(file, line.Syntax.Start.Line)
	}
	if toolchain != nil {
		w.lines.Toolchain, w.toolchainAt = toolchain.Name, m.place(file, toolchain.Syntax.Start.Line)
	}
}

func (m *Machine) readMod(file string) (*modfile.File, error) {
	data, err := m.readTree(file, maxModFile)
	if err != nil {
		return nil, err
	}
	return modfile.Parse(file, data, nil)
}

// workMembers finds members of go.work that are not there.
func workMembers(_ context.Context, m *Machine) Result {
	w := m.Work
	switch {
	case w.gowork == "":
		return skipped("there is no go.work")
	case !filepath.IsAbs(w.gowork):
		return found(Finding{Severity: report.Error, Place: m.origin("GOWORK"), Message: fmt.Sprintf("GOWORK=%s: go refuses a relative path", w.gowork), Fix: "write an absolute path, or unset it"})
	case errors.Is(w.workErr, fs.ErrNotExist):
		return found(Finding{Severity: report.Error, Place: m.origin("GOWORK"), Message: fmt.Sprintf("GOWORK names %s, which does not exist", w.gowork), Fix: "correct GOWORK, or unset it"})
	case w.workErr != nil:
		return found(Finding{Severity: report.Error, Place: m.place(w.gowork, parseLineOf(w.workErr)), Message: "go cannot read go.work: " + parseText(w.workErr), Fix: "mend the line"})
	}
	r := Result{Seen: fmt.Sprintf("%d members in %s", len(w.members), w.gowork)}
	for _, x := range w.members {
		if x.err == nil {
			continue
		}
		f := Finding{Severity: report.Error, Place: m.place(w.gowork, x.use.Syntax.Start.Line), Fix: "go work edit -dropuse=" + shellWord(x.use.Path) + ", or bring the module back"}
		if f.Message = fmt.Sprintf("use %s: there is no go.mod in it", x.use.Path); !errors.Is(x.err, fs.ErrNotExist) {
			f.Message = fmt.Sprintf("use %s: go cannot read its go.mod: %s", x.use.Path, parseText(x.err))
			f.Fix = "mend " + m.place(x.file, parseLineOf(x.err)).String()
		}
		r.Findings = append(r.Findings, f)
	}
	return r
}

// parseLineOf returns the line of a mistake in go.mod or go.work, 0 if there is
// none.
func parseLineOf(err error) int {
	if list, ok := errors.AsType[modfile.ErrorList](err); ok && len(list) > 0 {
		return list[0].Pos.Line
	}
	return 0
}

// parseText returns a mistake in go.mod or go.work without its place.
func parseText(err error) string {
	if list, ok := errors.AsType[modfile.ErrorList](err); ok && len(list) > 0 && list[0].Err != nil {
		return list[0].Err.Error()
	}
	return reason(err).Error()
}

// workVersion finds members of go.work that need a newer go than it says.
func workVersion(_ context.Context, m *Machine) Result {
	w := m.Work
	if w.work == nil {
		return skipped("there is no go.work")
	}
	have := "1.18" // without a line
	line := 1
	if w.work.Go != nil {
		have, line = w.work.Go.Version, w.work.Go.Syntax.Start.Line
	}
	var r Result
	for _, x := range w.members {
		if x.mod != nil && x.mod.Go != nil && goversion.Compare("go"+x.mod.Go.Version, "go"+have) > 0 {
			r.Findings = append(r.Findings, Finding{
				Severity: report.Error, Place: m.place(w.gowork, line), Message: fmt.Sprintf("member %s needs go %s, and go.work says go %s: every go command fails", x.use.Path, x.mod.Go.Version, have),
				Fix: "go work use",
			})
		}
	}
	return r
}

// workOutside finds that the module at the working directory is no member.
func workOutside(_ context.Context, m *Machine) Result {
	w := m.Work
	if w.work == nil || w.root == "" {
		return skipped("there is no go.work, or no module here")
	}
	if slices.ContainsFunc(w.members, func(x member) bool { return filepath.Clean(x.dir) == w.root }) {
		return Result{}
	}
	return found(Finding{
		Place: m.place(w.gowork, 0), Message: fmt.Sprintf("the module in %s is not in go.work: go refuses to build it here", w.root),
		Fix: "go work use " + shellWord(w.root) + ", or set GOWORK=off",
	})
}

// replaceMissing finds replacements by directories that are not there.
func replaceMissing(_ context.Context, m *Machine) Result {
	w := m.Work
	var r Result
	check := func(file string, list []*modfile.Replace) {
		for _, x := range list {
			dir := filepath.FromSlash(x.New.Path)
			if x.New.Version != "" {
				continue
			}
			if !filepath.IsAbs(dir) {
				dir = filepath.Join(filepath.Dir(file), dir)
			}
			if _, err := os.Stat(filepath.Join(dir, "go.mod")); err != nil {
				r.Findings = append(r.Findings, Finding{
					Severity: report.Error, Place: m.place(file, x.Syntax.Start.Line), Message: fmt.Sprintf("%s is replaced by %s, where there is no go.mod", x.Old.Path, x.New.Path),
					Fix: "bring the directory back, or take the line out: a replacement by a directory is for one machine, and go.work is the place for it",
				})
			}
		}
	}
	switch {
	case w.modErr != nil:
		return found(Finding{Severity: report.Error, Place: m.place(w.gomod, parseLineOf(w.modErr)), Message: "go cannot read go.mod: " + parseText(w.modErr), Fix: "mend the line"})
	case w.mod == nil && w.work == nil:
		return skipped("there is no go.mod")
	}
	if w.mod != nil && !slices.ContainsFunc(w.members, func(x member) bool { return x.file == w.gomod }) {
		check(w.gomod, w.mod.Replace)
	}
	if w.work != nil {
		check(w.gowork, w.work.Replace)
	}
	for _, x := range w.members {
		if x.mod != nil {
			check(x.file, x.mod.Replace)
		}
	}
	return r
}

// downloads reports whether go.mod requires a module that is neither replaced by
// a directory nor a member of go.work: go.sum must have its checksums.
func (w *workspace) downloads() bool {
	if w.mod == nil {
		return false
	}
	replaces := w.mod.Replace
	if w.work != nil {
		replaces = slices.Concat(w.work.Replace, replaces)
	}
	return slices.ContainsFunc(w.mod.Require, func(r *modfile.Require) bool {
		local := slices.ContainsFunc(replaces, func(x *modfile.Replace) bool {
			return x.New.Version == "" && x.Old.Path == r.Mod.Path && (x.Old.Version == "" || x.Old.Version == r.Mod.Version)
		})
		return !local && !slices.ContainsFunc(w.members, func(x member) bool {
			return x.mod != nil && x.mod.Module != nil && x.mod.Module.Mod.Path == r.Mod.Path
		})
	})
}

// vendored reports whether builds take modules from a vendor directory: that of
// the module, or in a workspace the one beside go.work. It is the default since
// go lines of 1.14.
func (m *Machine) vendored() bool {
	root, from := m.Work.root, "go1.14"
	if m.Work.work != nil {
		root, from = filepath.Dir(m.Work.gowork), "go1.22"
	}
	if _, err := os.Stat(filepath.Join(root, "vendor", "modules.txt")); err != nil {
		return false
	}
	mode := m.modFlag()
	return mode == "vendor" || mode == "" && goversion.Compare("go"+m.Work.lines.Go, from) >= 0
}

// modFlag returns the value of -mod in GOFLAGS.
func (m *Machine) modFlag() string {
	flags, _ := goenv.ParseFlags(m.setting("GOFLAGS")) // a check says what is wrong with it
	mode, _ := goenv.Flag(flags, "mod")
	return mode
}

// goSumBroken finds what is wrong with go.sum: lines of a merge, and lines that
// contradict each other.
func goSumBroken(_ context.Context, m *Machine) Result {
	if m.Work.root == "" {
		return skipped("there is no go.mod")
	}
	file := filepath.Join(m.Work.root, "go.sum")
	data, err := m.readTree(file, maxModFile)
	if errors.Is(err, fs.ErrNotExist) {
		if m.Work.downloads() && !m.vendored() && m.modFlag() != "mod" { // that writes go.sum by itself
			return found(Finding{Severity: report.Error, Place: m.place(m.Work.gomod, 1), Message: "go.mod requires modules and there is no go.sum: a build ends with \"missing go.sum entry\"", Fix: "run \"go mod tidy\", and commit go.sum"})
		}
		return skipped("there is no go.sum")
	}
	if err != nil {
		return found(Finding{Severity: report.Error, Place: m.place(file, 0), Message: fmt.Sprintf("go cannot read go.sum: %v", reason(err)), Fix: "make it a file that you can read"})
	}
	sums, err := checksum.ParseGoSum(file, data)
	if bad, ok := errors.AsType[*checksum.LineError](err); ok {
		f := Finding{Severity: report.Error, Place: m.place(file, bad.Line), Message: "go refuses go.sum: " + bad.Msg, Fix: "remove the line, and run \"go mod tidy\""}
		if text := string(data); strings.Contains(text, "<<<<<<<") || strings.Contains(text, ">>>>>>>") {
			f.Message, f.Fix = "go.sum holds the marks of a merge, and go refuses it", "keep the lines of both sides, remove the marks, and run \"go mod tidy\""
		}
		return found(f)
	} else if err != nil {
		return skipped(err.Error())
	}
	r := Result{Seen: fmt.Sprintf("%d lines in %s", len(sums.Sums), file)}
	for _, s := range sums.Sums {
		want := sums.Zip(s.Module)
		if s.GoMod {
			want = sums.GoMod(s.Module)
		}
		if strings.HasPrefix(s.Hash, "h1:") && want != s.Hash {
			r.Findings = append(r.Findings, Finding{
				Severity: report.Error, Place: m.place(file, s.Line), Message: fmt.Sprintf("%s has two hashes in go.sum, so one of two downloads was wrong: a moved tag, or a proxy that lies", s.Module),
				Fix: fmt.Sprintf("ask which is right: goproxy-setup doctor --bisect %s; then remove the other line", s.Module),
			})
		}
	}
	return r
}
