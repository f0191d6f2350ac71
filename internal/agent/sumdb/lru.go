package sumdb

import (
	"container/list"
	"sync"
)

// An lru is a map that forgets what was not used for longest. It is safe for
// concurrent use.
type lru[K comparable, V any] struct {
	max int // bytes

	mu    sync.Mutex // guards the fields below
	bytes int
	order list.List // of *entry, the last used in front
	byKey map[K]*list.Element
}

type entry[K comparable, V any] struct {
	key   K
	value V
	size  int
}

// overhead is about what an entry takes beside its value, in bytes.
const overhead = 128

func newLRU[K comparable, V any](maxBytes int) *lru[K, V] {
	return &lru[K, V]{max: maxBytes, byKey: map[K]*list.Element{}}
}

func (l *lru[K, V]) get(key K) (value V, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.byKey[key]
	if e == nil {
		return value, false
	}
	l.order.MoveToFront(e)
	return e.Value.(*entry[K, V]).value, true
}

// put sets the value, which takes size bytes.
func (l *lru[K, V]) put(key K, value V, size int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if e := l.byKey[key]; e != nil {
		l.remove(e)
	}
	l.byKey[key] = l.order.PushFront(&entry[K, V]{key, value, size + overhead})
	l.bytes += size + overhead
	for l.bytes > l.max && l.order.Len() > 1 {
		l.remove(l.order.Back())
	}
}

func (l *lru[K, V]) remove(e *list.Element) {
	old := l.order.Remove(e).(*entry[K, V])
	delete(l.byKey, old.key)
	l.bytes -= old.size
}
