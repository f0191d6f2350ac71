package accept

import (
	"archive/zip"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
	modzip "golang.org/x/mod/zip"

	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/modproxy"
)

var (
	quote     = module.Version{Path: "example.com/quote", Version: "v1.5.2"}
	quoteInfo = modproxy.File{Path: quote.Path, Version: quote.Version, Kind: modproxy.Info}
	quoteMod  = modproxy.File{Path: quote.Path, Version: quote.Version, Kind: modproxy.Mod}
	quoteZip  = modproxy.File{Path: quote.Path, Version: quote.Version, Kind: modproxy.Zip}
	quoteList = modproxy.File{Path: quote.Path, Kind: modproxy.List}
)

// zipOf returns a zip with files of the names given, each below the module's
// prefix unless it begins with "/".
func zipOf(t testing.TB, names ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range names {
		full, absolute := strings.CutPrefix(name, "/")
		if !absolute {
			full = quote.Path + "@" + quote.Version + "/" + name
		}
		f, err := w.Create(full)
		if err != nil {
			t.Fatal(err)
		}
		f.Write([]byte("module example.com/quote\n"))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// judge judges data, which is on disk as the store has it.
func judge(t testing.TB, v *Vouchers, f modproxy.File, data []byte) (store.Meta, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "spool")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return v.File(context.Background(), f, Body{bytes.NewReader(data), int64(len(data)), true, file})
}

func TestForms(t *testing.T) {
	good := zipOf(t, "go.mod", "quote.go")
	flipped := bytes.Clone(good)
	flipped[len(flipped)/4] ^= 1
	for _, tt := range []struct {
		name string
		file modproxy.File
		data string
		err  string // contained; "" if it is accepted
	}{
		{"info", quoteInfo, `{"Version":"v1.5.2","Time":"2018-02-14T15:44:20Z"}`, ""},
		{"info with more", quoteInfo, `{"Version":"v1.5.2","Time":"2018-02-14T15:44:20Z","Origin":{"VCS":"git"}}`, ""},
		{"info of another version", quoteInfo, `{"Version":"v1.5.3"}`, `"v1.5.3" instead of "v1.5.2"`},
		{"info without a version", quoteInfo, `{}`, `instead of`},
		{"info with a bad time", quoteInfo, `{"Version":"v1.5.2","Time":"yesterday"}`, "no .info"},
		{"HTML as info", quoteInfo, "<html>", "no .info"},
		{"empty info", quoteInfo, "", "no .info"},
		{"info of a branch", modproxy.File{Path: quote.Path, Version: "main", Kind: modproxy.Info}, `{"Version":"v0.0.0-20180214154420-c4d4236f9242"}`, ""},
		{"info of a branch without one", modproxy.File{Path: quote.Path, Version: "main", Kind: modproxy.Info}, `{"Version":"main"}`, "not canonical"},
		{"latest", modproxy.File{Path: quote.Path, Kind: modproxy.Latest}, `{"Version":"v1.5.2"}`, ""},
		{"latest that does not fit the path", modproxy.File{Path: quote.Path, Kind: modproxy.Latest}, `{"Version":"v2.0.0"}`, "v2.0.0"},
		{"mod", quoteMod, "module example.com/quote\n", ""},
		{"mod of another path", quoteMod, "module example.com/Quote // was renamed\n", ""},
		{"HTML as mod", quoteMod, "<!DOCTYPE html>", "no module line"},
		{"empty mod", quoteMod, "", "no module line"},
		{"mod without a name", quoteMod, "module ()\n", "names no module"},
		{"broken mod", quoteMod, "module example.com/quote\nrequire (\n", "no go.mod"},
		{"list", quoteList, "v1.5.2\nv1.5.1\n", ""},
		{"list with times", quoteList, "v1.5.2 2018-02-14T15:44:20Z\n", ""},
		{"empty list", quoteList, "", ""},
		{"HTML as list", quoteList, "<html>\n", "no list of versions"},
		{"text as list", quoteList, "v1.5.2\nnot found\n", "no list of versions"},
		{"zip", quoteZip, string(good), ""},
		{"zip of another module", quoteZip, string(zipOf(t, "/example.com/other@v1.5.2/go.mod")), "does not have prefix"},
		{"zip that climbs out", quoteZip, string(zipOf(t, "../../x")), "no zip of this module"},
		{"zip with two spellings", quoteZip, string(zipOf(t, "a.go", "A.go")), "collision"},
		{"cut zip", quoteZip, string(good[:len(good)/2]), "no zip of this module"},
		{"corrupt zip", quoteZip, string(flipped), ""}, // see below
		{"HTML as zip", quoteZip, "<html>", "not a valid zip file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := judge(t, &Vouchers{}, tt.file, []byte(tt.data))
			if tt.name == "corrupt zip" {
				if err == nil {
					t.Error("accepted")
				}
				return
			}
			if tt.err == "" && err != nil || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
				t.Errorf("got %v; want %q", err, tt.err)
			}
		})
	}
}

// What may have been cut off is taken if somebody knows its hash, and not
// pinned.
func TestUnframed(t *testing.T) {
	const mod = "module example.com/quote\n"
	pins := &Vouchers{Pin: func(key, h1 string) (string, error) {
		t.Errorf("%s is pinned", key)
		return h1, nil
	}}
	knows := &Vouchers{Sums: func(context.Context, module.Version) (string, string, string, error) {
		return "", checksum.HashGoMod([]byte(mod)), "the database", nil
	}}
	for _, tt := range []struct {
		file modproxy.File
		data string
		v    *Vouchers
		want error
	}{
		{quoteList, "v1.5.2\n", knows, errUnframed},
		{quoteMod, mod, &Vouchers{}, errUnframed},
		{quoteMod, mod, pins, errUnframed},
		{quoteMod, mod, knows, nil},
		{quoteInfo, `{"Version":"v1.5.2"}`, &Vouchers{}, nil},
	} {
		if _, err := tt.v.File(t.Context(), tt.file, Body{strings.NewReader(tt.data), int64(len(tt.data)), false, ""}); err != tt.want {
			t.Errorf("%s: %v; want %v", tt.file.Kind, err, tt.want)
		}
	}
}

// What stands in a folder is judged like what comes from a proxy.
func TestImported(t *testing.T) {
	cache := t.TempDir()
	good := zipOf(t, "go.mod", "quote.go")
	for name, text := range map[string]string{
		"v1.5.2.info": `{"Version":"v1.5.2"}`, "v1.5.2.mod": "module example.com/quote\n", "v1.5.2.zip": string(good), // good
		"v1.0.0.info": `{"Version":"v9.9.9"}`, "v1.0.1.info": "null", "main.info": `{"Version":"v1.0.0"}`, "v2.0.0.info": `{"Version":"v2.0.0"}`,
		"v1.0.0.mod": "<html>", "v1.0.1.mod": "module example.com/quote // other bytes than go.sum has\n", "v1.0.0.zip": string(good), // of v1.5.2
	} {
		file := filepath.Join(cache, "cache/download/example.com/quote/@v", name)
		os.MkdirAll(filepath.Dir(file), 0o755)
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	sums, err := checksum.ParseGoSum("go.sum", []byte("example.com/quote v1.0.1/go.mod h1:other\n"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	refused := map[string]bool{}
	n, err := s.Import(t.Context(), cache, Imported(t.Context(), sums), func(p store.Problem) { refused[filepath.Base(p.Key)] = true })
	if err != nil || n != (store.Imported{Files: 3, Refused: 7}) || refused["v1.5.2.zip"] || len(refused) != 7 {
		t.Errorf("Import = %+v, %v; refused %v", n, err, refused)
	}
	e, err := s.Get("example.com/quote/@v/v1.5.2.zip")
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	if e.Grade != store.Unvouched || e.Source != store.Imports || e.Sum == "" {
		t.Errorf("%+v", e.Meta)
	}
}

// What would take gigabytes to look at is refused before.
func TestHostileSizes(t *testing.T) {
	header := append([]byte("PK\x01\x02"), make([]byte, 42)...) // of a file without a name
	directory := bytes.Repeat(header, 40<<20/len(header))
	end := binary.LittleEndian.AppendUint32([]byte("PK\x05\x06\x00\x00\x00\x00\xff\xff\xff\xff"), uint32(len(directory)))
	bomb := append(directory, append(end, make([]byte, 6)...)...)
	if _, err := judge(t, &Vouchers{}, quoteZip, bomb); !errors.Is(err, checksum.ErrTooLarge) {
		t.Errorf("a directory of 40 MB: %v; want ErrTooLarge", err)
	}
	for name, word := range map[string]string{"lines": "x\n", "words": "x ", "brackets": "("} {
		if _, err := judge(t, &Vouchers{}, quoteMod, []byte("module example.com/quote\n"+strings.Repeat(word, maxWords+1))); err == nil || !strings.Contains(err.Error(), "more than") {
			t.Errorf("a .mod of too many %s: %.200v", name, err)
		}
	}
}

// What is accepted as an .info is one for the go command, of this version.
func FuzzInfo(f *testing.F) {
	f.Add([]byte(`{"Version":"v1.5.2","Time":"2018-02-14T15:44:20Z"}`))
	f.Add([]byte(`{"version":"v1.5.2"} x`))
	f.Add([]byte("<html>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if checkInfo(quoteInfo, data) != nil {
			return
		}
		var got struct {
			Version string
			Time    time.Time
		}
		if err := json.Unmarshal(data, &got); err != nil || got.Version != quote.Version {
			t.Errorf("accepted %q: %+v, %v", data, got, err)
		}
	})
}

// What is accepted as a .mod has a module line for the go command.
func FuzzMod(f *testing.F) {
	f.Add([]byte("module example.com/quote\n\ngo 1.26\n"))
	f.Add([]byte("// comment\nmodule \"a\"\nrequire b v1.0.0"))
	f.Add([]byte("<html>"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if checkMod(data) != nil {
			return
		}
		if file, err := modfile.ParseLax("go.mod", data, nil); err != nil || file.Module == nil {
			t.Errorf("accepted %q: %v", data, err)
		}
	})
}

// What is accepted as a list has nothing in it that the go command skips.
func FuzzList(f *testing.F) {
	f.Add([]byte("v1.5.2\nv1.5.1 2018-02-14T15:44:20Z\n\n"))
	f.Add([]byte("<html>\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		if checkList(data, true) != nil {
			return
		}
		for line := range strings.SplitSeq(string(data), "\n") {
			if fields := strings.Fields(line); len(fields) > 0 && !semver.IsValid(fields[0]) {
				t.Errorf("accepted %q", line)
			}
		}
	})
}

// What is accepted as a zip the go command unpacks.
func FuzzZip(f *testing.F) {
	f.Add(zipOf(f, "go.mod", "quote.go"))
	f.Add(zipOf(f, "a/b/c.go"))
	f.Add([]byte("PK\x05\x06" + strings.Repeat("\x00", 18)))
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, err := judge(t, &Vouchers{}, quoteZip, data); err != nil {
			return
		}
		file := filepath.Join(t.TempDir(), "zip")
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := modzip.Unzip(filepath.Join(t.TempDir(), "out"), quote, file); err != nil {
			t.Errorf("accepted, and go says %v", err)
		}
	})
}
