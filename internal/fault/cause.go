package fault

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/modproxy"
)

func ofTLS(err error, host string) (decision.Class, string, bool) {
	if e, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return decision.UnknownCA, fmt.Sprintf("the certificate of %s was issued by %s, which is not trusted here", host, issuerOf(err, e.Cert)), true
	}
	if _, ok := errors.AsType[x509.SystemRootsError](err); ok {
		return decision.UnknownCA, "no trusted certificates were found on this system", true
	}
	if e, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return decision.BadTLS, fmt.Sprintf("the certificate of %s, issued by %s: %s", host, issuerOf(err, nil), RootCause(e.Err)), true
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
	return Issuer(cert)
}

// Issuer names who issued a certificate, quoted.
func Issuer(cert *x509.Certificate) string {
	name := cert.Issuer.CommonName
	if org := strings.Join(cert.Issuer.Organization, " "); org != "" && org != name {
		name = strings.TrimSpace(name + " (" + org + ")")
	}
	return fmt.Sprintf("%q", modproxy.Excerpt([]byte(name)))
}

func isTimeout(err error) bool {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, os.ErrDeadlineExceeded) {
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

// RootCause is the innermost text of err: without the addresses that net puts
// around it.
func RootCause(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil {
			return oneLine(err)
		}
		err = inner
	}
}

func oneLine(err error) string { return modproxy.Line(err.Error()) }
