// Package netrc reads and adds to netrc files exactly as the go command
// understands them, which differs from what other programs do: a machine is
// host or host:port just as it stands in the URL, an entry counts only with
// both a login and a password, and the "default" entry is never used.
//
// It is pure: text in, text out.
//
// Source: cmd/go/internal/auth of Go 1.26.
package netrc

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"unicode"
)

// A Machine is one complete entry of a netrc file.
type Machine struct {
	Name     string // host, host:port, or one of them with a path
	Login    string
	Password string
}

// Parse returns the complete entries of text in their order. What it does not
// understand it skips, as the go command does: there are no errors.
func Parse(text string) []Machine {
	var list []Machine
	var m Machine
	inMacro := false
	for line := range strings.SplitSeq(text, "\n") {
		if inMacro { // up to an empty line
			inMacro = line != ""
			continue
		}
		f := strings.Fields(line)
		i := 0
		for ; i < len(f)-1; i += 2 {
			switch value := f[i+1]; f[i] {
			case "machine":
				m = Machine{Name: value}
			case "login":
				m.Login = value
			case "password":
				m.Password = value
			case "macdef":
				inMacro = true
			}
			if m.Name != "" && m.Login != "" && m.Password != "" {
				list = append(list, m)
				m = Machine{}
			}
		}
		if i < len(f) && f[i] == "default" {
			break // whatever follows belongs to no machine
		}
	}
	return list
}

// Lookup returns the entry that the go command uses for u: the one with the
// longest path that is a prefix of u's, and of equal ones the first. There is
// none for a URL that is not https or names a user itself.
func Lookup(list []Machine, u *url.URL) (Machine, bool) {
	if u.Scheme != "https" || u.User != nil {
		return Machine{}, false
	}
	for prefix := strings.TrimSuffix(u.Host+u.EscapedPath(), "/"); ; {
		i := slices.IndexFunc(list, func(m Machine) bool { return key(m.Name) == prefix })
		if i >= 0 {
			return list[i], true
		}
		slash := strings.LastIndexByte(prefix, '/')
		if slash < 0 {
			return Machine{}, false
		}
		prefix = prefix[:slash]
	}
}

// key is the form in which the go command remembers a machine's name.
func key(name string) string {
	return strings.TrimSuffix(strings.TrimPrefix(name, "https://"), "/")
}

// Merge returns text with entries for the machines of add. They are put first
// and therefore win over older entries of the same name; nothing is taken out
// of text. Entries that text already has in force are not repeated, so merging
// twice changes nothing.
//
// A name, login or password that is empty or has a blank, a line break or
// another control character can't be written: the file format has no quotes.
// The error names the machine and the part, never a value of login or password.
func Merge(text string, add ...Machine) (string, error) {
	have := Parse(text)
	var b strings.Builder
	for _, m := range add {
		if err := m.check(); err != nil {
			return "", err
		}
		i := slices.IndexFunc(have, func(h Machine) bool { return key(h.Name) == key(m.Name) })
		if i >= 0 && have[i].Login == m.Login && have[i].Password == m.Password {
			continue
		}
		fmt.Fprintf(&b, "machine %s login %s password %s\n", m.Name, m.Login, m.Password)
	}
	return b.String() + text, nil
}

// check reports why m can't be written.
func (m Machine) check() error {
	for _, part := range []struct{ name, value string }{
		{"name", m.Name}, {"login", m.Login}, {"password", m.Password},
	} {
		bad := ""
		switch {
		case part.value == "":
			bad = "is empty: the go command ignores such an entry"
		case strings.ContainsFunc(part.value, unicode.IsSpace):
			bad = "has a blank or line break, which a netrc file can't hold"
		case strings.ContainsFunc(part.value, unicode.IsControl):
			bad = "has a control character, which a netrc file can't hold"
		default:
			continue
		}
		if part.name == "name" {
			return fmt.Errorf("netrc: machine name %q %s", part.value, bad)
		}
		return fmt.Errorf("netrc: %s for machine %q %s", part.name, m.Name, bad)
	}
	return nil
}

// Used reports whether the go command reads the netrc file, given the value of
// GOAUTH.
func Used(goauth string) bool {
	if goauth == "" {
		return true
	}
	return slices.ContainsFunc(strings.Split(goauth, ";"), func(c string) bool { return strings.TrimSpace(c) == "netrc" })
}
