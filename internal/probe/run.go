package probe

import (
	"context"
	"crypto/x509"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/site"
)

// A run is what the probes of one call of Run have in common.
type run struct {
	cfg       Config
	start     time.Time
	sumdb     goenv.SumDB
	databases []policy.Database
	httpProxy func(*url.URL) (*url.URL, error)
	private   string // patterns of modules that are nobody else's business
	logins    site.Logins

	wg     sync.WaitGroup
	events chan Event       // nil if nobody listens
	spent  <-chan time.Time // nil without a budget

	mu    sync.Mutex // guards slots
	slots map[string]chan struct{}
}

func newRun(cfg Config) *run {
	getenv := cfg.Getenv
	if getenv == nil {
		getenv = func(string) string { return "" }
	}
	r := &run{
		cfg: cfg, start: time.Now(), sumdb: cfg.SumDB,
		httpProxy: modproxy.HTTPProxy(cfg.Settings, getenv),
		logins:    site.Logins{Netrc: cfg.Netrc, GOAUTH: getenv("GOAUTH"), Policy: cfg.Credentials},
		slots:     map[string]chan struct{}{},
	}
	r.private = PrivatePatterns(cfg.Settings, getenv)
	if r.sumdb.Key == "" {
		r.sumdb, _ = goenv.ParseSumDB("sum.golang.org") // known to go: never an error
	}
	if r.databases = cfg.Databases; r.databases == nil {
		r.databases = routesTo(r.sumdb)
	}
	if cfg.Progress != nil {
		r.events = make(chan Event, 64)
	}
	if cfg.Budget != 0 {
		r.spent = time.After(cfg.Budget)
	}
	return r
}

// routesTo returns the ways to a checksum database without a module proxy.
func routesTo(db goenv.SumDB) []policy.Database {
	if db.URL != "" {
		return []policy.Database{{Name: db.Name, GOSUMDB: db.String(), URL: db.URL}}
	}
	var list []policy.Database
	for _, known := range policy.Databases() {
		if k, err := goenv.ParseSumDB(known.GOSUMDB); err == nil && k.Key == db.Key {
			list = append(list, known)
		}
	}
	if len(list) == 0 {
		list = append(list, policy.Database{Name: db.Name, GOSUMDB: db.String(), URL: "https://" + db.Name})
	}
	return list
}

// limit is how long one proxy may take: a little less than the whole budget,
// so that there is time to say what happened.
func (r *run) limit() time.Duration {
	limit := r.cfg.Settings.Probe.Timeout
	if b := r.cfg.Budget; b != 0 {
		limit = min(limit, b*9/10)
	}
	return limit
}

// perHost is how many requests a host is sent at a time.
const perHost = 8

// slotsFor returns the slots for concurrent requests to a host.
func (r *run) slotsFor(host string) chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.slots[host] == nil {
		r.slots[host] = make(chan struct{}, perHost)
	}
	return r.slots[host]
}

// tell passes an event on to Run's goroutine, unless the run is over.
func (r *run) tell(ctx context.Context, ev Event) {
	if r.events == nil {
		return
	}
	select {
	case r.events <- ev:
	case <-ctx.Done():
	}
}

// database asks one route to the checksum database for a signed record.
func (r *run) database(ctx context.Context, db policy.Database) decision.Database {
	d := decision.Database{GOSUMDB: db.GOSUMDB, Host: hostname(db.URL)}
	fail := func(class decision.Class, detail string) decision.Database {
		d.Class, d.Detail = class, detail
		return d
	}
	p := &proxy{run: r, entry: policy.Entry{Name: db.Name, URL: db.URL}}
	if s := r.cfg.Settings; s.Mode == policy.Enforced && (len(s.Allow) == 0 || !s.Allows(d.Host)) {
		return fail(decision.NotAllowed, "enforced mode asks no host that the allow-list does not name")
	}
	if ev, known := p.prepare(); known {
		return fail(ev.Class, ev.Detail)
	}
	p.site.Client.User = r.logins.FromNetrc(p.site.Base) // the policy's are for its proxies
	defer p.close()
	ctx, cancel := context.WithTimeout(ctx, r.limit())
	defer cancel()
	if o := p.ask(ctx, lookupQuestion(r.sumdb, "", quote)); o.class != "" {
		return fail(o.class, modproxy.Line(o.detail))
	}
	return d
}

func (r *run) roots(e policy.Entry) (*x509.CertPool, error) {
	if r.cfg.RootCAs == nil {
		return nil, nil
	}
	return r.cfg.RootCAs(e)
}

// hostname returns the host of a URL without its port.
func hostname(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// isLoopback reports whether a host is this machine by its very name.
func isLoopback(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.Unmap().IsLoopback()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}
