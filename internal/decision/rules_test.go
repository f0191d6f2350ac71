package decision

import (
	"slices"
	"testing"

	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/report"
)

func TestSumDB(t *testing.T) {
	const (
		byName   = " GOSUMDB=sum.golang.org"
		china    = " GOSUMDB=sum.golang.google.cn"
		strict   = " GONOPROXY=none GOSUMDB="
		noVCS    = " GOVCS=*:off"
		required = policy.SumDBRequired
	)
	with := func(rule policy.SumDBRule, answering string) func(*Input) {
		return func(in *Input) { in.Settings.SumDB, in.Databases = rule, databases(answering) }
	}
	own := func(rule policy.SumDBRule) func(*Input) { // a server that GOSUMDB named before, and that is down
		return func(in *Input) {
			in.Settings.SumDB, in.Inherited.GOSUMDB = rule, "sum.golang.org https://sums.corp.example.com"
			in.Databases = []Database{{GOSUMDB: in.Inherited.GOSUMDB, Host: "sums.corp.example.com", Class: Refused}}
		}
	}
	for _, r := range []row{
		{name: "pinned proxy serves it", mode: routed, chain: "a b direct", saw: "a=ok b=ok", input: with(required, ""), outcome: "ok", exports: "GOPROXY=a|b/go|direct" + byName},
		{name: "404 walks on to the next, which serves it", mode: routed, chain: "a b", saw: "a=nodb b=ok", input: with(required, ""), outcome: "ok", exports: "GOPROXY=a|b/go" + byName},
		{name: "an error walks past a bar", mode: routed, chain: "a b", saw: "a=db502 b=ok", input: with(required, ""), outcome: "ok", exports: "GOPROXY=a|b/go" + byName, findings: "proxy-degraded"},
		{name: "an error stops at a comma: named by URL", mode: routed, chain: "o b", saw: "o=db403 b=ok", input: with(required, ""), outcome: "ok",
			exports: "GOPROXY=o,b/go GOSUMDB=sum.golang.org b/go/sumdb/sum.golang.org", findings: "proxy-degraded"},
		{name: "the pinned proxy fails lookups: named by URL", mode: routed, chain: "a b", saw: "a=badlookup b=ok", input: with(required, ""), outcome: "ok",
			exports: "GOPROXY=a|b/go GOSUMDB=sum.golang.org b/go/sumdb/sum.golang.org", findings: "proxy-degraded"},
		{name: "nobody serves it, the alias answers", mode: routed, chain: "a direct", saw: "a=nodb", input: with(required, "alias"), outcome: "ok", exports: "GOPROXY=a|direct" + china},
		{name: "the alias goes before the database itself", mode: routed, chain: "a direct", saw: "a=nodb", input: with(required, "alias direct"), outcome: "ok", exports: "GOPROXY=a|direct" + china},
		{name: "nobody serves it, the database answers", mode: routed, chain: "a direct", saw: "a=nodb", input: with(required, "direct"), outcome: "ok", exports: "GOPROXY=a|direct" + byName},
		{name: "404 of the last entry leads to the database", mode: routed, chain: "a", saw: "a=nodb", input: with(required, "direct"), outcome: "ok", exports: "GOPROXY=a" + byName},
		{name: "a gatekeeper's 403 on supported would be final: the database by URL", mode: routed, chain: "g direct", saw: "g=db403", input: with(required, "direct"), outcome: "ok",
			exports: "GOPROXY=g,direct GOSUMDB=sum.golang.org sum.golang.org", findings: "proxy-degraded"},
		{name: "5xx of the last entry would be final: the database by URL", mode: routed, chain: "a", saw: "a=db502", input: with(required, "direct"), outcome: "ok",
			exports: "GOPROXY=a GOSUMDB=sum.golang.org sum.golang.org", findings: "proxy-degraded"},
		{name: "unreachable, preferred: a warning and it stays on", mode: routed, chain: "a direct", saw: "a=nodb", input: with(policy.SumDBPreferred, ""), outcome: "ok", exports: "GOPROXY=a|direct" + byName, findings: "sumdb-unreachable"},
		{name: "unreachable, required: exhausted", mode: routed, chain: "a direct", saw: "a=nodb", input: with(required, ""), outcome: "exhausted", findings: "exhausted sumdb-unreachable"},

		{name: "unreachable, required, on_exhausted direct", mode: routed, chain: "a", saw: "a=nodb", outcome: "fallback", input: func(in *Input) {
			in.Settings.SumDB, in.Databases, in.Settings.OnExhausted = required, databases(""), policy.ExhaustedDirect
		}, exports: "GOPROXY=direct" + byName, findings: "fallback sumdb-unreachable"},

		{name: "enforced names the host", mode: enforced, chain: "g h", saw: "g=ok h=ok", input: with(required, ""), outcome: "ok",
			exports: "GOPROXY=g,h" + strict + "sum.golang.org g/sumdb/sum.golang.org" + noVCS},
		{name: "enforced: the second serves it", mode: enforced, chain: "g h", saw: "g=nodb h=ok", input: with(required, ""), outcome: "ok",
			exports: "GOPROXY=g,h" + strict + "sum.golang.org h/sumdb/sum.golang.org" + noVCS},
		{name: "enforced: never the database itself", mode: enforced, chain: "g", saw: "g=nodb", input: with(required, "alias direct"), outcome: "exhausted", findings: "exhausted sumdb-unreachable"},
		{name: "enforced, preferred: still a host of the chain", mode: enforced, chain: "g", saw: "g=nodb", input: with(policy.SumDBPreferred, "alias direct"), outcome: "ok",
			exports: "GOPROXY=g" + strict + "sum.golang.org g/sumdb/sum.golang.org" + noVCS, findings: "sumdb-unreachable"},
		{name: "enforced: the database if its host is allowed", mode: enforced, chain: "g", saw: "g=nodb", outcome: "ok", input: func(in *Input) {
			in.Settings.SumDB, in.Settings.Allow = required, []string{"g.example.com", "sum.golang.org"}
		}, exports: "GOPROXY=g" + strict + "sum.golang.org sum.golang.org" + noVCS},

		{name: "off without permission stays on", mode: routed, chain: "a", saw: "a=ok", input: with(policy.SumDBOff, ""), outcome: "ok", exports: "GOPROXY=a" + byName, findings: "sumdb-off"},
		{name: "off with permission", mode: routed, chain: "a", saw: "a=ok", outcome: "ok", input: func(in *Input) {
			in.Settings.SumDB, in.AllowDowngrade = policy.SumDBOff, true
		}, exports: "GOPROXY=a GOSUMDB=off", findings: "sumdb-off"},
		{name: "inherited off is overwritten and said", mode: routed, chain: "a", saw: "a=ok", input: func(in *Input) { in.Inherited.GOSUMDB = "off" }, outcome: "ok", exports: "GOPROXY=a" + byName, findings: "sumdb-was-off"},
		{name: "inherited server of one's own is kept", mode: routed, chain: "a", saw: "a=ok", input: func(in *Input) {
			in.Inherited.GOSUMDB = "sum.golang.org https://sums.corp.example.com"
		}, outcome: "ok", exports: "GOPROXY=a GOSUMDB=sum.golang.org sums.corp"},
		{name: "inherited server that does not answer, preferred", mode: routed, chain: "a", saw: "a=ok", input: own(policy.SumDBPreferred), outcome: "ok",
			exports: "GOPROXY=a GOSUMDB=sum.golang.org sums.corp", findings: "sumdb-unreachable"},
		{name: "inherited server that does not answer, required", mode: routed, chain: "a", saw: "a=ok", input: own(required), outcome: "exhausted", findings: "exhausted sumdb-unreachable"},
	} {
		t.Run(r.name, r.run)
	}
}

func TestPrivate(t *testing.T) {
	const db = " GOSUMDB=sum.golang.org"
	private := func(was Inherited, own ...string) func(*Input) {
		return func(in *Input) { in.Settings.Private, in.Inherited = own, was }
	}
	for _, r := range []row{
		{name: "nothing private", mode: routed, chain: "a", saw: "a=ok", outcome: "ok", exports: "GOPROXY=a" + db},
		{name: "direct", mode: routed, chain: "a", saw: "a=ok", input: private(Inherited{}, "git.corp", "github.com/acme/*"), outcome: "ok",
			exports: "GOPROXY=a GOPRIVATE=git.corp,github.com/acme/* GONOPROXY=git.corp,github.com/acme/* GONOSUMDB=git.corp,github.com/acme/*" + db},
		{name: "inherited patterns are merged", mode: routed, chain: "a", saw: "a=ok", input: private(Inherited{GOPRIVATE: "x.io, y.io", GONOSUMDB: "z.io"}, "git.corp", "x.io"), outcome: "ok",
			exports: "GOPROXY=a GOPRIVATE=x.io,y.io,git.corp GONOPROXY=x.io,y.io,git.corp GONOSUMDB=z.io,git.corp,x.io" + db},
		{name: "inherited GONOPROXY=none gives way to a pattern", mode: routed, chain: "a", saw: "a=ok", input: private(Inherited{GONOPROXY: "none"}, "git.corp"), outcome: "ok",
			exports: "GOPROXY=a GOPRIVATE=git.corp GONOPROXY=git.corp GONOSUMDB=git.corp" + db},
		{name: "inherited alone is passed on", mode: routed, chain: "a", saw: "a=ok", input: private(Inherited{GOPRIVATE: "x.io"}), outcome: "ok",
			exports: "GOPROXY=a GOPRIVATE=x.io GONOPROXY=x.io GONOSUMDB=x.io" + db},
		{name: "through the chain", mode: routed, chain: "p", saw: "p=ok", outcome: "ok", input: func(in *Input) {
			in.Settings.Private, in.Settings.PrivateVia = []string{"git.corp"}, policy.ViaChain
		}, exports: "GOPROXY=p GONOPROXY=none GONOSUMDB=git.corp" + db},
		{name: "enforced overwrites GONOPROXY and says so", mode: enforced, chain: "g", saw: "g=ok", input: private(Inherited{GONOPROXY: "x.io", GOPRIVATE: "x.io"}, "git.corp"), outcome: "ok",
			exports: "GOPROXY=g GONOPROXY=none GONOSUMDB=x.io,git.corp GOSUMDB=sum.golang.org g/sumdb/sum.golang.org GOVCS=*:off", findings: "gonoproxy-overwritten"},
		{name: "enforced ignores private_via direct", mode: enforced, chain: "g", saw: "g=ok", outcome: "ok", input: func(in *Input) {
			in.Settings.PrivateVia, in.Settings.Private = policy.ViaDirect, []string{"git.corp"}
		}, exports: "GOPROXY=g GONOPROXY=none GONOSUMDB=git.corp GOSUMDB=sum.golang.org g/sumdb/sum.golang.org GOVCS=*:off"},
		{name: "forward proxy, NO_PROXY merged", mode: routed, chain: "a", saw: "a=ok", outcome: "ok", input: func(in *Input) {
			in.Settings.HTTPSProxy, in.Settings.NoProxy, in.Inherited.NoProxy = "http://proxy-stg.internal:8080", "svc.local", "10.0.0.0/8,svc.local"
		}, exports: "GOPROXY=a" + db + " HTTPS_PROXY=http://proxy-stg.internal:8080 NO_PROXY=10.0.0.0/8,svc.local"},
	} {
		t.Run(r.name, r.run)
	}
}

// The one annotation of a run names the dead proxy, its line, the cause, what
// is used instead, and what to do.
func TestFallbackFinding(t *testing.T) {
	for on, want := range map[policy.OnFallback]report.Severity{
		policy.FallbackNotice: report.Notice, policy.FallbackWarn: report.Warning, policy.FallbackFail: report.Error,
	} {
		in := Input{Settings: settings(routed, "a b direct"), Evidence: saw(t, "a=server-error b=ok")}
		in.Settings.OnFallback = on
		d := Decide(in)
		got := d.Findings[0]
		if want := (report.Finding{
			ID: "fallback", Severity: want, Title: "Module proxy fallback in use",
			Message: "a is not used: saw server-error; modules come from b instead", Fix: "mend server-error",
			Place: report.Place{File: ".goproxy-setup.yaml", Line: 10, Column: 5},
		}); got != want {
			t.Errorf("on_fallback: %s:\n%+v; want\n%+v", on, got, want)
		}
	}
}

// A primary that works is not called unusable, whatever displaced it.
func TestSummaryOfAHealthyPrimary(t *testing.T) {
	for _, tt := range []struct {
		name, saw string
		input     func(*policy.Settings)
		message   string
		summary   string
	}{
		{"slower", "a=2s b=ok", func(*policy.Settings) {}, "a is not used: it answers in 2s, b in 20ms; modules come from b instead",
			`Fallback: Go modules for environment "staging" come from b instead of a.`},
		{"slower, no fallback allowed", "a=2s b=ok", func(s *policy.Settings) { s.OnFallback = policy.FallbackFail }, "a is not used: it answers in 2s, b in 20ms; modules come from b instead",
			"b would be used instead of a, and on_fallback: fail forbids a fallback; nothing was exported."},
		{"no checksum database", "a=nodb b=nodb", func(s *policy.Settings) { s.SumDB, s.OnExhausted = policy.SumDBRequired, policy.ExhaustedDirect },
			"a is not used: no allowed route to the checksum database verifies, and the policy says sumdb: required; modules come from direct instead",
			`Fallback: Go modules for environment "staging" come from direct instead of a.`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := Input{Settings: settings(routed, "a b"), Evidence: saw(t, tt.saw)}
			tt.input(&in.Settings)
			d := Decide(in)
			i := slices.IndexFunc(d.Findings, func(f report.Finding) bool { return f.ID == "fallback" })
			if i < 0 || d.Findings[i].Message != tt.message {
				t.Errorf("findings %+v; want the message %q", d.Findings, tt.message)
			}
			if got := d.Report(&in).Summary; got != tt.summary {
				t.Errorf("summary %q; want %q", got, tt.summary)
			}
		})
	}
}
