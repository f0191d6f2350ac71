package policy

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with a file, which "go test -update" rewrites first.
func golden(t *testing.T, file string, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || !bytes.Equal([]byte(got), want) {
		t.Errorf("%s is out of date (%v): run go test -update and read the diff; got\n%s", file, err, got)
	}
}

// policies returns the policy files of a directory of testdata by their names.
func policies(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", dir, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no policies in testdata/%s: %v", dir, err)
	}
	all := map[string][]byte{}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		all[file] = data
	}
	return all
}

// Mistakes of every kind, as a person reads them.
func TestMistakes(t *testing.T) {
	for _, dir := range []string{"invalid", "meaning", "syntax"} {
		for file, data := range policies(t, dir) {
			t.Run(filepath.ToSlash(file), func(t *testing.T) {
				_, err := Parse(filepath.Base(file), data)
				errs, ok := err.(Errors)
				if !ok || len(errs) == 0 {
					t.Fatalf("Parse = %v (%T); want Errors", err, err)
				}
				if !slices.IsSortedFunc(errs, compareErrors) {
					t.Error("the mistakes are not in the order of their places")
				}
				if strings.Contains(err.Error(), "hunter2") {
					t.Error("a message repeats a password")
				}
				golden(t, strings.TrimSuffix(file, ".yaml")+".err", hideAddresses(err.Error())+"\n")
			})
		}
	}
}

// What a valid policy means: the warnings, then each environment.
func TestShow(t *testing.T) {
	for file, data := range policies(t, "valid") {
		t.Run(filepath.ToSlash(file), func(t *testing.T) {
			p, err := Parse(filepath.Base(file), data)
			if err != nil {
				t.Fatal(err)
			}
			var out strings.Builder
			for _, f := range p.Findings() {
				out.WriteString((&Error{Place: f.Place, Msg: f.Message, Hint: f.Fix}).Error() + "\n")
			}
			for _, name := range p.environmentNames() {
				for _, r := range settingsFor(t, p, name, nil).Rows() {
					out.WriteString(r.Key + "\t" + r.Value + "\t" + r.Place.String() + "\n")
				}
			}
			golden(t, strings.TrimSuffix(file, ".yaml")+".txt", hideAddresses(out.String()))
		})
	}
}

// hideAddresses takes the catalogue's addresses out of s: they stand in no file
// but the catalogue.
func hideAddresses(s string) string {
	for _, c := range Catalogue() {
		s = strings.ReplaceAll(s, strings.TrimRight(c.URL, "/"), "URL-OF-"+c.Name)
		if host := hostOf(c.entry()); host != c.Name {
			s = strings.ReplaceAll(s, strconv.Quote(host), strconv.Quote("HOST-OF-"+c.Name))
		}
	}
	return s
}

// settingsFor returns the settings of the environment called name, with the
// given CI variables.
func settingsFor(t *testing.T, p *Policy, name string, variables map[string]string) *Settings {
	t.Helper()
	c, err := p.Choose(Facts{Given: []Named{{name, "--environment"}}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.Settings(c, func(v string) string { return variables[v] })
	if err != nil {
		t.Fatal(err)
	}
	return &s
}

func mustParse(t testing.TB, text string) *Policy {
	t.Helper()
	p, err := Parse("policy.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestTwelveMistakes(t *testing.T) {
	data, err := os.ReadFile("testdata/invalid/twelve.yaml")
	if err != nil {
		t.Fatal(err)
	}
	_, err = Parse("twelve.yaml", data)
	errs, _ := err.(Errors)
	for _, e := range errs {
		if e.Place.Line == 0 || e.Place.Column == 0 {
			t.Errorf("no place: %v", e)
		}
	}
	if len(errs) < 12 {
		t.Errorf("got %d mistakes, want 12 or more:\n%v", len(errs), err)
	}
}
