package policy

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

const docsFile = "../../docs/policy.md"

func readDocs(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(docsFile)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Every example of the reference is a valid policy, without warnings.
func TestDocsExamples(t *testing.T) {
	schema := compileSchema(t)
	examples := 0
	for i, part := range strings.Split(readDocs(t), "```yaml\n")[1:] {
		text, _, ok := strings.Cut(part, "```\n")
		if !ok {
			t.Fatalf("example %d does not end", i+1)
		}
		examples++
		p, err := Parse("policy.yaml", []byte(text))
		if err != nil {
			t.Errorf("example %d:\n%v", i+1, err)
			continue
		}
		if err := validate(schema, []byte(text)); err != nil {
			t.Errorf("example %d: %v", i+1, err)
		}
		if f := p.Findings(); len(f) > 0 && strings.Contains(text, "default:") {
			t.Errorf("example %d: %v", i+1, f)
		}
		for _, name := range p.environmentNames() {
			settingsFor(t, p, name, nil)
		}
	}
	if examples < 6 {
		t.Errorf("%d examples found", examples)
	}
}

// The reference explains every key and every value that is a word.
func TestDocsAreComplete(t *testing.T) {
	docs := readDocs(t)
	var all []string
	for _, list := range [][]string{
		topFields.keys(), environmentFields.keys(), proxyFields.keys(), tlsFields.keys(), variantFields.keys(), whenFields.keys(),
		ruleFields.keys(), probeFields.keys(), agentFields.keys(), storeFields.keys(), agentTLSFields.keys(), limitFields.keys(), words(modes), words(vias), words(sumdbRules), words(strategies), words(onFallbacks), words(onExhausted),
	} {
		all = append(all, list...)
	}
	for _, word := range all {
		if !strings.Contains(docs, "`"+word+"`") {
			t.Errorf("%s does not explain `%s`", docsFile, word)
		}
	}
}

// The reference lists the catalogue as it is, without its addresses.
func TestDocsCatalogue(t *testing.T) {
	var want strings.Builder
	for _, c := range Catalogue() {
		full := "not known"
		if c.Full {
			full = "yes"
		}
		fmt.Fprintf(&want, "| `%s` | %s | %s | %s | %s |\n", c.Name, c.From, full, c.SumDB, c.Since)
	}
	docs := readDocs(t)
	head, table, ok := strings.Cut(docs, "| --- | --- | --- | --- | --- |\n")
	if *update && ok {
		docs = head + "| --- | --- | --- | --- | --- |\n" + want.String()
		if err := os.WriteFile(docsFile, []byte(docs), 0o666); err != nil {
			t.Fatal(err)
		}
		table = want.String()
	}
	if table != want.String() {
		t.Errorf("the table of the catalogue is out of date: run go test -update; want\n%s", want.String())
	}
}
