package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/preflight"
	"github.com/org/goproxy-setup/internal/render"
	"github.com/org/goproxy-setup/internal/report"
)

// preflightBudget is how long a preflight may take if nobody says otherwise.
const preflightBudget = 5 * time.Minute

// goSumError marks a mistake in a go.sum file as the caller's to mend.
func goSumError(err error) error {
	if _, ok := errors.AsType[*usageError](err); ok {
		return err
	}
	return usagef("\"go mod tidy\" writes it anew", "%s", firstLine(err))
}

// chainOf returns the chain that a preflight asks: the GOPROXY that is in force
// with its own separators, or what the policy would export.
func (s *setup) chainOf(in *decision.Input) (goenv.Chain, error) {
	if !in.Keep {
		return decision.Chain(&in.Settings)
	}
	chain, err := goenv.ParseChain(in.Inherited.GOPROXY) // without credentials
	if err != nil {
		return nil, usagef("mend GOPROXY", "%w", err)
	}
	n := 0
	for _, e := range chain {
		if e.Proxy() {
			n++
		}
	}
	if n != len(in.Settings.Proxies()) {
		return nil, usagef("mend GOPROXY, or give --chain", "the GOPROXY that is set cannot be asked")
	}
	return chain, nil
}

// preflightConfig returns what a preflight of chain depends on, but for its
// time.
func (s *setup) preflightConfig(ctx context.Context, in *decision.Input, chain goenv.Chain, sums *checksum.GoSum, file string, askAll bool) preflight.Config {
	return preflight.Config{
		Chain: chain, GoSum: sums, File: file, AskAll: askAll,
		NoProxy: decision.NoProxy(in), Private: decision.PrivatePatterns(in),
		Recorded: recorded(s.Host), Probe: s.probeConfig(ctx, in),
	}
}

// fly shows the names that would be told to others, and then asks. The error is
// that of a go.sum file which names no modules, or of an interrupt.
func (s *setup) fly(ctx context.Context, cfg preflight.Config) (*report.Preflight, error) {
	plan, err := preflight.New(cfg)
	if errors.Is(err, preflight.ErrEmpty) {
		return nil, usagef("name the go.sum of the build", "%s holds %w", cfg.File, err)
	}
	if err != nil {
		return nil, goSumError(err)
	}
	if err := s.showNames(plan.Names, &cfg); err != nil {
		return nil, err
	}
	progress := newProgressLine(s.Host)
	result := plan.Run(ctx, progress.show)
	progress.done()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return result, nil
}

// maxShown is how many names of a kind are shown one by one.
const maxShown = 200

// showNames says on stderr, before anything is asked, which names the go
// command would tell to proxies that are not marked private.
func (s *setup) showNames(list []preflight.Name, cfg *preflight.Config) error {
	if len(list) == 0 {
		return nil
	}
	var open []string
	for _, e := range cfg.Probe.Settings.Proxies() {
		if !e.Private {
			open = append(open, e.Name)
		}
	}
	does := "go would tell them to " + policy.Listed(open) + "; here they are withheld"
	if cfg.AskAll {
		does = "they are told to " + policy.Listed(open) + ", as --ask-all says"
	}
	var b strings.Builder
	line := func(format string, args ...any) { b.WriteString(render.LogLine(fmt.Sprintf(format, args...)) + "\n") }
	var looks, unclear []preflight.Name
	for _, n := range list {
		if n.Why != "" {
			looks = append(looks, n)
		} else {
			unclear = append(unclear, n)
		}
	}
	if len(looks) > 0 {
		line("names that look private, and no pattern covers them: %s", does)
		for _, n := range looks[:min(len(looks), maxShown)] {
			line("  %s: %s", n.Path, n.Why)
		}
		if more := len(looks) - maxShown; more > 0 {
			line("  and %d more", more)
		}
	}
	if len(unclear) > 0 {
		line("names that are not known to be public: %s", does)
		var paths []string
		for _, n := range unclear {
			paths = append(paths, n.Path)
		}
		line("  %s", policy.Listed(paths))
	}
	if !cfg.AskAll {
		line(`hint: cover the private ones by "private" in the policy, --private or GOPRIVATE; --ask-all asks for the rest`)
	}
	_, err := io.WriteString(s.Stderr, b.String())
	return err
}

// preflightOf makes the preflight of a decision that setup has come to. What
// keeps it from being made is a finding: the build itself will say more.
func (s *setup) preflightOf(ctx context.Context, in *decision.Input, d *decision.Decision) error {
	chain := d.Chain
	if in.Keep && len(in.Settings.Proxies()) > 0 {
		var err error
		if chain, err = s.chainOf(in); err != nil {
			return err
		}
	}
	if len(chain) == 0 {
		return nil
	}
	sums, file, err := s.readGoSum()
	if err == nil {
		kept := *in
		if !in.Keep {
			kept.Settings.Chain = chosen(&in.Settings, chain)
		}
		cfg := s.preflightConfig(ctx, &kept, chain, sums, file, s.askAll)
		cfg.Budget = preflightBudget
		if s.text("timeout") != "" {
			cfg.Budget = max(time.Until(s.deadline), 100*time.Millisecond)
		}
		in.Preflight, err = s.fly(ctx, cfg)
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if err != nil {
		severity := report.Warning
		if errors.Is(err, preflight.ErrEmpty) || errors.Is(err, fs.ErrNotExist) && s.text("go-sum") == "" {
			severity = report.Notice // a build without dependencies has none
		}
		s.findings = append(s.findings, report.Finding{
			ID: "preflight-not-made", Severity: severity, Title: "No preflight",
			Message: "the modules of go.sum were not asked for: " + firstLine(err), Fix: "name the go.sum of the build (go-sum)",
		})
	}
	return nil
}

// chosen returns the entries of the policy's chain that stand in the decided
// one, in its order.
func chosen(set *policy.Settings, chain goenv.Chain) []policy.Entry {
	var list []policy.Entry
	for _, c := range chain {
		for _, e := range set.Chain {
			value := e.Name
			if !e.Keyword() {
				value, _ = goenv.CheckEntry(e.URL)
			}
			if value == c.Value {
				list = append(list, e)
				break
			}
		}
	}
	return list
}

// recorded returns whether this machine's module cache holds a record of a
// module that Go's public checksum database has signed: who is in there, is
// public, and nobody has to be asked about it.
func recorded(h Host) func(module.Version) bool {
	public := policy.Databases()[0]
	db, err := goenv.ParseSumDB(public.GOSUMDB)
	cache := modCache(h)
	if err != nil || cache == "" {
		return nil
	}
	dir := filepath.Join(cache, "cache", "download", "sumdb", db.Name)
	return func(m module.Version) bool {
		lookup, err := modproxy.LookupPath(m.Path, m.Version)
		if err != nil {
			return false
		}
		data, err := readFile(filepath.Join(dir, filepath.FromSlash(lookup)), 64<<10)
		if err != nil {
			return false
		}
		_, err = checksum.ParseRecord(data, m, db.Key)
		return err == nil
	}
}

// modCache returns the go command's module cache, "" if there is none.
func modCache(h Host) string {
	user, _ := userEnv(h) // as the go command: a file that cannot be read is no settings
	sources := goenv.Sources{Getenv: h.Getenv, User: user}
	lookup := func(name string) string { return sources.Lookup(name).Value }
	if dir := lookup("GOMODCACHE"); dir != "" {
		return dir
	}
	gopath := lookup("GOPATH")
	if list := filepath.SplitList(gopath); len(list) > 0 {
		return filepath.Join(list[0], "pkg", "mod")
	}
	if h.Home == "" {
		return ""
	}
	return filepath.Join(h.Home, "go", "pkg", "mod")
}

// A progressLine shows how far a preflight is: on a terminal a line that draws
// over itself and leaves nothing behind, elsewhere a line now and then.
type progressLine struct {
	w     io.Writer
	width int // 0 if it is no terminal
	last  time.Time
}

// tellEvery is how often progress is told to a log.
const tellEvery = 10 * time.Second

func newProgressLine(h Host) *progressLine {
	l := &progressLine{w: h.Stderr, width: h.ErrWidth, last: time.Now()}
	if h.Getenv("TERM") == "dumb" || h.Getenv("CI") != "" {
		l.width = 0
	}
	return l
}

func (l *progressLine) show(p preflight.Progress) {
	text := fmt.Sprintf("preflight: %d of %d modules", p.Done, p.Total)
	if p.Failed > 0 {
		text += fmt.Sprintf(", %d cannot be had", p.Failed)
	}
	every := tellEvery
	if l.width > 0 {
		every = 50 * time.Millisecond // nobody reads faster
	}
	if time.Since(l.last) < every {
		return
	}
	l.last = time.Now()
	if l.width == 0 {
		fmt.Fprintln(l.w, text)
		return
	}
	fmt.Fprintf(l.w, "\r%s\x1b[K", text[:min(len(text), l.width-1)])
}

// done removes the line.
func (l *progressLine) done() {
	if l.width > 0 {
		io.WriteString(l.w, "\r\x1b[K")
	}
}
