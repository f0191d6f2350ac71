package render

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// oldCommand matches what runners take for a command wherever in a line it
// stands: "##[error]" (GitHub, Azure, act), "##vso[…]", "##teamcity[…]".
var oldCommand = regexp.MustCompile(`##([A-Za-z]*\[)`)

// LogLine returns s as one line that is safe in the log of any CI system and
// on any terminal: it cannot end the line, colour or rewrite it, show letters
// in another order than they have, or be taken for a command.
//
// Blanks of every kind become a space, other invisible characters become
// visible escapes. What would start a command is broken by a space and not, as
// is common, by U+200B: GitHub's runner finds commands by comparing with the
// rules of a language (.NET's default), and U+200B counts for nothing in those.
func LogLine(s string) string {
	s = oldCommand.ReplaceAllString(visible(s), "## $1")
	if text := strings.TrimLeft(s, " "); strings.HasPrefix(text, "::") {
		return s[:len(s)-len(text)] + ": :" + text[2:]
	}
	return s
}

// visible returns s as one line in which every character can be seen; bytes
// that are not UTF-8 become U+FFFD.
func visible(s string) string {
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range strings.ReplaceAll(s, "\r\n", "\n") {
		switch {
		case unicode.IsSpace(r):
			b.WriteByte(' ')
		case hidden(r):
			b.WriteString(escapeRune(r))
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// hidden reports whether r cannot be seen, or changes how its neighbours are
// seen: control and format characters, bidirectional marks among them.
func hidden(r rune) bool {
	return !unicode.IsPrint(r) || unicode.In(r, unicode.Variation_Selector, unicode.Other_Default_Ignorable_Code_Point)
}

func escapeRune(r rune) string {
	switch {
	case r < 0x100:
		return fmt.Sprintf(`\x%02x`, r)
	case r < 0x10000:
		return fmt.Sprintf(`\u%04x`, r)
	}
	return fmt.Sprintf(`\U%08x`, r)
}

// cut returns s shortened to at most max characters, the last of which is "…"
// if something is missing.
func cut(s string, max int) string {
	if len(s) <= max || utf8.RuneCountInString(s) <= max {
		return s
	}
	return string([]rune(s)[:max-1]) + "…"
}

// cutUnits is [cut] for limits counted in UTF-16, as .NET and Java count.
func cutUnits(s string, max int) string {
	if units := utf16Units(s); len(units) > max {
		return string(utf16.Decode(units[:max-1])) + "…"
	}
	return s
}

func utf16Units(s string) []uint16 { return utf16.Encode([]rune(s)) }
