package probe

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/report"
)

// An outcome is the result of one question.
type outcome struct {
	question question
	class    decision.Class // "" if passed
	status   int
	detail   string // what happened, without the question
	fix      string // what to do, if the protocol alone says it
	host     string // that answered or failed, after redirects; "" for a file
	proxy    string // the HTTP proxy on the way, "" if none
	hops     int    // requests, redirects included
	took     time.Duration
	latency  time.Duration // from an open connection to the last byte
	trace    *trace
	before   *trace // of the first attempt, if this is the second

	retryAfter time.Duration // that the server asks for
}

// text names the question and what came of it.
func (o outcome) text() string {
	if o.detail == "" {
		return o.question.what
	}
	return o.question.what + ": " + o.detail
}

// elsewhere reports whether the answer, or the failure, was another host's.
func (o outcome) elsewhere(s *site) bool { return o.hops > 1 && o.host != s.base.Host }

// storageFault reports whether the proxy redirected to another host, and that
// host does not serve.
func (o outcome) storageFault(s *site) bool {
	switch o.class {
	case "", decision.Portal, decision.WrongContent, decision.Stalled, decision.RateLimited, decision.NotAllowed, decision.BadRedirect:
		return false
	}
	return o.elsewhere(s)
}

// fail makes the outcome that of err, an error of package modproxy.
func (o *outcome) fail(err error) {
	e, ok := errors.AsType[*modproxy.Error](err)
	if !ok {
		e = &modproxy.Error{Err: err}
	}
	w := o.trace.where()
	o.status, o.host, o.proxy, o.retryAfter = e.Status, w.host, w.proxy, e.RetryAfter
	switch e.Status {
	case 0:
		o.fix = e.Fix
		o.class, o.detail = classify(e.Err, w)
	case http.StatusOK:
		w.phase = reading
		o.class, o.detail = classify(e.Err, w)
	default:
		o.class, o.detail = classOfStatus(e.Status, w.proxy), modproxy.StatusText(e.Status)
		if e.Text != "" {
			o.detail += fmt.Sprintf(" (%q)", e.Text)
		}
	}
}

// classOfStatus is the kind of failure that a status is, which came by an HTTP
// proxy if that is not "".
func classOfStatus(status int, proxy string) decision.Class {
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

// lookingUp begins the detail of a name that could not even be asked for.
const lookingUp = "looking up "

// classify says what kind of failure an error without an HTTP status is, which
// was met at w.
func classify(err error, w where) (decision.Class, string) {
	if c, detail, ok := classifyRefusal(err); ok {
		return c, detail
	}
	if op, ok := errors.AsType[*net.OpError](err); ok && (op.Op == "proxyconnect" || op.Op == "socks connect") {
		return decision.NoProxyPath, fmt.Sprintf("the HTTP proxy %s: %s", w.proxy, rootCause(op.Err))
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok {
		if dns.IsNotFound {
			return decision.DNSFailure, fmt.Sprintf("no such host %s", dns.Name)
		}
		return decision.DNSFailure, lookingUp + dns.Name + ": " + dns.Err
	}
	if c, detail, ok := classifyTLS(err, w.host); ok {
		return c, detail
	}
	if isTimeout(err) {
		return classifyTimeout(w)
	}
	switch {
	case isErrno(err, syscall.ECONNREFUSED, 10061):
		return decision.Refused, "connection refused"
	case isErrno(err, syscall.ENETUNREACH, 10051), isErrno(err, syscall.EHOSTUNREACH, 10065):
		return decision.Refused, rootCause(err)
	case isErrno(err, syscall.ECONNRESET, 10054):
		return decision.Reset, "connection reset"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return decision.Reset, "the answer was cut in the middle"
	case errors.Is(err, io.EOF):
		return decision.Reset, "the connection was closed without an answer"
	case errors.Is(err, modproxy.ErrTooLarge), strings.Contains(err.Error(), "malformed HTTP"):
		return decision.WrongContent, oneLine(err)
	case w.phase == handshaking:
		return decision.BadTLS, oneLine(err)
	case w.hops > 1 && w.phase == resolving, strings.Contains(err.Error(), "Location header"):
		return decision.BadRedirect, oneLine(err) // net/http has no types for them
	}
	return decision.Reset, oneLine(err) // HTTP/2 stream errors, broken pipes
}

// classifyRefusal knows the reasons for which we, or the HTTP proxy, stop.
func classifyRefusal(err error) (decision.Class, string, bool) {
	if e, ok := errors.AsType[*notAllowedError](err); ok {
		return decision.NotAllowed, e.why, true
	}
	if e, ok := errors.AsType[*tunnelError](err); ok {
		return decision.NoProxyPath, e.Error(), true
	}
	if errors.Is(err, modproxy.ErrInsecureRedirect) || errors.Is(err, modproxy.ErrTooManyRedirects) {
		return decision.BadRedirect, oneLine(err), true
	}
	return "", "", false
}

func classifyTLS(err error, host string) (decision.Class, string, bool) {
	if e, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return decision.UnknownCA, fmt.Sprintf("the certificate of %s was issued by %s, which is not trusted here", host, issuerOf(err, e.Cert)), true
	}
	if _, ok := errors.AsType[x509.SystemRootsError](err); ok {
		return decision.UnknownCA, "no trusted certificates were found on this system", true
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return decision.BadTLS, fmt.Sprintf("the certificate of %s, issued by %s: %s", host, issuerOf(err, nil), rootCause(e.Err)), true
	}
	_, record := errors.AsType[tls.RecordHeaderError](err)
	op, isOp := errors.AsType[*net.OpError](err)
	if record || errors.Is(err, http.ErrSchemeMismatch) || isOp && (op.Op == "remote error" || op.Op == "local error") || strings.HasPrefix(err.Error(), "tls: ") {
		return decision.BadTLS, oneLine(err), true
	}
	return "", "", false
}

// issuerOf names who issued the certificate that err is about.
func issuerOf(err error, cert *x509.Certificate) string {
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok && len(e.UnverifiedCertificates) > 0 {
		cert = e.UnverifiedCertificates[0]
	}
	if cert == nil {
		return "somebody unknown"
	}
	return issuer(cert)
}

func issuer(cert *x509.Certificate) string {
	name := cert.Issuer.CommonName
	if org := strings.Join(cert.Issuer.Organization, " "); org != "" && org != name {
		name = strings.TrimSpace(name + " (" + org + ")")
	}
	return fmt.Sprintf("%q", modproxy.Excerpt([]byte(name)))
}

// classifyTimeout says what did not come in time, and how long it was waited
// for.
func classifyTimeout(w where) (decision.Class, string) {
	within := fmt.Sprintf(" within %s", report.Round(w.waited))
	switch {
	case w.phase == connecting && w.proxy != "":
		return decision.NoProxyPath, fmt.Sprintf("no connection to the HTTP proxy %s", w.proxy) + within
	case w.phase == tunnelling && w.proxy != "":
		return decision.NoProxyPath, fmt.Sprintf("the HTTP proxy %s did not answer to CONNECT", w.proxy) + within
	case w.phase == resolving:
		return decision.DNSFailure, fmt.Sprintf("no answer from the name server about %s", cmp.Or(w.proxy, w.host)) + within
	case w.phase == connecting:
		return decision.Timeout, fmt.Sprintf("no connection to %s", w.host) + within
	case w.phase == handshaking || w.phase == tunnelling:
		return decision.Silent, "it accepted the connection, and then did not speak TLS" + within
	case w.phase == reading:
		return decision.Stalled, "the answer stopped in the middle and did not go on" + within
	}
	return decision.Silent, "it accepted the request, and then did not answer" + within
}

func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, errGone) {
		return true
	}
	e, ok := errors.AsType[net.Error](err)
	return ok && e.Timeout()
}

// isErrno reports whether err is the system's error number, which Windows
// counts differently.
func isErrno(err error, unix, windows syscall.Errno) bool {
	return errors.Is(err, unix) || errors.Is(err, windows)
}

// rootCause is the innermost text of err: without the addresses that net puts
// around it.
func rootCause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return oneLine(err)
		}
		err = inner
	}
}

func oneLine(err error) string { return modproxy.Line(err.Error()) }
