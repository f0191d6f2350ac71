package proxytest

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"testing"
)

// client returns a client that trusts the server's CA.
func client(t *testing.T, p *Server) *http.Client { return throughProxy(t, p, nil) }

// throughProxy returns the same client behind an HTTP proxy.
func throughProxy(t *testing.T, p *Server, proxy *url.URL) *http.Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(p.CA)
	tr := &http.Transport{
		Proxy:           http.ProxyURL(proxy),
		TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true,
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

func TestTLS(t *testing.T) {
	for _, tt := range []struct {
		mode TLS
		good func(error) bool
	}{
		{PrivateCA, func(err error) bool { return err == nil }},
		{Expired, func(err error) bool {
			e, ok := errors.AsType[x509.CertificateInvalidError](err)
			return ok && e.Reason == x509.Expired
		}},
		{WrongHost, func(err error) bool { _, ok := errors.AsType[x509.HostnameError](err); return ok }},
		{SelfSigned, func(err error) bool { _, ok := errors.AsType[x509.UnknownAuthorityError](err); return ok }},
	} {
		t.Run(string(tt.mode), func(t *testing.T) {
			p := New(t, Options{TLS: tt.mode})
			resp, err := client(t, p).Get(p.URL + quoteZip)
			if !tt.good(err) {
				t.Fatalf("got %v", err)
			}
			if err == nil {
				resp.Body.Close()
				if resp.ProtoMajor != 2 {
					t.Errorf("got %s; want HTTP/2", resp.Proto)
				}
			}
			if _, err := http.Get(p.URL + quoteZip); err == nil {
				t.Error("a client without the CA was served")
			}
		})
	}
	if _, err := Start(Options{TLS: "typo"}); err == nil {
		t.Error("an unknown TLS mode was accepted")
	}
}
