package diagnose

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/modproxy"
)

// A drip is a body that sends a byte after each pause, until its request ends.
type drip struct {
	ctx    context.Context
	pauses []time.Duration
}

func (d *drip) Read(p []byte) (int, error) {
	if len(d.pauses) == 0 {
		return 0, io.EOF
	}
	select {
	case <-time.After(d.pauses[0]):
	case <-d.ctx.Done():
		return 0, context.Cause(d.ctx)
	}
	d.pauses = d.pauses[1:]
	return copy(p, "x"), nil
}

func (*drip) Close() error { return nil }

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A slow proxy is waited for, a silent one is not, and of one whose time was cut
// nothing is known.
func TestFetchWaits(t *testing.T) {
	const patience = 5 * time.Second
	for _, tt := range []struct {
		name   string
		budget time.Duration
		pauses []time.Duration
		answer goenv.Answer
		late   bool
		took   time.Duration
	}{
		{"slow to its end", time.Minute, []time.Duration{4 * time.Second, 4 * time.Second, 4 * time.Second}, goenv.Garbage, false, 12 * time.Second}, // no zip
		{"silent in the middle", time.Minute, []time.Duration{4 * time.Second, time.Hour}, goenv.Hang, false, 9 * time.Second},
		{"silent from the beginning", time.Minute, []time.Duration{time.Hour}, goenv.Hang, false, 5 * time.Second},
		{"slow beyond the budget", 10 * time.Second, []time.Duration{4 * time.Second, 4 * time.Second, 4 * time.Second}, goenv.Hang, true, 10 * time.Second},
		{"begun too late", time.Second, []time.Duration{time.Hour}, goenv.Hang, true, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), tt.budget)
				defer cancel()
				c := &modproxy.Client{Base: &url.URL{Scheme: "https", Host: "proxy.example.com"}, HTTP: roundTrip(func(r *http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: 200, ContentLength: -1, Body: &drip{r.Context(), tt.pauses}, Request: r, Header: http.Header{}}, nil
				})}
				start := time.Now()
				a := fetch(ctx, patience, c, module.Version{Path: "rsc.io/quote", Version: "v1.5.2"}, modproxy.Zip, "rsc.io/quote/@v/v1.5.2.zip")
				if took := time.Since(start); a.Answer != tt.answer || a.late != tt.late || took != tt.took {
					t.Errorf("after %s: %+v; want %v, late %v, after %s", took, a, tt.answer, tt.late, tt.took)
				}
			})
		})
	}
}
