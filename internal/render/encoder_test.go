package render

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/org/goproxy-setup/internal/report"
)

// clean returns the seeds that may be exported as values.
func clean() []string {
	return slices.DeleteFunc(slices.Clone(seeds()), func(s string) bool { return CheckValue("X", s) != nil })
}

func shells(t testing.TB) []string {
	t.Helper()
	var found []string
	for _, name := range []string{"sh", "dash", "bash"} {
		if path, err := exec.LookPath(name); err == nil {
			found = append(found, path)
		}
	}
	if len(found) == 0 {
		t.Skip("no POSIX shell here")
	}
	return found
}

// runShell runs script in an empty directory, which must stay empty, with
// input as the file "in" beside it, and returns what it prints.
func runShell(t testing.TB, shell, script, input string) (string, error) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/in", []byte(input), 0o666); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(shell, "-c", script)
	cmd.Dir, cmd.Env = dir, []string{"PATH=" + os.Getenv("PATH")}
	out, err := cmd.Output()
	if entries, _ := os.ReadDir(dir); len(entries) != 1 {
		t.Errorf("%s: the text was executed: %v", shell, entries)
	}
	return string(out), err
}

// TestShellReadsWhatWasMeant gives all seeds to real shells, NUL excepted,
// which no shell can hold.
func TestShellReadsWhatWasMeant(t *testing.T) {
	var words, want strings.Builder
	for _, s := range seeds() {
		if s = strings.ReplaceAll(s, "\x00", ""); s != "" {
			words.WriteString(" " + shellQuote(s))
			want.WriteString(s + "\x00")
		}
	}
	for _, shell := range shells(t) {
		got, err := runShell(t, shell, `eval "$(cat in)"`, `printf '%s\0'`+words.String())
		if err != nil || got != want.String() {
			t.Errorf("%s reads %q, %v; want %q", shell, got, err, want.String())
		}
	}
}

// environment evaluates the shell form of settings and returns the variables
// that a program started afterwards would see, less those it would see anyway.
func environment(t testing.TB, shell string, settings []report.Setting) map[string]string {
	t.Helper()
	b, err := Render(Shell, &report.Report{Outcome: report.OK, Settings: settings}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	out, err := runShell(t, shell, `set -eu; eval "$(cat in)"; env -0`, string(b))
	if err != nil {
		t.Fatalf("%s: %v", shell, err)
	}
	before, _ := runShell(t, shell, `env -0`, "")
	vars := map[string]string{}
	for entry := range strings.SplitSeq(strings.TrimSuffix(out, "\x00"), "\x00") {
		name, value, _ := strings.Cut(entry, "=")
		if name != "_" && name != "PWD" && !slices.Contains(strings.Split(before, "\x00"), entry) {
			vars[name] = value
		}
	}
	return vars
}

func TestShellExportsExactly(t *testing.T) {
	var settings []report.Setting
	want := map[string]string{}
	for i, s := range clean() {
		name := fmt.Sprintf("V%d", i)
		settings = append(settings, report.Setting{Name: name, Value: s})
		want[name] = s
	}
	for _, shell := range shells(t) {
		if got := environment(t, shell, settings); !maps.Equal(got, want) {
			t.Errorf("%s exports %q; want %q", shell, got, want)
		}
	}
}

func FuzzShell(f *testing.F) {
	for _, s := range attacks[:8] { // TestShellExportsExactly has them all
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if CheckValue("V", value) != nil {
			return
		}
		want := map[string]string{"V": value}
		if got := environment(t, shells(t)[0], []report.Setting{{Name: "V", Value: value}}); !maps.Equal(got, want) {
			t.Errorf("exports %q; want %q", got, want)
		}
	})
}

func TestShellFailureStopsTheScript(t *testing.T) {
	for _, shell := range shells(t) {
		out, err := runShell(t, shell, `set -e; eval "$(cat in)"; echo went on`, string(ShellFailure(78)))
		exit, ok := err.(*exec.ExitError)
		if !ok || exit.ExitCode() != 78 || out != "" {
			t.Errorf("%s: got %q, %v; want status 78 and no output", shell, out, err)
		}
	}
}

func FuzzPowerShellQuote(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		q := powerShellQuote(s)
		if i := strings.IndexFunc(q, func(r rune) bool { return r < ' ' || r > '~' }); i >= 0 {
			t.Errorf("powerShellQuote(%q) = %q, which is not printable ASCII", s, q)
		}
		want := strings.ToValidUTF8(s, "\uFFFD")
		if !utf8.ValidString(s) {
			want = string([]rune(s)) // one U+FFFD for each byte
		}
		if got, err := readPowerShell(q); err != nil || got != want {
			t.Errorf("powerShellQuote(%q) = %q, which reads as %q, %v", s, q, got, err)
		}
	})
}

func FuzzDotenv(f *testing.F) {
	for _, s := range seeds() {
		f.Add("GOPRIVATE", s)
		f.Add(s, "value")
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		r := &report.Report{
			Outcome: report.OK, Settings: []report.Setting{{Name: "GOPROXY", Value: "direct"}, {Name: name, Value: value}},
			Outputs: []report.Setting{{Name: "selected", Value: "direct"}, {Name: "reason", Value: value}, {Name: "goproxy", Value: "direct"}},
		}
		b, err := Render(Dotenv, r, Options{})
		if err != nil {
			return // refusing is fine; changing the meaning is not
		}
		got, err := readDotenv(string(b))
		want := map[string]string{"GOPROXY": "direct", name: value, "GOPROXY_RESULT_SELECTED": "direct"}
		if reason := strings.TrimSpace(value); reason != "" {
			want["GOPROXY_RESULT_REASON"] = cut(reason, 300)
		}
		if hasHidden(value) {
			delete(want, "GOPROXY_RESULT_REASON") // made visible
			delete(got, "GOPROXY_RESULT_REASON")
		}
		if err != nil || name != "GOPROXY" && !maps.Equal(got, want) {
			t.Errorf("%q reads as %q, %v; want %q", b, got, err, want)
		}
	})
}

func hasHidden(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r != ' ' && (hidden(r) || unicode.IsSpace(r)) })
}

func FuzzLogLine(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		line := LogLine(s)
		if fault := unsafeLine(line); fault != "" {
			t.Errorf("LogLine(%q) = %q, which holds %s", s, line, fault)
		}
		// U+200B counts for nothing when .NET compares: see LogLine.
		if fault := unsafeLine(strings.ReplaceAll(line, "\u200b", "")); fault != "" {
			t.Errorf("LogLine(%q) = %q, which holds %s without U+200B", s, line, fault)
		}
		if again := LogLine(line); again != line {
			t.Errorf("LogLine(%q) = %q, and LogLine of that is %q", s, line, again)
		}
		if !hasHidden(s) && utf8.ValidString(s) && !strings.Contains(s, "##") && !strings.HasPrefix(strings.TrimSpace(s), "::") && line != s {
			t.Errorf("LogLine(%q) = %q: harmless text was changed", s, line)
		}
	})
}

func FuzzWorkflowCommand(f *testing.F) {
	all := seeds()
	for i, s := range all {
		f.Add(s, all[len(all)-1-i])
	}
	f.Fuzz(func(t *testing.T, title, message string) {
		line := WorkflowCommand("warning", []Property{{"file", "go.mod"}, {"line", ""}, {"title", title}}, message)
		wantProps := map[string]string{"file": "go.mod"}
		if v := strings.TrimSpace(visible(title)); v != "" {
			wantProps["title"] = v
		}
		var text []string
		for s := range strings.SplitSeq(strings.TrimSpace(strings.ReplaceAll(message, "\r\n", "\n")), "\n") {
			text = append(text, oldCommand.ReplaceAllString(visible(s), "## $1"))
		}
		want := cutUnits(strings.Join(text, "\n"), 4096)
		if strings.ContainsAny(line, "\r\n") {
			t.Fatalf("%q is more than one line", line)
		}
		for name, read := range map[string]func(string) (command, bool){"GitHub": gitHubCommand, "act": actCommandOf} {
			got, ok := read(line)
			data := strings.ReplaceAll(got.data, "\u200b", "")
			if len(want) > 4000 {
				want, data = want[:3000], data[:min(3000, len(data))]
			}
			if !ok || got.name != "warning" || !maps.Equal(got.props, wantProps) || data != want {
				t.Errorf("%s reads %q as %q; want %q and %q", name, line, got, wantProps, want)
			}
		}
	})
}

func TestWorkflowCommandIsCutWhereTheRunnerCuts(t *testing.T) {
	line := WorkflowCommand("error", nil, strings.Repeat("🙂%", 3000))
	got, _ := gitHubCommand(line)
	if n := len(utf16Units(got.data)); n != 4096 || !strings.HasSuffix(got.data, "…") {
		t.Errorf("the message has %d UTF-16 units and ends in %q; want 4096 and …", n, got.data[len(got.data)-9:])
	}
}

func FuzzMarkdown(f *testing.F) {
	for _, s := range seeds() {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want := LogLine(s)
		for name, md := range map[string]string{"markdownText": markdownText(s), "markdownCode": markdownCode(s)} {
			shown, err := markdownPlain(md)
			if err != nil || strings.TrimSpace(shown) != strings.TrimSpace(want) {
				t.Errorf("%s(%q) = %q, which shows %q, %v; want %q", name, s, md, shown, err, want)
			}
			row := "| a | " + markdownCell(md) + " | b |"
			cells := tableCells(row)
			if len(cells) != 3 || cells[1] != strings.TrimSpace(md) {
				t.Errorf("%s(%q): the row %q has the cells %q", name, s, row, cells)
			}
			if fault := unsafeLine("- " + md); fault != "" {
				t.Errorf("%s(%q) = %q, which holds %s", name, s, md, fault)
			}
		}
	})
}

func TestCheckValueNamesTheFault(t *testing.T) {
	for _, tt := range []struct{ value, fault string }{
		{"https://a.example.com|direct", ""},
		{"naïve 中文 🙂 \uFFFD", ""},
		{"a\nGOSUMDB=off", "line break"},
		{"a\rb", "line break"},
		{"a\u2028b", "line break"},
		{"a\x00", "NUL"},
		{"\x1b[0m", "U+001B"},
		{"tab\t", "U+0009"},
		{"\u009b0m", "U+009B"},
		{"a\xff", "not UTF-8"},
		{"\xed\xa0\x80", "not UTF-8"},
	} {
		err := CheckValue("GOPROXY", tt.value)
		if (err == nil) != (tt.fault == "") || err != nil && (!strings.Contains(err.Error(), tt.fault) || !strings.HasPrefix(err.Error(), "GOPROXY: ")) {
			t.Errorf("CheckValue(%q) = %v; want %q", tt.value, err, tt.fault)
		}
		if _, rerr := Render(Shell, &report.Report{Outcome: report.OK, Settings: []report.Setting{{Name: "GOPROXY", Value: tt.value}}}, Options{}); (rerr == nil) != (err == nil) {
			t.Errorf("Render(shell) of %q: %v; CheckValue: %v", tt.value, rerr, err)
		}
	}
}

func TestGitLabSections(t *testing.T) {
	now := time.Unix(1700000000, 0)
	got := GitLabSectionStart("go proxy\r", "Proxies\x1b[0Ksection_end", true, now)
	want := "\x1b[0Ksection_start:1700000000:go_proxy_[collapsed=true]\r\x1b[0KProxies\\x1b[0Ksection_end"
	if got != want {
		t.Errorf("start = %q; want %q", got, want)
	}
	if got, want := GitLabSectionEnd("go proxy\r", now), "\x1b[0Ksection_end:1700000000:go_proxy_\r\x1b[0K"; got != want {
		t.Errorf("end = %q; want %q", got, want)
	}
}
