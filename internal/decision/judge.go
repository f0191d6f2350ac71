package decision

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/report"
)

// A verdict is what evidence means for one entry under its policy.
type verdict struct {
	entry policy.Entry
	ev    *Evidence // nil for keywords and for what was not asked
	state report.State
	late  bool   // silent when the decision was made: left out, not called dead
	why   string // for people, one line
}

// usable reports whether builds can use the entry, as far as was seen.
func (v verdict) usable() bool { return v.state == report.Usable || v.state == report.Degraded }

// judge turns evidence into a state. Unknown is not down: what cannot be told
// from where the probe stands keeps its place.
func judge(entry policy.Entry, ev *Evidence, container bool) verdict {
	v := verdict{entry: entry, ev: ev, state: report.Down}
	switch {
	case entry.Keyword():
		v.state = report.Unasked
		return v
	case ev == nil:
		v.state, v.late, v.why = report.Unknown, true, "not asked"
		return v
	}
	v.why = ev.Detail
	switch {
	case ev.Class == Cancelled:
		v.state, v.late = report.Unknown, true
	case ev.Class == Local:
		v.state = report.Unknown
	case container && unknowable(entry, ev.Class):
		v.state = report.Unknown
	case entry.Gatekeeper && refused(ev):
		v.state, v.why = report.Unknown, "the canary is not allowed here: "+ev.Detail
	case ev.Class == Missing && (entry.Gatekeeper || entry.Private):
		v.state, v.why = report.Unknown, "does not serve the canary: "+ev.Detail
	case ev.Class == "":
		v.state = report.Usable
		if bad := weaknesses(ev); len(bad) > 0 {
			v.state, v.why = report.Degraded, strings.Join(bad, "; ")
		}
	}
	return v
}

// refused reports whether the proxy itself, and not a storage host behind it,
// answered 403 to the canary: all of it, or only the zip, as some gatekeepers
// do.
func refused(ev *Evidence) bool {
	zip, _ := ev.Check(Zip)
	return ev.Class == Forbidden || ev.Class == ZipBlocked && zip.Status == 403 && ev.FinalHost == ""
}

// unknowable reports whether a failure of class c, seen from inside a
// container, may be no failure at all for the steps on the host: its
// resolver knows other names, and its store other certificates.
func unknowable(e policy.Entry, c Class) bool {
	switch c {
	case UnknownCA:
		return true
	case DNSFailure:
		return e.Private || policy.PrivateHost(host(e.URL))
	}
	return false
}

func host(rawURL string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return ""
	}
	return u.Hostname()
}

// consequences says which use of a proxy fails with which check.
var consequences = []struct {
	kind CheckKind
	text string
}{
	{NotFound, "an unknown module does not end in 404 (%s): \"go get\" of a deep path fails here"},
	{Escape, "upper-case module paths fail (%s)"},
	{Info, ".info files fail (%s): \"go mod download\" needs them"},
	{List, "version lists fail (%s): \"go install pkg@version\" and \"go get -u\" need them"},
	{Supported, "the checksum database cannot be reached through it (%s)"},
	{SumDB, "lookups in the checksum database fail (%s)"},
	{Toolchain, "the Go toolchain that go.mod asks for cannot be had (%s)"},
}

// weaknesses lists what a proxy that serves builds cannot do.
func weaknesses(ev *Evidence) []string {
	var list []string
	for _, c := range consequences {
		check, ok := ev.Check(c.kind)
		if !ok || check.Class == "" || check.Class == Cancelled {
			continue
		}
		// Most proxies that do not serve the checksum database say 404, and go
		// then asks the database itself: that is no weakness.
		if (c.kind == Supported || c.kind == SumDB) && check.Class == NoSumDB {
			continue
		}
		list = append(list, fmt.Sprintf(c.text, cause(check)))
	}
	return list
}

// cause names a failed check in a word or two.
func cause(c Check) string {
	if c.Status != 0 && c.Status != 200 {
		return fmt.Sprint(c.Status)
	}
	return string(c.Class)
}

// slow reports whether the entry answers small requests slower than the
// policy's limit.
func (v verdict) slow(limit time.Duration) bool {
	return v.ev != nil && limit > 0 && v.ev.Latency > limit
}

// muchFaster reports whether a beats b by enough to change a written order:
// at least 30 % and 100 ms. Less is noise, and a mirror's order has reasons.
func muchFaster(a, b *Evidence) bool {
	if a == nil || b == nil || a.Latency == 0 || b.Latency == 0 {
		return false
	}
	gain := b.Latency - a.Latency
	return gain >= 100*time.Millisecond && gain*10 >= b.Latency*3
}
