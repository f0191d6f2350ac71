package render

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/org/goproxy-setup/internal/report"
)

// reportJSON writes the report itself.
func reportJSON(r *report.Report, _ Options) ([]byte, error) {
	versioned := *r
	versioned.Schema = report.Schema
	return EncodeJSON(versioned)
}

// EncodeJSON encodes v for files that may also end up in a log: what would
// be a command there ("##["), and what cannot be seen, is written as an escape
// of the same meaning.
func EncodeJSON(v any) ([]byte, error) {
	raw, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return nil, err
	}
	var b strings.Builder
	var last rune
	for _, r := range string(raw) {
		switch {
		case r == '\n' || r != '#' && !hidden(r):
			b.WriteRune(r)
		case r == '#' && last != '#':
			b.WriteRune(r)
		default: // always inside a string: JSON itself is made of other characters
			for _, unit := range utf16Units(string(r)) {
				fmt.Fprintf(&b, `\u%04x`, unit)
			}
		}
		last = r
	}
	b.WriteByte('\n')
	return []byte(b.String()), nil
}
