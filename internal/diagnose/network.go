package diagnose

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/net/http/httpproxy"

	"github.com/org/goproxy-setup/internal/files"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/report"
)

// Limits of one look at a host.
const (
	lookTime = 5 * time.Second
	// maxSkew is how far a clock may be off before certificates and tokens of
	// a few minutes begin to fail.
	maxSkew = 2 * time.Minute
)

// A sight is what one host shows of itself before anybody trusts it.
type sight struct {
	host    string
	public  bool   // a host of the catalogue
	issuer  string // of its certificate, "" without TLS
	trusted bool   // by the authorities of this machine
	date    time.Time
	skew    time.Duration // of this machine's clock, positive if it is ahead; unknown if date is zero
}

// sights looks at every proxy of the chain once, side by side.
func (m *Machine) sights(ctx context.Context) []sight {
	m.once.sights.Do(func() {
		list := m.Policy.Proxies()
		seen := make([]sight, len(list)) // a slot for each
		var wg sync.WaitGroup
		for i, e := range list {
			wg.Go(func() { seen[i] = m.look(ctx, e) })
		}
		wg.Wait()
		m.seen = seen
	})
	return m.seen
}

// look asks a proxy for a small public file without trusting it: no login is
// sent, and the answer's body is not read.
func (m *Machine) look(ctx context.Context, e policy.Entry) (s sight) {
	base, err := url.Parse(e.URL)
	if err != nil || base.Scheme != "http" && base.Scheme != "https" || policy.ForbiddenHost(base.Hostname()) != "" {
		return s
	}
	s.host = base.Host
	_, s.public = policy.LookupProxy(e.Name)
	ctx, cancel := context.WithTimeout(ctx, lookTime)
	defer cancel()
	tr := m.transport()
	defer tr.CloseIdleConnections()
	shown := make(chan tls.ConnectionState, 1) // a handshake may outlive the request that began it
	tr.TLSClientConfig = &tls.Config{
		InsecureSkipVerify: true, // to see who presents what; judged below, and nothing is sent that is worth anything
		VerifyConnection: func(c tls.ConnectionState) error {
			if len(c.PeerCertificates) > 0 && c.ServerName == serverName(base) { // and not of an HTTP proxy on the way
				select {
				case shown <- c:
				default:
				}
			}
			return nil
		},
	}
	base.RawQuery = "" // it may hold a token
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("rsc.io/quote/@v/v1.5.2.info").String(), nil)
	if err != nil {
		return s
	}
	sent := time.Now()
	resp, err := tr.RoundTrip(req)
	select {
	case c := <-shown:
		s.issuer, s.trusted = issuerOf(c, m.RootCAs)
	default:
	}
	if err != nil {
		return s
	}
	defer resp.Body.Close()
	took := time.Since(sent)
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil && resp.Header.Get("Age") == "" {
		s.date = date
		s.skew = sent.Add(took / 2).Sub(date.Add(500 * time.Millisecond)) // the header has whole seconds
	}
	return s
}

// serverName returns the name of a URL's host as TLS sends it: addresses are
// not sent.
func serverName(u *url.URL) string {
	if _, err := netip.ParseAddr(u.Hostname()); err == nil {
		return ""
	}
	return strings.TrimSuffix(u.Hostname(), ".")
}

// issuerOf returns who issued a host's certificate, and whether this machine
// trusts it.
func issuerOf(c tls.ConnectionState, roots *x509.CertPool) (name string, trusted bool) {
	leaf := c.PeerCertificates[0]
	pool := x509.NewCertPool()
	for _, cert := range c.PeerCertificates[1:] {
		pool.AddCert(cert)
	}
	_, err := leaf.Verify(x509.VerifyOptions{DNSName: c.ServerName, Roots: roots, Intermediates: pool})
	name = leaf.Issuer.CommonName
	if len(leaf.Issuer.Organization) > 0 {
		name = strings.TrimPrefix(name+", "+leaf.Issuer.Organization[0], ", ")
	}
	return name, err == nil
}

// transport returns the way to the network that go takes, with limits. It
// keeps away from addresses that no proxy has.
func (m *Machine) transport() *http.Transport {
	dial := m.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 3 * time.Second, Control: func(_, address string, _ syscall.RawConn) error {
			a, err := netip.ParseAddrPort(address)
			if err != nil {
				return err
			}
			if why := policy.ForbiddenAddr(a.Addr()); why != "" {
				return fmt.Errorf("%s is never asked: %s", address, why)
			}
			return nil
		}}).DialContext
	}
	proxy := m.httpProxy()
	return &http.Transport{
		Proxy:       func(req *http.Request) (*url.URL, error) { return proxy(req.URL) },
		DialContext: dial, TLSClientConfig: &tls.Config{RootCAs: m.RootCAs}, TLSHandshakeTimeout: 3 * time.Second,
		ResponseHeaderTimeout: lookTime, ForceAttemptHTTP2: true, DisableCompression: true, MaxResponseHeaderBytes: 64 << 10,
	}
}

// roots are the authorities for an entry: the system's, if nil.
func (m *Machine) roots(policy.Entry) (*x509.CertPool, error) { return m.RootCAs, nil }

// httpProxy returns which HTTP proxy leads to a URL, as go finds it.
func (m *Machine) httpProxy() func(*url.URL) (*url.URL, error) {
	c := httpproxy.Config{HTTPProxy: m.either("HTTP_PROXY"), HTTPSProxy: m.either("HTTPS_PROXY"), NoProxy: m.either("NO_PROXY")}
	return c.ProxyFunc()
}

// inspectors are words in the names of authorities that products for TLS
// inspection use by default.
var inspectors = []string{
	"zscaler", "fortinet", "fortigate", "palo alto", "netskope", "blue coat", "bluecoat", "symantec web", "forcepoint", "websense", "mcafee", "skyhigh",
	"sophos", "cisco umbrella", "opendns", "checkpoint", "check point", "barracuda", "untangle", "squid", "mitmproxy", "charles proxy", "fiddler", "burp",
	"kaspersky", "avast", "avg ", "eset ssl", "bitdefender", "adguard", "cato networks", "iboss", "menlo", "trend micro",
}

// tlsInspected finds proxies whose certificate comes from somebody who inspects
// TLS, or, for a public host, from an authority this machine does not trust.
func tlsInspected(ctx context.Context, m *Machine) Result {
	var r Result
	var names []string
	for _, s := range m.sights(ctx) {
		if s.issuer == "" {
			continue
		}
		names = append(names, s.host+": "+s.issuer)
		inspector := ""
		for _, word := range inspectors {
			if strings.Contains(strings.ToLower(s.issuer), word) {
				inspector = word
			}
		}
		f := Finding{Fix: "have this host exempted from inspection, or add the inspector's authority: SSL_CERT_FILE on Linux, the system's store elsewhere. GOINSECURE does not help"}
		switch {
		case inspector != "" && s.trusted:
			f.Severity = report.Notice
			f.Message = fmt.Sprintf("TLS to %s is inspected: its certificate comes from %q. It is trusted here, but maybe not in containers and CI", s.host, s.issuer)
		case inspector != "":
			f.Severity, f.Message = report.Error, fmt.Sprintf("TLS to %s is inspected: its certificate comes from %q, which is not trusted here", s.host, s.issuer)
		case s.public && !s.trusted:
			f.Severity, f.Message = report.Error, fmt.Sprintf("%s is a public host, and its certificate comes from %q, which is not trusted here: somebody stands in between, or a clock is wrong", s.host, s.issuer)
		default:
			continue
		}
		r.Findings = append(r.Findings, f)
	}
	if r.Seen = strings.Join(names, "; "); r.Seen == "" {
		return skipped("no proxy showed a certificate")
	}
	return r
}

// clockSkew compares this machine's clock with those of the proxies. One of
// them may be wrong itself, so of several the one that agrees best counts.
func clockSkew(ctx context.Context, m *Machine) Result {
	var best *sight
	for i, s := range m.sights(ctx) {
		if !s.date.IsZero() && (best == nil || s.skew.Abs() < best.skew.Abs()) {
			best = &m.seen[i]
		}
	}
	switch {
	case best == nil:
		return skipped("no proxy told the time")
	case best.skew.Abs() <= maxSkew:
		return Result{Seen: fmt.Sprintf("%s apart from %s", report.Round(best.skew.Abs()), best.host)}
	}
	way := "ahead of"
	if best.skew < 0 {
		way = "behind"
	}
	return found(Finding{
		Severity: report.Error, Message: fmt.Sprintf("this machine's clock is %s %s that of %s: certificates and tokens fail", report.Round(best.skew.Abs()), way, best.host),
		Fix: "set the clock by NTP: timedatectl set-ntp true (in a container or a virtual machine: that of its host)",
	})
}

// httpsProxySettings finds settings for HTTP proxies that go does not obey, or
// not as meant.
func httpsProxySettings(_ context.Context, m *Machine) Result {
	var r Result
	add := func(severity report.Severity, name, fix, format string, args ...any) {
		r.Findings = append(r.Findings, Finding{Severity: severity, Message: fmt.Sprintf(format, args...), Fix: fix, Place: m.origin(name)})
	}
	https := strings.Contains(m.setting("GOPROXY"), "https://")
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY"} {
		upper, lower := m.Getenv(name), m.Getenv(strings.ToLower(name))
		if upper != "" && lower != "" && upper != lower {
			add("", name, "give both the same value", "%s and %s differ: go takes the first (%s), curl and git the second (%s)", name, strings.ToLower(name), goenv.RedactSetting(name, upper), goenv.RedactSetting(name, lower))
		}
		v := m.either(name)
		if v == "" {
			continue
		}
		if u, err := url.Parse(v); (err != nil || u.Host == "") && strings.Contains(v, "://") {
			add(report.Error, name, "write http://HOST:PORT", "%s=%s is no URL of a proxy", name, goenv.RedactSetting(name, v))
		}
	}
	switch {
	case https && m.either("HTTPS_PROXY") == "" && m.either("HTTP_PROXY") != "":
		add("", "HTTP_PROXY", "set HTTPS_PROXY to the same value", "HTTP_PROXY is set and HTTPS_PROXY is not: go, curl and git choose by the scheme of the URL, so nothing of an https proxy goes that way")
	case https && m.either("HTTPS_PROXY") == "" && m.either("ALL_PROXY") != "":
		add("", "ALL_PROXY", "set HTTPS_PROXY to the same value", "ALL_PROXY is set: curl and git obey it, go does not know it")
	}
	for _, s := range m.Git.Config {
		if v := m.either("HTTPS_PROXY"); s.Key == "http.proxy" && s.Value != v && https {
			r.Findings = append(r.Findings, Finding{
				Severity: report.Notice, Place: m.place(s.File, s.Line),
				Message: fmt.Sprintf("git goes through %s (http.proxy), and go, which does not know that setting, through %s", goenv.RedactSetting("", s.Value), cmp.Or(goenv.RedactSetting("HTTPS_PROXY", v), "none")),
				Fix:     "set HTTPS_PROXY, which both obey, and take http.proxy out",
			})
		}
	}
	r.Seen = m.ways()
	if len(r.Findings) == 0 && r.Seen == "" {
		return skipped("no HTTP proxy is set")
	}
	return r
}

// ways says through which HTTP proxy each proxy of the chain is reached, "" if
// none is set. The rules are go's; git and curl differ in that they send
// loopback addresses there, too.
func (m *Machine) ways() string {
	proxy := m.httpProxy()
	var list []string
	for _, e := range m.Policy.Proxies() {
		u, err := url.Parse(e.URL)
		if err != nil || u.Host == "" || m.either("HTTP_PROXY")+m.either("HTTPS_PROXY") == "" {
			continue
		}
		way := "directly"
		if via, err := proxy(u); err == nil && via != nil {
			way = "through " + goenv.Redact(via.String())
		}
		if item := u.Host + " " + way; !slices.Contains(list, item) {
			list = append(list, item)
		}
	}
	return strings.Join(list, "; ")
}

// noProxyPatterns finds items of NO_PROXY that go does not understand as meant.
func noProxyPatterns(_ context.Context, m *Machine) Result {
	value := m.either("NO_PROXY")
	if value == "" {
		return skipped("NO_PROXY is not set")
	}
	r := Result{Seen: goenv.RedactSetting("NO_PROXY", value)}
	for item := range strings.SplitSeq(value, ",") {
		item = strings.TrimSpace(item)
		why, write := "", ""
		switch {
		case item == "" || item == "*":
		case strings.Contains(item, "://"):
			why, write = "is a URL, and go compares it with host names", goneScheme(item)
		case strings.ContainsAny(item, " \t;"):
			why, write = "has blanks or semicolons: items are separated by commas", strings.Join(strings.FieldsFunc(item, func(r rune) bool { return strings.ContainsRune(" \t;", r) }), ",")
		case strings.Contains(strings.TrimPrefix(item, "*."), "*"):
			why, write = "has a *, which go knows at the front alone, as in *.example.com", ".example.com or a CIDR such as 10.0.0.0/8"
		}
		if why != "" {
			r.Findings = append(r.Findings, Finding{
				Message: fmt.Sprintf("item %q of NO_PROXY %s: it exempts nothing", goenv.RedactSetting("NO_PROXY", item), why), Fix: "write " + write, Place: m.origin("NO_PROXY"),
			})
		}
	}
	return r
}

// goneScheme returns the host of what looks like a URL.
func goneScheme(item string) string {
	if u, err := url.Parse(item); err == nil && u.Hostname() != "" {
		return u.Hostname()
	}
	return "the host alone"
}

// certFiles finds SSL_CERT_FILE and SSL_CERT_DIR that lead nowhere. The file
// takes the place of the system's file alone: go reads the directories as well.
//
// Source: crypto/x509 of the standard library.
func certFiles(_ context.Context, m *Machine) Result {
	file, dirs := m.Getenv("SSL_CERT_FILE"), filepath.SplitList(m.Getenv("SSL_CERT_DIR"))
	switch {
	case file == "" && len(dirs) == 0:
		return skipped("the system's authorities are in force")
	case runtime.GOOS == "darwin" || runtime.GOOS == "windows":
		return skipped("go reads neither SSL_CERT_FILE nor SSL_CERT_DIR on this system")
	}
	var r Result
	if file != "" {
		f := Finding{Place: m.origin("SSL_CERT_FILE"), Fix: "correct the path, or unset it"}
		data, err := files.Read(file, 16<<20)
		if err != nil {
			f.Message = fmt.Sprintf("SSL_CERT_FILE names %s: %v", file, reason(err))
		} else if !x509.NewCertPool().AppendCertsFromPEM(data) {
			f.Message, f.Fix = fmt.Sprintf("SSL_CERT_FILE names %s, which holds no certificate in PEM form", file), "name a PEM file that has the system's authorities and yours"
		}
		if len(dirs) == 0 {
			dirs = []string{filepath.Join(m.Etc, "ssl", "certs"), filepath.Join(m.Etc, "pki", "tls", "certs")}
		}
		effect := "; go then trusts the authorities of the directories alone"
		if runtime.GOOS == "linux" && !slices.ContainsFunc(dirs, hasFiles) {
			f.Severity, effect = report.Error, "; go then trusts nobody"
		}
		if f.Message != "" {
			f.Message += effect
			r.Findings = append(r.Findings, f)
		}
	}
	for _, dir := range filepath.SplitList(m.Getenv("SSL_CERT_DIR")) {
		if info, err := os.Stat(dir); dir != "" && (err != nil || !info.IsDir()) {
			r.Findings = append(r.Findings, Finding{Place: m.origin("SSL_CERT_DIR"), Message: fmt.Sprintf("SSL_CERT_DIR names %s, which is no directory", dir), Fix: "correct the path, and keep the system's own directory in the list"})
		}
	}
	return r
}

func hasFiles(dir string) bool {
	list, err := os.ReadDir(dir)
	return err == nil && slices.ContainsFunc(list, func(e os.DirEntry) bool { return !e.IsDir() })
}
