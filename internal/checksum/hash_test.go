package checksum

import (
	"archive/zip"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/dirhash"
)

// recorded returns a file as a public proxy served it.
func recorded(tb testing.TB, name string) []byte {
	tb.Helper()
	data, err := os.ReadFile(filepath.Join("..", "proxytest", "testdata", "public", filepath.FromSlash(name)))
	if err != nil {
		tb.Fatal(err)
	}
	return data
}

// The well-known hashes of public modules, as in the public checksum database.
func TestHashesOfPublicModules(t *testing.T) {
	for _, tt := range []struct{ file, zip, goMod string }{
		{"rsc.io/quote/@v/v1.5.2", "h1:w5fcysjrx7yqtD/aO+QwRjYZOKnaM9Uh2b40tElTs3Y=", "h1:LzX7hefJvL54yjefDEDHNONDjII0t9xZLPXsUe+TKr0="},
		{"rsc.io/quote/@v/v1.0.0", "h1:haUSojyo3j2M9g7CEUFG8Na09dtn7QKxvPGaPVQdGwM=", "h1:v83Ri/njykPcgJltBc/gEkJTmjTsNgtO1Y7vyIK1CQA="},
		{"github.com/inconshreveable/mousetrap/@v/v1.0.0", "h1:Z8tu5sraLXCXIcARxBp/8cbvlwVa7Z1NHg9XEKhtSvM=", "h1:PxqpIevigyE2G7u3NXJIT2ANytuPF1OarO4DADm73n8="},
		{"github.com/hashicorp/errwrap/@v/v1.0.0", "h1:hLrqtEDnRye3+sgx6z4qVLNuviH3MR5aQ0ykNJa/UYA=", "h1:YH+1FKiLXxHSkmPseP+kNlulaMuP3n2brvKWEqk/Jc4="},
		{"golang.org/x/time/@v/v0.1.0", "h1:xYY+Bajn2a7VBmTM5GikTmnK8ZuX8YgnQCqZpbBNtmA=", "h1:tRJNPiyCQ0inRvYxbN9jk5I+vvW/OXSQhTDSoE431IQ="},
		{"github.com/!burnt!sushi/toml/@v/v0.3.1", "h1:WXkYYl6Yr3qBf1K79EBnL4mak0OimBfB0XUf9Vl28OQ=", "h1:xHWCNGjB5oqiDr8zfno3MHue2Ht5sIBksp03qcyfWMU="},
	} {
		data := recorded(t, tt.file+".zip")
		if got, err := HashZip(bytes.NewReader(data), int64(len(data))); got != tt.zip || err != nil {
			t.Errorf("%s.zip: %s, %v; want %s", tt.file, got, err, tt.zip)
		}
		if got := HashGoMod(recorded(t, tt.file+".mod")); got != tt.goMod {
			t.Errorf("%s.mod: %s; want %s", tt.file, got, tt.goMod)
		}
	}
}

// makeZip makes a zip of the files, "name=content".
func makeZip(tb testing.TB, files ...string) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, f := range files {
		name, content, _ := strings.Cut(f, "=")
		fw, err := w.Create(name)
		if err != nil {
			tb.Fatal(err)
		}
		io.WriteString(fw, content)
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestHashZipRefuses(t *testing.T) {
	quote := recorded(t, "rsc.io/quote/@v/v1.5.2.zip")
	flipped := bytes.Clone(quote)
	flipped[100] ^= 1 // in the compressed data of the first file
	for _, tt := range []struct {
		name string
		data []byte
		want error // nil: any
	}{
		{"nothing", nil, zip.ErrFormat},
		{"HTML", []byte("<!DOCTYPE html>"), zip.ErrFormat},
		{"half a zip", quote[:len(quote)/2], zip.ErrFormat},
		{"a flipped bit", flipped, nil},
		{"two files of one name", makeZip(t, "m@v1.0.0/a=1", "m@v1.0.0/a=2"), nil},
		{"a line break in a name", makeZip(t, "m@v1.0.0/a\nb=1"), nil},
	} {
		got, err := HashZip(bytes.NewReader(tt.data), int64(len(tt.data)))
		if err == nil || tt.want != nil && !errors.Is(err, tt.want) {
			t.Errorf("%s: got %q, %v; want %v", tt.name, got, err, tt.want)
		}
	}
}

// claim makes a zip of empty files whose directory claims another unpacked size
// for each, and whose names have the length given.
func claim(tb testing.TB, size uint64, files, nameLen int) []byte {
	tb.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := range files {
		number := strconv.Itoa(i)
		name := strings.Repeat("0", max(nameLen-len(number), 0)) + number
		if _, err := w.CreateRaw(&zip.FileHeader{Name: name, UncompressedSize64: size}); err != nil {
			tb.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func TestHashZipIsBounded(t *testing.T) {
	bomb, pair, overflow := claim(t, 500<<20+1, 1, 1), claim(t, 300<<20, 2, 1), claim(t, 1<<63, 2, 1)
	names := claim(t, 0, 1+maxDirectory/65535, 65535)
	for _, tt := range []struct {
		name string
		data []byte
		size int64
	}{
		{"packed", nil, 500<<20 + 1},
		{"unpacked", bomb, int64(len(bomb))},
		{"unpacked, two files", pair, int64(len(pair))},
		{"unpacked, a sum that overflows", overflow, int64(len(overflow))},
		{"the directory", names, int64(len(names))},
	} {
		if got, err := HashZip(bytes.NewReader(tt.data), tt.size); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: got %q, %v; want ErrTooLarge", tt.name, got, err)
		}
	}
}

// What HashZip accepts, dirhash accepts with the same hash.
func FuzzHashZip(f *testing.F) {
	f.Add(recorded(f, "rsc.io/quote/@v/v1.5.2.zip"))
	f.Add(makeZip(f, "m@v1.0.0/b=2", "m@v1.0.0/a=1", "dir/="))
	f.Add(makeZip(f, "a=1", "a=2"))
	f.Add(makeZip(f))
	f.Add([]byte("<html>"))
	file := filepath.Join(f.TempDir(), "m.zip")
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := HashZip(bytes.NewReader(data), int64(len(data)))
		if err != nil {
			return
		}
		if err := os.WriteFile(file, data, 0o666); err != nil {
			t.Fatal(err)
		}
		if want, err := dirhash.HashZip(file, dirhash.Hash1); got != want {
			t.Errorf("HashZip = %q; dirhash.HashZip = %q, %v", got, want, err)
		}
	})
}

func BenchmarkHashZip(b *testing.B) {
	data := recorded(b, "github.com/!burnt!sushi/toml/@v/v0.3.1.zip")
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := HashZip(bytes.NewReader(data), int64(len(data))); err != nil {
			b.Fatal(err)
		}
	}
}
