package cli

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/org/goproxy-setup/internal/bench"
	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/ci"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/netrc"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/probe"
	"github.com/org/goproxy-setup/internal/render"
	"github.com/org/goproxy-setup/internal/report"
)

func benchCommand() command {
	var presets []string
	for _, p := range bench.Presets() {
		presets = append(presets, fmt.Sprintf("%s is %s.", p.Name, p.Text))
	}
	options := slices.DeleteFunc(readingOptions(), func(o option) bool { return o.name == "go-sum" || o.name == "timeout" })
	return command{
		name: "bench", summary: "measure module proxies side by side under load",
		usage: "[PROXY…]",
		mixed: true,
		help: `Bench asks module proxies, names of the policy or the catalogue or URLs, for real
files of public modules: first for each once, to see what they serve and
whether it is right, then all under the same load, in turns. Without PROXY it
measures those of GOPROXY or of the policy's chain.

Public services of the catalogue get at most 2 requests a second, 4 at a time
and 200 in all, whatever the options say; then so do the others that they are
compared with. Ctrl-C ends it and shows what was measured so far.

Exit codes: 0 measured; 1 a proxy served wrong bytes, or nothing at all; 2 wrong
options or policy file; 3 could not run, or interrupted.`,
		options: append(options,
			option{name: "preset", arg: "NAME", usage: "a load with a name: " + strings.Join(presets, " ")},
			option{name: "requests", arg: "N", usage: "for each proxy (default 1000, of public services 60; none if there\nis a duration)."},
			option{name: "duration", arg: "DURATION", usage: "how long each proxy is loaded at most."},
			option{name: "concurrency", arg: "N", usage: "requests to a proxy at a time (default 10)."},
			option{name: "rate", arg: "N", usage: "requests a second to each proxy, due whatever became of those before\n(default: each as soon as the one before is answered)."},
			option{name: "timeout", arg: "DURATION", usage: "for one request (default 5s)."},
			option{name: "warm-up", arg: "N", usage: "requests that do not count (default: every file and connection once)."},
			option{name: "kind", arg: "LIST", usage: "kinds of files: list,info,mod,zip,sumdb (the default)."},
			option{name: "go-sum", arg: "FILE", usage: "also ask for modules of this go.sum that every proxy may know."},
			option{name: "module", arg: "PATH@VERSION", repeat: true, usage: "ask for this one of those modules alone; may be repeated."},
			option{name: "i-own-this", usage: "load public services like any other. Only for their operators."},
			option{name: "format", arg: "FORMAT", usage: "what stdout carries: table (the default), json, markdown or svg."},
			option{name: "write", arg: "KIND=PATH", repeat: true, usage: "also write a file; may be repeated. Kinds: json, markdown, svg."},
			option{name: "credential-host", arg: "NAME=HOST", repeat: true, usage: "let the secret ${NAME} of the policy be sent to HOST; may be repeated."},
			option{name: "credentials", arg: "NAME=VALUE", repeat: true, hidden: true, usage: "secrets for the policy's ${NAME}, one a line; variables of their own serve as well."},
		),
		run: runBench,
	}
}

// A benchRun is one run of the command.
type benchRun struct {
	*setup
	settings policy.Settings
	format   string
	files    []benchFile
	ownAll   bool
	modules  []probe.Canary
	load     bench.Load
	kinds    []bench.Kind
}

// A benchFile is a file to write.
type benchFile struct{ kind, path string }

func runBench(ctx context.Context, c *call) (int, error) {
	b, sumdb, err := newBench(ctx, c)
	if err != nil {
		return ExitFailed, err
	}
	cfg := bench.Config{
		Settings: &b.settings, Load: b.load, Kinds: b.kinds, Modules: b.modules, SumDB: sumdb,
		Getenv: c.Getenv, Netrc: netrc.Parse(b.netrcText()), RootCAs: b.rootCAs,
		Credentials: func(e policy.Entry) (string, string, bool) {
			l, ok := b.creds[e.Name]
			return l.user, l.password, ok
		},
	}
	if b.ownAll {
		cfg.Public = bench.Impolite
	}
	show := newBenchProgress(c.Host)
	cfg.Progress = show.show
	res, err := bench.Run(ctx, cfg)
	show.done()
	if err != nil {
		return ExitFailed, err
	}
	res.Version, _ = build()
	if err := b.publish(res); err != nil {
		return ExitFailed, err
	}
	switch {
	case res.Interrupted:
		return ExitFailed, fmt.Errorf("%w; what was measured until then is above", context.Cause(ctx))
	case !res.OK():
		return ExitNo, nil
	}
	return ExitOK, nil
}

// newBench reads the options, the policy and go.sum.
func newBench(ctx context.Context, c *call) (b *benchRun, db goenv.SumDB, err error) {
	if dir := c.text("working-directory"); dir != "" {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(c.Dir, dir)
		}
		c.Dir = dir
	}
	b = &benchRun{setup: &setup{call: c, job: openJob(ci.Detect(c.Getenv), c.Host), deadline: time.Now().Add(12 * time.Second)}}
	if err := b.options(); err != nil {
		return nil, db, err
	}
	inherited, err := b.proxies(ctx, c.args)
	if err != nil {
		return nil, db, err
	}
	if db, err = goenv.ParseSumDB(inherited.GOSUMDB); err != nil {
		db = goenv.SumDB{} // go's default
	}
	if b.modules, err = b.workload(); err != nil {
		return nil, db, err
	}
	for _, f := range b.findings {
		if f.Severity != report.Notice {
			fmt.Fprintf(c.Stderr, "%s: %s\n", f.Severity, render.LogLine(f.Message))
		}
	}
	return b, db, nil
}

// options reads those that need neither policy nor go.sum.
func (b *benchRun) options() (err error) {
	if b.format, err = b.choice("format", "table", "json", "markdown", "svg"); err != nil {
		return err
	}
	asJSON, err := b.on("json")
	if err != nil {
		return err
	}
	if asJSON {
		b.format = "json"
	}
	for _, text := range b.all("write") {
		kind, path, _ := strings.Cut(text, "=")
		if path == "" || !slices.Contains([]string{"json", "markdown", "svg"}, kind) {
			return usagef("write json=PATH, markdown=PATH or svg=PATH", "%s: %q is not KIND=PATH", b.from("write"), text)
		}
		b.files = append(b.files, benchFile{kind, path})
	}
	if b.ownAll, err = b.on("i-own-this"); err != nil {
		return err
	}
	for _, name := range strings.FieldsFunc(b.text("kind"), func(r rune) bool { return r == ',' || r == ' ' }) {
		if !slices.Contains(bench.Kinds(), bench.Kind(name)) {
			return usagef("the kinds are list, info, mod, zip and sumdb", "%s: unknown kind %q", b.from("kind"), name)
		}
		b.kinds = append(b.kinds, bench.Kind(name))
	}
	b.load, err = b.readLoad()
	return err
}

// readLoad reads what each proxy is asked for: the preset's load, in which
// other options change single things.
func (b *benchRun) readLoad() (bench.Load, error) {
	load := bench.DefaultLoad()
	if name := b.text("preset"); name != "" {
		presets := bench.Presets()
		i := slices.IndexFunc(presets, func(p bench.Preset) bool { return p.Name == name })
		if i < 0 {
			return load, usagef("the presets are: "+presets[0].Name, "%s: unknown preset %q", b.from("preset"), name)
		}
		load = presets[i].Load
	}
	if b.text("duration") != "" && b.text("requests") == "" {
		load.Requests = 0
	}
	var errs [6]error
	load.Requests, errs[0] = b.number("requests", 1, load.Requests, bench.MaxRequests)
	load.Concurrency, errs[1] = b.number("concurrency", 1, load.Concurrency, bench.MaxConcurrency)
	load.Duration, errs[2] = b.duration("duration", 100*time.Millisecond, load.Duration, bench.MaxDuration)
	load.Timeout, errs[3] = b.duration("timeout", 10*time.Millisecond, load.Timeout, bench.MaxTimeout)
	load.WarmUp, errs[4] = b.number("warm-up", 0, load.WarmUp, bench.MaxRequests)
	if text := b.text("rate"); text != "" {
		rate, err := strconv.ParseFloat(text, 64)
		if err != nil || !(rate >= 0.01 && rate <= bench.MaxRate) {
			errs[5] = usagef("", "%s: %q is no number from 0.01 to %d", b.from("rate"), text, bench.MaxRate)
		}
		load.Rate = rate
	}
	for _, err := range errs {
		if err != nil {
			return load, err
		}
	}
	return load, nil
}

// proxies fills in the settings: those of the policy, whose chain is what was
// named. Each name is looked up by itself, since a chain of them could be one
// that the policy forbids to build with.
func (b *benchRun) proxies(ctx context.Context, names []string) (decision.Inherited, error) {
	var inherited decision.Inherited
	if len(names) == 0 {
		for name := range strings.FieldsFuncSeq(b.text("chain"), func(r rune) bool { return r == ',' || r == '|' }) {
			if name = strings.TrimSpace(name); name != "" && name != "direct" && name != "off" {
				names = append(names, name)
			}
		}
		if len(names) == 0 && b.text("chain") != "" {
			return inherited, nothingToMeasure()
		}
	}
	if len(names) == 0 {
		names = []string{""} // what is in force
	}
	creds, cas := credentials{}, authorities{}
	for i, name := range names {
		if name != "" {
			b.values["chain"] = given{list: []string{name}, from: "argument"}
		}
		in, err := b.input(ctx)
		if err != nil {
			if u, ok := errors.AsType[*usageError](err); ok {
				return inherited, &usageError{errors.New(strings.ReplaceAll(u.Error(), "--chain: ", "")), u.hint}
			}
			return inherited, err
		}
		maps.Copy(creds, b.creds)
		maps.Copy(cas, b.cas)
		found := in.Settings.Proxies()
		if len(found) == 0 && name != "" {
			return inherited, usagef("name a proxy of the policy or the catalogue, or its URL", "%q is no module proxy that could be measured", name)
		}
		if i == 0 {
			inherited, b.settings = in.Inherited, in.Settings
			b.settings.Chain = nil
		}
		b.settings.Chain = append(b.settings.Chain, found...)
	}
	if b.creds, b.cas = creds, cas; len(b.settings.Chain) == 0 {
		return inherited, nothingToMeasure()
	}
	return inherited, nil
}

func nothingToMeasure() error {
	return usagef("name some: goproxy-setup bench https://proxy.corp.example.com official", "there is no module proxy to measure")
}

// workload returns the modules that are asked for.
func (b *benchRun) workload() ([]probe.Canary, error) {
	list := probe.Canaries()
	if file := b.text("go-sum"); file != "" {
		if !filepath.IsAbs(file) {
			file = filepath.Join(b.Dir, file)
		}
		data, err := readFile(file, 8<<20)
		if err != nil {
			return nil, usagef("name the build's go.sum", "%s: %w", b.from("go-sum"), err)
		}
		sums, err := checksum.ParseGoSum(relative(b.job.Workspace, file), data)
		if err != nil {
			return nil, usagef("\"go mod tidy\" mends it", "%s", firstLine(err))
		}
		own := bench.Modules(sums, b.settings.Proxies(), probe.PrivatePatterns(&b.settings, b.Getenv))
		if len(own) == 0 {
			fmt.Fprintf(b.Stderr, "warning: %s: no module of it may be asked of all these proxies\n", render.LogLine(b.text("go-sum")))
		}
		for _, c := range own {
			if !slices.ContainsFunc(list, func(o probe.Canary) bool { return o.Version == c.Version }) {
				list = append(list, c)
			}
		}
	}
	wanted := b.all("module")
	if len(wanted) == 0 {
		return list, nil
	}
	var chosen []probe.Canary
	for _, name := range wanted {
		i := slices.IndexFunc(list, func(c probe.Canary) bool { return c.Path+"@"+c.Version.Version == name })
		if i < 0 {
			return nil, usagef("name one of "+moduleNames(list)+", or give a go.sum that holds it", "%s: %q is not among the modules that may be asked for", b.from("module"), name)
		}
		chosen = append(chosen, list[i])
	}
	return chosen, nil
}

func moduleNames(list []probe.Canary) string {
	var names []string
	for _, c := range list[:min(len(list), 5)] {
		names = append(names, c.Path+"@"+c.Version.Version)
	}
	return strings.Join(names, ", ")
}

// publish writes the files, and what stdout carries.
func (b *benchRun) publish(res *bench.Result) error {
	for _, f := range b.files {
		data, err := encodeBench(res, f.kind, render.Options{})
		if err == nil {
			err = b.job.WriteFile(f.path, data)
		}
		if err != nil {
			return err
		}
	}
	opt := render.Options{Width: b.Width, Color: b.Width > 0 && b.Getenv("NO_COLOR") == "" && b.Getenv("TERM") != "dumb"}
	if b.Width == 0 {
		opt.Width = ci.LogWidth
	}
	out, err := encodeBench(res, b.format, opt)
	if err != nil {
		return err
	}
	if _, err := b.Stdout.Write(out); err != nil {
		return fmt.Errorf("writing to stdout: %w", err)
	}
	return nil
}

func encodeBench(res *bench.Result, kind string, opt render.Options) ([]byte, error) {
	switch kind {
	case "json":
		return render.EncodeJSON(res)
	case "markdown":
		return res.Markdown(), nil
	case "svg":
		return res.SVG(), nil
	}
	return res.Text(opt), nil
}
