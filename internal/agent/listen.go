package agent

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/policy"
)

// Access is who may come in by listeners that other machines reach. Clients
// have to show all that it names.
type Access struct {
	Certificate        *tls.Certificate // nil is plain http
	ClientCA           *x509.CertPool   // client certificates are checked against it; nil asks for none
	Username, Password string           // of clients; "" asks for none
}

// open reports whether clients need to show nothing.
func (a *Access) open() bool { return a.Password == "" && a.ClientCA == nil }

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
	access atomic.Pointer[Access]
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
	s := &Server{agent: a, log: log}
	s.access.Store(&access)
	return s
}

// Renew puts another certificate and login in force. Whether listeners speak
// TLS, and whose client certificates they take, stays as it was at their start.
func (s *Server) Renew(access Access) {
	old := s.access.Load()
	if access.Certificate == nil || old.Certificate == nil {
		return
	}
	access.ClientCA = old.ClientCA
	s.access.Store(&access)
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
		ErrorLog: log.New(serverLog{s.log}, "", 0),
	}
	serve := srv.Serve
	if access := s.access.Load(); access.Certificate != nil && !local.IP.IsLoopback() {
		scheme = "https"
		srv.TLSConfig = &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.access.Load().Certificate, nil }}
		if access.ClientCA != nil {
			srv.TLSConfig.ClientCAs, srv.TLSConfig.ClientAuth = access.ClientCA, tls.VerifyClientCertIfGiven
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
	h := s.agent.Handler(func(r *http.Request) bool { return loopback && ownHost(r.Host) || s.proven(r) })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 { // nobody reads it, but the server waits for its end
			http.NewResponseController(w).SetReadDeadline(time.Now().Add(headerTimeout))
		}
		if !loopback && !s.access.Load().open() && r.URL.Path != "/healthz" && r.URL.Path != "/readyz" && !s.proven(r) {
			w.Header().Set("WWW-Authenticate", `Basic realm="goproxy-setup agent"`)
			(&refusal{status: http.StatusUnauthorized, text: "this module proxy wants a login\n" +
				"next: put machine, login and password into the file that NETRC names"}).write(w)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// ownHost reports whether a client on this machine may mean the agent by this
// name. A web page can make a public name lead to 127.0.0.1, and read what is
// served there: whoever asks for such a name is a stranger.
func ownHost(hostport string) bool {
	host := (&url.URL{Host: hostport}).Hostname()
	_, err := netip.ParseAddr(host)
	return err == nil || policy.PrivateHost(host)
}

// proven reports whether a client has shown over TLS who it is.
func (s *Server) proven(r *http.Request) bool {
	access := s.access.Load()
	if r.TLS == nil || access.open() || access.ClientCA != nil && len(r.TLS.VerifiedChains) == 0 {
		return false
	}
	if access.Password == "" {
		return true
	}
	user, password, ok := r.BasicAuth()
	return ok && same(user, access.Username) && same(password, access.Password)
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
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}

// A serverLog passes on what net/http says of this machine. What strangers do
// wrong is no news, and a panic is logged by the handler.
type serverLog struct{ log *slog.Logger }

func (l serverLog) Write(p []byte) (int, error) {
	if line := string(p); strings.HasPrefix(line, "http: Accept error") {
		l.log.Warn("connections cannot be taken", "err", modproxy.Line(line))
	}
	return len(p), nil
}
