package diagnose_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/net/dns/dnsmessage"

	"github.com/org/goproxy-setup/internal/diagnose"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// short gives proxies little time.
func (r *rig) short() {
	r.fill = func(m *diagnose.Machine) { m.Policy.Probe.Timeout = 300 * time.Millisecond }
}

func lookPath(name string) string {
	file, _ := exec.LookPath(name)
	return file
}

// secure puts a proxy that speaks TLS into the chain; trusted says whether its
// authority is known here.
func (r *rig) secure(mode proxytest.TLS, trusted bool) {
	r.Helper()
	p := proxytest.New(r.T, proxytest.Options{TLS: mode})
	r.env["GOPROXY"] = p.URL + ",direct"
	if trusted {
		r.config.RootCAs = x509.NewCertPool()
		r.config.RootCAs.AppendCertsFromPEM(p.CA)
	}
}

func (r *rig) secureURL() string { return strings.TrimSuffix(r.env["GOPROXY"], ",direct") }

// inspected puts a proxy into the chain whose certificate comes from an
// authority of that name, which is trusted here.
func (r *rig) inspected(issuer string) {
	r.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.Fatal(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: issuer}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, key.Public(), key)
	if err != nil {
		r.Fatal(err)
	}
	if cert, err = x509.ParseCertificate(der); err != nil {
		r.Fatal(err)
	}
	s := httptest.NewUnstartedServer(r.proxy)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
	s.StartTLS()
	r.Cleanup(s.Close)
	r.config.RootCAs = x509.NewCertPool()
	r.config.RootCAs.AddCert(cert)
	r.env["GOPROXY"] = s.URL + ",direct"
}

// intercepted makes somebody else answer for a public proxy, with a
// certificate that is not trusted here.
func (r *rig) intercepted() {
	r.Helper()
	p := proxytest.New(r.T, proxytest.Options{TLS: proxytest.PrivateCA})
	r.env["HTTPS_PROXY"] = proxytest.NewForward(r.T, map[string]*proxytest.Server{"*": p}).URL
	r.env["GOPROXY"] = policy.Catalogue()[0].URL + "|direct"
	r.config.RootCAs = x509.NewCertPool()
}

// public makes GOPROXY a public proxy, which a server of this machine plays, and
// what follows it.
func (r *rig) public(rest string) {
	r.Helper()
	p := proxytest.New(r.T, proxytest.Options{TLS: proxytest.PrivateCA})
	r.env["HTTPS_PROXY"] = proxytest.NewForward(r.T, map[string]*proxytest.Server{"*": p}).URL
	r.env["GOPROXY"] = policy.Catalogue()[0].URL + rest
	r.config.RootCAs = x509.NewCertPool()
	r.config.RootCAs.AppendCertsFromPEM(p.CA)
}

// named puts a proxy of that name into the chain, which the network leads to
// this machine's own.
func (r *rig) named(host string) {
	r.Helper()
	p := proxytest.New(r.T, proxytest.Options{TLS: proxytest.PrivateCA})
	delete(r.env, "HTTPS_PROXY") // Dial lets nothing out
	r.env["GOPROXY"] = "https://" + host + ",direct"
	r.config.RootCAs = x509.NewCertPool()
	r.config.RootCAs.AppendCertsFromPEM(p.CA)
	r.config.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasPrefix(address, host+":") {
			address = strings.TrimPrefix(p.URL, "https://")
		}
		if ip, _, _ := strings.Cut(address, ":"); ip != "127.0.0.1" {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: os.ErrPermission}
		}
		return (&net.Dialer{}).DialContext(ctx, network, address)
	}
}

// unresolved puts a proxy into the chain whose name nobody knows.
func (r *rig) unresolved(host string) {
	delete(r.env, "HTTPS_PROXY") // Dial lets nothing out
	r.env["GOPROXY"] = "https://" + host + ",direct"
	r.config.Dial = func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}}
	}
}

// clock puts a proxy into the chain whose clock is off by d from this
// machine's.
func (r *rig) clock(d time.Duration) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Date", time.Now().Add(d).UTC().Format(http.TimeFormat))
		r.proxy.ServeHTTP(w, q)
	}))
	r.Cleanup(s.Close)
	r.env["GOPROXY"] = s.URL + ",direct"
}

// resolvers gives the machine name servers that answer with these addresses;
// "" knows no such name, "dead" does not answer.
func (r *rig) resolvers(addrs ...string) {
	r.Helper()
	r.named("goproxy.example.com")
	for _, a := range addrs {
		conn, err := net.ListenPacket("udp", "127.0.0.1:0")
		if err != nil {
			r.Fatal(err)
		}
		r.Cleanup(func() { conn.Close() })
		r.config.Resolvers = append(r.config.Resolvers, conn.LocalAddr().String())
		if a == "dead" {
			conn.Close()
			continue
		}
		go answerNames(conn, a)
	}
}

// answerNames is a name server that knows one address for every name.
func answerNames(conn net.PacketConn, addr string) {
	buf := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buf)
		if err != nil {
			return
		}
		var m dnsmessage.Message
		if m.Unpack(buf[:n]) != nil || len(m.Questions) != 1 {
			continue
		}
		m.Response = true
		q := m.Questions[0]
		switch ip, err := netip.ParseAddr(addr); {
		case err != nil:
			m.RCode = dnsmessage.RCodeNameError
		case q.Type == dnsmessage.TypeA:
			m.Answers = []dnsmessage.Resource{{Header: dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}, Body: &dnsmessage.AResource{A: ip.As4()}}}
		}
		if out, err := m.Pack(); err == nil {
			conn.WriteTo(out, from)
		}
	}
}

// login writes a netrc that only its owner can read.
func (r *rig) login(text string) {
	r.Helper()
	r.write(r.path("~/.netrc"), text)
	if err := os.Chmod(r.path("~/.netrc"), 0o600); err != nil {
		r.Fatal(err)
	}
}

// download fills the module cache by the real go command.
func (r *rig) download() {
	r.Helper()
	r.write("go.mod", "module example.com/work\n\ngo 1.21.0\n\nrequire rsc.io/quote v1.5.2\n")
	r.write("go.sum", r.proxy.GoSum("rsc.io/quote@v1.5.2", "rsc.io/sampler@v1.3.0", proxytest.BigModule))
	r.run("go", "mod", "download", "rsc.io/quote@v1.5.2")
}

// poison fills the module cache and then spoils a file of it.
func (r *rig) poison(name, text string) {
	r.Helper()
	r.download()
	if _, err := os.Stat(r.cache(name)); err != nil {
		r.Fatal(err)
	}
	r.write(r.cache(name), text)
}

// policy gives the repository a policy file, as the command reads it.
func (r *rig) policy(text string) {
	r.Helper()
	r.write(".goproxy-setup.yaml", text)
	r.config.HasPolicy = true
	_, err := policy.Parse(".goproxy-setup.yaml", bytes.TrimSpace([]byte(text)))
	if list, ok := err.(policy.Errors); ok {
		r.config.PolicyFile = list.Findings()
	}
}
