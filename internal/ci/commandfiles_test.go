package ci

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/org/goproxy-setup/internal/report"
)

// readCommandFile reads a file as the runner does, written from its grammar and
// not from ours: the first "=" or "<<" of a line decides. NAME=VALUE ends with
// the line; NAME<<DELIMITER goes on to a line that is the delimiter and ends.
func readCommandFile(text string) ([]report.Setting, error) {
	var list []report.Setting
	for text != "" {
		line, rest, _ := strings.Cut(text, "\n")
		line = strings.TrimSuffix(line, "\r")
		text = rest
		if line == "" {
			continue
		}
		equals, heredoc := strings.Index(line, "="), strings.Index(line, "<<")
		switch {
		case equals >= 0 && (heredoc < 0 || equals < heredoc):
			list = append(list, report.Setting{Name: line[:equals], Value: line[equals+1:]})
		case heredoc >= 0:
			name, delim := line[:heredoc], line[heredoc+2:]
			if name == "" || delim == "" {
				return nil, fmt.Errorf("invalid line %q", line)
			}
			var lines []string
			for {
				line, rest, more := strings.Cut(text, "\n")
				if !more {
					return nil, fmt.Errorf("delimiter %q not found, or no line end after it", delim)
				}
				text = rest
				if line = strings.TrimSuffix(line, "\r"); line == delim {
					break
				}
				lines = append(lines, line)
			}
			list = append(list, report.Setting{Name: name, Value: strings.Join(lines, "\n")})
		default:
			return nil, fmt.Errorf("invalid line %q", line)
		}
	}
	return list, nil
}

// FuzzCommandFile checks that whatever is accepted reaches later steps as it
// is, and that nothing comes along with it.
func FuzzCommandFile(f *testing.F) {
	for _, value := range []string{
		"https://a.example.com,direct", "a|b", "", " ", "=", "<<", "<<EOF", "x\nY=1", "x\r\nY=1", "x\rY=1", delimiter, "x" + delimiter,
		delimiter + "\nLD_PRELOAD=/tmp/x", "\u2028Y=1", "\x00", "\xff\xfe", "\ufeffx", "$(id)", "%0AY=1", "::set-env name=Y::1", "x\u0085Y=1", "\vY=1",
	} {
		f.Add("GOPROXY", value, "reason", value)
	}
	f.Add("A\nB", "x", "a b", "y")
	f.Add("A<<", "x", "=", "y")
	f.Fuzz(func(t *testing.T, name, value, outName, outValue string) {
		r := newRunner(t, GitHub)
		rep := &report.Report{
			Outcome: report.OK, Settings: []report.Setting{{Name: name, Value: value}}, Outputs: []report.Setting{{Name: outName, Value: outValue}},
		}
		err := r.Publish(t.Context(), rep, PublishOptions{TableShown: true})
		env, output := r.read(t, "env"), r.read(t, "output")
		if err != nil {
			if env != "" || output != "" {
				t.Errorf("refused (%v), and yet wrote %q and %q", err, env, output)
			}
			return // rejecting is fine; accepting and changing meaning is not
		}
		for text, want := range map[string][]report.Setting{env: rep.Settings, output: rep.Outputs} {
			got, err := readCommandFile(text)
			if err != nil || !slices.Equal(got, want) || !utf8.ValidString(text) {
				t.Errorf("%q is read as %q, %v; want %q", text, got, err, want)
			}
		}
	})
}
