package goenv

import (
	"fmt"
	"slices"
	"strings"
)

// An Origin says which of go's sources a value comes from. Callers may add
// their own through [Sources.Over].
type Origin string

const (
	Environment Origin = "environment"   // of the process
	UserFile    Origin = "user file"     // what "go env -w" writes
	GOROOTFile  Origin = "GOROOT/go.env" // the defaults of this installation of go
	BuiltIn     Origin = "built-in"      // go's own default
	Unset       Origin = "unset"         // no source has a value, and go has no default
)

// An EnvFile is one of go's two files of settings.
type EnvFile struct {
	Path string // "" if there can be none: GOENV=off, or no go is installed
	Data []byte // nil if there is no such file
}

// Sources are all places that go reads its settings from, the first of them
// first.
type Sources struct {
	// Over are settings that will be in the environment when go runs, such as
	// those that this program exports. Each keeps its own origin and place.
	Over         []Setting
	Getenv       func(name string) string // of the process; nil is an empty environment
	User, GOROOT EnvFile
}

// A Setting is the value of one variable and where it comes from.
type Setting struct {
	Name   string
	Value  string
	Origin Origin
	File   string // "" unless the origin is a file
	Line   int    // in File, from 1; 0 if unknown
	// From is the variable that the value was taken from, "" if it is Name:
	// GOPRIVATE is the default of GONOPROXY and GONOSUMDB.
	From string
	// Shadowed are the values that this one hides, the strongest first. The
	// value of From and go's built-in defaults are not among them.
	Shadowed []Setting
}

// Place returns "FILE:LINE", "FILE", or the origin of a value without a file.
func (s Setting) Place() string {
	switch {
	case s.File == "":
		return string(s.Origin)
	case s.Line == 0:
		return s.File
	}
	return fmt.Sprintf("%s:%d", s.File, s.Line)
}

// downloadVariables are those that decide how modules and toolchains are
// downloaded, and that go reads from all sources.
var downloadVariables = []string{
	"GOPROXY", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOSUMDB", "GOINSECURE", "GOAUTH", "GOVCS", "GOTOOLCHAIN", "GOFLAGS", "GO111MODULE",
}

// processVariables are read from the environment of the process alone, by go
// or by what it is made of: in go's files they mean nothing.
var processVariables = []string{
	"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "NO_PROXY", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC", "GODEBUG", "GIT_ALLOW_PROTOCOL",
}

// Lookup returns the value of a variable that go uses: the first that is not
// empty of what Over, the environment, the user's file and GOROOT/go.env say.
// A line with an empty value in the user's file hides the line of go.env, but
// not the environment. What no source has is a default or, as go prints it,
// empty; see [Setting.Origin].
//
// Source: Getenv, readEnvFile and EnvOrAndChanged in cmd/go/internal/cfg.
func (s Sources) Lookup(name string) Setting {
	found := s.candidates(name)
	var set Setting
	if len(found) == 0 {
		set = Setting{Name: name, Origin: Unset}
	} else {
		set = found[0]
		set.Shadowed = found[1:]
	}
	if set.Value != "" {
		return set
	}
	switch name {
	case "GONOPROXY", "GONOSUMDB":
		if private := s.Lookup("GOPRIVATE"); private.Value != "" {
			private.Name, private.From, private.Shadowed = name, "GOPRIVATE", found
			return private
		}
	case "GOAUTH":
		return Setting{Name: name, Value: "netrc", Origin: BuiltIn, Shadowed: found}
	}
	return set
}

// candidates returns what the sources say of a variable, the strongest first.
func (s Sources) candidates(name string) (found []Setting) {
	for _, o := range s.Over {
		if o.Name == name && o.Value != "" {
			found = append(found, o)
		}
	}
	if s.Getenv != nil {
		if v := s.Getenv(name); v != "" {
			found = append(found, Setting{Name: name, Value: v, Origin: Environment})
		}
	}
	if slices.Contains(processVariables, name) {
		return found
	}
	// Of lines that repeat a name, the last counts in the user's file and the
	// first in go.env: there go keeps what it has.
	if lines := s.User.lines(name, UserFile); len(lines) > 0 {
		found = append(found, lines[len(lines)-1])
	}
	if lines := s.GOROOT.lines(name, GOROOTFile); len(lines) > 0 {
		found = append(found, lines[0])
	}
	return found
}

// All returns every variable that matters for downloads, in the order in which
// people read them. Those of the process alone are there only if they are set.
func (s Sources) All() []Setting {
	var list []Setting
	for _, name := range downloadVariables {
		list = append(list, s.Lookup(name))
	}
	for _, name := range processVariables {
		if set := s.Lookup(name); set.Origin != Unset {
			list = append(list, set)
		}
	}
	return list
}

// lines returns each line of the file that sets name.
func (f EnvFile) lines(name string, origin Origin) (list []Setting) {
	for _, set := range f.Settings(origin) {
		if set.Name == name {
			list = append(list, set)
		}
	}
	return list
}

// Settings returns every line of the file that go reads as a setting: one that
// begins with a capital letter and has an equals sign. Nothing is trimmed and
// there are no quotes; a carriage return is a part of the value.
func (f EnvFile) Settings(origin Origin) (list []Setting) {
	n := 0
	for line := range strings.SplitSeq(string(f.Data), "\n") {
		n++
		name, value, ok := strings.Cut(line, "=")
		if ok && line[0] >= 'A' && line[0] <= 'Z' {
			list = append(list, Setting{Name: name, Value: value, Origin: origin, File: f.Path, Line: n})
		}
	}
	return list
}
