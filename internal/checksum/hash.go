// Package checksum knows what vouches for module files: h1 hashes, go.sum
// lines, and the signed records of a checksum database.
//
// It works on bytes: it opens no file and no connection. Whatever it reads may
// be hostile, so time and memory are bounded by the limits that the go command
// sets for module zips.
package checksum

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/mod/sumdb/dirhash"
	modzip "golang.org/x/mod/zip"
)

// maxDirectory bounds the bytes of a zip's central directory, 46 and a name for
// each file, since each costs several times that in memory: room for 200,000
// files with names of usual length.
const maxDirectory = 32 << 20

// ErrTooLarge means that a zip breaks a limit of module zips: 500 MiB packed or
// unpacked, or more files than any module has.
var ErrTooLarge = errors.New("too large for a module zip")

// HashZip returns the h1 hash of the zip that is the first size bytes of r, as
// [dirhash.HashZip] does, which cmd/go writes to go.sum. It reads on all cores at
// once.
//
// The error is [zip.ErrFormat] for what is no zip, [ErrTooLarge], an error of
// the decompression for a zip whose bytes have changed, or an error of r. A zip
// with two files of one name, which go refuses to unpack, is an error too.
func HashZip(r io.ReaderAt, size int64) (string, error) {
	if size > modzip.MaxZipFile {
		return "", fmt.Errorf("%w: %d bytes; the limit is %d", ErrTooLarge, size, int64(modzip.MaxZipFile))
	}
	meter := &meter{r: r, left: maxDirectory}
	z, err := zip.NewReader(meter, size)
	if err != nil {
		return "", err
	}
	meter.left = -1 // from here on the files' own sizes are the limit
	names := make([]string, 0, len(z.File))
	files := make(map[string]*zip.File, len(z.File))
	room := uint64(modzip.MaxZipFile)
	for _, f := range z.File {
		if files[f.Name] != nil {
			return "", fmt.Errorf("two files named %q in the zip", f.Name)
		}
		if f.UncompressedSize64 > room {
			return "", fmt.Errorf("%w: more than %d bytes unpacked", ErrTooLarge, int64(modzip.MaxZipFile))
		}
		room -= f.UncompressedSize64 // the zip reader sees that a file is no longer than it says
		names = append(names, f.Name)
		files[f.Name] = f
	}
	slices.Sort(names)
	sums := make([][sha256.Size]byte, len(names))
	if err := each(len(names), func(i int) (err error) {
		sums[i], err = sumOf(files[names[i]])
		return err
	}); err != nil {
		return "", err
	}
	// What follows, and the order of names, is dirhash.Hash1.
	h := sha256.New()
	for i, name := range names {
		fmt.Fprintf(h, "%x  %s\n", sums[i], name)
	}
	return "h1:" + base64.StdEncoding.EncodeToString(h.Sum(nil)), nil
}

func sumOf(f *zip.File) (sum [sha256.Size]byte, err error) {
	if strings.Contains(f.Name, "\n") {
		return sum, fmt.Errorf("a file named %q in the zip", f.Name)
	}
	r, err := f.Open()
	if err != nil {
		return sum, err
	}
	defer r.Close()
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return sum, err
	}
	return [sha256.Size]byte(h.Sum(nil)), nil
}

// each calls do for 0 … n-1, on all cores, until one fails.
func each(n int, do func(int) error) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for range min(n, runtime.GOMAXPROCS(0)) {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && failed.Load() == nil; i = int(next.Add(1)) - 1 {
				if err := do(i); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// HashGoMod returns the h1 hash of a go.mod file: that of a directory with
// nothing else in it.
func HashGoMod(gomod []byte) string {
	h, err := dirhash.Hash1([]string{"go.mod"}, func(string) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(gomod)), nil
	})
	if err != nil {
		panic(err) // a constant name, bytes in memory
	}
	return h
}

// A meter fails reads once more than left bytes were read; it does not count
// while left is negative.
type meter struct {
	r    io.ReaderAt
	left int
}

func (m *meter) ReadAt(p []byte, off int64) (int, error) {
	if m.left >= 0 {
		if m.left -= len(p); m.left < 0 {
			m.left = 0
			return 0, fmt.Errorf("%w: a directory of more than %d bytes", ErrTooLarge, maxDirectory)
		}
	}
	return m.r.ReadAt(p, off)
}

// A MismatchError says that bytes are well-formed and not those that somebody
// vouches for. Either they were changed on the way, or the version was.
type MismatchError struct {
	File string // "rsc.io/quote@v1.5.2", with "/go.mod" for the .mod file
	Got  string // h1 hash of the bytes
	Want string // h1 hash that is vouched for
	By   string // who vouches: "go.sum", a checksum database, "pin"
	Next string // what to do about it, "" if nobody knows
}

func (e *MismatchError) Error() string {
	text := fmt.Sprintf("verifying %s: checksum mismatch: downloaded %s, %s has %s", e.File, e.Got, e.By, e.Want)
	if e.Next != "" {
		text += "; " + e.Next
	}
	return text
}
