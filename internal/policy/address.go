package policy

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/goenv"
	"gopkg.in/yaml.v3"
)

// A badAddress says why a URL or host may not stand in a policy. It never
// repeats a credential.
type badAddress struct {
	id, problem, hint string
}

// checkURL checks the address of a module proxy and returns it as the go
// command will use it, without slashes at its end.
func checkURL(raw string) (string, *badAddress) {
	shown := clip(goenv.Redact(raw))
	bad := func(hint, format string, args ...any) (string, *badAddress) {
		return "", &badAddress{idURL, fmt.Sprintf(format, args...), hint}
	}
	scheme, rest, ok := strings.Cut(raw, "://")
	switch {
	case strings.Contains(raw, "${"):
		return "", &badAddress{idSecret, "a URL must not contain ${NAME}", `it is expanded in "username" and "password" only`}
	case !ok:
		return bad("write https://"+shown, "%q has no scheme", shown)
	case scheme != "https" && scheme != "http" && scheme != "file":
		return bad("use https, http or file", "unsupported scheme %q", clip(scheme))
	}
	normal, err := goenv.CheckEntry(raw)
	if err != nil {
		if entry, ok := errors.AsType[*goenv.EntryError](err); ok {
			return bad(entry.Fix, "%q: %s", shown, entry.Reason)
		}
		return bad("", "%v", err)
	}
	u, err := url.Parse(normal)
	switch {
	case err != nil:
		return bad("", "%q is not a URL", shown)
	case u.User != nil || strings.Contains(rest, "@"):
		return "", &badAddress{idSecret, fmt.Sprintf("%q holds credentials", shown), "use username and password of a proxies entry"}
	case u.RawQuery != "" || u.ForceQuery:
		return "", &badAddress{idSecret, fmt.Sprintf("%q has a query", shown), "go would send it with every request; use username and password for credentials"}
	}
	if u.Scheme == "file" {
		return normal, nil
	}
	if problem := ForbiddenHost(u.Hostname()); problem != "" {
		return bad("", "%q: %s", shown, problem)
	}
	u.Host = strings.ToLower(u.Host)
	if name, ok := strings.CutSuffix(u.Hostname(), "."); ok { // one host, one spelling
		u.Host = strings.Replace(u.Host, name+".", name, 1)
	}
	return strings.TrimRight(u.String(), "/"), nil
}

// host checks one host of "allow".
func (d *decoder) host(n *yaml.Node, s string) (string, bool) {
	bare := strings.Trim(s, "[]")
	problem, hint := "", "write the host alone, such as goproxy.corp.example.com"
	_, ipErr := netip.ParseAddr(bare)
	switch {
	case strings.Contains(s, "://") || strings.ContainsAny(s, "/@?#"):
		problem = fmt.Sprintf("%q is not a host", clip(goenv.Redact(s)))
	case strings.Contains(s, "*"):
		problem, hint = fmt.Sprintf("%q is a pattern", clip(s)), "list the hosts one by one"
	case strings.Contains(bare, ":") && ipErr != nil:
		problem, hint = fmt.Sprintf("%q has a port", clip(s)), "write the host alone: every port of it is allowed"
	case strings.ContainsAny(s, ", \t|"):
		problem, hint = fmt.Sprintf("%q holds several hosts", clip(s)), "make them items of the list"
	default:
		problem, hint = ForbiddenHost(bare), ""
	}
	if problem != "" {
		d.fail(idValue, n, hint, "allow: %s", problem)
	}
	return strings.ToLower(bare), problem == ""
}

// forwardProxy reads the URL of an HTTP proxy on the way to the hosts.
func (d *decoder) forwardProxy(n *yaml.Node, key string) value[string] {
	v, ok := d.text(n, key)
	if !ok {
		return value[string]{}
	}
	shown := clip(goenv.Redact(v.v))
	u, err := url.Parse(v.v)
	switch {
	case err != nil || u.Hostname() == "" || !slices.Contains([]string{"http", "https", "socks5"}, u.Scheme):
		d.fail(idURL, n, "write http://HOST:PORT", "%s: %q is not the URL of a proxy", key, shown)
	case u.User != nil:
		d.fail(idSecret, n, "set "+strings.ToUpper(key)+" as a secret of the CI system instead", "%s: %q holds credentials", key, shown)
	case u.RawQuery != "" || u.Fragment != "" || u.Path != "" && u.Path != "/":
		d.fail(idURL, n, "write http://HOST:PORT", "%s: %q has more than a host and a port", key, shown)
	case ForbiddenHost(u.Hostname()) != "":
		d.fail(idURL, n, "", "%s: %q: %s", key, shown, ForbiddenHost(u.Hostname()))
	default:
		return v
	}
	return value[string]{}
}
