package lint

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/netrc"
)

func badFlags(c *checker) []found {
	set := c.look("GOFLAGS")
	if _, err := goenv.ParseFlags(set.Value); err != nil {
		return []found{{set, fmt.Sprintf("every go command ends at once: %v", err), []Change{{"GOFLAGS", ""}}, "or correct the word"}}
	}
	return nil
}

func (c *checker) flags() []string {
	flags, _ := goenv.ParseFlags(c.look("GOFLAGS").Value) // a bad value is another rule
	return flags
}

// withoutFlag returns the change that takes a flag out of GOFLAGS.
func (c *checker) withoutFlag(name string) []Change {
	var rest []string
	for _, f := range c.flags() {
		n, _, _ := strings.Cut(strings.TrimLeft(f, "-"), "=")
		switch {
		case n == name:
		case strings.ContainsAny(f, " \t"):
			rest = append(rest, "'"+f+"'")
		default:
			rest = append(rest, f)
		}
	}
	return []Change{{"GOFLAGS", strings.Join(rest, " ")}}
}

func insecureFlag(c *checker) []found {
	if _, ok := goenv.Flag(c.flags(), "insecure"); !ok {
		return nil
	}
	return []found{{c.look("GOFLAGS"), "-insecure is gone since Go 1.17: \"go get\" fails because of it, and other commands ignore it", c.withoutFlag("insecure"), ""}}
}

func vendored(c *checker) []found {
	if mode, _ := goenv.Flag(c.flags(), "mod"); mode != "vendor" || len(c.proxies) == 0 {
		return nil
	}
	return []found{{c.look("GOFLAGS"), "builds read the vendor folder and ask no proxy; \"go mod download\" and \"go get\" still do", c.withoutFlag("mod"), "unless just that is meant"}}
}

// insecureNoHelp finds patterns of GOINSECURE that were meant for a proxy. One
// with wildcards may be meant for modules that are fetched directly.
func insecureNoHelp(c *checker) (list []found) {
	set := c.look("GOINSECURE")
	direct := len(items(c.look("GONOPROXY").Value)) > 0 || len(c.chain) > 0 && c.chain[len(c.chain)-1].Direct()
	for _, p := range c.proxies {
		var rest []string
		help := true
		for _, item := range items(set.Value) {
			if host := p.url.Hostname(); item == host || goenv.MatchPatterns(item, host) && !direct {
				help = false
			} else {
				rest = append(rest, item)
			}
		}
		if p.url.Scheme == "https" && !help {
			list = append(list, found{set, fmt.Sprintf("GOINSECURE is for direct fetches of modules: the certificate of the proxy %s is checked all the same", p.url.Host), []Change{{"GOINSECURE", strings.Join(rest, ",")}}, "add the proxy's authority by SSL_CERT_FILE"})
			break
		}
	}
	return list
}

// imaginary are variables that people set and that go has never heard of.
var imaginary = []struct{ name, means string }{
	{"GONOSUMCHECK", "GONOSUMDB"}, {"GONOSUMCHECKS", "GONOSUMDB"}, {"GONOSUM", "GONOSUMDB"}, {"GONOVERIFY", "GONOSUMDB"}, {"GOSUMCHECK", "GOSUMDB"},
	{"GO_SUMDB", "GOSUMDB"}, {"GOSUM_DB", "GOSUMDB"}, {"GOCHECKSUMDB", "GOSUMDB"},
	{"GO_PROXY", "GOPROXY"}, {"GOPROXY_URL", "GOPROXY"}, {"GOPROXIES", "GOPROXY"}, {"GOMODPROXY", "GOPROXY"},
	{"GO_PRIVATE", "GOPRIVATE"}, {"GOPRIVATES", "GOPRIVATE"}, {"GO_NOPROXY", "GONOPROXY"}, {"GONOPROXIES", "GONOPROXY"},
	{"GO_FLAGS", "GOFLAGS"}, {"GO_TOOLCHAIN", "GOTOOLCHAIN"}, {"GO_MODCACHE", "GOMODCACHE"},
}

func imaginaryVariable(c *checker) (list []found) {
	for _, v := range imaginary {
		if set := c.look(v.name); set.Value != "" {
			list = append(list, found{set, fmt.Sprintf("go has no variable %s; it changes nothing", v.name), []Change{{v.name, ""}}, "perhaps " + v.means + " was meant"})
		}
	}
	return list
}

func either(c *checker, upper string) goenv.Setting {
	if set := c.look(upper); set.Value != "" {
		return set
	}
	return c.look(strings.ToLower(upper))
}

func onlyHTTPProxy(c *checker) []found {
	set := either(c, "HTTP_PROXY")
	if set.Value == "" || either(c, "HTTPS_PROXY").Value != "" {
		return nil
	}
	for _, p := range c.proxies {
		if p.url.Scheme == "https" && !p.loopback {
			return []found{{set, fmt.Sprintf("HTTP_PROXY is for http URLs alone: go reaches %s without it", p.url.Host), []Change{{"HTTPS_PROXY", set.Value}}, ""}}
		}
	}
	return nil
}

// processOnly are variables that go reads from its environment alone.
var processOnly = []string{"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR", "NETRC", "GODEBUG"}

func inWrongFile(c *checker) (list []found) {
	for _, f := range []struct {
		file   goenv.EnvFile
		origin goenv.Origin
	}{{c.Sources.User, goenv.UserFile}, {c.Sources.GOROOT, goenv.GOROOTFile}} {
		for _, set := range f.file.Settings(f.origin) {
			if slices.Contains(processOnly, set.Name) && c.look(set.Name).Value == "" {
				list = append(list, found{goenv.Setting{Origin: set.Origin, File: set.File, Line: set.Line}, fmt.Sprintf("%s has no effect in this file: it is read from the environment alone", set.Name), []Change{{set.Name, set.Value}}, ""})
			}
		}
	}
	return list
}

func hiddenByEnvironment(c *checker) (list []found) {
	for _, set := range c.Sources.All() {
		if set.Origin != goenv.Environment || len(set.Shadowed) == 0 {
			continue
		}
		if h := set.Shadowed[0]; h.Origin == goenv.UserFile && h.Value != set.Value {
			list = append(list, found{set, fmt.Sprintf("the environment hides what \"go env -w\" wrote to %s: %q", h.Place(), goenv.RedactSetting(h.Name, h.Value)), []Change{{set.Name, ""}}, "or take the line out of the file"})
		}
	}
	return list
}

func emptyLine(c *checker) (list []found) {
	for _, set := range c.Sources.All() {
		if set.Origin != goenv.UserFile || set.Value != "" || set.Name == "GOPROXY" || set.Name == "GOSUMDB" || len(set.Shadowed) == 0 {
			continue // the two have rules of their own
		}
		h := set.Shadowed[0]
		list = append(list, found{set, fmt.Sprintf("the empty line hides the default of go.env: %q", goenv.RedactSetting(h.Name, h.Value)), []Change{{set.Name, ""}}, ""})
	}
	return list
}

func quotedValue(c *checker) (list []found) {
	for _, set := range c.Sources.All() {
		if set.Origin != goenv.UserFile && set.Origin != goenv.GOROOTFile || set.Value == "" || set.From != "" || set.Name == "GOFLAGS" {
			continue
		}
		plain := strings.TrimSpace(set.Value)
		if n := len(plain); n > 1 && plain[0] == plain[n-1] && strings.Contains("\"'`", plain[:1]) {
			plain = plain[1 : n-1]
		}
		if plain != set.Value {
			list = append(list, found{set, "quotes, blanks and carriage returns of the file are a part of the value", []Change{{set.Name, plain}}, ""})
		}
	}
	return list
}

func badAuth(c *checker) []found {
	set := c.look("GOAUTH")
	if _, err := goenv.ParseAuth(set.Value); err != nil {
		return []found{{set, fmt.Sprintf("go ends at its first https request: %v", err), []Change{{"GOAUTH", "netrc"}}, ""}}
	}
	return nil
}

func netrcPort(c *checker) (list []found) {
	for _, p := range c.proxies {
		if p.url.Scheme != "https" || p.url.Port() == "" || p.url.User != nil {
			continue
		}
		bare := *p.url
		bare.Host = p.url.Hostname()
		_, exact := netrc.Lookup(c.Netrc, p.url)
		m, other := netrc.Lookup(c.Netrc, &bare)
		if !exact && other {
			list = append(list, found{set: c.goproxy, message: fmt.Sprintf("%s has credentials for machine %s, which go does not send to %s: the port is a part of the name", c.NetrcName, goenv.Redact(m.Name), p.url.Host),
				advice: fmt.Sprintf("if the proxy wants a login, add a line for \"machine %s\" to %s", p.url.Host, c.NetrcName)})
		}
	}
	return list
}

func badVCS(c *checker) []found {
	set := c.look("GOVCS")
	if _, err := goenv.ParseVCS(set.Value); err != nil {
		return []found{{set, fmt.Sprintf("go refuses every fetch from version control: %v", err), []Change{{"GOVCS", "public:git|hg,private:all"}}, ""}}
	}
	return nil
}

func forbiddenVCS(c *checker) []found {
	set := c.look("GOVCS")
	rules, err := goenv.ParseVCS(set.Value)
	if err != nil {
		return nil
	}
	var forbidden []string
	govcs, why := set.Value, ""
	for _, p := range items(c.look("GONOPROXY").Value) {
		if strings.ContainsAny(p, `*?[\`) {
			continue
		}
		if rule, ok := goenv.VCSFor(rules, p, goenv.MatchPatterns(c.look("GOPRIVATE").Value, p)); ok && !rule.Allows("git") {
			forbidden, why = append(forbidden, p), rule.String()
			govcs = withGit(govcs, p)
		}
	}
	if forbidden == nil {
		return nil
	}
	f := found{set: set, message: fmt.Sprintf("%s is fetched directly by GONOPROXY, and GOVCS (%s) lets no git run for it", strings.Join(forbidden, ", "), why), changes: []Change{{"GOVCS", govcs}}}
	if _, public := c.firstPublic(); !public && len(c.proxies) > 0 {
		f.advice = "or fetch it through your proxies, as with GONOPROXY=none"
	}
	return []found{f}
}

// withGit returns a sound GOVCS with git allowed for a pattern, before all other
// rules: go obeys the first that covers a module, and takes a pattern once.
func withGit(govcs, pattern string) string {
	list := []string{pattern + ":git"}
	for item := range strings.SplitSeq(govcs, ",") {
		of, allowed, _ := strings.Cut(strings.TrimSpace(item), ":")
		switch {
		case strings.TrimSpace(of) != pattern:
			list = append(list, strings.TrimSpace(item))
		case strings.TrimSpace(allowed) != "off":
			list[0] = pattern + ":git|" + strings.TrimSpace(allowed)
		}
	}
	return strings.Join(list, ",")
}

func modulesOff(c *checker) []found {
	set := c.look("GO111MODULE")
	if set.Value != "off" {
		return nil
	}
	return []found{{set, "go builds without modules, reads no go.mod and asks no proxy", []Change{{"GO111MODULE", ""}}, ""}}
}

// debug returns the value of a key in GODEBUG.
func (c *checker) debug(key string) (string, bool) {
	for item := range strings.SplitSeq(c.look("GODEBUG").Value, ",") {
		if k, v, ok := strings.Cut(item, "="); ok && k == key {
			return v, true
		}
	}
	return "", false
}

// withoutDebug returns the change that takes a key out of GODEBUG.
func (c *checker) withoutDebug(key string) []Change {
	items := strings.Split(c.look("GODEBUG").Value, ",")
	items = slices.DeleteFunc(items, func(s string) bool { return strings.HasPrefix(s, key+"=") })
	return []Change{{"GODEBUG", strings.Join(items, ",")}}
}

func serverDebug(c *checker) []found {
	if v, ok := c.debug("http2server"); !ok || v != "0" {
		return nil
	}
	change := c.withoutDebug("http2server")
	change[0].Value = strings.TrimPrefix(change[0].Value+",http2client=0", ",")
	return []found{{c.look("GODEBUG"), "http2server=0 is for servers; what go downloads is not affected", change, ""}}
}

func noNetwork(c *checker) []found {
	if v, ok := c.debug("cmdgonetlimit"); !ok || v != "0" {
		return nil
	}
	return []found{{c.look("GODEBUG"), "cmdgonetlimit=0 forbids every network operation of the go command", c.withoutDebug("cmdgonetlimit"), ""}}
}

// userOf returns whether a URL holds a user.
func userOf(raw string) bool {
	u, err := url.Parse(raw)
	return err == nil && u.User != nil
}

func proxyLogin(c *checker) (list []found) {
	for _, name := range []string{"HTTPS_PROXY", "https_proxy"} {
		if set := c.look(name); userOf(set.Value) && strings.HasPrefix(set.Value, "http://") {
			list = append(list, found{set: set, message: "credentials for the forward proxy are sent to it unencrypted, and stand where every process of the job shows them", advice: "let the forward proxy know the machine by its address, or mask the value in the CI system"})
		}
	}
	return list
}
