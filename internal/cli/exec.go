package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/agent"
	"github.com/org/goproxy-setup/internal/ci"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/render"
	"github.com/org/goproxy-setup/internal/report"
)

// Exit codes of "agent --exec" that are not the command's.
const (
	exitNoAgent  = 125 // the agent could not start, or wrong options
	exitNotRun   = 126 // the command could not be run
	exitNotFound = 127 // there is no such command
	exitSignal   = 128 // plus the signal that ended the command
)

// execExit gives the errors of "agent --exec" a code that is unlikely to be the
// command's. It guesses if the options were not understood.
func execExit(c *call, exit int) int {
	wanted := c.text("exec") != ""
	if c.values == nil {
		own, _, _ := strings.Cut(strings.Join(c.Args, "\n")+"\n", "\n--\n")
		wanted = slices.ContainsFunc(strings.Split(own, "\n"), func(arg string) bool {
			return strings.HasPrefix(arg, "-") && strings.TrimLeft(arg, "-") == "exec"
		})
	}
	if wanted && (exit == ExitUsage || exit == ExitFailed) {
		return exitNoAgent
	}
	return exit
}

// noExports are the kinds of file that hold settings for later commands.
var noExports = []render.Kind{render.Shell, render.PowerShell, render.Dotenv}

// execAgent runs a command behind an agent of its own, and then reports what
// the agent has served.
func execAgent(ctx context.Context, c *call) (int, error) {
	if len(c.args) == 0 {
		return exitNoAgent, usagef("write \"agent --exec -- go build ./...\"", "--exec: the command is missing")
	}
	r, err := newAgentRun(ctx, c)
	if err != nil {
		return exitNoAgent, err
	}
	for _, w := range r.writes {
		if slices.Contains(noExports, w.Kind) {
			return exitNoAgent, usagef("the command alone gets the settings; write json, markdown, codequality, junit, sarif or warnings-ng",
				"%s: with --exec there is nothing to export as %s", c.from("write"), w.Kind)
		}
	}
	dir, remove, err := execStore(r)
	if err != nil {
		return exitNoAgent, err
	}
	defer remove()
	var journal agent.Journal
	exit, err := r.serveCommand(ctx, dir, &journal)
	if err != nil {
		return exit, err
	}
	// The command's word counts; a signal that ended it is no reason to be silent.
	if err := r.tell(context.WithoutCancel(ctx), &journal); err != nil {
		for line := range strings.Lines(err.Error()) {
			r.job.Log("warning: no report: " + strings.TrimRight(line, "\n"))
		}
	}
	return exit, nil
}

// execStore returns the folder for the agent's files, and what removes it
// afterwards unless the caller has named one.
func execStore(r *agentRun) (dir string, remove func(), err error) {
	if r.text("store") != "" {
		dir, err = storeDir(r.call, r.config.Agent)
		return dir, func() {}, err
	}
	if dir, err = os.MkdirTemp("", "goproxy-setup-agent-"); err != nil {
		return "", nil, err
	}
	return dir, func() {
		if err := os.RemoveAll(dir); err != nil {
			r.log.Warn("temporary store not removed", "err", err)
		}
	}, nil
}

// serveCommand runs the command behind an agent that keeps its files in dir.
// The exit code is the command's if there is no error.
func (r *agentRun) serveCommand(ctx context.Context, dir string, journal *agent.Journal) (int, error) {
	st, err := openStore(dir, r.config.Agent.StoreSize, r.log)
	if err != nil {
		return exitNoAgent, err
	}
	defer st.Close()
	r.config.GoSum = r.goSum()
	a, err := agent.New(st, r.config, r.log, journal.Add)
	if err != nil {
		return exitNoAgent, err
	}
	defer a.Close()
	srv := agent.NewServer(a, agent.Access{}, r.log)
	url, err := srv.Listen(defaultListen)
	if err != nil {
		return exitNoAgent, err
	}
	defer func() {
		// Whoever still asks is a process that the command has left behind.
		gone, cancel := context.WithCancel(context.Background())
		cancel()
		srv.Shutdown(gone)
	}()
	if ctx.Err() != nil {
		return exitNoAgent, context.Cause(ctx)
	}
	was, _, _ := inherited(r.Host)
	settings := decision.ThroughAgent(r.config.Settings, r.config.Agent.Databases, was, url, "")
	exit, err := runCommand(r.call, settings)
	switch {
	case err == nil:
		return exit, nil
	case errors.Is(err, fs.ErrNotExist):
		return exitNotFound, &exitError{usagef("is it on PATH?", "%s: no such command", r.args[0]), exitNotFound}
	}
	return exitNotRun, &exitError{fmt.Errorf("%s: %w", r.args[0], err), exitNotRun}
}

// tell publishes what the agent has served: one line if all went well, and
// otherwise by all means of the CI system.
func (r *agentRun) tell(ctx context.Context, journal *agent.Journal) error {
	rep := journal.Report(r.config.Settings)
	rep.Version, _ = build()
	rep.Findings = append(rep.Findings, r.findings...)
	report.SortFindings(rep.Findings)
	opt := render.Options{Width: cmp.Or(r.ErrWidth, ci.LogWidth)}
	unwritten := r.job.WriteFiles(rep, r.writes, opt)
	// In a run without trouble the table would be noise.
	calm := rep.Outcome == report.OK && !slices.ContainsFunc(rep.Findings, func(f report.Finding) bool { return f.Severity != report.Notice })
	untold := r.job.Publish(ctx, rep, ci.PublishOptions{CheckRun: r.checkRun, TableShown: calm, Width: r.ErrWidth})
	if calm || untold != nil {
		r.job.Log("goproxy-setup: " + rep.Summary)
	}
	return errors.Join(unwritten, untold)
}
