package render

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"fmt"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/org/goproxy-setup/internal/report"
)

func render(t *testing.T, kind Kind, r *report.Report, opt Options) string {
	t.Helper()
	b, err := Render(kind, r, opt)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestKinds(t *testing.T) {
	for _, k := range Kinds() {
		if got, err := ParseKind(string(k)); got != k || err != nil {
			t.Errorf("ParseKind(%q) = %q, %v", k, got, err)
		}
	}
	_, err := ParseKind("yaml\n")
	const want = `unknown format "yaml\n" (valid: table, shell, powershell, dotenv, json, markdown, codequality, sarif, junit, warnings-ng)`
	if err == nil || err.Error() != want {
		t.Errorf("ParseKind: %v; want %s", err, want)
	}
	if _, err := Render("yaml\n", &report.Report{}, Options{}); err == nil || err.Error() != want {
		t.Errorf("Render: %v; want %s", err, want)
	}
}

// TestNothingForges looks at every line that may be shown in a log.
func TestNothingForges(t *testing.T) {
	for _, kind := range []Kind{Table, JSON, Markdown, CodeQuality, SARIF, JUnit, WarningsNG} {
		for n, line := range strings.Split(render(t, kind, hostileReport(), Options{Width: 60}), "\n") {
			if fault := unsafeLine(line); fault != "" {
				t.Errorf("%s: line %d holds %s: %q", kind, n+1, fault, line)
			}
		}
	}
}

func TestScriptsOfARunWithoutExports(t *testing.T) {
	settings := []report.Setting{{Name: "GOPROXY", Value: "direct"}}
	for _, tt := range []struct {
		name           string
		r              report.Report
		code           int
		shell, psStart string
	}{
		{"exhausted", report.Report{Outcome: report.Exhausted}, 1, "(exit 1)\n", "$global:LASTEXITCODE = 1; throw '"},
		{"invalid", report.Report{Outcome: report.Invalid}, 2, "(exit 2)\n", "$global:LASTEXITCODE = 2; throw '"},
		{"fallback refused", report.Report{Outcome: report.Fallback}, 1, "(exit 1)\n", "$global:LASTEXITCODE = 1; throw '"},
		{"settings in spite of failure", report.Report{Outcome: report.Exhausted, Settings: settings}, 1, "(exit 1)\n", "$global:LASTEXITCODE = 1; throw '"},
		{"failure without a code", report.Report{Outcome: report.Exhausted}, 0, "(exit 1)\n", "$global:LASTEXITCODE = 1; throw '"},
		{"kept", report.Report{Outcome: report.Kept}, 0, "(exit 0)\n", "$global:LASTEXITCODE = 0\n"},
		{"fallback with its own code", report.Report{Outcome: report.Fallback, Settings: settings}, 78, "export GOPROXY='direct'\n", "$env:GOPROXY = 'direct'\n"},
	} {
		opt := Options{ExitCode: tt.code}
		if got := render(t, Shell, &tt.r, opt); got != tt.shell {
			t.Errorf("%s: shell is %q; want %q", tt.name, got, tt.shell)
		}
		if got := render(t, PowerShell, &tt.r, opt); !strings.HasPrefix(got, tt.psStart) || strings.Count(got, "\n") != 1 {
			t.Errorf("%s: powershell is %q; want %q…", tt.name, got, tt.psStart)
		}
	}
}

func TestScriptsRefuseNamesThatAreCode(t *testing.T) {
	for _, name := range []string{"", "1A", "A-B", "A B", "A=B", "A;touch x", "$A", "É", "A\n"} {
		r := &report.Report{Outcome: report.OK, Settings: []report.Setting{{Name: name, Value: "x"}}}
		for _, kind := range []Kind{Shell, PowerShell, Dotenv} {
			if b, err := Render(kind, r, Options{}); err == nil {
				t.Errorf("%s takes the name %q: %q", kind, name, b)
			}
		}
	}
}

func TestDotenvNamesTheBrokenRule(t *testing.T) {
	many := make([]report.Setting, 21)
	for i := range many {
		many[i] = report.Setting{Name: fmt.Sprintf("V%d", i), Value: "x"}
	}
	one := func(value string) []report.Setting { return []report.Setting{{Name: "NO_PROXY", Value: value}} }
	for _, tt := range []struct {
		name     string
		settings []report.Setting
		want     string
	}{
		{"largest", one(strings.Repeat("x", 5119-len("NO_PROXY=\n"))), ""},
		{"too large", one(strings.Repeat("x", 5120-len("NO_PROXY=\n"))), "rendering dotenv: 5120 bytes, and GitLab takes 5119"},
		{"most", many[:20], ""},
		{"too many", many, "rendering dotenv: 21 variables, and GitLab takes 20"},
		{"blank at the end", one("x "), "rendering dotenv: NO_PROXY: the value begins or ends with a blank, which GitLab strips"},
		{"line break", one("x\ny"), "rendering dotenv: NO_PROXY: the value has a line break at byte 1"},
	} {
		b, err := Render(Dotenv, &report.Report{Outcome: report.OK, Settings: tt.settings}, Options{})
		if got := fmt.Sprint(err); got != tt.want && (err != nil || tt.want != "") {
			t.Errorf("%s: %v; want %q", tt.name, got, tt.want)
		}
		if err == nil {
			if vars, err := readDotenv(string(b)); err != nil || len(vars) != len(tt.settings) {
				t.Errorf("%s: GitLab reads %d variables, %v", tt.name, len(vars), err)
			}
		}
	}
}

func TestJSONSurvives(t *testing.T) {
	for name, r := range reports(t) {
		var got report.Report
		if err := json.Unmarshal([]byte(render(t, JSON, r, Options{})), &got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		plain, _ := json.Marshal(r) // as encoding/json alone would write it
		var want report.Report
		if err := json.Unmarshal(plain, &want); err != nil {
			t.Fatal(err)
		}
		got.Replay, want.Replay = compact(t, got.Replay), compact(t, want.Replay)
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: reads as\n%+v\nwant\n%+v", name, got, want)
		}
	}
}

func compact(t *testing.T, raw json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if err := json.Compact(&b, raw); err != nil && len(raw) > 0 {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestFindingsFitTheirSchemas(t *testing.T) {
	for kind, file := range map[Kind]string{CodeQuality: "codequality", SARIF: "sarif", WarningsNG: "warnings-ng"} {
		schema, err := jsonschema.NewCompiler().Compile("testdata/schema/" + file + ".json")
		if err != nil {
			t.Fatal(err)
		}
		all := reports(t)
		all["empty"] = &report.Report{}
		for name, r := range all {
			text := render(t, kind, r, Options{})
			v, err := jsonschema.UnmarshalJSON(strings.NewReader(text))
			if err != nil {
				t.Fatalf("%s of %s: %v", kind, name, err)
			}
			if err := schema.Validate(v); err != nil {
				t.Errorf("%s of %s: %v", kind, name, err)
			}
		}
	}
}

func TestFingerprintsSurviveNewTimesAndLines(t *testing.T) {
	prints := func(change func(*report.Finding)) []string {
		r := &report.Report{}
		for _, title := range []string{"down: a", "down: b", "down: b"} {
			f := report.Finding{ID: "proxy-down", Title: title, Message: "after 2 s", Place: report.Place{File: "./p.yaml", Line: 3}}
			change(&f)
			r.Findings = append(r.Findings, f)
		}
		var list []string
		for _, m := range marks(r) {
			list = append(list, m.fingerprint)
		}
		return list
	}
	first := prints(func(*report.Finding) {})
	second := prints(func(f *report.Finding) { f.Message, f.Place.Line, f.Place.File = "after 3 s", 9, "p.yaml" })
	if !reflect.DeepEqual(first, second) {
		t.Errorf("fingerprints changed from %q to %q", first, second)
	}
	if first[0] == first[1] || first[1] == first[2] {
		t.Errorf("fingerprints repeat: %q", first)
	}
}

func TestPlacesOutsideTheRepository(t *testing.T) {
	for _, file := range []string{"", "/etc/policy.yaml", "../policy.yaml", `C:\policy.yaml`, "a/../../policy.yaml"} {
		m := marks(&report.Report{Findings: []report.Finding{{Title: "t", Message: "m", Place: report.Place{File: file, Line: 3}}}})[0]
		if m.file != "go.mod" || m.line != 1 || m.column != 0 || file != "" && !strings.Contains(m.text, file+":3") {
			t.Errorf("%q is shown at %s:%d:%d with %q; want go.mod:1 and the place in the text", file, m.file, m.line, m.column, m.text)
		}
	}
}

// A junitRead is what a reader of JUnit files takes from one of ours.
type junitRead struct {
	Suites []struct {
		Name     string `xml:"name,attr"`
		Tests    int    `xml:"tests,attr"`
		Failures int    `xml:"failures,attr"`
		Skipped  int    `xml:"skipped,attr"`
		Cases    []struct {
			Name    string `xml:"name,attr"`
			Failure *struct {
				Message string `xml:"message,attr"`
			} `xml:"failure"`
			Skipped *struct{} `xml:"skipped"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

func TestJUnitCounts(t *testing.T) {
	for name, r := range reports(t) {
		var got junitRead
		if err := xml.Unmarshal([]byte(render(t, JUnit, r, Options{})), &got); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if want := 1 + min(1, len(r.Checks)); len(got.Suites) != want {
			t.Fatalf("%s: %d suites; want %d", name, len(got.Suites), want)
		}
		s := got.Suites[0]
		if s.Name != "proxy reachable" || s.Tests != len(r.Proxies) || len(s.Cases) != len(r.Proxies) {
			t.Errorf("%s: suite %q has %d tests, %d cases; want %d", name, s.Name, s.Tests, len(s.Cases), len(r.Proxies))
		}
		for i, c := range s.Cases {
			p := r.Proxies[i]
			skipped := p.State == report.Unknown || p.State == report.Unasked
			if c.Name != visible(p.Name) || (c.Failure != nil) != (p.State == report.Down) || (c.Skipped != nil) != skipped {
				t.Errorf("%s: case %q, failed %v, skipped %v; the proxy is %s", name, c.Name, c.Failure, c.Skipped, p.State)
			}
			if c.Failure != nil && c.Failure.Message != visible(p.Cause) {
				t.Errorf("%s: message %q; want %q", name, c.Failure.Message, visible(p.Cause))
			}
		}
		for _, s := range got.Suites[1:] {
			for i, c := range s.Cases {
				check := r.Checks[i]
				if c.Name != visible(check.Name) || (c.Skipped != nil) != check.Skipped || (c.Failure != nil) != (!check.OK && !check.Skipped) {
					t.Errorf("%s: case %q, failed %v, skipped %v; the check is %+v", name, c.Name, c.Failure, c.Skipped, check)
				}
			}
		}
		for _, s := range got.Suites {
			failures, skipped := 0, 0
			for _, c := range s.Cases {
				if c.Failure != nil {
					failures++
				}
				if c.Skipped != nil {
					skipped++
				}
			}
			if s.Failures != failures || s.Skipped != skipped || s.Tests != len(s.Cases) {
				t.Errorf("%s: suite %q says %d tests, %d failures, %d skipped; it has %d, %d, %d", name, s.Name, s.Tests, s.Failures, s.Skipped, len(s.Cases), failures, skipped)
			}
		}
	}
}

var rawHTML = regexp.MustCompile(`</?[a-zA-Z!?][^>]*>`)

// TestMarkdownTablesKeepTheirShape counts rows and cells, and takes all but
// our own HTML for forged.
func TestMarkdownTablesKeepTheirShape(t *testing.T) {
	for name, r := range reports(t) {
		rows, cells := 0, 0
		for line := range strings.Lines(render(t, Markdown, r, Options{})) {
			outside := line
			for i := strings.IndexByte(outside, '`'); i >= 0; i = strings.IndexByte(outside, '`') {
				if strings.HasSuffix(outside[:i], `\`) { // an escaped backtick opens nothing
					outside = outside[:i] + outside[i+1:]
					continue
				}
				fence := outside[i : len(outside)-len(strings.TrimLeft(outside[i:], "`"))]
				_, after, _ := readCodeSpan(outside[i+len(fence):], fence)
				outside = outside[:i] + after
			}
			for _, tag := range rawHTML.FindAllString(outside, -1) {
				if !strings.Contains("<details></details><summary></summary><sub></sub>", tag) {
					t.Errorf("%s: HTML from data: %s in %q", name, tag, line)
				}
			}
			if !strings.HasPrefix(line, "|") {
				cells = 0
				continue
			}
			got := len(tableCells(line))
			if cells == 0 {
				cells, rows = got, rows-2
			}
			if rows++; got != cells {
				t.Errorf("%s: %d cells instead of %d in %q", name, got, cells, line)
			}
		}
		want := len(r.Proxies) + len(r.InForce)
		if exports(r) {
			want += len(r.Settings)
		}
		for _, p := range r.Proxies {
			want += len(p.Checks)
		}
		if f := r.Preflight; f != nil {
			want += len(f.Proxies) + len(f.Notable)
		}
		for _, l := range r.Tables {
			want += len(l.Rows)
		}
		if rows != want {
			t.Errorf("%s: the tables have %d rows; want %d", name, rows, want)
		}
	}
}

// TestMarkdownStaysUnderGitHubsLimit shows a report that is far too long, cut
// section by section so that each of them is there.
func TestMarkdownStaysUnderGitHubsLimit(t *testing.T) {
	r := reports(t)["fallback"]
	long := strings.Repeat("<|`_長", 1000)
	for i := range 500 {
		p := r.Proxies[0]
		p.Cause, p.Next = long, fmt.Sprint(i, long)
		r.Proxies = append(r.Proxies, p)
		r.Findings = append(r.Findings, report.Finding{Severity: report.Error, Title: long, Message: long})
		r.Reasons = append(r.Reasons, long)
	}
	r.Diagnosis = strings.Repeat("|", 1<<20)
	r.Preflight = &report.Preflight{File: "go.sum"}
	for range 2000 {
		r.Preflight.Notable = append(r.Preflight.Notable, report.PreflightModule{Path: long, Cause: long})
	}
	got := render(t, Markdown, r, Options{})
	if len(got) >= 1<<20 {
		t.Errorf("the summary has %d bytes", len(got))
	}
	for _, want := range []string{"more proxies, left out", "more findings, left out", "more modules, left out", "`GOSUMDB`", "more reasons, left out", "more checks, left out", "**Diagnosis.**", "goproxy-setup v1.4.0"} {
		if !strings.Contains(got, want) {
			t.Errorf("the summary lacks %q", want)
		}
	}
}

// TestTableFits holds every line but that of GOPROXY to the width.
func TestTableFits(t *testing.T) {
	all := reports(t)
	delete(all, "hostile")
	all["wide"] = &report.Report{
		Proxies:  []report.Proxy{{Name: strings.Repeat("代理", 20), State: report.Down, Use: "left out", Cause: strings.Repeat("長い", 100), TookMS: 99}, {Name: "a", Next: strings.Repeat("x", 300)}},
		Findings: []report.Finding{{Severity: report.Error, Title: strings.Repeat("長", 90), Message: strings.Repeat("é́", 150)}},
	}
	for name, r := range all {
		for _, width := range []int{60, 80, 120} {
			for line := range strings.Lines(render(t, Table, r, Options{Width: width})) {
				if line = strings.TrimSuffix(line, "\n"); columns(line) > width && !strings.HasPrefix(line, "GOPROXY") {
					t.Errorf("%s: %d columns instead of %d: %q", name, columns(line), width, line)
				}
			}
		}
	}
}

func TestTableColoursAreOnlyAddedCodes(t *testing.T) {
	codes := regexp.MustCompile("\x1b\\[[0-9]*m")
	for name, r := range reports(t) {
		plain := render(t, Table, r, Options{Width: 100})
		coloured := render(t, Table, r, Options{Width: 100, Color: true})
		if strings.Contains(plain, "\x1b") || coloured == plain && len(r.Proxies) > 0 || codes.ReplaceAllString(coloured, "") != plain {
			t.Errorf("%s: without its colours the table is\n%q\nwant\n%q", name, codes.ReplaceAllString(coloured, ""), plain)
		}
		ascii := render(t, Table, r, Options{Width: 100, ASCII: true})
		if name != "hostile" && strings.ContainsAny(ascii, "✓✗·") {
			t.Errorf("%s: marks in %q", name, ascii)
		}
	}
}
