package goenv

import (
	"fmt"
	"strings"
	"testing"
)

// TestWalk shows a chain of proxies A, B, C in each case; answers are theirs, in
// the order of asking. In want, letters stand for the entries by position.
func TestWalk(t *testing.T) {
	for _, tt := range []struct {
		name, chain string
		request     Request
		answers     []Answer
		want        string // steps and ending
	}{
		{"served", "A,B", Request{File: Zip}, []Answer{OK}, "A.zip: served by A"},
		{"comma moves on after 404", "A,B", Request{File: Zip}, []Answer{Absent, OK}, "A.zip B.zip: served by B"},
		{"comma stops after 502", "A,B", Request{File: Zip}, []Answer{Status}, "A.zip: stopped by A"},
		{"comma stops without an answer", "A,B,direct", Request{File: Mod}, []Answer{Unreachable}, "A.mod: stopped by A"},
		{"bar moves on after 502", "A|B", Request{File: Zip}, []Answer{Status, OK}, "A.zip B.zip: served by B"},
		{"bar moves on without an answer", "A|direct", Request{File: Mod}, []Answer{Unreachable}, "A.mod: direct by B"},
		{"bar moves on after a broken body", "A|B", Request{File: Zip}, []Answer{Broken, OK}, "A.zip B.zip: served by B"},
		{"each separator belongs to the entry before it", "A|B,C", Request{File: Info}, []Answer{Status, Status}, "A.info B.info: stopped by B"},
		{"no separator saves from silence", "A|B|direct", Request{File: Info}, []Answer{Hang}, "A.info: hung by A"},

		{"the last error is shown", "A|B", Request{File: Info}, []Answer{Status, Status}, "A.info B.info: stopped by B"},
		{"but not a later 404", "A|B,C", Request{File: Info}, []Answer{Status, Absent, Absent}, "A.info B.info C.info: stopped by A"},
		{"nor off", "A|off", Request{File: Info}, []Answer{Status}, "A.info: stopped by A"},
		{"all absent", "A,B", Request{File: Info}, []Answer{Absent, Absent}, "A.info B.info: not found by B"},
		{"off after absent", "A,off", Request{File: Info}, []Answer{Absent}, "A.info: off by B"},
		{"off alone", "off", Request{File: Info}, nil, ": off by A"},
		{"direct alone", "direct", Request{File: Info}, nil, ": direct by A"},

		{"HTML as .info is seen in time", "A|B", Request{File: Info}, []Answer{Garbage, OK}, "A.info B.info: served by B"},
		{"another version too", "A,B", Request{File: Info}, []Answer{Wrong}, "A.info: stopped by A"},
		{"HTML as .mod passes for one", "A|B", Request{File: Mod}, []Answer{Garbage}, "A.mod: swallowed by A"},
		{"go.sum refuses it, too late", "A|B", Request{File: Mod, Vouch: GoSum}, []Answer{Garbage}, "A.mod: late fatal by A"},
		{"the database refuses it in time", "A|B", Request{File: Mod, Vouch: Database}, []Answer{Garbage, OK}, "A.mod B.mod: served by B"},
		{"and with a comma that is the end", "A,B", Request{File: Mod, Vouch: Database}, []Answer{Wrong}, "A.mod: stopped by A"},
		{"HTML as zip is seen too late", "A|B", Request{File: Zip}, []Answer{Garbage}, "A.zip: late fatal by A"},
		{"a silently cut zip too", "A|B", Request{File: Zip, Vouch: Database}, []Answer{Truncated}, "A.zip: late fatal by A"},
		{"a tampered zip too", "A|B", Request{File: Zip, Vouch: Database}, []Answer{Wrong}, "A.zip: late fatal by A"},
		{"unless nobody can tell", "A|B", Request{File: Zip}, []Answer{Wrong}, "A.zip: swallowed by A"},

		{"a list", "A,B", Request{File: List}, []Answer{Absent, OK}, "A.list B.list: served by B"},
		{"HTML as a list means no versions", "A|B", Request{File: List}, []Answer{Garbage}, "A.list: swallowed by A"},
		{"query", "A,B", Request{File: Latest}, []Answer{OK, OK}, "A.list A.info: served by A"},
		{"query with the .info missing", "A,B", Request{File: Latest}, []Answer{OK, Absent, OK, OK}, "A.list A.info B.list B.info: served by B"},
		{"query with an empty list", "A,B", Request{File: Latest}, []Answer{Garbage, OK}, "A.list A.latest: swallowed by A"},
		{"no @latest either is no 404", "A,B", Request{File: Latest}, []Answer{Garbage, Absent}, "A.list A.latest: stopped by A"},
		{"a bar moves on", "A|B", Request{File: Latest}, []Answer{Garbage, Absent, OK, OK}, "A.list A.latest B.list B.info: served by B"},
		{"query cut short", "A,B", Request{File: Latest}, []Answer{Truncated, OK}, "A.list A.info: swallowed by A"},

		{"GONOPROXY", "A,B", Request{File: Zip, Module: "git.example.com/x", NoProxy: "git.example.com"}, nil, ": direct"},
		{"GONOPROXY beats off", "off", Request{File: Zip, Module: "git.example.com/x", NoProxy: "*"}, nil, ": direct"},
		{"GONOPROXY of others", "A,B", Request{File: Zip, Module: "git.example.com/x", NoProxy: "none"}, []Answer{OK}, "A.zip: served by A"},
		{"GONOPROXY is not for the database", "A,B", Request{File: Supported, Module: "git.example.com/x", NoProxy: "*"}, []Answer{OK}, "A.supported: served by A"},

		{"pinned", "A,B", Request{File: Lookup}, []Answer{OK, OK}, "A.supported A.lookup: served by A"},
		{"pinned whatever the body", "A,B", Request{File: Lookup}, []Answer{Garbage, OK}, "A.supported A.lookup: served by A"},
		{"no way back from there", "A|B|direct", Request{File: Lookup}, []Answer{OK, Absent}, "A.supported A.lookup: stopped by A"},
		{"second proxy pinned", "A,B", Request{File: Lookup}, []Answer{Absent, OK, OK}, "A.supported B.supported B.lookup: served by B"},
		{"nobody supports it", "A,B", Request{File: Lookup}, []Answer{Absent, Absent}, "A.supported B.supported: direct"},
		{"even with off", "A,off", Request{File: Lookup}, []Answer{Absent}, "A.supported: direct"},
		{"403 ends it", "A,direct", Request{File: Lookup}, []Answer{Status}, "A.supported: stopped by A"},
		{"bar and direct", "A|direct", Request{File: Lookup}, []Answer{Status}, "A.supported: direct by B"},
		{"a dead proxy without direct", "A|B", Request{File: Lookup}, []Answer{Unreachable, Absent}, "A.supported B.supported: stopped by A"},
		{"cured by direct", "A|B,direct", Request{File: Lookup}, []Answer{Unreachable, Absent}, "A.supported B.supported: direct by C"},
		{"not by off", "A|off", Request{File: Lookup}, []Answer{Status}, "A.supported: stopped by A"},
		{"silence", "A|direct", Request{File: Lookup}, []Answer{Hang}, "A.supported: hung by A"},

		{"go remembers what a proxy said", "A|A|B", Request{File: Info}, []Answer{Status, OK}, "A.info C.info: served by C"},
		{"but not for a zip", "A|A", Request{File: Zip}, []Answer{Status, OK}, "A.zip B.zip: served by B"},
		{"credentials over http are not sent", "http://u:p@A|B", Request{File: Zip}, []Answer{OK}, "B.zip: served by B"},
		{"no host", "https:///x,B", Request{File: Zip}, nil, ": stopped by A"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := ParseChain(hosts.Replace(tt.chain))
			if err != nil {
				t.Fatal(err)
			}
			answers := tt.answers
			r := c.Walk(tt.request, func(int, File) Answer {
				if len(answers) == 0 {
					t.Fatal("asked for more answers than expected")
				}
				a := answers[0]
				answers = answers[1:]
				return a
			})
			if got := describe(r); got != tt.want || len(answers) > 0 {
				t.Errorf("Walk of %s = %s; want %s; answers left: %v", tt.chain, got, tt.want, answers)
			}
		})
	}
}

// hosts lets a case say A for a proxy's URL.
var hosts = strings.NewReplacer("A", "a.example.com", "B", "b.example.com", "C", "c.example.com")

// describe writes a route as "A.supported A.lookup: served by A".
func describe(r Route) string {
	var b strings.Builder
	for i, s := range r.Steps {
		if i > 0 {
			b.WriteByte(' ')
		}
		fmt.Fprintf(&b, "%c.%s", 'A'+s.Entry, s.File)
	}
	fmt.Fprintf(&b, ": %s", r.End)
	if r.Entry >= 0 {
		fmt.Fprintf(&b, " by %c", 'A'+r.Entry)
	}
	return b.String()
}
