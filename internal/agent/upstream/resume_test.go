package upstream_test

import (
	"bytes"
	"context"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/agent/upstream"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/modproxy"
)

// cutter serves data with an ETag and ranges, and cuts every answer after at
// most n bytes. It redirects to itself, as proxies do to their storage.
type cutter struct {
	data     []byte
	n        int
	ranges   bool
	etag     func() string
	requests []string // "PATH RANGE IF-RANGE"
}

func (c *cutter) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !strings.HasPrefix(r.URL.Path, "/storage/") {
		c.requests = append(c.requests, strings.TrimSpace(r.URL.Path+" "+r.Header.Get("Range")+" "+r.Header.Get("If-Range")))
		http.Redirect(w, r, "/storage"+r.URL.Path+"?signature=1", http.StatusFound)
		return
	}
	w.Header().Set("ETag", c.etag())
	if !c.ranges {
		r.Header.Del("Range")
	}
	http.ServeContent(&cutWriter{w, c.n}, r, "", time.Time{}, bytes.NewReader(c.data))
}

type cutWriter struct {
	http.ResponseWriter
	left int
}

func (w *cutWriter) Write(p []byte) (int, error) {
	if len(p) < w.left {
		w.left -= len(p)
		return w.ResponseWriter.Write(p)
	}
	w.ResponseWriter.Write(p[:w.left])
	http.NewResponseController(w.ResponseWriter).Flush()
	panic(http.ErrAbortHandler)
}

// assemble asks for the file until it is whole, and goes on where it was cut.
func assemble(ctx context.Context, t *testing.T, u *upstream.Upstream) (data []byte, asked int) {
	t.Helper()
	var r modproxy.Resume
	for asked < 50 {
		a, done, f := u.Resume(ctx, quoteZip, r, true)
		if f != nil {
			t.Fatal(f)
		}
		asked++
		data = data[:a.From]
		part, err := io.ReadAll(a.Body)
		a.Body.Close()
		data = append(data, part...)
		f, _ = upstream.IsFailure(err)
		done(f)
		if f == nil {
			return data, asked
		}
		if f.Class != decision.Reset {
			t.Fatal(f)
		}
		r = modproxy.Resume{From: int64(len(data)), Size: a.Size, ETag: a.ETag}
	}
	t.Fatal("no end")
	return nil, 0
}

// A file that is cut again and again is put together from its parts, all of
// them asked at the original URL.
func TestResume(t *testing.T) {
	data := make([]byte, 300_000)
	for i := range data {
		data[i] = byte(rand.N(256))
	}
	c := &cutter{data: data, n: 40_000, ranges: true, etag: func() string { return `"v1"` }}
	u := open(t, upstream.Config{URL: parse(t, serveHTTP(t, c.ServeHTTP))})
	got, asked := assemble(t.Context(), t, u)
	if !bytes.Equal(got, data) || asked < 8 {
		t.Errorf("got %d bytes in %d parts, equal: %v", len(got), asked, bytes.Equal(got, data))
	}
	if got := c.requests[1]; !strings.HasPrefix(got, "/"+quoteZip+" bytes=") || !strings.HasSuffix(got, `- "v1"`) {
		t.Errorf("asked for the rest by %q", got)
	}
}

// A server that cannot, or that has another file now, sends all of it.
func TestResumeStartsOver(t *testing.T) {
	data := bytes.Repeat([]byte("0123456789"), 10_000)
	for _, tt := range []struct {
		name string
		c    cutter
	}{
		{"no ranges", cutter{etag: func() string { return `"v1"` }}},
		{"another ETag", cutter{ranges: true, etag: func() string { return `"v` + time.Now().String() + `"` }}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.c.data, tt.c.n = data, 40_000
			u := open(t, upstream.Config{URL: parse(t, serveHTTP(t, tt.c.ServeHTTP))})
			r := modproxy.Resume{}
			for i := range 3 {
				a, done, f := u.Resume(t.Context(), quoteZip, r, false)
				if f != nil {
					t.Fatal(f)
				}
				if i == 2 {
					tt.c.n = len(data) + 1
				}
				part, err := io.ReadAll(a.Body)
				a.Body.Close()
				f, _ = upstream.IsFailure(err)
				done(f)
				if a.From != 0 || a.Size != int64(len(data)) || !bytes.HasPrefix(data, part) {
					t.Errorf("from %d of %d", a.From, a.Size)
				}
				r = modproxy.Resume{From: int64(len(part)), Size: a.Size, ETag: a.ETag}
			}
		})
	}
}

// Another part than that which was asked for is no answer, and no failure of the
// proxy: it may have packed the file otherwise.
func TestWrongPart(t *testing.T) {
	u := open(t, upstream.Config{URL: parse(t, serveHTTP(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Range", "bytes 5-9/10")
		w.WriteHeader(http.StatusPartialContent)
		io.WriteString(w, "56789")
	}))})
	var f *upstream.Failure
	for range 4 {
		_, _, f = u.Resume(t.Context(), quoteZip, modproxy.Resume{From: 4}, false)
	}
	if !u.Ready() {
		t.Errorf("state %s", u.State())
	}
	if f == nil || f.Class != upstream.Unfit || f.Status != 206 || !strings.Contains(f.Detail, "another part") {
		t.Errorf("got %+v", f)
	}
}
