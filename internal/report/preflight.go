package report

// A Preflight is what became of the modules of a go.sum file when a chain was
// asked for each of them before the build.
type Preflight struct {
	File    string `json:"file"`    // the go.sum file
	Modules int    `json:"modules"` // versions that it has lines for
	Zips    int    `json:"zips"`    // of them, those with a line for the zip

	// Counts of modules by what became of them; their sum, without Forced, is Modules.
	Served   int `json:"served"`
	Direct   int `json:"direct"`   // of no proxy: the go command goes on to version control
	Forced   int `json:"forced"`   // of Direct, those that no proxy says it has not got: they failed or refused
	Private  int `json:"private"`  // covered by a pattern: fetched from version control, nobody was asked
	Withheld int `json:"withheld"` // not known to be public, so not all proxies were asked
	Failed   int `json:"failed"`   // the go command fails
	Unasked  int `json:"unasked"`  // no time was left

	Proxies []PreflightProxy  `json:"proxies,omitempty"` // in the order of the chain
	Notable []PreflightModule `json:"notable,omitempty"` // those that failed, went direct, or were withheld, in this order
	// Omitted is how many more would be notable.
	Omitted int `json:"omitted,omitempty"`
}

// A PreflightProxy is one proxy's part in a preflight.
type PreflightProxy struct {
	Name        string   `json:"name"`
	Asked       int      `json:"asked"`                  // files
	Served      int      `json:"served"`                 // files
	Missing     int      `json:"missing"`                // files: 404 or 410
	Refused     int      `json:"refused"`                // files: 401 or 403
	Failed      int      `json:"failed"`                 // files: anything else
	GaveUp      bool     `json:"gave_up,omitempty"`      // it was not asked for the rest, after failures in a row
	ZipsBlocked bool     `json:"zips_blocked,omitempty"` // no zip was served, and not for being missing
	Waited      int64    `json:"waited_ms,omitempty"`    // for its Retry-After, in milliseconds
	Class       string   `json:"class,omitempty"`        // of its last failure other than missing
	Cause       string   `json:"cause,omitempty"`        // the same, for people
	Next        string   `json:"next,omitempty"`         // what to do about it
	Hosts       []string `json:"hosts,omitempty"`        // where zips came from, if not from the proxy itself
}

// Usable reports whether the proxy served anything, zips included, and did not
// fall silent.
func (p *PreflightProxy) Usable() bool {
	return !p.GaveUp && !p.ZipsBlocked && (p.Served > 0 || p.Refused+p.Failed == 0)
}

// A PreflightModule is a module that is not simply served.
type PreflightModule struct {
	Path    string `json:"path"`
	Version string `json:"version"`
	Fate    Fate   `json:"fate"`
	File    string `json:"file,omitempty"`   // "mod" or "zip": the one it is about
	Proxy   string `json:"proxy,omitempty"`  // that Class and Cause are about
	Class   string `json:"class,omitempty"`  //
	Cause   string `json:"cause,omitempty"`  // what happened, for people
	Forced  bool   `json:"forced,omitempty"` // no proxy says that it has not got it
	Place   Place  `json:"place,omitzero"`   // its line in go.sum
}

// A Fate says what the go command would come to with a module.
type Fate string

const (
	FateServed   Fate = "served"
	FateDirect   Fate = "direct"   // goes on to version control
	FatePrivate  Fate = "private"  // goes to version control at once: a pattern covers it
	FateWithheld Fate = "withheld" // cannot be told: its name was kept from some proxy
	FateMissing  Fate = "missing"  // every proxy said 404 or 410
	FateStopped  Fate = "stopped"  // an error that the go command does not walk past
	FateWrong    Fate = "wrong"    // bytes that go.sum does not vouch for: fatal at once
	FateSilent   Fate = "silent"   // the go command would wait without limit
	FateUnasked  Fate = "unasked"  // no time was left
)

// Failed reports whether the go command fails with such a module.
func (f Fate) Failed() bool {
	return f == FateMissing || f == FateStopped || f == FateWrong || f == FateSilent
}
