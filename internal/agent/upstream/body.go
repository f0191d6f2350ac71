package upstream

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/modproxy"
)

// Why we end a request.
var (
	errSilent  = errors.New("no answer")
	errStalled = errors.New("the body stalled")
)

// A watched body ends the request if it brings less than the limit.
type watched struct {
	io.ReadCloser
	u     *Upstream
	ctx   context.Context
	read  atomic.Int64
	timer *time.Timer
}

func newWatched(body io.ReadCloser, u *Upstream, ctx context.Context, cancel context.CancelCauseFunc) *watched {
	w := &watched{ReadCloser: body, u: u, ctx: ctx}
	var before int64
	w.timer = time.AfterFunc(u.Limits.Window, func() {
		now := w.read.Load()
		if float64(now-before) < float64(u.Limits.Rate)*u.Limits.Window.Seconds() {
			cancel(errStalled)
			return
		}
		before = now
		w.timer.Reset(u.Limits.Window)
	})
	return w
}

// Read implements [io.Reader]; its errors are failures.
func (w *watched) Read(p []byte) (int, error) {
	n, err := w.ReadCloser.Read(p)
	w.read.Add(int64(n))
	if err != nil && err != io.EOF {
		err = w.u.failure(w.ctx, err)
	}
	return n, err
}

// Close implements [io.Closer].
func (w *watched) Close() error {
	w.timer.Stop()
	w.u.mu.Lock()
	w.u.bytes += w.read.Load()
	w.u.mu.Unlock()
	return w.ReadCloser.Close()
}

// failure tells what err, of the request with ctx, means.
func (u *Upstream) failure(ctx context.Context, err error) *Failure {
	f := &Failure{Upstream: u.Name}
	e, ok := errors.AsType[*modproxy.Error](err)
	if !ok {
		e = &modproxy.Error{Err: err}
	}
	f.Status, f.Next, f.RetryAfter = e.Status, e.Fix, e.RetryAfter
	if e.Err == nil {
		f.Class, f.Detail = classOfStatus(e.Status), modproxy.StatusText(e.Status)
		if e.Text != "" {
			f.Detail += fmt.Sprintf(" (%q)", e.Text)
		}
		return f
	}
	f.Class, f.Detail = u.classify(context.Cause(ctx), e.Err)
	return f
}

func classOfStatus(status int) decision.Class {
	switch {
	case status == 404 || status == 410:
		return decision.Missing
	case status == 401 || status == 407:
		return decision.Unauthorized
	case status == 403:
		return decision.Forbidden
	case status == 429:
		return decision.RateLimited
	case status >= 500:
		return decision.ServerError
	}
	return decision.BadStatus
}

func (u *Upstream) classify(cause, err error) (decision.Class, string) {
	_, dns := errors.AsType[*net.DNSError](err)
	_, ca := errors.AsType[x509.UnknownAuthorityError](err)
	_, denied := errors.AsType[*notAllowedError](err)
	text := modproxy.Line(u.client.Hide(err.Error()))
	switch {
	case errors.Is(cause, errSilent):
		return decision.Silent, fmt.Sprintf("no answer within %v", u.Limits.FirstByte)
	case errors.Is(cause, errStalled):
		return decision.Stalled, fmt.Sprintf("the body brought less than %d bytes per second", u.Limits.Rate)
	case cause != nil:
		return decision.Cancelled, "given up"
	case denied:
		return decision.NotAllowed, text
	case dns:
		return decision.DNSFailure, text
	case ca:
		return decision.UnknownCA, text
	case errors.Is(err, modproxy.ErrInsecureRedirect), errors.Is(err, modproxy.ErrTooManyRedirects):
		return decision.BadRedirect, text
	case errors.Is(err, syscall.ECONNREFUSED):
		return decision.Refused, "connection refused"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return decision.Reset, "the body was cut"
	case strings.Contains(text, "tls: "), strings.Contains(text, "x509: "):
		return decision.BadTLS, text
	case isTimeout(err):
		return decision.Timeout, text
	}
	return decision.Reset, text
}

func isTimeout(err error) bool {
	t, ok := errors.AsType[net.Error](err)
	return ok && t.Timeout()
}
