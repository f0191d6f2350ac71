package fault_test

import (
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
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/fault"
	"github.com/org/goproxy-setup/internal/modproxy"
)

// dial is how package net reports a connection that failed.
func dial(err error) error {
	return &net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 443}, Err: os.NewSyscallError("connect", err)}
}

// Each error has its class by what it is, and a time-out by how far the request
// got.
func TestOf(t *testing.T) {
	at := func(p fault.Phase) fault.Where {
		return fault.Where{Phase: p, Host: "h.example.com", Hops: 1, Waited: 3 * time.Second}
	}
	by := func(p fault.Phase) fault.Where {
		w := at(p)
		w.Proxy = "p.example.com:3128"
		return w
	}
	late := context.DeadlineExceeded
	for _, tt := range []struct {
		name   string
		err    error
		where  fault.Where
		class  decision.Class
		detail string
	}{
		{"refused", dial(syscall.ECONNREFUSED), at(fault.Connecting), decision.Refused, "connection refused"},
		{"no route", dial(syscall.EHOSTUNREACH), at(fault.Connecting), decision.Refused, syscall.EHOSTUNREACH.Error()},
		{"reset", dial(syscall.ECONNRESET), at(fault.Answering), decision.Reset, "connection reset"},
		{"no answer", io.EOF, at(fault.Answering), decision.Reset, "the connection was closed without an answer"},
		{"half an answer", io.ErrUnexpectedEOF, at(fault.Reading), decision.Reset, "the answer was cut in the middle"},
		{"stream error", errors.New("stream error: stream ID 1; INTERNAL_ERROR"), at(fault.Reading), decision.Reset, "stream error: stream ID 1; INTERNAL_ERROR"},
		{"no such name", &net.DNSError{Err: "no such host", Name: "h.example.com", IsNotFound: true}, at(fault.Resolving), decision.DNSFailure, "no such host h.example.com"},
		{"lookup refused", &net.DNSError{Err: "server misbehaving", Name: "h.example.com"}, at(fault.Resolving), decision.DNSFailure, "looking up h.example.com: server misbehaving"},
		{"late lookup", late, at(fault.Resolving), decision.DNSFailure, "no answer from the name server about h.example.com within 3s"},
		{"late connection", late, at(fault.Connecting), decision.Timeout, "no connection to h.example.com within 3s"},
		{"late handshake", late, at(fault.Handshaking), decision.Silent, "it accepted the connection, and then did not speak TLS within 3s"},
		{"late answer", late, at(fault.Answering), decision.Silent, "it accepted the request, and then did not answer within 3s"},
		{"late body", fmt.Errorf("reading: %w", context.Canceled), at(fault.Reading), decision.Stalled, "the answer stopped in the middle and did not go on within 3s"},
		{"HTTP proxy: late connection", late, by(fault.Connecting), decision.NoProxyPath, "no connection to the HTTP proxy p.example.com:3128 within 3s"},
		{"HTTP proxy: late tunnel", late, by(fault.Tunnelling), decision.NoProxyPath, "the HTTP proxy p.example.com:3128 did not answer to CONNECT within 3s"},
		{"HTTP proxy: refused", &net.OpError{Op: "proxyconnect", Net: "tcp", Err: dial(syscall.ECONNREFUSED)}, by(fault.Connecting), decision.NoProxyPath, "the HTTP proxy p.example.com:3128: connection refused"},
		{"HTTP proxy: says no", &fault.TunnelError{Proxy: "p.example.com:3128", Status: 403}, by(fault.Tunnelling), decision.NoProxyPath, "the HTTP proxy p.example.com:3128 answered 403 Forbidden to CONNECT"},
		{"not allowed", fmt.Errorf("get: %w", &fault.NotAllowedError{Why: "why"}), at(fault.Resolving), decision.NotAllowed, "why"},
		{"no roots", x509.SystemRootsError{}, at(fault.Handshaking), decision.UnknownCA, "no trusted certificates were found on this system"},
		{"alert", &net.OpError{Op: "remote error", Err: errors.New("tls: protocol version not supported")}, at(fault.Handshaking), decision.BadTLS, "remote error: tls: protocol version not supported"},
		{"no TLS", http.ErrSchemeMismatch, at(fault.Handshaking), decision.BadTLS, "http: server gave HTTP response to HTTPS client"},
		{"record", tls.RecordHeaderError{Msg: "bad record"}, at(fault.Handshaking), decision.BadTLS, "tls: bad record"},
		{"in the handshake", errors.New("broken pipe"), at(fault.Handshaking), decision.BadTLS, "broken pipe"},
		{"redirects without end", modproxy.ErrTooManyRedirects, at(fault.Reading), decision.BadRedirect, "stopped after 10 redirects"},
		{"redirect to nonsense", errors.New(`failed to parse Location header "https://h.example.com:x/f?sig=s3cret": invalid port`), at(fault.Reading), decision.BadRedirect, `failed to parse Location header "https://h.example.com:x/f?…`},
		{"too large", modproxy.ErrTooLarge, at(fault.Reading), decision.WrongContent, "answer is too large"},
		{"another part", modproxy.ErrRange, at(fault.Reading), decision.WrongContent, "answer is another part of the file"},
		{"no HTTP", errors.New("malformed HTTP response \"SSH-2.0\""), at(fault.Answering), decision.WrongContent, `malformed HTTP response "SSH-2.0"`},
		{"hostile text", errors.New("a\r\n::error::b\x1b[31m"), at(fault.Reading), decision.Reset, "a ::error::b [31m"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			class, detail := fault.Of(tt.err, tt.where)
			if class != tt.class || detail != tt.detail {
				t.Errorf("got %s: %q; want %s: %q", class, detail, tt.class, tt.detail)
			}
		})
	}
}

func TestOfRequest(t *testing.T) {
	for _, tt := range []struct {
		err    modproxy.Error
		proxy  string
		class  decision.Class
		detail string
	}{
		{modproxy.Error{Status: 404, Text: "no\tsuch"}, "", decision.Missing, `404 Not Found ("no\tsuch")`},
		{modproxy.Error{Status: 407}, "", decision.Unauthorized, "407 Proxy Authentication Required"},
		{modproxy.Error{Status: 407}, "p:1", decision.NoProxyPath, "407 Proxy Authentication Required"},
		{modproxy.Error{Status: 299}, "", decision.BadStatus, "299"},
		{modproxy.Error{Status: 200, Err: context.DeadlineExceeded}, "", decision.Stalled, "did not go on within"},
		{modproxy.Error{Status: 206, Err: modproxy.ErrRange}, "", decision.WrongContent, "another part"},
		{modproxy.Error{Status: 206}, "", decision.BadStatus, "206 Partial Content"}, // nobody asked for a part
		{modproxy.Error{Err: io.EOF}, "", decision.Reset, "closed without an answer"},
	} {
		class, detail := fault.OfRequest(&tt.err, fault.Where{Phase: fault.Answering, Proxy: tt.proxy})
		if class != tt.class || !strings.Contains(detail, tt.detail) {
			t.Errorf("%+v: got %s: %q; want %s: %q", tt.err, class, detail, tt.class, tt.detail)
		}
	}
}
