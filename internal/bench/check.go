package bench

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"hash/maphash"
	"strings"
	"time"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/probe"
)

// A verdict is what came of one check; the zero value was never made.
type verdict struct {
	made   bool
	class  decision.Class // "" if the answer was right
	detail string
	size   int64
	digest uint64 // of a right body
}

// An ability is something that a proxy can do, or not.
type ability struct {
	known, yes bool
	detail     string // for people
}

func able(class decision.Class, detail string) ability {
	if class != "" {
		detail = fmt.Sprintf("%s: %s", class, detail)
	}
	return ability{true, class == "", detail}
}

// A newest is the newest version of a module that a proxy knows.
type newest struct {
	version string
	class   decision.Class // why there is none
}

// A checked proxy has been asked for everything once.
type checked struct {
	dead      problem   // why nothing more was asked, Class "" if it was
	files     []verdict // in the order of the run's files
	abilities map[string]ability
	newest    []newest // in the order of fresh
	bigHosts  []string // that the big zip was read from, if not the proxy's own
	zipHosts  []string // likewise of the zips of the modules
	http2     bool
}

// seed is for digests of bodies that have been judged.
var seed = maphash.MakeSeed()

// A checker asks one proxy for everything once.
type checker struct {
	*client
	out   *checked
	count func() // is told of every request
	buf   bytes.Buffer
	http2 bool
}

// check asks for the files, and once more for those that may have failed by
// accident. Without any right answer two failures on the way to the proxy end
// it, and so do two time-outs' worth of waiting.
func (c *checker) check(ctx context.Context, list []file) {
	c.out.files = make([]verdict, len(list))
	start := time.Now()
	answered, served := false, false
	again := retries(len(list))
	for i, f := range list {
		v := c.file(ctx, f)
		if again > 0 && (v.class == decision.ServerError || v.class == decision.Reset) {
			v = c.file(ctx, f)
			again--
		}
		if ctx.Err() != nil {
			return
		}
		c.out.files[i] = v
		answered = answered || !unreachable(v.class)
		served = served || v.class == ""
		if i > 0 && !answered || !served && time.Since(start) >= 2*c.timeout {
			c.out.dead = problem{Class: v.class, Detail: v.detail}
			return
		}
	}
	for _, step := range []func(context.Context, []file){c.latest, c.supported, c.toolchain, c.ranges, c.big, c.fresh} {
		if step(ctx, list); ctx.Err() != nil {
			return
		}
	}
	c.out.http2 = c.http2
}

// ask asks for one file and judges the answer.
func (c *checker) ask(ctx context.Context, k probe.Known, limit int64, v *visit) (answer, decision.Class, string) {
	a := c.get(ctx, k.Path, limit, v, &c.buf)
	c.http2 = c.http2 || v.http2
	class, detail := a.Class, a.Detail
	if class == "" && k.Judge != nil {
		class, detail = k.Judge(a.body)
		if shown := c.Client.Hide(string(a.body)); class != "" && shown != string(a.body) {
			_, detail = k.Judge([]byte(shown)) // it may repeat our login
		}
		if class != "" && c.Base.Scheme == "file" {
			detail = "not the file it should be" // a link may lead anywhere: quote nothing
		}
	}
	if ctx.Err() == nil {
		c.count()
	}
	return a, class, modproxy.Line(detail)
}

func (c *checker) file(ctx context.Context, f file) verdict {
	v := &visit{}
	limit := f.limit
	if f.kind == Zip {
		limit = fullLimit
	}
	a, class, detail := c.ask(ctx, f.Known, limit, v)
	if f.kind == Zip {
		c.out.zipHosts = append(c.out.zipHosts, c.elsewhere(v)...)
	}
	if f.kind == SumDB && class == decision.Missing {
		class = decision.NoSumDB
	}
	return verdict{true, class, detail, a.size, maphash.Bytes(seed, a.body)}
}

// Abilities, in the order in which they are shown.
const (
	canList      = "list"
	canLatest    = "@latest"
	canSumDB     = "sumdb"
	canToolchain = "toolchain"
	canRange     = "range"
	canHTTP2     = "HTTP/2"
)

var abilities = []string{canList, canLatest, canSumDB, canToolchain, canRange, canHTTP2}

func (c *checker) latest(ctx context.Context, _ []file) {
	path, err := modproxy.File{Path: "golang.org/x/time", Kind: modproxy.Latest}.URLPath()
	if err != nil {
		panic(err) // a constant
	}
	_, class, detail := c.ask(ctx, probe.Known{Path: path, Judge: func(body []byte) (decision.Class, string) {
		var info struct{ Version string }
		if err := json.Unmarshal(body, &info); err != nil || !semver.IsValid(info.Version) {
			return decision.WrongContent, fmt.Sprintf("no version; it begins %q", modproxy.Excerpt(body))
		}
		return "", info.Version
	}}, textLimit, &visit{})
	c.out.abilities[canLatest] = able(class, detail)
}

// supported finds out whether the go command would ask the proxy for records.
func (c *checker) supported(ctx context.Context, list []file) {
	for i, f := range list {
		if f.kind != SumDB {
			continue
		}
		base, _, _ := strings.Cut(f.Path, "/lookup/")
		_, class, detail := c.ask(ctx, probe.Known{Path: base + "/supported"}, textLimit, &visit{})
		if v := c.out.files[i]; class == "" {
			class, detail = v.class, v.detail
		}
		c.out.abilities[canSumDB] = able(class, detail)
		return
	}
}

// toolchainVersion is one that every proxy with toolchains has had for long.
const toolchainVersion = "v0.0.1-go1.24.0.linux-amd64"

func (c *checker) toolchain(ctx context.Context, _ []file) {
	k := probe.KnownStart(module.Version{Path: "golang.org/toolchain", Version: toolchainVersion})
	_, class, detail := c.ask(ctx, k, 4<<10, &visit{start: true})
	c.out.abilities[canToolchain] = able(class, detail)
}

// ranges finds out whether an interrupted zip could be continued.
func (c *checker) ranges(ctx context.Context, list []file) {
	for i, f := range list {
		if f.kind != Zip || c.out.files[i].class != "" {
			continue
		}
		a := c.get(ctx, f.Path, fullLimit, &visit{byteRange: "bytes=0-99"}, &c.buf)
		c.count()
		c.out.abilities[canRange] = ability{true, a.Status == 206, modproxy.StatusText(a.Status)}
		return
	}
}

func (c *checker) big(ctx context.Context, _ []file) {
	v := &visit{start: true}
	k := probe.KnownStart(probe.BigModule())
	if _, class, _ := c.ask(ctx, k, k.Limit, v); class == "" || len(v.hosts) > 1 {
		c.out.bigHosts = c.elsewhere(v)
	}
}

// fresh asks for the newest version of modules that release often.
func (c *checker) fresh(ctx context.Context, _ []file) {
	c.out.newest = make([]newest, len(fresh))
	for i, m := range fresh {
		path, err := modproxy.File{Path: m.path, Kind: modproxy.List}.URLPath()
		if err != nil {
			panic(err) // a constant
		}
		a, class, _ := c.ask(ctx, probe.Known{Path: path}, listLimit, &visit{})
		if ctx.Err() != nil {
			return
		}
		n := newest{class: class}
		if class == "" {
			if n.version = newestIn(a.body); n.version == "" {
				n.class = decision.WrongContent
			}
		}
		c.out.newest[i] = n
	}
}

// newestIn returns the newest release in a version list, "" if there is none.
func newestIn(list []byte) string {
	best := ""
	for line := range strings.Lines(string(list)) {
		f := strings.Fields(line)
		if len(f) == 0 || !semver.IsValid(f[0]) || len(f[0]) > 64 || semver.Prerelease(f[0]) != "" {
			continue
		}
		if best == "" || semver.Compare(f[0], best) > 0 {
			best = f[0]
		}
	}
	return best
}
