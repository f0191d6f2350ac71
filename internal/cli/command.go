package cli

import (
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/term"

	"github.com/org/goproxy-setup/internal/report"
)

// killDelay is how long a command may take to end after SIGTERM, and its
// streams after it has ended.
const killDelay = 10 * time.Second

// runCommand runs the command that follows the options, with settings added to
// its environment, and returns its exit code. Its streams are our own. An error
// means that it did not run; it matches [fs.ErrNotExist] if there is none of
// that name.
func runCommand(c *call, settings []report.Setting) (int, error) {
	cmd := exec.Command(c.args[0], c.args[1:]...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Dir, c.Stdin, c.Stdout, c.Stderr
	cmd.Env = slices.DeleteFunc(os.Environ(), ours)
	for _, s := range settings {
		cmd.Env = append(cmd.Env, s.Name+"="+s.Value)
	}
	cmd.WaitDelay = killDelay
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return 0, os.ErrNotExist
		}
		return 0, err
	}
	ended := make(chan struct{})
	passed := make(chan struct{})
	go func() {
		defer close(passed)
		passOn(cmd.Process, signals, ended, interactive(c))
	}()
	err := cmd.Wait()
	close(ended)
	<-passed
	if state := cmd.ProcessState; state != nil { // also if only a stream was left open
		if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return exitSignal + int(status.Signal()), nil
		}
		return state.ExitCode(), nil
	}
	return 0, err
}

// ours reports whether a variable holds secrets that were given to this program
// alone: the command and the tests that it runs have no need of them.
func ours(variable string) bool {
	return strings.HasPrefix(variable, "GOPROXY_SETUP_CREDENTIALS=") || strings.HasPrefix(variable, "GOPROXY_SETUP_GITHUB_TOKEN=")
}

// interactive reports whether a terminal sends its signals to the command, too.
func interactive(c *call) bool {
	in, ok := c.Stdin.(*os.File)
	return ok && term.IsTerminal(int(in.Fd())) || c.ErrWidth > 0 || c.Width > 0
}

// passOn passes signals on to a process until it has ended. A terminal has sent
// its interrupt and hang-up to the process already. Whoever does not obey
// SIGTERM is killed.
func passOn(p *os.Process, signals <-chan os.Signal, ended <-chan struct{}, interactive bool) {
	var kill <-chan time.Time
	for {
		select {
		case <-ended:
			return
		case <-kill:
			p.Kill()
		case s := <-signals:
			if interactive && s != syscall.SIGTERM {
				continue
			}
			if err := p.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
				p.Kill() // Windows knows no other signal
			}
			if s == syscall.SIGTERM && kill == nil {
				kill = time.After(killDelay)
			}
		}
	}
}
