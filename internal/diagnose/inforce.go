package diagnose

import (
	"fmt"
	"strings"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/report"
)

// goSettings are the settings that decide where modules come from.
var goSettings = []string{
	"GOPROXY", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOSUMDB", "GOINSECURE", "GOVCS", "GOAUTH", "GOFLAGS", "GOTOOLCHAIN", "GO111MODULE",
}

// patternSettings are those of goSettings that hold module patterns.
var patternSettings = []string{"GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOINSECURE"}

// otherSettings are variables beside Go's own that decide it, too.
var otherSettings = []string{"GOENV", "GOROOT", "GOBIN", "GOMODCACHE", "GOWORK", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY", "NETRC", "SSL_CERT_FILE", "SSL_CERT_DIR"}

// InForce returns the settings in force, without secrets, and where each comes
// from: the file and line of a shell included.
func (m *Machine) InForce() []report.Setting {
	var list []report.Setting
	for _, name := range goSettings {
		s := m.Settings.Lookup(name)
		if s.Origin == goenv.Unset {
			continue
		}
		list = append(list, report.Setting{Name: name, Value: goenv.RedactSetting(name, s.Value), Why: m.why(name)})
	}
	for _, name := range otherSettings {
		for _, spelled := range []string{name, strings.ToLower(name)} {
			if v := m.Getenv(spelled); v != "" {
				list = append(list, report.Setting{Name: spelled, Value: goenv.RedactSetting(name, v), Why: m.why(spelled)})
			}
			if !strings.HasSuffix(name, "_PROXY") {
				break // only these are known in lower case, too
			}
		}
	}
	return list
}

// why says where a setting comes from, and which others it hides.
func (m *Machine) why(name string) string {
	s := m.Settings.Lookup(name)
	text := string(s.Origin)
	if s.File != "" {
		text = m.place(s.File, s.Line).String()
	} else if a, ok := m.assigned(name); ok {
		text += ", as set in " + m.place(a.File, a.Line).String()
	}
	if s.From != "" {
		text += " (" + s.From + ")"
	}
	for _, other := range s.Shadowed {
		if other.Origin == goenv.UserFile { // go's own defaults are nothing to know
			text += "; hides " + goenv.RedactSetting(name, other.Value) + " of " + m.place(other.File, other.Line).String()
		}
	}
	return text
}

// origin returns the place where a setting in force was written, if that is
// known.
func (m *Machine) origin(name string) report.Place {
	if s := m.Settings.Lookup(name); s.File != "" {
		return m.place(s.File, s.Line)
	}
	if a, ok := m.assigned(name); ok {
		return m.place(a.File, a.Line)
	}
	return report.Place{}
}

// fromUser reports whether a setting in force comes from the file of "go env
// -w", which go itself can mend.
func (m *Machine) fromUser(name string) bool {
	s := m.Settings.Lookup(name)
	return s.Origin == goenv.UserFile && s.From == ""
}

// userFile returns the file that "go env -w" writes, "" if it is off.
func (m *Machine) userFile() string { return m.Settings.User.Path }

// set says how to give a setting another value, where it has its value from.
func (m *Machine) set(name, value string) string {
	if m.fromUser(name) {
		return "go env -w " + shellWord(name+"="+value)
	}
	at := "where it is exported"
	if p := m.origin(name).String(); p != "" {
		at = "in " + p
	}
	return fmt.Sprintf("%s: %s=%s", at, name, shellWord(value))
}
