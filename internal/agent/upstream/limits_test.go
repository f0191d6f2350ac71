package upstream

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
)

func TestFirstByteLimit(t *testing.T) {
	inBubble(t, silent, func(t *testing.T, w *world) {
		u := w.upstream(Config{})
		start := time.Now()
		f := get(u, false)
		want(t, "silent", f, decision.Silent, start, DefaultLimits.FirstByte)
		if f.Took != DefaultLimits.FirstByte || f.Detail != "it accepted the request, and then did not answer within 10s" {
			t.Errorf("failure %+v", f)
		}
	})
}

// Just within the limits is good enough.
func TestSlowAnswer(t *testing.T) {
	after := DefaultLimits.FirstByte - time.Millisecond
	inBubble(t, func(rw http.ResponseWriter, r *http.Request) {
		time.Sleep(after)
		fine(rw, r)
	}, func(t *testing.T, w *world) {
		start := time.Now()
		want(t, "slow", get(w.upstream(Config{}), false), "", start, after)
	})
}

// The text of an error is waited for no longer than a second.
func TestErrorWithoutEnd(t *testing.T) {
	inBubble(t, func(rw http.ResponseWriter, r *http.Request) {
		rw.WriteHeader(http.StatusBadGateway)
		fmt.Fprint(rw, "no ")
		http.NewResponseController(rw).Flush()
		silent(rw, r)
	}, func(t *testing.T, w *world) {
		start := time.Now()
		f := get(w.upstream(Config{}), false)
		want(t, "502", f, decision.ServerError, start, time.Second)
		if f.Detail != `502 Bad Gateway ("no")` {
			t.Errorf("detail %q", f.Detail)
		}
	})
}

// drip sends n bytes every pause until enough are sent.
func drip(n int, pause time.Duration, total int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		block := bytes.Repeat([]byte("x"), n)
		for sent := 0; sent < total; sent += n {
			if _, err := w.Write(block); err != nil {
				return
			}
			http.NewResponseController(w).Flush()
			time.Sleep(pause)
		}
	}
}

func TestMinimumThroughput(t *testing.T) {
	window := DefaultLimits.Window
	for _, tt := range []struct {
		name   string
		server http.HandlerFunc
		class  decision.Class
		took   time.Duration
	}{
		{"drops", drip(100, 100*time.Millisecond, 1<<20), decision.Stalled, window},
		{"just too slow", drip(7_900, 501*time.Millisecond, 1<<20), decision.Stalled, window},
		{"slow and steady", drip(10_000, 500*time.Millisecond, 1_000_000), "", 50 * time.Second},
		{"in bursts", drip(200_000, 4*time.Second, 1_000_000), "", 20 * time.Second},
		{"silent at once", func(w http.ResponseWriter, r *http.Request) {
			http.NewResponseController(w).Flush()
			silent(w, r)
		}, decision.Stalled, window},
		{"silent after a good start", func(w http.ResponseWriter, r *http.Request) {
			w.Write(make([]byte, 1<<20))
			http.NewResponseController(w).Flush()
			silent(w, r)
		}, decision.Stalled, 2 * window},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, tt.server, func(t *testing.T, w *world) {
				u := w.upstream(Config{})
				start := time.Now()
				f := get(u, false)
				want(t, tt.name, f, tt.class, start, tt.took)
				if f != nil && (f.Took != tt.took || f.Detail != "the body brought less than 16000 bytes per second over 5s") {
					t.Errorf("failure %+v", f)
				}
			})
		})
	}
}

// A reader that is busy elsewhere is not the proxy's fault.
func TestBackPressure(t *testing.T) {
	inBubble(t, func(w http.ResponseWriter, _ *http.Request) { w.Write(make([]byte, 100_000)) }, func(t *testing.T, w *world) {
		u := w.upstream(Config{})
		a, done, f := u.Get(t.Context(), modPath, false)
		if f != nil {
			t.Fatal(f)
		}
		buf := make([]byte, 1000)
		n := 0
		for {
			m, err := a.Body.Read(buf)
			n += m
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("after %d bytes: %v", n, err)
			}
			time.Sleep(time.Minute)
		}
		a.Body.Close()
		done(nil)
		if s := u.Status(); n != 100_000 || s.Bytes != 100_000 || s.Classes[""] != 1 || s.InFlight != 0 {
			t.Errorf("read %d bytes, %+v", n, s)
		}
	})
}

// The caller's own end of a request is nobody's failure.
func TestCancelled(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"before the header": silent,
		"in the body": func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprint(w, "begin")
			http.NewResponseController(w).Flush()
			silent(w, r)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, h, func(t *testing.T, w *world) {
				u := w.upstream(Config{})
				for range 2 * failuresToOpen {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					start := time.Now()
					want(t, "cancelled", getFrom(ctx, u, false), decision.Cancelled, start, time.Second)
					cancel()
				}
				if s := u.Status(); s.State != Healthy || s.Last != "" || len(s.Classes) != 0 {
					t.Errorf("status %+v", s)
				}
			})
		})
	}
}
