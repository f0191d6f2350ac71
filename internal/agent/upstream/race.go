package upstream

import (
	"context"
	"net"
	"time"
)

// stagger is how long an address may take to connect before the next one is
// tried beside it.
//
// Source: RFC 8305, section 5.
const stagger = 250 * time.Millisecond

// race connects to the first lane that can be connected to. The others are
// tried in order, each when the one before has failed or is late. A lane that
// failed or was overtaken goes behind the others. The error is that of the first
// one to fail.
func race(ctx context.Context, lanes []*lane) (*lane, net.Conn, error) {
	type result struct {
		lane *lane
		conn net.Conn
		err  error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	results := make(chan result)
	running := map[*lane]bool{}
	start := func() {
		if len(lanes) == 0 {
			return
		}
		l := lanes[0]
		lanes = lanes[1:]
		running[l] = true
		go func() {
			c, err := l.connect(ctx)
			select {
			case results <- result{l, c, err}:
			case <-ctx.Done():
				if c != nil {
					c.Close() // too late
				}
			}
		}()
	}
	var first error
	start()
	late := time.NewTicker(stagger)
	defer late.Stop()
	for len(running) > 0 {
		select {
		case r := <-results:
			delete(running, r.lane)
			if r.err == nil {
				putLast(running)
				return r.lane, r.conn, nil
			}
			if first == nil {
				first = r.err
			}
			if ctx.Err() != context.Canceled { // by the caller
				r.lane.putLast()
			}
			start()
			late.Reset(stagger)
		case <-late.C:
			start()
		case <-ctx.Done():
			if ctx.Err() == context.DeadlineExceeded {
				putLast(running)
			}
			if first == nil {
				first = ctx.Err()
			}
			return nil, nil, first
		}
	}
	return nil, nil, first
}

func putLast(lanes map[*lane]bool) {
	for l := range lanes {
		l.putLast()
	}
}
