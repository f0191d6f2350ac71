package policy

import (
	"time"

	"github.com/org/goproxy-setup/internal/report"
)

// A Policy is a policy file, checked. It is immutable: methods that change
// something return a copy.
type Policy struct {
	name         string
	proxies      map[string]proxy // by name; the catalogue's are not among them
	block                         // the settings at the top: defaults of every environment
	environments []environment    // in the file's order
	match        []rule
	agent        Agent
	findings     []report.Finding // what loading it noticed

	override *[]ref          // instead of every chain; see FromChain
	private  value[[]string] // in addition to every environment's; see WithPrivate
}

// Name returns the name of the file, or "built-in policy".
func (p *Policy) Name() string { return p.name }

// Findings returns what a person should know of a valid policy: warnings and
// notices, in the order of the file.
func (p *Policy) Findings() []report.Finding { return p.findings }

// A value is one setting of the file; the zero value is a setting left out.
type value[T any] struct {
	v     T
	place report.Place
	set   bool
}

// A block is a set of settings that may stand at the top of the file and in an
// environment.
type block struct {
	mode        value[Mode]
	patterns    value[[]string]
	privateVia  value[PrivateVia]
	allow       value[[]string]
	sumdb       value[SumDBRule]
	httpProxy   value[string]
	httpsProxy  value[string]
	noProxy     value[string]
	timeout     value[time.Duration]
	slow        value[time.Duration]
	keep        value[int]
	canary      value[string]
	strategy    value[Strategy]
	onFallback  value[OnFallback]
	onExhausted value[OnExhausted]
}

// An environment is a named block. Its name may be a glob.
type environment struct {
	name  string
	place report.Place
	block
	chain    value[[]ref]
	variants []variant
}

// A ref is an element of a chain as it is written.
type ref struct {
	text  string
	place report.Place
}

// A variant is another chain for where a CI variable has a certain value.
type variant struct {
	place    report.Place
	variable string
	is       string // glob
	chain    value[[]ref]
}

// A rule of "match" picks an environment by what is built.
type rule struct {
	place       report.Place
	tag         value[string] // exactly one of the three globs is set
	branch      value[string]
	target      value[string]
	environment value[string]
}

// A proxy is an entry of "proxies".
type proxy struct {
	name        string
	place       report.Place
	broken      bool // has mistakes of its own: nothing that names it is judged
	url         value[string]
	gatekeeper  value[bool]
	overridable value[bool]
	private     value[bool]
	full        value[bool]
	username    value[string]
	password    value[string]
	ca          value[string]
}
