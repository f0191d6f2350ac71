package render

import (
	"math/rand/v2"
	"strings"

	"github.com/org/goproxy-setup/internal/report"
)

// attacks are texts that were made to mean more than text in some place where
// a report is shown. They seed every fuzz test.
var attacks = []string{
	"", " ", "plain", "it's", `"quoted"`, `back\slash\`, "tab\there", "naïve ☂ 中文代理 🙂",
	"x\n::error::forged", "  ::error file=a::forged", "::add-mask::x", ":::error::x", "\u200b::error::x", ":\u200b:error::x",
	"text ##[error]forged", "###[error]x", "##vso[task.setvariable variable=GOPROXY]evil", "##teamcity[setParameter name='a' value='b']",
	"\x1b[31mred", "\x1b]0;title\x07", "a\rb", "\x1b[0Ksection_start:1:x\r\x1b[0Kforged", "\u202egnp.exe", "a\u2028b\u2029c", "nul\x00", "\x9b31m", "del\x7f",
	"$(touch pwned)", "`touch pwned`", "'; touch pwned; '", "a|touch pwned", "a\ntouch pwned", "$HOME ~ * ? [a] !!", `'\''`, "''", "&& exit 1 #",
	"'; Remove-Item x; '", "‘; Remove-Item x; ’", "$env:PATH", "`n", "ё", "日本\u2019語",
	"GOPROXY=evil", "a\nGOPROXY=evil", "x\r\nGOSUMDB=off", "_GitHubActionsFileCommandDelimeter_",
	"| cell | cell |", `a\|b`, `\`, "``` fence", "`code` and ``more``", "<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "</details>", "<!--",
	"[link](https://evil.example.com)", "![img](https://evil.example.com/x.png)", "https://evil.example.com/a_b", "(www.evil.example.com)", "@everyone", "a@b.example.com",
	"org/repo#1 and #2", "# heading", "- item", "1. item", "12) item", "---", "===", "+ item", "> quote", "* item", "_em_ **strong** ~~gone~~ $math$", "&lt;b&gt; &#64;x", "[x]: https://evil.example.com", "[^1]", ":tada:",
	"]]>", "<?xml?>", "&amp;", "\ufffe", "\xff\xfe", "\xed\xa0\x80", "]( )", "%0A::error::x", "%25", "a:b,c=d", "\u2a74", "\U000e0041", strings.Repeat("长", 40),
}

// pieces are what the attacks are made of.
var pieces = []string{
	"::", ":", "##", "#", "[", "]", "(", ")", " ", "\n", "\r", "\x1b", "error", "vso", "|", `\`, "`", "``", "*", "_", "<", ">", "&", "lt;", "@", "://", "www.", "https", "a", "B",
	"'", "’", `"`, "$", "\u200b", "%", "%0A", ",", "=", "1", ".", "-", "+", "!", "~", "é", "中", "🙂", "\u0301", "\xff", "\x00",
}

// seeds are the attacks and as many random combinations of their pieces, the
// same in each run, as are tried in well under a second.
func seeds() []string {
	list := attacks
	random := rand.New(rand.NewPCG(1, 2))
	for range 600 {
		var s strings.Builder
		for range 1 + random.IntN(10) {
			s.WriteString(pieces[random.IntN(len(pieces))])
		}
		list = append(list, s.String())
	}
	return list
}

// hostileReport has an attack wherever a report holds text from outside. Its
// settings alone are harmless: an export is refused, not encoded away.
func hostileReport() *report.Report {
	next := -1
	text := func() string {
		for {
			next++
			if s := attacks[next%len(attacks)]; strings.TrimSpace(s) != "" {
				return s
			}
		}
	}
	r := &report.Report{
		Schema: report.Schema, Command: "setup", Version: "v1.0.0 " + text(), Outcome: report.Fallback,
		Summary: text(), Environment: text(), EnvironmentSource: text(),
		Settings: []report.Setting{
			{Name: "GOPROXY", Value: "https://mirror.example.com/it's|direct", Why: text()},
			{Name: "GOPRIVATE", Value: `$(touch pwned)|"a"`, Why: text()},
		},
		Outputs: []report.Setting{{Name: "fallback-used", Value: "true"}, {Name: "reason", Value: "a\nGOSUMDB=off"}},
	}
	states := []report.State{report.Usable, report.Degraded, report.Down, report.Unknown, report.Unasked}
	for i := range 12 {
		r.Proxies = append(r.Proxies, report.Proxy{
			Name: text(), URL: text(), State: states[i%len(states)], Use: text(), Class: text(), Cause: text(), Next: text(), TookMS: int64(i * 700),
			Checks: []report.Check{{Name: text(), OK: i%2 == 0, Detail: text()}}, Place: report.Place{File: "a b/" + text(), Line: 1},
		})
	}
	severities := []report.Severity{report.Error, report.Warning, report.Notice}
	for i := range 30 {
		r.Findings = append(r.Findings, report.Finding{
			ID: "proxy-down", Severity: severities[i*3/30], Title: text(), Message: text(), Fix: text(), Place: report.Place{File: text(), Line: i, Column: i},
		})
	}
	for i := range 8 { // a diagnosis has these, too
		r.InForce = append(r.InForce, report.Setting{Name: text(), Value: text(), Why: text()})
		r.Checks = append(r.Checks, report.Check{Name: text(), OK: i%3 != 0, Skipped: i%4 == 0, Detail: text(), TookMS: int64(i)})
	}
	for i := range r.Findings[20:] {
		r.Findings[20+i].Group = text()
	}
	for range attacks {
		r.Reasons = append(r.Reasons, text())
	}
	r.Diagnosis = text() + " " + text()
	r.Preflight = &report.Preflight{File: text(), Modules: 40, Proxies: []report.PreflightProxy{
		{Name: text(), Asked: 80, GaveUp: true, Waited: 1000, Class: text(), Cause: text(), Next: text(), Hosts: []string{text(), text()}},
	}}
	for range 40 {
		r.Preflight.Notable = append(r.Preflight.Notable, report.PreflightModule{
			Path: text(), Version: text(), Fate: report.FateStopped, File: text(), Proxy: text(), Class: text(), Cause: text(),
		})
	}
	list := report.Table{Title: text(), Columns: []string{text(), text()}, More: 3}
	for range 15 {
		list.Rows = append(list.Rows, []string{text(), text()})
	}
	r.Tables = []report.Table{list, {Title: "no rows", Columns: []string{"a"}}, {Title: "ragged", Columns: []string{"a"}, Rows: [][]string{{text(), text()}, {}}}}
	return r
}
