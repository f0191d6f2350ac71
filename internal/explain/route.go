package explain

import (
	"fmt"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/netrc"
)

// Input is what the way to a module depends on.
type Input struct {
	Sources goenv.Sources
	Main    Main
	// GoSum is the build's go.sum, nil if there is none; GoSumName is for
	// people.
	GoSum     *checksum.GoSum
	GoSumName string
	// Netrc are the entries of the netrc file NetrcName.
	Netrc     []netrc.Machine
	NetrcName string
}

// A Visit is a place where go asks for a module.
type Visit struct {
	// Ask is the base URL of a proxy (redacted), "direct", "off" or the folder
	// that replaces the module.
	Ask string `json:"ask"`
	// If says when go comes here: "first", or what has to happen before.
	If string `json:"if"`
	// Requests are the URLs, redacted, or what else is done.
	Requests []string `json:"requests,omitempty"`
	// Credentials says which are sent, never what they are.
	Credentials string `json:"credentials,omitempty"`
	Note        string `json:"note,omitempty"`
}

// A Pattern is what a list of module patterns says of the module.
type Pattern struct {
	Variable string `json:"variable"`
	Place    string `json:"place"`            // where the list was set
	Match    string `json:"match,omitempty"`  // the pattern that covers the module, "" if none does
	Means    string `json:"means"`            // what follows from that
	Near     []Near `json:"nearly,omitempty"` // patterns that were probably meant to
}

// A Near is a pattern that just misses the module.
type Near struct {
	Pattern string `json:"pattern"` // redacted
	Reason  string `json:"reason"`
	Write   string `json:"write,omitempty"` // what would match
}

// A Route is every place where go would ask for a module, in order.
type Route struct {
	Module   string       `json:"module"`
	Version  string       `json:"version,omitempty"`
	Replaced *Replacement `json:"replaced,omitempty"`
	Excluded string       `json:"excluded,omitempty"` // where, "" if it is not
	Patterns []Pattern    `json:"patterns"`
	Visits   []Visit      `json:"visits"`
	Checksum []Visit      `json:"checksum"`        // the same for the checksum database
	Error    string       `json:"error,omitempty"` // why go refuses before it asks anybody
	Vouch    string       `json:"vouch"`           // as in [Table]
}

// Find returns the way to a module.
func (in *Input) Find(q Query) Route {
	r := Route{Module: q.Path, Version: q.Version, Excluded: in.Main.excluded[module.Version{Path: q.Path, Version: q.Version}], Vouch: vouches[goenv.Nobody]}
	if r.Replaced = in.Main.replaced(q.Path, q.Version); r.Replaced != nil {
		if r.Replaced.Local {
			r.Visits = []Visit{{Ask: r.Replaced.Path, If: "first", Note: "replaced by a folder: nothing is downloaded, and no checksum is needed"}}
			return r
		}
		q = Query{r.Replaced.Path, r.Replaced.Version}
	}
	in.patterns(&r, q)
	in.visits(&r, q)
	in.checksum(&r, q)
	return r
}

// Vouch says who would tell true bytes of the module from wrong ones.
func (in *Input) Vouch(q Query) goenv.Vouch {
	if in.GoSum != nil && q.Exact() && in.GoSum.Zip(module.Version{Path: q.Path, Version: q.Version}) != "" {
		return goenv.GoSum
	}
	db, err := goenv.ParseSumDB(in.value("GOSUMDB"))
	if err != nil || db.Off || q.Path != "" && goenv.MatchPatterns(in.value("GONOSUMDB"), q.Path) {
		return goenv.Nobody
	}
	return goenv.Database
}

func (in *Input) value(name string) string { return in.Sources.Lookup(name).Value }

// where says where a variable was set.
func (in *Input) where(name string) string { return Describe(in.Sources.Lookup(name)).Where() }

// patterns says what each list of patterns has to do with the module.
func (in *Input) patterns(r *Route, q Query) {
	for _, v := range []struct{ name, yes, no string }{
		{"GOPRIVATE", "counts as private for GOVCS, and by default for GONOPROXY and GONOSUMDB", "is public for GOVCS"},
		{"GONOPROXY", "is fetched from version control, whatever GOPROXY says", "goes through GOPROXY"},
		{"GONOSUMDB", "is not looked up in the checksum database", "is looked up, unless go.sum has it"},
		{"GOINSECURE", "may be fetched without TLS or with a bad certificate, if it is fetched directly", ""},
	} {
		set := in.Sources.Lookup(v.name)
		if set.Value == "" && v.no == "" {
			continue
		}
		p := Pattern{Variable: v.name, Place: Describe(set).Where(), Means: v.no}
		if p.Match = goenv.MatchingPattern(set.Value, q.Path); p.Match != "" {
			p.Means = v.yes
		} else {
			for _, n := range goenv.NearMisses(set.Value, q.Path) {
				p.Near = append(p.Near, Near{n.Pattern, n.Reason, n.Fix})
			}
		}
		if p.Match != "" || p.Means != "" || p.Near != nil {
			r.Patterns = append(r.Patterns, p)
		}
	}
}

// visits fills in the places where go asks for the module's files.
func (in *Input) visits(r *Route, q Query) {
	if goenv.MatchPatterns(in.value("GONOPROXY"), q.Path) {
		r.Visits = []Visit{in.direct(q, "first: GONOPROXY covers the module")}
		return
	}
	c, err := goenv.ParseWhole(in.value("GOPROXY"))
	if err != nil {
		r.Error = err.Error()
		return
	}
	for i, e := range c {
		condition := "first"
		if i > 0 {
			condition = after(c[i-1])
		}
		switch {
		case e.Direct():
			r.Visits = append(r.Visits, in.direct(q, condition))
		case e.Off():
			r.Visits = append(r.Visits, Visit{Ask: "off", If: condition, Note: "go fails: module lookup disabled by GOPROXY=off"})
		default:
			r.Visits = append(r.Visits, Visit{Ask: label(e), If: condition, Requests: requests(e, q), Credentials: in.credentials(e)})
		}
	}
}

// after says what makes go come to the entry that follows e.
func after(e goenv.Entry) string {
	if e.Sep == goenv.Bar {
		return "after any error of the one before, but not while it is silent"
	}
	return "after 404 or 410 from the one before, and nothing else"
}

// requests returns the URLs that an entry is asked for.
func requests(e goenv.Entry, q Query) []string {
	path, err := module.EscapePath(q.Path)
	if err != nil {
		return nil
	}
	base := strings.TrimRight(label(e), "/") + "/" + strings.ReplaceAll(path, "!", "%21")
	if !q.Exact() {
		list := []string{base + "/@v/list", base + "/@latest (if the list has no version)"}
		if q.Version != "" && q.Version != "latest" && q.Version != "upgrade" && q.Version != "patch" {
			if v, err := module.EscapeVersion(q.Version); err == nil {
				list = []string{base + "/@v/" + strings.ReplaceAll(v, "!", "%21") + ".info"}
			}
		}
		return list
	}
	v, err := module.EscapeVersion(q.Version)
	if err != nil {
		return nil
	}
	v = strings.ReplaceAll(v, "!", "%21")
	return []string{base + "/@v/" + v + ".info", base + "/@v/" + v + ".mod", base + "/@v/" + v + ".zip"}
}

// credentials says which credentials go sends to a proxy.
func (in *Input) credentials(e goenv.Entry) string {
	u, err := url.Parse(e.Value)
	switch {
	case err != nil || u.Scheme == "file":
		return ""
	case u.User != nil && u.Scheme == "http":
		return "none: go refuses to send those in the URL over http"
	case u.User != nil:
		return "those in the URL"
	case u.Scheme != "https":
		return "none: go sends them over https only"
	}
	set := in.Sources.Lookup("GOAUTH")
	commands, err := goenv.ParseAuth(set.Value)
	if err != nil {
		return err.Error()
	}
	if commands[0] == "off" {
		return "none: GOAUTH=off (" + Describe(set).Where() + ")"
	}
	var from []string
	for _, c := range commands {
		word, _, _ := strings.Cut(c, " ")
		if word != "netrc" {
			from = append(from, "the command "+goenv.RedactSetting("", word)+" of GOAUTH, if it has any")
			continue
		}
		if m, ok := netrc.Lookup(in.Netrc, u); ok {
			from = append(from, fmt.Sprintf("machine %s of %s", goenv.Redact(m.Name), in.NetrcName))
		}
	}
	if from == nil && slices.Contains(commands, "netrc") {
		return "none: no machine " + u.Host + " with login and password in a netrc"
	}
	return strings.Join(from, ", else ")
}

// direct describes the fetch from version control.
func (in *Input) direct(q Query, condition string) Visit {
	s := Visit{Ask: "direct", If: condition}
	set := in.Sources.Lookup("GOVCS")
	where := "built-in"
	if set.Value != "" {
		where = Describe(set).Where()
	}
	rules, err := goenv.ParseVCS(set.Value)
	if err != nil {
		s.Note = fmt.Sprintf("go refuses: %v (%s)", err, where)
		return s
	}
	private := goenv.MatchPatterns(in.value("GOPRIVATE"), q.Path)
	if !hosted(q.Path) {
		s.Requests = append(s.Requests, "https://"+q.Path+"?go-get=1 (says where the repository is)")
	}
	s.Requests = append(s.Requests, "the repository itself, by git or another version control system")
	if rule, ok := goenv.VCSFor(rules, q.Path, private); ok {
		s.Note = fmt.Sprintf("GOVCS (%s) says %s", where, rule)
		if !rule.Allows("git") {
			s.Note += ": git must not be run, so this fails"
		}
	}
	if goenv.MatchPatterns(in.value("GOINSECURE"), q.Path) {
		s.Note += "; without TLS if need be, by GOINSECURE (" + in.where("GOINSECURE") + ")"
	}
	return s
}

// hosted reports whether go knows where the repository of a module is without
// asking. Source: vcsPaths in cmd/go/internal/vcs.
func hosted(path string) bool {
	host, _, _ := strings.Cut(path, "/")
	return slices.Contains([]string{"github.com", "bitbucket.org", "hub.jazz.net", "git.apache.org", "git.openstack.org", "chiselapp.com"}, host)
}
