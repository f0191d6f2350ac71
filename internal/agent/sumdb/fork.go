package sumdb

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/org/goproxy-setup/internal/modproxy"
)

// A Fork is a checksum database that has signed two heads of which neither
// tree is the beginning of the other: it, or whoever has its key, tells one
// story to some and another to others. No route can do that, and no fault.
//
// Nothing of such a database is answered any more, after a restart neither: the
// pinned head and all that was proven stays as it is, and the evidence lies in
// the file "fork" beside it, until a person removes that file.
type Fork struct {
	Summary  string // one line: what is wrong and what to do
	Evidence string // both signed heads and the proof, in the words of the go command
}

// Error returns the summary.
func (f *Fork) Error() string { return f.Summary }

// newFork describes a fork. proof are the hash of the newer tree's first
// records, as many as the older one has, and the path from there to the newer
// tree's hash; it is empty if both have the same number.
func (d *Database) newFork(older, newer *head, proof []tlog.Hash) *Fork {
	what := fmt.Sprintf("its tree of %d records, hash %s, is not the beginning of its tree of %d records, hash %s",
		older.tree.N, older.tree.Hash, newer.tree.N, newer.tree.Hash)
	if len(proof) == 0 {
		what = fmt.Sprintf("two trees of %d records, with the hashes %s and %s", older.tree.N, older.tree.Hash, newer.tree.Hash)
	}
	next := "the evidence is in the agent's log: report it"
	if d.disk.root != nil {
		next = fmt.Sprintf("the evidence is in the agent's log and in the file %s of its store: report it; when you know which history to believe, stop the agent and remove that file", d.forkFile())
	}
	return &Fork{
		Summary: fmt.Sprintf("SECURITY ERROR: checksum database %s has signed two histories that contradict each other: %s. "+
			"Nothing of it is answered any more; %s", d.name, what, next),
		Evidence: evidence(older, newer, proof),
	}
}

func (d *Database) forkFile() string { return "sumdb/" + Folder(d.key) + "/fork" }

// evidence is the text of sumdb.Client.checkTrees in golang.org/x/mod.
func evidence(older, newer *head, proof []tlog.Hash) string {
	indent := func(note []byte) string { return strings.ReplaceAll(string(note), "\n", "\n\t") }
	var b strings.Builder
	fmt.Fprintf(&b, "SECURITY ERROR\ngo.sum database server misbehavior detected!\n\n")
	fmt.Fprintf(&b, "old database:\n\t%s\nnew database:\n\t%s\n", indent(older.note), indent(newer.note))
	if len(proof) > 0 {
		fmt.Fprint(&b, "proof of misbehavior:")
		for _, h := range proof {
			fmt.Fprintf(&b, "\n\t%v", h)
		}
		fmt.Fprintln(&b)
	}
	return b.String()
}

// forked makes the database one that answers nothing, and returns the fork
// that was found first.
func (d *Database) forked(f *Fork) error {
	if !d.fork.CompareAndSwap(nil, f) {
		return d.fork.Load()
	}
	d.log.Error("SECURITY ERROR: checksum database contradicts itself", "name", d.name, "summary", f.Summary, "evidence", f.Evidence)
	if err := d.disk.write("fork", []byte(f.Summary+"\n\n"+f.Evidence), true); err != nil {
		d.log.Error("checksum database: cannot keep the evidence of a fork", "name", d.name, "err", err)
	}
	return f
}

// refused returns why nothing is answered, or nil.
func (d *Database) refused() error {
	if f := d.fork.Load(); f != nil {
		return f
	}
	return nil
}

// loadFork remembers what an earlier run has found.
func (d *Database) loadFork() error {
	data, err := d.disk.read("fork", 4*MaxAnswer)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	summary, evidence, _ := strings.Cut(string(data), "\n")
	if summary = modproxy.Line(summary); !strings.HasPrefix(summary, "SECURITY ERROR") {
		summary = fmt.Sprintf("SECURITY ERROR: checksum database %s contradicted itself earlier; see the file %s of the agent's store", d.name, d.forkFile())
	}
	f := &Fork{summary, strings.TrimLeft(evidence, "\n")}
	d.fork.Store(f)
	d.log.Error("SECURITY ERROR: checksum database is refused since an earlier run", "name", d.name, "summary", f.Summary)
	return nil
}
