package lint

import (
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/policy"
)

// A checker is the input, parsed once for all rules.
type checker struct {
	Input
	goproxy  goenv.Setting
	chain    goenv.Chain
	chainErr error
	proxies  []proxy // of chain, in order; keywords are none
	db       goenv.SumDB
	dbErr    error
}

// A proxy is an entry of the chain.
type proxy struct {
	goenv.Entry
	index    int
	url      *url.URL
	public   *policy.Proxy // of the catalogue, nil if it is none
	loopback bool
}

func newChecker(in Input) *checker {
	c := &checker{Input: in}
	c.goproxy = c.look("GOPROXY")
	c.chain, c.chainErr = goenv.ParseWhole(c.goproxy.Value)
	for i, e := range c.chain {
		u, err := url.Parse(e.Value)
		if !e.Proxy() || err != nil {
			continue
		}
		p := proxy{Entry: e, index: i, url: u, public: public(u), loopback: loopback(u.Hostname())}
		c.proxies = append(c.proxies, p)
	}
	c.db, c.dbErr = goenv.ParseSumDB(c.look("GOSUMDB").Value)
	return c
}

func (c *checker) look(name string) goenv.Setting { return c.Sources.Lookup(name) }

// unknown reports whether a value is missing only because the defaults of the
// go command are not known.
func (c *checker) unknown(set goenv.Setting) bool {
	return set.Origin == goenv.Unset && c.Sources.GOROOT.Path == ""
}

// public returns the proxy of the catalogue at that host.
func public(u *url.URL) *policy.Proxy {
	for _, p := range policy.Catalogue() {
		if at, err := url.Parse(p.URL); err == nil && at.Hostname() == u.Hostname() {
			return &p
		}
	}
	return nil
}

func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || err == nil && ip.IsLoopback()
}

// own reports whether p is a proxy of the user's own network: not of the
// catalogue, and no agent on this machine.
func (p proxy) own() bool { return p.public == nil && !p.loopback && p.url.Scheme != "file" }

// usesDatabase reports whether go would look up checksums along the chain.
func (c *checker) usesDatabase() bool { return c.dbErr == nil && !c.db.Off && c.db.URL == "" }

// rewritten returns the change of GOPROXY to a chain.
func rewritten(chain goenv.Chain) []Change { return []Change{{"GOPROXY", chain.String()}} }

// clone returns a copy of the chain to change.
func (c *checker) clone() goenv.Chain { return append(goenv.Chain(nil), c.chain...) }

// at returns a finding about GOPROXY.
func (c *checker) at(message string, changes []Change, advice string) []found {
	return []found{{c.goproxy, message, changes, advice}}
}

// items returns the patterns of a list as they were meant, "none" left out.
// What is wrong with them is for rules of its own.
func items(patterns string) (list []string) {
	mended, _ := goenv.MendPatterns(patterns)
	for item := range strings.SplitSeq(mended, ",") {
		if item != "" && item != "none" {
			list = append(list, item)
		}
	}
	return list
}

// covered reports whether every module that a pattern matches is matched by
// patterns, as far as that is plain: the pattern is one of them, or below one
// without wildcards.
func covered(pattern, patterns string) bool {
	pattern = strings.TrimSuffix(pattern, "/")
	for _, p := range items(patterns) {
		p = strings.TrimSuffix(p, "/")
		if p == pattern || p == "*" || strings.HasPrefix(pattern, p+"/") && !strings.ContainsAny(p, `*?[\`) || goenv.MatchPatterns(p, pattern) {
			return true
		}
	}
	return false
}

// missing returns the items of list that patterns do not cover.
func missing(list, patterns string) (out []string) {
	for _, p := range items(list) {
		if !covered(p, patterns) {
			out = append(out, p)
		}
	}
	return out
}

// with returns patterns and more, without repetition and without "none". What is
// wrong with patterns stays.
func with(patterns string, more []string) string {
	list := strings.Split(patterns, ",")
	list = slices.DeleteFunc(list, func(item string) bool { item = strings.TrimSpace(item); return item == "" || item == "none" })
	for _, m := range more {
		if !covered(m, patterns) {
			list = append(list, m)
		}
	}
	return strings.Join(list, ",")
}
