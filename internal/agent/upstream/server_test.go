package upstream_test

import (
	"crypto/x509"
	"flag"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
)

var quiet = log.New(io.Discard, "", 0)

// TestMain lets more tests run at once than there are processors: most of them
// wait for a time-out.
func TestMain(m *testing.M) {
	flag.Parse()
	flag.Set("test.parallel", "8")
	os.Exit(m.Run())
}

// serveHTTP starts a server and returns its URL.
func serveHTTP(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = quiet
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.URL
}

// serveTLS starts a server that speaks HTTP/2.
func serveTLS(t testing.TB, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = quiet
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
