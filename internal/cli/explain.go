package cli

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/ci"
	"github.com/org/goproxy-setup/internal/explain"
	"github.com/org/goproxy-setup/internal/files"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/netrc"
	"github.com/org/goproxy-setup/internal/render"
	"github.com/org/goproxy-setup/internal/report"
)

// usualWhen is what --when is if a table is wanted and none is given.
const usualWhen = "404,403,502,timeout,silent,html,cut-zip"

func explainCommand() command {
	return command{
		name: "explain", summary: "say what go does with these settings, and why",
		usage: "[MODULE[@VERSION]] [GOPROXY-LIST]",
		help: `Explain asks nobody. It reads the settings of this machine, each with the place
that it comes from, and says where go would look for a module and in which order.
With --policy, --environment or --chain it explains what setup would export if
every proxy were healthy; a GOPROXY list as argument is taken as it is.

--when is the truth table: what becomes of each kind of file if a proxy fails so.
--command says which requests a go command makes, and which failures kill it.
--lint says what is wrong with the settings; docs/lint.md lists its rules.`,
		options: append(readingOptions(
			option{name: "environment", arg: "NAME", usage: "environment to explain (default \"default\", with --policy or --chain)."},
			option{name: "go-sum", arg: "FILE", usage: "the build's go.sum, which tells how many files it needs, and what vouches\nfor them (default the one beside go.mod)."},
			option{name: "timeout", arg: "DURATION", usage: "for asking the go command for its settings (default 12s)."},
			option{name: "json", usage: "print JSON."},
		),
			option{name: "when", arg: "LIST", usage: "statuses and words: " + strings.Join(explain.Words()[1:6], ", ") + ",\n" + strings.Join(explain.Words()[6:12], ", ") + ",\n" + strings.Join(explain.Words()[12:], ", ") + "."},
			option{name: "command", arg: "NAME", flag: true, usage: "build, vendor, download, graph, updates, get, get-latest, install\nor toolchain."},
			option{name: "lint", usage: "check the settings; exit 1 if there is an error among the findings."},
			option{name: "write", arg: "KIND=PATH", repeat: true, usage: "with --lint, also write a file: sarif, codequality,\nwarnings-ng, json or markdown; may be repeated."},
			option{name: "ci", arg: "SYSTEM", usage: "CI system: auto (the default), github, gitlab, jenkins, forgejo or none."},
		),
		mixed: true,
		run:   runExplain,
	}
}

// An explanation is the result of one run, in its JSON form.
type explanation struct {
	Schema   int                    `json:"schema"`
	Command  string                 `json:"command"`
	Version  string                 `json:"version"`
	Settings []explain.Setting      `json:"settings"`
	Refused  string                 `json:"refused,omitempty"` // why go refuses GOPROXY altogether
	Route    *explain.Route         `json:"route,omitempty"`
	Table    *explain.Table         `json:"table,omitempty"`
	Needs    *explain.CommandReport `json:"needs,omitempty"` // of --command
	Size     *explain.Size          `json:"size,omitempty"`  // what the waiting time depends on
	Waits    []explain.Wait         `json:"waits,omitempty"`
}

// An explaining is one run of the command.
type explaining struct {
	*call
	explain.Input
	job   *ci.Job
	query *explain.Query // nil if no module was named
	over  bool           // the settings are not those of this machine alone
	root  string         // folder of go.mod, "" if there is none
	// mistakes are those of files that go reads, too; "--lint" does without them.
	mistakes []error
}

func runExplain(ctx context.Context, c *call) (int, error) {
	timeout, err := c.duration("timeout", 100*time.Millisecond, 12*time.Second, 10*time.Minute)
	if err != nil {
		return ExitUsage, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	x, err := newExplaining(ctx, c)
	if err != nil {
		return ExitFailed, err
	}
	lint, err := c.on("lint")
	if err != nil {
		return ExitUsage, err
	}
	if lint {
		return x.lint(ctx)
	}
	if len(x.mistakes) > 0 {
		return ExitFailed, x.mistakes[0]
	}
	if len(c.all("write")) > 0 {
		return ExitUsage, usagef("add --lint, or use --json", "%s: only findings of --lint can be written to files", c.from("write"))
	}
	if _, err := goenv.ParseFlags(x.Sources.Lookup("GOFLAGS").Value); err != nil {
		return ExitUsage, usagef("mend it, or run explain --lint", "%s: %w", x.Sources.Lookup("GOFLAGS").Place(), err)
	}
	e, err := x.explain()
	if err != nil {
		return ExitUsage, err
	}
	asJSON, err := c.on("json")
	if err != nil {
		return ExitUsage, err
	}
	if asJSON {
		out, err := render.EncodeJSON(e)
		if err == nil {
			_, err = c.Stdout.Write(out)
		}
		return ExitOK, err
	}
	_, err = c.Stdout.Write(x.document(e).Text(x.screen()))
	return ExitOK, err
}

// newExplaining reads all that the command depends on.
func newExplaining(ctx context.Context, c *call) (x *explaining, err error) {
	x = &explaining{call: c}
	system, err := ci.Parse(c.text("ci"), c.Getenv)
	if err != nil {
		return nil, usagef("", "%s: %w", c.from("ci"), err)
	}
	if dir := c.text("working-directory"); dir != "" {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(c.Dir, dir)
		}
		c.Dir = dir
	}
	x.job = openJob(system, c.Host)
	x.Sources, err = goSources(ctx, c.Host)
	x.note(err)
	if err := x.arguments(); err != nil {
		return nil, err
	}
	if err := x.overrides(); err != nil {
		return nil, err
	}
	x.mainModule()
	if err = x.sums(); err != nil && x.text("go-sum") != "" {
		return nil, err
	}
	x.note(err)
	text, file := netrcFile(c.Host)
	x.Netrc, x.NetrcName = netrc.Parse(text), file
	return x, nil
}

// arguments tells a GOPROXY list from a module.
func (x *explaining) arguments() error {
	list := ""
	for _, arg := range x.args {
		isList := arg == "direct" || arg == "off" || strings.Contains(arg, "://") || strings.ContainsAny(arg, ",|")
		switch {
		case isList && list != "", !isList && x.query != nil:
			return usagef("", "unexpected argument %q", arg)
		case !isList:
			q, err := explain.ParseQuery(arg)
			if err != nil {
				return usagef("write MODULE or MODULE@VERSION, as in github.com/acme/tool@v1.2.3", "%w", err)
			}
			x.query = &q
			continue
		}
		if _, err := goenv.ParseWhole(arg); err != nil {
			return usagef("go would refuse the whole list", "%w", err)
		}
		list = arg
		x.over = true
		x.Sources.Over = append(x.Sources.Over, goenv.Setting{Name: "GOPROXY", Value: arg, Origin: "argument"})
	}
	return nil
}

// note keeps a mistake in a file that go reads, too.
func (x *explaining) note(err error) {
	if err != nil {
		x.mistakes = append(x.mistakes, err)
	}
}

// mainModule reads go.mod and go.work as the go command finds them.
func (x *explaining) mainModule() {
	goMod, goWork, root, err := moduleFiles(x.Dir, x.Sources.Lookup("GOWORK").Value)
	x.note(err)
	x.root = root
	if x.Main, err = explain.ParseMain(goMod, goWork); err != nil {
		x.note(usagef("mend the file; go refuses it, too", "%w", err))
	}
}

// moduleFiles returns the go.mod and go.work that the go command finds in dir,
// and the folder of the former, "" if there is none. goWork is the value of
// GOWORK.
func moduleFiles(dir, goWork string) (mod, work explain.File, root string, err error) {
	if mod, root, err = upwards(dir, "go.mod"); err != nil {
		return mod, work, root, err
	}
	switch {
	case goWork == "off":
	case goWork == "" || goWork == "auto":
		work, _, err = upwards(dir, "go.work")
	case !filepath.IsAbs(goWork):
		err = usagef("write an absolute path, or unset it", "GOWORK=%s: go refuses a relative path", goWork)
	default:
		work.Name = relative(dir, goWork)
		if work.Data, err = readFile(goWork, 16<<20); err != nil {
			err = usagef("correct GOWORK, or unset it", "reading GOWORK: %w", err)
		}
	}
	return mod, work, root, err
}

// upwards finds a file in dir or the nearest folder above, and returns it with
// its folder.
func upwards(dir, name string) (explain.File, string, error) {
	path := files.Nearest(dir, name)
	if path == "" {
		return explain.File{}, "", nil
	}
	data, err := readFile(path, 16<<20)
	return explain.File{Name: relative(dir, path), Data: data}, filepath.Dir(path), err
}

// sums reads the build's go.sum: the one named, or the one beside go.mod.
func (x *explaining) sums() error {
	file := x.text("go-sum")
	named := file != ""
	if !named {
		if x.root == "" {
			return nil
		}
		file = filepath.Join(x.root, "go.sum")
	} else if !filepath.IsAbs(file) {
		file = filepath.Join(x.Dir, file)
	}
	x.GoSumName = relative(x.Dir, file)
	data, err := readFile(file, 32<<20)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return usagef("name the build's go.sum", "%s: %s does not exist", x.from("go-sum"), x.GoSumName)
	case err != nil:
		return err
	}
	if x.GoSum, err = checksum.ParseGoSum(x.GoSumName, data); err != nil {
		return usagef("mend the file, or remove it and run go mod tidy", "%s", firstLine(err))
	}
	return nil
}

// explain puts the answer together.
func (x *explaining) explain() (*explanation, error) {
	e := &explanation{Schema: report.Schema, Command: "explain", Settings: explain.Settings(x.Sources)}
	e.Version, _ = build()
	var q explain.Query
	if x.query != nil {
		q = *x.query
		r := x.Find(q)
		e.Route = &r
	}
	words := x.text("when")
	name := x.text("command")
	if words == "" && x.query != nil && name == "" {
		return e, nil
	}
	if words == "" {
		words = usualWhen
	}
	when, err := explain.ParseWhen(words)
	if err != nil {
		return nil, usagef("", "--when: %w", err)
	}
	chain, err := goenv.ParseWhole(x.Sources.Lookup("GOPROXY").Value)
	if err != nil {
		e.Refused = err.Error()
		return e, nil
	}
	database, err := goenv.ParseSumDB(x.Sources.Lookup("GOSUMDB").Value)
	t := explain.TruthTable(chain, when, x.Vouch(q), err == nil && !database.Off && database.URL == "")
	e.Table = &t
	if name != "" {
		command, err := explain.FindCommand(name)
		if err != nil {
			return nil, usagef("", "--command: %w", err)
		}
		r := command.Report(t)
		e.Needs = &r
	}
	if size := x.size(); size.Mods > 0 {
		e.Size = &size
		e.Waits = explain.Waits(chain, when, size)
	}
	return e, nil
}

// size counts the modules of go.sum.
func (x *explaining) size() explain.Size {
	s := explain.Size{Workers: runtime.GOMAXPROCS(0)}
	if x.GoSum == nil {
		return s
	}
	type file struct {
		module.Version
		goMod bool
	}
	seen := map[file]bool{}
	for _, sum := range x.GoSum.Sums {
		f := file{sum.Module, sum.GoMod}
		if seen[f] {
			continue
		}
		seen[f] = true
		if sum.GoMod {
			s.Mods++
		} else {
			s.Zips++
		}
	}
	return s
}
