package agent

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Access is who may come in by listeners that other machines reach.
type Access struct {
	Certificate        *tls.Certificate // nil is plain http
	ClientCA           *x509.CertPool   // client certificates are checked against it; nil asks for none
	Username, Password string           // of clients; "" asks for none
}

// Bounds of the HTTP server. There is no limit on the time until an answer
// begins: a go command that waits is better off than one that is lied to.
const (
	headerTimeout = 10 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 32 << 10
)

// A Server serves an agent on any number of listeners.
type Server struct {
	agent  *Agent
	access Access
	log    *slog.Logger

	mu      sync.Mutex // guards the field below
	servers []*http.Server
	wg      sync.WaitGroup
}

// NewServer returns a server without listeners.
func NewServer(a *Agent, access Access, log *slog.Logger) *Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	return &Server{agent: a, access: access, log: log}
}

// Listen serves the address, "IP:PORT" with port 0 for any free one, until
// Shutdown. It returns the URL for GOPROXY.
func (s *Server) Listen(address string) (url string, err error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	local := l.Addr().(*net.TCPAddr)
	scheme := "http"
	srv := &http.Server{
		Handler:           s.handler(local.IP.IsLoopback()),
		ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: log.New(io.Discard, "", 0), // what strangers do wrong is no news
	}
	serve := srv.Serve
	if s.access.Certificate != nil && !local.IP.IsLoopback() {
		scheme = "https"
		srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*s.access.Certificate}}
		if s.access.ClientCA != nil {
			srv.TLSConfig.ClientCAs, srv.TLSConfig.ClientAuth = s.access.ClientCA, tls.VerifyClientCertIfGiven
		}
		serve = func(l net.Listener) error { return srv.ServeTLS(l, "", "") }
	}
	s.mu.Lock()
	s.servers = append(s.servers, srv)
	s.mu.Unlock()
	s.wg.Go(func() {
		if err := serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("listener failed", "address", l.Addr().String(), "err", err)
		}
	})
	host := *local
	if host.IP.IsUnspecified() {
		host.IP = net.IPv4(127, 0, 0, 1)
	}
	return scheme + "://" + host.String(), nil
}

// Shutdown stops listening and waits for the requests that are on their way,
// until ctx ends: then their connections are cut.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	servers := s.servers
	s.mu.Unlock()
	var errs []error
	for _, srv := range servers {
		if err := srv.Shutdown(ctx); err != nil {
			srv.Close()
			errs = append(errs, err)
		}
	}
	s.wg.Wait()
	return errors.Join(errs...)
}

// handler returns the handler of one listener.
func (s *Server) handler(loopback bool) http.Handler {
	h := s.agent.Handler(func(r *http.Request) bool { return loopback || s.proven(r) })
	if loopback || s.access.Password == "" && s.access.ClientCA == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" && r.URL.Path != "/readyz" && !s.proven(r) {
			w.Header().Set("WWW-Authenticate", `Basic realm="goproxy-setup agent"`)
			(&refusal{status: http.StatusUnauthorized, text: "this module proxy wants a login\n" +
				"next: put machine, login and password into the file that NETRC names"}).write(w)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// proven reports whether a client has shown over TLS who it is.
func (s *Server) proven(r *http.Request) bool {
	if r.TLS == nil {
		return false
	}
	if len(r.TLS.VerifiedChains) > 0 {
		return true
	}
	user, password, ok := r.BasicAuth()
	return ok && s.access.Password != "" && same(user, s.access.Username) && same(password, s.access.Password)
}

// same compares secrets in a time that tells nothing.
func same(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}

// OnLoopback reports whether only this machine reaches an address.
func OnLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	ip := net.ParseIP(strings.TrimSuffix(host, "%lo"))
	return err == nil && ip != nil && ip.IsLoopback()
}
