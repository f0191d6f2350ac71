// Package sumdb is the agent's own view of one checksum database: it vouches
// for files that the agent fetched, and answers the go command's questions
// below /sumdb/NAME/ itself.
//
// One signed head of the database's tree is pinned. A record is believed once
// tiles prove that it is in that tree, and a newer head is pinned once tiles
// prove that the old tree is its beginning. An answer to a lookup is the stored
// record with the pinned head, as a client accepts any head that is newer than
// the record. A head is pinned only when every stored record proves under it
// from tiles that are kept, and it is on the disk before the first answer that
// shows it: so a client that knows no head yet verifies all that is stored
// while the database is down. A client that has seen a newer head elsewhere
// needs tiles that nobody may have here. A power cut may take records and tiles
// of the last seconds, never the head: what is missing then is fetched anew.
//
// In the folder of a database are
//
//	head                  the pinned head, a signed note
//	lookup/MODULE@VERSION number and lines of a record, escaped as in a URL
//	tile/8/L/NNN          the widest version of a tile that was proven; narrower ones are its beginning
//	fork                  two signed heads that contradict each other; see [Fork]
//	tmp/                  files that are being written; deleted at the next start
//
// Nothing there is trusted when it is read: what does not prove is fetched
// anew. Records and tiles are kept for ever and may be deleted while no agent
// runs; the head should not, since it is the memory of what the database said.
//
// golang.org/x/mod/sumdb.Client is not used: it keeps errors for its whole life
// and lets nobody at its tiles. Whether a module may be asked for at all, that
// is the question of private modules, is the caller's business: every lookup
// here tells the module's name to others.
package sumdb

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/note"

	"github.com/org/goproxy-setup/internal/modproxy"
)

// MaxAnswer is how long an answer of a database may be, in bytes. A record has
// two lines and a head, a tile at most 8 KiB.
const MaxAnswer = 64 << 10

// A Fetch reads path below the database's URL ("lookup/M@V", "tile/8/0/001",
// "latest") by whatever routes there are, and returns the first answer that
// accept takes by returning nil; an answer that accept refuses makes it try the
// next route. It reads no more than [MaxAnswer] bytes of an answer. Its error
// matches [fs.ErrNotExist] only if every route says that there is no such file.
//
// A Fetch is called from several goroutines at once, and bounds the time that a
// route may take. accept is quick, asks nobody, and is safe for concurrent use.
type Fetch func(ctx context.Context, path string, accept func([]byte) error) ([]byte, error)

// ErrClosed is the cause of errors after [Database.Close].
var ErrClosed = errors.New("checksum database is closed")

// A Database is safe for concurrent use.
type Database struct {
	name, key string
	verifiers note.Verifiers
	fetch     Fetch
	log       *slog.Logger
	disk      *disk
	tiles     *tiles
	records   *lru[module.Version, *record]

	lookups flights[*record]
	fetches flights[[]byte] // of tiles that nothing vouches for yet
	proofs  flights[[]byte] // of tiles for clients
	passed  flights[[]byte] // tiles for clients that can't be proven here
	latest  flights[*head]

	head    atomic.Pointer[head] // pinned; never nil
	pinning sync.Mutex           // held while head changes, on the disk and here
	fork    atomic.Pointer[Fork] // set once: from then on nothing is answered
}

// Bounds of what is held in memory, in bytes: about a thousand tiles and ten
// thousand records.
const (
	tilesInMemory   = 8 << 20
	recordsInMemory = 4 << 20
)

// Open returns the database whose verifier key is given ("name+hash+key"). dir
// is its folder, which [Database.Close] closes, and Open itself if it fails;
// with nil everything is held in memory alone and forgotten when there is too
// much. A nil log discards.
//
// A database that was found to contradict itself is opened all the same: it
// answers every question by that error.
func Open(dir *os.Root, key string, fetch Fetch, log *slog.Logger) (*Database, error) {
	if dir == nil {
		return open(&disk{}, key, fetch, log)
	}
	return open(newDisk(dir), key, fetch, log)
}

func open(files *disk, key string, fetch Fetch, log *slog.Logger) (*Database, error) {
	d := &Database{key: key, fetch: fetch, log: cmp.Or(log, slog.New(slog.DiscardHandler)), disk: files,
		tiles: newTiles(files), records: newLRU[module.Version, *record](recordsInMemory)}
	err := d.load()
	if err != nil {
		files.close()
		return nil, fmt.Errorf("checksum database %s: %w", modproxy.Excerpt([]byte(cmp.Or(d.name, key))), err)
	}
	return d, nil
}

// load reads what an earlier run has left.
func (d *Database) load() error {
	verifier, err := note.NewVerifier(d.key)
	if err != nil {
		return fmt.Errorf("verifier key: %w", err)
	}
	d.name, d.verifiers = verifier.Name(), note.VerifierList(verifier)
	d.head.Store(&head{tree: emptyTree})
	if err := d.disk.start(); err != nil {
		return err
	}
	if err := d.loadFork(); err != nil {
		return err
	}
	return d.loadHead()
}

// Folder returns the name for the folder of the database whose verifier key is
// given: one that has changed its key is another one.
func Folder(key string) string {
	name, rest, _ := strings.Cut(key, "+")
	hash, _, _ := strings.Cut(rest, "+")
	return name + "+" + hash
}

// Name returns the name of the database, such as "sum.example.com".
func (d *Database) Name() string { return d.name }

// Close cancels what is under way, waits for it and closes the folder.
func (d *Database) Close() error {
	for _, closeFlights := range []func(){d.lookups.close, d.proofs.close, d.passed.close, d.latest.close, d.fetches.close} {
		closeFlights()
	}
	return d.disk.close()
}

// Sums returns the h1 hashes of m, of its zip and of its .mod file. They are
// proven: the record that has them is in a tree whose head the database signed
// and that agrees with every head it was seen to sign before.
//
// The error is an [*Error]. It is forgotten at once: the next call asks again.
func (d *Database) Sums(ctx context.Context, m module.Version) (zip, gomod string, err error) {
	path, err := modproxy.LookupPath(m.Path, m.Version)
	if err != nil {
		return "", "", d.fail(m.String(), NotAPath, err)
	}
	r, err := d.lookup(ctx, m, path)
	if err != nil {
		return "", "", d.failed(path, err)
	}
	return r.zip, r.gomod, nil
}

// Known is [Database.Sums] for what is kept here: it asks nobody. It reports
// whether the record of m is here and proves.
func (d *Database) Known(m module.Version) (zip, gomod string, ok bool) {
	path, err := modproxy.LookupPath(m.Path, m.Version)
	if err != nil || d.refused() != nil {
		return "", "", false
	}
	r, ok := d.records.get(m)
	if !ok {
		nobody, cancel := context.WithCancel(context.Background())
		cancel()
		if r, ok = d.stored(nobody, m, path); !ok {
			return "", "", false
		}
	}
	return r.zip, r.gomod, true
}
