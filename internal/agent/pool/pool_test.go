package pool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/agent/upstream"
	"github.com/org/goproxy-setup/internal/checksum"
)

// An origin serves one file, and cuts transfers.
type origin struct {
	mu       sync.Mutex
	data     []byte
	etag     string
	ranges   bool
	cuts     []int // bytes after which the first transfers end
	requests int
	sent     int64
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	o.requests++
	cut := -1
	if len(o.cuts) > 0 {
		cut, o.cuts = o.cuts[0], o.cuts[1:]
	}
	o.mu.Unlock()
	if !o.ranges {
		r.Header.Del("Range")
	}
	if o.etag != "" {
		w.Header().Set("ETag", o.etag)
	}
	c := &cutter{w, o, cut}
	http.ServeContent(c, r, "", time.Time{}, bytes.NewReader(o.data))
	if cut >= 0 {
		panic(http.ErrAbortHandler)
	}
}

// A cutter lets no more than left bytes through; negative is all.
type cutter struct {
	http.ResponseWriter
	o    *origin
	left int
}

var errCut = errors.New("cut")

func (c *cutter) Write(p []byte) (int, error) {
	if c.left >= 0 && len(p) > c.left {
		n, _ := c.ResponseWriter.Write(p[:c.left])
		c.left = 0
		c.count(n)
		return n, errCut
	}
	n, err := c.ResponseWriter.Write(p)
	if c.left >= 0 {
		c.left -= n
	}
	c.count(n)
	return n, err
}

func (o *origin) total() int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.sent
}

func (c *cutter) count(n int) {
	c.o.mu.Lock()
	defer c.o.mu.Unlock()
	c.o.sent += int64(n)
}

// open returns a pool over a new store.
func open(t *testing.T, o store.Options) (*Pool, *store.Store) {
	t.Helper()
	s, err := store.Open(t.TempDir(), o)
	if err != nil {
		t.Fatal(err)
	}
	p := New(s, slog.New(slog.NewTextHandler(t.Output(), nil)))
	p.firstPause = time.Millisecond
	t.Cleanup(func() {
		p.Wait()
		if n := s.Stats().SpoolBytes; n != 0 {
			t.Errorf("%d bytes are left in the spool", n)
		}
		s.Close()
	})
	return p, s
}

// targets serves handlers and returns them as a route.
func targets(t *testing.T, handlers ...http.Handler) (list []Target) {
	t.Helper()
	for i, h := range handlers {
		srv := httptest.NewServer(h)
		t.Cleanup(srv.Close)
		u, err := url.Parse(srv.URL)
		if err != nil {
			t.Fatal(err)
		}
		up := upstream.New(upstream.Config{Name: fmt.Sprint("p", i), URL: u, Limits: upstream.Limits{FirstByte: time.Second}})
		t.Cleanup(up.Close)
		list = append(list, Target{Upstream: up, Path: "file"})
	}
	return list
}

// equal accepts files that are one of these.
func equal(files ...[]byte) func(context.Context, Body) (store.Meta, error) {
	return func(_ context.Context, b Body) (store.Meta, error) {
		got := make([]byte, b.Size)
		if _, err := b.ReadAt(got, 0); err != nil && err != io.EOF {
			return store.Meta{}, err
		}
		if !slices.ContainsFunc(files, func(f []byte) bool { return bytes.Equal(got, f) }) {
			return store.Meta{}, &checksum.MismatchError{File: "file", Got: "h1:other", Want: "h1:data", By: "test"}
		}
		return store.Meta{}, nil
	}
}

func noise(seed uint64, n int) []byte {
	rnd := rand.New(rand.NewPCG(seed, seed))
	data := make([]byte, n)
	for i := range data {
		data[i] = byte(rnd.Uint32())
	}
	return data
}

func yes(context.Context) bool { return true }

// This machine's own trouble is no proxy's wrong bytes.
func TestLocalTrouble(t *testing.T) {
	o := &origin{data: noise(1, 1000)}
	list := targets(t, o, o)
	p, s := open(t, store.Options{})
	for range 5 {
		_, err := p.Fetch(t.Context(), Request{Key: "file", Targets: list, Limit: 1 << 20, Accept: func(context.Context, Body) (store.Meta, error) {
			_, err := os.Open("/nothing")
			return store.Meta{}, fmt.Errorf("no zip of this module: %w", err)
		}})
		if e, ok := errors.AsType[*Error](err); !ok || e.Local == nil || e.Verdict != Unavailable {
			t.Errorf("got %v", err)
		}
	}
	if list[0].State() != upstream.Healthy || s.Stats().Quarantined != 0 {
		t.Errorf("%s, %+v", list[0].State(), s.Stats())
	}
}

// However much there is to say of wrong bytes, it is one line.
func TestReasonIsBounded(t *testing.T) {
	p, _ := open(t, store.Options{})
	_, err := p.Fetch(t.Context(), Request{Key: "file", Targets: targets(t, &origin{data: noise(1, 1000)}), Limit: 1 << 20, Accept: func(context.Context, Body) (store.Meta, error) {
		return store.Meta{}, errors.New(strings.Repeat("bad name\n", 100_000))
	}})
	if err == nil || len(err.Error()) > 2*maxReason || strings.Contains(err.Error(), "\n") {
		t.Errorf("%d bytes", len(fmt.Sprint(err)))
	}
}

// A file that does not fit is the agent's own trouble, and no proxy's.
func TestNoRoom(t *testing.T) {
	data := noise(1, 1<<20)
	o := &origin{data: data}
	p, s := open(t, store.Options{MaxBytes: 100_000})
	_, err := p.Fetch(t.Context(), Request{Key: "file", Targets: targets(t, o), Limit: 10 << 20, Accept: equal(data)})
	if !errors.Is(err, store.ErrFull) {
		t.Errorf("got %v", err)
	}
	if n := s.Stats().SpoolBytes; n != 0 {
		t.Errorf("%d bytes left", n)
	}
}

// The last client to leave ends the fetch; the next one begins anew.
func TestEveryoneLeaves(t *testing.T) {
	block := make(chan struct{})
	defer close(block)
	began := make(chan struct{}, 10)
	silent := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		began <- struct{}{}
		select {
		case <-r.Context().Done():
		case <-block:
		}
	})
	p, _ := open(t, store.Options{})
	r := Request{Key: "file", Targets: targets(t, silent), Limit: 1 << 20, Accept: equal(nil)}
	ctx, leave := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := p.Fetch(ctx, r); !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
		})
	}
	<-began
	leave()
	wg.Wait()
	p.Wait()
	if n := p.Stats().InFlight; n != 0 {
		t.Errorf("%d fetches are still on their way", n)
	}
}

// Who comes for a file that is being fetched ahead is served like anybody else,
// although less is done for what nobody waits for.
func TestJoinsFetchAhead(t *testing.T) {
	block := make(chan struct{})
	defer close(block)
	began := make(chan struct{})
	silent := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		select {
		case <-r.Context().Done():
		case <-block:
		}
	})
	data := noise(1, 1000)
	p, _ := open(t, store.Options{})
	r := Request{Key: "file", Targets: targets(t, silent, &origin{data: data}), Limit: 1 << 20, Accept: equal(data), Ahead: true}
	var wg sync.WaitGroup
	defer wg.Wait()
	for i := range 2 {
		wg.Go(func() {
			s, err := p.Fetch(t.Context(), r)
			if err != nil {
				t.Errorf("request %d: %v", i, err)
				return
			}
			s.File.Close()
		})
		if i == 0 {
			<-began
			r.Ahead = false
		}
	}
	wg.Wait()
	if n := p.Stats().Hedges; n != 1 {
		t.Errorf("%d hedges", n)
	}
}
