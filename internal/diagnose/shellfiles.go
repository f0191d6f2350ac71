package diagnose

import (
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/org/goproxy-setup/internal/goenv"
)

// An assignment is a line of a file of a shell that gives a variable a value.
type assignment struct {
	Name  string
	Value string // without quotes
	File  string
	Line  int // counted from 1
	// Computed says that the shell has to compute the value, which is then as
	// it was written.
	Computed bool
	// Cut says that there is a bar without quotes in the value: the shell takes
	// what follows for a command.
	Cut bool
}

// quoted returns the value as one word for a shell, without secrets.
func (a assignment) quoted() string {
	word := goenv.RedactSetting(a.Name, a.Value)
	hidden := word != a.Value && strings.ContainsAny(a.Value, "@?")
	if a.Computed && !strings.ContainsAny(word, "\"\\`") {
		word = `"` + word + `"` // in which the shell still computes
	} else {
		word = shellWord(word)
	}
	if hidden {
		word += ", with the login that is left out here"
	}
	return word
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
func parseShell(file, text string) []assignment {
	var list []assignment
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
func parseLine(line string, fish bool) []assignment {
	var list []assignment
	for _, words := range shellWords(line) {
		list = append(list, parseCommand(words, fish)...)
	}
	return list
}

// parseCommand returns the assignments that stay after a command was run.
func parseCommand(words []shellWordOf, fish bool) []assignment {
	switch name := words[0].text; {
	case name == "set" && fish:
		return fishSet(words[1:])
	case name == "setenv" && len(words) == 3: // csh
		return []assignment{{Name: words[1].text, Value: words[2].text, Computed: words[2].computed, Cut: words[2].cut}}
	case slices.Contains([]string{"export", "declare", "typeset", "readonly"}, name):
		words = words[1:]
		for len(words) > 0 && strings.HasPrefix(words[0].text, "-") {
			words = words[1:]
		}
	}
	var list []assignment
	for _, w := range words {
		name, value, ok := strings.Cut(w.text, "=")
		if !ok {
			return nil // "NAME=VALUE COMMAND" sets it for that command alone
		}
		list = append(list, assignment{Name: name, Value: value, Computed: w.computed, Cut: w.cut})
	}
	return list
}

// fishSet returns the assignment of fish's "set -gx NAME VALUE".
func fishSet(words []shellWordOf) []assignment {
	exported := false
	for len(words) > 0 && strings.HasPrefix(words[0].text, "-") {
		flag := words[0].text
		exported = exported || flag == "--export" || !strings.HasPrefix(flag, "--") && strings.Contains(flag, "x")
		words = words[1:]
	}
	if !exported || len(words) != 2 {
		return nil
	}
	return []assignment{{Name: words[0].text, Value: words[1].text, Computed: words[1].computed, Cut: words[1].cut}}
}

// A shellWordOf is one word of a command.
type shellWordOf struct {
	text     string
	computed bool // the shell would compute part of it
	cut      bool // there is a bar without quotes in it
}

// shellWords splits a line into commands of at least one word as a shell does.
// Comments, and commands that take no part in assignments, are left out.
func shellWords(line string) [][]shellWordOf {
	var s shellScanner
	for i, r := range line {
		_, size := utf8.DecodeRuneInString(line[i:])
		if !s.quoted(r) && !s.bare(r, line[i+size:]) {
			return s.commands
		}
		s.last = r
	}
	s.endCommand()
	return s.commands
}

// A shellScanner is what [shellWords] knows of the line so far.
type shellScanner struct {
	commands [][]shellWordOf
	words    []shellWordOf // of the command that is not at its end
	text     strings.Builder
	word     shellWordOf // that text belongs to
	started  bool        // there is a word, if only an empty one in quotes
	escaped  bool        // by a backslash
	quote    rune        // the one that is open: ' " or `; 0 if none is
	depth    int         // of parentheses in $(COMMAND)
	last     rune
}

func (s *shellScanner) endWord() {
	if s.started {
		s.word.text = s.text.String()
		s.words = append(s.words, s.word)
	}
	s.text.Reset()
	s.word, s.started = shellWordOf{}, false
}

func (s *shellScanner) endCommand() {
	if s.endWord(); len(s.words) > 0 {
		s.commands = append(s.commands, s.words)
	}
	s.words = nil
}

// quoted takes r if it stands for itself, or opens or closes what makes
// characters stand for themselves.
func (s *shellScanner) quoted(r rune) bool {
	switch {
	case s.escaped:
		s.text.WriteRune(r)
		s.escaped = false
	case s.depth > 0, r == '(' && s.last == '$' && s.quote != '\'': // $(COMMAND)
		s.text.WriteRune(r)
		s.depth += strings.Count(string(r), "(") - strings.Count(string(r), ")")
	case s.quote == '`' && r != '`', s.quote == '\'' && r != '\'', s.quote == '"' && !strings.ContainsRune("\"\\$`", r):
		s.text.WriteRune(r)
	case r == '\\':
		s.started, s.escaped = true, true
	case r == '`' && s.quote != '"':
		s.started, s.word.computed = true, true
		s.text.WriteRune(r)
		s.quote ^= '`'
	case s.quote != 0 && r == s.quote:
		s.quote = 0
	case s.quote == 0 && (r == '\'' || r == '"'):
		s.started, s.quote = true, r
	case r == '$' || r == '`':
		s.started, s.word.computed = true, true
		s.text.WriteRune(r)
	default:
		return false
	}
	return true
}

// bare takes r outside of quotes; rest follows it. It reports whether the rest
// matters.
func (s *shellScanner) bare(r rune, rest string) bool {
	switch {
	case r == '#' && !s.started:
		s.endCommand()
		return false
	case strings.ContainsRune(" \t\r\n", r) && s.word.cut: // what follows are arguments of what it takes for a command
		s.endCommand()
		return false
	case strings.ContainsRune(" \t\r\n", r):
		s.endWord()
	case r == ';':
		s.endCommand()
	case r == '|' && s.started && rest != "" && !strings.ContainsRune(" \t\r\n|&;<>", rune(rest[0])): // not meant as a pipe
		s.word.cut = true
		s.text.WriteRune(r)
	case strings.ContainsRune("|&<>", r): // what follows is another command, or a file
		s.endCommand()
		return false
	default:
		home := r == '~' && (!s.started || s.last == '=' || s.last == ':')
		s.started, s.word.computed = true, s.word.computed || home || r == '{'
		s.text.WriteRune(r)
	}
	return true
}
