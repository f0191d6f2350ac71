package sumdb

import (
	"context"
	"errors"
	"sync"
)

// flights coalesce calls: those with one key at one time are one. The zero
// value is ready.
type flights[V any] struct {
	wg sync.WaitGroup

	mu     sync.Mutex // guards the fields below and those of every flight
	flying map[string]*flight[V]
	closed bool
}

type flight[V any] struct {
	done    chan struct{} // closed when value and err are set
	value   V
	err     error
	waiting int
	cancel  context.CancelCauseFunc
}

var errNobodyWaits = errors.New("nobody waits for the answer any more")

// do returns what fn returns, or joins a call of it that is under way. fn has a
// context of its own, which ends when the last caller has left. A caller leaves
// when ctx ends, with its cause.
func (g *flights[V]) do(ctx context.Context, key string, fn func(context.Context) (V, error)) (V, error) {
	var none V
	if ctx.Err() != nil { // left already: nothing is begun for nobody
		return none, context.Cause(ctx)
	}
	f, err := g.join(ctx, key, fn)
	if err != nil {
		return none, err
	}
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if f.waiting--; f.waiting == 0 {
		g.land(key, f) // whoever comes now, does not want a call that was cancelled
		f.cancel(errNobodyWaits)
	}
	return none, context.Cause(ctx)
}

func (g *flights[V]) join(ctx context.Context, key string, fn func(context.Context) (V, error)) (*flight[V], error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil, ErrClosed
	}
	f := g.flying[key]
	if f == nil {
		f = &flight[V]{done: make(chan struct{})}
		ctx, f.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
		if g.flying == nil {
			g.flying = map[string]*flight[V]{}
		}
		g.flying[key] = f
		g.wg.Go(func() {
			f.value, f.err = fn(ctx)
			g.mu.Lock()
			g.land(key, f)
			g.mu.Unlock()
			close(f.done)
			f.cancel(nil)
		})
	}
	f.waiting++
	return f, nil
}

// land makes f one that nobody joins any more.
func (g *flights[V]) land(key string, f *flight[V]) {
	if g.flying[key] == f {
		delete(g.flying, key)
	}
}

// close cancels all calls and waits for them.
func (g *flights[V]) close() {
	g.mu.Lock()
	g.closed = true
	for _, f := range g.flying {
		f.cancel(ErrClosed)
	}
	g.mu.Unlock()
	g.wg.Wait()
}
