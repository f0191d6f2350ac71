// Package explain says what the go command does with given settings: whom it
// asks for a module, in which order, and what happens there if a proxy fails.
//
// It is pure: settings, go.mod and go.sum in, values out; nobody is asked. The
// way through a chain is [goenv.Chain.Walk], the one model that is held against
// the real go command; this package puts it into tables and words.
package explain

import (
	"fmt"
	"strings"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/report"
)

// A Setting is a setting of go for people and for JSON, redacted.
type Setting struct {
	Name     string    `json:"name"`
	Value    string    `json:"value"`
	Origin   string    `json:"origin"`          // as in goenv.Origin, or "policy"
	Place    string    `json:"place,omitempty"` // FILE:LINE, "" if the origin is no file
	From     string    `json:"from,omitempty"`  // the variable it is the default of
	Shadowed []Setting `json:"shadowed,omitempty"`
}

// Settings returns every setting that matters for downloads.
func Settings(s goenv.Sources) []Setting {
	var list []Setting
	for _, set := range s.All() {
		list = append(list, Describe(set))
	}
	return list
}

// Describe returns a setting without the secrets in its values.
func Describe(s goenv.Setting) Setting {
	d := Setting{Name: s.Name, Value: goenv.RedactSetting(s.Name, s.Value), Origin: string(s.Origin), From: s.From}
	if s.File != "" {
		d.Place = s.Place()
	}
	for _, hidden := range s.Shadowed {
		d.Shadowed = append(d.Shadowed, Describe(hidden))
	}
	return d
}

// Where says where a setting comes from, as a person would: the file and line,
// or the kind of source, and the variable that it is the default of.
func (s Setting) Where() string {
	text := s.Origin
	if s.Place != "" {
		text = s.Place
	}
	if s.From != "" {
		text += " (" + s.From + ")"
	}
	return text
}

// File is a go.mod or go.work with the name that people know it by.
type File struct {
	Name string
	Data []byte // nil if there is none
}

// at returns a place in the file.
func (f File) at(line int) report.Place { return report.Place{File: f.Name, Line: line} }

// label names an entry of a chain for people.
func label(e goenv.Entry) string {
	if e.Proxy() {
		return goenv.Redact(e.Value)
	}
	return e.Value
}

// separator names what stands after an entry.
func separator(s goenv.Sep) string {
	if s == goenv.End {
		return ""
	}
	return string(rune(s))
}

// plural returns "1 module" or "N modules".
func plural(n int, word string) string {
	if n == 1 {
		return "1 " + word
	}
	return fmt.Sprintf("%d %ss", n, word)
}

// join joins words with commas and a last "or".
func join(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	return strings.Join(words[:len(words)-1], ", ") + " or " + words[len(words)-1]
}
