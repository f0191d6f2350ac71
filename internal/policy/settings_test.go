package policy

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/report"
)

func names(chain []Entry) string {
	var list []string
	for _, e := range chain {
		list = append(list, e.Name)
	}
	return strings.Join(list, " ")
}

func TestBuiltIn(t *testing.T) {
	p := BuiltIn()
	c, err := p.Choose(Facts{Branch: "main"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.Settings(c, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := Settings{
		Policy: "built-in policy", Environment: "default", Block: "default", Source: "default",
		Mode: Routed, Chain: s.Chain, PrivateVia: ViaDirect, SumDB: SumDBPreferred,
		Probe:    Probe{5 * time.Second, 800 * time.Millisecond, 2, "go.sum"},
		Strategy: Order, OnFallback: FallbackWarn, OnExhausted: ExhaustedFail,
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("built-in settings = %+v, want %+v", s, want)
	}
	if got := names(s.Chain); got != "official goproxy.cn direct" {
		t.Errorf("built-in chain = %s", got)
	}
	for _, e := range s.Proxies() {
		if _, err := goenv.CheckEntry(e.URL); err != nil || !e.Full {
			t.Errorf("%+v: %v", e, err)
		}
	}
	if len(p.Findings()) > 0 {
		t.Errorf("findings: %v", p.Findings())
	}
}

// Whatever a valid policy says survives the report, so that it can be replayed.
func TestSettingsSurviveJSON(t *testing.T) {
	for file, data := range policies(t, "valid") {
		p, err := Parse(file, data)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range p.environmentNames() {
			mustSurviveJSON(t, settingsFor(t, p, name, nil))
		}
	}
}

func mustSurviveJSON(t *testing.T, s *Settings) {
	t.Helper()
	data, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var back Settings
	if err := json.Unmarshal(data, &back); err != nil || !reflect.DeepEqual(*s, back) {
		t.Errorf("settings change in JSON (%v):\n%+v\n%+v", err, *s, back)
	}
}

// An environment's word counts more than the top's, setting by setting, and
// each setting knows the line it comes from.
func TestInheritance(t *testing.T) {
	p := mustParse(t, `
sumdb: required
strategy: fastest
probe: { timeout: 2s, keep: 3 }
private: [top.example.com]
environments:
  default:
    chain: [direct]
    strategy: order
    private: [own.example.com, top.example.com]
    probe: { timeout: 4s }
`)
	s := settingsFor(t, p, "default", nil)
	if s.SumDB != SumDBRequired || s.Strategy != Order || s.Probe.Timeout != 4*time.Second || s.Probe.Keep != 3 || s.Probe.Slow != 800*time.Millisecond {
		t.Errorf("settings = %+v", s)
	}
	if got := strings.Join(s.Private, ","); got != "top.example.com,own.example.com" {
		t.Errorf("private = %s: patterns add up, nothing becomes public by saying less", got)
	}
	for key, line := range map[string]int{"sumdb": 2, "strategy": 9, "probe.timeout": 11, "probe.keep": 4, "private": 10, "chain": 8, "environment": 7} {
		if at := s.Places[key]; at.Line != line || at.File != "policy.yaml" || at.Column == 0 {
			t.Errorf("%s is at %v, want line %d", key, at, line)
		}
	}
	for _, key := range []string{"probe.slow", "mode", "on_fallback"} {
		if at, ok := s.Places[key]; ok {
			t.Errorf("the default of %s is at %v", key, at)
		}
	}
}

func TestVariants(t *testing.T) {
	p := mustParse(t, `
environments:
  default:
    chain: [goproxy.cn, direct]
    variants:
      - { when: { variable: REGION, is: "eu-*" }, chain: [official, direct] }
      - { when: { variable: REGION, is: "*" }, chain: [goproxy.io, direct] }
      - { when: { variable: SITE, is: home }, chain: [direct] }
`)
	for _, tt := range []struct {
		name      string
		variables map[string]string
		want      string
		line      int
	}{
		{"not set", nil, "goproxy.cn direct", 0},
		{"empty is not set", map[string]string{"REGION": ""}, "goproxy.cn direct", 0},
		{"first that matches", map[string]string{"REGION": "eu-west-1", "SITE": "home"}, "official direct", 6},
		{"second", map[string]string{"REGION": "cn-north-1"}, "goproxy.io direct", 7},
		{"another variable", map[string]string{"SITE": "home"}, "direct", 8},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := settingsFor(t, p, "default", tt.variables)
			if got := names(s.Chain); got != tt.want || s.Places["variant"].Line != tt.line {
				t.Errorf("chain = %s by the variant on line %d, want %s, %d", got, s.Places["variant"].Line, tt.want, tt.line)
			}
		})
	}
}

func TestFromChain(t *testing.T) {
	base := mustParse(t, `
proxies:
  corp: { url: "https://goproxy.corp.example.com/go", gatekeeper: true, private: true, username: ci, password: "${TOKEN}" }
environments:
  default: { chain: [official, direct], on_fallback: fail }
  production: { chain: [corp], mode: enforced }
`)
	for _, tt := range []struct{ chain, environment, want, wantErr string }{
		{"goproxy.cn|direct", "default", "goproxy.cn direct", ""},
		{" goproxy.cn , official ,, direct ", "default", "goproxy.cn official direct", ""},
		{"https://a.example.com,direct", "default", "https://a.example.com direct", ""},
		{"https://goproxy.corp.example.com/go/", "production", "corp", ""},
		{"https://goproxy.corp.example.com/go/,direct", "default", "", `"direct" after the gatekeeper "corp" is a way around it`},
		{"corp,official", "production", "", `"official" is a way around the gatekeepers`},
		{"corp,corp", "default", "", `the chain names "corp" twice`},
		{"direct,corp", "default", "", `"corp" after "direct" is never asked`},
		{"", "default", "", "--chain: the chain is empty"},
		{" ,|", "default", "", "--chain: the chain is empty"},
		{"corq", "default", "", `--chain: unknown proxy "corq" (did you mean "corp"?)`},
		{"https://ci:hunter2@a.example.com", "default", "", "holds credentials"},
		{"http://169.254.169.254", "default", "", "link-local"},
		{strings.Repeat("a,", 17), "default", "", "more than 16 entries"},
	} {
		t.Run(tt.chain, func(t *testing.T) {
			p, err := FromChain(tt.chain, base)
			var s Settings
			if err == nil {
				s, err = p.Settings(Choice{Environment: tt.environment, Block: tt.environment}, nil)
			}
			if tt.wantErr != "" {
				if _, ok := err.(Errors); !ok || !strings.Contains(err.Error(), tt.wantErr) || strings.Contains(err.Error(), "hunter2") {
					t.Errorf("got %v (%T), want Errors with %s", err, err, tt.wantErr)
				}
				return
			}
			if err != nil || names(s.Chain) != tt.want || s.Chain[0].Place != (report.Place{File: "--chain"}) {
				t.Errorf("got %+v, %v; want %s", s.Chain, err, tt.want)
			}
		})
	}
	if got := names(settingsFor(t, base, "default", nil).Chain); got != "official direct" {
		t.Errorf("the base changed: %s", got)
	}
}

// A chain on the command line replaces a variant's, too.
func TestFromChainBeatsVariants(t *testing.T) {
	p, err := FromChain("direct", mustParse(t, `
environments:
  default:
    chain: [official]
    variants: [{ when: { variable: REGION, is: eu }, chain: [goproxy.io] }]
`))
	if err != nil {
		t.Fatal(err)
	}
	s := settingsFor(t, p, "default", map[string]string{"REGION": "eu"})
	if names(s.Chain) != "direct" || s.Places["chain"] != (report.Place{}) || s.Places["variant"] != (report.Place{}) {
		t.Errorf("chain = %s, places %v", names(s.Chain), s.Places)
	}
}

func TestWithPrivate(t *testing.T) {
	base := mustParse(t, "private: [a.example.com]\n")
	p, err := base.WithPrivate("b.example.com,a.example.com,,c.example.com/x")
	if err != nil {
		t.Fatal(err)
	}
	s := settingsFor(t, p, "default", nil)
	if got := strings.Join(s.Private, " "); got != "a.example.com b.example.com c.example.com/x" || s.Places["private"].File != "--private" {
		t.Errorf("private = %s at %v", got, s.Places["private"])
	}
	if got := settingsFor(t, base, "default", nil).Private; len(got) != 1 {
		t.Errorf("the base changed: %v", got)
	}
	_, err = base.WithPrivate("a.example.com, b.example.com")
	if want := `--private: pattern " b.example.com" cannot match: a blank is part of the pattern, so nothing matches (write "b.example.com")`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestWithoutTrust(t *testing.T) {
	p := mustParse(t, `
proxies:
  corp: { url: "https://goproxy.corp.example.com", private: true, username: ci, password: "${TOKEN}" }
sumdb: off
on_exhausted: direct
environments:
  default: { chain: [corp], https_proxy: "http://evil.example.com:8080", http_proxy: "http://evil.example.com:8080" }
  staging: { chain: [corp], sumdb: required, on_exhausted: keep }
  nightly: { chain: [corp], sumdb: off }
`)
	q, ignored := p.WithoutTrust()
	var lines []int
	for _, f := range ignored {
		lines = append(lines, f.Place.Line)
		if f.Severity != report.Notice || f.Place.File != "policy.yaml" {
			t.Errorf("finding %+v", f)
		}
	}
	if want := []int{3, 3, 4, 5, 7, 7, 9}; !slices.Equal(lines, want) {
		t.Errorf("ignored on lines %v, want %v", lines, want)
	}
	for name, want := range map[string][2]string{"default": {"preferred", "fail"}, "staging": {"required", "keep"}, "nightly": {"preferred", "fail"}} {
		s := settingsFor(t, q, name, nil)
		e := s.Chain[0]
		if e.Username != "" || e.Password != "" || !e.Private || s.HTTPSProxy != "" || s.HTTPProxy != "" || string(s.SumDB) != want[0] || string(s.OnExhausted) != want[1] {
			t.Errorf("%s: %+v", name, s)
		}
	}
	if len(q.Findings()) != 0 {
		t.Errorf("warnings of what is ignored: %v", q.Findings())
	}
	if s := settingsFor(t, p, "default", nil); s.Chain[0].Password == "" || s.SumDB != SumDBOff || s.HTTPSProxy == "" || len(p.Findings()) == 0 {
		t.Error("the original changed")
	}
	q, ignored = mustParse(t, `
proxies:
  folder: { url: "file:///workspace/proxy" }
environments:
  default: { chain: [folder, "file:///etc", official], variants: [{ when: { variable: X, is: x }, chain: ["file:///etc", direct] }] }
`).WithoutTrust()
	for x, want := range map[string]string{"": "official", "x": "direct"} {
		s := settingsFor(t, q, "default", map[string]string{"X": x})
		if len(s.Chain) != 1 || s.Chain[0].Name != want || len(ignored) != 3 {
			t.Errorf("file URLs: chain %+v, ignored %v; want %s alone", s.Chain, ignored, want)
		}
	}
	if _, ignored := BuiltIn().WithoutTrust(); len(ignored) != 0 {
		t.Errorf("built-in: %v", ignored)
	}
}

func TestAllows(t *testing.T) {
	open, closed := Settings{}, Settings{Allow: []string{"a.example.com"}}
	if !open.Allows("b.example.com") || closed.Allows("b.example.com") || !closed.Allows("A.example.com") {
		t.Error("Allows does not follow the list")
	}
}

func TestExpand(t *testing.T) {
	values := map[string]string{"A": "1", "B": "${A}"}
	get := func(name string) (string, error) { return values[name], nil }
	for _, tt := range []struct {
		template, want string
		names          []string
	}{
		{"plain", "plain", nil},
		{"${A}", "1", []string{"A"}},
		{"x${A}y${B}z", "x1y${A}z", []string{"A", "B"}},
		{"}{", "}{", nil},
	} {
		got, err := Expand(tt.template, get)
		list, err2 := References(tt.template)
		if got != tt.want || !slices.Equal(list, tt.names) || err != nil || err2 != nil {
			t.Errorf("Expand(%q) = %q, %v, %v, %v; want %q, %v", tt.template, got, err, list, err2, tt.want, tt.names)
		}
	}
	for _, template := range []string{"$", "$A", "a$", "${", "${}", "${A", "${A B}", "${1}", "$${A}", "${${A}}"} {
		if got, err := Expand(template, get); err == nil {
			t.Errorf("Expand(%q) = %q; want an error", template, got)
		}
	}
}

func TestErrorsUnwrap(t *testing.T) {
	_, err := Parse("policy.yaml", []byte("mode: x\nsumdb: y\n"))
	errs := err.(Errors)
	if len(errs) != 2 || len(errs.Unwrap()) != 2 || len(errs.Findings()) != 2 {
		t.Fatalf("got %v", err)
	}
	want := report.Finding{
		ID: "policy-bad-value", Severity: report.Error, Title: "policy error", Message: `mode cannot be "x"`,
		Fix: "valid: routed, enforced", Place: report.Place{File: "policy.yaml", Line: 1, Column: 7},
	}
	if got := errs.Findings()[0]; got != want {
		t.Errorf("finding = %+v, want %+v", got, want)
	}
}

// A hostile file costs bounded time and gives a bounded list.
func TestLimits(t *testing.T) {
	for _, tt := range []struct{ name, text, want string }{
		{"size", strings.Repeat("#", maxBytes+1), "the file is larger than 256 KiB"},
		{"depth", strings.Repeat("[", 20_000), "exceeded max depth"},
		{"mistakes", strings.Repeat("x: 1\n", 500), "400 more mistakes from here on"},
		{"alias to itself", "private: &p [*p]\n", "an item of private must be text, not a list"},
		{
			"aliases multiply", "private: &p [" + strings.Repeat("a.example.com,", 500) + "a]\nenvironments:\n" +
				strings.Repeat(" a: {chain: [direct], private: *p}\n", 500), "is already set",
		},
		{
			"aliases multiply in environments", "private: &p [" + strings.Repeat("a.example.com,", 5000) + "a]\nenvironments:\n" +
				" a: {chain: [direct], private: *p}\n b: {chain: [direct], private: *p}\n c: {chain: [direct], private: *p}\n d: {chain: [direct], private: *p}\n",
			"more than 20000 values",
		},
		{"many unknown names", manyNames(), "unknown proxy"},
		{"long text", "no_proxy: " + strings.Repeat("a", 1025), "at most 1024 bytes long"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Parse("policy.yaml", []byte(tt.text))
			errs, ok := err.(Errors)
			if !ok || len(errs) > maxErrors+1 || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %d mistakes, want %q in\n%v", len(errs), tt.want, err)
			}
		})
	}
}

// manyNames defines many proxies, and chains that misspell each of them.
func manyNames() string {
	var proxies, environments strings.Builder
	long := strings.Repeat("x", 50)
	for i := range 1000 {
		fmt.Fprintf(&proxies, " %s-%d: {url: \"https://h%d.example.com\"}\n", long, i, i)
		fmt.Fprintf(&environments, " e%d: {chain: [%s%d, %s/%d]}\n", i, long, i, long, i)
	}
	return "proxies:\n" + proxies.String() + "environments:\n" + environments.String()
}

// An empty file is most likely a mistake of whoever wrote it, so it is said.
func TestEmptyFile(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n", "~"} {
		p := mustParse(t, text)
		if f := p.Findings(); len(f) != 1 || f[0].Severity != report.Warning {
			t.Errorf("%q: findings %v", text, f)
		}
		if got := names(settingsFor(t, p, "default", nil).Chain); got != "official goproxy.cn direct" {
			t.Errorf("%q: chain %s", text, got)
		}
	}
}

func TestAllPrivate(t *testing.T) {
	for patterns, want := range map[string]int{
		`["*"]`: 1, `["*.*"]`: 1, `[golang.org, github.com]`: 1, `["git.example.com", "github.com/acme/*", "*.example.com"]`: 0,
	} {
		p := mustParse(t, "environments:\n  default: { chain: [official, direct], private: "+patterns+" }\n")
		if got := p.Findings(); len(got) != want || want > 0 && (got[0].Severity != report.Warning || got[0].Place.Line == 0) {
			t.Errorf("private: %s: findings %v, want %d warnings", patterns, got, want)
		}
	}
}
