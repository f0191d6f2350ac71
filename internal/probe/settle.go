package probe

import (
	"context"
	"fmt"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/report"
)

// A route is the answer of one way to the checksum database.
type route struct {
	index int
	at    time.Duration // since the start
	db    decision.Database
}

// waiting collects answers in the one goroutine that decides when to stop.
type waiting struct {
	*run
	answers <-chan decision.Evidence
	routes  <-chan route
	want    int // answers in all

	seen  []decision.Evidence
	known []route
}

// evidence waits until the evidence is settled, everybody has answered, or the
// budget is spent.
func (w *waiting) evidence(ctx context.Context) {
	for len(w.seen) < w.want {
		w.takeReady()
		var again time.Duration
		if w.cfg.Settled != nil {
			var done bool
			if done, again = w.cfg.Settled(w.seen, time.Since(w.start)); done {
				return
			}
		}
		if len(w.seen) == w.want || !w.next(ctx, again) {
			return
		}
	}
}

// takeReady takes the answers that are there already: those of one moment are
// judged together.
func (w *waiting) takeReady() {
	for {
		select {
		case e := <-w.answers:
			w.add(e)
		default:
			return
		}
	}
}

func (w *waiting) add(e decision.Evidence) {
	for len(w.events) > 0 { // its last steps come before its verdict
		w.show(<-w.events)
	}
	w.seen = append(w.seen, e)
	w.show(Event{Entry: e.Entry, Done: true, Class: e.Class, Took: e.Took})
}

// next waits for something to happen, or for the time again if it is not 0. It
// reports whether there is time left.
func (w *waiting) next(ctx context.Context, again time.Duration) bool {
	var alarm <-chan time.Time
	if again > 0 {
		t := time.NewTimer(again)
		defer t.Stop()
		alarm = t.C
	}
	select {
	case e := <-w.answers:
		w.add(e)
	case d := <-w.routes:
		w.known = append(w.known, d)
	case ev := <-w.events:
		w.show(ev)
	case <-alarm:
	case <-w.spent:
		w.takeReady()
		return false
	case <-ctx.Done():
		return false
	}
	return true
}

// databases waits for the routes to the checksum database, but only if the
// chain has none, and then for the first that verifies. Routes listed before
// it get a little longer, so that the same network gives the same answer.
func (w *waiting) databases(ctx context.Context) {
	w.answers = nil // what arrives now is too late
	if w.cfg.Settings.SumDB == policy.SumDBOff {
		return
	}
	for len(w.known) < len(w.run.databases) && !w.chainVerifies() {
		again, done := w.routesSettled()
		if done || !w.next(ctx, again) {
			return
		}
	}
}

// chainVerifies reports whether a lookup through a proxy that serves builds was
// verified. It never does if go asks no proxy, because GOSUMDB names a server.
func (w *waiting) chainVerifies() bool {
	if w.sumdb.URL != "" && w.cfg.Settings.Mode == policy.Routed {
		return false
	}
	for _, e := range w.seen {
		if c, made := e.Check(decision.SumDB); made && c.Class == "" && e.Class == "" {
			return true
		}
	}
	return false
}

func (w *waiting) routesSettled() (again time.Duration, done bool) {
	answered := make([]*route, len(w.run.databases))
	for i := range w.known {
		answered[w.known[i].index] = &w.known[i]
	}
	before := true // every route listed earlier is known
	for _, a := range answered {
		switch {
		case a == nil:
			before = false
		case a.db.Class == "" && before:
			return 0, true
		case a.db.Class == "":
			left := a.at + decision.Grace(a.at) - time.Since(w.start)
			return left, left <= 0
		}
	}
	return 0, false
}

func (w *waiting) show(ev Event) {
	if w.cfg.Progress != nil {
		w.cfg.Progress(ev)
	}
}

// result puts what was seen into the order of the policy.
func (w *waiting) result(proxies []policy.Entry) Result {
	elapsed := time.Since(w.start)
	var res Result
	for _, e := range proxies {
		ev := decision.Evidence{
			Entry: e.Name, Class: decision.Cancelled, Took: elapsed,
			Detail: fmt.Sprintf("silent for %s", report.Round(elapsed)),
			Next:   "nothing, if another proxy serves the build; otherwise allow it more time (probe.timeout, --timeout)",
		}
		for _, s := range w.seen {
			if s.Entry == e.Name {
				ev = s
			}
		}
		res.Evidence = append(res.Evidence, ev)
	}
	for i, db := range w.run.databases {
		d := decision.Database{GOSUMDB: db.GOSUMDB, Host: hostname(db.URL), Class: decision.Cancelled, Detail: fmt.Sprintf("silent for %s", report.Round(elapsed))}
		for _, k := range w.known {
			if k.index == i {
				d = k.db
			}
		}
		res.Databases = append(res.Databases, d)
	}
	return res
}
