package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/org/goproxy-setup/internal/agent"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/report"
)

// Exit codes of "agent --exec" that are not the command's.
const (
	exitNoAgent  = 125 // the agent could not start
	exitNotRun   = 126 // the command could not be run
	exitNotFound = 127 // there is no such command
	exitSignal   = 128 // plus the signal that ended the command
)

// killDelay is how long a command may take to end after a signal.
const killDelay = 10 * time.Second

// execAgent runs a command behind an agent of its own.
func execAgent(ctx context.Context, c *call) (int, error) {
	if len(c.args) == 0 {
		return exitNoAgent, usagef("write \"agent --exec -- go build ./...\"", "--exec: the command is missing")
	}
	r, err := newAgentRun(ctx, c)
	if err != nil {
		return exitNoAgent, err
	}
	dir := c.text("store")
	if dir == "" {
		if dir, err = os.MkdirTemp("", "goproxy-setup-agent-"); err != nil {
			return exitNoAgent, err
		}
		defer os.RemoveAll(dir)
	} else if dir, err = storeDir(c, r.config.Agent); err != nil {
		return exitNoAgent, err
	}
	st, err := openStore(dir, r.config.Agent.StoreSize, r.log)
	if err != nil {
		return exitNoAgent, err
	}
	defer st.Close()
	r.config.GoSum = r.goSum()
	a, err := agent.New(st, r.config, r.log, nil)
	if err != nil {
		return exitNoAgent, err
	}
	defer a.Close()
	srv := agent.NewServer(a, agent.Access{}, r.log)
	url, err := srv.Listen(defaultListen)
	if err != nil {
		return exitNoAgent, err
	}
	defer srv.Shutdown(context.WithoutCancel(ctx))
	was, _, _ := inherited(r.Host)
	return runBehind(ctx, c, decision.ThroughAgent(r.config.Settings, r.config.Agent.Databases, was, url))
}

// runBehind runs the command with settings added to its environment and
// returns its exit code.
func runBehind(ctx context.Context, c *call, settings []report.Setting) (int, error) {
	cmd := exec.CommandContext(ctx, c.args[0], c.args[1:]...)
	cmd.Dir, cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Dir, c.Stdin, c.Stdout, c.Stderr
	cmd.Env = os.Environ()
	for _, s := range settings {
		cmd.Env = append(cmd.Env, s.Name+"="+s.Value)
	}
	cmd.WaitDelay = killDelay
	cmd.Cancel = func() error {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			return cmd.Process.Kill() // Windows knows no such signal
		}
		return nil
	}
	err := cmd.Run()
	exit, ended := errors.AsType[*exec.ExitError](err)
	switch {
	case err == nil:
		return ExitOK, nil
	case ended:
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return exitSignal + int(status.Signal()), nil
		}
		return exit.ExitCode(), nil
	case errors.Is(err, exec.ErrNotFound), errors.Is(err, fs.ErrNotExist):
		return exitNotFound, usagef("is it on PATH?", "%s: no such command", strings.TrimSpace(c.args[0]))
	}
	return exitNotRun, err
}
