package cli

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/agent"
	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/netrc"
	"github.com/org/goproxy-setup/internal/policy"
)

func agentCommand() command {
	return command{
		name: "agent", summary: "serve one module proxy URL in front of all proxies of the chain",
		usage: "[healthcheck [URL] | gc | import DIR | verify | forget MODULE@VERSION | -- COMMAND…]",
		help: `The agent answers the go command from its store, or from the proxies of the
policy's chain: it fails over by the kind of failure, judges every file before
it is served, and never calls an outage "not found". SIGTERM drains it, SIGHUP
makes it read the policy again.

	goproxy-setup agent --listen 127.0.0.1:8765
	goproxy-setup agent --exec -- go build ./...

With --exec it serves one command, on a port of its own, and ends with it. The
go.sum at hand vouches for what the command gets. Afterwards one line says where
modules came from, and if a proxy failed, a report says so by the CI system's
means. The exit code is the command's, 128 and the signal's number if a signal
ended it, or 125 if the agent could not start, 126 if the command could not be
run and 127 if there is none of that name.

Without a policy file the GOPROXY that is set is the chain, and if none is set, the
public chain.

healthcheck asks a running agent whether it is well. For the others no agent may
use the store: gc removes the files used least recently, import takes over those
of a GOMODCACHE, verify reads every file again, forget drops the hash that a
private module had at its first use.

Exit codes of these: 0 done; 1 not well, not enough removed, a file refused or
wrong, no such hash; 2 wrong options or policy file, no store, or one in use; 3
could not run.`,
		options: append(agentReading(),
			option{name: "listen", arg: "ADDRESS", repeat: true, usage: "IP:PORT to listen on, instead of the policy's; may be repeated\n(default " + defaultListen + ", any free port). healthcheck: to ask."},
			option{name: "address-file", arg: "FILE", usage: "write the agent's URL to FILE when it is ready, and remove it at the end.\nhealthcheck: read it there."},
			option{name: "store", arg: "DIR", usage: "folder for its files, instead of the policy's (default: in the user's cache folder;\nwith --exec a temporary one)."},
			option{name: "exec", usage: "run the command after \"--\" behind a temporary agent."},
			option{name: "max-size", arg: "SIZE", usage: "gc: what is left at most, such as 5GB (default: the policy's store.max_size)."},
			option{name: "remove", usage: "verify: remove what is wrong."},
			option{name: "log", arg: "FORMAT", usage: "text (the default) or json. With --exec warnings only, if not given."},
			option{name: "ci", arg: "SYSTEM", usage: "CI system: auto (the default), github, gitlab, jenkins, forgejo or none."},
			option{name: "write", arg: "KIND=PATH", repeat: true, usage: "with --exec: also write the report to a file; may be repeated. Kinds: json,\nmarkdown, codequality, junit, sarif, warnings-ng."},
			option{name: "check-run", usage: "with --exec on GitHub, also publish a check run (needs \"checks: write\")."},
			option{name: "credential-host", arg: "NAME=HOST", repeat: true, usage: "let the secret ${NAME} of the policy be sent to HOST; may be repeated."},
			option{name: "allow-downgrade", usage: "permit \"sumdb: off\" in the policy."},
			option{name: "credentials", arg: "NAME=VALUE", repeat: true, hidden: true, usage: "secrets for the policy's ${NAME}, one a line; variables of their own serve as well."},
			option{name: "github-token", arg: "TOKEN", hidden: true, usage: "for the job's environment and the policy of a pull request's base (default GITHUB_TOKEN)."},
		),
		run:  runAgent,
		exit: execExit,
	}
}

func runAgent(ctx context.Context, c *call) (int, error) {
	exec, err := c.on("exec")
	if err != nil {
		return ExitUsage, err
	}
	switch {
	case exec:
		if err := meaningful(c, execing); err != nil {
			return ExitUsage, err
		}
		return execAgent(ctx, c)
	case len(c.args) == 0:
		if err := meaningful(c, serving); err != nil {
			return ExitUsage, err
		}
		return serveAgent(ctx, c)
	}
	verb := c.args[0]
	if err := c.after(agentCommand(), c.args[1:]); err != nil {
		return ExitOK, err
	}
	verbs := map[string]struct {
		args int // at most
		run  func(context.Context, *call) (int, error)
	}{
		"healthcheck": {1, healthcheck}, "gc": {0, collectStore}, "import": {1, importStore}, "verify": {0, verifyStore}, "forget": {1, forgetPin},
	}
	v, ok := verbs[verb]
	switch {
	case !ok:
		return ExitUsage, usagef("write \"agent --exec -- COMMAND\" to run a command behind an agent", "agent: unknown verb %q", verb)
	case len(c.args) > v.args:
		return ExitUsage, usagef("", "unexpected argument %q", c.args[v.args])
	}
	if err := meaningful(c, verb); err != nil {
		return ExitUsage, err
	}
	return v.run(ctx, c)
}

// agentReading are the options that say what the agent serves.
func agentReading() []option {
	list := readingOptions(
		option{name: "go-sum", arg: "FILE", usage: "what vouches for files: with --exec the build's go.sum (default go.sum), and\nimport refuses what differs from it."},
		option{name: "timeout", arg: "DURATION", usage: "for asking the CI system for the environment (default 12s); healthcheck: for\nthe answer (default 5s)."},
	)
	return slices.DeleteFunc(list, func(o option) bool { return o.name == "json" })
}

// Ways to call the agent that have no verb.
const serving, execing = "agent", "--exec"

// meaningful refuses arguments that mean nothing to a way of calling the agent.
// Variables are no arguments: they may be there for another call.
func meaningful(c *call, way string) error {
	where := map[string][]string{
		"environment": {serving, execing}, "chain": {serving, execing}, "private": {serving, execing}, "credential-host": {serving, execing},
		"allow-downgrade": {serving, execing}, "log": {serving, execing}, "timeout": {serving, execing, "healthcheck"},
		"listen": {serving, "healthcheck"}, "address-file": {serving, "healthcheck"},
		"go-sum": {execing, "import"}, "write": {execing}, "check-run": {execing},
		"store": {serving, execing, "gc", "import", "verify", "forget"}, "max-size": {"gc"}, "remove": {"verify"},
	}
	for _, o := range agentCommand().options {
		if ways := where[o.name]; ways != nil && strings.HasPrefix(c.from(o.name), "--") && !slices.Contains(ways, way) {
			return usagef("leave it out", "%s: --%s means nothing here", way, o.name)
		}
	}
	return nil
}

// An agentRun is what an agent is made of, as options and policy say.
type agentRun struct {
	*setup
	policy *loaded
	config agent.Config
	access agent.Access
	log    *slog.Logger
	opened *agentRun // with what listeners and store were opened; nil with --exec
}

// newAgentRun reads options and policy.
func newAgentRun(ctx context.Context, c *call) (*agentRun, error) {
	s, err := newSetup(c)
	if err != nil {
		return nil, err
	}
	r := &agentRun{setup: s}
	if c.text("exec") == "" {
		// Its log is a file more often than not, where "::add-mask::" would be
		// the only place that shows a secret.
		quiet := c.Host
		quiet.Stderr = io.Discard
		s.job = openJob(s.job.System, quiet)
	}
	format, err := c.choice("log", "text", "json")
	if err != nil {
		return nil, err
	}
	w, opt := logWriter{c.Stderr}, &slog.HandlerOptions{}
	if c.text("exec") != "" && c.text("log") == "" {
		opt.Level = slog.LevelWarn // the log is the command's
	}
	r.log = slog.New(slog.NewTextHandler(w, opt))
	if format == "json" {
		r.log = slog.New(slog.NewJSONHandler(w, opt))
	}
	return r, r.read(ctx)
}

// read reads what a reload reads again.
func (r *agentRun) read(ctx context.Context) error {
	p, err := loadPolicy(ctx, r.call, r.job)
	if err != nil {
		return err
	}
	r.policy = p
	r.findings = append(r.findings, p.findings...)
	was, goproxy, _ := inherited(r.Host)
	chain, kept, err := r.chain(goproxy)
	if err != nil {
		return err
	}
	set, err := r.settings(ctx, p, chain)
	switch {
	case err != nil && kept:
		return notKept(err)
	case err != nil:
		return err
	case kept:
		asGoWould(&set, goproxy, was)
	}
	if set.SumDB == policy.SumDBOff && !r.allowDowngrade {
		return usagef("give --allow-downgrade, or remove it from the policy", "%s: \"sumdb: off\" needs a permission from outside the policy file", p.Name())
	}
	if err := r.trust(p, &set); err != nil {
		return err
	}
	r.config = agent.Config{
		Settings: &set, Agent: p.Agent(), Getenv: r.Getenv,
		Private: decision.PrivatePatterns(&decision.Input{Inherited: was}), Unlisted: was.GONOSUMDB,
		Credentials: func(e policy.Entry) (string, string, bool) {
			l, ok := r.creds[e.Name]
			return l.user, l.password, ok
		},
		RootCAs: r.rootCAs, Netrc: netrc.Parse(r.netrcText()),
	}
	if p.builtIn {
		r.heedSumDB(was.GOSUMDB)
	}
	if list := r.all("listen"); len(list) > 0 {
		r.config.Agent.Listen = list
	}
	r.access, err = r.clients()
	return err
}

// clients returns who may come in from elsewhere.
func (r *agentRun) clients() (a agent.Access, err error) {
	g := r.config.Agent
	if g.Cert == "" {
		return a, nil
	}
	fail := func(key string, err error) (agent.Access, error) {
		return a, usagef("", "%s: agent.%s: %w", g.Places[key], key, err)
	}
	cert, err := r.policy.read(g.Cert)
	if err != nil {
		return fail("tls.cert", err)
	}
	key, err := r.policy.read(g.Key)
	if err != nil {
		return fail("tls.key", err)
	}
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return fail("tls.cert", err)
	}
	a.Certificate = &pair
	if g.ClientCA != "" {
		pem, err := r.policy.read(g.ClientCA)
		if err != nil {
			return fail("tls.client_ca", err)
		}
		if a.ClientCA = x509.NewCertPool(); !a.ClientCA.AppendCertsFromPEM(pem) {
			return fail("tls.client_ca", errors.New("it holds no certificate"))
		}
	}
	for _, t := range []struct {
		key, template string
		into          *string
	}{{"username", g.Username, &a.Username}, {"password", g.Password, &a.Password}} {
		// The agent's own secrets are sent nowhere: they need no binding.
		*t.into, err = policy.Expand(t.template, func(name string) (string, error) {
			if v := r.Getenv(name); v != "" {
				return v, nil
			}
			return "", fmt.Errorf("the variable %s is not set", name)
		})
		if err != nil {
			return fail(t.key, err)
		}
	}
	return a, nil
}

// storeDir returns the folder of the agent's files.
func storeDir(c *call, a policy.Agent) (string, error) {
	dir := c.text("store")
	switch {
	case dir != "":
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(c.Dir, dir)
		}
		return dir, nil
	case a.StoreDir != "":
		return a.StoreDir, nil
	case c.CacheDir == "":
		return "", usagef("give --store DIR", "there is no cache folder for this user")
	}
	return filepath.Join(c.CacheDir, "goproxy-setup", "store"), nil
}

// openStore opens the store of a run.
func openStore(dir string, size int64, log *slog.Logger) (*store.Store, error) {
	s, err := store.Open(dir, store.Options{MaxBytes: size, Log: log})
	if errors.Is(err, store.ErrLocked) {
		return nil, usagef("stop the other agent, or give --store another folder", "%w", err)
	}
	if errors.Is(err, store.ErrVersion) {
		return nil, usagef("", "%w", err)
	}
	return s, err
}
