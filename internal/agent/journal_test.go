package agent

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/org/goproxy-setup/internal/agent/pool"
	"github.com/org/goproxy-setup/internal/agent/upstream"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/report"
)

var update = flag.Bool("update", false, "rewrite golden files")

// journalSettings are those of a chain of two proxies and "direct".
func journalSettings() *policy.Settings {
	place := func(column int) report.Place {
		return report.Place{File: "policy.yaml", Line: 7, Column: column}
	}
	return &policy.Settings{
		Environment: "staging", Source: "input environment", Mode: policy.Routed, OnFallback: policy.FallbackWarn,
		Chain: []policy.Entry{
			{Name: "first", URL: "https://first.example.com", Place: place(13)},
			{Name: "second", URL: "https://second.example.com", Place: place(20)},
			{Name: "direct", Place: place(28)},
		},
		Places: map[string]report.Place{"chain": place(5)},
	}
}

func file(path string, kind modproxy.Kind) modproxy.File {
	return modproxy.File{Path: path, Version: "v1.0.0", Kind: kind}
}

// got is a file that source served after the outcomes, of a route that begins
// with first.
func got(path string, kind modproxy.Kind, source string, outcomes ...pool.Outcome) Event {
	return Event{Kind: string(kind), File: file(path, kind), Result: ResultFetched, First: "first", Source: source, Outcomes: outcomes}
}

func missed(path string, kind modproxy.Kind, result Result, outcomes ...pool.Outcome) Event {
	return Event{Kind: string(kind), File: file(path, kind), Result: result, First: "first", Outcomes: outcomes,
		Cause: "no module proxy could serve it\nfirst: …"}
}

var (
	badGateway = pool.Outcome{Proxy: "first", Class: decision.ServerError, Status: 502, Detail: `502 Bad Gateway ("upstream down")`}
	refused2   = pool.Outcome{Proxy: "second", Class: decision.Refused, Detail: "connection refused"}
	absent     = pool.Outcome{Proxy: "first", Class: decision.Missing, Status: 404, Detail: "404 Not Found"}
	overtaken  = pool.Outcome{Proxy: "first", Class: decision.Cancelled, Detail: "given up"}
	idle       = pool.Outcome{Proxy: "second", Class: upstream.NotAsked, Detail: "not asked"}
)

func TestJournal(t *testing.T) {
	many := func(n int, event func(i int) Event) (list []Event) {
		for i := range n {
			list = append(list, event(i))
		}
		return list
	}
	fine := func(i int) Event { return got(fmt.Sprintf("example.com/fine%02d", i), modproxy.Zip, "first") }
	for _, tt := range []struct {
		name    string
		events  []Event
		outcome report.Outcome
		summary string
		finding string // the worst one: "ID severity place message", "" if there is none
	}{
		{"nothing asked", nil, report.OK, "No module was asked for.", ""},
		{"all from the first", []Event{got("example.com/a", modproxy.Info, "first"), got("example.com/a", modproxy.Zip, "first")}, report.OK,
			"1 module, 1 from first.", ""},
		{"the first breaks", append(many(40, fine), got("example.com/a", modproxy.Zip, "second", badGateway), got("example.com/b", modproxy.Zip, "second")),
			report.Fallback, "42 modules, 40 from first, 2 from second (first: 502 Bad Gateway).",
			`fallback warning policy.yaml:7:13 first failed while serving example.com/a@v1.0.0 (.zip): 502 Bad Gateway ("upstream down"); it came from second; 1 more request likewise`},
		{"the first has not got it", []Event{got("example.com/a", modproxy.Zip, "second", absent)}, report.OK, "1 module, 1 from second.", ""},
		{"a little late", append(many(20, fine), got("example.com/a", modproxy.Zip, "second", overtaken)), report.OK,
			"21 modules, 20 from first, 1 from second.", ""},
		{"always late", []Event{fine(0), got("example.com/a", modproxy.Zip, "second", overtaken), got("example.com/b", modproxy.Zip, "second")},
			report.Fallback, "3 modules, 1 from first, 2 from second.",
			"fallback warning policy.yaml:7:13 first was late for 2 of 3 files, which other proxies served sooner"},
		{"nobody can serve", []Event{missed("example.com/a", modproxy.Info, ResultFailed, badGateway, refused2), missed("example.com/b", modproxy.Mod, ResultFailed, badGateway, refused2)},
			report.Fallback, "0 modules (first: 502 Bad Gateway; second: connection refused); 2 files could not be served.",
			`not-served error policy.yaml:7:5 example.com/a@v1.0.0 (.info): first: 502 Bad Gateway ("upstream down"); second: connection refused; likewise example.com/b@v1.0.0 (.mod)`},
		{"served after all", []Event{missed("example.com/a", modproxy.Zip, ResultFailed, badGateway), got("example.com/a", modproxy.Zip, "first")},
			report.Fallback, "1 module, 1 from first (first: 502 Bad Gateway).",
			`fallback warning policy.yaml:7:13 first failed while serving example.com/a@v1.0.0 (.zip): 502 Bad Gateway ("upstream down")`},
		{"a gatekeeper refuses", []Event{missed("example.com/a", modproxy.Zip, ResultDenied,
			pool.Outcome{Proxy: "first", Class: decision.Forbidden, Status: 403, Detail: `403 Forbidden ("licence")`, Gatekeeper: true}, idle)},
			report.OK, "0 modules; 1 file could not be served.",
			`not-allowed error policy.yaml:7:5 example.com/a@v1.0.0 (.zip): first: 403 Forbidden ("licence")`},
		{"a rule refuses", []Event{{Kind: "zip", File: file("example.com/a", modproxy.Zip), Result: ResultDenied, Cause: "the policy names no proxy"}},
			report.OK, "0 modules; 1 file could not be served.", "not-allowed error policy.yaml:7:5 example.com/a@v1.0.0 (.zip): the policy names no proxy"},
		{"checksum database", []Event{fine(0), {Kind: "sumdb", Result: ResultFailed, Cause: "no route"}}, report.OK, "1 module, 1 from first.",
			"sumdb-not-served error  1 request to the checksum database could not be answered: no route"},
		{"fetched before it was asked for", []Event{{Kind: "info", File: file("example.com/a", modproxy.Info), Result: ResultFetched, First: "first", Source: "second",
			Outcomes: []pool.Outcome{badGateway}, Ahead: true}, {Kind: "info", File: file("example.com/a", modproxy.Info), Result: ResultHit, Source: "second"}, got("example.com/a", modproxy.Zip, "first")},
			report.Fallback, "1 module, 1 from first (first: 502 Bad Gateway).",
			`fallback warning policy.yaml:7:13 first failed while serving example.com/a@v1.0.0 (.info): 502 Bad Gateway ("upstream down"); it came from second`},
		{"a lookup of a private name", []Event{fine(0), {Kind: "sumdb", Result: ResultDenied, Cause: "git.example.com is private"}}, report.OK, "1 module, 1 from first.", ""},
		{"from the store", []Event{{Kind: "zip", File: file("example.com/a", modproxy.Zip), Result: ResultHit, Source: "first"}}, report.OK,
			"1 module, 1 from the store.", ""},
		{"nobody waited", []Event{{Kind: "zip", File: file("example.com/a", modproxy.Zip), Result: ResultLeft}}, report.OK, "No module was asked for.", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var j Journal
			for _, e := range tt.events {
				j.Add(e)
			}
			r := j.Report(journalSettings())
			finding := ""
			if len(r.Findings) > 0 {
				f := r.Findings[0]
				finding = fmt.Sprintf("%s %s %s %s", f.ID, f.Severity, f.Place, f.Message)
				if f.Fix == "" {
					t.Error("the finding has no next step")
				}
			}
			if r.Outcome != tt.outcome || r.Summary != tt.summary || finding != tt.finding {
				t.Errorf("got %s, %q\n%q; want %s, %q\n%q", r.Outcome, r.Summary, finding, tt.outcome, tt.summary, tt.finding)
			}
			if len(r.Settings)+len(r.Outputs) > 0 {
				t.Errorf("settings %v, outputs %v: a report must not export anything", r.Settings, r.Outputs)
			}
		})
	}
}

// TestJournalReport holds the whole report of a run in which everything happens.
func TestJournalReport(t *testing.T) {
	var j Journal
	for _, e := range []Event{
		got("example.com/a", modproxy.Mod, "first"), got("example.com/a", modproxy.Zip, "second", badGateway),
		got("example.com/b", modproxy.Zip, "second"), got("example.com/c", modproxy.Info, "first"),
		got("git.corp.example.com/d", modproxy.Zip, "second", absent),
		{Kind: "zip", File: file("example.com/e", modproxy.Zip), Result: ResultHit, Source: "second"},
		{Kind: "list", File: modproxy.File{Path: "example.com/f", Kind: modproxy.List}, Result: ResultStale, Outcomes: []pool.Outcome{badGateway, refused2}},
		missed("example.com/g", modproxy.Zip, ResultFailed, badGateway, refused2), missed("example.com/h", modproxy.Info, ResultAbsent, absent),
	} {
		j.Add(e)
	}
	r, err := json.MarshalIndent(j.Report(journalSettings()), "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join("testdata", "journal.json")
	if *update {
		os.MkdirAll("testdata", 0o777)
		if err := os.WriteFile(name, append(r, '\n'), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(name); err != nil || string(want) != string(r)+"\n" {
		t.Errorf("%s is out of date (%v): run go test -update and read the diff; got\n%s", name, err, r)
	}
}

// TestJournalIsBounded fills a journal from many sides: it counts what it does
// not keep, and lists the modules that have a story.
func TestJournalIsBounded(t *testing.T) {
	var j Journal
	var wg sync.WaitGroup
	const each = maxModules/4 + 500
	for part := range 4 {
		wg.Go(func() {
			for i := range each {
				path := fmt.Sprintf("example.com/%d/%d", part, i)
				j.Add(got(path, modproxy.Zip, "first"))
				j.Add(missed(path, modproxy.Mod, ResultFailed, badGateway))
			}
		})
	}
	j.Add(got("example.com/story", modproxy.Zip, "second", badGateway))
	wg.Wait()
	r := j.Report(journalSettings())
	if len(j.modules) != maxModules || len(j.unsold) != maxUnsold {
		t.Errorf("%d modules and %d files are kept; want %d and %d", len(j.modules), len(j.unsold), maxModules, maxUnsold)
	}
	table := r.Tables[0]
	if n := len(table.Rows) + table.More; len(table.Rows) != maxRows || n != 4*each+1 {
		t.Errorf("%d rows and %d more; want %d, and %d altogether", len(table.Rows), table.More, maxRows, 4*each+1)
	}
	if !strings.Contains(r.Summary, fmt.Sprintf("%d files could not be served", 4*each)) || !strings.HasPrefix(r.Summary, "more than 20000 modules") {
		t.Errorf("summary %q", r.Summary)
	}
	for _, f := range r.Findings {
		if len(f.Message) > 2000 {
			t.Errorf("%s: a message of %d bytes", f.ID, len(f.Message))
		}
	}
}
