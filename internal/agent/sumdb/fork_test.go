package sumdb

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	xsumdb "golang.org/x/mod/sumdb"
	"golang.org/x/mod/sumdb/note"
)

// signed signs text by the tests' key.
func signed(t testing.TB, text string) []byte {
	t.Helper()
	signer, err := note.NewSigner(signerKey)
	if err != nil {
		t.Fatal(err)
	}
	data, err := note.Sign(&note.Note{Text: text}, signer)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// A database that tells two stories is believed in nothing any more.
func TestFork(t *testing.T) {
	for _, tt := range []struct {
		name         string
		first, other int // records
		proof        bool
	}{
		{"longer", 300, 700, true},
		{"much longer", 300, big, true},
		{"shorter", 700, 300, true},
		{"of the same length", 300, 300, false},
		{"from the start", 1, 2, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o, other := newOrigin("", tt.first), newOrigin("other", tt.other)
			r := via(o.get)
			dir := t.TempDir()
			d := newDatabase(t, dir, r)
			wantSums(t, d, o, mod(0))
			before := files(t, dir)

			r.set(other.get, o.get) // to show a fork takes tiles of the longer tree
			m := mod(tt.other - 1)
			_, _, err := d.Sums(t.Context(), m)
			e := wantError(t, err, Security)
			fork, ok := e.Err.(*Fork)
			if !ok {
				t.Fatalf("caused by %T", e.Err)
			}
			for _, head := range []string{string(o.head(t)), string(other.head(t))} {
				if !strings.Contains(fork.Evidence, strings.ReplaceAll(head, "\n", "\n\t")) {
					t.Errorf("evidence lacks the head\n%s\n%s", head, fork.Evidence)
				}
			}
			if strings.Contains(fork.Evidence, "proof of misbehavior:\n\t") != tt.proof {
				t.Errorf("proof: want %v\n%s", tt.proof, fork.Evidence)
			}
			if s := err.Error(); !strings.HasPrefix(s, "SECURITY ERROR") || strings.ContainsAny(s, "\n\t") || len(s) > 640 {
				t.Errorf("%d bytes do not fit what go prints: %s", len(s), s)
			}
			// Whatever the routes say from now on, and after a restart, too.
			for range 2 {
				r.set(o.get)
				for _, path := range []string{lookupPath(mod(0)), "latest", "tile/8/0/000.p/1"} {
					if body, _, err := d.Serve(t.Context(), path); body != nil {
						t.Errorf("Serve(%q) = %q, %v", path, body, err)
					} else {
						wantError(t, err, Security)
					}
				}
				d.Close()
				d = newDatabase(t, dir, r)
			}
			_, _, again := d.Sums(t.Context(), mod(0))
			if again.Error() != err.Error() {
				t.Errorf("after a restart: %v\nwant %v", again, err)
			}
			after := files(t, dir)
			if !strings.Contains(after["fork"], fork.Evidence) {
				t.Errorf("the file says %s", after["fork"])
			}
			delete(after, "fork")
			if !maps.Equal(before, after) {
				t.Error("what was known before has changed")
			}
			// A person decides.
			d.Close()
			if err := os.Remove(filepath.Join(dir, "fork")); err != nil {
				t.Fatal(err)
			}
			wantSums(t, newDatabase(t, dir, r), o, mod(0))
		})
	}
}

// A fork is found by whatever shows it, and a damaged note of it is one still.
func TestForkByLatest(t *testing.T) {
	o, other := newOrigin("", 300), newOrigin("other", 700)
	r := via(o.get)
	dir := t.TempDir()
	d := newDatabase(t, dir, r)
	wantSums(t, d, o, mod(0))
	r.set(other.get)
	_, _, err := d.Serve(t.Context(), "tile/8/0/002") // beyond the pinned tree
	wantError(t, err, Security)
	d.Close()
	if err := os.WriteFile(filepath.Join(dir, "fork"), []byte("\x1b[31m"), 0o644); err != nil {
		t.Fatal(err)
	}
	_, _, err = newDatabase(t, dir, r).Sums(t.Context(), mod(0))
	if wantError(t, err, Security); !strings.HasPrefix(err.Error(), "SECURITY ERROR: checksum database "+testName+" contradicted itself earlier") {
		t.Errorf("got %v", err)
	}
}

// Without a folder the evidence is in the log.
func TestForkInMemory(t *testing.T) {
	r := via(newOrigin("", 5).get)
	d := newDatabase(t, "", r)
	if _, _, err := d.Serve(t.Context(), "latest"); err != nil {
		t.Fatal(err)
	}
	r.set(newOrigin("other", 5).get)
	_, _, err := d.Sums(t.Context(), mod(1))
	if wantError(t, err, Security); !strings.Contains(err.Error(), "in the agent's log") {
		t.Errorf("got %v", err)
	}
}

// The tiles of a tree which its head does not sign prove no fork: the route
// that sent them lies.
func TestLiesAreNoFork(t *testing.T) {
	o := newOrigin("", 300)
	r := via(o.get)
	d := newDatabase(t, "", r)
	wantSums(t, d, o, mod(0))
	o.grow(700)
	other := newOrigin("other", 700)
	r.set(func(ctx context.Context, path string) ([]byte, error) {
		if strings.HasPrefix(path, "tile/") {
			return other.get(ctx, path)
		}
		return o.get(ctx, path)
	})
	_, _, err := d.Sums(t.Context(), mod(600))
	wantError(t, err, Outage)
	r.set(o.get)
	wantSums(t, d, o, mod(600))
}

// The evidence is what the go command itself would print.
func TestEvidence(t *testing.T) {
	o, other := newOrigin("", 300), newOrigin("other", 700)
	r := via(o.get)
	d := newDatabase(t, "", r)
	wantSums(t, d, o, mod(0))
	r.set(other.get)
	_, _, err := d.Sums(t.Context(), mod(699))
	got := wantError(t, err, Security).Err.(*Fork).Evidence

	c := &forkedClient{client: newClient(t, nil), old: o, new: other}
	c.latest = o.head(t)
	if _, err := xsumdb.NewClient(c).Lookup(mod(699).Path, mod(699).Version); err == nil || strings.TrimSpace(got) != strings.TrimSpace(c.said) {
		t.Errorf("evidence\n%s\nwant\n%s\n%v", got, c.said, err)
	}
}

// A forkedClient asks the database itself and notes what it finds.
type forkedClient struct {
	*client
	old, new *origin
	said     string
}

func (c *forkedClient) SecurityError(msg string) { c.said = msg }

func (c *forkedClient) ReadRemote(path string) ([]byte, error) {
	if path == "/tile/8/1/000.p/1" || path == "/tile/8/0/001.p/44" { // the edge of the old tree
		return c.old.get(c.t.Context(), path[1:])
	}
	return c.new.get(c.t.Context(), path[1:])
}
