package bench

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/fault"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/site"
)

// A client asks one proxy, and has manners.
type client struct {
	*site.Site
	manners *manners
	gov     *governor // of the proxy's own host
	timeout time.Duration
}

// A visit is what is seen of one request on its way over the redirects.
type visit struct {
	byteRange string        // value of the header "Range", "" for the whole
	start     bool          // read no more than the limit of a longer body
	hosts     []string      // that were asked, redirects included
	http2     bool          // the last answer came over HTTP/2
	held      time.Duration // that we have waited out of politeness
	entered   []*governor   // of the hosts that were asked
}

// wait waits until g lets the next request through. Each governor is entered
// once: a service that redirects to itself has one request in flight.
func (v *visit) wait(ctx context.Context, g *governor) error {
	if g == nil {
		return nil
	}
	start := time.Now()
	defer func() { v.held += time.Since(start) }()
	if slices.Contains(v.entered, g) {
		return g.turn(ctx)
	}
	if err := g.enter(ctx); err != nil {
		return err
	}
	v.entered = append(v.entered, g)
	return nil
}

// leave is for when the answer was read.
func (v *visit) leave() {
	for _, g := range v.entered {
		g.leave()
	}
	v.entered = nil
}

type visitKey struct{}

// An answer is what a request came to.
type answer struct {
	problem
	body    []byte // of status 200; valid until the buffer is used again
	size    int64  // bytes of the body that were read
	service time.Duration
	done    time.Time
	visit   *visit
}

// A problem is what a request came to that did not end well.
type problem struct {
	Class  decision.Class // "" if it did
	Status int            // HTTP status, 0 if no response arrived
	Detail string         // what happened, for people, one line
}

// problemOf returns what err, an error of package modproxy, means that was met
// at w.
func problemOf(err error, w fault.Where) problem {
	e := modproxy.AsError(err)
	class, detail := fault.OfRequest(e, w)
	return problem{class, e.Status, detail}
}

// RoundTrip implements [http.RoundTripper].
func (c *client) RoundTrip(req *http.Request) (*http.Response, error) {
	v, ok := req.Context().Value(visitKey{}).(*visit)
	if !ok {
		v = &visit{}
	}
	if len(v.hosts) > 0 { // the first one was waited for by get
		if err := v.wait(req.Context(), c.manners.of(req.URL.Hostname())); err != nil {
			return nil, err
		}
	}
	v.hosts = append(v.hosts, req.URL.Host)
	if v.byteRange != "" {
		req = req.Clone(req.Context())
		req.Header.Set("Range", v.byteRange)
	}
	resp, err := c.Site.RoundTrip(req)
	v.http2 = err == nil && resp.ProtoMajor == 2
	return resp, err
}

// buffers hold bodies; each is as large as the largest that it has held.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// get asks for path and reads at most limit bytes into buf. The time-out
// begins when the request may be sent.
func (c *client) get(ctx context.Context, path string, limit int64, v *visit, buf *bytes.Buffer) (a answer) {
	a.visit = v
	defer v.leave()
	err := v.wait(ctx, c.gov)
	if err != nil {
		a.problem, a.done = problemOf(err, fault.Where{}), time.Now()
		return a
	}
	before := v.held
	start := time.Now()
	t := &site.Trace{}
	ctx, cancel := context.WithTimeout(context.WithValue(ctx, visitKey{}, v), c.timeout)
	defer cancel()
	err = c.read(t.Start(ctx), path, limit, v.start, buf)
	a.done = time.Now()
	a.service = a.done.Sub(start) - (v.held - before)
	a.size, a.body = int64(buf.Len()), buf.Bytes()
	if err == nil {
		a.Status = http.StatusOK
		return a
	}
	a.problem = problemOf(err, t.Where())
	a.Detail = modproxy.Line(c.Client.Hide(a.Detail))
	if e := modproxy.AsError(err); e.Status == http.StatusTooManyRequests || e.RetryAfter > 0 {
		c.gov.rest(e.RetryAfter)
	}
	return a
}

// read reads the answer to path into buf. Its errors are those of package
// modproxy.
func (c *client) read(ctx context.Context, path string, limit int64, start bool, buf *bytes.Buffer) error {
	buf.Reset()
	got, err := c.Client.Get(ctx, path)
	if err != nil {
		return err
	}
	defer got.Body.Close()
	if _, err = buf.ReadFrom(io.LimitReader(got.Body, limit+1)); err == nil && int64(buf.Len()) > limit {
		buf.Truncate(int(limit))
		if start {
			return nil
		}
		err = fmt.Errorf("%w: more than %d bytes", modproxy.ErrTooLarge, limit)
	}
	if err != nil {
		return &modproxy.Error{Op: "reading", Status: http.StatusOK, Err: err}
	}
	return nil
}

// elsewhere returns the hosts that a redirect led to.
func (c *client) elsewhere(v *visit) []string {
	var list []string
	for _, h := range v.hosts {
		if h != c.Base.Host && !slices.Contains(list, modproxy.Line(h)) {
			list = append(list, modproxy.Line(h))
		}
	}
	return list
}

// notOffered reports whether a class says that the proxy does not want to
// serve a file, rather than that it fails to.
func notOffered(c decision.Class) bool {
	switch c {
	case decision.Missing, decision.Forbidden, decision.Unauthorized, decision.NotAllowed, decision.NoSumDB:
		return true
	}
	return false
}

// unreachable reports whether a class is one of the way to the proxy: whatever
// else it is asked will end in the same way.
func unreachable(c decision.Class) bool {
	switch c {
	case decision.DNSFailure, decision.Refused, decision.Timeout, decision.Silent, decision.Reset,
		decision.UnknownCA, decision.BadTLS, decision.NoProxyPath, decision.NotAllowed:
		return true
	}
	return false
}
