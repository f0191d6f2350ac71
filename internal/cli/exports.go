package cli

import (
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/policy"
)

// overrides adds the settings that setup would export to those of this
// machine, if the call names a policy, an environment or a chain.
func (x *explaining) overrides() error {
	if x.text("policy") == "" && x.text("policy-inline") == "" && x.text("environment") == "" && x.text("chain") == "" {
		return x.private()
	}
	p, err := x.policy()
	if err != nil {
		return asUsage(err)
	}
	s, err := settingsOf(x.call, p)
	if err != nil {
		return err
	}
	exports, err := healthyExports(x.Host, s)
	if err != nil {
		return err
	}
	for _, set := range exports {
		if set.Name == "GOPROXY" && x.text("chain") != "" {
			set.Origin, set.File, set.Line = "--chain", "", 0
		}
		x.Sources.Over = append(x.Sources.Over, set)
	}
	x.over = true
	return nil
}

// private adds the patterns of --private to those in force.
func (x *explaining) private() error {
	patterns := x.text("private")
	if patterns == "" {
		return nil
	}
	if _, err := policy.BuiltIn().WithPrivate(patterns); err != nil {
		return asUsage(err)
	}
	if set := x.Sources.Lookup("GOPRIVATE"); set.Value != "" {
		patterns = set.Value + "," + patterns
	}
	x.over = true
	x.Sources.Over = append(x.Sources.Over, goenv.Setting{Name: "GOPRIVATE", Value: patterns, Origin: "--private"})
	return nil
}

// policy reads the policy: given inline, the file that is named or lies in the
// working directory, or the built-in one.
func (x *explaining) policy() (*policy.Policy, error) {
	if text := x.text("policy-inline"); text != "" {
		return policy.Parse(x.from("policy-inline"), []byte(text))
	}
	if x.text("policy") == "" {
		if _, err := os.Stat(filepath.Join(x.Dir, policy.FileName)); errors.Is(err, fs.ErrNotExist) {
			return policy.BuiltIn(), nil
		}
	}
	return policyFile(x.call, "")
}

// healthyExports returns what setup would export if every proxy were healthy,
// each variable with the line of the policy that it comes from.
func healthyExports(h Host, s policy.Settings) ([]goenv.Setting, error) {
	in := decision.Input{Settings: s}
	in.Inherited, _, _ = inherited(h)
	for _, e := range s.Proxies() {
		in.Evidence = append(in.Evidence, healthy(e))
	}
	for _, db := range policy.Databases() {
		u, err := url.Parse(db.URL)
		if err != nil {
			return nil, err
		}
		in.Databases = append(in.Databases, decision.Database{GOSUMDB: db.GOSUMDB, Host: u.Host})
	}
	d := decision.Decide(in)
	if len(d.Settings) == 0 {
		why := "the policy exports nothing"
		if len(d.Reasons) > 0 {
			why += ": " + d.Reasons[len(d.Reasons)-1]
		}
		return nil, usagef("name a proxy in the chain", "%s", why)
	}
	keys := map[string]string{
		"GOPROXY": "chain", "GOPRIVATE": "private", "GONOPROXY": "private", "GONOSUMDB": "private", "GOSUMDB": "sumdb", "GOVCS": "mode",
		"HTTP_PROXY": "http_proxy", "HTTPS_PROXY": "https_proxy", "NO_PROXY": "no_proxy",
	}
	var list []goenv.Setting
	for _, set := range d.Settings {
		place := s.Places[keys[set.Name]]
		if place.Line == 0 {
			place.File = s.Policy
		}
		list = append(list, goenv.Setting{Name: set.Name, Value: set.Value, Origin: "policy", File: place.File, Line: place.Line})
	}
	return list, nil
}

// healthy is the evidence of a proxy that serves all it is known to serve.
func healthy(e policy.Entry) decision.Evidence {
	const took = 10 * time.Millisecond
	supported := decision.Check{Kind: decision.Supported, Status: 200, Took: took}
	lookup := decision.Check{Kind: decision.SumDB, Took: took}
	if p, ok := policy.LookupProxy(e.Name); ok && p.SumDB == "no" {
		supported.Status, supported.Class = 404, decision.NoSumDB
		lookup.Class = decision.NoSumDB
	}
	return decision.Evidence{Entry: e.Name, Latency: took, Took: took, Checks: []decision.Check{supported, lookup}}
}
