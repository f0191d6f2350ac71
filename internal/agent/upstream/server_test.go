package upstream_test

import (
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"testing"
)

// serveHTTP starts a server and returns its URL.
func serveHTTP(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.URL
}

// serveTLS starts a server that speaks HTTP/2.
func serveTLS(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0)
	srv.EnableHTTP2 = true
	srv.StartTLS()
	t.Cleanup(srv.Close)
	return srv
}

func certs(srv *httptest.Server) *x509.CertPool {
	c := x509.NewCertPool()
	c.AddCert(srv.Certificate())
	return c
}

// mirrorCredentials repeats what it was sent, as some error pages do.
func mirrorCredentials(w http.ResponseWriter, r *http.Request) {
	http.Error(w, "refused: "+r.Header.Get("Authorization")+" t0ps3cret", http.StatusForbidden)
}
