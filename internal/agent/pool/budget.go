package pool

import "sync"

// Extra requests, hedges and retries alike, are at most 5 % of all requests,
// and never more than a few at once: who is in trouble gets no more load.
const (
	extraShare = 0.05
	extraBurst = 10
)

// A budget counts the extra requests that may be made.
type budget struct {
	mu    sync.Mutex // guards the field below
	extra float64
}

// earn is called for each fetch that a client waits for.
func (b *budget) earn() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.extra = min(b.extra+extraShare, extraBurst)
}

// spend takes one extra request, if there is one left.
func (b *budget) spend() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.extra < 1 {
		return false
	}
	b.extra--
	return true
}
