// Package decision picks the module proxy chain and its companion settings for
// one build.
//
// It is pure: from a policy environment and what probes saw it computes a
// [Decision] and the reasons for it. It opens no socket and no file and never
// reads the clock, so each rule has a table test, and a report replays into
// the same decision.
package decision

import (
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/report"
)

// Input is all that a decision depends on. It survives JSON unchanged and
// holds no secret.
type Input struct {
	Settings  policy.Settings `json:"settings"`
	Evidence  []Evidence      `json:"evidence"`            // one for each proxy that was asked
	Databases []Database      `json:"databases,omitempty"` // routes to the checksum database besides the chain
	Inherited Inherited       `json:"inherited"`
	// Agent is the agent that the build shall use; nil if it shall use the
	// chain. If the agent serves, nobody else was asked.
	Agent *RunningAgent `json:"agent,omitempty"`
	// Container says that the probe ran in a container whose network and
	// certificates are not those of the steps that follow.
	Container bool `json:"container,omitempty"`
	// Keep reports what is already set and changes nothing: no policy file
	// was found, and GOPROXY was set. With Agent it does so if that does not
	// serve.
	Keep bool `json:"keep,omitempty"`
	// Preflight is what became of the modules of go.sum when the chain that is
	// decided on was asked for them; nil if it was not.
	Preflight *report.Preflight `json:"preflight,omitempty"`
	// AllowDowngrade permits "sumdb: off"; it never comes from the file.
	AllowDowngrade bool `json:"allow_downgrade,omitempty"`
}

// Inherited are the settings that were in force before this program ran.
type Inherited struct {
	GOPROXY   string `json:"goproxy,omitempty"` // redacted
	GOPRIVATE string `json:"goprivate,omitempty"`
	GONOPROXY string `json:"gonoproxy,omitempty"`
	GONOSUMDB string `json:"gonosumdb,omitempty"`
	GOSUMDB   string `json:"gosumdb,omitempty"`
	GOVCS     string `json:"govcs,omitempty"`
	NoProxy   string `json:"no_proxy,omitempty"`
}

// A Database is one way to the checksum database that does not lead through a
// proxy of the chain.
type Database struct {
	GOSUMDB string `json:"gosumdb"`         // the value that makes go take this route
	Host    string `json:"host"`            //
	Class   Class  `json:"class,omitempty"` // "" if a signed lookup verified
	Detail  string `json:"detail,omitempty"`
}

// A Decision is what the build shall use and why.
type Decision struct {
	Outcome report.Outcome
	// Chain is the value of GOPROXY, parsed. Empty unless settings are exported.
	Chain goenv.Chain
	// Settings are the variables to export, in a fixed order, none empty.
	Settings []report.Setting

	Primary   string   // name of the chain's first entry
	Selected  string   // name of the first entry of the chosen chain
	Unhealthy []string // names of the entries that are down, in policy order

	Proxies  []report.Proxy // one for each entry of the policy's chain
	Reasons  []string       // the rules that applied, in order
	Findings []report.Finding
	// Diagnosis says which proxy is to blame, what that means and what to do;
	// "" if nothing is wrong.
	Diagnosis string
}
