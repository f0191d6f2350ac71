package accept

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
	"golang.org/x/mod/zip"

	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/modproxy"
)

// zipSum returns the h1 hash of a zip that the go command can unpack. The hash
// comes first: it bounds the directory, of which [zip.CheckZip] would hold any
// number of entries in memory.
func zipSum(f modproxy.File, b Body) (string, error) {
	sum, err := checksum.HashZip(b, b.Size)
	if err == nil {
		var checked zip.CheckedFiles
		if checked, err = zip.CheckZip(module.Version{Path: f.Path, Version: f.Version}, b.Path); err == nil {
			err = checked.Err()
		}
	}
	if err != nil {
		return "", fmt.Errorf("no zip of this module: %w", err)
	}
	return sum, nil
}

// maxWords bounds the words of a .mod, each of which costs some hundred bytes
// of memory when it is parsed. The longest files that there are have ten thousand.
const maxWords = 1 << 18

// checkMod wants what the go command needs of a .mod: it reads HTML and nothing
// at all as a file without a module line, and keeps that.
func checkMod(data []byte) error {
	if modfile.ModulePath(data) == "" {
		return fmt.Errorf("no go.mod: it has no module line, and begins %q", modproxy.Excerpt(data))
	}
	words := 0
	for _, c := range data {
		if strings.IndexByte(" \t\r\n()[],", c) >= 0 {
			words++
		}
	}
	if words > maxWords {
		return fmt.Errorf("no go.mod: more than %d words", maxWords)
	}
	file, err := modfile.ParseLax("go.mod", data, nil)
	if err != nil {
		return fmt.Errorf("no go.mod: %w", err)
	}
	if file.Module == nil {
		return fmt.Errorf("no go.mod: its module line names no module, and it begins %q", modproxy.Excerpt(data))
	}
	return nil
}

// An info is what the go command reads of an .info.
type info struct {
	Version string
	Time    time.Time
}

func checkInfo(f modproxy.File, data []byte) error {
	var i info
	if err := json.Unmarshal(data, &i); err != nil {
		return fmt.Errorf("no .info: %w; it begins %q", err, modproxy.Excerpt(data))
	}
	switch {
	case f.Canonical() && i.Version != f.Version:
		return fmt.Errorf("an .info of version %q instead of %q", modproxy.Excerpt([]byte(i.Version)), f.Version)
	case i.Version != module.CanonicalVersion(i.Version) || i.Version == "":
		return fmt.Errorf("no .info: its version %q is not canonical", modproxy.Excerpt([]byte(i.Version)))
	}
	return module.Check(f.Path, i.Version)
}

var errUnframed = errors.New("a file whose end cannot be told from a cut connection, and whose hash nobody knows")

// checkList wants versions, one a line: the go command reads HTML as a list
// without versions, and goes on with what it has.
func checkList(data []byte, framed bool) error {
	if !framed {
		return errUnframed
	}
	for line := range bytes.Lines(data) {
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			continue
		}
		// As the go command: what stands behind the version does not matter.
		version, _, _ := strings.Cut(string(line), " ")
		if !semver.IsValid(version) {
			return fmt.Errorf("no list of versions: a line %q", modproxy.Excerpt(line))
		}
	}
	return nil
}
