package diagnose

import (
	"context"
	"net/url"
	"time"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/modproxy"
)

// A route is one way to the checksum database.
type route struct {
	base  string
	under string // path of the database below base, with a slash at its end
	proxy bool   // a module proxy, which is asked first whether it passes lookups on
	login Login
}

// routes returns the ways to a database in the order in which go tries them.
func (m *Machine) routes(db goenv.SumDB, private bool) (list []route) {
	if db.URL != "" {
		return []route{{base: db.URL}}
	}
	for _, e := range m.Policy.Proxies() {
		if !private {
			list = append(list, route{e.URL, modproxy.SumDBPath(db.Name) + "/", true, m.Logins[e.Name]})
		}
	}
	return append(list, route{base: "https://" + db.Name})
}

// fromDatabase asks the checksum database: at the URL of GOSUMDB, else through
// the first proxy that passes it on, whose word is final, else at its own host.
func (m *Machine) fromDatabase(ctx context.Context, mod module.Version, private bool) (a layerAnswer, record *checksum.Record) {
	a.File = "lookup"
	db, err := goenv.ParseSumDB(m.setting("GOSUMDB"))
	path := ""
	if err == nil {
		path, err = modproxy.LookupPath(mod.Path, mod.Version)
	}
	if err != nil {
		a.Answer, a.Detail = goenv.Unreachable, err.Error()
		return a, nil
	}
	start := time.Now()
	for _, r := range m.routes(db, private) {
		final := false
		if record, final = m.lookUp(ctx, r, path, mod, db.Key, &a); record != nil || final {
			break
		}
	}
	a.Took = time.Since(start)
	return a, record
}

// lookUp asks one route for a record, and notes in a why there is none. final
// says that go would ask no other.
func (m *Machine) lookUp(ctx context.Context, r route, path string, mod module.Version, key string, a *layerAnswer) (record *checksum.Record, final bool) {
	base, err := url.Parse(r.base)
	if err != nil {
		return nil, false
	}
	ctx, cancel := context.WithTimeoutCause(ctx, lookTime, errSilent) // so that there is time for the next
	defer cancel()
	c, done := m.client(base, r.login)
	defer done()
	fail := func(err error) {
		if a.fail(ctx, err); a.Answer == goenv.Hang || a.Answer == goenv.Absent {
			a.Detail = goenv.Redact(r.base) + ": " + a.Detail
		}
	}
	if r.proxy {
		if _, err := get(ctx, c, r.under+"supported"); err != nil {
			fail(err)
			return nil, false
		}
	}
	data, err := get(ctx, c, r.under+path)
	if err != nil {
		fail(err)
		return nil, r.proxy
	}
	if record, err = checksum.ParseRecord(data, mod, key); err != nil {
		a.Answer, a.Detail = goenv.Wrong, modproxy.Line(err.Error())
		return nil, true
	}
	a.Answer, a.Detail = goenv.OK, ""
	return record, true
}

// get reads a small file.
func get(ctx context.Context, c *modproxy.Client, path string) ([]byte, error) {
	got, err := c.Get(ctx, path)
	if err != nil {
		return nil, err
	}
	return got.ReadAll(maxDotInfo)
}
