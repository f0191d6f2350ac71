package policy

import (
	"os"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/goenv"
)

// Any bytes are a policy or a list of mistakes with places in this file; and
// whatever is accepted keeps its promises in every environment.
func FuzzParse(f *testing.F) {
	for _, dir := range []string{"valid", "invalid", "meaning", "syntax"} {
		files, err := os.ReadDir("testdata/" + dir)
		if err != nil {
			f.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file.Name(), ".yaml") {
				data, err := os.ReadFile("testdata/" + dir + "/" + file.Name())
				if err != nil {
					f.Fatal(err)
				}
				f.Add(data)
			}
		}
	}
	schema := compileSchema(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Parse("policy.yaml", data)
		if err != nil {
			checkMistakes(t, err, data)
			return
		}
		if err := validate(schema, data); err != nil && len(p.findings) == 0 { // an empty file is no mapping
			t.Errorf("the schema does not accept a valid policy: %v", err)
		}
		q, _ := p.WithoutTrust()
		for _, name := range p.environmentNames() {
			checkPromises(t, settingsFor(t, p, name, nil))
			s := settingsFor(t, q, name, nil)
			checkPromises(t, s)
			for _, e := range s.Chain {
				if e.Username+e.Password != "" || s.SumDB == SumDBOff || s.OnExhausted == ExhaustedDirect || s.HTTPProxy+s.HTTPSProxy != "" {
					t.Errorf("not trusted, and yet: %+v", s)
				}
			}
		}
	})
}

func checkMistakes(t *testing.T, err error, data []byte) {
	t.Helper()
	errs, ok := err.(Errors)
	if !ok || len(errs) == 0 || len(errs) > maxErrors+1 {
		t.Fatalf("%d mistakes: %v", len(errs), err)
	}
	lines := strings.Count(string(data), "\n") + strings.Count(string(data), "\r") + 2
	for _, e := range errs {
		if e.Place.File != "policy.yaml" || e.Place.Line < 0 || e.Place.Line > lines || e.Msg == "" || e.ID == "" {
			t.Errorf("mistake %+v in a file of %d lines", e, lines)
		}
		if !printable(e.Error()) {
			t.Errorf("unprintable message %q", e.Error())
		}
	}
}

// checkPromises checks what the other packages rely on.
func checkPromises(t *testing.T, s *Settings) {
	t.Helper()
	mustSurviveJSON(t, s)
	if len(s.Chain) == 0 {
		t.Error("an empty chain")
	}
	for i, e := range s.Chain {
		if e.Keyword() {
			if i < len(s.Chain)-1 || s.Mode == Enforced {
				t.Errorf("%q at %d of %v", e.Name, i, s.Chain)
			}
			continue
		}
		if normal, err := goenv.CheckEntry(e.URL); err != nil || normal != e.URL {
			t.Errorf("URL %q: go uses %q, %v", e.URL, normal, err)
		}
		if goenv.Redact(e.URL) != e.URL || !strings.HasPrefix(e.URL, "file:") && !s.Allows(hostOf(e)) || s.PrivateVia == ViaChain && !e.Private {
			t.Errorf("entry %+v in %+v", e, s)
		}
		if _, err := References(e.Username + e.Password); err != nil {
			t.Errorf("credentials of %+v: %v", e, err)
		}
	}
	if problems := goenv.LintPatterns(strings.Join(s.Private, ",")); len(problems) > 0 && len(s.Private) > 0 {
		t.Errorf("private: %v", problems)
	}
	for _, r := range s.Rows() {
		if !printable(r.Key + r.Value) {
			t.Errorf("unprintable row %q", r)
		}
	}
}
