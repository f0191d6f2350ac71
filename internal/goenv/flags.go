package goenv

import (
	"fmt"
	"path/filepath"
	"strings"
)

// ParseFlags splits v, the value of GOFLAGS, into flags. With one bad word the
// go command refuses to do anything. Flags that go does not know are accepted
// here, since they differ from version to version.
//
// Source: InitGOFLAGS in cmd/go/internal/base, Split in cmd/internal/quoted.
func ParseFlags(v string) ([]string, error) {
	var flags []string
	for {
		v = strings.TrimLeft(v, " \t\r\n")
		if v == "" {
			return flags, nil
		}
		word := v
		if quote := v[0]; quote == '"' || quote == '\'' {
			end := strings.IndexByte(v[1:], quote)
			if end < 0 {
				return nil, fmt.Errorf("GOFLAGS has a %c without its counterpart", quote)
			}
			word, v = v[1:1+end], v[end+2:]
		} else if i := strings.IndexAny(v, " \t\r\n"); i >= 0 {
			word, v = v[:i], v[i:]
		} else {
			v = ""
		}
		name := strings.TrimPrefix(strings.TrimPrefix(word, "-"), "-")
		if !strings.HasPrefix(word, "-") || name == "" || name[0] == '-' || name[0] == '=' {
			return nil, fmt.Errorf("GOFLAGS: %q is no flag; write -NAME or -NAME=VALUE", Redact(word))
		}
		flags = append(flags, word)
	}
}

// Flag returns the value that flags, a result of [ParseFlags], give to a flag;
// "true" for one without a value. The last one counts.
func Flag(flags []string, name string) (value string, ok bool) {
	for _, f := range flags {
		n, v, hasValue := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(f, "-"), "-"), "=")
		if n == name {
			value, ok = v, true
			if !hasValue {
				value = "true"
			}
		}
	}
	return value, ok
}

// ParseAuth splits v, the value of GOAUTH, into its commands, the first one
// being asked first. A bad value ends the go command at the first https
// request.
//
// Source: runGoAuth in cmd/go/internal/auth.
func ParseAuth(v string) ([]string, error) {
	if v == off {
		return []string{off}, nil
	}
	var commands []string
	for command := range strings.SplitSeq(v, ";") {
		words := strings.Fields(command)
		switch {
		case len(words) == 0:
			return nil, fmt.Errorf("GOAUTH has an empty command")
		case words[0] == off && strings.Contains(v, ";"):
			return nil, fmt.Errorf("GOAUTH: off cannot stand beside other commands")
		case words[0] == "git" && (len(words) != 2 || !filepath.IsAbs(words[1])):
			return nil, fmt.Errorf("GOAUTH: git needs the absolute path of a working directory, as in \"git /home/me/project\"")
		}
		commands = append(commands, strings.Join(words, " "))
	}
	return commands, nil
}
