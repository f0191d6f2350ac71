package decision

import (
	"cmp"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/report"
)

// patterns merges lists of GOPRIVATE patterns in order, without repetition.
// Blanks around an item are removed: go would take them for a part of the
// pattern, which then matches nothing.
func patterns(lists ...string) string {
	var all []string
	for _, list := range lists {
		for item := range strings.SplitSeq(list, ",") {
			item = strings.TrimSpace(item)
			// "none" is the customary word for "no module"; beside a real
			// pattern it means nothing.
			if item != "" && item != "none" && !slices.Contains(all, item) {
				all = append(all, item)
			}
		}
	}
	return strings.Join(all, ",")
}

// private returns the settings that route private modules, and what a person
// should know of them. Inherited patterns are merged, never narrowed: a name
// that was private before stays private.
func private(in *Input) (settings []report.Setting, findings []report.Finding) {
	s, was := &in.Settings, in.Inherited
	own := strings.Join(s.Private, ",")
	goprivate := patterns(was.GOPRIVATE, own)
	gonosumdb := patterns(cmp.Or(was.GONOSUMDB, was.GOPRIVATE), own)
	add := func(name, value, why string) {
		if value != "" {
			settings = append(settings, report.Setting{Name: name, Value: value, Why: why})
		}
	}
	if s.PrivateVia == policy.ViaChain || s.Mode == policy.Enforced {
		const none = "none" // a pattern that matches no module: nothing goes direct
		before := cmp.Or(was.GONOPROXY, was.GOPRIVATE)
		if before != "" && before != none && s.Mode == policy.Enforced {
			findings = append(findings, report.Finding{
				ID: "gonoproxy-overwritten", Severity: report.Notice, Title: "GONOPROXY overwritten",
				Message: "GONOPROXY (or GOPRIVATE) was " + before + "; in enforced mode no module may go around the gatekeepers, so it is now \"none\"",
				Fix:     "remove it from the runner's settings",
				Place:   s.Places["mode"],
			})
		}
		add("GONOPROXY", none, "private modules are fetched through the chain")
		add("GONOSUMDB", gonosumdb, "private modules are in no public checksum database")
	} else {
		add("GOPRIVATE", goprivate, "private modules are fetched from version control")
		add("GONOPROXY", patterns(cmp.Or(was.GONOPROXY, was.GOPRIVATE), own), "private modules are fetched from version control")
		add("GONOSUMDB", gonosumdb, "private modules are in no public checksum database")
	}
	if s.Mode == policy.Enforced {
		add("GOVCS", "*:off", "enforced mode: no version control")
	}
	return settings, findings
}

// NoProxy returns the value of GONOPROXY that will be in force: which modules
// go fetches without asking a proxy.
func NoProxy(in *Input) string {
	inherited := cmp.Or(in.Inherited.GONOPROXY, in.Inherited.GOPRIVATE)
	if in.Keep {
		return inherited
	}
	settings, _ := private(in)
	return cmp.Or(report.Value(settings, "GONOPROXY"), inherited)
}

// PrivatePatterns returns the patterns of all modules that somebody calls
// private. A blank after a comma is left out here, although it makes go match
// nothing: what was meant to be private is.
func PrivatePatterns(in *Input) string {
	return patterns(strings.Join(in.Settings.Private, ","), in.Inherited.GOPRIVATE, in.Inherited.GONOPROXY)
}

// network returns the forward proxy settings that the policy names.
func network(in *Input) []report.Setting {
	s := &in.Settings
	noProxy := ""
	if s.HTTPProxy != "" || s.HTTPSProxy != "" || s.NoProxy != "" {
		noProxy = patterns(in.Inherited.NoProxy, s.NoProxy)
	}
	var list []report.Setting
	for _, v := range []report.Setting{
		{Name: "HTTP_PROXY", Value: s.HTTPProxy, Why: "set by the policy"},
		{Name: "HTTPS_PROXY", Value: s.HTTPSProxy, Why: "set by the policy; the only one that go uses for https proxies"},
		{Name: "NO_PROXY", Value: noProxy, Why: "hosts that are reached without the forward proxy"},
	} {
		if v.Value != "" {
			list = append(list, v)
		}
	}
	return list
}
