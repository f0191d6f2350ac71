package decision

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/report"
)

// proxies are the entries that the tests' chains name: a and b are public, g
// and h gatekeepers, o a gatekeeper that says it may be overridden, p private,
// l stands on loopback and u on a name that only the runner's network knows.
var proxies = map[string]policy.Entry{
	"a": {URL: "https://a.example.com", Full: true},
	"b": {URL: "https://b.example.com/go", Full: true},
	"c": {URL: "https://c.example.com", Full: true},
	"g": {URL: "https://g.example.com", Gatekeeper: true, Private: true},
	"h": {URL: "https://h.example.com", Gatekeeper: true, Private: true},
	"o": {URL: "https://o.example.com", Gatekeeper: true, Overridable: true},
	"p": {URL: "https://p.example.com", Private: true},
	"l": {URL: "http://127.0.0.1:3000"},
	"u": {URL: "https://goproxy.corp.internal"},
}

const (
	routed   = policy.Routed
	enforced = policy.Enforced
)

// settings is an environment with the policy's defaults.
func settings(mode policy.Mode, chain string) policy.Settings {
	s := policy.Settings{
		Policy: ".goproxy-setup.yaml", Environment: "staging", Block: "staging", Source: "input",
		Mode: mode, PrivateVia: policy.ViaDirect, SumDB: policy.SumDBPreferred,
		Probe:    policy.Probe{Timeout: 5 * time.Second, Slow: 800 * time.Millisecond, Keep: 2, Canary: "go.sum"},
		Strategy: policy.Order, OnFallback: policy.FallbackWarn, OnExhausted: policy.ExhaustedFail,
	}
	if mode == enforced {
		s.PrivateVia = policy.ViaChain
	}
	for i, name := range strings.Fields(chain) {
		e := proxies[name]
		e.Name = name
		e.Place = report.Place{File: ".goproxy-setup.yaml", Line: 10 + i, Column: 5}
		s.Chain = append(s.Chain, e)
	}
	return s
}

// saw parses what the probe saw of each proxy, as "a=ok b=refused": a class,
// or one of
//
//	ok        everything passes
//	nodb      sumdb/NAME/supported answers 404
//	db403     sumdb/NAME/supported answers 403
//	db502     sumdb/NAME/supported answers 502
//	badlookup supported, but lookups fail
//	nolist    @v/list is refused
//	notool    the toolchain that go.mod asks for is missing
//	tool      it is there
//	zip403    zips are refused, .mod files are not
//	2s        everything passes, each small request takes that long
func saw(t *testing.T, text string) []Evidence {
	t.Helper()
	var list []Evidence
	for i, field := range strings.Fields(text) {
		name, what, ok := strings.Cut(field, "=")
		if !ok {
			t.Fatalf("bad evidence %q", field)
		}
		e := Evidence{Entry: name, Latency: 20 * time.Millisecond, Took: time.Duration(i+1) * 30 * time.Millisecond}
		supported := Check{Kind: Supported, Status: 200}
		lookup := Check{Kind: SumDB}
		switch what {
		case "ok", "badlookup":
		case "nodb":
			supported, lookup = Check{Kind: Supported, Class: NoSumDB, Status: 404}, Check{Kind: SumDB, Class: NoSumDB}
		case "db403":
			supported, lookup = Check{Kind: Supported, Class: Forbidden, Status: 403}, Check{Kind: SumDB, Class: NoSumDB}
		case "db502":
			supported, lookup = Check{Kind: Supported, Class: ServerError, Status: 502}, Check{Kind: SumDB, Class: NoSumDB}
		case "nolist":
			e.Checks = append(e.Checks, Check{Kind: List, Class: Forbidden, Status: 403})
		case "notool":
			e.Checks = append(e.Checks, Check{Kind: Toolchain, Class: Missing, Status: 404})
		case "tool":
			e.Checks = append(e.Checks, Check{Kind: Toolchain})
		default:
			if d, err := time.ParseDuration(what); err == nil {
				e.Latency = d
				break
			}
			e.Class, e.Detail, e.Next = Class(what), "saw "+what, "mend "+what
			e.Checks = []Check{{Kind: Zip, Class: e.Class, Detail: e.Detail}}
			if what == "zip403" {
				e.Class, e.Checks[0].Class, e.Checks[0].Status = ZipBlocked, Forbidden, 403
			}
			list = append(list, e)
			continue
		}
		if what == "badlookup" {
			lookup = Check{Kind: SumDB, Class: ServerError, Status: 500}
		}
		e.Checks = append(e.Checks, Check{Kind: Zip}, supported, lookup)
		list = append(list, e)
	}
	return list
}

// databases parses which routes beside the chain answer: "alias direct".
func databases(answering string) []Database {
	list := []Database{
		{GOSUMDB: "sum.golang.org", Host: "sum.golang.org", Class: Timeout},
		{GOSUMDB: "sum.golang.google.cn", Host: "sum.golang.google.cn", Class: Timeout},
	}
	if strings.Contains(answering, "direct") {
		list[0].Class = ""
	}
	if strings.Contains(answering, "alias") {
		list[1].Class = ""
	}
	return list
}

// exports returns the settings as one line in a fixed order, without URLs'
// common part.
func exports(d Decision) string {
	var list []string
	for _, s := range d.Settings {
		list = append(list, s.Name+"="+s.Value)
	}
	return strings.NewReplacer("https://", "", ".example.com", "").Replace(strings.Join(list, " "))
}

func ids(list []report.Finding) string {
	set := map[string]bool{}
	for _, f := range list {
		set[f.ID] = true
	}
	return strings.Join(slices.Sorted(maps.Keys(set)), " ")
}

type row struct {
	name  string
	mode  policy.Mode
	chain string
	saw   string
	input func(*Input)

	outcome  report.Outcome
	exports  string // "…" at the end: and others
	findings string // ids
}

func (r row) run(t *testing.T) {
	in := Input{Settings: settings(r.mode, r.chain), Evidence: saw(t, r.saw), Databases: databases("direct alias")}
	if r.input != nil {
		r.input(&in)
	}
	d := Decide(in)
	if d.Outcome != r.outcome {
		t.Errorf("outcome %q; want %q (reasons: %q)", d.Outcome, r.outcome, d.Reasons)
	}
	got, want := exports(d), r.exports
	if rest, more := strings.CutSuffix(want, " …"); more {
		want = rest
		got = got[:min(len(got), len(want))]
	}
	if got != want {
		t.Errorf("exports\n %s; want\n %s\n(reasons: %q)", got, want, d.Reasons)
	}
	if got := ids(d.Findings); got != r.findings {
		t.Errorf("findings %q; want %q", got, r.findings)
	}
	replays(t, in, d)
}

// replays checks that the input survives JSON and decides the same again.
func replays(t *testing.T, in Input, d Decision) {
	t.Helper()
	raw, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	again, err := Replay(&report.Report{Replay: raw})
	if err != nil {
		t.Fatal(err)
	}
	if a, b := asJSON(t, d), asJSON(t, again); a != b {
		t.Errorf("replay decides\n%s; want\n%s", b, a)
	}
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestChain(t *testing.T) {
	const db = " GOSUMDB=sum.golang.org"
	for _, r := range []row{
		{name: "all usable", mode: routed, chain: "a b direct", saw: "a=ok b=ok", outcome: "ok", exports: "GOPROXY=a|b/go|direct" + db},
		{name: "no direct", mode: routed, chain: "a b", saw: "a=ok b=ok", outcome: "ok", exports: "GOPROXY=a|b/go" + db},
		{name: "final off stays", mode: routed, chain: "a off", saw: "a=ok", outcome: "ok", exports: "GOPROXY=a|off" + db},
		{name: "only direct", mode: routed, chain: "direct", outcome: "ok", exports: "GOPROXY=direct …"},
		{name: "primary down", mode: routed, chain: "a b direct", saw: "a=refused b=ok", outcome: "fallback", exports: "GOPROXY=b/go|direct" + db, findings: "fallback"},
		{name: "second down", mode: routed, chain: "a b direct", saw: "a=ok b=server-error", outcome: "ok", exports: "GOPROXY=a|direct" + db, findings: "proxy-down"},
		{name: "only direct left is a fallback", mode: routed, chain: "a b direct", saw: "a=dns b=timeout", outcome: "fallback", exports: "GOPROXY=direct …", findings: "fallback proxy-down"},
		{name: "all down", mode: routed, chain: "a b", saw: "a=dns b=timeout", outcome: "exhausted", findings: "exhausted proxy-down"},
		{name: "all down, on_exhausted direct", mode: routed, chain: "a b", saw: "a=dns b=timeout", input: func(in *Input) { in.Settings.OnExhausted = policy.ExhaustedDirect },
			outcome: "fallback", exports: "GOPROXY=direct …", findings: "fallback proxy-down"},
		{name: "all down, on_exhausted keep", mode: routed, chain: "a b", saw: "a=dns b=timeout", input: func(in *Input) { in.Settings.OnExhausted = policy.ExhaustedKeep },
			outcome: "kept", findings: "exhausted proxy-down"},
		{name: "fallback forbidden", mode: routed, chain: "a b", saw: "a=reset b=ok", input: func(in *Input) { in.Settings.OnFallback = policy.FallbackFail },
			outcome: "fallback", findings: "fallback"},
		{name: "captive portal", mode: routed, chain: "a b", saw: "a=captive-portal b=ok", outcome: "fallback", exports: "GOPROXY=b/go" + db, findings: "fallback"},
		{name: "zips blocked", mode: routed, chain: "a b", saw: "a=zip-blocked b=ok", outcome: "fallback", exports: "GOPROXY=b/go" + db, findings: "fallback"},
		{name: "silent when settled is left out, not down", mode: routed, chain: "a b c direct", saw: "a=ok b=ok c=silent-until-done", outcome: "ok", exports: "GOPROXY=a|b/go|direct" + db},
		{name: "never asked is left out", mode: routed, chain: "a b direct", saw: "a=ok", outcome: "ok", exports: "GOPROXY=a|direct" + db},
		{name: "degraded is usable", mode: routed, chain: "a direct", saw: "a=nolist", outcome: "ok", exports: "GOPROXY=a|direct" + db, findings: "proxy-degraded"},

		{name: "toolchain nowhere", mode: routed, chain: "a b", saw: "a=notool b=notool", outcome: "ok", exports: "GOPROXY=a|b/go" + db, findings: "proxy-degraded toolchain-unavailable"},
		{name: "toolchain at the second", mode: routed, chain: "a b", saw: "a=notool b=tool", outcome: "ok", exports: "GOPROXY=a|b/go" + db, findings: "proxy-degraded"},

		{name: "comma after a gatekeeper", mode: routed, chain: "g direct", saw: "g=ok", outcome: "ok", exports: "GOPROXY=g,direct" + db},
		{name: "overridable gatekeeper before a public proxy", mode: routed, chain: "o a direct", saw: "o=ok a=ok", outcome: "ok", exports: "GOPROXY=o,a|direct" + db},
		{name: "a gatekeeper's outage is no permission", mode: routed, chain: "g direct", saw: "g=server-error", outcome: "exhausted", findings: "exhausted proxy-down"},
		{name: "nor is a gatekeeper's silence", mode: routed, chain: "a g direct", saw: "a=ok g=silent-until-done", outcome: "ok", exports: "GOPROXY=a" + db},
		{name: "a second gatekeeper may stand in", mode: routed, chain: "g h direct", saw: "g=server-error h=ok", outcome: "fallback", exports: "GOPROXY=h" + db, findings: "fallback"},
		{name: "overridable gatekeeper down", mode: routed, chain: "o a direct", saw: "o=server-error a=ok", outcome: "fallback", exports: "GOPROXY=a|direct" + db, findings: "fallback"},
		{name: "a gatekeeper that refuses the canary keeps its place", mode: routed, chain: "g direct", saw: "g=forbidden", outcome: "ok", exports: "GOPROXY=g,direct" + db, findings: "proxy-unknown sumdb-unverified"},
		{name: "a gatekeeper that refuses the canary's zip keeps its place", mode: routed, chain: "g direct", saw: "g=zip403", outcome: "ok", exports: "GOPROXY=g,direct" + db, findings: "proxy-unknown sumdb-unverified"},
		{name: "a public proxy that refuses zips is down", mode: routed, chain: "a b", saw: "a=zip403 b=ok", outcome: "fallback", exports: "GOPROXY=b/go" + db, findings: "fallback"},
		{name: "a public proxy that refuses the canary is down", mode: routed, chain: "a b", saw: "a=forbidden b=ok", outcome: "fallback", exports: "GOPROXY=b/go" + db, findings: "fallback"},
		{name: "a private proxy without the canary keeps its place", mode: routed, chain: "p a", saw: "p=not-found a=ok", outcome: "ok", exports: "GOPROXY=p|a" + db, findings: "proxy-unknown"},

		{name: "enforced: commas, nothing after", mode: enforced, chain: "g h", saw: "g=ok h=ok", outcome: "ok",
			exports: "GOPROXY=g,h GONOPROXY=none GOSUMDB=sum.golang.org g/sumdb/sum.golang.org GOVCS=*:off"},
		{name: "enforced: first down", mode: enforced, chain: "g h", saw: "g=timeout h=ok", outcome: "fallback",
			exports: "GOPROXY=h GONOPROXY=none GOSUMDB=sum.golang.org h/sumdb/sum.golang.org GOVCS=*:off", findings: "fallback"},
		{name: "enforced: refused canary is final, not a way around", mode: enforced, chain: "g", saw: "g=forbidden", outcome: "ok",
			exports: "GOPROXY=g GONOPROXY=none GOSUMDB=sum.golang.org g/sumdb/sum.golang.org GOVCS=*:off", findings: "proxy-unknown sumdb-unreachable"},
		{name: "enforced: never direct, even if asked", mode: enforced, chain: "g direct", saw: "g=ok", outcome: "ok",
			exports: "GOPROXY=g GONOPROXY=none GOSUMDB=sum.golang.org g/sumdb/sum.golang.org GOVCS=*:off"},
		{name: "enforced: on_exhausted direct is ignored", mode: enforced, chain: "g", saw: "g=timeout", input: func(in *Input) { in.Settings.OnExhausted = policy.ExhaustedDirect },
			outcome: "exhausted", findings: "exhausted proxy-down"},
		{name: "enforced: the written order stays", mode: enforced, chain: "g h", saw: "g=2s h=ok", input: func(in *Input) { in.Settings.Strategy = policy.Fastest }, outcome: "ok",
			exports: "GOPROXY=g,h …", findings: "proxy-slow"},

		{name: "slow primary is displaced", mode: routed, chain: "a b", saw: "a=2s b=ok", outcome: "fallback", exports: "GOPROXY=b/go|a" + db, findings: "fallback"},
		{name: "slow primary stays without a better one", mode: routed, chain: "a b", saw: "a=2s b=1900ms", outcome: "ok", exports: "GOPROXY=a|b/go" + db, findings: "proxy-slow"},
		{name: "order ignores small differences", mode: routed, chain: "a b", saw: "a=700ms b=ok", outcome: "ok", exports: "GOPROXY=a|b/go" + db},
		{name: "fastest", mode: routed, chain: "a b c direct", saw: "a=700ms b=400ms c=ok", input: func(in *Input) { in.Settings.Strategy = policy.Fastest },
			outcome: "fallback", exports: "GOPROXY=c|a|b/go|direct" + db, findings: "fallback"},
		{name: "fastest needs 100 ms", mode: routed, chain: "a b", saw: "a=110ms b=ok", input: func(in *Input) { in.Settings.Strategy = policy.Fastest }, outcome: "ok", exports: "GOPROXY=a|b/go" + db},
		{name: "fastest needs 30 %", mode: routed, chain: "a b", saw: "a=500ms b=390ms", input: func(in *Input) { in.Settings.Strategy = policy.Fastest }, outcome: "ok", exports: "GOPROXY=a|b/go" + db},
		{name: "nothing overtakes a gatekeeper", mode: routed, chain: "a o b", saw: "a=2s o=ok b=ok", outcome: "ok", exports: "GOPROXY=a|o,b/go" + db, findings: "proxy-slow"},

		{name: "loopback as primary keeps its place", mode: routed, chain: "l a", saw: "l=local a=ok", outcome: "ok", exports: "GOPROXY=http://127.0.0.1:3000|a" + db, findings: "proxy-unknown"},
		{name: "loopback is no fallback", mode: routed, chain: "a l b", saw: "a=refused l=local b=ok", outcome: "fallback", exports: "GOPROXY=b/go" + db, findings: "fallback proxy-unknown"},
		{name: "loopback behind a usable one keeps its place", mode: routed, chain: "a l b", saw: "a=ok l=local b=ok", outcome: "ok", exports: "GOPROXY=a|http://127.0.0.1:3000|b/go" + db, findings: "proxy-unknown"},
		{name: "loopback alone is not exhausted", mode: routed, chain: "l", saw: "l=local", outcome: "ok", exports: "GOPROXY=http://127.0.0.1:3000" + db, findings: "proxy-unknown sumdb-unverified"},
		{name: "private name from a container", mode: routed, chain: "u a", saw: "u=dns a=ok", input: func(in *Input) { in.Container = true }, outcome: "ok", exports: "GOPROXY=goproxy.corp.internal|a" + db, findings: "proxy-unknown"},
		{name: "private name outside a container is down", mode: routed, chain: "u a", saw: "u=dns a=ok", outcome: "fallback", exports: "GOPROXY=a" + db, findings: "fallback"},
		{name: "public name from a container is down", mode: routed, chain: "a b", saw: "a=dns b=ok", input: func(in *Input) { in.Container = true }, outcome: "fallback", exports: "GOPROXY=b/go" + db, findings: "fallback"},
		{name: "unknown CA from a container", mode: routed, chain: "a b", saw: "a=unknown-ca b=ok", input: func(in *Input) { in.Container = true }, outcome: "ok", exports: "GOPROXY=a|b/go" + db, findings: "proxy-unknown"},
		{name: "unknown CA outside a container is down", mode: routed, chain: "a b", saw: "a=unknown-ca b=ok", outcome: "fallback", exports: "GOPROXY=b/go" + db, findings: "fallback"},
		{name: "forbidden host is not exported", mode: routed, chain: "a b", saw: "a=not-allowed b=ok", outcome: "fallback", exports: "GOPROXY=b/go" + db, findings: "fallback"},

		{name: "no policy file and GOPROXY set", mode: routed, chain: "a b", saw: "a=ok b=ok", input: func(in *Input) { in.Keep = true }, outcome: "kept"},
	} {
		t.Run(r.name, r.run)
	}
}
