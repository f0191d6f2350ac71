package diagnose

import (
	"path"
	"slices"
	"strings"
)

// An Assignment is a line of a file of a shell that gives a variable a value.
type Assignment struct {
	Name  string
	Value string // without quotes
	File  string
	Line  int // counted from 1
	// Computed says that the shell has to compute the value, which is then as
	// it was written.
	Computed bool
	// Cut says that the value ends at a bar without quotes: the shell takes
	// what follows for a command.
	Cut bool
}

// shellFiles are the files that shells and log-ins read, in the order in which
// they do: below "~" the user's, below "etc" the system's.
var shellFiles = []string{
	"etc/environment", "etc/profile", "etc/profile.d/*.sh", "etc/bash.bashrc", "etc/zsh/zshenv", "etc/zsh/zprofile", "etc/zsh/zshrc",
	"~/.pam_environment", "~/.config/environment.d/*.conf", "~/.profile", "~/.bash_profile", "~/.bash_login", "~/.bashrc", "~/.bash_aliases",
	"~/.zshenv", "~/.zprofile", "~/.zshrc", "~/.zlogin", "~/.config/fish/config.fish", "~/.config/fish/conf.d/*.fish", "~/.cshrc", "~/.tcshrc",
}

// watched are the variables whose assignments are looked for.
var watched = []string{
	"GOPROXY", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOSUMDB", "GOINSECURE", "GOVCS", "GOAUTH", "GOFLAGS", "GOTOOLCHAIN", "GO111MODULE",
	"GOENV", "GOROOT", "GOPATH", "GOBIN", "GOMODCACHE", "GOWORK", "NETRC", "SSL_CERT_FILE", "SSL_CERT_DIR",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "no_proxy", "all_proxy",
}

// parseShell returns the assignments of watched variables in a file of a POSIX
// shell, of fish or of csh. It reads line by line and runs nothing, so it sees
// assignments that a condition may skip; values that a shell would compute are
// marked.
func parseShell(file, text string) []Assignment {
	var list []Assignment
	n := 0
	for line := range strings.Lines(text) {
		n++
		for _, a := range parseLine(strings.TrimSpace(line), path.Ext(file) == ".fish") {
			if slices.Contains(watched, a.Name) {
				a.File, a.Line = file, n
				list = append(list, a)
			}
		}
	}
	return list
}

// parseLine returns the assignments of one line.
func parseLine(line string, fish bool) []Assignment {
	var list []Assignment
	for _, words := range shellWords(line) {
		list = append(list, parseCommand(words, fish)...)
	}
	return list
}

// parseCommand returns the assignments that stay after a command was run.
func parseCommand(words []shellWordOf, fish bool) []Assignment {
	switch name := words[0].text; {
	case name == "set" && fish:
		return fishSet(words[1:])
	case name == "setenv" && len(words) == 3: // csh
		return []Assignment{{Name: words[1].text, Value: words[2].text, Computed: words[2].computed, Cut: words[2].cut}}
	case slices.Contains([]string{"export", "declare", "typeset", "readonly"}, name):
		words = words[1:]
		for len(words) > 0 && strings.HasPrefix(words[0].text, "-") {
			words = words[1:]
		}
	}
	var list []Assignment
	for _, w := range words {
		name, value, ok := strings.Cut(w.text, "=")
		if !ok {
			return nil // "NAME=VALUE COMMAND" sets it for that command alone
		}
		list = append(list, Assignment{Name: name, Value: value, Computed: w.computed, Cut: w.cut})
	}
	return list
}

// fishSet returns the assignment of fish's "set -gx NAME VALUE".
func fishSet(words []shellWordOf) []Assignment {
	exported := false
	for len(words) > 0 && strings.HasPrefix(words[0].text, "-") {
		flag := words[0].text
		exported = exported || flag == "--export" || !strings.HasPrefix(flag, "--") && strings.Contains(flag, "x")
		words = words[1:]
	}
	if !exported || len(words) != 2 {
		return nil
	}
	return []Assignment{{Name: words[0].text, Value: words[1].text, Computed: words[1].computed, Cut: words[1].cut}}
}

// A shellWordOf is one word of a command.
type shellWordOf struct {
	text     string
	computed bool // the shell would compute part of it
	cut      bool // ended by a bar without quotes
}

// shellWords splits a line into commands of at least one word as a shell does.
// Comments, and commands that take no part in assignments, are left out.
func shellWords(line string) (commands [][]shellWordOf) {
	var words []shellWordOf
	var text strings.Builder
	var w shellWordOf
	started, escaped, quote, depth, last := false, false, rune(0), 0, rune(0)
	end := func() {
		if started {
			w.text = text.String()
			words = append(words, w)
		}
		text.Reset()
		w, started = shellWordOf{}, false
	}
	command := func() {
		if end(); len(words) > 0 {
			commands = append(commands, words)
		}
		words = nil
	}
	for _, r := range line {
		before := last
		last = r
		switch {
		case escaped:
			text.WriteRune(r)
			escaped = false
		case depth > 0, r == '(' && before == '$' && quote != '\'': // $(COMMAND)
			text.WriteRune(r)
			depth += strings.Count(string(r), "(") - strings.Count(string(r), ")")
		case quote == '`' && r != '`':
			text.WriteRune(r)
		case quote == '\'' && r != '\'', quote == '"' && !strings.ContainsRune("\"\\$`", r):
			text.WriteRune(r)
		case r == '\\':
			started, escaped = true, true
		case r == '`' && quote != '"':
			started, w.computed = true, true
			text.WriteRune(r)
			quote ^= '`'
		case r == quote:
			quote = 0
		case quote == 0 && (r == '\'' || r == '"'):
			started, quote = true, r
		case r == '$' || r == '`':
			started, w.computed = true, true
			text.WriteRune(r)
		case r == '#' && !started:
			command()
			return commands
		case strings.ContainsRune(" \t\r\n", r):
			end()
		case r == ';':
			command()
		case r == '|' || r == '&' || r == '>' || r == '<':
			w.cut = started && r == '|'
			command() // what follows is another command, or a file
			return commands
		default:
			started = true
			text.WriteRune(r)
		}
	}
	command()
	return commands
}
