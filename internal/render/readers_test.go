package render

import (
	"fmt"
	"html"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
)

// This file reads what the package writes, each reader written from the
// consumer's own rules and knowing nothing of the writers.

// command is what a runner makes of one line of a log.
type command struct {
	name  string
	props map[string]string
	data  string
}

var commandNames = map[string]bool{
	"error": true, "warning": true, "notice": true, "debug": true, "group": true, "endgroup": true, "add-mask": true,
	"set-output": true, "set-env": true, "add-path": true, "save-state": true, "stop-commands": true, "add-matcher": true,
}

// gitHubCommand reads a line as GitHub's runner does: "::name k=v,…::data"
// after leading blanks, else "##[name k=v;…]data" anywhere.
func gitHubCommand(line string) (command, bool) {
	if s := strings.TrimLeftFunc(line, unicode.IsSpace); strings.HasPrefix(s, "::") {
		if info, data, ok := strings.Cut(s[2:], "::"); ok {
			name, props, _ := strings.Cut(info, " ")
			if commandNames[strings.ToLower(name)] {
				return command{name, commandProps(strings.TrimSpace(props), ",", "%0D", "\r", "%0A", "\n", "%3A", ":", "%2C", ",", "%25", "%"), unescape(data, "%0D", "\r", "%0A", "\n", "%25", "%")}, true
			}
		}
	}
	if _, s, ok := strings.Cut(line, "##["); ok {
		if info, data, ok := strings.Cut(s, "]"); ok {
			name, props, _ := strings.Cut(info, " ")
			if commandNames[strings.ToLower(name)] {
				return command{name, commandProps(props, ";"), data}, true
			}
		}
	}
	return command{}, false
}

// unescape applies the runner's replacements one after the other.
func unescape(s string, oldnew ...string) string {
	for i := 0; i < len(oldnew); i += 2 {
		s = strings.ReplaceAll(s, oldnew[i], oldnew[i+1])
	}
	return s
}

func commandProps(s, separator string, oldnew ...string) map[string]string {
	props := map[string]string{}
	for pair := range strings.SplitSeq(s, separator) {
		if k, v, ok := strings.Cut(pair, "="); ok && k != "" && v != "" {
			props[k] = unescape(v, oldnew...)
		}
	}
	return props
}

var (
	actCommand    = regexp.MustCompile("^::([^ ]+)( (.+))?::([^\r\n]*)[\r\n]+$")
	actOldCommand = regexp.MustCompile("^##\\[([^ ]+)( (.+))?]([^\r\n]*)[\r\n]+$")
)

// actCommandOf reads a line as act, Gitea's and Forgejo's runners do: the name
// and the properties extend as far as they can.
func actCommandOf(line string) (command, bool) {
	line += "\n"
	if m := actCommand.FindStringSubmatch(line); m != nil {
		return command{m[1], commandProps(m[3], ",", "%0D", "\r", "%0A", "\n", "%3A", ":", "%2C", ",", "%25", "%"), unescape(m[4], "%0D", "\r", "%0A", "\n", "%25", "%")}, true
	}
	if m := actOldCommand.FindStringSubmatch(line); m != nil {
		return command{name: m[1]}, true
	}
	return command{}, false
}

// unsafeLine says what a log would make of one line beyond text, or "".
func unsafeLine(line string) string {
	for _, r := range line {
		if r < ' ' || r == 0x7f || unicode.In(r, unicode.Cc, unicode.Cf, unicode.Zl, unicode.Zp) {
			return fmt.Sprintf("the invisible character %U", r)
		}
	}
	if c, ok := gitHubCommand(line); ok {
		return "GitHub's command " + c.name
	}
	if c, ok := actCommandOf(line); ok {
		return "act's command " + c.name
	}
	for _, prefix := range []string{"##[", "##vso[", "##teamcity["} {
		if strings.Contains(strings.ToLower(line), prefix) {
			return "the prefix " + prefix
		}
	}
	return ""
}

var dotenvLine = regexp.MustCompile(`^(.*?)=(.*)$`)

// readDotenv reads as GitLab does: each line split at its first "=", both
// parts stripped; names of letters, digits and _; fewer than 5 KiB; 20 lines.
func readDotenv(file string) (map[string]string, error) {
	if len(file) >= 5*1024 {
		return nil, fmt.Errorf("too big: %d bytes", len(file))
	}
	vars := map[string]string{}
	count := 0
	for line := range strings.Lines(file) {
		m := dotenvLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil {
			return nil, fmt.Errorf("invalid format: %q", line)
		}
		const blanks = "\x00\t\n\v\f\r "
		name := strings.Trim(m[1], blanks)
		if !regexp.MustCompile(`^[a-zA-Z0-9_]+$`).MatchString(name) {
			return nil, fmt.Errorf("invalid name: %q", name)
		}
		vars[name] = strings.Trim(m[2], blanks)
		count++
	}
	if count > 20 || count != len(vars) {
		return nil, fmt.Errorf("%d lines for %d variables", count, len(vars))
	}
	return vars, nil
}

// readPowerShell evaluates an expression of single-quoted strings and
// [char]0xNNNN, joined by +. As in PowerShell, five characters are single
// quotes, and any two of them in a row stand for the second.
func readPowerShell(expr string) (string, error) {
	isQuote := func(r rune) bool { return strings.ContainsRune("'‘’‚‛", r) }
	var units []uint16
	rest := []rune(expr)
	for term := 0; ; term++ {
		switch {
		case len(rest) > 0 && isQuote(rest[0]):
			i := 1
			for ; i < len(rest); i++ {
				if isQuote(rest[i]) {
					if i+1 == len(rest) || !isQuote(rest[i+1]) {
						break
					}
					i++
				}
				units = append(units, utf16.Encode([]rune{rest[i]})...)
			}
			if i == len(rest) {
				return "", fmt.Errorf("unterminated string in %q", expr)
			}
			rest = rest[i+1:]
		case term > 0 && strings.HasPrefix(string(rest), "[char]0x") && len(rest) >= 12:
			n, err := strconv.ParseUint(string(rest[8:12]), 16, 16)
			if err != nil {
				return "", err
			}
			units = append(units, uint16(n))
			rest = rest[12:]
		default:
			return "", fmt.Errorf("no term at %q in %q", string(rest), expr)
		}
		if len(rest) == 0 {
			return string(utf16.Decode(units)), nil
		}
		after, ok := strings.CutPrefix(string(rest), " + ")
		if !ok {
			return "", fmt.Errorf("no operator at %q in %q", string(rest), expr)
		}
		rest = []rune(after)
	}
}

// tableCells splits a row of a GFM table: a bar ends a cell unless the
// character before it is a backslash, which then disappears.
func tableCells(row string) []string {
	row = strings.TrimSpace(row)
	row = strings.TrimPrefix(row, "|")
	if strings.HasSuffix(row, "|") && !strings.HasSuffix(row, `\|`) {
		row = row[:len(row)-1]
	}
	var cells []string
	var cell strings.Builder
	for i := 0; i < len(row); i++ {
		switch {
		case row[i] == '\\' && i+1 < len(row) && row[i+1] == '|':
			cell.WriteByte('|')
			i++
		case row[i] == '|':
			cells = append(cells, strings.TrimSpace(cell.String()))
			cell.Reset()
		default:
			cell.WriteByte(row[i])
		}
	}
	return append(cells, strings.TrimSpace(cell.String()))
}

var (
	markdownBlock   = regexp.MustCompile(`^(\s|[-+*]\s|[-+*]$|#|>|[0-9]+[.)](\s|$)|(-\s*){3,}$|=+$|~~~|\x60{3,}[^\x60]*$)`)
	markdownEntity  = regexp.MustCompile(`^&(#[0-9]+|[a-z]+);`)
	markdownTrigger = regexp.MustCompile(`(?i)[*_\[\]<>|~$@#]|://|www\.|\x60`)
)

// markdownPlain returns what a paragraph of Markdown shows, or an error if any
// of it is more than text and code spans.
func markdownPlain(s string) (string, error) {
	if block := markdownBlock.FindString(s); block != "" {
		return "", fmt.Errorf("%q begins a block", block)
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		switch {
		case s[i] == '\\' && i+1 < len(s) && strings.IndexByte("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", s[i+1]) >= 0:
			b.WriteByte(s[i+1])
			i += 2
		case s[i] == '`':
			fence := s[i : i+len(s[i:])-len(strings.TrimLeft(s[i:], "`"))]
			text, after, ok := readCodeSpan(s[i+len(fence):], fence)
			if !ok {
				return "", fmt.Errorf("%q is not closed", fence)
			}
			b.WriteString(text)
			i = len(s) - len(after)
		case s[i] == '&' && markdownEntity.MatchString(s[i:]):
			e := markdownEntity.FindString(s[i:])
			b.WriteString(html.UnescapeString(e))
			i += len(e)
		default:
			if loc := markdownTrigger.FindStringIndex(s[i:]); loc != nil && loc[0] == 0 {
				return "", fmt.Errorf("%q is active", s[i:i+loc[1]])
			}
			b.WriteByte(s[i])
			i++
		}
	}
	return b.String(), nil
}

// readCodeSpan returns the text of a code span whose opening fence precedes s: it
// ends at the next run of backticks of the same length.
func readCodeSpan(s, fence string) (text, after string, ok bool) {
	for i := 0; i < len(s); i++ {
		if s[i] != '`' {
			continue
		}
		run := len(s[i:]) - len(strings.TrimLeft(s[i:], "`"))
		if run == len(fence) {
			text = s[:i]
			if len(text) > 2 && text[0] == ' ' && text[len(text)-1] == ' ' && strings.TrimSpace(text) != "" {
				text = text[1 : len(text)-1]
			}
			return text, s[i+run:], true
		}
		i += run - 1
	}
	return "", "", false
}
