package render

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// CheckValue refuses a value that some consumer of exported variables would
// read as more, or as less, than one value: line breaks, NUL and other control
// characters, and what is not UTF-8. The error names the variable and the
// fault, and quotes nothing that could do harm in a log.
func CheckValue(name, value string) error {
	for i, r := range value {
		var fault string
		switch {
		case r == '\n' || r == '\r' || r == '\u2028' || r == '\u2029' || r == '\u0085':
			fault = "a line break"
		case r == 0:
			fault = "a NUL byte"
		case unicode.IsControl(r):
			fault = fmt.Sprintf("the control character %U", r)
		case r == utf8.RuneError && !strings.HasPrefix(value[i:], "\uFFFD"):
			fault = "a byte that is not UTF-8"
		default:
			continue
		}
		return fmt.Errorf("%s: the value has %s at byte %d", LogLine(name), fault, i)
	}
	return nil
}

// checkVariable refuses what is not a variable's name in every shell, and
// values that [CheckValue] refuses.
func checkVariable(name, value string) error {
	for i, r := range name {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || r == '_'
		if !letter && (i == 0 || r < '0' || r > '9') {
			return fmt.Errorf("%q is not a variable's name (letters, digits and _)", name)
		}
	}
	if name == "" {
		return fmt.Errorf("a variable has no name")
	}
	return CheckValue(name, value)
}
