package explain

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/report"
)

// A Replacement is a replace directive that covers the module.
type Replacement struct {
	Place   string `json:"place"` // FILE:LINE
	Path    string `json:"path"`  // a module path, or a directory
	Version string `json:"version,omitempty"`
	Local   bool   `json:"local,omitempty"` // Path is a directory: nothing is downloaded
}

// A Main is what go.mod and go.work say.
type Main struct {
	Module string // the main module, "" if there is no go.mod
	// Lines say which Go has to run, and stand at GoAt and ToolchainAt. In a
	// workspace they are those of go.work.
	Lines             goenv.GoLines
	GoAt, ToolchainAt report.Place

	work, own []replace                 // of go.work and of go.mod
	excluded  map[module.Version]string // place
}

// ParseMain parses go.mod and go.work; either may be missing. In a workspace
// the replace directives of go.work win over those of go.mod. The error is
// that of the file, with its line.
func ParseMain(goMod, goWork File) (Main, error) {
	m := Main{excluded: map[module.Version]string{}}
	if goWork.Data != nil {
		w, err := modfile.ParseWork(goWork.Name, goWork.Data, nil)
		if err != nil {
			return m, firstMistake(err)
		}
		m.work = replaces(goWork, w.Replace)
		m.lines(goWork, w.Go, w.Toolchain)
	}
	if goMod.Data != nil {
		f, err := modfile.Parse(goMod.Name, goMod.Data, nil)
		if err != nil {
			return m, firstMistake(err)
		}
		if f.Module != nil {
			m.Module = f.Module.Mod.Path
		}
		m.own = replaces(goMod, f.Replace)
		if goWork.Data == nil {
			m.lines(goMod, f.Go, f.Toolchain)
		}
		for _, x := range f.Exclude {
			m.excluded[x.Mod] = goMod.at(x.Syntax.Start.Line).String()
		}
	}
	return m, nil
}

// lines notes which Go a file asks for.
func (m *Main) lines(f File, line *modfile.Go, toolchain *modfile.Toolchain) {
	if line != nil {
		m.Lines.Go, m.GoAt = line.Version, f.at(line.Syntax.Start.Line)
	}
	if toolchain != nil {
		m.Lines.Toolchain, m.ToolchainAt = toolchain.Name, f.at(toolchain.Syntax.Start.Line)
	}
}

// firstMistake returns the first of a file's mistakes; a file may have many.
func firstMistake(err error) error {
	if list, ok := errors.AsType[modfile.ErrorList](err); ok && len(list) > 0 {
		text := list[0].Error()
		if len(list) > 1 {
			text += fmt.Sprintf(" (and %d more)", len(list)-1)
		}
		return errors.New(strings.ReplaceAll(text, "\n", " "))
	}
	return err
}

// A replace is one directive and its place.
type replace struct {
	old   module.Version
	found Replacement
}

func replaces(f File, list []*modfile.Replace) (all []replace) {
	for _, r := range list {
		place := f.at(r.Syntax.Start.Line).String()
		all = append(all, replace{r.Old, Replacement{Place: place, Path: r.New.Path, Version: r.New.Version, Local: r.New.Version == ""}})
	}
	return all
}

// replaced returns the replacement of a module at a version, nil if there is
// none. In each file, one for the version wins over one for all versions.
func (m Main) replaced(path, version string) *Replacement {
	for _, list := range [][]replace{m.work, m.own} {
		var any *Replacement
		for i, r := range list {
			switch {
			case r.old.Path != path:
			case r.old.Version == version && version != "":
				return &list[i].found
			case r.old.Version == "":
				any = &list[i].found
			}
		}
		if any != nil {
			return any
		}
	}
	return nil
}
