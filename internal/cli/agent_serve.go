package cli

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/org/goproxy-setup/internal/agent"
	"github.com/org/goproxy-setup/internal/render"
	"github.com/org/goproxy-setup/internal/report"
)

// defaultListen is any free port of this machine.
const defaultListen = "127.0.0.1:0"

// After SIGTERM an agent that other machines reach goes on for lameTime, in which
// balancers see that it is not ready; then requests may take drainTime.
const (
	lameTime  = 5 * time.Second
	drainTime = 30 * time.Second
)

// serveAgent serves until it is told to end.
func serveAgent(ctx context.Context, c *call) (exit int, err error) {
	r, err := newAgentRun(ctx, c)
	if err != nil {
		return ExitUsage, err
	}
	r.logFindings(ctx)
	dir, err := storeDir(c, r.config.Agent)
	if err != nil {
		return ExitUsage, err
	}
	hangups := make(chan os.Signal, 1) // before it is ready, lest one kills it
	signal.Notify(hangups, syscall.SIGHUP)
	defer signal.Stop(hangups)
	st, err := openStore(dir, r.config.Agent.StoreSize, r.log)
	if err != nil {
		return ExitFailed, err
	}
	defer st.Close()
	if err := r.withdraw(); err != nil { // of an agent that is gone: the store is ours now
		return ExitFailed, err
	}
	a, err := agent.New(st, r.config, r.log, nil)
	if err != nil {
		return ExitFailed, err
	}
	defer a.Close()
	srv := agent.NewServer(a, r.access, r.log)
	opened := *r
	r.opened = &opened
	urls, err := r.listen(srv)
	if err == nil {
		err = r.announce(urls[0])
	}
	if err != nil {
		srv.Shutdown(ctx)
		return ExitFailed, err
	}
	r.log.Info("ready", "url", strings.Join(urls, " "), "environment", r.config.Settings.Environment, "store", dir)
	for ctx.Err() == nil {
		select {
		case <-hangups:
			r.reload(ctx, a, srv)
		case <-ctx.Done():
		}
	}
	r.drain(ctx, a, srv)
	return ExitOK, nil
}

// drain ends the serving, without cutting a request that is on its way for a
// while.
func (r *agentRun) drain(ctx context.Context, a *agent.Agent, srv *agent.Server) {
	if err := r.withdraw(); err != nil {
		r.log.Warn("the address file was not removed", "err", err)
	}
	a.Drain()
	r.log.Info("draining")
	if slices.ContainsFunc(r.opened.config.Agent.Listen, func(address string) bool { return !agent.OnLoopback(address) }) {
		time.Sleep(lameTime)
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	if err := srv.Shutdown(end); err != nil {
		r.log.Warn("requests were cut", "err", err)
	}
}

// listen opens every listener and returns their URLs.
func (r *agentRun) listen(srv *agent.Server) (urls []string, err error) {
	addresses := r.config.Agent.Listen
	if len(addresses) == 0 {
		addresses = []string{defaultListen}
	}
	for _, address := range addresses {
		url, err := srv.Listen(address)
		if err != nil {
			return nil, usagef("give --listen another address", "%w", err)
		}
		if !agent.OnLoopback(address) && (r.access.Certificate == nil || r.access.Password == "" && r.access.ClientCA == nil) {
			r.log.Warn("listener without TLS and client credentials: it serves nothing private", "address", address)
		}
		urls = append(urls, url)
	}
	return urls, nil
}

// addressFile returns the file for the agent's URL, "" if none is wanted.
func addressFile(c *call) string {
	file := c.text("address-file")
	if file != "" && !filepath.IsAbs(file) {
		file = filepath.Join(c.Dir, file)
	}
	return file
}

// withdraw removes the address file: whoever waits for one waits for this agent.
func (r *agentRun) withdraw() error {
	file := addressFile(r.call)
	if file == "" {
		return nil
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// announce writes the address file: whole, or not at all.
func (r *agentRun) announce(url string) error {
	file := addressFile(r.call)
	if file == "" {
		return nil
	}
	tmp := file + ".tmp"
	if err := os.WriteFile(tmp, []byte(url+"\n"), 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, file)
}

// logFindings says what reading options and policy has brought up.
func (r *agentRun) logFindings(ctx context.Context) {
	levels := map[report.Severity]slog.Level{report.Notice: slog.LevelInfo, report.Warning: slog.LevelWarn, report.Error: slog.LevelError}
	for _, f := range r.findings {
		r.log.Log(ctx, levels[f.Severity], f.Title, "finding", f.ID, "place", f.Place.String(), "message", f.Message, "next", f.Fix)
	}
}

// reload reads the policy again. A bad one changes nothing.
func (r *agentRun) reload(ctx context.Context, a *agent.Agent, srv *agent.Server) {
	next := *r
	fresh := *r.setup
	fresh.findings, next.setup = nil, &fresh
	err := next.read(ctx)
	if err == nil {
		err = a.Reload(next.config)
	}
	if err != nil {
		r.log.Error("the policy was not reloaded; the old one stays in force", "err", err)
		return
	}
	next.logFindings(ctx)
	srv.Renew(next.access)
	r.log.Info("policy reloaded", "environment", next.config.Settings.Environment)
	now, then := next.config.Agent, r.opened.config.Agent
	if !slices.Equal(now.Listen, then.Listen) || now.StoreDir != then.StoreDir || now.StoreSize != then.StoreSize ||
		(now.Cert == "") != (then.Cert == "") || !next.access.ClientCA.Equal(r.opened.access.ClientCA) {
		r.log.Warn("listeners, client_ca and the store change with a restart only")
	}
	*r = next
}

// A logWriter writes lines that no runner takes for commands.
type logWriter struct{ w io.Writer }

func (l logWriter) Write(p []byte) (int, error) {
	if _, err := io.WriteString(l.w, render.LogLine(strings.TrimRight(string(p), "\n"))+"\n"); err != nil {
		return 0, err
	}
	return len(p), nil
}
