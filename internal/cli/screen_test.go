package cli

import (
	"strconv"
	"strings"
)

// A screen is what a terminal shows of the bytes that it was sent, as far as
// this program uses one: it wraps lines and obeys a few commands.
type screen struct {
	columns  int
	lines    [][]rune
	row, col int
	unknown  string // the first command that it does not know
}

func newScreen(columns int) *screen { return &screen{columns: columns, lines: make([][]rune, 1)} }

func (s *screen) write(text string) {
	for text != "" {
		if rest, ok := strings.CutPrefix(text, "\x1b["); ok {
			end := strings.IndexFunc(rest, func(r rune) bool { return r >= '@' && r <= '~' })
			if end < 0 {
				end = len(rest) - 1
			}
			s.command(rest[:end], rest[end])
			text = rest[end+1:]
			continue
		}
		for i, r := range text { // the first one
			s.put(r)
			text = text[i+len(string(r)):]
			break
		}
	}
}

func (s *screen) command(arg string, name byte) {
	switch name {
	case 'A': // up
		n, _ := strconv.Atoi(arg)
		s.row = max(s.row-max(n, 1), 0)
	case 'K': // erase the rest of the line
		s.cut()
	case 'J': // and everything below
		s.cut()
		s.lines = s.lines[:s.row+1]
	case 'm': // colours
	default:
		s.unknown = "\\e[" + arg + string(name)
	}
}

func (s *screen) cut() {
	if line := s.lines[s.row]; len(line) > s.col {
		s.lines[s.row] = line[:s.col]
	}
}

func (s *screen) put(r rune) {
	switch {
	case r == '\r':
		s.col = 0
		return
	case r == '\n':
		s.down()
		return
	case r < ' ':
		s.unknown = strconv.QuoteRune(r)
		return
	case s.col == s.columns:
		s.col = 0
		s.down()
	}
	line := s.lines[s.row]
	for len(line) <= s.col {
		line = append(line, ' ')
	}
	line[s.col] = r
	s.lines[s.row] = line
	s.col++
}

func (s *screen) down() {
	if s.row++; s.row == len(s.lines) {
		s.lines = append(s.lines, nil)
	}
}

// text returns what is to be seen, without blank lines at the end.
func (s *screen) text() string {
	var b strings.Builder
	for _, line := range s.lines {
		b.WriteString(strings.TrimRight(string(line), " ") + "\n")
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}
