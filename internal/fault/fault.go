// Package fault tells what kind of failure an error is that a request to a
// module proxy met. It is the one place that knows the errors of net, TLS and
// net/http, and where only the time tells what was missing, how far the
// request got.
package fault

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/report"
)

// A Phase is what a request waits for. The phases follow each other.
type Phase int

const (
	Resolving Phase = iota
	Connecting
	Tunnelling // for the answer to CONNECT, or for the handshake to begin
	Handshaking
	Answering // for the first byte of the response
	Reading   // for the rest of the body
)

// Where is how far a request got.
type Where struct {
	Phase  Phase
	Host   string        // host[:port] of the latest hop
	Proxy  string        // HTTP proxy on the way, "" if none
	Hops   int           // requests, redirects included
	Waited time.Duration // in this phase
}

// A NotAllowedError says why a request was not sent.
type NotAllowedError struct{ Why string }

func (e *NotAllowedError) Error() string { return e.Why }

// A TunnelError is an answer of the HTTP proxy to CONNECT.
type TunnelError struct {
	Proxy  string // host:port
	Status int
}

func (e *TunnelError) Error() string {
	return fmt.Sprintf("the HTTP proxy %s answered %s to CONNECT", e.Proxy, modproxy.StatusText(e.Status))
}

// OfRequest returns the class of err, which ended a request at w, and what
// happened, for people: one line. An error that has a status is judged by it.
func OfRequest(err *modproxy.Error, w Where) (decision.Class, string) {
	switch {
	case err.Status == 0:
		return Of(err.Err, w)
	case err.Err != nil && (err.Status == http.StatusOK || err.Status == http.StatusPartialContent):
		w.Phase = Reading
		return Of(err.Err, w)
	} // a 206 that nobody asked for is wrong by itself
	detail := modproxy.StatusText(err.Status)
	if err.Text != "" {
		detail += fmt.Sprintf(" (%q)", err.Text)
	}
	return OfStatus(err.Status, w.Proxy), detail
}

// OfStatus returns the class of a status other than 200, which came by an HTTP
// proxy if that is not "".
func OfStatus(status int, proxy string) decision.Class {
	switch {
	case status == http.StatusProxyAuthRequired && proxy != "":
		return decision.NoProxyPath
	case status == http.StatusUnauthorized || status == http.StatusProxyAuthRequired:
		return decision.Unauthorized
	case status == http.StatusForbidden:
		return decision.Forbidden
	case status == http.StatusNotFound || status == http.StatusGone:
		return decision.Missing
	case status == http.StatusTooManyRequests:
		return decision.RateLimited
	case status == http.StatusNetworkAuthenticationRequired:
		return decision.Portal
	case status >= 500:
		return decision.ServerError
	}
	return decision.BadStatus
}

// LookingUp begins the detail of a name that could not even be asked for.
const LookingUp = "looking up "

// Of returns the class of an error without an HTTP status, which was met at w,
// and what happened, for people: one line.
func Of(err error, w Where) (decision.Class, string) {
	if c, detail, ok := ofRefusal(err); ok {
		return c, detail
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "proxyconnect" || op.Op == "socks connect") {
		return decision.NoProxyPath, fmt.Sprintf("the HTTP proxy %s: %s", w.Proxy, RootCause(op.Err))
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return decision.DNSFailure, fmt.Sprintf("no such host %s", dns.Name)
		}
		return decision.DNSFailure, LookingUp + dns.Name + ": " + dns.Err
	}
	if c, detail, ok := ofTLS(err, w.Host); ok {
		return c, detail
	}
	if isTimeout(err) {
		return ofTimeout(w)
	}
	switch {
	case isErrno(err, syscall.ECONNREFUSED, 10061):
		return decision.Refused, "connection refused"
	case isErrno(err, syscall.ENETUNREACH, 10051), isErrno(err, syscall.EHOSTUNREACH, 10065):
		return decision.Refused, RootCause(err)
	case isErrno(err, syscall.ECONNRESET, 10054):
		return decision.Reset, "connection reset"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return decision.Reset, "the answer was cut in the middle"
	case errors.Is(err, io.EOF):
		return decision.Reset, "the connection was closed without an answer"
	case isNonsense(err):
		return decision.WrongContent, oneLine(err)
	case w.Phase == Handshaking:
		return decision.BadTLS, oneLine(err)
	case w.Hops > 1 && w.Phase == Resolving, strings.Contains(err.Error(), "Location header"):
		// net/http has no types for them. What a URL ends with may be a token.
		text, query, _ := strings.Cut(oneLine(err), "?")
		if query != "" {
			text += "?…"
		}
		return decision.BadRedirect, text
	}
	return decision.Reset, oneLine(err) // HTTP/2 stream errors, broken pipes
}

// isNonsense reports whether the server's answer is none; net/http has no
// types for that.
func isNonsense(err error) bool {
	return errors.Is(err, modproxy.ErrTooLarge) || errors.Is(err, modproxy.ErrRange) ||
		strings.Contains(err.Error(), "malformed HTTP") ||
		strings.Contains(err.Error(), "response headers exceeded")
}

// ofRefusal knows the reasons for which we, or the HTTP proxy, stop.
func ofRefusal(err error) (decision.Class, string, bool) {
	if e, ok := errors.AsType[*NotAllowedError](err); ok {
		return decision.NotAllowed, e.Why, true
	}
	if e, ok := errors.AsType[*TunnelError](err); ok {
		return decision.NoProxyPath, e.Error(), true
	}
	if errors.Is(err, modproxy.ErrInsecureRedirect) || errors.Is(err, modproxy.ErrTooManyRedirects) {
		return decision.BadRedirect, oneLine(err), true
	}
	return "", "", false
}

// ofTimeout says what did not come in time, and how long it was waited for.
func ofTimeout(w Where) (decision.Class, string) {
	within := fmt.Sprintf(" within %s", report.Round(w.Waited))
	switch {
	case w.Phase == Connecting && w.Proxy != "":
		return decision.NoProxyPath, fmt.Sprintf("no connection to the HTTP proxy %s", w.Proxy) + within
	case w.Phase == Tunnelling && w.Proxy != "":
		return decision.NoProxyPath, fmt.Sprintf("the HTTP proxy %s did not answer to CONNECT", w.Proxy) + within
	case w.Phase == Resolving:
		return decision.DNSFailure, fmt.Sprintf("no answer from the name server about %s", cmp.Or(w.Proxy, w.Host)) + within
	case w.Phase == Connecting:
		return decision.Timeout, fmt.Sprintf("no connection to %s", w.Host) + within
	case w.Phase == Handshaking || w.Phase == Tunnelling:
		return decision.Silent, "it accepted the connection, and then did not speak TLS" + within
	case w.Phase == Reading:
		return decision.Stalled, "the answer stopped in the middle and did not go on" + within
	}
	return decision.Silent, "it accepted the request, and then did not answer" + within
}
