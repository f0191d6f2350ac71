package render

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/org/goproxy-setup/internal/report"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with a file, which "go test -update" rewrites first.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is out of date (%v): run go test -update and read the diff; got\n%s", file, err, got)
	}
}

// reports are the reports that every writer is shown, by name.
func reports(t testing.TB) map[string]*report.Report {
	t.Helper()
	files, err := filepath.Glob("testdata/*.report.json")
	if err != nil || len(files) < 6 {
		t.Fatalf("reports in testdata: got %q, %v", files, err)
	}
	all := map[string]*report.Report{"hostile": hostileReport()}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r := new(report.Report)
		dec := json.NewDecoder(bytes.NewReader(b))
		dec.DisallowUnknownFields()
		if err := dec.Decode(r); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		name := filepath.Base(file)
		all[name[:len(name)-len(".report.json")]] = r
	}
	return all
}

func TestGolden(t *testing.T) {
	extension := map[Kind]string{
		Table: "txt", Shell: "sh", PowerShell: "ps1", Dotenv: "env", JSON: "json", Markdown: "md",
		CodeQuality: "codequality.json", SARIF: "sarif", JUnit: "xml", WarningsNG: "warnings.json",
	}
	for name, r := range reports(t) {
		opt := Options{Width: 100}
		if r.Outcome == report.Exhausted || r.Outcome == report.Incomplete || r.Outcome == report.Troubled {
			opt.ExitCode = 1
		} else if r.Outcome == report.Invalid {
			opt.ExitCode = 2
		}
		for _, kind := range Kinds() {
			got, err := Render(kind, r, opt)
			if err != nil {
				t.Errorf("Render(%s, %s): %v", kind, name, err)
				continue
			}
			golden(t, filepath.Join("testdata", "golden", name+"."+extension[kind]), got)
		}
	}
}

// TestTableWidths shows the table as narrow and as wide as terminals are, with
// and without colours and marks.
func TestTableWidths(t *testing.T) {
	all := reports(t)
	for _, tt := range []struct {
		file, report string
		opt          Options
	}{
		{"fallback.60.txt", "fallback", Options{Width: 60}},
		{"fallback.120.txt", "fallback", Options{Width: 120}},
		{"fallback.color.txt", "fallback", Options{Width: 100, Color: true}},
		{"exhausted.ascii.txt", "exhausted", Options{Width: 80, ASCII: true}},
		{"troubled.60.txt", "troubled", Options{Width: 60}},
		{"troubled.120.txt", "troubled", Options{Width: 120}},
		{"troubled.color.txt", "troubled", Options{Width: 80, Color: true}},
		{"hostile.60.txt", "hostile", Options{Width: 60}},
		{"probe.60.txt", "probe", Options{Width: 60}},
		{"probe.120.txt", "probe", Options{Width: 120}},
		{"probe.color.txt", "probe", Options{Width: 120, Color: true}},
		{"probe.ascii.txt", "probe", Options{Width: 120, ASCII: true}},
		{"incomplete.60.txt", "incomplete", Options{Width: 60}},
	} {
		got, err := Render(Table, all[tt.report], tt.opt)
		if err != nil {
			t.Fatal(err)
		}
		golden(t, filepath.Join("testdata", "golden", tt.file), got)
	}
}
