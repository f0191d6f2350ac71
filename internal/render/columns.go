package render

import (
	"strings"
	"unicode"
)

// wide lists the characters that take two columns on a terminal: the blocks of
// East Asian writing and of emoji, rounded to whole blocks.
var wide = &unicode.RangeTable{
	R16: []unicode.Range16{
		{Lo: 0x1100, Hi: 0x115f, Stride: 1}, {Lo: 0x2e80, Hi: 0x303e, Stride: 1}, {Lo: 0x3041, Hi: 0x33ff, Stride: 1},
		{Lo: 0x3400, Hi: 0x4dbf, Stride: 1}, {Lo: 0x4e00, Hi: 0x9fff, Stride: 1}, {Lo: 0xa000, Hi: 0xa4cf, Stride: 1},
		{Lo: 0xac00, Hi: 0xd7a3, Stride: 1}, {Lo: 0xf900, Hi: 0xfaff, Stride: 1}, {Lo: 0xfe30, Hi: 0xfe6f, Stride: 1},
		{Lo: 0xff00, Hi: 0xff60, Stride: 1}, {Lo: 0xffe0, Hi: 0xffe6, Stride: 1},
	},
	R32: []unicode.Range32{
		{Lo: 0x1f300, Hi: 0x1f64f, Stride: 1}, {Lo: 0x1f680, Hi: 0x1f6ff, Stride: 1}, {Lo: 0x1f900, Hi: 0x1f9ff, Stride: 1},
		{Lo: 0x20000, Hi: 0x3fffd, Stride: 1},
	},
}

func runeColumns(r rune) int {
	switch {
	case unicode.In(r, unicode.Mn, unicode.Me):
		return 0
	case unicode.Is(wide, r):
		return 2
	}
	return 1
}

// columns returns how many columns s takes on a terminal.
func columns(s string) int {
	n := 0
	for _, r := range s {
		n += runeColumns(r)
	}
	return n
}

// pad returns s with blanks up to n columns, before it if right is set.
func pad(s string, n int, right bool) string {
	blanks := strings.Repeat(" ", max(n-columns(s), 0))
	if right {
		return blanks + s
	}
	return s + blanks
}

// fit returns s shortened to n columns, "…" in place of what is missing.
func fit(s string, n int) string {
	if columns(s) <= n {
		return s
	}
	head, _ := split(s, n-1)
	return head + "…"
}

// middle returns s shortened to n columns, "…" in its middle: addresses differ
// at their ends.
func middle(s string, n int) string {
	if columns(s) <= n {
		return s
	}
	head, _ := split(s, n/3)
	tail := []rune(s)
	for columns(string(tail)) > n-1-columns(head) {
		tail = tail[1:]
	}
	return head + "…" + string(tail)
}

// split cuts s after as many characters as fit into n columns, at least one.
func split(s string, n int) (head, tail string) {
	used := 0
	for i, r := range s {
		if used += runeColumns(r); used > n && i > 0 {
			return s[:i], s[i:]
		}
	}
	return s, ""
}

// wrap breaks s into lines of at most n columns, between words where it can.
func wrap(s string, n int) []string {
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(s) {
		if line != "" && columns(line)+1+columns(word) <= n {
			line += " " + word
			continue
		}
		if line != "" {
			lines = append(lines, line)
		}
		for columns(word) > n {
			var head string
			head, word = split(word, n)
			lines = append(lines, head)
		}
		line = word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}
