package cli

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/netrc"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/probe"
	"github.com/org/goproxy-setup/internal/report"
)

// input gathers everything but evidence: the policy, the environment's name
// and settings, credentials and certificates.
func (s *setup) input(ctx context.Context) (*decision.Input, error) {
	in := &decision.Input{Container: s.job.Container, AllowDowngrade: s.allowDowngrade}
	var goproxy string
	var hidden bool
	in.Inherited, goproxy, hidden = inherited(s.Host)
	p, err := loadPolicy(ctx, s.call, s.job)
	if err != nil {
		return nil, err
	}
	s.findings = append(s.findings, p.findings...)
	if in.Agent, err = s.runningAgent(p); err != nil {
		return nil, err
	}
	chain := s.text("chain")
	if p.builtIn && chain == "" && s.only == nil && goproxy != "" && !s.override {
		in.Keep = true
		if s.creds, chain, err = splitChain(goproxy); err != nil {
			return nil, usagef("mend GOPROXY, or give --override", "%w", err)
		}
	}
	if in.Settings, err = s.settings(ctx, p, chain); err != nil && in.Keep {
		in.Settings, err = s.unchecked(ctx, p, err)
	}
	if err != nil {
		return nil, err
	}
	if in.Keep && in.Agent != nil {
		asGoWould(&in.Settings, goproxy, in.Inherited)
	}
	if hidden && (!in.Keep || in.Agent != nil) && in.Settings.Mode != policy.Enforced { // else it is not exported
		return nil, usagef("put them into the file that NETRC names", "GOSUMDB holds credentials, which would stand in the exported value")
	}
	if err := s.trust(p, &in.Settings); err != nil {
		return nil, err
	}
	return in, nil
}

// settings picks the environment and fills in its settings.
func (s *setup) settings(ctx context.Context, l *loaded, chain string) (policy.Settings, error) {
	p := l.Policy
	var err error
	if chain != "" {
		if p, err = policy.FromChain(chain, p); err != nil {
			return policy.Settings{}, &usageError{err: err}
		}
	}
	if private := s.text("private"); private != "" {
		if p, err = p.WithPrivate(private); err != nil {
			return policy.Settings{}, &usageError{err: err}
		}
	}
	choice, err := s.choose(ctx, p, l.proposed)
	if err != nil {
		return policy.Settings{}, l.unknown(err)
	}
	set, err := p.Settings(choice, s.Getenv)
	if err != nil {
		return policy.Settings{}, &usageError{err: err}
	}
	if s.only != nil {
		if set.Chain, err = p.Lookup(s.only...); err != nil {
			return policy.Settings{}, &usageError{err: err}
		}
	}
	if chain != "" {
		for i := range set.Chain {
			set.Chain[i].Place = report.Place{} // an option is no file to annotate
		}
	}
	if s.onFallback != "" {
		set.OnFallback = policy.OnFallback(s.onFallback)
	}
	if s.strategy != "" {
		set.Strategy = policy.Strategy(s.strategy)
	}
	return set, nil
}

// unchecked returns settings without a chain for a GOPROXY that go takes and we
// would not write, such as one with a token in its query: it is somebody's
// choice, so it is left alone as well.
func (s *setup) unchecked(ctx context.Context, p *loaded, why error) (policy.Settings, error) {
	set, err := s.settings(ctx, p, "")
	if err != nil {
		return set, err // it was not the chain
	}
	set.Chain = nil
	s.findings = append(s.findings, report.Finding{
		ID: "goproxy-not-checked", Severity: report.Warning, Title: "GOPROXY not checked",
		Message: "the GOPROXY that is set was not checked: " + strings.ReplaceAll(firstLine(why), "--chain: ", ""),
		Fix:     "mend it, or give --override",
	})
	return set, nil
}

// choose finds the environment's name. The forge's API is asked only if
// neither the caller nor a variable names one, and the policy has a choice.
func (s *setup) choose(ctx context.Context, p, proposed *policy.Policy) (policy.Choice, error) {
	f := policy.Facts{Branch: s.job.Branch, Tag: s.job.Tag, Target: s.job.Target, PullRequest: s.job.PullRequest, Proposed: proposed}
	if name := s.text("environment"); name != "" {
		f.Given = []policy.Named{{Name: name, Source: s.from("environment")}}
	}
	for _, e := range s.job.Environments {
		f.FromCI = append(f.FromCI, policy.Named(e))
	}
	if len(f.Given) == 0 && len(f.FromCI) == 0 && p.HasEnvironments() {
		ctx, cancel := context.WithDeadline(ctx, s.deadline)
		defer cancel()
		e, findings := s.job.EnvironmentFromAPI(ctx)
		s.findings = append(s.findings, findings...)
		if e.Name != "" {
			f.FromCI = append(f.FromCI, policy.Named(e))
		}
	}
	c, err := p.Choose(f)
	if c.Notice != "" {
		n := report.Finding{
			ID: "environment-unknown", Severity: report.Notice, Title: "Environment not in the policy",
			Message: c.Notice, Fix: "add it to the policy's environments, or name another one",
		}
		if len(f.Given) > 0 {
			n.Fix = "it counts once this change is merged"
		}
		if p.Name() != policy.BuiltIn().Name() {
			n.Place.File = p.Name()
		}
		s.findings = append(s.findings, n)
	}
	// What an earlier setup found is no order: it may have been told more than this step.
	earlier := s.Getenv("GOPROXY_RESULT_ENVIRONMENT")
	if err == nil && len(f.Given)+len(f.FromCI) == 0 && earlier != "" && earlier != c.Environment && p.HasEnvironments() {
		s.findings = append(s.findings, report.Finding{
			ID: "environment-differs", Severity: report.Warning, Title: "Another environment than before",
			Message: fmt.Sprintf("an earlier setup was for the environment %.100q; nobody names one here, so %q applies", earlier, c.Environment),
			Fix:     "name the environment here as well, by --environment or GOPROXY_SETUP_ENVIRONMENT",
		})
	}
	return c, err
}

// trust fills in what the policy only refers to: secrets and certificates.
func (s *setup) trust(p *loaded, set *policy.Settings) error {
	creds, findings, err := expand(s.call, s.job, set)
	if err != nil {
		return err
	}
	s.findings = append(s.findings, findings...)
	for _, e := range set.Chain {
		l, ok := s.creds[e.URL] // of a GOPROXY that is kept
		if !ok {
			continue
		}
		f, err := s.job.Mask(l.user, l.password)
		if err != nil {
			return err
		}
		s.findings = append(s.findings, f...)
		creds[e.Name] = l
	}
	s.creds = creds
	s.cas, err = readCAs(set, p.read)
	return err
}

// splitChain takes the credentials out of a GOPROXY list that somebody set.
func splitChain(list string) (credentials, string, error) {
	c, err := goenv.ParseChain(list)
	if err != nil {
		return nil, "", err
	}
	creds := credentials{}
	for i, e := range c {
		u, err := url.Parse(e.Value)
		if !e.Proxy() || err != nil || u.User == nil {
			continue
		}
		password, _ := u.User.Password()
		user := u.User.Username()
		u.User = nil
		c[i].Value = u.String()
		creds[c[i].Value] = login{user, password}
	}
	return creds, c.String(), nil
}

// probe asks the proxies and decides.
func (s *setup) probe(ctx context.Context, in *decision.Input) decision.Decision {
	if in.Agent != nil {
		s.askAgent(ctx, in)
		if ctx.Err() != nil || decision.AgentServes(in) {
			in.Keep = false
			return decision.Decide(*in)
		}
	}
	cfg := s.probeConfig(ctx, in)
	cfg.GoSum = s.goSum()
	cfg.Settled = func(seen []decision.Evidence, elapsed time.Duration) (bool, time.Duration) {
		return decision.Settled(&in.Settings, in.Container, seen, elapsed)
	}
	s.ask(ctx, in, cfg)
	return decision.Decide(*in)
}

// probeConfig returns how the proxies of in are asked.
func (s *setup) probeConfig(ctx context.Context, in *decision.Input) probe.Config {
	cfg := probe.Config{
		Settings: &in.Settings, Budget: time.Until(s.deadline), Container: in.Container, Getenv: s.Getenv,
		Credentials: func(e policy.Entry) (string, string, bool) {
			l, ok := s.creds[e.Name]
			return l.user, l.password, ok
		},
		RootCAs: s.rootCAs,
		Netrc:   netrc.Parse(s.netrcText()),
	}
	cfg.Toolchain = toolchain(ctx, s.Host)
	if db, err := goenv.ParseSumDB(in.Inherited.GOSUMDB); err == nil && !db.Off {
		cfg.SumDB = db
	}
	return cfg
}

// ask asks the proxies of in, and fills in what was seen.
func (s *setup) ask(ctx context.Context, in *decision.Input, cfg probe.Config) {
	if s.live {
		live := newLive(s.Host, cfg.Settings)
		defer live.done()
		cfg.Progress = live.show
	}
	result := probe.Run(ctx, cfg)
	in.Evidence, in.Databases = result.Evidence, result.Databases
}

// rootCAs returns the system's authorities and the entry's own; nil is the
// system's alone.
func (s *setup) rootCAs(e policy.Entry) (*x509.CertPool, error) {
	pem := s.cas[e.CA]
	if pem == nil {
		return nil, nil
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool() // no system store: the entry's CA alone
	}
	pool.AppendCertsFromPEM(pem)
	return pool, nil
}

// goSum returns the build's go.sum, nil if there is none: then the built-in
// canaries do.
func (s *setup) goSum() *checksum.GoSum {
	if s.sumsRead {
		return s.sums
	}
	sums, _, err := s.readGoSum()
	s.sums, s.sumsRead = sums, true
	if err != nil && (s.text("go-sum") != "" || !errors.Is(err, fs.ErrNotExist)) {
		s.findings = append(s.findings, report.Finding{
			ID: "go-sum-unreadable", Severity: report.Warning, Title: "go.sum not used",
			Message: firstLine(err), Fix: "proxies are checked with the built-in canaries only",
		})
	}
	return sums
}

// readGoSum reads the go.sum file that the caller names, or the one that lies
// here. file is its name for people, even with an error.
func (s *setup) readGoSum() (sums *checksum.GoSum, file string, err error) {
	path := s.text("go-sum")
	if path == "" {
		path = "go.sum"
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(s.Dir, path)
	}
	file = relative(s.job.Workspace, path)
	data, err := readFile(path, 8<<20)
	if err != nil {
		return nil, file, err
	}
	sums, err = checksum.ParseGoSum(file, data)
	return sums, file, err
}

// firstLine is the first of the mistakes that err joins: a file may have
// millions.
func firstLine(err error) string {
	line, _, more := strings.Cut(err.Error(), "\n")
	if more {
		line += ", and more like it"
	}
	return line
}

// netrcText returns the netrc in force, "" if there is none.
func (s *setup) netrcText() string {
	text, _ := netrcFile(s.Host)
	return text
}

// netrcFile returns the netrc in force and its path, "" if there is none.
func netrcFile(h Host) (text, file string) {
	file = h.Getenv("NETRC")
	if file == "" && h.Home != "" {
		file = filepath.Join(h.Home, ".netrc")
		if _, err := os.Stat(file); err != nil {
			file = filepath.Join(h.Home, "_netrc") // Windows
		}
	}
	data, err := readFile(file, 1<<20)
	if err != nil {
		return "", file
	}
	return string(data), file
}

// place leaves credentials and certificates of the chosen entries where the
// steps that follow find them, and adds the settings that name them.
func (s *setup) place(in *decision.Input, r *report.Report) error {
	var machines []netrc.Machine
	var bundles [][]byte
	rows := r.Proxies
	if in.Agent != nil {
		rows = rows[1:] // the first is the agent's
	}
	for i, e := range in.Settings.Chain[:min(len(rows), len(in.Settings.Chain))] { // no rows of the chain: nobody of it was chosen
		if rows[i].Use == "left out" || e.Keyword() {
			continue
		}
		if l, ok := s.creds[e.Name]; ok {
			u, err := url.Parse(e.URL)
			if err != nil {
				return err
			}
			machines = append(machines, netrc.Machine{Name: u.Host, Login: l.user, Password: l.password})
		}
		if pem := s.cas[e.CA]; pem != nil && !slices.ContainsFunc(bundles, func(b []byte) bool { return bytes.Equal(b, pem) }) {
			bundles = append(bundles, pem)
		}
	}
	if machines != nil {
		v, err := s.job.PlaceNetrc(s.netrcText(), machines...)
		if err != nil {
			return errors.Join(fmt.Errorf("credentials: %w", err), s.job.Discard())
		}
		r.Settings = append(r.Settings, v)
	}
	if bundles != nil {
		v, err := s.job.PlaceCAs(bundles...)
		if err != nil {
			return errors.Join(fmt.Errorf("certificates: %w", err), s.job.Discard())
		}
		r.Settings = append(r.Settings, v)
	}
	return nil
}
