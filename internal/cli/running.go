package cli

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/netrc"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/probe"
	"github.com/org/goproxy-setup/internal/site"
)

// runningAgent returns the agent that the options name, nil if they name none.
func (s *setup) runningAgent(p *loaded) (*decision.RunningAgent, error) {
	text := s.text("agent")
	if text == "" {
		return nil, nil
	}
	const hint = "write the agent's URL, such as http://127.0.0.1:8765"
	u, err := url.Parse(text)
	if err == nil && u.User != nil {
		return nil, usagef("put login and password into the file that NETRC names", "%s: the URL holds credentials, which would stand in the exported value", s.from("agent"))
	}
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, usagef(hint, "%s: %q is no URL of an agent", s.from("agent"), goenv.Redact(text))
	}
	value, err := goenv.CheckEntry(text)
	if err != nil {
		return nil, usagef(hint, "%s: %w", s.from("agent"), err)
	}
	return &decision.RunningAgent{URL: value, Databases: p.Agent().Databases}, nil
}

// askAgent asks the agent for the canaries, as a build would, and whether it is
// well. Half of the time is left for the chain.
func (s *setup) askAgent(ctx context.Context, in *decision.Input) {
	a := in.Agent
	a.Unknown = decision.PrivatePatterns(in)
	base, err := url.Parse(a.URL)
	if err != nil { // checked before
		a.Evidence = decision.Evidence{Entry: decision.AgentName, Class: decision.NotAllowed, Detail: "its address is no URL"}
		return
	}
	entry := a.Entry()
	entry.Private = false // whom it asks is not known yet
	set := in.Settings
	set.Chain, set.Allow = []policy.Entry{entry}, nil // the allow-list is for the proxies behind it
	if set.HTTPProxy+set.HTTPSProxy != "" {
		set.NoProxy = decision.AddNoProxy(set.NoProxy, base.Hostname())
	}
	cfg := probe.Config{
		Settings: &set, Budget: time.Until(s.deadline) / 2, Container: in.Container, Getenv: s.Getenv, GoSum: s.goSum(),
		Netrc: netrc.Parse(s.netrcText()), Databases: []policy.Database{}, // only what it serves itself
	}
	if db, err := goenv.ParseSumDB(in.Inherited.GOSUMDB); err == nil && !db.Off {
		cfg.SumDB = db
	}
	asked := decision.Input{}
	s.ask(ctx, &asked, cfg)
	a.Evidence = asked.Evidence[0]
	switch a.Evidence.Class {
	case "", decision.Forbidden, decision.Missing, decision.ServerError, decision.ZipBlocked: // somebody answers
		s.askHealth(ctx, a, base, &set)
	}
}

// maxReadyz bounds what an agent says of itself, in bytes.
const maxReadyz = 64 << 10

// askHealth asks a server that answers whether it is an agent, and ready.
func (s *setup) askHealth(ctx context.Context, a *decision.RunningAgent, base *url.URL, set *policy.Settings) {
	ctx, cancel := context.WithTimeout(ctx, min(set.Probe.Timeout, max(time.Second, time.Until(s.deadline)/2)))
	defer cancel()
	proxy := modproxy.HTTPProxy(set, s.Getenv)
	logins := site.Logins{Netrc: netrc.Parse(s.netrcText()), GOAUTH: s.Getenv("GOAUTH")}
	client := &modproxy.Client{Base: base, User: logins.For(a.Entry(), base), HTTP: &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) { return proxy(r.URL) }, DisableKeepAlives: true,
	}}
	for _, path := range []string{"healthz", "readyz"} {
		answer, err := client.Get(ctx, path)
		if err == nil {
			if body, err := answer.ReadAll(maxReadyz); err == nil && path == "readyz" {
				a.Ready(string(body))
			}
			continue
		}
		e := modproxy.AsError(err)
		a.Evidence.Class, a.Evidence.Next = decision.ServerError, "start it again, or give this step another agent"
		switch {
		case path == "healthz" && (e.Status == http.StatusNotFound || e.Status == http.StatusBadRequest):
			a.Evidence.Class = decision.BadStatus
			a.Evidence.Detail = fmt.Sprintf("what answers there is no agent: /%s says %s", path, modproxy.StatusText(e.Status))
			a.Evidence.Next = "correct the URL; other module proxies belong into the chain"
		case e.Status != 0:
			a.Evidence.Detail = strings.TrimSpace(fmt.Sprintf("/%s says %s %s", path, modproxy.StatusText(e.Status), cmp.Or(e.Text, "")))
		default:
			a.Evidence.Detail = fmt.Sprintf("/%s: %s", path, modproxy.Line(e.Err.Error()))
		}
		return
	}
}
