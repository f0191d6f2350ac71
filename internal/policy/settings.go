package policy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/report"
)

// builtInName is the name of the policy that applies without a file.
const builtInName = "built-in policy"

// defaultBlock is the environment that applies if nothing names one.
const defaultBlock = "default"

// builtInChain is the chain of the built-in policy.
var builtInChain = []ref{{text: "official"}, {text: "goproxy.cn"}, {text: "direct"}}

// defaults are the settings of an environment that says nothing. The only
// place where they stand.
func defaults() Settings {
	return Settings{
		Mode:        Routed,
		PrivateVia:  ViaDirect, // ViaChain if enforced
		SumDB:       SumDBPreferred,
		Probe:       Probe{Timeout: 5 * time.Second, Slow: 800 * time.Millisecond, Keep: 2, Canary: canaryGoSum},
		Strategy:    Order,
		OnFallback:  FallbackWarn,
		OnExhausted: ExhaustedFail,
	}
}

// BuiltIn returns the policy that applies where there is no file: the public
// chain, routed.
func BuiltIn() *Policy { return &Policy{name: builtInName} }

// Settings returns the settings of the environment that [Policy.Choose] chose,
// every default filled in. variable returns the value of a CI variable, "" if
// it is not set; the policy learns no more of it than whether a pattern of a
// variant matches. The error is of type [Errors]: the chain of
// [FromChain] may be one that the environment forbids.
func (p *Policy) Settings(c Choice, variable func(name string) string) (Settings, error) {
	env, ok := p.find(c.Block)
	if !ok || env.name != c.Block {
		return Settings{}, Errors{{ID: idName, Place: report.Place{File: p.name}, Msg: fmt.Sprintf("there is no environment %q", clip(c.Block))}}
	}
	chain, at := env.chain, report.Place{}
	for _, v := range env.variants {
		if s := variable(v.variable); s != "" && matchGlob(v.is, s) {
			chain, at = v.chain, v.place
			break
		}
	}
	if p.override != nil {
		chain, at = value[[]ref]{v: *p.override}, report.Place{}
	}
	s, errs := p.settings(env, chain)
	s.Environment, s.Source = c.Environment, c.Source
	if at != (report.Place{}) {
		s.Places["variant"] = at
	}
	if len(s.Places) == 0 {
		s.Places = nil // as it comes back from JSON
	}
	if errs = append(errs, check(&s)...); len(errs) > 0 {
		return Settings{}, errs.sorted()
	}
	return s, nil
}

// settings fills in the settings of env with one of its chains. The errors are
// those of the chain's names.
func (p *Policy) settings(env environment, chain value[[]ref]) (Settings, Errors) {
	s := defaults()
	s.Policy, s.Environment, s.Block = p.name, env.name, env.name
	s.Places = map[string]report.Place{}
	if env.place.Line > 0 {
		s.Places["environment"] = env.place
	}
	e, top := &env.block, &p.block
	take(&s, "mode", &s.Mode, top.mode, e.mode)
	if s.Mode == Enforced {
		s.PrivateVia = ViaChain
	}
	take(&s, "private_via", &s.PrivateVia, top.privateVia, e.privateVia)
	take(&s, "allow", &s.Allow, top.allow, e.allow)
	take(&s, "sumdb", &s.SumDB, top.sumdb, e.sumdb)
	take(&s, "http_proxy", &s.HTTPProxy, top.httpProxy, e.httpProxy)
	take(&s, "https_proxy", &s.HTTPSProxy, top.httpsProxy, e.httpsProxy)
	take(&s, "no_proxy", &s.NoProxy, top.noProxy, e.noProxy)
	take(&s, "probe.timeout", &s.Probe.Timeout, top.timeout, e.timeout)
	take(&s, "probe.slow", &s.Probe.Slow, top.slow, e.slow)
	take(&s, "probe.keep", &s.Probe.Keep, top.keep, e.keep)
	take(&s, "probe.canary", &s.Probe.Canary, top.canary, e.canary)
	take(&s, "strategy", &s.Strategy, top.strategy, e.strategy)
	take(&s, "on_fallback", &s.OnFallback, top.onFallback, e.onFallback)
	take(&s, "on_exhausted", &s.OnExhausted, top.onExhausted, e.onExhausted)
	for _, v := range []value[[]string]{top.patterns, e.patterns, p.private} { // added up: nothing becomes public by saying less
		var all []string
		take(&s, "private", &all, v)
		for _, pattern := range all {
			if !slices.Contains(s.Private, pattern) {
				s.Private = append(s.Private, pattern)
			}
		}
	}
	if chain.place.Line > 0 {
		s.Places["chain"] = chain.place
	}
	entries, errs := p.entries(chain.v)
	s.Chain = entries
	return s, errs
}

// take sets *into to the last of the values that is set, and notes its place.
func take[T any](s *Settings, key string, into *T, from ...value[T]) {
	for _, v := range from {
		if v.set {
			*into = v.v
			s.Places[key] = v.place
		}
	}
}

// entries looks up what a chain names.
func (p *Policy) entries(chain []ref) (list []Entry, errs Errors) {
	for _, r := range chain {
		e, err := p.entry(r)
		if err != nil {
			errs = append(errs, err)
		} else if e.Name != "" {
			e.Place = r.place
			list = append(list, e)
		}
	}
	return list, errs
}

// Lookup returns the proxies that somebody names, by names or URLs as in a
// chain, without the rules that a chain has to obey: they are to be looked at
// and not to be used. The error is of type [Errors].
func (p *Policy) Lookup(names ...string) ([]Entry, error) {
	var refs []ref
	for _, name := range names {
		if !slices.ContainsFunc(refs, func(r ref) bool { return r.text == name }) {
			refs = append(refs, ref{text: name})
		}
	}
	list, errs := p.entries(refs)
	if len(errs) > 0 {
		return nil, errs
	}
	var once []Entry
	for _, e := range list {
		if !slices.ContainsFunc(once, func(b Entry) bool { return b.Name == e.Name }) {
			once = append(once, e)
		}
	}
	return once, nil
}

// entry looks up one element of a chain. It returns neither entry nor error
// for a proxy whose own mistakes were reported.
func (p *Policy) entry(r ref) (Entry, *Error) {
	if r.text == "direct" || r.text == "off" {
		return Entry{Name: r.text}, nil
	}
	if px, ok := p.proxies[r.text]; ok {
		return px.entry(), nil
	}
	if c, ok := LookupProxy(r.text); ok {
		return c.entry(), nil
	}
	if strings.Contains(r.text, "://") {
		normal, bad := checkURL(r.text)
		if bad != nil {
			return Entry{}, &Error{ID: bad.id, Place: r.place, Msg: bad.problem, Hint: bad.hint}
		}
		if e, ok := p.entryAt(normal); ok {
			return e, nil
		}
		return Entry{Name: r.text, URL: normal}, nil
	}
	hint := didYouMean(r.text, p.proxyNames())
	switch {
	case hint != "":
	case strings.ContainsAny(r.text, "./"):
		hint = "write https://" + clip(goenv.Redact(r.text)) + " for an address"
	default:
		hint = "valid: " + Listed(p.proxyNames()) + ", or a URL"
	}
	return Entry{}, &Error{ID: idProxy, Place: r.place, Msg: fmt.Sprintf("unknown proxy %q", clip(goenv.Redact(r.text))), Hint: hint}
}

// entryAt returns the proxy that is known to be at url. It keeps its name and
// its duties: a gatekeeper is one by whatever name it is called.
func (p *Policy) entryAt(url string) (Entry, bool) {
	for _, name := range p.proxyNames() {
		if px, ok := p.proxies[name]; ok && px.url.v == url {
			return px.entry(), true
		}
		if c, ok := LookupProxy(name); ok && c.entry().URL == url {
			return c.entry(), true
		}
	}
	return Entry{}, false
}

func (px proxy) entry() Entry {
	if px.broken {
		return Entry{}
	}
	return Entry{
		Name: px.name, URL: px.url.v, Gatekeeper: px.gatekeeper.v, Overridable: px.overridable.v,
		Private: px.private.v, Full: px.full.v,
		Username: px.username.v, Password: px.password.v, CA: px.ca.v,
	}
}

func (c Proxy) entry() Entry {
	return Entry{Name: c.Name, URL: strings.TrimRight(c.URL, "/"), Full: c.Full}
}

// proxyNames returns what a chain may name: the file's proxies, the
// catalogue's, the keywords.
func (p *Policy) proxyNames() []string {
	var names []string
	for name := range p.proxies {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, c := range catalogue().Proxies {
		if !slices.Contains(names, c.Name) {
			names = append(names, c.Name)
		}
	}
	return append(names, "direct", "off")
}
