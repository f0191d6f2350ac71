package policy

import (
	"strconv"
	"strings"

	"github.com/org/goproxy-setup/internal/report"
)

// A Row is one effective setting, for people.
type Row struct {
	Key   string
	Value string
	Place report.Place // where it was written; zero for a default
}

// Rows returns every setting that has a value, in the order in which the
// documentation explains them; the chain has a row for each entry.
func (s *Settings) Rows() []Row {
	var rows []Row
	add := func(key, val string) {
		if val != "" {
			rows = append(rows, Row{key, val, s.Places[key]})
		}
	}
	add("environment", s.Environment)
	add("mode", string(s.Mode))
	for _, e := range s.Chain {
		rows = append(rows, Row{"chain", e.describe(), e.Place})
	}
	add("private", strings.Join(s.Private, ","))
	add("private_via", string(s.PrivateVia))
	add("allow", strings.Join(s.Allow, ","))
	add("sumdb", string(s.SumDB))
	add("http_proxy", s.HTTPProxy)
	add("https_proxy", s.HTTPSProxy)
	add("no_proxy", s.NoProxy)
	add("probe.timeout", s.Probe.Timeout.String())
	add("probe.slow", s.Probe.Slow.String())
	add("probe.keep", strconv.Itoa(s.Probe.Keep))
	add("probe.canary", s.Probe.Canary)
	add("strategy", string(s.Strategy))
	add("on_fallback", string(s.OnFallback))
	add("on_exhausted", string(s.OnExhausted))
	return rows
}

// describe returns the entry and what is special about it.
func (e Entry) describe() string {
	var marks []string
	mark := func(is bool, text string) {
		if is {
			marks = append(marks, text)
		}
	}
	mark(e.URL != "" && e.URL != e.Name, e.URL)
	mark(e.Gatekeeper && e.Overridable, "overridable gatekeeper")
	mark(e.Gatekeeper && !e.Overridable, "gatekeeper")
	mark(e.Private, "private")
	mark(e.Username != "", "user "+e.Username)
	mark(e.Password != "", "password "+e.Password)
	mark(e.CA != "", "CA "+e.CA)
	if len(marks) == 0 {
		return e.Name
	}
	return e.Name + " (" + strings.Join(marks, ", ") + ")"
}
