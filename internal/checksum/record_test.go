package checksum

import (
	"bytes"
	"crypto/rand"
	"errors"
	"strings"
	"testing"

	"golang.org/x/mod/module"
	"golang.org/x/mod/sumdb/note"
)

const (
	publicKey    = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
	recordedNote = "sumdb/sum.golang.org/lookup/rsc.io/quote@v1.5.2"
)

func TestRecordOfThePublicDatabase(t *testing.T) {
	r, err := ParseRecord(recorded(t, recordedNote), quote, publicKey)
	if err != nil {
		t.Fatal(err)
	}
	if r.ID != 942 || r.Tree.N != 51929436 || r.Tree.Hash.String() != "mQw+jf8Ko94JweSoG8190LvpV8myM/RNeAJ9TYKnia8=" ||
		r.Zip != "h1:w5fcysjrx7yqtD/aO+QwRjYZOKnaM9Uh2b40tElTs3Y=" || r.GoMod != "h1:LzX7hefJvL54yjefDEDHNONDjII0t9xZLPXsUe+TKr0=" {
		t.Errorf("got %+v", r)
	}
}

func TestRecordsThatProveNothing(t *testing.T) {
	good := string(recorded(t, recordedNote))
	skey, vkey, err := note.GenerateKey(rand.Reader, "sumdb.example.com")
	if err != nil {
		t.Fatal(err)
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		t.Fatal(err)
	}
	sign := func(record, tree string) string {
		msg, err := note.Sign(&note.Note{Text: tree}, signer)
		if err != nil {
			t.Fatal(err)
		}
		return record + "\n" + string(msg)
	}
	const (
		lines = "rsc.io/quote v1.5.2 h1:zip\nrsc.io/quote v1.5.2/go.mod h1:mod\n"
		tree  = "go.sum database tree\n10\nmQw+jf8Ko94JweSoG8190LvpV8myM/RNeAJ9TYKnia8=\n"
	)
	for _, tt := range []struct {
		name, data, key string
		module          module.Version
		want            RecordFault // "": good
	}{
		{"good", sign("9\n"+lines, tree), vkey, quote, ""},
		{"two signatures, one of them known", good + "— other.example.com Az3grkpNqcZOcvUPGEii+HGw4Omo/J/g+pjjn1+rGRhg6mVhwZBlloAIY+YYfBmHnOZbau4dxH0uzFPHVnZnnD3Sfg4=\n", publicKey, quote, ""},
		{"nothing", "", publicKey, quote, Malformed},
		{"a captive portal", "<!DOCTYPE html>\n\n<p>", publicKey, quote, Malformed},
		{"half of it", good[:len(good)/2], publicKey, quote, Malformed},
		{"without its tree", sign("9\n"+lines, "a signed text of another kind\n"), vkey, quote, Malformed},
		{"another database's key", good, vkey, quote, Unsigned},
		{"no signature", good[:strings.Index(good, "— ")], publicKey, quote, Malformed},
		{"another tree under the signature", strings.Replace(good, "51929436", "51929437", 1), publicKey, quote, BadSignature},
		{"another module's record", good, publicKey, sampler, OtherModule},
		{"only one of the lines", sign("9\nrsc.io/quote v1.5.2 h1:zip\n", tree), vkey, quote, OtherModule},
		{"hashes of an unknown algorithm", sign("9\n"+strings.ReplaceAll(lines, "h1:", "h2:"), tree), vkey, quote, OtherModule},
		{"newer than its tree", sign("10\n"+lines, tree), vkey, quote, OutsideTree},
		{"a negative number", sign("-1\n"+lines, tree), vkey, quote, OutsideTree},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := ParseRecord([]byte(tt.data), tt.module, tt.key)
			if tt.want == "" {
				if err != nil || r.Zip == "" || r.GoMod == "" {
					t.Errorf("got %+v, %v", r, err)
				}
				return
			}
			e, ok := errors.AsType[*RecordError](err)
			if !ok || e.Fault != tt.want || e.Module != tt.module || e.Err == nil {
				t.Errorf("got %+v, %v; want %q", r, err, tt.want)
			}
		})
	}
}

func TestRecordErrorSaysWhatAndWhere(t *testing.T) {
	_, err := ParseRecord([]byte("<html>"), quote, publicKey)
	const want = `rsc.io/quote@v1.5.2: record of checksum database sum.golang.org: malformed record data: it begins "<html>"`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if _, err := ParseRecord(nil, quote, "sum.golang.org"); err == nil || !strings.Contains(err.Error(), `verifier key "sum.golang.org"`) {
		t.Errorf("a bad key: %v", err)
	}
}

// No change of the recorded answer brings a tree that the database has not
// signed, nor a hash that the answer does not hold.
func FuzzParseRecord(f *testing.F) {
	good := recorded(f, recordedNote)
	f.Add(good)
	f.Add(bytes.Replace(good, []byte("942\n"), []byte("51929436\n"), 1))
	f.Add(bytes.Replace(good, []byte("51929436"), []byte("051929436"), 1))
	f.Add(append(good[:len(good):len(good)], good...))
	f.Add([]byte("<html>\n\n"))
	want, err := ParseRecord(good, quote, publicKey)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := ParseRecord(data, quote, publicKey)
		if err != nil {
			if _, ok := errors.AsType[*RecordError](err); !ok {
				t.Errorf("error is a %T: %v", err, err)
			}
			return
		}
		if r.Tree != want.Tree {
			t.Errorf("accepted tree %v; the database signed %v", r.Tree, want.Tree)
		}
		if r.ID < 0 || r.ID >= r.Tree.N || !bytes.Contains(data, []byte(r.Zip)) || !bytes.Contains(data, []byte(r.GoMod)) {
			t.Errorf("accepted %+v", r)
		}
	})
}
