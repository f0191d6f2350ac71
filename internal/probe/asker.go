package probe

import (
	"context"
	"time"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/site"
)

// Askers are the proxies of a chain, to be asked for single files: with the
// limits and the judgement of [Run], but without grades. It does not look at
// names; see [KnownPublic].
type Askers struct {
	run  *run
	list []*Asker
}

// An Asker asks one proxy. It is safe for concurrent use.
type Asker struct {
	p     *proxy
	known *Answer // the answer to everything, if the entry is not asked
}

// An Answer is what one request came to.
type Answer struct {
	Class  decision.Class // "" if the file is right, as far as it was read
	Status int            // of HTTP, 0 if no answer arrived
	Detail string         // for people, redacted, one line
	Next   string         // what to do about it, one line
	Host   string         // where the answer came from, "" if from the proxy itself
	Took   time.Duration
	// RetryAfter is how long the server asks to wait, 0 if it does not say.
	RetryAfter time.Duration
}

// NewAskers prepares asking every proxy of cfg.Settings, in the order of
// [policy.Settings.Proxies]. Of cfg, only what says how to ask is used. The
// caller must Close it.
func NewAskers(cfg Config) *Askers {
	cfg.Progress, cfg.Budget = nil, 0
	a := &Askers{run: newRun(cfg)}
	for _, e := range cfg.Settings.Proxies() {
		a.list = append(a.list, a.run.asker(e))
	}
	return a
}

// At returns the asker of the i-th proxy.
func (a *Askers) At(i int) *Asker { return a.list[i] }

// Close cuts all connections. Nobody may ask any more.
func (a *Askers) Close() {
	for _, x := range a.list {
		if x.known == nil {
			x.p.site.Close()
		}
	}
}

func (r *run) asker(e policy.Entry) *Asker {
	p := &proxy{run: r, entry: e}
	if ev, known := p.prepare(); known {
		return &Asker{p, &Answer{Class: ev.Class, Detail: modproxy.Line(ev.Detail), Next: ev.Next}}
	}
	p.site.Client.User = r.logins.For(e, p.site.Base)
	return &Asker{p, nil}
}

// Mod asks for the .mod file of m, which has passed [module.Check], and
// compares it with its hash from go.sum.
func (a *Asker) Mod(ctx context.Context, m module.Version, hash string) Answer {
	return a.ask(ctx, modQuestion(decision.Project, m, hash))
}

// zipStart is how much of a zip shows that it is served, in bytes: who refuses
// zips, or keeps them elsewhere, does so before the first one.
const zipStart = 4 << 10

// ZipStart asks for the first bytes of the zip of m, which has passed
// [module.Check]. The rest is not read, so its hash is not checked.
func (a *Asker) ZipStart(ctx context.Context, m module.Version) Answer {
	q := bigQuestion(decision.Zip, m)
	q.limit = zipStart
	return a.ask(ctx, q)
}

// ask asks once, and once more if the failure may have been an accident.
func (a *Asker) ask(ctx context.Context, q question) Answer {
	if a.known != nil {
		return *a.known
	}
	ctx, cancel := context.WithTimeout(ctx, a.p.limit())
	defer cancel()
	o := a.p.ask(ctx, q)
	if accident(o.class) && o.retryAfter == 0 && ctx.Err() == nil {
		o = a.p.ask(ctx, q)
	}
	ans := Answer{Class: o.class, Status: o.status, Detail: modproxy.Line(o.detail), Took: o.took, RetryAfter: o.retryAfter}
	if o.elsewhere(a.p.site) {
		ans.Host = modproxy.Line(o.host)
	}
	if o.class != "" {
		ans.Next = modproxy.Line(a.p.next(o, nextClass(o, a.p.site)))
	}
	return ans
}

// nextClass is the class whose advice fits: a refused zip is one of zips.
func nextClass(o outcome, s *site.Site) decision.Class {
	if o.question.kind == decision.Zip && (o.class == decision.Forbidden || o.storageFault(s)) {
		return decision.ZipBlocked
	}
	return o.class
}
