package probe

import (
	"slices"
	"strings"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/policy"
)

// A Known is a file of a module proxy of which it is known what is right.
type Known struct {
	What  string // for people: "rsc.io/quote@v1.5.2.zip"
	Path  string // below the proxy's URL
	Limit int64  // of the body, in bytes
	// Judge says what is wrong with a body, class "" if nothing is, and for
	// people what it saw.
	Judge func(body []byte) (decision.Class, string)
}

func (q question) known() Known { return Known{q.what, q.path, q.limit, q.judge} }

// Canaries returns small public modules that every proxy has, with all their
// hashes.
func Canaries() []Canary { return []Canary{quote, toml, xtime} }

// KnownZip is the zip of c, which has passed [module.Check], as for all of
// these functions.
func KnownZip(c Canary) Known {
	k := zipQuestion(c).known()
	k.Limit = zipLimit
	return k
}

// KnownMod is the .mod file of c.
func KnownMod(c Canary) Known { return modQuestion(decision.Escape, c.Version, c.Mod).known() }

// KnownInfo is the .info file of c.
func KnownInfo(c Canary) Known { return infoQuestion(c.Version).known() }

// KnownList is the version list that holds c.
func KnownList(c Canary) Known { return listQuestion(c.Version).known() }

// KnownRecord is the record of c that a proxy passes on from db.
func KnownRecord(c Canary, db goenv.SumDB) Known {
	return lookupQuestion(db, modproxy.SumDBPath(db.Name), c).known()
}

// KnownStart is the beginning of the zip of m, as much as is read of it.
func KnownStart(m module.Version) Known { return bigQuestion(decision.BigZip, m).known() }

// BigModule is a public module with a zip of some megabytes, which many
// proxies keep elsewhere.
func BigModule() module.Version { return big }

// PrivatePatterns returns the patterns of modules that are nobody else's
// business: the policy's and those of the go command.
func PrivatePatterns(s *policy.Settings, getenv func(string) string) string {
	patterns := append(slices.Clone(s.Private), getenv("GOPRIVATE"), getenv("GONOPROXY"))
	return strings.ReplaceAll(strings.Join(patterns, ","), " ", "") // go matches nothing after a blank: meant to be private all the same
}

// MayKnow reports whether a proxy may learn that a module of this name exists:
// it is marked private, or the module is known to be public and no pattern
// says otherwise.
func MayKnow(e policy.Entry, private, path string) bool {
	return e.Private || KnownPublic(path) && !goenv.MatchPatterns(private, path)
}
