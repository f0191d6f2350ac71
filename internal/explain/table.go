package explain

import "github.com/org/goproxy-setup/internal/goenv"

// A Fate is what becomes of a request when a proxy fails at it.
type Fate string

const (
	Served    Fate = "ok"        // the file is used, and it is right
	Next      Fate = "next"      // the next entry is asked
	Direct    Fate = "direct"    // go turns to version control, or to the checksum database itself
	Off       Fate = "off"       // go fails because of "off", and hides the proxy's own error
	Stop      Fate = "stop"      // go fails with the proxy's error
	NotFound  Fate = "not found" // the chain ends here: go fails
	Fatal     Fate = "fatal"     // refused too late: go fails, even after a bar
	Forever   Fate = "for ever"  // go waits without limit
	Swallowed Fate = "swallowed" // wrong content is taken for the truth, and kept in the module cache
	Unasked   Fate = "-"         // no such request is made, or this cannot happen to it
)

// Fails reports whether go gives up.
func (f Fate) Fails() bool {
	return f == Off || f == Stop || f == NotFound || f == Fatal
}

// A Column is a kind of file in a truth table.
type Column string

const (
	ListFile Column = "list"  // @v/list, the versions of a module
	InfoFile Column = "info"  // .info
	ModFile  Column = "mod"   // .mod
	ZipFile  Column = "zip"   // .zip
	SumDB    Column = "sumdb" // sumdb/NAME/supported: whether lookups go through this proxy
	Lookup   Column = "lookup"
)

// columns are those of every table, in order.
var columns = []struct {
	Column
	query goenv.File // what go is looking for
	at    goenv.File // the request that the proxy fails at
}{
	{ListFile, goenv.List, goenv.List},
	{InfoFile, goenv.Info, goenv.Info},
	{ModFile, goenv.Mod, goenv.Mod},
	{ZipFile, goenv.Zip, goenv.Zip},
	{SumDB, goenv.Lookup, goenv.Supported},
	{Lookup, goenv.Lookup, goenv.Lookup},
}

// Columns returns the kinds of files of a truth table.
func Columns() []Column {
	var list []Column
	for _, c := range columns {
		list = append(list, c.Column)
	}
	return list
}

// A Cell says what becomes of one request.
type Cell struct {
	File Column `json:"file"`
	Fate Fate   `json:"fate"`
	// To is the entry that is asked next, for Next and Direct; redacted.
	To string `json:"to,omitempty"`
}

// A Row is one entry of a chain in one failure.
type Row struct {
	Entry     int    `json:"entry"`               // index in the chain
	Proxy     string `json:"proxy"`               // redacted
	Separator string `json:"separator,omitempty"` // after the entry
	When      string `json:"when"`                // the word of --when
	Text      string `json:"text"`                // what that is
	Cells     []Cell `json:"cells"`               // one for each of [Columns]
}

// A Table is the truth about a chain: entry by entry and failure by failure,
// what becomes of each kind of file.
type Table struct {
	// Vouch says who tells true bytes from wrong ones: "go.sum", "checksum
	// database" or "nobody".
	Vouch string `json:"vouch"`
	Rows  []Row  `json:"rows"`
}

// vouches are the names of [goenv.Vouch].
var vouches = [...]string{goenv.Nobody: "nobody", goenv.GoSum: "go.sum", goenv.Database: "checksum database"}

// TruthTable returns what go does when one proxy of the chain fails. Every
// proxy before it is taken to answer 404, every one behind it to be healthy.
// sumDB is false if no proxy is asked for the checksum database: GOSUMDB is off
// or names a URL.
func TruthTable(c goenv.Chain, when []When, vouch goenv.Vouch, sumDB bool) Table {
	t := Table{Vouch: vouches[vouch]}
	for i, e := range c {
		if !e.Proxy() {
			continue
		}
		for _, w := range when {
			row := Row{Entry: i, Proxy: label(e), Separator: separator(e.Sep), When: w.Word, Text: w.Text}
			for _, col := range columns {
				cell := Cell{File: col.Column, Fate: Unasked}
				database := col.query == goenv.Lookup
				if (sumDB || !database) && (!w.ZipOnly || col.at == goenv.Zip) {
					cell.Fate, cell.To = fate(c, i, col.query, col.at, w.Answer, vouch)
				}
				row.Cells = append(row.Cells, cell)
			}
			t.Rows = append(t.Rows, row)
		}
	}
	return t
}

// fate follows go to a file while entry i gives answer a to the request "at".
func fate(c goenv.Chain, i int, query, at goenv.File, a goenv.Answer, v goenv.Vouch) (f Fate, to string) {
	asked := false
	route := c.Walk(goenv.Request{File: query, Vouch: v}, func(entry int, file goenv.File) goenv.Answer {
		switch {
		case entry < i:
			return goenv.Absent
		case entry > i:
			return goenv.OK
		}
		asked = true
		if file == at {
			return a
		}
		return goenv.OK
	})
	if !asked && (route.Entry != i || route.End != goenv.Stopped) {
		return Unasked, "" // its error is remembered from an earlier place, or nothing can be sent to it
	}
	switch route.End {
	case goenv.Served:
		if route.Entry == i && at == goenv.Supported && a != goenv.OK {
			return Swallowed, "" // any body that comes with 200 counts as yes
		}
		if route.Entry == i {
			return Served, ""
		}
		return Next, label(c[route.Entry])
	case goenv.Swallowed:
		return Swallowed, ""
	case goenv.Stopped:
		return Stop, ""
	case goenv.LateFatal:
		return Fatal, ""
	case goenv.Hung:
		return Forever, ""
	case goenv.WentDirect:
		if query == goenv.Lookup {
			return Direct, "the checksum database"
		}
		return Direct, "version control"
	case goenv.TurnedOff:
		return Off, ""
	}
	return NotFound, ""
}
