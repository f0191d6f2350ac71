package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/agent/pool"
	"github.com/org/goproxy-setup/internal/agent/sumdb"
	"github.com/org/goproxy-setup/internal/agent/upstream"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/site"
)

// A plan is a configuration in force. It does not change.
type plan struct {
	Config
	private   string // patterns
	unlisted  string // patterns of modules that no checksum database is asked for; the private ones are among them
	direct    bool   // the chain ends with "direct"
	upstreams []*upstream.Upstream
	chain     []link
	databases []database

	stop context.CancelFunc // ends the active checks
	wg   *sync.WaitGroup
}

// A link is a proxy of the chain.
type link struct {
	*upstream.Upstream
	policy.Entry
}

// A database is a checksum database that is answered.
type database struct {
	*sumdb.Database
	spec   goenv.SumDB
	direct []*upstream.Upstream    // its own servers
	best   *atomic.Pointer[string] // the route that answered last
}

// newPlan returns the plan for c. What is known of the health of its proxies
// begins anew.
func newPlan(c Config, log *slog.Logger) (_ *plan, err error) {
	if c.Getenv == nil {
		c.Getenv = func(string) string { return "" }
	}
	p := &plan{Config: c, wg: &sync.WaitGroup{}}
	p.private = joinPatterns(append(slices.Clone(c.Settings.Private), c.Private)...)
	p.unlisted = joinPatterns(p.private, c.Unlisted)
	ctx, stop := context.WithCancel(context.Background())
	p.stop = stop
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	for _, e := range c.Settings.Chain {
		if e.Keyword() {
			p.direct = e.Name == "direct"
			break // go ignores what follows
		}
		u, err := p.upstream(e, log)
		if err != nil {
			return nil, err
		}
		p.chain = append(p.chain, link{u, e})
	}
	if c.Settings.SumDB != policy.SumDBOff {
		for _, text := range c.Agent.Databases {
			d, err := p.newDatabase(text, log)
			if err != nil {
				return nil, err
			}
			p.databases = append(p.databases, d)
		}
	}
	for _, u := range p.upstreams {
		p.wg.Go(func() { u.Run(ctx) })
	}
	return p, nil
}

// upstream returns the proxy of an entry.
func (p *plan) upstream(e policy.Entry, log *slog.Logger) (*upstream.Upstream, error) {
	base, err := url.Parse(e.URL)
	if err != nil {
		return nil, fmt.Errorf("proxy %s: its address is no URL", e.Name) // the error would show a password
	}
	c := upstream.Config{
		Name: e.Name, URL: base, User: p.login(e, base), Gatekeeper: e.Gatekeeper, Full: e.Full,
		Proxy: modproxy.HTTPProxy(p.Settings, p.Getenv), Allows: p.Settings.Allows, Limits: p.limits(), CheckPath: checkPath, Log: log,
	}
	if p.RootCAs != nil {
		if c.RootCAs, err = p.RootCAs(e); err != nil {
			return nil, fmt.Errorf("proxy %s: %w", e.Name, err)
		}
	}
	u := upstream.New(c)
	p.upstreams = append(p.upstreams, u)
	return u, nil
}

// checkPath is what a proxy is asked for to see whether it works again. What a
// proxy may not serve is answered all the same.
const checkPath = "rsc.io/quote/@v/v1.5.2.mod"

// limits returns those of every proxy.
func (p *plan) limits() upstream.Limits {
	return upstream.Limits{Connect: p.Agent.Connect, FirstByte: p.Agent.FirstByte, Rate: p.Agent.MinRate}
}

// login returns the credentials for an entry, nil if there are none. They are
// sent over https only, as the go command does.
func (p *plan) login(e policy.Entry, base *url.URL) *url.Userinfo {
	return site.Logins{Netrc: p.Netrc, GOAUTH: p.Getenv("GOAUTH"), Policy: p.Credentials}.For(e, base)
}

// newDatabase returns the checksum database that text, a value of GOSUMDB,
// names, with the servers that may be asked for it beside the chain.
func (p *plan) newDatabase(text string, log *slog.Logger) (database, error) {
	spec, err := goenv.ParseSumDB(text)
	if err != nil {
		return database{}, fmt.Errorf("checksum database: %w", err)
	}
	d := database{spec: spec, best: &atomic.Pointer[string]{}}
	for _, server := range servers(spec) {
		base, err := url.Parse(server.URL)
		if err != nil {
			return database{}, fmt.Errorf("checksum database %s: %w", spec.Name, err)
		}
		if p.Settings.Mode == policy.Enforced && (len(p.Settings.Allow) == 0 || !p.Settings.Allows(base.Hostname())) {
			continue // enforced mode asks nobody whom the policy does not name
		}
		// Nobody knows better than the database what it does not have.
		u, err := p.upstream(policy.Entry{Name: server.Name, URL: server.URL, Full: true}, log)
		if err != nil {
			return database{}, err
		}
		u.CheckPath = "" // it serves no modules
		d.direct = append(d.direct, u)
	}
	return d, nil
}

// servers returns a database's own servers.
func servers(spec goenv.SumDB) (list []policy.Database) {
	if spec.URL != "" {
		return []policy.Database{{Name: spec.Name, URL: spec.URL}}
	}
	for _, known := range policy.Databases() {
		if k, err := goenv.ParseSumDB(known.GOSUMDB); err == nil && k.Key == spec.Key {
			list = append(list, known)
		}
	}
	if len(list) == 0 {
		list = append(list, policy.Database{Name: spec.Name, URL: "https://" + spec.Name})
	}
	return list
}

// database returns the first one for which is reports true, nil if there is
// none.
func (p *plan) database(is func(goenv.SumDB) bool) *database {
	for i := range p.databases {
		if is(p.databases[i].spec) {
			return &p.databases[i]
		}
	}
	return nil
}

// targets returns who may be asked for a path of the database: the proxies of
// the chain, then its own servers, and before all of them the one that has
// answered last, since not every proxy passes the database on.
func (d *database) targets(p *plan, path string) []pool.Target {
	var list []pool.Target
	for _, l := range p.chain {
		if l.Upstream.URL.Scheme != "file" {
			list = append(list, pool.Target{Upstream: l.Upstream, Path: modproxy.SumDBPath(d.spec.Name) + "/" + path, Partial: true})
		}
	}
	for _, u := range d.direct {
		list = append(list, pool.Target{Upstream: u, Path: path})
	}
	if best := d.best.Load(); best != nil {
		slices.SortStableFunc(list, func(a, b pool.Target) int {
			switch {
			case a.Name == *best && b.Name != *best:
				return -1
			case b.Name == *best && a.Name != *best:
				return 1
			}
			return 0
		})
	}
	return list
}

// recorded returns the hashes that a database is known to have for a version,
// and asks nobody.
func (p *plan) recorded(m module.Version) (zip, gomod, name string, ok bool) {
	for i := range p.databases {
		d := &p.databases[i]
		if zip, gomod, ok = d.Known(m); ok {
			return zip, gomod, "the checksum database " + d.spec.Name, true
		}
	}
	return "", "", "", false
}

// worked notes which route has answered.
func (d *database) worked(name string) {
	if best := d.best.Load(); best == nil || *best != name {
		d.best.Store(&name)
	}
}

// joinPatterns returns one list of several. go matches nothing that stands after
// a blank: it is meant to be a pattern all the same.
func joinPatterns(lists ...string) string {
	return strings.ReplaceAll(strings.Trim(strings.Join(lists, ","), ","), " ", "")
}

// isPrivate reports whether the names of a module may reach proxies marked
// private alone.
func (p *plan) isPrivate(path string) bool { return goenv.MatchPatterns(p.private, path) }

// isUnlisted reports whether no checksum database may be asked for a module.
func (p *plan) isUnlisted(path string) bool { return goenv.MatchPatterns(p.unlisted, path) }

// sums returns the hashes of a version from the first database that has it.
func (p *plan) sums(ctx context.Context, m module.Version) (zip, gomod, name string, err error) {
	for i := range p.databases {
		d := &p.databases[i]
		zip, gomod, err = d.Sums(ctx, m)
		name = "the checksum database " + d.spec.Name
		if !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	return zip, gomod, name, err
}

// A denial is why nobody is asked for a module.
type denial struct {
	status int
	text   string
}

// route returns who may be asked for a module. trusted clients may see private
// modules and what credentials give access to.
func (p *plan) route(path string, trusted bool) (targets []link, everyone bool, deny *denial) {
	private := p.isPrivate(path)
	if private && !trusted {
		return nil, true, &denial{http.StatusForbidden, "private modules are served to clients on this machine, or with TLS and a login, only"}
	}
	withheld := false
	for _, l := range p.chain {
		switch {
		case private && !l.Private:
		case l.User != nil && !trusted:
			withheld = true
		default:
			targets = append(targets, l)
		}
	}
	switch {
	case len(targets) > 0:
	case withheld:
		deny = &denial{http.StatusForbidden, "the proxies for this module need credentials, which serve clients on this machine, or with TLS and a login, only"}
	case p.direct:
		deny = &denial{http.StatusNotFound, "no proxy may be asked for this module: the go command fetches it directly"}
	default:
		deny = &denial{http.StatusForbidden, "the policy names no proxy that may be asked for this module"}
	}
	return targets, private || p.Settings.Mode == policy.Enforced, deny
}

// ask returns the pool's targets for a file.
func ask(links []link, path string) []pool.Target {
	list := make([]pool.Target, len(links))
	for i, l := range links {
		list[i] = pool.Target{Upstream: l.Upstream, Path: path, Last: l.Gatekeeper && !l.Overridable}
	}
	return list
}

// has reports whether u is one of the plan's proxies.
func (p *plan) has(u *upstream.Upstream) bool { return slices.Contains(p.upstreams, u) }

// close ends what the plan does in the background. Requests that are on their
// way end as they began.
func (p *plan) close() {
	p.stop()
	p.wg.Wait()
	for _, u := range p.upstreams {
		u.Close()
	}
}
