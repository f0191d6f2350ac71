package goenv

import (
	"fmt"
	goversion "go/version"
	"strings"
)

// GoLines are the two lines that say which version of Go has to run: those of
// go.mod, or in a workspace those of go.work.
type GoLines struct {
	Go        string // "1.26.0" of the line "go 1.26.0", "" if there is none
	Toolchain string // "go1.26.3" of the line "toolchain go1.26.3", or "default"; "" if there is none
}

// A Toolchain is the version of Go that a go command becomes before it does its
// work.
type Toolchain struct {
	Name string // such as "go1.26.3"
	// Line is the word of the line that asks for it, "go" or "toolchain"; "" if
	// that is GOTOOLCHAIN, or if it is the installed one.
	Line      string
	Installed bool // it is the go command itself, so that none is looked for
	PathOnly  bool // one that is not installed is looked for in PATH, and never downloaded
	TooOld    bool // the go line asks for a newer one: every go command fails
}

// NoRelease reports whether there can be no such toolchain to fetch: since Go
// 1.21, go1.N is the name of a language, whose first release is go1.N.0.
func (t Toolchain) NoRelease() bool { return !t.Installed && isLanguage(t.Name) }

// ToolchainFor returns the toolchain that go fetches for a go line: "go1.26.3"
// for "1.26.3", and "go1.26.0" for "1.26".
func ToolchainFor(goLine string) string {
	name := "go" + goLine
	if isLanguage(name) {
		name += ".0"
	}
	return name
}

// SelectToolchain returns what the go command becomes whose own version is
// installed, as "go env GOVERSION" tells it. mode is the value of GOTOOLCHAIN.
// The lines can change the choice with the modes auto and path alone. The error
// says why every go command fails before it chooses.
//
// Source: Select in cmd/go/internal/toolchain, go 1.26.
func SelectToolchain(mode, installed string, l GoLines) (Toolchain, error) {
	local := toolchainVersion(strings.TrimPrefix(installed, "devel "))
	t := Toolchain{Name: installed}
	version := local
	base, suffix, plus := strings.Cut(mode, "+")
	switch {
	case mode == "":
		suffix = "local" // go.env is gone, and go does not switch
	case mode == "auto" || mode == "path":
		suffix = mode
	case plus && suffix != "auto" && suffix != "path":
		return t, fmt.Errorf("invalid GOTOOLCHAIN %q", mode)
	case base != "local":
		if version = toolchainVersion(base); version == "" {
			return t, fmt.Errorf("invalid GOTOOLCHAIN %q", mode)
		}
		t.Name = base
	}
	t.PathOnly = suffix == "path"
	if (suffix == "auto" || suffix == "path") && l.Toolchain != "default" {
		if l.Toolchain != "" {
			v := toolchainVersion(l.Toolchain)
			if v == "" {
				return t, fmt.Errorf("invalid toolchain %q", l.Toolchain)
			}
			if goversion.Compare(v, version) > 0 {
				t.Name, t.Line, version = l.Toolchain, "toolchain", v
			}
		}
		if goversion.Compare("go"+l.Go, version) > 0 {
			t.Name, t.Line, version = ToolchainFor(l.Go), "go", "go"+l.Go
		}
	}
	t.Installed = t.Name == installed
	t.TooOld = goversion.Compare("go"+l.Go, version) > 0
	return t, nil
}

// toolchainVersion returns "go1.2.3" for a toolchain of that version, which may
// have a suffix of its makers, and "" for what is none.
func toolchainVersion(name string) string {
	if i := strings.IndexAny(name, " \t-"); i >= 0 {
		name = name[:i]
	}
	if !strings.HasPrefix(name, "go1") || !goversion.IsValid(name) {
		return ""
	}
	return name
}

func isLanguage(name string) bool {
	return goversion.Lang(name) == name && goversion.Compare(name, "go1.21") >= 0
}
