package bench

import (
	"bytes"
	"context"
	"hash/maphash"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/org/goproxy-setup/internal/modproxy"
)

// A pace says when the requests of a turn are due.
type pace struct {
	first    int           // number of the first request in the load, which says its file
	count    int           // requests; 0 is no bound
	offset   time.Duration // from now to the first one
	interval time.Duration // between them; 0 is as fast as answers come
	length   time.Duration // no request is due after that; 0 is no bound
}

// over reports whether no more requests are sent, so long after the first one
// was due. Those that are late still have as long as one may take.
func (p pace) over(after, grace time.Duration) bool {
	if p.interval == 0 {
		grace = 0 // nothing is ever late
	}
	return p.length > 0 && after >= p.length+grace
}

// closedLoop loads the proxies one after the other, in rounds: while one is
// loaded nobody else takes its bandwidth or our processor.
func (r *run) closedLoop(ctx context.Context, list []*subject) {
	first := 0
	for round, n := range r.load.turns() {
		for _, i := range turnOrder(len(list), round) {
			p := pace{first: first, count: n, length: r.load.Duration / time.Duration(r.load.rounds())}
			r.turn(ctx, list[i], p, func(int) int { return round })
		}
		first += n
	}
}

// openLoop sends the requests of all proxies in turns, one by one, each when it
// is due.
func (r *run) openLoop(ctx context.Context, list []*subject) {
	n, rounds := r.count(), r.load.rounds()
	round := func(i int) int { return i * rounds / n }
	r.each(ctx, list, func(i int, s *subject) {
		interval := r.load.interval()
		r.turn(ctx, s, pace{count: n, interval: interval, offset: interval * time.Duration(i) / time.Duration(len(list)), length: r.load.Duration}, round)
	})
}

// each runs f for all proxies: at once if the pace is given, in turns if every
// one of them would take all there is.
func (r *run) each(ctx context.Context, list []*subject, f func(i int, s *subject)) {
	var wg sync.WaitGroup
	for i, s := range list {
		if r.load.Rate == 0 {
			f(i, s)
			continue
		}
		wg.Go(func() { f(i, s) })
	}
	wg.Wait()
}

// turn sends requests to one proxy. round says to which round the i-th of them
// belongs; if it is nil, they do not count.
func (r *run) turn(ctx context.Context, s *subject, p pace, round func(i int) int) {
	count := p.count
	if count == 0 {
		count = math.MaxInt
	}
	start := time.Now().Add(p.offset)
	var next, sent atomic.Int64
	var wg sync.WaitGroup
	for range min(r.load.Concurrency, count) {
		wg.Go(func() {
			for {
				i := int(next.Add(1) - 1)
				if i >= count {
					return
				}
				due := start.Add(p.interval * time.Duration(i))
				if sleepUntil(ctx, due) != nil || p.over(time.Since(start), r.load.Timeout) {
					return
				}
				if p.interval == 0 {
					due = time.Now()
				}
				sent.Add(1)
				smp, counts := s.send(ctx, s.seq.at(p.first+i), due)
				if counts && round != nil {
					smp.round = round(i)
					s.add(smp, r.compares(smp.kind))
				} else if counts {
					s.count(smp.class != "")
				}
			}
		})
	}
	wg.Wait()
	if round == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy += max(time.Since(start), 0)
	if p.interval > 0 && ctx.Err() == nil {
		s.unsent += p.count - int(sent.Load())
	}
}

// compares reports whether files of the kind count for the comparison.
func (r *run) compares(k Kind) bool {
	return len(r.common) == 0 || slices.Contains(r.common, k) // nothing in common: everything does
}

// send sends one request that is due, and judges the answer. It does not count
// if we have made it fail.
func (s *subject) send(ctx context.Context, f file, due time.Time) (sample, bool) {
	buf := buffers.Get().(*bytes.Buffer)
	defer buffers.Put(buf)
	a := s.client.get(ctx, f.Path, f.limit, &visit{}, buf)
	if a.Class != "" && ctx.Err() != nil {
		return sample{}, false
	}
	smp := sample{kind: f.kind, class: a.Class, detail: a.Detail, bytes: a.size, service: a.service}
	smp.latency = max(a.done.Sub(due)-a.visit.held, a.service)
	if smp.class != "" {
		return smp, true
	}
	if digest, ok := s.digests[f.Path]; !ok || maphash.Bytes(seed, a.body) != digest {
		smp.class, smp.detail = f.Judge(a.body)
		smp.detail = modproxy.Line(s.client.Client.Hide(smp.detail))
	}
	return smp, true
}

// add counts a sample; compared says that its kind is one that all serve.
func (s *subject) add(smp sample, compared bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done++
	if smp.class != "" {
		s.failed++
	} else {
		record(s.seen, smp.latency)
	}
	if s.tallies[smp.kind] == nil {
		s.tallies[smp.kind] = newTally()
	}
	s.tallies[smp.kind].add(smp)
	if compared && smp.class == "" {
		record(s.rounds[smp.round], smp.latency)
	}
}
