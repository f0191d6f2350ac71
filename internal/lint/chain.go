package lint

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/goenv"
)

// quoted names an entry in a message.
func quoted(e goenv.Entry) string { return fmt.Sprintf("%q", goenv.Redact(e.Value)) }

// refused finds lists that go refuses because of an entry. word tells bare
// words from everything else.
func refused(word bool) func(*checker) []found {
	return func(c *checker) []found {
		e, ok := errors.AsType[*goenv.EntryError](c.chainErr)
		if !ok || word != !strings.ContainsAny(e.Entry, ".:/") {
			return nil
		}
		f := found{set: c.goproxy, message: fmt.Sprintf("the entry %q is refused (%s), and with it the whole list", e.Entry, e.Reason), advice: e.Fix}
		if fixed, ok := mended(c.goproxy.Value, word); ok {
			f.changes, f.advice = []Change{{"GOPROXY", fixed}}, ""
		}
		return []found{f}
	}
}

// mended returns the list with its bad entries put right or left out; not ok if
// that leaves nothing that go accepts.
func mended(list string, word bool) (string, bool) {
	var out strings.Builder
	for list != "" {
		entry, sep := list, ""
		if i := strings.IndexAny(list, ",|"); i >= 0 {
			entry, sep, list = list[:i], list[i:i+1], list[i+1:]
		} else {
			list = ""
		}
		entry = strings.Trim(strings.TrimSpace(entry), "\"'`")
		if lower := strings.ToLower(entry); word && (lower == "direct" || lower == "off") {
			entry = lower
		}
		if _, err := goenv.CheckEntry(entry); err != nil {
			continue
		}
		out.WriteString(entry + sep)
	}
	fixed := strings.TrimRight(out.String(), ",|")
	_, err := goenv.ParseChain(fixed)
	return fixed, err == nil
}

func noEntries(c *checker) []found {
	if !errors.Is(c.chainErr, goenv.ErrNoEntries) || c.unknown(c.goproxy) {
		return nil
	}
	f := found{set: c.goproxy, message: "has no entry; go refuses every download", advice: "name at least one proxy, or direct"}
	if c.goproxy.Origin == goenv.UserFile && c.goproxy.Value == "" {
		f.message = "the empty value hides the default of go.env; go refuses every download"
		f.changes, f.advice = []Change{{"GOPROXY", ""}}, ""
	}
	if c.goproxy.Origin == goenv.Unset {
		f.message = "no source has a value, as where go.env is missing; go refuses every download"
		f.changes, f.advice = []Change{{"GOPROXY", "direct"}}, "or name a proxy"
	}
	return []found{f}
}

// unusable finds entries that go accepts and cannot use. httpLogin tells
// credentials over http from everything else.
func unusable(httpLogin bool) func(*checker) []found {
	return func(c *checker) (list []found) {
		for _, p := range c.proxies {
			_, err := goenv.CheckEntry(p.Value)
			e, ok := errors.AsType[*goenv.EntryError](err)
			if !ok || httpLogin != (p.url.Scheme == "http" && p.url.User != nil) {
				continue
			}
			f := found{set: c.goproxy, message: fmt.Sprintf("%s cannot be asked: %s", quoted(p.Entry), e.Reason), advice: e.Fix}
			if httpLogin {
				u := *p.url
				u.Scheme, u.User = "https", nil
				f.changes = rewritten(replaced(c.chain, p.index, u.String()))
				f.advice = "put the credentials into a netrc"
			}
			list = append(list, f)
		}
		return list
	}
}

// replaced returns the chain with another value for one entry.
func replaced(c goenv.Chain, i int, value string) goenv.Chain {
	c = append(goenv.Chain(nil), c...)
	c[i].Value = value
	return c
}

func commaAfterPublic(c *checker) []found {
	var names []string
	fixed := c.clone()
	for _, p := range c.proxies {
		if p.public != nil && p.Sep == goenv.Comma && p.index < len(c.chain)-1 && !c.chain[p.index+1].Off() {
			names = append(names, p.public.Name)
			fixed[p.index].Sep = goenv.Bar
		}
	}
	if names == nil {
		return nil
	}
	return c.at(fmt.Sprintf("a comma after %s moves on after 404 and 410 alone: a 502, a refused connection or a time-out there stops the build", strings.Join(names, ", ")), rewritten(fixed), "")
}

func barAfterOwn(c *checker) []found {
	for _, p := range c.proxies {
		if p.own() && p.Sep == goenv.Bar && p.index < len(c.chain)-1 {
			fixed := c.clone()
			fixed[p.index].Sep = goenv.Comma
			return c.at(fmt.Sprintf("a bar after %s walks past every error, its 403 too; if it decides what may be used, a comma keeps that final", quoted(p.Entry)), rewritten(fixed), "")
		}
	}
	return nil
}

func ignoredRest(c *checker) []found {
	if len(c.chain) == 0 || c.chain[len(c.chain)-1].Proxy() {
		return nil
	}
	keyword := c.chain[len(c.chain)-1].Value
	rest := c.goproxy.Value
	for range c.chain { // the text behind the keyword
		for {
			i := strings.IndexAny(rest, ",|")
			if i < 0 {
				return nil
			}
			entry := strings.TrimSpace(rest[:i])
			rest = rest[i+1:]
			if entry != "" {
				break
			}
		}
	}
	if strings.Trim(rest, ",| \t") == "" {
		return nil
	}
	return c.at(fmt.Sprintf("nothing behind %q is ever read", keyword), rewritten(c.chain), "")
}

func twice(c *checker) []found {
	seen := map[string]bool{}
	var fixed goenv.Chain
	again := ""
	for _, e := range c.chain {
		if key := strings.TrimRight(e.Value, "/"); seen[key] {
			again = quoted(e)
			continue
		} else {
			seen[key] = true
		}
		fixed = append(fixed, e)
	}
	if again == "" {
		return nil
	}
	fixed[len(fixed)-1].Sep = goenv.End
	return c.at(again+" stands twice: go remembers its error and asks it again for zips alone, which only costs time", rewritten(fixed), "")
}

func alonePublic(c *checker) []found {
	if len(c.chain) != 1 || len(c.proxies) != 1 || c.proxies[0].public == nil {
		return nil
	}
	fixed := append(c.clone(), goenv.Entry{Value: "direct"})
	fixed[0].Sep = goenv.Bar
	return c.at("the public proxy "+c.proxies[0].public.Name+" is alone: every fault of it stops the build", rewritten(fixed), "")
}

func lastWithoutDatabase(c *checker) []found {
	if len(c.proxies) < 2 || !c.usesDatabase() || c.chain[len(c.chain)-1].Direct() {
		return nil
	}
	last := c.proxies[len(c.proxies)-1]
	bar := false
	for _, p := range c.proxies[:len(c.proxies)-1] {
		bar = bar || p.Sep == goenv.Bar
	}
	if !bar || last.public != nil && last.public.SumDB == "yes" {
		return nil
	}
	message := fmt.Sprintf("if an earlier proxy fails and %s does not pass the checksum database on, modules download but every lookup fails with the earlier proxy's error", quoted(last.Entry))
	if _, public := c.firstPublic(); !public { // no way around gatekeepers
		return c.at(message, nil, fmt.Sprintf("let it pass the database on, or send lookups to a proxy that does: GOSUMDB='%s https://PROXY/sumdb/%s'", c.db, c.db.Name))
	}
	fixed := c.clone()
	if fixed[len(fixed)-1].Off() {
		fixed = fixed[:len(fixed)-1]
	}
	if fixed[len(fixed)-1].Sep = goenv.Comma; last.public != nil {
		fixed[len(fixed)-1].Sep = goenv.Bar
	}
	fixed = append(fixed, goenv.Entry{Value: "direct"})
	return c.at(message, rewritten(fixed), "")
}

func finalOff(c *checker) []found {
	if len(c.proxies) == 0 || !c.chain[len(c.chain)-1].Off() {
		return nil
	}
	fixed := c.clone()[:len(c.chain)-1]
	fixed[len(fixed)-1].Sep = goenv.End
	return c.at("the final off protects nothing, since a list ends by itself; it hides the proxy's own 404, and the checksum database is asked all the same", rewritten(fixed), "")
}

func onlyKeyword(off bool) func(*checker) []found {
	return func(c *checker) []found {
		if len(c.chain) != 1 || c.chain[0].Proxy() || c.chain[0].Off() != off {
			return nil
		}
		if off {
			return c.at("nothing can be downloaded; it does not mean \"without a proxy\", and modules that GONOPROXY covers are still fetched directly", []Change{{"GOPROXY", "direct"}}, "or name a proxy, if downloads are wanted at all")
		}
		return c.at("every module is fetched from its version control system: slower, git is needed, and what its author deletes is gone", nil, "name a proxy before it, as in GOPROXY='https://PROXY|direct'")
	}
}

func emptyMeansUnset(c *checker) []found {
	if c.Present == nil {
		return nil
	}
	var list []found
	for _, name := range []string{"GOPROXY", "GOSUMDB", "GONOPROXY", "GONOSUMDB", "GOPRIVATE"} {
		set := c.look(name)
		if !c.Present(name) || c.Sources.Getenv(name) != "" || set.Value == "" || c.exported(name) {
			continue
		}
		f := found{set: goenv.Setting{Name: name, Origin: goenv.Environment}, changes: []Change{{name, ""}}}
		f.message = fmt.Sprintf("it is set to nothing, which go takes for not set: %q applies, from %s", goenv.RedactSetting(name, set.Value), set.Place())
		if name == "GOPROXY" {
			f.advice = "or write direct, if that is meant"
		}
		if name == "GOSUMDB" {
			f.advice = "or write off, if that is meant"
		}
		list = append(list, f)
	}
	return list
}

// exported reports whether the environment will have a value when go runs.
func (c *checker) exported(name string) bool {
	return slices.ContainsFunc(c.Sources.Over, func(s goenv.Setting) bool { return s.Name == name })
}

func secretInQuery(c *checker) (list []found) {
	for _, p := range c.proxies {
		if p.url.RawQuery != "" {
			u := *p.url
			u.RawQuery = ""
			list = append(list, found{c.goproxy, fmt.Sprintf("%s has a query, which go sends with every request and prints in every error", quoted(p.Entry)), rewritten(replaced(c.chain, p.index, u.String())), "send a token by netrc or GOAUTH"})
		}
	}
	return list
}

func secretInURL(c *checker) (list []found) {
	without := c.clone()
	for _, p := range c.proxies {
		if p.url.User != nil && p.url.Scheme == "https" {
			u := *p.url
			u.User = nil
			without[p.index].Value = u.String()
		}
	}
	for _, p := range c.proxies {
		if p.url.User != nil && p.url.Scheme == "https" {
			advice := "put this into the netrc: machine " + p.url.Host + " login USER password PASSWORD"
			if auth := c.look("GOAUTH").Value; auth != "" && !strings.Contains(auth, "netrc") {
				advice += "; GOAUTH has to have netrc among its commands, or nobody reads it"
			}
			list = append(list, found{c.goproxy, fmt.Sprintf("credentials for %s stand in the value, where \"go env\" and every process of the job show them", p.url.Host), rewritten(without), advice})
		}
	}
	return list
}

func plainHTTP(c *checker) (list []found) {
	for _, p := range c.proxies {
		if p.url.Scheme == "http" && !p.loopback && p.url.User == nil && p.url.Host != "" {
			u := *p.url
			u.Scheme = "https"
			list = append(list, found{c.goproxy, fmt.Sprintf("%s is not encrypted: whoever is in between reads the names of modules and alters those that no checksum covers", quoted(p.Entry)), rewritten(replaced(c.chain, p.index, u.String())), ""})
		}
	}
	return list
}

func loopbackTLS(c *checker) (list []found) {
	for _, p := range c.proxies {
		if p.loopback && p.url.Scheme == "https" && !strings.Contains(c.goproxy.Value, p.Value) {
			u := *p.url
			u.Scheme = "http"
			list = append(list, found{c.goproxy, fmt.Sprintf("an entry without a scheme becomes %s, and a proxy on this machine seldom speaks TLS", quoted(p.Entry)), rewritten(replaced(c.chain, p.index, u.String())), ""})
		}
	}
	return list
}

func publicFirst(c *checker) []found {
	var before *proxy
	for i, p := range c.proxies {
		if p.public != nil && before == nil {
			before = &c.proxies[i]
		}
		if before == nil || !p.own() {
			continue
		}
		fixed := append(goenv.Chain{{Value: p.Value, Sep: goenv.Comma}}, c.clone()...)
		fixed = append(fixed[:p.index+1], fixed[p.index+2:]...)
		if n := len(fixed) - 1; fixed[n].Sep != goenv.End {
			fixed[n].Sep = goenv.End
		}
		return c.at(fmt.Sprintf("%s is asked before %s, so the names of modules that only the latter has are told to it", before.public.Name, hostOf(p.url)), rewritten(fixed), "or cover them by GOPRIVATE")
	}
	return nil
}

func hostOf(u *url.URL) string { return u.Host }
