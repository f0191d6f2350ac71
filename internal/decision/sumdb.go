package decision

import (
	"fmt"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/report"
)

// A database is the decision on the checksum database: the value of GOSUMDB,
// and what a person should know about it.
type database struct {
	setting     report.Setting
	findings    []report.Finding
	unreachable bool // required, and no allowed route verifies
}

// sumDB picks the route to the checksum database for the entries that were
// kept. The order is: through the chain if the proxy that go would pin serves
// it; named with the URL of a proxy of the chain; the China alias; directly.
// In enforced mode the value always names a host of the chain, since go would
// otherwise turn to the database itself as soon as a proxy says 404.
func sumDB(in *Input, kept []verdict) database {
	s := &in.Settings
	spec := sumDBName(in.Inherited.GOSUMDB)
	if s.SumDB == policy.SumDBOff {
		return sumDBOff(in, spec)
	}
	if spec.URL != "" && s.Mode != policy.Enforced {
		return ownServer(in, spec)
	}
	spec.URL = ""
	r := routes{in: in, kept: kept, spec: spec}
	d := r.pick()
	if was := in.Inherited.GOSUMDB; was == "off" {
		d.findings = append(d.findings, report.Finding{
			ID: "sumdb-was-off", Severity: report.Notice, Title: "GOSUMDB was off",
			Message: "GOSUMDB was \"off\" before; it is now " + d.setting.Value,
			Fix:     "to really switch verification off, set \"sumdb: off\" in the policy and allow the downgrade at the caller",
			Place:   s.Places["sumdb"],
		})
	}
	return d
}

// sumDBName returns the database that was configured before, or Go's own.
func sumDBName(inherited string) goenv.SumDB {
	if db, err := goenv.ParseSumDB(inherited); err == nil && !db.Off {
		return db
	}
	db, _ := goenv.ParseSumDB("sum.golang.org") // known to go, so never an error
	return db
}

// ownServer keeps the server that GOSUMDB names already. The go command asks
// that one alone, so a chain that serves the database is of no help.
func ownServer(in *Input, spec goenv.SumDB) database {
	d := database{setting: gosumdb(spec.String(), "already set to a server of your own choice")}
	i := slices.IndexFunc(in.Databases, func(db Database) bool { return db.GOSUMDB == d.setting.Value && db.Class != "" })
	if i < 0 {
		return d
	}
	f := report.Finding{
		ID: "sumdb-unreachable", Severity: report.Warning, Title: "Checksum database unreachable", Place: in.Settings.Places["sumdb"],
		Message: fmt.Sprintf("GOSUMDB names %s, where no lookup verifies (%s); \"go get\" and \"go install pkg@version\" fail", in.Databases[i].Host, in.Databases[i].Class),
		Fix:     "mend that server, or unset GOSUMDB so that the chain is asked",
	}
	if in.Settings.SumDB == policy.SumDBRequired {
		f.Severity, d.unreachable = report.Error, true
	}
	d.findings = []report.Finding{f}
	return d
}

func gosumdb(value, why string) report.Setting {
	return report.Setting{Name: "GOSUMDB", Value: value, Why: why}
}

// sumDBOff obeys "sumdb: off" only if that was permitted from outside the
// file, and annotates it in either case.
func sumDBOff(in *Input, spec goenv.SumDB) database {
	f := report.Finding{ID: "sumdb-off", Severity: report.Warning, Title: "Checksum database switched off", Place: in.Settings.Places["sumdb"]}
	if !in.AllowDowngrade {
		f.Title = "\"sumdb: off\" ignored"
		f.Message = "the policy asks for \"sumdb: off\", but a downgrade needs a permission from outside the file; the checksum database stays on"
		f.Fix = "remove \"sumdb: off\", or give --allow-downgrade (input allow-downgrade: true) where the step is called"
		return database{setting: gosumdb(spec.String(), "sumdb: off was not permitted"), findings: []report.Finding{f}}
	}
	f.Message = "modules that go.sum does not list are not verified against the checksum database"
	f.Fix = "set \"sumdb: preferred\"; private modules need only a pattern in \"private\""
	return database{setting: gosumdb("off", "sumdb: off, permitted by the caller"), findings: []report.Finding{f}}
}

// routes are the ways to one checksum database.
type routes struct {
	in   *Input
	kept []verdict
	spec goenv.SumDB
}

func (r routes) pick() database {
	s := &r.in.Settings
	name := r.spec.String()
	entry, toDatabase, known, ok := r.throughChain()
	switch {
	case ok && s.Mode == policy.Enforced:
		return database{setting: gosumdb(r.at(entry), "the checksum database through "+entry.entry.Name+"; enforced mode names the host")}
	case ok:
		return database{setting: gosumdb(name, "the checksum database through "+entry.entry.Name)}
	case !known && s.Mode == policy.Routed:
		return r.unjudged(name)
	}
	for _, v := range r.kept {
		if verified(v) {
			return database{setting: gosumdb(r.at(v), "only "+v.entry.Name+" serves a checksum database that verifies")}
		}
	}
	for _, db := range r.aliasFirst() {
		if db.Class == "" && (s.Mode == policy.Routed || len(s.Allow) > 0 && s.Allows(db.Host)) {
			return database{setting: gosumdb(r.beside(db, toDatabase), "no proxy of the chain serves it; "+db.Host+" answers")}
		}
	}
	return r.none(name, known)
}

// aliasFirst returns the routes to this database beside the chain, those by
// another name before its own.
func (r routes) aliasFirst() []Database {
	var own, alias []Database
	for _, db := range r.in.Databases {
		switch v, err := goenv.ParseSumDB(db.GOSUMDB); {
		case err != nil || v.Name != r.spec.Name:
		case v.URL == "":
			own = append(own, db)
		default:
			alias = append(alias, db)
		}
	}
	return append(alias, own...)
}

// unjudged leaves the way through the chain to go, since an entry on it could
// not be judged from where the probe stood.
func (r routes) unjudged(name string) database {
	d := database{setting: gosumdb(name, "through the chain, as far as can be judged from here")}
	if !slices.ContainsFunc(r.kept, verified) {
		d.findings = []report.Finding{{
			ID: "sumdb-unverified", Severity: report.Notice, Title: "Checksum database not verified from here",
			Message: "no lookup through the chain could be verified from here" + r.causes(),
			Fix:     "run the probe where the build runs: the binary form of this step sees the host's network",
			Place:   r.in.Settings.Places["sumdb"],
		}}
	}
	return d
}

// none is the answer when no route verified. known is false if that may be so
// only because the probe could not see it from where it stood.
func (r routes) none(name string, known bool) database {
	s := &r.in.Settings
	d := database{setting: gosumdb(name, "stays on, though no route to it verified")}
	if s.Mode == policy.Enforced {
		// Through a host of the chain or not at all.
		for _, v := range r.kept {
			if !v.entry.Keyword() {
				d.setting = gosumdb(r.at(v), "enforced mode names a host of the chain, though no route to it verified")
				break
			}
		}
	}
	f := report.Finding{
		ID: "sumdb-unreachable", Severity: report.Warning, Title: "Checksum database unreachable", Place: s.Places["sumdb"],
		Message: "no allowed route to the checksum database verifies" + r.causes() + "; builds with a complete go.sum are not affected, \"go get\" and \"go install pkg@version\" fail",
		Fix:     "let the first proxy of the chain serve sumdb/" + r.spec.Name + ", or allow the runner to reach it; do not set GOSUMDB=off",
	}
	if !known {
		f.Message = "the checksum database could not be verified from here" + r.causes()
	}
	if s.SumDB == policy.SumDBRequired && known {
		f.Severity, d.unreachable = report.Error, true
	}
	d.findings = []report.Finding{f}
	return d
}

// throughChain follows go to the proxy that it would pin for all lookups, and
// says whether it leads to the database itself. ok says that a signed lookup
// through the pinned proxy verified; known is false if an entry on the way
// could not be judged.
func (r routes) throughChain() (pinned verdict, toDatabase, known, ok bool) {
	c, err := chain(r.in.Settings.Mode, r.kept)
	if err != nil {
		return verdict{}, false, true, false
	}
	known = true
	route := c.Walk(goenv.Request{File: goenv.Lookup}, func(i int, f goenv.File) goenv.Answer {
		answer, seen := sumDBAnswer(r.kept[i], f)
		known = known && seen
		return answer
	})
	if route.End != goenv.Served {
		return verdict{}, route.End == goenv.WentDirect, known, false
	}
	pinned = r.kept[route.Entry]
	return pinned, false, known, known && verified(pinned)
}

// beside returns the value of GOSUMDB for a route beside the chain. A bare
// name makes go ask the chain first, which is right only if that leads on to
// the database itself.
func (r routes) beside(db Database, toDatabase bool) string {
	v, err := goenv.ParseSumDB(db.GOSUMDB)
	if err != nil || v.URL != "" || toDatabase && r.in.Settings.Mode == policy.Routed {
		return db.GOSUMDB
	}
	v.URL = "https://" + db.Host
	return v.String()
}

// sumDBAnswer is what go would get from an entry, and whether that was seen.
func sumDBAnswer(v verdict, f goenv.File) (answer goenv.Answer, seen bool) {
	if v.ev == nil {
		return goenv.Absent, false
	}
	kind := Supported
	if f == goenv.Lookup {
		kind = SumDB
	}
	c, made := v.ev.Check(kind)
	switch {
	case !made || c.Class == Cancelled:
		return goenv.OK, false
	case c.Class == "" || kind == Supported && c.Status == 200:
		return goenv.OK, true
	case c.Status == 404 || c.Status == 410:
		return goenv.Absent, true
	case c.Status != 0:
		return goenv.Status, true
	case c.Class == Silent || c.Class == Stalled:
		return goenv.Hang, true
	}
	return goenv.Unreachable, true
}

// verified reports whether a signed lookup through the entry was checked.
func verified(v verdict) bool {
	if v.ev == nil {
		return false
	}
	c, made := v.ev.Check(SumDB)
	return made && c.Class == ""
}

// at names the database at one entry's own address.
func (r routes) at(v verdict) string {
	db := r.spec
	db.URL = strings.TrimRight(v.entry.URL, "/") + "/sumdb/" + db.Name
	return db.String()
}

// causes lists what kept each route from verifying.
func (r routes) causes() string {
	var list []string
	for _, v := range r.kept {
		if v.ev == nil {
			continue
		}
		for _, k := range []CheckKind{Supported, SumDB} {
			if c, made := v.ev.Check(k); made && c.Class != "" {
				list = append(list, fmt.Sprintf("%s: %s", v.entry.Name, cause(c)))
				break
			}
		}
	}
	for _, db := range r.in.Databases {
		if db.Class != "" {
			list = append(list, fmt.Sprintf("%s: %s", db.Host, db.Class))
		}
	}
	if len(list) == 0 {
		return ""
	}
	return " (" + strings.Join(list, ", ") + ")"
}
