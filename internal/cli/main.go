package cli

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/render"
)

// A command is one subcommand.
type command struct {
	name    string
	summary string // one line for the program's usage
	usage   string // arguments, after the options
	help    string // paragraphs before the options
	options []option
	mixed   bool // options may follow arguments, as people write them
	run     func(ctx context.Context, c *call) (exit int, err error)
	// failed, if not nil, is told of every exit with an error, wrong options
	// included.
	failed func(c *call, exit int)
	// exit, if not nil, translates the exit code of an error.
	exit func(c *call, exit int) int
}

// commands returns the subcommands in the order of the program's usage. The
// first one runs when none is named.
func commands() []command {
	return []command{setupCommand(), policyCommand(), explainCommand(), doctorCommand(), probeCommand(), benchCommand(), agentCommand(), versionCommand()}
}

// A call is one invocation of a command.
type call struct {
	Host
	values
	args []string // after the options
}

// usageError is a mistake in the arguments or in a file that the caller wrote:
// exit 2.
type usageError struct {
	err  error
	hint string // what to do, "" if the error says it
}

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(hint, format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...), hint}
}

// Main runs the program and returns its exit code.
func Main(ctx context.Context, h Host) (exit int) {
	ctx, stop := untilSignal(ctx)
	defer stop()
	cmd, args, err := find(h)
	c := &call{Host: h}
	defer func() {
		if v := recover(); v != nil {
			fmt.Fprintf(h.Stderr, "goproxy-setup: bug: %s\n%s", render.LogLine(fmt.Sprint(v)), debug.Stack())
			exit = cmd.translate(c, ExitFailed)
			cmd.fail(c, exit)
		}
	}()
	if err == nil {
		exit, err = invoke(ctx, c, cmd, args)
	}
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return exit
	}
	exit = cmd.translate(c, printError(c, cmd, err))
	cmd.fail(c, exit)
	return exit
}

// printError prints an error and returns the exit code that goes with it.
func printError(c *call, cmd command, err error) int {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(c.Stderr, "goproxy-setup: %s\n", render.LogLine(strings.TrimRight(line, "\n")))
	}
	u, ok := errors.AsType[*usageError](err)
	if !ok {
		return code(err, ExitFailed)
	}
	hint := u.hint
	if hint == "" {
		hint = strings.TrimSpace("run \"goproxy-setup "+cmd.name) + " -h\" for its options"
	}
	fmt.Fprintf(c.Stderr, "hint: %s\n", render.LogLine(hint))
	return code(err, ExitUsage)
}

// An exitError is an error with an exit code of its own.
type exitError struct {
	err  error
	code int
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// code returns the exit code of an error that has one, and fallback for others.
func code(err error, fallback int) int {
	if e, ok := errors.AsType[*exitError](err); ok {
		return e.code
	}
	return fallback
}

func (cmd command) translate(c *call, exit int) int {
	if cmd.exit != nil {
		return cmd.exit(c, exit)
	}
	return exit
}

func (cmd command) fail(c *call, exit int) {
	if cmd.failed != nil {
		cmd.failed(c, exit)
	}
}

// find returns the command that the arguments name. An action's container has
// no arguments: there GOPROXY_SETUP_COMMAND may name one.
func find(h Host) (command, []string, error) {
	all, args := commands(), h.Args
	if len(args) == 0 || strings.HasPrefix(args[0], "-") {
		switch name := h.Getenv("GOPROXY_SETUP_COMMAND"); {
		case len(args) > 0 && slices.Contains([]string{"-h", "-help", "--help"}, args[0]):
			printUsage(h.Stdout, all)
			return command{}, nil, flag.ErrHelp
		case name != "":
			args = append(strings.Fields(name), args...)
		default:
			return all[0], args, nil
		}
	}
	var names []string
	for _, c := range all {
		if c.name == args[0] {
			return c, args[1:], nil
		}
		names = append(names, c.name)
	}
	if args[0] == "help" {
		printUsage(h.Stdout, all)
		return command{}, nil, flag.ErrHelp
	}
	return command{}, nil, usagef("the commands are "+strings.Join(names, ", ")+"; \"goproxy-setup -h\" says more", "unknown command %q", args[0])
}

func invoke(ctx context.Context, c *call, cmd command, args []string) (exit int, err error) {
	if cmd.mixed {
		args = optionsFirst(cmd.options, args)
	}
	if c.values, c.args, err = parse(c.Host, cmd, args); err != nil {
		return ExitOK, err
	}
	if cmd.usage == "" && len(c.args) > 0 {
		return ExitUsage, usagef("", "unexpected argument %q", c.args[0])
	}
	return cmd.run(ctx, c)
}
