package explain

import (
	"fmt"
	"slices"

	"github.com/org/goproxy-setup/internal/policy"
)

// A Need says what a command's request is worth to it.
type Need string

const (
	Hard Need = "needed"    // without the file the command fails
	Soft Need = "tolerated" // an error is ignored; only the time is lost
	No   Need = "-"         // not asked for
	// HardUnlessAbsent is Hard, but "not found" everywhere is no error.
	HardUnlessAbsent Need = "needed, unless not found"
	// IfMissing is Hard for what go.sum does not list; nothing else is asked for.
	IfMissing Need = "for what go.sum lacks"
)

// A Command is what one command of go asks for, with an empty module cache.
type Command struct {
	Name  string          // the word of --command
	Line  string          // what people type
	Needs map[Column]Need // a column that is absent is No
	Order string          // the requests in their order, for people
}

// commands are measured; a test holds them against the real go command. The
// column sumdb stands for lookup, too.
var commands = []Command{
	{"build", "go build, go test, go vet with a complete go.sum", map[Column]Need{ModFile: Hard, InfoFile: Soft, ZipFile: Hard},
		"the .zip and .mod of each module as they are met; at the end the .info of all"},
	{"vendor", "go mod vendor with a complete go.sum", map[Column]Need{ModFile: Hard, InfoFile: Soft, ZipFile: Hard},
		"the .mod of all modules, the .zip of those with packages; then .info"},
	{"download", "go mod download", map[Column]Need{ModFile: Hard, InfoFile: Hard, ZipFile: Hard, SumDB: IfMissing},
		"all .mod in parallel, all .info one after the other, all .zip in parallel"},
	{"graph", "go mod graph", map[Column]Need{ModFile: Hard},
		"the .mod of all modules"},
	{"updates", "go list -m -u all", map[Column]Need{ModFile: Hard, InfoFile: Hard, ListFile: HardUnlessAbsent, SumDB: IfMissing},
		"the .mod of all modules; of each .info, list, and the newest version's .info and .mod"},
	{"get", "go get MODULE@VERSION", map[Column]Need{ModFile: Hard, InfoFile: Hard, ZipFile: Hard, ListFile: Soft, SumDB: Hard},
		"the .info of the module and of every parent path, .zip, checksum database, .mod, list, and the newest version's .info and .mod"},
	{"get-latest", "go get MODULE@latest, go mod tidy with a new import", map[Column]Need{ModFile: Hard, InfoFile: Hard, ZipFile: Hard, ListFile: Hard, SumDB: Hard},
		"the list of the module and of every parent path, .info, .mod, checksum database, .zip; @latest only if the list has no version"},
	{"install", "go install PACKAGE@VERSION, go run PACKAGE@VERSION", map[Column]Need{ModFile: Hard, InfoFile: Hard, ZipFile: Hard, ListFile: Hard, SumDB: Hard},
		"as get; but the list, and the newest version's .mod, are needed to see whether the module is deprecated"},
	{"toolchain", "a newer go that go.mod asks for", map[Column]Need{ZipFile: Hard, SumDB: Hard},
		"one .zip of about 80 MB and its lookup in the checksum database, which not even GOSUMDB=off switches off"},
}

// Commands returns all commands.
func Commands() []Command { return slices.Clone(commands) }

// FindCommand returns the command of that name. The error says what may have
// been meant.
func FindCommand(name string) (Command, error) {
	var names []string
	for _, c := range commands {
		if c.Name == name {
			return c, nil
		}
		names = append(names, c.Name)
	}
	return Command{}, fmt.Errorf("unknown command %q (%s)", name, policy.Suggest(name, names))
}

// Need returns what a kind of file is worth to the command.
func (c Command) Need(f Column) Need {
	if f == Lookup {
		f = SumDB
	}
	if n, ok := c.Needs[f]; ok {
		return n
	}
	return No
}

// An Outcome is what becomes of a command when one request of it fails.
type Outcome string

const (
	GoesOn    Outcome = "goes on"        // somebody else has the file, or it is not needed
	Dies      Outcome = "fails"          // the command ends with an error
	Hangs     Outcome = "waits for ever" // nothing ends it but a signal
	Misled    Outcome = "is misled"      // goes on with wrong content
	Untouched Outcome = "-"              // the command makes no such request
	MayDie    Outcome = "fails for what go.sum lacks"
)

// Outcome returns what becomes of the command when a request for f has that
// fate.
func (c Command) Outcome(f Column, fate Fate) Outcome {
	need := c.Need(f)
	switch {
	case need == No || fate == Unasked:
		return Untouched
	case fate == Forever:
		return Hangs // an ignored error has to come first
	case fate == Swallowed:
		return Misled
	case !fate.Fails() || need == Soft || need == HardUnlessAbsent && fate == NotFound:
		return GoesOn
	case need == IfMissing:
		return MayDie
	}
	return Dies
}

// A CommandRow is what becomes of a command when an entry of the chain fails.
type CommandRow struct {
	Entry    int           `json:"entry"`
	Proxy    string        `json:"proxy"`
	When     string        `json:"when"`
	Outcomes []FileOutcome `json:"outcomes"` // one for each kind of file that is asked for
	Worst    Outcome       `json:"worst"`    // if the proxy fails so at everything
}

// A FileOutcome is one cell of a [CommandRow].
type FileOutcome struct {
	File    Column  `json:"file"`
	Outcome Outcome `json:"outcome"`
}

// A CommandReport says which requests a command makes and which failures kill
// it.
type CommandReport struct {
	Name  string       `json:"name"`
	Line  string       `json:"line"`
	Order string       `json:"order"`
	Needs []FileNeed   `json:"needs"`
	Rows  []CommandRow `json:"rows,omitempty"`
}

// A FileNeed is what one kind of file is worth to a command.
type FileNeed struct {
	File Column `json:"file"`
	Need Need   `json:"need"`
}

// Report puts the command and a truth table together.
func (c Command) Report(t Table) CommandReport {
	r := CommandReport{Name: c.Name, Line: c.Line, Order: c.Order}
	for _, f := range Columns() {
		if f != Lookup {
			r.Needs = append(r.Needs, FileNeed{f, c.Need(f)})
		}
	}
	for _, row := range t.Rows {
		cr := CommandRow{Entry: row.Entry, Proxy: row.Proxy, When: row.When, Worst: Untouched}
		for _, cell := range row.Cells {
			if o := c.Outcome(cell.File, cell.Fate); o != Untouched {
				cr.Outcomes = append(cr.Outcomes, FileOutcome{cell.File, o})
				if cell.File != Lookup || pinned(row.Cells) {
					cr.Worst = worse(cr.Worst, o)
				}
			}
		}
		r.Rows = append(r.Rows, cr)
	}
	return r
}

// pinned reports whether a proxy that fails so at everything is still chosen
// for the lookups.
func pinned(cells []Cell) bool {
	i := slices.IndexFunc(cells, func(c Cell) bool { return c.File == SumDB })
	return cells[i].Fate == Served || cells[i].Fate == Swallowed
}

// worse returns the worse of two outcomes.
func worse(a, b Outcome) Outcome {
	order := []Outcome{Untouched, GoesOn, MayDie, Misled, Dies, Hangs}
	if slices.Index(order, b) > slices.Index(order, a) {
		return b
	}
	return a
}
