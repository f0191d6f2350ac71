package decision

import (
	"time"
)

// Evidence is what a probe learned about one proxy. A dead proxy is evidence,
// not an error: only the policy knows whether it matters. It survives JSON
// unchanged, durations as nanoseconds.
type Evidence struct {
	Entry string `json:"entry"` // the proxy's name in the policy: a key, never a URL

	// Class is the first failure that keeps builds from using the proxy, ""
	// if none was seen. An error becomes a class at the probe's edge.
	Class  Class  `json:"class,omitempty"`
	Detail string `json:"detail,omitempty"` // what happened, for people: redacted, one line
	Next   string `json:"next,omitempty"`   // what to do about it, one line

	Checks []Check `json:"checks,omitempty"` // in the order they were made

	// Latency is the time from a request for a small file to its last byte
	// over a connection that was already open; 0 if none was answered.
	Latency time.Duration `json:"latency,omitempty"`
	// Took is when the verdict was known, from the start of the probe.
	Took time.Duration `json:"took"`
	// FinalHost is where a zip was finally read from, if not the proxy's own.
	FinalHost string `json:"final_host,omitempty"`
}

// A Check is one graded request, or one phase of the connection.
type Check struct {
	Kind   CheckKind     `json:"kind"`
	Class  Class         `json:"class,omitempty"` // "" if passed
	Status int           `json:"status,omitempty"`
	Detail string        `json:"detail,omitempty"` // for people, redacted
	Took   time.Duration `json:"took"`
}

// A CheckKind names a grade. The order of the constants is the order of the
// grades.
type CheckKind string

const (
	DNS       CheckKind = "dns"       // the host resolves
	TCP       CheckKind = "tcp"       // one of its addresses accepts
	TLS       CheckKind = "tls"       // the certificate is trusted
	HTTP      CheckKind = "http"      // it answers HTTP
	Zip       CheckKind = "zip"       // the canary zip has its known hash
	Project   CheckKind = "go.sum"    // .mod files of the build's own go.sum have their hashes
	NotFound  CheckKind = "not-found" // an impossible module gives 404 or 410: lets a comma move on
	Escape    CheckKind = "escape"    // "!x" for upper case is understood
	Info      CheckKind = "info"      // .info is JSON for the version asked
	List      CheckKind = "list"      // @v/list holds a known version
	Supported CheckKind = "supported" // sumdb/NAME/supported; Status is what go would see
	SumDB     CheckKind = "sumdb"     // a signed lookup through the proxy verifies
	BigZip    CheckKind = "big-zip"   // the first 64 KiB of a big zip, wherever it is stored
	Toolchain CheckKind = "toolchain" // the toolchain that go.mod asks for is there
)

// A Class is a kind of failure, the same for every proxy and phase.
type Class string

const (
	DNSFailure   Class = "dns"               // the name does not resolve
	Refused      Class = "refused"           // the port is closed
	Timeout      Class = "timeout"           // no connection within the limit
	Silent       Class = "silent"            // accepted, and then no answer within the limit
	Stalled      Class = "stalled"           // a body that stopped in the middle
	Reset        Class = "reset"             // the connection was cut
	UnknownCA    Class = "unknown-ca"        // certificate of an authority not trusted here
	BadTLS       Class = "tls"               // expired, wrong host, no common protocol …
	Unauthorized Class = "unauthorized"      // 401 or 407: credentials missing or refused
	Forbidden    Class = "forbidden"         // 403: not allowed here
	RateLimited  Class = "rate-limited"      // 429
	ServerError  Class = "server-error"      // 5xx
	BadStatus    Class = "status"            // any other status go does not accept
	Missing      Class = "not-found"         // 404 or 410 for what every proxy has
	Portal       Class = "captive-portal"    // a page for people instead of a module
	WrongContent Class = "wrong-content"     // bytes that are not the module
	ZipBlocked   Class = "zip-blocked"       // .mod works, .zip does not
	NoSumDB      Class = "no-sumdb"          // does not serve the checksum database
	BadRedirect  Class = "redirect"          // too many redirects, or to plain http
	NotAllowed   Class = "not-allowed"       // the policy forbids asking this host
	NoProxyPath  Class = "https-proxy"       // the HTTPS_PROXY in between failed
	Local        Class = "local"             // loopback: proves nothing from inside a container
	Cancelled    Class = "silent-until-done" // had not answered when the decision was made
)

// Check returns the last check of kind k, and whether it was made.
func (e *Evidence) Check(k CheckKind) (Check, bool) {
	for i := len(e.Checks) - 1; i >= 0; i-- {
		if e.Checks[i].Kind == k {
			return e.Checks[i], true
		}
	}
	return Check{}, false
}
