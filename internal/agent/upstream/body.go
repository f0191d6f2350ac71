package upstream

import (
	"io"
	"sync"
	"time"
)

// A watched body ends the request if the proxy brings less than the limit. The
// clock runs only while a Read waits: a reader that is busy elsewhere fills
// buffers on the way, and then gets their content at once.
type watched struct {
	io.ReadCloser
	u     *Upstream
	a     *attempt
	need  int64 // bytes per window
	timer *time.Timer

	mu    sync.Mutex // guards the fields below
	since time.Time  // when the Read began that waits; zero if none does
	left  time.Duration
	got   int64 // in this window
}

func (u *Upstream) watch(a *attempt, body io.ReadCloser) *watched {
	window := u.Limits.Window
	w := &watched{ReadCloser: body, u: u, a: a, left: window, need: int64(float64(u.Limits.Rate) * window.Seconds())}
	w.timer = time.AfterFunc(window, w.expire)
	w.timer.Stop()
	return w
}

// Read implements [io.Reader]; its errors are failures.
func (w *watched) Read(p []byte) (int, error) {
	w.mu.Lock()
	w.since = time.Now()
	w.timer.Reset(w.left)
	w.mu.Unlock()

	n, err := w.ReadCloser.Read(p)

	w.mu.Lock()
	w.timer.Stop()
	w.left -= time.Since(w.since)
	w.since = time.Time{}
	w.got += int64(n)
	if w.left <= 0 && err == nil {
		w.turn()
	}
	w.mu.Unlock()
	w.u.bytes.Add(int64(n))
	return n, w.u.bodyFailure(w.a, err)
}

// expire ends a window in which a Read still waits.
func (w *watched) expire() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.since.IsZero() || time.Since(w.since) < w.left {
		return // the Read has just returned, and another one may wait already
	}
	w.turn()
	w.since = time.Now()
	w.timer.Reset(w.left)
}

// turn judges the window and begins the next one. w.mu is held.
func (w *watched) turn() {
	if w.got < w.need {
		w.a.end(errStalled)
	}
	w.left, w.got = w.u.Limits.Window, 0
}

// Close implements [io.Closer].
func (w *watched) Close() error {
	w.mu.Lock()
	w.since = time.Time{}
	w.timer.Stop()
	w.mu.Unlock()
	return w.ReadCloser.Close()
}
