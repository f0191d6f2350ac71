package diagnose

import (
	"context"
	"fmt"
	"slices"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/lint"
	"github.com/org/goproxy-setup/internal/report"
)

// told are the rules of "explain --lint" whose findings other checks tell, with
// what they know of the machine besides, and those that are no mistake here:
// an empty variable (D01), GOPROXY=off and a vendored build.
var told = []string{
	"L01", "L02", "L03", "L04", "L05", "L13", "L15", "L21", "L22", "L23", "L24", "L25", "L30", "L31", "L32", "L35", "L36", "L38", "L39", "L41", "L42", "L44",
	"L45", "L48", "L49", "L50", "L51", "L54",
}

// doubtful finds settings that break a rule of "explain --lint" and that no
// other check tells of. Go's own defaults are nobody's mistake, and remarks are
// for those who ask for them.
func doubtful(_ context.Context, m *Machine) Result {
	r := m.findings(func(f lint.Finding) bool {
		return f.Rule.Severity != report.Notice && f.Setting.Origin != goenv.GOROOTFile && !slices.Contains(told, f.Rule.ID)
	}, true)
	r.Seen = fmt.Sprintf("%d rules of \"explain --lint\"", len(lint.Rules()))
	return r
}

// rules finds settings that break one of certain rules of "explain --lint".
func (m *Machine) rules(ids ...string) Result {
	return m.findings(func(f lint.Finding) bool { return slices.Contains(ids, f.Rule.ID) }, false)
}

// settingUnknown finds variables that go does not know.
func settingUnknown(_ context.Context, m *Machine) Result { return m.rules("L38") }

// findings returns those findings of "explain --lint" that are wanted, with the
// rule's title where the check's own says less.
func (m *Machine) findings(wanted func(lint.Finding) bool, titled bool) (r Result) {
	in := lint.Input{
		Sources: m.Settings, Netrc: m.Netrc.Machines, NetrcName: m.Netrc.Path,
		Lines: m.Work.lines, GoAt: m.Work.goAt, ToolchainAt: m.Work.toolchainAt, HaveGo: m.Go.Env["GOVERSION"],
		InPath: func(name string) bool { return len(m.find(name)) > 0 },
	}
	for _, f := range lint.Check(in) {
		if !wanted(f) {
			continue
		}
		one := f.Report(shellWord)
		at := m.origin(f.Setting.Name)
		if one.Place.File != "" {
			at = m.place(one.Place.File, one.Place.Line)
		}
		if titled {
			one.Message = one.Title + ": " + one.Message
		}
		r.Findings = append(r.Findings, Finding{Severity: one.Severity, Place: at, Message: fmt.Sprintf("%s (%s)", one.Message, f.Rule.ID), Fix: one.Fix})
	}
	return r
}
