package decision

import (
	"cmp"
	"net/netip"
	"slices"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/report"
)

// ThroughAgent returns the settings for a build whose one module proxy is the
// agent at url. The agent routes by module, so nothing goes around it but what
// it answers with "not found", in routed mode with "direct" in the chain. A
// checksum database that the agent answers for, one of databases, is named
// without a URL, which would go around it, too. The agent does not know of
// unknown, patterns, that their modules are private: it is not asked for them.
func ThroughAgent(s *policy.Settings, databases []string, was Inherited, url, unknown string) []report.Setting {
	chain := url
	why := "the agent fails over, verifies and caches"
	if s.Mode == policy.Routed && len(s.Chain) > 0 && s.Chain[len(s.Chain)-1].Name == "direct" {
		chain += ",direct"
		why += "; what no proxy has is fetched directly"
	}
	nobody := report.Setting{Name: "GONOPROXY", Value: "none", Why: "the agent routes private modules"}
	p := PrivatePatterns(&Input{Settings: *s, Inherited: was})
	switch {
	case p != "" && chain == url && s.Mode == policy.Routed && !slices.ContainsFunc(s.Chain, func(e policy.Entry) bool { return e.Private }):
		nobody.Value, nobody.Why = p, "no proxy of the chain may be asked for private modules: they are fetched from version control, as without the agent"
	case unknown != "":
		nobody.Value, nobody.Why = unknown, "the agent does not say that it keeps these private: they are fetched from version control, as without the agent"
	}
	list := []report.Setting{{Name: "GOPROXY", Value: chain, Why: why}, nobody}
	if p = patterns(p, was.GONOSUMDB); p != "" {
		list = append(list, report.Setting{Name: "GONOSUMDB", Value: p, Why: "private modules are in no public checksum database"})
	}
	list = append(list, agentSumDB(s, databases, was))
	if s.Mode == policy.Enforced {
		list = append(list, report.Setting{Name: "GOVCS", Value: "*:off", Why: "enforced mode: no version control"})
	}
	// For what is fetched directly; the agent itself is no business of theirs.
	around := *s
	if h := host(url); s.HTTPProxy+s.HTTPSProxy != "" && !loopback(h) {
		around.NoProxy = AddNoProxy(around.NoProxy, h)
	}
	return append(list, network(&Input{Settings: around, Inherited: was})...)
}

// loopback reports whether a host is this machine, which the go command never
// asks by way of a forward proxy.
func loopback(host string) bool {
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsLoopback() || host == "localhost"
}

func agentSumDB(s *policy.Settings, databases []string, was Inherited) report.Setting {
	if s.SumDB == policy.SumDBOff {
		return gosumdb("off", "the policy says sumdb: off")
	}
	spec, err := goenv.ParseSumDB(cmp.Or(was.GOSUMDB, databases[0]))
	if err != nil || spec.Off {
		return gosumdb(was.GOSUMDB, "as it was set before")
	}
	for _, text := range databases {
		if own, err := goenv.ParseSumDB(text); err == nil && own.Key == spec.Key {
			own.URL = ""
			return gosumdb(own.String(), "the agent answers for it")
		}
	}
	return gosumdb(spec.String(), "as it was set before; the agent does not answer for it")
}
