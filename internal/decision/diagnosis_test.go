package decision

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/report"
)

var update = flag.Bool("update", false, "rewrite golden files")

// golden compares got with a file, which "go test -update" rewrites first.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	file = filepath.Join("testdata", file)
	if *update {
		if err := os.MkdirAll("testdata", 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is out of date (%v): run go test -update and read the diff; got\n%s", file, err, got)
	}
}

// broke is evidence of a proxy that passed the phases before the named one.
func broke(entry string, at CheckKind, class Class, status int, detail, next string) Evidence {
	e := Evidence{Entry: entry, Class: class, Detail: detail, Next: next}
	for _, kind := range []CheckKind{DNS, TCP, TLS, HTTP, Zip} {
		if kind == at {
			if at == Zip && status != 0 && status != 200 {
				e.Checks[len(e.Checks)-1].Status = status // the answer's
			}
			e.Checks = append(e.Checks, Check{Kind: kind, Class: class, Status: status, Detail: detail})
			return e
		}
		e.Checks = append(e.Checks, Check{Kind: kind})
	}
	return e
}

// A tired person reads one paragraph: who is to blame, how far it came, what
// that means, what to do, what else was tried.
func TestDiagnosis(t *testing.T) {
	ok := func(entry string) Evidence { return Evidence{Entry: entry, Checks: []Check{{Kind: Zip}}} }
	var b strings.Builder
	for _, tt := range []struct {
		name     string
		settings policy.Settings
		change   func(*Input)
		evidence []Evidence
	}{
		{"ok", settings(routed, "a b direct"), nil, []Evidence{ok("a"), ok("b")}},
		{"dns", settings(routed, "p b direct"), nil, []Evidence{
			broke("p", DNS, DNSFailure, 0, "no such host p.example.com", "DNS, not the proxy: this machine's name server must know p.example.com; check the spelling"), ok("b")}},
		{"refused", settings(routed, "p b c direct"), nil, []Evidence{
			broke("p", TCP, Refused, 0, "connection refused", "check the host and port of p.example.com"), broke("b", TCP, Timeout, 0, "no connection", "x"), ok("c")}},
		{"unknown authority", settings(enforced, "g"), nil, []Evidence{
			broke("g", TLS, UnknownCA, 0, `the certificate of g.example.com was issued by "Example Corp Root CA", which is not trusted here`, "trust the authority that issued it: tls.ca of g in the policy")}},
		{"silent", settings(routed, "a b direct"), nil, []Evidence{
			broke("a", HTTP, Silent, 0, "it accepted the request, and then did not answer within 5s", "restart a.example.com or what stands before it"), ok("b")}},
		{"a server's error", settings(routed, "a b direct"), nil, []Evidence{
			broke("a", Zip, ServerError, 502, "rsc.io/quote@v1.5.2.zip: 502 Bad Gateway", "tell whoever runs a.example.com of it"), ok("b")}},
		{"zips blocked", settings(routed, "a b direct"), nil, []Evidence{
			broke("a", Zip, ZipBlocked, 0, "zips are kept at storage.example.com, which fails: connection refused", "allow storage.example.com, too: a.example.com redirects there for zips"), ok("b")}},
		{"silent until done", settings(routed, "a b direct"), nil, []Evidence{{Entry: "a", Class: Cancelled, Detail: "silent for 450ms", Next: "nothing, if another proxy serves the build"}, ok("b")}},
		{"everything is a portal", settings(routed, "a b c"), nil, []Evidence{
			broke("a", Zip, Portal, 200, "not a zip; it begins \"<html>\"", "open it in a browser"), broke("b", Zip, Portal, 200, "not a zip", "x"), broke("c", Zip, Portal, 200, "not a zip", "x")}},
		{"nothing is left", settings(routed, "a b"), nil, []Evidence{
			broke("a", Zip, WrongContent, 200, "a valid zip with other content", "do not use it until its cache is cleared"), broke("b", Zip, RateLimited, 429, "429 Too Many Requests", "x")}},
		{"a fallback that is not allowed", settings(routed, "a b"), func(in *Input) { in.Settings.OnFallback = policy.FallbackFail }, []Evidence{
			broke("a", Zip, Unauthorized, 401, "401 Unauthorized", "the login for a.example.com was refused: it may have expired"), ok("b")}},
		{"kept", settings(routed, "a direct"), func(in *Input) { in.Keep = true }, []Evidence{broke("a", TCP, Timeout, 0, "no connection to a.example.com within 3s", "allow it in the egress rules")}},
		{"no checksum database", settings(routed, "a"), func(in *Input) {
			in.Settings.SumDB = policy.SumDBRequired
			in.Databases = []Database{{GOSUMDB: "sum.example.com", Host: "sum.example.com", Class: Refused, Detail: "connection refused"}}
		}, []Evidence{{Entry: "a", Checks: []Check{{Kind: Zip}, {Kind: Supported, Class: Forbidden, Status: 403}, {Kind: SumDB, Class: Forbidden, Status: 403}}}}},
		{"missing modules", settings(routed, "a"), func(in *Input) {
			in.Preflight = &report.Preflight{File: "go.sum", Modules: 12, Served: 10, Failed: 2,
				Proxies: []report.PreflightProxy{{Name: "a", Asked: 22, Served: 20, Missing: 1, Refused: 1, Next: "ask whoever runs a.example.com why zips are refused while .mod files are served"}},
				Notable: []report.PreflightModule{
					{Path: "example.com/big", Version: "v1.0.0", Fate: report.FateStopped, File: "zip", Proxy: "a", Class: "forbidden", Cause: "a: 403 Forbidden; its .mod file is served"},
					{Path: "example.com/gone", Version: "v1.0.0", Fate: report.FateMissing, File: "mod", Proxy: "a", Class: "not-found", Cause: "a: 404 Not Found"},
				}}
		}, []Evidence{ok("a")}},
	} {
		in := Input{Settings: tt.settings, Evidence: tt.evidence}
		if tt.change != nil {
			tt.change(&in)
		}
		d := Decide(in)
		fmt.Fprintf(&b, "%s (%s)\n%s\n\n", tt.name, d.Outcome, d.Diagnosis)
		if (d.Diagnosis == "") != (d.Outcome == report.OK) {
			t.Errorf("%s: outcome %s with the diagnosis %q", tt.name, d.Outcome, d.Diagnosis)
		}
		if strings.Contains(d.Diagnosis, "\n") || strings.Contains(d.Diagnosis, "..") {
			t.Errorf("%s: not one paragraph: %q", tt.name, d.Diagnosis)
		}
	}
	golden(t, "diagnosis.txt", []byte(b.String()))
}

// Each class of failure means something.
func TestEveryClassHasAMeaning(t *testing.T) {
	for _, c := range []Class{DNSFailure, Refused, Timeout, Silent, Stalled, Reset, UnknownCA, BadTLS, Unauthorized, Forbidden, RateLimited,
		ServerError, BadStatus, Missing, Portal, WrongContent, ZipBlocked, BadRedirect, NotAllowed, NoProxyPath, Local, Cancelled} {
		if meaning[c] == "" {
			t.Errorf("class %s has no meaning", c)
		}
	}
}

// A preflight that fails takes back what was decided; one that does not changes
// nothing but what people are told.
func TestPreflight(t *testing.T) {
	missing := []report.PreflightModule{{Path: "x.example.com/m", Version: "v1.0.0", Fate: report.FateMissing, File: "mod", Place: report.Place{File: "go.sum", Line: 7}}}
	for _, tt := range []struct {
		name    string
		p       *report.Preflight
		outcome report.Outcome
		finding string
		holds   bool
	}{
		{"none", nil, report.OK, "", true},
		{"all served", &report.Preflight{Modules: 2, Served: 2}, report.OK, "", true},
		{"one missing", &report.Preflight{Modules: 2, Served: 1, Failed: 1, Notable: missing}, report.Incomplete, "preflight-failed", false},
		{"no time", &report.Preflight{Modules: 2, Served: 1, Unasked: 1}, report.OK, "preflight-unasked", false},
		{"withheld", &report.Preflight{Modules: 2, Served: 1, Withheld: 1}, report.OK, "preflight-withheld", true},
		{"direct", &report.Preflight{Modules: 2, Served: 1, Direct: 1, Notable: []report.PreflightModule{{Fate: report.FateDirect}}}, report.OK, "preflight-direct", true},
		{"forced", &report.Preflight{Modules: 2, Served: 1, Direct: 1, Forced: 1, Notable: []report.PreflightModule{{Fate: report.FateDirect, Forced: true}}}, report.OK, "preflight-direct", false},
		{"a dead proxy", &report.Preflight{Modules: 2, Served: 2, Proxies: []report.PreflightProxy{{Name: "a", Asked: 4, Failed: 4}}}, report.OK, "preflight-proxy", false},
	} {
		in := Input{Settings: settings(routed, "a direct"), Evidence: saw(t, "a=ok"), Preflight: tt.p}
		d := Decide(in)
		if d.Outcome != tt.outcome || (len(d.Settings) > 0) != (tt.outcome == report.OK) {
			t.Errorf("%s: outcome %s with %d settings; want %s", tt.name, d.Outcome, len(d.Settings), tt.outcome)
		}
		id := ""
		for _, f := range d.Findings {
			if strings.HasPrefix(f.ID, "preflight") {
				id = f.ID
			}
		}
		if id != tt.finding {
			t.Errorf("%s: finding %q; want %q", tt.name, id, tt.finding)
		}
		if tt.p != nil && PreflightHolds(tt.p) != tt.holds {
			t.Errorf("%s: it holds: %v", tt.name, !tt.holds)
		}
	}
}
