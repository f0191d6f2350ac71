// Package cli is the program as a function of a [Host]: options, wiring and
// exit codes, one file for each subcommand. Rules live in the packages below
// it; nothing else prints errors or picks an exit code.
package cli

import (
	"io"
	"os"
	"os/signal"
	"syscall"

	"context"

	"golang.org/x/term"
)

// Exit codes are part of the interface: CI templates branch on them.
const (
	ExitOK     = 0 // done; choosing a fallback chain still counts as done
	ExitNo     = 1 // ran, and the answer is no: nothing usable
	ExitUsage  = 2 // options or policy file: fix the input and run again
	ExitFailed = 3 // could not run: disk, permissions, interrupted, a bug
)

// A Host is everything the program touches outside itself, but for files,
// which are named by arguments, and the network.
type Host struct {
	Args   []string            // without the program name
	Getenv func(string) string // of the process
	// LookupEnv tells a variable that is empty from one that is not there; nil
	// if that is not known.
	LookupEnv      func(string) (string, bool)
	Environ        []string // the same as a list, for commands that are run; nil is the process's
	Dir            string   // the working directory, absolute
	Home           string   // the user's home directory, "" if there is none
	TempDir        string   // for files that later steps read, if the CI names no place
	CacheDir       string   // the user's cache directory, "" if there is none
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// Width and ErrWidth are the widths of the terminals that Stdout and
	// Stderr are, in columns; 0 for what is none.
	Width, ErrWidth int
	// Interactive says that a person answers questions on Stdin.
	Interactive bool
}

// FromOS returns the host that this process runs on.
func FromOS() Host {
	h := Host{
		Args: os.Args[1:], Getenv: os.Getenv, LookupEnv: os.LookupEnv, TempDir: os.TempDir(),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
	}
	h.Dir, _ = os.Getwd()
	h.Home, _ = os.UserHomeDir()
	h.CacheDir, _ = os.UserCacheDir()
	h.Width, h.ErrWidth = width(os.Stdout), width(os.Stderr)
	h.Interactive = term.IsTerminal(int(os.Stdin.Fd()))
	return h
}

// width returns the width of the terminal that f is, 0 if it is none.
func width(f *os.File) int {
	columns, _, err := term.GetSize(int(f.Fd()))
	if err != nil {
		return 0
	}
	return columns
}

// untilSignal returns a context that ends with the first SIGINT or SIGTERM. A
// second one kills the process, as without us.
func untilSignal(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // or the second one would be swallowed, too
	return ctx, stop
}
