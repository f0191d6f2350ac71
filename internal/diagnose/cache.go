package diagnose

import (
	"archive/zip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/files"
	"github.com/org/goproxy-setup/internal/report"
)

// Limits of looking through the module cache.
const (
	scanTime   = 4 * time.Second
	scanFiles  = 100_000 // files whose form is checked
	sizeFiles  = 500_000 // files whose size is added up
	sizeTime   = 3 * time.Second
	maxDotMod  = 16 << 20 // bytes, as go has it
	maxDotInfo = 1 << 20
	tooMany    = 20 // findings of a kind that are listed one by one

	lowDisk  = 1 << 30   // room for a toolchain and a few big zips, in bytes
	fullDisk = 100 << 20 // not enough for one toolchain
)

// A cacheScan is what looking through the module cache found.
type cacheScan struct {
	dir     string // GOMODCACHE
	seen    int    // files checked
	cut     string // why not all were, "" if they were
	none    bool   // there is no module cache yet
	mods    []bad
	zips    []bad
	infos   []bad
	started time.Time
}

// A bad file is one in the module cache that no healthy proxy sends.
type bad struct {
	file string // below the download cache, slash-separated
	why  string
}

// scan looks through the download cache once, for the checks of its three
// kinds of files. It opens every .mod and .info and the directory of every zip;
// hashing them is the work of "go mod verify".
func (m *Machine) scan(ctx context.Context) cacheScan {
	m.once.poison.Do(func() {
		s := cacheScan{dir: m.goVariable("GOMODCACHE"), started: time.Now()}
		if s.dir == "" || !filepath.IsAbs(s.dir) {
			s.none = true
			m.cache = s
			return
		}
		root, err := os.OpenRoot(filepath.Join(s.dir, "cache", "download"))
		if err != nil {
			s.none = true
			m.cache = s
			return
		}
		defer root.Close()
		ctx, cancel := context.WithTimeout(ctx, scanTime)
		defer cancel()
		s.walk(ctx, root)
		m.cache = s
	})
	return m.cache
}

func (s *cacheScan) walk(ctx context.Context, root *os.Root) {
	fs.WalkDir(root.FS(), ".", func(file string, d fs.DirEntry, err error) error {
		switch {
		case ctx.Err() != nil:
			s.cut = fmt.Sprintf("the time for it was over after %d files", s.seen)
			return fs.SkipAll
		case s.seen >= scanFiles:
			s.cut = fmt.Sprintf("only the first %d files were looked at", s.seen)
			return fs.SkipAll
		case err != nil:
			return nil // what cannot be read is another check's
		case d.IsDir() && file == "sumdb":
			return fs.SkipDir
		case !d.Type().IsRegular() || path.Base(path.Dir(file)) != "@v":
			return nil
		}
		why := ""
		switch path.Ext(file) {
		case ".mod":
			if why = badMod(root, file); why != "" {
				s.mods = append(s.mods, bad{file, why})
			}
		case ".info":
			if why = badInfo(root, file); why != "" {
				s.infos = append(s.infos, bad{file, why})
			}
		case ".zip":
			if why = badZip(root, file); why != "" {
				s.zips = append(s.zips, bad{file, why})
			}
		default:
			return nil
		}
		s.seen++
		return nil
	})
}

// excerpt shows how bad content begins.
func excerpt(data []byte) string {
	if len(strings.TrimSpace(string(data))) == 0 {
		return "it is empty"
	}
	return fmt.Sprintf("it begins %q", data[:min(len(data), 40)])
}

// badMod says what is wrong with a .mod file, "" if nothing is: any module's
// has a line "module".
func badMod(root *os.Root, file string) string {
	data, err := files.ReadIn(root, file, maxDotMod)
	switch {
	case errors.Is(err, files.ErrTooLarge):
		return reason(err).Error()
	case err != nil:
		return ""
	case modfile.ModulePath(data) == "":
		return "it has no module line; " + excerpt(data)
	}
	return ""
}

// badInfo says what is wrong with an .info file.
func badInfo(root *os.Root, file string) string {
	data, err := files.ReadIn(root, file, maxDotInfo)
	var info struct{ Version string }
	switch {
	case errors.Is(err, files.ErrTooLarge):
		return reason(err).Error()
	case err != nil:
		return ""
	case json.Unmarshal(data, &info) != nil:
		return "it is no JSON; " + excerpt(data)
	case info.Version == "":
		return "it names no version; " + excerpt(data)
	}
	return ""
}

// badZip says what is wrong with a zip: a cut one has lost its directory, which
// is at the end.
func badZip(root *os.Root, file string) string {
	f, err := root.Open(file)
	if err != nil {
		return ""
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return ""
	}
	z, err := zip.NewReader(f, info.Size())
	if err != nil {
		start := make([]byte, 40)
		n, _ := f.ReadAt(start, 0)
		if strings.HasPrefix(string(start[:n]), "PK") {
			return fmt.Sprintf("it is cut: %d bytes without a directory at the end", info.Size())
		}
		return "it is no zip; " + excerpt(start[:n])
	}
	escaped, version, _ := strings.Cut(strings.TrimSuffix(file, ".zip"), "/@v/")
	mod, err1 := module.UnescapePath(escaped)
	vers, err2 := module.UnescapeVersion(version)
	if err1 != nil || err2 != nil || len(z.File) == 0 {
		return ""
	}
	if prefix := mod + "@" + vers + "/"; !strings.HasPrefix(z.File[0].Name, prefix) {
		return fmt.Sprintf("it holds %q and not %s", z.File[0].Name, prefix)
	}
	return ""
}

// poisoned returns the check for one kind of file in the module cache.
func poisoned(what string, pick func(cacheScan) []bad, with func(file string) []string) func(context.Context, *Machine) Result {
	return func(ctx context.Context, m *Machine) Result {
		s := m.scan(ctx)
		if s.none {
			return skipped("there is no module cache")
		}
		r := Result{Seen: fmt.Sprintf("%d files of the module cache in %s", s.seen, s.dir)}
		if s.cut != "" {
			r.Seen += "; " + s.cut + ": \"go mod verify\" looks at the rest"
		}
		root := filepath.Join(s.dir, "cache", "download")
		list := pick(s)
		for i, b := range list {
			if i == tooMany {
				r.Findings = append(r.Findings, Finding{Severity: report.Error, Message: fmt.Sprintf("and %d more such files", len(list)-i), Fix: "go clean -modcache"})
				break
			}
			repair := remove(root, append([]string{b.file}, with(b.file)...)...)
			r.Findings = append(r.Findings, Finding{
				Severity: report.Error, Place: m.place(filepath.Join(root, filepath.FromSlash(b.file)), 0),
				Message: fmt.Sprintf("%s: go believes it, whatever GOPROXY says now: %s", what, b.why), Fix: repair.Shown + "; go then fetches it again", Repair: repair,
			})
		}
		return r
	}
}

// beside returns the files that belong to a zip.
func beside(file string) []string {
	return []string{strings.TrimSuffix(file, ".zip") + ".ziphash"}
}

func alone(string) []string { return nil }

// cacheUnwritable finds a module cache that go cannot write to.
func cacheUnwritable(_ context.Context, m *Machine) Result {
	dir := m.goVariable("GOMODCACHE")
	switch {
	case dir == "":
		return skipped("the module cache is not known")
	case !filepath.IsAbs(dir):
		return found(Finding{Severity: report.Error, Place: m.origin("GOMODCACHE"), Message: fmt.Sprintf("GOMODCACHE=%s is not absolute: go refuses it", dir), Fix: "write the whole path"})
	}
	for at := dir; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		bad := Finding{Severity: report.Error, Place: m.place(at, 0), Fix: "point GOMODCACHE at a directory of your own: go env -w GOMODCACHE=DIR"}
		switch {
		case err == nil && !info.IsDir():
			bad.Message = fmt.Sprintf("the module cache cannot be %s: this is a file", dir)
			return found(bad)
		case err == nil:
			if err := writable(at); err != nil {
				bad.Message = fmt.Sprintf("go cannot write the module cache: %v", err)
				bad.Fix = "if it belongs to another user, as after \"sudo go\": chown -R \"$USER\" " + shellWord(at) + "; or " + bad.Fix
				return found(bad)
			}
			return Result{Seen: dir}
		case at == filepath.Dir(at):
			return Result{}
		}
	}
}

// diskFull finds that there is no room left for modules.
func diskFull(ctx context.Context, m *Machine) Result {
	dir := m.goVariable("GOMODCACHE")
	if dir == "" || !filepath.IsAbs(dir) {
		return skipped("the module cache is not known")
	}
	at := dir
	for at != filepath.Dir(at) {
		if info, err := os.Stat(at); err == nil && info.IsDir() {
			break
		}
		at = filepath.Dir(at)
	}
	free := m.Free
	if free == nil {
		free = freeBytes
	}
	left, ok := free(at)
	size, whole := cacheSize(ctx, dir)
	r := Result{Seen: "module cache " + bytesText(size)}
	if !whole {
		r.Seen = "module cache at least " + bytesText(size)
	}
	if !ok {
		return r
	}
	r.Seen += ", " + bytesText(left) + " free"
	if left < lowDisk {
		f := Finding{Message: fmt.Sprintf("%s are free where the module cache is (%s): a toolchain takes 0.3 GB, and a cut download looks like a broken proxy", bytesText(left), dir), Fix: "make room; \"go clean -modcache\" and \"go clean -cache\" remove what go can fetch or build again"}
		if left < fullDisk {
			f.Severity = report.Error
		}
		r.Findings = append(r.Findings, f)
	}
	return r
}

// cacheSize adds up the files below dir, as far as there is time.
func cacheSize(ctx context.Context, dir string) (size uint64, whole bool) {
	ctx, cancel := context.WithTimeout(ctx, sizeTime)
	defer cancel()
	n, whole := 0, true
	filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil || n >= sizeFiles {
			whole = false
			return fs.SkipAll
		}
		if n++; err == nil && d.Type().IsRegular() {
			if info, err := d.Info(); err == nil {
				size += uint64(info.Size())
			}
		}
		return nil
	})
	return size, whole
}

// bytesText returns a size for people.
func bytesText(n uint64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.0f MB", float64(n)/1e6)
	}
	return fmt.Sprintf("%.0f kB", float64(n)/1e3)
}
