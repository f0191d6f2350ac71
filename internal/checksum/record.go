package checksum

import (
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// A Record is what a checksum database says about one version of a module.
//
// The database signs the head of its tree, not the record. So a Record that
// [ParseRecord] returned proves that whoever answered has a head which the
// database has really signed. That the record is in that tree only a proof
// from tiles can show; who knows the hashes beforehand need not ask for one.
type Record struct {
	ID    int64     // the record's number in the database
	Tree  tlog.Tree // the signed head
	Zip   string    // h1 hash of the zip
	GoMod string    // h1 hash of the .mod file
}

// A RecordFault says why an answer is no good record.
type RecordFault string

const (
	Malformed    RecordFault = "malformed"     // no record at all, such as HTML or half an answer
	Unsigned     RecordFault = "unsigned"      // no signature by this key
	BadSignature RecordFault = "bad signature" // a signature by this key that does not fit the text
	OtherModule  RecordFault = "other module"  // signed, but without the two lines of this module
	OutsideTree  RecordFault = "outside tree"  // signed, but the head is older than the record
)

// A RecordError says what is wrong with a checksum database's answer.
type RecordError struct {
	Database string
	Module   module.Version
	Fault    RecordFault
	Err      error
}

func (e *RecordError) Error() string {
	return fmt.Sprintf("%s: record of checksum database %s: %v", e.Module, e.Database, e.Err)
}

func (e *RecordError) Unwrap() error { return e.Err }

// ParseRecord parses and verifies data, the answer to the lookup of m in the
// checksum database whose verifier key is given ("name+hash+key").
//
// The error is a [*RecordError], unless the key is malformed.
//
// Source: golang.org/x/mod/sumdb.Client.Lookup and checkSumDB in
// cmd/go/internal/modfetch.
func ParseRecord(data []byte, m module.Version, key string) (*Record, error) {
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return nil, fmt.Errorf("verifier key %q: %w", key, err)
	}
	fail := func(f RecordFault, err error) (*Record, error) {
		return nil, &RecordError{verifier.Name(), m, f, err}
	}
	id, text, signed, err := tlog.ParseRecord(data)
	if err != nil {
		return fail(Malformed, fmt.Errorf("%w: it begins %q", err, data[:min(len(data), 80)]))
	}
	n, err := note.Open(signed, note.VerifierList(verifier))
	if err != nil {
		return fail(noteFault(err), err)
	}
	tree, err := tlog.ParseTree([]byte(n.Text))
	if err != nil {
		return fail(Malformed, err)
	}
	if id < 0 || id >= tree.N {
		return fail(OutsideTree, fmt.Errorf("number %d is not in the signed tree of %d records", id, tree.N))
	}
	r := &Record{ID: id, Tree: tree, Zip: hashOf(text, m, ""), GoMod: hashOf(text, m, "/go.mod")}
	if r.Zip == "" || r.GoMod == "" {
		return fail(OtherModule, fmt.Errorf("it has not both go.sum lines of the module, but %q", text[:min(len(text), 200)]))
	}
	return r, nil
}

func noteFault(err error) RecordFault {
	if _, ok := errors.AsType[*note.InvalidSignatureError](err); ok {
		return BadSignature
	}
	if _, ok := errors.AsType[*note.UnverifiedNoteError](err); ok {
		return Unsigned
	}
	return Malformed
}

// hashOf returns the first h1 hash for m in the record's lines, or "".
func hashOf(text []byte, m module.Version, suffix string) string {
	for line := range strings.Lines(string(text)) {
		hash, ok := strings.CutPrefix(line, m.Path+" "+m.Version+suffix+" ")
		if ok && strings.HasPrefix(hash, "h1:") {
			return strings.TrimSuffix(hash, "\n")
		}
	}
	return ""
}
