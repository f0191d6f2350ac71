package probe

import (
	"cmp"
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/site"
)

// retryPause is the time between the two attempts of a request.
const retryPause = 100 * time.Millisecond

// A proxy is one entry while it is asked.
type proxy struct {
	*run
	entry   policy.Entry
	site    *site.Site
	slots   chan struct{} // shared by all proxies of one host
	retried atomic.Bool   // the one retry is used up
	wg      sync.WaitGroup
}

// proxy asks one entry and returns all there is to say about it.
func (r *run) proxy(ctx context.Context, e policy.Entry) decision.Evidence {
	p := &proxy{run: r, entry: e}
	if ev, known := p.prepare(); known {
		return ev
	}
	p.site.Client.User = r.logins.For(e, p.site.Base)
	ctx, cancel := context.WithTimeout(ctx, r.limit())
	ev := p.evidence(ctx)
	r.wg.Go(func() { // the evidence need not wait for that
		cancel()
		p.close()
	})
	return ev
}

// close waits for the requests, whose context is over, and cuts the
// connections.
func (p *proxy) close() {
	p.wg.Wait()
	p.site.Close()
}

// prepare makes the entry's site, or returns the evidence for an entry that is
// not asked.
func (p *proxy) prepare() (ev decision.Evidence, known bool) {
	fail := func(class decision.Class, detail, next string) (decision.Evidence, bool) {
		return decision.Evidence{Entry: p.entry.Name, Class: class, Detail: detail, Next: next, Took: time.Since(p.start)}, true
	}
	base, err := site.ParseBase(p.entry.URL)
	if err != nil {
		return fail(decision.BadStatus, oneLine(err), "write http://, https:// or file:///DIRECTORY")
	}
	if p.cfg.Container && (base.Scheme == "file" || isLoopback(base.Hostname())) {
		return fail(decision.Local, "inside a container, a loopback address or a directory is not that of the steps that follow",
			"nothing: it keeps its place in the chain; to have it probed, run the binary on the host")
	}
	roots, err := p.roots(p.entry)
	if err != nil {
		return fail(decision.UnknownCA, "its own authority: "+oneLine(err), "correct tls.ca of this proxy: a PEM file, relative to the policy file")
	}
	p.slots = p.slotsFor(base.Host)
	p.site = site.New(base, site.Config{Allows: p.cfg.Settings.Allows, Proxy: p.httpProxy, Roots: roots, Dial: p.cfg.Dial, Idle: perHost})
	return decision.Evidence{}, false
}

// evidence asks in the order of value: the canary zip first, since it proves
// most, and then everything else over the same connections.
func (p *proxy) evidence(ctx context.Context) decision.Evidence {
	c := p.canary()
	zip := p.ask(ctx, zipQuestion(c))
	g := &grades{proxy: p, canary: c, zip: zip}
	switch {
	case zip.class == "":
		p.everything(ctx, g, p.questions(c))
	case zip.class == decision.Forbidden, zip.class == decision.Missing, zip.storageFault(p.site):
		p.refused(ctx, g, zip)
	}
	return g.evidence()
}

// refused finds out whether all zips fail, this canary only, or everything.
func (p *proxy) refused(ctx context.Context, g *grades, zip outcome) {
	elsewhere := zip.elsewhere(p.site)
	mod := p.ask(ctx, modQuestion(decision.Zip, g.canary.Version, g.canary.Mod))
	if mod.class == "" || elsewhere && ctx.Err() != nil { // without time to ask: it did answer by a redirect
		g.zipBlocked = true
		return
	}
	project := p.project()
	if elsewhere || len(project) == 0 {
		return
	}
	// The canary is not allowed here, or not mirrored. The build's own modules
	// may be.
	g.canaryRefused = true
	p.everything(ctx, g, project)
	if subject, ok := g.works(); ok {
		p.everything(ctx, g, p.questionsAbout(subject))
	}
}

// everything asks all questions, no more than the host's slots at a time. It
// returns when the critical ones are known and the others are too or had their
// time, or as soon as one answer keeps builds from using the proxy.
func (p *proxy) everything(ctx context.Context, g *grades, list []question) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	start := time.Now()
	results := make(chan outcome, len(list)) // each question has its outcome, even after we left
	p.wg.Go(func() {
		for _, q := range list { // in this order: the most valuable first
			if !p.acquire(ctx) {
				results <- noTime(q)
				continue
			}
			p.wg.Go(func() {
				defer p.release()
				results <- p.attempt(ctx, q)
			})
		}
	})
	critical := 0
	for _, q := range list {
		if q.critical {
			critical++
		}
	}
	var enough <-chan time.Time
	for range list {
		if critical == 0 && enough == nil {
			enough = time.After(decision.Grace(time.Since(p.start)) - time.Since(start))
		}
		select {
		case o := <-results:
			if o.question.critical {
				critical--
			}
			if g.add(o); g.blocks(o) {
				return
			}
		case <-enough:
			for len(results) > 0 { // came at the same moment
				g.add(<-results)
			}
			g.missing(list, time.Since(start))
			return
		}
	}
}

// acquire takes a slot of the host.
func (p *proxy) acquire(ctx context.Context) bool {
	select {
	case p.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p *proxy) release() { <-p.slots }

// ask asks one question and waits for its outcome.
func (p *proxy) ask(ctx context.Context, q question) outcome {
	if !p.acquire(ctx) {
		return noTime(q)
	}
	defer p.release()
	return p.attempt(ctx, q)
}

// noTime is the outcome of a question that was never asked.
func noTime(q question) outcome {
	return outcome{question: q, class: decision.Silent, detail: "no time was left to ask", trace: &site.Trace{}}
}

// attempt asks once, and once more if the failure may have been an accident,
// builds depend on the answer, and the proxy's one retry is left.
func (p *proxy) attempt(ctx context.Context, q question) outcome {
	o := p.once(ctx, q)
	if !accident(o.class) || !q.critical || !p.retried.CompareAndSwap(false, true) {
		return o
	}
	t := time.NewTimer(retryPause)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
		return o
	}
	again := p.once(ctx, q)
	again.took += o.took + retryPause
	again.before = o.trace
	return again
}

// accident reports whether a failure may be gone a moment later.
func accident(c decision.Class) bool { return c == decision.ServerError || c == decision.Reset }

// once sends one request and judges the answer.
func (p *proxy) once(ctx context.Context, q question) (o outcome) {
	p.tell(ctx, Event{Entry: p.entry.Name, Kind: q.kind})
	t := &site.Trace{}
	o = outcome{question: q, trace: t}
	start := time.Now()
	defer func() {
		o.took = time.Since(start)
		o.detail = p.site.Client.Hide(o.detail)
		o.hops = t.Where().Hops
		p.tell(ctx, Event{Entry: p.entry.Name, Kind: q.kind, Done: true, Class: o.class, Took: o.took})
	}()
	a, err := p.site.Client.Get(t.Start(ctx), q.path)
	var body []byte
	if err == nil {
		o.status, o.host = 200, a.Host
		if q.start {
			body, err = a.ReadStart(q.limit)
		} else {
			body, err = a.ReadAll(q.limit)
		}
	}
	if err != nil {
		o.fail(err)
		if q.absent && (o.status == 404 || o.status == 410) {
			o.class = ""
		}
		return o
	}
	o.class, o.detail = q.judge(body)
	if shown := p.site.Client.Hide(string(body)); o.class != "" && shown != string(body) {
		_, o.detail = q.judge([]byte(shown)) // it may repeat our login, whole or in part
	}
	if o.class != "" && p.site.Base.Scheme == "file" {
		o.detail = "not the file it should be" // a link in the work tree may lead anywhere: quote nothing
	}
	o.latency = cmp.Or(t.ReadyFor(), time.Since(start)) // a file has no connection
	return o
}
