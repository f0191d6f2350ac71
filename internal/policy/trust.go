package policy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/report"
)

// WithoutTrust returns p as it may be used where its author could be anybody,
// such as in a pull request whose base can't be read: without credentials,
// authorities of its own, "sumdb: off", forward proxies, "on_exhausted: direct",
// settings of the agent, and file URLs: links in such a folder lead to any file
// of the machine, and what is wrong with it is told in its own words. The
// findings say what is ignored and where it stands.
func (p *Policy) WithoutTrust() (*Policy, []report.Finding) {
	var ignored []report.Finding
	ignore := func(key string, at report.Place) {
		e := &Error{ID: idIgnored, Place: at,
			Msg:  fmt.Sprintf("%s is ignored: the policy comes from the change itself and could be anybody's", key),
			Hint: "it counts once it is merged"}
		ignored = append(ignored, e.finding(report.Notice))
	}
	q := *p
	q.proxies = maps.Clone(p.proxies)
	for _, name := range slices.Sorted(maps.Keys(q.proxies)) {
		px := q.proxies[name]
		drop(&px.username, func(string) bool { return true }, "username", ignore)
		drop(&px.password, func(string) bool { return true }, "password", ignore)
		drop(&px.ca, func(string) bool { return true }, "tls.ca", ignore)
		drop(&px.url, isFile, "the file URL", ignore)
		px.broken = !px.url.set // chains that name it do without
		q.proxies[name] = px
	}
	if at, set := q.agent.Places["agent"]; set { // it opens ports and writes files
		ignore("agent", at)
		q.agent = Agent{}
	}
	q.block.distrust(ignore)
	q.environments = slices.Clone(p.environments)
	for i := range q.environments {
		env := &q.environments[i]
		env.block.distrust(ignore)
		env.chain.v = withoutFiles(env.chain.v, ignore)
		env.variants = slices.Clone(env.variants)
		for j := range env.variants {
			env.variants[j].chain.v = withoutFiles(env.variants[j].chain.v, ignore)
		}
	}
	q.findings = slices.DeleteFunc(slices.Clone(p.findings), func(f report.Finding) bool { // warnings of what is ignored
		return slices.ContainsFunc(ignored, func(g report.Finding) bool { return f.Place == g.Place })
	})
	slices.SortStableFunc(ignored, func(a, b report.Finding) int {
		return compareErrors(&Error{Place: a.Place}, &Error{Place: b.Place})
	})
	return &q, ignored
}

func (b *block) distrust(ignore func(string, report.Place)) {
	always := func(string) bool { return true }
	drop(&b.sumdb, func(r SumDBRule) bool { return r == SumDBOff }, "sumdb: off", ignore)
	drop(&b.httpProxy, always, "http_proxy", ignore)
	drop(&b.httpsProxy, always, "https_proxy", ignore)
	drop(&b.onExhausted, func(x OnExhausted) bool { return x == ExhaustedDirect }, "on_exhausted: direct", ignore)
}

func isFile(url string) bool { return strings.HasPrefix(url, "file:") }

// withoutFiles returns chain without file URLs.
func withoutFiles(chain []ref, ignore func(string, report.Place)) []ref {
	return slices.DeleteFunc(slices.Clone(chain), func(r ref) bool {
		if isFile(r.text) {
			ignore("the file URL", r.place)
		}
		return isFile(r.text)
	})
}

// drop leaves v out if it is set and bad.
func drop[T any](v *value[T], bad func(T) bool, key string, ignore func(string, report.Place)) {
	if v.set && bad(v.v) {
		ignore(key, v.place)
		*v = value[T]{}
	}
}
