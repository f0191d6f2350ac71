package decision

import (
	"fmt"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/report"
)

// diagnose says, in one paragraph for somebody who has no other window open:
// which proxy is to blame and how far a request to it came, what that means,
// what to do, and what else was tried. It is "" if nothing failed. unverified
// says that proxies were there, and only the checksum database was not.
func (d *Decision) diagnose(in *Input, verdicts []verdict, unverified bool) string {
	switch {
	case d.Outcome == report.Incomplete:
		return missing(in.Preflight)
	case d.Outcome == report.Exhausted && unverified:
		return noDatabase(in)
	}
	guilty, ok := d.guilty(verdicts)
	if !ok {
		return ""
	}
	text := []string{howFar(guilty), meaning[guilty.ev.Class]}
	if same := alike(guilty, verdicts); same != "" {
		text = append(text, same)
	}
	if guilty.ev.Next != "" {
		text = append(text, "What to do: "+guilty.ev.Next+".")
	}
	text = append(text, d.others(guilty, verdicts))
	text = slices.DeleteFunc(text, func(s string) bool { return s == "" })
	return strings.Join(text, " ")
}

// guilty returns the entry that the outcome is to be blamed on: the first of
// the chain that is down or silent, if it matters.
func (d *Decision) guilty(verdicts []verdict) (verdict, bool) {
	if d.Outcome == report.OK {
		return verdict{}, false
	}
	for _, v := range verdicts {
		primary := v.entry.Name == d.Primary
		switch {
		case v.ev != nil && v.ev.Class != "" && (v.state == report.Down || v.late):
			return v, primary || d.Outcome != report.Kept
		case primary && d.Outcome == report.Fallback:
			return verdict{}, false // it works, and another is only faster
		}
	}
	return verdict{}, false
}

// noDatabase is the diagnosis where no proxy is to blame.
func noDatabase(in *Input) string {
	var tried []string
	for _, db := range in.Databases {
		if db.Class != "" {
			tried = append(tried, fmt.Sprintf("%s (%s)", db.Host, db.Detail))
		}
	}
	text := "The proxies work; it is the checksum database that cannot be reached, and the policy says sumdb: required. " +
		"Without it the go command could not verify a module that is missing from go.sum. " +
		"What to do: allow one of the routes to it, let a proxy of the chain pass it on, or say sumdb: preferred."
	if len(tried) > 0 {
		text += " Tried: " + policy.Listed(tried) + "."
	}
	return text
}

// missing is the diagnosis of a chain that works and lacks modules.
func missing(p *report.Preflight) string {
	failed := notable(p, report.Fate.Failed)
	text := fmt.Sprintf("The chain works, but %s: %s. The build would have stopped at the first of them.", shortfall(p), names(failed, p.Failed))
	if next := nextFor(p, failed); next != "" {
		text += " What to do: " + next + "."
	}
	return text
}

// steps are the grades that tell how far a request came, and what each proves.
var steps = []struct {
	kind   CheckKind
	passed string
}{
	{DNS, "its name resolves"}, {TCP, "it accepts connections"}, {TLS, "its certificate is trusted"},
	{HTTP, "it answers"}, {Zip, "it serves a module whose hash is known"},
}

// howFar says where a proxy broke, after what it did right.
func howFar(v verdict) string {
	name := v.entry.Name
	if u := goenv.Redact(v.entry.URL); u != name {
		name += " (" + u + ")"
	}
	var passed []string
	for _, s := range steps {
		c, made := v.ev.Check(s.kind)
		if made && c.Class != "" {
			break
		}
		// An answer other than 200 is one, and nothing to be proud of.
		if made && (s.kind != HTTP || c.Status == 0 || c.Status == 200) {
			passed = append(passed, s.passed)
		}
	}
	detail := v.ev.Detail
	if v.late {
		return fmt.Sprintf("%s gave no answer in time: %s.", name, detail)
	}
	if len(passed) == 0 {
		return fmt.Sprintf("%s is to blame: %s.", name, detail)
	}
	return fmt.Sprintf("%s is to blame: %s, but then: %s.", name, joined(passed), detail)
}

// joined writes "a, b and c".
func joined(list []string) string {
	if len(list) < 2 {
		return strings.Join(list, "")
	}
	return strings.Join(list[:len(list)-1], ", ") + " and " + list[len(list)-1]
}

// meaning says what a class of failure means for whoever has to mend it.
var meaning = map[Class]string{
	DNSFailure:   "That is a matter of name resolution on this machine: the proxy was never reached, and may be in perfect health.",
	Refused:      "The machine is there, but nothing listens on that port, or a firewall says no.",
	Timeout:      "Packets vanish on the way: a firewall, an egress rule or a route, before the proxy sees anything.",
	Silent:       "It hangs. The go command has no time-out for that: the build would have stood still until the job's limit.",
	Stalled:      "It hangs in the middle of a file. The go command has no time-out for that: the build would have stood still until the job's limit.",
	Reset:        "Somebody cuts the connection: an overloaded server, a gateway in front of it, or a firewall.",
	UnknownCA:    "Either this network inspects TLS, or the proxy has a certificate of your own organisation; this machine trusts neither.",
	BadTLS:       "The encrypted connection does not come about, which is a matter of its certificate or of TLS settings.",
	Unauthorized: "It wants a login, and got none that it accepts.",
	Forbidden:    "It is healthy, and refuses this to this runner.",
	RateLimited:  "It is healthy, and had too many requests from this address; shared runners share their address.",
	ServerError:  "The proxy itself is broken, or what it fetches from; nothing on this runner can mend that.",
	BadStatus:    "No module proxy answers like that: the URL leads to something else, or to a broken one.",
	Missing:      "Every module proxy has this module: the URL is not that of a module proxy, or lacks a part of its path.",
	Portal:       "Something answers in the proxy's place: a sign-in page of this network, a gateway's error page, or a web site.",
	WrongContent: "What it serves is not what the authors published. Go would have refused it with a checksum error, or, without a go.sum line, believed it.",
	ZipBlocked:   "The small files work, so that the build would have begun well and failed at the first download of content.",
	BadRedirect:  "It sends its clients in a circle, or from https to http, which go does not follow.",
	NotAllowed:   "The policy itself forbids that host.",
	NoProxyPath:  "The HTTP proxy on the way is the obstacle; the module proxy was never reached.",
	Local:        "This step runs in a container, where that address means the container itself.",
	Cancelled:    "Silence is no proof of being down; it was left out because others answered in time, or time was up.",
}

// alike notes when several proxies broke at the same point: then the network
// is the likelier culprit.
func alike(guilty verdict, verdicts []verdict) string {
	switch guilty.ev.Class {
	case DNSFailure, Refused, Timeout, Reset, UnknownCA, Portal, NoProxyPath, Silent:
	default:
		return ""
	}
	n := 0
	for _, v := range verdicts {
		if v.entry.Keyword() {
			continue
		}
		if v.ev == nil || v.ev.Class != guilty.ev.Class {
			return ""
		}
		n++
	}
	if n < 2 {
		return ""
	}
	return fmt.Sprintf("All %d proxies broke in the same way, so look at this machine's network before looking at any of them.", n)
}

// others says what else was tried, and what is used instead.
func (d *Decision) others(guilty verdict, verdicts []verdict) string {
	var tried []string
	for _, v := range verdicts {
		if v.entry.Keyword() || v.entry.Name == guilty.entry.Name {
			continue
		}
		what := "not asked"
		switch {
		case v.usable():
			what = "works"
		case v.ev != nil && v.ev.Class == Cancelled:
			what = "silent"
		case v.ev != nil && v.ev.Class != "":
			what = string(v.ev.Class)
		}
		tried = append(tried, fmt.Sprintf("%s (%s)", v.entry.Name, what))
	}
	var text []string
	if len(tried) > 0 {
		text = append(text, "Also tried: "+policy.Listed(tried)+".")
	}
	switch {
	case d.Outcome == report.Fallback && len(d.Settings) > 0:
		text = append(text, fmt.Sprintf("Modules come from %s until then.", d.Selected))
	case d.Outcome == report.Kept:
		text = append(text, "Settings were left as they are.")
	default:
		text = append(text, "Nothing was exported.")
	}
	return strings.Join(text, " ")
}
