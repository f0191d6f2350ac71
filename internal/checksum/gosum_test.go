package checksum

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/module"
)

var (
	quote   = module.Version{Path: "rsc.io/quote", Version: "v1.5.2"}
	sampler = module.Version{Path: "rsc.io/sampler", Version: "v1.3.0"}
)

func TestGoSumTolerance(t *testing.T) {
	for _, tt := range []struct {
		name, file        string
		sums              int
		quoteZip, quoteMo string
	}{
		{"nothing", "", 0, "", ""},
		{"both lines", "rsc.io/quote v1.5.2 h1:zip\nrsc.io/quote v1.5.2/go.mod h1:mod\n", 2, "h1:zip", "h1:mod"},
		{"only the .mod line", "rsc.io/quote v1.5.2/go.mod h1:mod\n", 1, "", "h1:mod"},
		{"no last newline, CRLF, blanks, tabs", "\r\n \n rsc.io/quote\tv1.5.2  h1:zip \r\nrsc.io/quote v1.5.2/go.mod h1:mod", 2, "h1:zip", "h1:mod"},
		{"the first of contradicting lines", "rsc.io/quote v1.5.2 h1:first\nrsc.io/quote v1.5.2 h1:second\n", 2, "h1:first", ""},
		{"an unknown algorithm", "rsc.io/quote v1.5.2 h9:new\nrsc.io/quote v1.5.2 h1:zip\n", 2, "h1:zip", ""},
		{"the hash of an empty go.mod", "rsc.io/quote v1.5.2/go.mod h1:G7mAYYxgmS0lVkHyy2hEOLQCFB0DlQFTMLWggykrydY=\n", 0, "", ""},
		{"another version", "rsc.io/quote v1.5.1 h1:zip\nrsc.io/sampler v1.5.2 h1:zip\n", 2, "", ""},
		{"what is no version", "a b c\n", 1, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, err := ParseGoSum("go.sum", []byte(tt.file))
			if err != nil {
				t.Fatal(err)
			}
			if len(g.Sums) != tt.sums || g.Zip(quote) != tt.quoteZip || g.GoMod(quote) != tt.quoteMo {
				t.Errorf("got %v, zip %q, go.mod %q", g.Sums, g.Zip(quote), g.GoMod(quote))
			}
		})
	}
	var zero GoSum
	if zero.Zip(quote) != "" {
		t.Error("the zero value is not empty")
	}
}

func TestGoSumErrorsHavePositions(t *testing.T) {
	file := "rsc.io/quote v1.5.2 h1:zip\n<<<<<<< HEAD\n\nrsc.io/sampler v1.3.0 h1:a b\n=======\nrsc.io/quote v1.5.2/go.mod h1:mod\n"
	_, err := ParseGoSum("sub/go.sum", []byte(file))
	const want = `sub/go.sum:2: 2 fields; a line is: module version hash
sub/go.sum:4: 4 fields; a line is: module version hash
sub/go.sum:5: 1 fields; a line is: module version hash`
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
	if e, ok := errors.AsType[*LineError](err); !ok || e.Line != 2 {
		t.Errorf("got %v; want the first line's error", e)
	}
}

func TestSumsKeepTheirPlace(t *testing.T) {
	g, err := ParseGoSum("go.sum", []byte("\nrsc.io/quote v1.5.2/go.mod h1:mod\n\nrsc.io/sampler v1.3.0 h1:zip\n"))
	want := []Sum{{quote, true, "h1:mod", 2}, {sampler, false, "h1:zip", 4}}
	if err != nil || !slices.Equal(g.Sums, want) {
		t.Errorf("got %v, %v; want %v", g.Sums, err, want)
	}
}

// The accepted lines, written again, parse into the same; and a lookup finds
// what a search as in the go command finds.
func FuzzParseGoSum(f *testing.F) {
	f.Add("rsc.io/quote v1.5.2 h1:zip\nrsc.io/quote v1.5.2/go.mod h1:mod\n")
	f.Add("a b/go.mod/go.mod h1:c\r\n\n\va b h1:d\na b h1:e")
	f.Add("a b h1:G7mAYYxgmS0lVkHyy2hEOLQCFB0DlQFTMLWggykrydY=\n")
	f.Add("<<<<<<< HEAD\n")
	f.Fuzz(func(t *testing.T, file string) {
		g, err := ParseGoSum("go.sum", []byte(file))
		if err != nil {
			return
		}
		var lines []string
		for _, s := range g.Sums {
			lines = append(lines, s.String())
		}
		again, err := ParseGoSum("go.sum", []byte(strings.Join(lines, "\n")))
		if err != nil || len(again.Sums) != len(g.Sums) {
			t.Fatalf("%q: %v; again %v, %v", file, g.Sums, again, err)
		}
		for i, s := range g.Sums {
			if r := again.Sums[i]; r.Module != s.Module || r.GoMod != s.GoMod || r.Hash != s.Hash {
				t.Errorf("%v became %v", s, r)
			}
			first := slices.IndexFunc(g.Sums, func(o Sum) bool {
				return o.Module == s.Module && o.GoMod == s.GoMod && strings.HasPrefix(o.Hash, "h1:")
			})
			want := ""
			if first >= 0 {
				want = g.Sums[first].Hash
			}
			if got := map[bool]string{false: g.Zip(s.Module), true: g.GoMod(s.Module)}[s.GoMod]; got != want {
				t.Errorf("lookup of %v: %q; want %q", s, got, want)
			}
		}
	})
}
