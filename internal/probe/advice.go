package probe

import (
	"fmt"
	"strings"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/fault"
	"github.com/org/goproxy-setup/internal/goenv"
)

// next is what a person should do about a failure: one line, and as concrete
// as what is known here.
func (p *proxy) next(o outcome, class decision.Class) string {
	host := o.host
	if host == "" {
		host = p.site.Base.Host
	}
	base := goenv.Redact(p.site.Base.String())
	if o.fix != "" && class == o.class {
		return o.fix
	}
	if o.question.kind == decision.Project && (class == decision.Missing || class == decision.Forbidden) {
		return fmt.Sprintf("it serves public modules, but not those of go.sum: ask whoever runs %s, or name another proxy after it", host)
	}
	switch class {
	case decision.DNSFailure:
		return p.nextDNS(o, host)
	case decision.Refused:
		return fmt.Sprintf("check the host and port of %s, and that the service runs there; a firewall may refuse, too", host)
	case decision.Timeout:
		return p.nextBlocked(host, "nothing comes back from "+host)
	case decision.Silent:
		return fmt.Sprintf("restart %s or what stands before it (load balancer, gateway); the go command would wait for ever", host)
	case decision.Stalled:
		return fmt.Sprintf("look for a gateway or an MTU problem between here and %s; the go command would wait for ever", host)
	case decision.Reset:
		return p.nextBlocked(host, "a firewall or an overloaded server cuts connections to "+host)
	case decision.UnknownCA:
		return fmt.Sprintf("trust the authority that issued it: tls.ca of %s in the policy, or its PEM file in a directory named by SSL_CERT_DIR", p.entry.Name)
	case decision.BadTLS:
		return fmt.Sprintf("have the certificate or TLS settings of %s mended, and check this machine's clock", host)
	case decision.Unauthorized:
		return p.nextLogin(host)
	case decision.Forbidden:
		return fmt.Sprintf("ask whoever runs %s whether this runner and its login may read %s", host, o.question.what)
	case decision.RateLimited:
		return fmt.Sprintf("%s limits requests from this address: put a proxy of your own before it, or log in", host)
	case decision.ServerError, decision.BadStatus:
		return fmt.Sprintf("tell whoever runs %s of %s/%s", host, base, o.question.path)
	case decision.Missing:
		return fmt.Sprintf("check the path of the proxy's URL: %s/%s should be there", base, o.question.path)
	case decision.Portal:
		return fmt.Sprintf("open %s/%s in a browser on this network: sign in there, have %s exempted, or correct the URL", base, o.question.path, host)
	case decision.WrongContent:
		return fmt.Sprintf("do not use it until whoever runs %s has cleared its cache: its bytes are not the module's", host)
	case decision.ZipBlocked:
		return p.nextZip(o, host)
	case decision.BadRedirect:
		return fmt.Sprintf("have %s redirect to https, to a URL that answers; or write the final URL", host)
	case decision.NotAllowed:
		return fmt.Sprintf("if %s is meant to be asked, add it to \"allow\" in the policy; link-local and metadata addresses cannot be", host)
	case decision.NoProxyPath:
		return fmt.Sprintf("check HTTPS_PROXY (now %s), its login, and that it may reach %s; or put that host into NO_PROXY", o.proxy, host)
	}
	return ""
}

func (p *proxy) nextDNS(o outcome, host string) string {
	advice := fmt.Sprintf("DNS, not the proxy: this machine's name server must know %s; check the spelling", host)
	if o.class == decision.DNSFailure && strings.HasPrefix(o.detail, fault.LookingUp) {
		advice = "DNS, not the proxy: no name server answers here; check the network"
	}
	if p.cfg.Container {
		advice += " and the DNS settings of the container"
	}
	return advice
}

// nextBlocked is for connections that do not come about, or not for long.
func (p *proxy) nextBlocked(host, what string) string {
	if p.viaProxy() {
		return what + ": check the way there"
	}
	return what + ": allow it in the egress rules, or set HTTPS_PROXY if this network has one"
}

func (p *proxy) viaProxy() bool {
	u, err := p.httpProxy(p.site.Base)
	return err == nil && u != nil
}

func (p *proxy) nextLogin(host string) string {
	advice := fmt.Sprintf("give login and password of machine %s (port included, both needed) in the file that NETRC names", host)
	switch {
	case p.site.Base.Scheme != "https":
		advice = "use https: the go command sends no login over plain http"
	case p.site.Client.User != nil:
		advice = fmt.Sprintf("the login for %s was refused: it may have expired", host)
	}
	if other := strings.TrimSpace(p.logins.GOAUTH); other != "" && other != "off" && other != "netrc" {
		advice += "; GOAUTH names a command, which the probe does not run"
	}
	return advice
}

func (p *proxy) nextZip(o outcome, host string) string {
	if o.elsewhere(p.site) {
		switch o.class {
		case decision.Refused, decision.Timeout, decision.Silent, decision.Reset, decision.Forbidden:
			return fmt.Sprintf("allow %s, too: %s redirects there for zips", host, p.site.Base.Host)
		}
		return p.next(o, o.class)
	}
	return fmt.Sprintf("ask whoever runs %s why zips are refused while .mod files are served", host)
}
