package cli

import (
	"cmp"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/org/goproxy-setup/internal/ci"
	"github.com/org/goproxy-setup/internal/policy"
)

// An option can be given as --name VALUE, as the input NAME of an action, and
// as the environment variable GOPROXY_SETUP_NAME; the first of them that is
// not empty counts.
type option struct {
	name   string // as on the command line
	arg    string // placeholder for the value; "" for a switch
	usage  string // one sentence
	repeat bool   // may be given more than once; as input or variable, one value a line
	hidden bool   // no argument: a secret, or set by our templates alone
	flag   bool   // an argument alone: its variable means something else
}

// variable returns the option's environment variable.
func (o option) variable() string {
	return "GOPROXY_SETUP_" + strings.ToUpper(strings.ReplaceAll(o.name, "-", "_"))
}

// values are the options of one invocation, and where each was given.
type values map[string]given

type given struct {
	list []string
	from string // "--name", "input name" or "GOPROXY_SETUP_NAME"
}

// text returns the option's value, "" if it was not given.
func (v values) text(name string) string {
	if g := v[name]; len(g.list) > 0 {
		return g.list[len(g.list)-1]
	}
	return ""
}

// all returns every value of an option that may be repeated.
func (v values) all(name string) []string { return v[name].list }

// from says where an option was given, for messages.
func (v values) from(name string) string { return v[name].from }

// on returns the value of a switch.
func (v values) on(name string) (bool, error) {
	text := v.text(name)
	if text == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(text)
	if err != nil {
		return false, usagef("write true or false", "%s: %q is neither true nor false", v.from(name), text)
	}
	return b, nil
}

// duration returns a time of at least low and at most high, or fallback.
func (v values) duration(name string, low, fallback, high time.Duration) (time.Duration, error) {
	text := v.text(name)
	if text == "" {
		return fallback, nil
	}
	d, err := time.ParseDuration(text)
	if err != nil {
		return 0, usagef("write a number and a unit, such as 12s or 500ms", "%s: %q is no duration", v.from(name), text)
	}
	if d < low || d > high {
		return 0, usagef("", "%s: %s is not between %s and %s", v.from(name), d, low, high)
	}
	return d, nil
}

// number returns an integer from low to high, or fallback.
func (v values) number(name string, low, fallback, high int) (int, error) {
	text := v.text(name)
	if text == "" {
		return fallback, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, usagef("", "%s: %q is no number from %d to %d", v.from(name), text, low, high)
	}
	return n, nil
}

// choice returns one of the words of list, or list[0] if the option was not
// given.
func (v values) choice(name string, list ...string) (string, error) {
	text := v.text(name)
	if text == "" {
		return list[0], nil
	}
	if !slices.Contains(list, text) {
		return "", usagef("write one of "+strings.Join(list, ", "), "%s: unknown value %q", v.from(name), text)
	}
	return text, nil
}

// parse reads the arguments of cmd and fills in inputs and variables. For -h
// it prints the command's usage and returns [flag.ErrHelp].
func parse(h Host, cmd command, args []string) (values, []string, error) {
	v := values{}
	flags := flag.NewFlagSet(cmd.name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.Usage = func() {}
	for _, o := range cmd.options {
		if o.hidden {
			continue
		}
		set := func(s string) error {
			g := v[o.name]
			g.from = "--" + o.name
			if o.repeat {
				g.list = append(g.list, s)
			} else {
				g.list = []string{s}
			}
			v[o.name] = g
			return nil
		}
		if o.arg == "" {
			flags.BoolFunc(o.name, o.usage, set)
		} else {
			flags.Func(o.name, o.usage, set)
		}
	}
	if err := flags.Parse(args); err != nil {
		if err == flag.ErrHelp {
			printCommand(h.Stdout, cmd)
			return nil, nil, err
		}
		return nil, nil, usagef("", "%s: %s", cmd.name, misuse(err))
	}
	system, err := ci.Parse(cmp.Or(v.text("ci"), h.Getenv("GOPROXY_SETUP_CI")), h.Getenv)
	if err != nil {
		return nil, nil, usagef("", "--ci: %w", err)
	}
	for _, o := range cmd.options {
		if v.text(o.name) == "" && !o.flag {
			v.inherit(system, h, o)
		}
	}
	return v, flags.Args(), nil
}

// after reads the options that follow a verb, as people write them.
func (c *call) after(cmd command, args []string) error {
	more, rest, err := parse(c.Host, cmd, args)
	if err != nil {
		return err
	}
	for name, g := range more {
		if strings.HasPrefix(g.from, "--") { // the rest was inherited, once already
			c.values[name] = g
		}
	}
	c.args = rest
	return nil
}

// readingOptions are those of every command that reads settings. A command gives
// its own for those that mean something else to it.
func readingOptions(own ...option) []option {
	list := []option{
		{name: "policy", arg: "FILE", usage: "policy file (default " + policy.FileName + " at the root of the repository)."},
		{name: "policy-inline", arg: "YAML", hidden: true, usage: "the policy itself, for places without files."},
		{name: "environment", arg: "NAME", usage: "environment whose chain is wanted (default: what the CI system says)."},
		{name: "chain", arg: "LIST", usage: "names or URLs of proxies, instead of the policy's chain."},
		{name: "private", arg: "PATTERNS", usage: "patterns of private modules, in addition to the policy's."},
		{name: "go-sum", arg: "FILE", usage: "the build's go.sum, whose modules proxies are checked with (default go.sum)."},
		{name: "timeout", arg: "DURATION", usage: "for the whole step (default 12s)."},
		{name: "working-directory", arg: "DIR", usage: "folder that relative paths start from."},
		{name: "json", usage: "the same as --format json."},
	}
	for i, o := range list {
		if j := slices.IndexFunc(own, func(p option) bool { return p.name == o.name }); j >= 0 {
			list[i] = own[j]
		}
	}
	return list
}

// optionsFirst returns args with the options before all other arguments. It
// leaves everything behind "--" alone.
func optionsFirst(options []option, args []string) []string {
	var first, rest []string
	for len(args) > 0 {
		arg := args[0]
		args = args[1:]
		switch {
		case arg == "--":
			rest = append(rest, args...)
			args = nil
		case len(arg) > 1 && arg[0] == '-':
			first = append(first, arg)
			name := strings.TrimLeft(arg, "-")
			takesValue := slices.ContainsFunc(options, func(o option) bool { return o.name == name && o.arg != "" && !o.hidden })
			switch {
			case takesValue && len(args) > 0:
				first = append(first, args[0])
				args = args[1:]
			case takesValue:
				return first // whose last one has no value: a mistake
			}
		default:
			rest = append(rest, arg)
		}
	}
	return append(append(first, "--"), rest...)
}

// misuse says in our words what package flag says of wrong arguments.
func misuse(err error) string {
	text := err.Error()
	if name, ok := strings.CutPrefix(text, "flag provided but not defined: -"); ok {
		return "unknown option --" + strings.TrimLeft(name, "-")
	}
	if name, ok := strings.CutPrefix(text, "flag needs an argument: -"); ok {
		return "--" + name + " needs a value"
	}
	return text
}

// inherit takes the option's value from an input or from the environment.
func (v values) inherit(system ci.System, h Host, o option) {
	text, from := ci.Lookup(system, h.Getenv, o.name)
	if text == "" {
		delete(v, o.name)
		return
	}
	if strings.HasPrefix(from, "INPUT_") {
		from = "input " + o.name // as the caller wrote it
	}
	g := given{list: []string{text}, from: from}
	if o.repeat {
		g.list = nil
		for line := range strings.Lines(text) {
			if line = strings.TrimSpace(line); line != "" {
				g.list = append(g.list, line)
			}
		}
	}
	v[o.name] = g
}

// printUsage writes the usage of the program.
func printUsage(w io.Writer, all []command) {
	fmt.Fprint(w, "goproxy-setup points Go builds at module proxies that work.\n\nUsage:\n\n\tgoproxy-setup [COMMAND] [OPTIONS]\n\nCommands:\n\n")
	for i, c := range all {
		suffix := ""
		if i == 0 {
			suffix = " (the default)"
		}
		fmt.Fprintf(w, "\t%-10s %s%s\n", c.name, c.summary, suffix)
	}
	fmt.Fprint(w, `
"goproxy-setup COMMAND -h" shows a command's options. Each option is also an
environment variable GOPROXY_SETUP_<NAME>, and most are inputs of the action.

Exit codes: 0 done, a fallback included; 1 ran, and the answer is no, such as no
module proxy that is usable; 2 wrong options or policy file; 3 could not run.
`)
}

// printCommand writes the usage of one command.
func printCommand(w io.Writer, c command) {
	fmt.Fprintf(w, "%s\n\nUsage:\n\n\tgoproxy-setup %s", sentence(c.summary), c.name)
	if len(c.options) > 0 {
		fmt.Fprint(w, " [OPTIONS]")
	}
	if c.usage != "" {
		fmt.Fprint(w, " "+c.usage)
	}
	fmt.Fprint(w, "\n\n")
	if c.help != "" {
		fmt.Fprintf(w, "%s\n\n", c.help)
	}
	section := func(title string, hidden bool) {
		first := true
		for _, o := range c.options {
			if o.hidden != hidden {
				continue
			}
			if first {
				fmt.Fprintf(w, "%s:\n\n", title)
				first = false
			}
			name := "--" + o.name
			if hidden {
				name = o.variable()
			}
			if o.arg != "" {
				name += " " + o.arg
			}
			fmt.Fprintf(w, "\t%s\n\t\t%s\n", name, strings.ReplaceAll(o.usage, "\n", "\n\t\t"))
		}
		if !first {
			fmt.Fprintln(w)
		}
	}
	section("Options", false)
	section("Environment variables and inputs only, never arguments", true)
}

// sentence makes a sentence of a summary.
func sentence(s string) string { return strings.ToUpper(s[:1]) + s[1:] + "." }
