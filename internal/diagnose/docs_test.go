package diagnose_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/diagnose"
)

var update = flag.Bool("update", false, "rewrite golden files and tables")

const docs = "../../docs/doctor.md"

// The tables of the documentation are the table of the checks.
func TestDocs(t *testing.T) {
	checks, safe := "| | Finding | What is wrong | Who suffers | Fix |\n| --- | --- | --- | --- | --- |\n", "| | What | How |\n| --- | --- | --- |\n"
	for _, c := range diagnose.Checks() {
		checks += fmt.Sprintf("| %s | `%s` | %s | %s | %s |\n", c.ID, c.Name, c.Title, strings.ToLower(string(c.Impact[:1]))+string(c.Impact[1:]), c.Fix)
		if c.Safe != "" {
			safe += fmt.Sprintf("| %s | %s | %s |\n", c.ID, c.Title, c.Safe)
		}
	}
	checks = strings.ReplaceAll(checks, "| cI |", "| CI |")
	data, err := os.ReadFile(docs)
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for mark, table := range map[string]string{"checks": checks, "safe": safe} {
		section := regexp.MustCompile(`(?s)<!-- ` + mark + ` -->\n.*?\n(<!-- end -->\n|\n)`)
		at := section.FindStringIndex(text)
		if at == nil {
			t.Fatalf("%s has no place for the table %q", docs, mark)
		}
		text = text[:at[0]] + "<!-- " + mark + " -->\n" + table + "<!-- end -->\n" + text[at[1]:]
	}
	if *update {
		if err := os.WriteFile(docs, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if text != string(data) {
		t.Errorf("%s is out of date: run go test -update and read the diff", docs)
	}
}

// IDs are unique and in order, names are those of findings, every text is one
// that a table can hold.
func TestChecksTable(t *testing.T) {
	list := diagnose.Checks()
	name := regexp.MustCompile(`^[a-z]+(-[a-z]+)*$`)
	for i, c := range list {
		if !regexp.MustCompile(`^D[0-9][0-9]$`).MatchString(c.ID) || !name.MatchString(c.Name) || c.Title == "" || c.Fix == "" || strings.ContainsAny(c.Title+c.Fix, "|\n") {
			t.Errorf("check %+v is not complete", c)
		}
		if i > 0 && list[i-1].ID >= c.ID {
			t.Errorf("%s stands after %s", c.ID, list[i-1].ID)
		}
		if slices.ContainsFunc(list[:i], func(other diagnose.Check) bool { return other.Name == c.Name }) {
			t.Errorf("%s: there is another check called %s", c.ID, c.Name)
		}
	}
}
