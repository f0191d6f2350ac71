package diagnose

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"golang.org/x/mod/modfile"
	"golang.org/x/mod/module"
	modzip "golang.org/x/mod/zip"

	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/netrc"
	"github.com/org/goproxy-setup/internal/policy"
)

// A layer is one place that the files of a module come through.
type layer struct {
	Name    string // "module cache", a proxy's name, "checksum database" or "direct"
	Kind    layerKind
	Skipped string // why it was not asked, "" if it was
	Answers []layerAnswer
	Took    time.Duration
}

// A layerKind tells layers apart.
type layerKind int

const (
	cacheLayer layerKind = iota
	proxyLayer
	databaseLayer
	directLayer
)

// A layerAnswer is what a layer has for one file.
type layerAnswer struct {
	File   string // "info", "mod", "zip", "lookup", "tag"
	Answer goenv.Answer
	Hash   string // h1 of a .mod or zip, "" if there is none
	Detail string // what happened, for people: redacted, one line
	Took   time.Duration

	endless bool // longer than any file of its kind
	late    bool // the time for all was over while it was still being sent: what it would have been is not known
}

// answered reports whether the layer has all it should.
func (l layer) answered() bool {
	return l.Skipped == "" && !slices.ContainsFunc(l.Answers, func(a layerAnswer) bool { return a.Answer != goenv.OK })
}

// get returns the layer's answer for a file.
func (l layer) get(file string) (layerAnswer, bool) {
	i := slices.IndexFunc(l.Answers, func(a layerAnswer) bool { return a.File == file })
	if i < 0 {
		return layerAnswer{}, false
	}
	return l.Answers[i], true
}

// Bisect asks every layer for the files of one module version, side by side,
// and judges. It asks nobody whom the go command would not ask: no proxy and no
// database for a private module, no version control if the chain has no
// "direct".
func (m *Machine) Bisect(ctx context.Context, mod module.Version) Verdict {
	proxies := m.Policy.Proxies()
	layers := make([]layer, 1, len(proxies)+3) // a slot for each
	private := goenv.MatchPatterns(m.setting("GONOPROXY"), mod.Path)
	for _, e := range proxies {
		layers = append(layers, layer{Name: e.Name, Kind: proxyLayer})
	}
	layers = append(layers, layer{Name: "checksum database", Kind: databaseLayer}, layer{Name: "direct", Kind: directLayer})
	layers[0] = layer{Name: "module cache", Kind: cacheLayer}
	var record *checksum.Record
	var wg sync.WaitGroup
	ask := func(l *layer, answers func() []layerAnswer) {
		wg.Go(func() {
			start := time.Now()
			l.Answers = answers()
			l.Took = time.Since(start)
		})
	}
	over, stop := lingering(ctx)
	defer stop()
	ask(&layers[0], func() (list []layerAnswer) {
		if !await(over, begin(func() []layerAnswer { return m.cached(mod) }), &list) { // a file system hangs
			list = []layerAnswer{{File: "zip", Answer: goenv.Hang, Detail: timeOver, late: true}}
		}
		return list
	})
	for i, e := range proxies {
		l := &layers[i+1]
		if private {
			l.Skipped = "go asks no proxy for it: GONOPROXY or GOPRIVATE matches"
			continue
		}
		ask(l, func() []layerAnswer { return m.fromProxy(ctx, e, mod) })
	}
	db, direct := &layers[len(layers)-2], &layers[len(layers)-1]
	if db.Skipped = m.noDatabase(mod); db.Skipped == "" {
		ask(db, func() []layerAnswer {
			a, r := m.fromDatabase(ctx, mod, private)
			record = r
			return []layerAnswer{a}
		})
	}
	if direct.Skipped = m.notDirect(private); direct.Skipped == "" {
		ask(direct, func() []layerAnswer { return m.fromDirect(ctx, mod) })
	}
	wg.Wait()
	return judge(mod, layers, m.truth(mod, record), m.chain())
}

// hashes are those that bytes of a module are judged by.
type hashes struct {
	zip, mod string
	from     string // who says so: "go.sum", "the checksum database" or ""
	conflict string // what contradicts it, "" if nothing
}

// truth returns the hashes of a module: those of go.sum, or of the database.
func (m *Machine) truth(mod module.Version, r *checksum.Record) (h hashes) {
	if r != nil {
		h = hashes{zip: r.Zip, mod: r.GoMod, from: "the checksum database"}
	}
	if m.GoSum == nil || m.GoSum.Zip(mod) == "" && m.GoSum.GoMod(mod) == "" {
		return h
	}
	zip, gomod := m.GoSum.Zip(mod), m.GoSum.GoMod(mod)
	if r != nil && (zip != "" && zip != r.Zip || gomod != "" && gomod != r.GoMod) {
		h.conflict = "go.sum has another hash than the checksum database"
		return h
	}
	if r == nil {
		h = hashes{zip: zip, mod: gomod, from: "go.sum"}
	}
	return h
}

// noDatabase says why the checksum database is not asked.
func (m *Machine) noDatabase(mod module.Version) string {
	db, err := goenv.ParseSumDB(m.setting("GOSUMDB"))
	switch {
	case err != nil:
		return "go refuses GOSUMDB"
	case db.Off:
		return "GOSUMDB is off"
	case goenv.MatchPatterns(m.setting("GONOSUMDB"), mod.Path):
		return "go does not look it up: GONOSUMDB or GOPRIVATE matches"
	}
	return ""
}

// notDirect says why version control is not asked.
func (m *Machine) notDirect(private bool) string {
	if private || slices.ContainsFunc(m.Policy.Chain, func(e policy.Entry) bool { return e.Name == "direct" }) {
		return ""
	}
	return "the chain does not end in direct"
}

// cached returns what the module cache has.
func (m *Machine) cached(mod module.Version) []layerAnswer {
	fail := func(err error) []layerAnswer {
		return []layerAnswer{{File: "zip", Answer: goenv.Absent, Detail: err.Error()}}
	}
	dir := m.goVariable("GOMODCACHE")
	if dir == "" {
		return fail(errors.New("there is no module cache"))
	}
	root, err := os.OpenRoot(filepath.Join(dir, "cache", "download"))
	if err != nil {
		return fail(errors.New("there is no module cache"))
	}
	defer root.Close()
	var list []layerAnswer
	for _, kind := range []modproxy.Kind{modproxy.Info, modproxy.Mod, modproxy.Zip} {
		file, err := modproxy.File{Path: mod.Path, Version: mod.Version, Kind: kind}.URLPath()
		if err != nil {
			return fail(err)
		}
		a := layerAnswer{File: string(kind)}
		f, err := root.Open(file)
		if err != nil {
			a.Answer, a.Detail = goenv.Absent, "not in the cache"
			list = append(list, a)
			continue
		}
		a.read(mod, kind, f)
		f.Close()
		list = append(list, a)
	}
	return list
}

// read judges the form of a file and takes its hash.
func (a *layerAnswer) read(mod module.Version, kind modproxy.Kind, f *os.File) {
	var data []byte
	info, err := f.Stat()
	if err == nil && kind != modproxy.Zip {
		data, err = io.ReadAll(io.LimitReader(f, maxDotMod))
	}
	if err != nil {
		a.Answer, a.Detail = goenv.Unreachable, reason(err).Error()
		return
	}
	if kind == modproxy.Zip {
		a.zip(f, info.Size())
		return
	}
	a.small(mod, kind, data)
}

// small judges an .info or a .mod.
func (a *layerAnswer) small(mod module.Version, kind modproxy.Kind, data []byte) {
	var info struct{ Version string }
	switch {
	case kind == modproxy.Mod && modfile.ModulePath(data) == "":
		a.Answer, a.Detail = goenv.Garbage, "no module line: "+modproxy.Line(excerpt(data))
	case kind == modproxy.Mod:
		a.Hash = checksum.HashGoMod(data)
	case json.Unmarshal(data, &info) != nil:
		a.Answer, a.Detail = goenv.Garbage, "no JSON: "+modproxy.Line(excerpt(data))
	case info.Version != mod.Version:
		a.Answer, a.Detail = goenv.Wrong, fmt.Sprintf("for version %q", info.Version)
	}
}

// zip takes the hash of a zip.
func (a *layerAnswer) zip(f io.ReaderAt, size int64) {
	hash, err := checksum.HashZip(f, size)
	if err != nil {
		a.Answer, a.Detail = goenv.Garbage, modproxy.Line(err.Error())
		return
	}
	a.Hash = hash
}

// client returns the way to a URL, with the login that go would send.
func (m *Machine) client(base *url.URL, login Login) (*modproxy.Client, func()) {
	tr := m.transport()
	c := &modproxy.Client{Base: base, HTTP: tr}
	if login != (Login{}) {
		c.User = url.UserPassword(login.User, login.Password)
	} else if n, ok := netrc.Lookup(m.Netrc.Machines, base); ok && m.setting("GOAUTH") != "off" {
		c.User = url.UserPassword(n.Login, n.Password)
	}
	return c, tr.CloseIdleConnections
}

// fromProxy asks a proxy for the three files of a version.
func (m *Machine) fromProxy(ctx context.Context, e policy.Entry, mod module.Version) []layerAnswer {
	base, err := url.Parse(e.URL)
	if err != nil || policy.ForbiddenHost(base.Hostname()) != "" && base.Scheme != "file" {
		return []layerAnswer{{File: "info", Answer: goenv.Unreachable, Detail: "an address that is never asked"}}
	}
	c, done := m.client(base, m.Logins[e.Name])
	defer done()
	var list []layerAnswer
	for _, kind := range []modproxy.Kind{modproxy.Info, modproxy.Mod, modproxy.Zip} {
		path, err := modproxy.File{Path: mod.Path, Version: mod.Version, Kind: kind}.URLPath()
		if err != nil {
			break // checked by the caller
		}
		start := time.Now()
		a := fetch(ctx, cmp.Or(m.Policy.Probe.Timeout, lookTime), c, mod, kind, path)
		a.Took = time.Since(start)
		list = append(list, a)
		if a.Answer == goenv.Hang || a.Answer == goenv.Unreachable || a.endless {
			break // the others would end the same way, and take as long
		}
	}
	return list
}

// errSilent ends a request that has brought nothing for too long.
var errSilent = errors.New("no answer within the time")

// heard is a body whose reader wants to know of every byte that comes.
type heard struct {
	io.ReadCloser
	tell func()
}

func (h heard) Read(p []byte) (int, error) {
	n, err := h.ReadCloser.Read(p)
	if n > 0 {
		h.tell()
	}
	return n, err
}

// fetch asks for one file; its memory is bounded, a zip goes to the disk. It
// waits as long as something comes, and otherwise no longer than patience.
func fetch(ctx context.Context, patience time.Duration, c *modproxy.Client, mod module.Version, kind modproxy.Kind, path string) (a layerAnswer) {
	a.File = string(kind)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := time.AfterFunc(patience, func() { cancel(errSilent) })
	defer silence.Stop()
	got, err := c.Get(ctx, path)
	if err != nil {
		a.fail(ctx, err)
		return a
	}
	got.Body = heard{got.Body, func() { silence.Reset(patience) }}
	if kind != modproxy.Zip {
		limit := int64(maxDotInfo)
		if kind == modproxy.Mod {
			limit = maxDotMod
		}
		data, err := got.ReadAll(limit)
		if err != nil {
			a.fail(ctx, err)
			return a
		}
		a.small(mod, kind, data)
		a.Detail = c.Hide(a.Detail)
		return a
	}
	defer got.Body.Close()
	tmp, err := os.CreateTemp("", "goproxy-setup-*.zip")
	if err != nil {
		a.Answer, a.Detail = goenv.Unreachable, "no place to keep the zip: "+reason(err).Error()
		return a
	}
	defer os.Remove(tmp.Name())
	defer tmp.Close()
	size, err := io.Copy(tmp, io.LimitReader(got.Body, modzip.MaxZipFile+1))
	switch {
	case err != nil:
		a.fail(ctx, err)
	case got.Size >= 0 && size < min(got.Size, modzip.MaxZipFile):
		a.Answer, a.Detail = goenv.Broken, fmt.Sprintf("cut after %d of %d bytes", size, got.Size)
	default:
		a.zip(tmp, size)
	}
	return a
}

// timeOver is what is known of a file whose layer was not done in time.
const timeOver = "the time was over before it was done"

// fail notes why there is no file. A cause of errSilent is the layer's own
// fault; any other end of ctx is not.
func (a *layerAnswer) fail(ctx context.Context, err error) {
	a.Answer, a.Detail = goenv.Unreachable, modproxy.Line(err.Error())
	e, ok := errors.AsType[*modproxy.Error](err)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		a.Answer, a.Detail = goenv.Absent, modproxy.StatusText(e.Status)
	case ctx.Err() != nil && context.Cause(ctx) != errSilent:
		a.Answer, a.Detail, a.late = goenv.Hang, timeOver, true
	case ctx.Err() != nil, errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		a.Answer, a.Detail = goenv.Hang, errSilent.Error()
	case ok && e.Status == 200 && errors.Is(err, modproxy.ErrTooLarge):
		a.Answer, a.Detail, a.endless = goenv.Garbage, "larger than any such file", true
	case ok && e.Status == 200, errors.Is(err, io.ErrUnexpectedEOF):
		a.Answer, a.Detail = goenv.Broken, "cut off: "+modproxy.Line(err.Error())
	case ok && e.Status != 0:
		a.Answer, a.Detail = goenv.Status, modproxy.StatusText(e.Status)
		if e.Text != "" {
			a.Detail += ": " + e.Text
		}
	}
}
