package policy

import (
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/org/goproxy-setup/internal/report"
)

// proxyFields are the keys of an entry of "proxies".
var proxyFields = fields[proxy]{
	"url":        func(d *decoder, n *yaml.Node, p *proxy) { p.url = d.url(n) },
	"gatekeeper": func(d *decoder, n *yaml.Node, p *proxy) { p.gatekeeper = d.flag(n, "gatekeeper") },
	"gatekeeper_overridable": func(d *decoder, n *yaml.Node, p *proxy) {
		p.overridable = d.flag(n, "gatekeeper_overridable")
	},
	"private":  func(d *decoder, n *yaml.Node, p *proxy) { p.private = d.flag(n, "private") },
	"full":     func(d *decoder, n *yaml.Node, p *proxy) { p.full = d.flag(n, "full") },
	"username": func(d *decoder, n *yaml.Node, p *proxy) { p.username = d.credential(n, "username") },
	"password": func(d *decoder, n *yaml.Node, p *proxy) { p.password = d.credential(n, "password") },
	"tls":      func(d *decoder, n *yaml.Node, p *proxy) { readMap(d, n, "tls", tlsFields, p) },
}

var tlsFields = fields[proxy]{
	"ca": func(d *decoder, n *yaml.Node, p *proxy) { p.ca, _ = d.text(n, "ca") },
}

var proxyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

// readProxy reads one entry of "proxies".
func (p *Policy) readProxy(d *decoder, key, val *yaml.Node) {
	before := len(d.errs)
	px := proxy{name: key.Value, place: d.place(key)}
	switch {
	case px.name == "direct" || px.name == "off":
		d.fail(idValue, key, "choose another name", "%q has a meaning of its own in chains", px.name)
	case !proxyName.MatchString(px.name):
		d.fail(idValue, key, "letters, digits, dots, - and _, 64 at most", "%q cannot name a proxy", clip(px.name))
	}
	readMap(d, val, fmt.Sprintf("proxy %q", clip(px.name)), proxyFields, &px)
	if len(d.errs) == before {
		px.check(d, key)
	}
	px.broken = len(d.errs) > before
	p.proxies[px.name] = px
	if !px.broken {
		p.noteProxy(px)
	}
}

// check judges how the keys of a proxy fit together.
func (px *proxy) check(d *decoder, key *yaml.Node) {
	if !px.url.set {
		d.fail(idMissing, key, "", `proxy %q needs "url"`, px.name)
		return
	}
	u, _ := url.Parse(px.url.v)
	public := publicAt(u.Hostname())
	fail := func(v value[string], id, hint, format string, args ...any) {
		d.errs = append(d.errs, &Error{ID: id, Place: v.place, Msg: fmt.Sprintf(format, args...), Hint: hint})
	}
	switch {
	case px.password.set && !px.username.set:
		fail(px.password, idMissing, "", `proxy %q has a password and no "username"`, px.name)
	case px.username.set && !px.password.set:
		fail(px.username, idMissing, "", `proxy %q has a username and no "password"`, px.name)
	case px.password.set && u.Scheme != "https":
		fail(px.url, idURL, "use https", "go sends the credentials of proxy %q over https only", px.name)
	case px.password.set && public != "":
		fail(px.password, idSecret, "remove username and password", "proxy %q is the public %s, which takes no credentials", px.name, public)
	}
	if px.private.v && public != "" {
		d.errs = append(d.errs, &Error{
			ID: idURL, Place: px.private.place, Hint: "only a proxy of your own may be asked for private modules",
			Msg: fmt.Sprintf("proxy %q is the public %s, and private module names would be sent to it", px.name, public),
		})
	}
	if px.overridable.v && !px.gatekeeper.v {
		d.errs = append(d.errs, &Error{
			ID: idValue, Place: px.overridable.place, Hint: "add gatekeeper: true, or remove it",
			Msg: fmt.Sprintf("gatekeeper_overridable has no meaning for proxy %q, which is no gatekeeper", px.name),
		})
	}
}

// noteProxy warns of what is allowed in a proxy and easily not meant.
func (p *Policy) noteProxy(px proxy) {
	if c, ok := LookupProxy(px.name); ok {
		p.warn(idShadow, px.place, "choose another name if that is not meant",
			"proxy %q replaces the catalogue's %s in this policy", px.name, c.Name)
	}
	u, _ := url.Parse(px.url.v)
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		p.note(report.Notice, idRisk, px.url.place, "use https",
			"proxy %q is asked over plain http: everybody on the way reads which modules are used", px.name)
	}
}

// url reads the address of a proxy.
func (d *decoder) url(n *yaml.Node) value[string] {
	v, ok := d.raw(n, "url")
	if !ok {
		return value[string]{}
	}
	normal, bad := checkURL(v.v)
	if bad != nil {
		d.fail(bad.id, n, bad.hint, "url: %s", bad.problem)
		return value[string]{}
	}
	return value[string]{normal, v.place, true}
}

// credential reads a username or password. No message repeats it.
func (d *decoder) credential(n *yaml.Node, key string) value[string] {
	t := d.follow(n)
	if t.Kind != yaml.ScalarNode || t.ShortTag() != "!!str" || t.Value == "" || len(t.Value) > maxText || !printable(t.Value) {
		d.fail(idType, n, "write ${NAME} and set NAME as a secret of the CI system", "%s must be one line of text", key)
		return value[string]{}
	}
	names, err := References(t.Value)
	switch {
	case err != nil:
		d.fail(idSecret, n, "write ${NAME}", "%s: %v", key, err)
	case key == "password" && len(names) == 0:
		d.fail(idSecret, n, "write ${NAME} and set NAME as a secret of the CI system", "the password stands in the file")
	default:
		return value[string]{t.Value, d.place(n), true}
	}
	return value[string]{}
}

func loopback(host string) bool {
	return host == "localhost" || strings.HasPrefix(host, "127.") || host == "::1"
}
