// Package policy reads the policy file and answers what it says about one
// environment.
//
// [Parse] turns bytes into a [Policy] or into every mistake at once, each with
// its place in the file; [Policy.Choose] picks the environment and
// [Policy.Settings] fills in what the file leaves out. The embedded catalogue
// of public module proxies and checksum databases lives here too, since a
// chain may use its names without an entry in the file. The package is pure:
// it opens no file and asks no network.
package policy

import (
	"slices"
	"strings"
	"time"

	"github.com/org/goproxy-setup/internal/report"
)

// FileName is where the policy is looked for, at the repository's root.
const FileName = ".goproxy-setup.yaml"

// A Mode says what wins when they conflict: availability or the gatekeeper.
type Mode string

const (
	Routed   Mode = "routed"   // availability first; public code may fall through to direct
	Enforced Mode = "enforced" // gatekeepers decide: a 403 is final, there is no way around
)

// PrivateVia says how private modules are fetched.
type PrivateVia string

const (
	ViaDirect PrivateVia = "direct" // from version control; the default in routed mode
	ViaChain  PrivateVia = "chain"  // through the chain, all of it marked private; the default in enforced mode
)

// A SumDBRule says how much the checksum database matters.
type SumDBRule string

const (
	SumDBRequired  SumDBRule = "required"  // no verified lookup on an allowed route: exhausted
	SumDBPreferred SumDBRule = "preferred" // the default: a warning, and GOSUMDB stays on
	SumDBOff       SumDBRule = "off"       // only with a permission from outside the file
)

// A Strategy orders the usable entries of a chain.
type Strategy string

const (
	Order   Strategy = "order"   // as written; the default
	Fastest Strategy = "fastest" // an earlier entry is displaced if at least 30 % and 100 ms slower
)

// OnFallback says how loud a fallback is.
type OnFallback string

const (
	FallbackNotice OnFallback = "notice"
	FallbackWarn   OnFallback = "warn" // the default
	FallbackFail   OnFallback = "fail" // nothing is exported, exit 1
)

// OnExhausted says what happens when no proxy of the chain is left.
type OnExhausted string

const (
	ExhaustedFail   OnExhausted = "fail"   // the default
	ExhaustedDirect OnExhausted = "direct" // GOPROXY=direct; routed mode only
	ExhaustedKeep   OnExhausted = "keep"   // leave existing settings alone
)

// Settings is one environment with every default filled in: all that probing
// and deciding need to know of the policy. It survives JSON unchanged and
// holds no secret: credentials are templates such as "${CORP_TOKEN}".
type Settings struct {
	Policy      string `json:"policy"`      // the file's name, or "built-in policy"
	Environment string `json:"environment"` // the name asked for: "review/42"
	Block       string `json:"block"`       // the block of the file that applies: "review/*"
	Source      string `json:"source"`      // which rule chose the environment: "input", "github check run", "match", "default" …

	Mode       Mode       `json:"mode"`
	Chain      []Entry    `json:"chain"`
	Private    []string   `json:"private,omitempty"` // GOPRIVATE patterns
	PrivateVia PrivateVia `json:"private_via"`
	Allow      []string   `json:"allow,omitempty"` // if not empty, the only hosts that may be asked
	SumDB      SumDBRule  `json:"sumdb"`
	HTTPProxy  string     `json:"http_proxy,omitempty"`
	HTTPSProxy string     `json:"https_proxy,omitempty"`
	NoProxy    string     `json:"no_proxy,omitempty"`

	Probe       Probe       `json:"probe"`
	Strategy    Strategy    `json:"strategy"`
	OnFallback  OnFallback  `json:"on_fallback"`
	OnExhausted OnExhausted `json:"on_exhausted"`

	// Places tells where each setting was written, by its key in the file
	// ("chain", "sumdb", "probe.timeout" …), and where the "environment" and
	// the "variant" are that apply. A key that is absent is a default.
	Places map[string]report.Place `json:"places,omitempty"`
}

// An Entry is one element of a chain: a proxy, or the keyword "direct" or
// "off", for which only Name is set.
type Entry struct {
	Name        string       `json:"name"`                  // of the proxy, or as in the chain if that gives the URL of no known one; the key of evidence
	URL         string       `json:"url,omitempty"`         // as the go command uses it; never with credentials
	Gatekeeper  bool         `json:"gatekeeper,omitempty"`  // its 403 is a decision
	Overridable bool         `json:"overridable,omitempty"` // gatekeeper_overridable: a public entry may follow
	Private     bool         `json:"private,omitempty"`     // may be asked for private modules
	Full        bool         `json:"full,omitempty"`        // mirrors everything public
	Username    string       `json:"username,omitempty"`    // template
	Password    string       `json:"password,omitempty"`    // template
	CA          string       `json:"ca,omitempty"`          // PEM file, relative to the policy file
	Place       report.Place `json:"place,omitzero"`        // where the chain names it
}

// Keyword reports whether e is "direct" or "off" and not a proxy.
func (e Entry) Keyword() bool { return e.Name == "direct" || e.Name == "off" }

// Probe bounds the check of one proxy.
type Probe struct {
	Timeout time.Duration `json:"timeout"` // for one proxy, retry included; default 5 s, at most 60 s
	// Slow marks an entry that answers a small request slower than this: a
	// later entry that is usable, not slow and at least 30 % and 100 ms faster
	// takes its place (routed mode only). Default 800 ms.
	Slow time.Duration `json:"slow"`
	// Keep is how many usable entries end the wait; default 2.
	Keep int `json:"keep"`
	// Canary says what is asked for: "go.sum" (the default: the built-in
	// canaries, then modules of the build's own go.sum), "built-in" (no module
	// of the build), or "MODULE@VERSION h1:HASH" instead of the built-in zip.
	Canary string `json:"canary"`
}

// Allows reports whether the policy lets host, without a port, be asked.
func (s *Settings) Allows(host string) bool {
	return len(s.Allow) == 0 || slices.Contains(s.Allow, strings.ToLower(host))
}

// Proxies returns the entries of the chain that are proxies.
func (s *Settings) Proxies() []Entry {
	var list []Entry
	for _, e := range s.Chain {
		if !e.Keyword() {
			list = append(list, e)
		}
	}
	return list
}
