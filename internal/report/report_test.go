package report

import (
	"slices"
	"testing"
	"time"
)

func TestPlace(t *testing.T) {
	for want, p := range map[string]Place{
		"": {}, "policy.yaml": {File: "policy.yaml"}, "policy.yaml:3": {File: "policy.yaml", Line: 3}, "policy.yaml:3:7": {File: "policy.yaml", Line: 3, Column: 7},
	} {
		if got := p.String(); got != want {
			t.Errorf("%#v: got %q; want %q", p, got, want)
		}
	}
}

func TestSortFindings(t *testing.T) {
	list := []Finding{{ID: "n1", Severity: Notice}, {ID: "w1", Severity: Warning}, {ID: "n2", Severity: Notice}, {ID: "e", Severity: Error}, {ID: "w2", Severity: Warning}}
	SortFindings(list)
	var got []string
	for _, f := range list {
		got = append(got, f.ID)
	}
	if want := []string{"e", "w1", "w2", "n1", "n2"}; !slices.Equal(got, want) {
		t.Errorf("got %q; want %q", got, want)
	}
}

func TestRound(t *testing.T) {
	for d, want := range map[time.Duration]string{
		432_123: "400µs", 9_876_543: "9.9ms", 12_345_678: "12ms", 1_234_567_890: "1.2s", 12_345_678_901: "12s",
	} {
		if got := Round(d).String(); got != want {
			t.Errorf("%d: got %s; want %s", d, got, want)
		}
	}
}
