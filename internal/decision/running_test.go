package decision

import (
	"encoding/json"
	"testing"

	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/report"
)

func TestDecideWithAgent(t *testing.T) {
	const url = "http://127.0.0.1:8765"
	down := Evidence{Entry: AgentName, Class: Refused, Detail: "connection refused", Next: "start it"}
	served := Evidence{Entry: AgentName}
	noDB := Evidence{Entry: AgentName, Checks: []Check{{Kind: Supported, Class: NoSumDB, Status: 404}}}
	for _, tt := range []struct {
		name     string
		settings policy.Settings
		agent    Evidence
		chain    string // what the probe saw of the chain
		change   func(*Input)
		outcome  report.Outcome
		goproxy  string
		state    report.State // of the agent
		finding  string       // ID and severity of the worst, "" if there is none
	}{
		{"serves", settings(routed, "a direct"), served, "", nil, report.OK, url + ",direct", report.Usable, ""},
		{"serves, enforced", settings(enforced, "g"), served, "", nil, report.OK, url, report.Usable, ""},
		{"not to be judged from a container", settings(routed, "a direct"), Evidence{Class: Local, Detail: "loopback"}, "",
			func(in *Input) { in.Container = true }, report.OK, url + ",direct", report.Unknown, "proxy-unknown notice"},
		{"refuses the canary", settings(enforced, "g"), Evidence{Class: Forbidden, Detail: "403 Forbidden"}, "", nil, report.OK, url, report.Unknown, "proxy-unknown notice"},
		{"down", settings(routed, "a direct"), down, "a=ok", nil, report.Fallback, "https://a.example.com|direct", report.Down, "agent-down warning"},
		{"down, and the chain's primary too", settings(routed, "a b"), down, "a=refused b=ok", nil, report.Fallback, "https://b.example.com/go", report.Down, "agent-down warning"},
		{"silent", settings(routed, "a"), Evidence{Class: Cancelled}, "a=ok", nil, report.Fallback, "https://a.example.com", report.Down, "agent-down warning"},
		{"down, enforced", settings(enforced, "g"), down, "g=ok", nil, report.Fallback, "https://g.example.com", report.Down, "agent-down warning"},
		{"down, the chain exhausted", settings(enforced, "g"), down, "g=refused", nil, report.Exhausted, "", report.Down, "exhausted error"},
		{"down, no fallback allowed", settings(routed, "a"), down, "a=ok", func(in *Input) { in.Settings.OnFallback = policy.FallbackFail },
			report.Fallback, "", report.Down, "agent-down error"},
		{"down, beside a GOPROXY that is set", settings(routed, "a direct"), down, "a=ok", func(in *Input) { in.Keep = true },
			report.Kept, "", report.Down, "agent-down warning"},
		{"down, beside a GOPROXY that is set, no fallback allowed", settings(routed, "a direct"), down, "a=ok",
			func(in *Input) { in.Keep, in.Settings.OnFallback = true, policy.FallbackFail }, report.Fallback, "", report.Down, "agent-down error"},
		{"serves, beside a GOPROXY that is set", settings(routed, "a direct"), served, "", func(in *Input) { in.Keep = true }, report.OK, url + ",direct", report.Usable, ""},
		{"without the checksum database", settings(routed, "a"), noDB, "", nil, report.OK, url, report.Usable, ""},
		{"without it, enforced", settings(enforced, "g"), noDB, "", nil, report.OK, url, report.Usable, "agent-no-sumdb warning"},
		{"without it, required", settings(routed, "a"), noDB, "a=ok", func(in *Input) { in.Settings.SumDB = policy.SumDBRequired },
			report.Fallback, "https://a.example.com", report.Down, "agent-down warning"},
		{"may not know what is private", settings(routed, "a direct"), served, "", func(in *Input) { in.Agent.Unknown = "git.example.com" },
			report.OK, url + ",direct", report.Usable, "agent-private-unknown notice"},
		{"may not know what is private, enforced", settings(enforced, "g"), served, "g=ok", func(in *Input) { in.Agent.Unknown = "git.example.com" },
			report.Fallback, "https://g.example.com", report.Down, "agent-down warning"},
		{"without it, switched off before", settings(enforced, "g"), noDB, "", func(in *Input) { in.Inherited.GOSUMDB = "off" }, report.OK, url, report.Usable, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := Input{Settings: tt.settings, Evidence: saw(t, tt.chain), Agent: &RunningAgent{URL: url, Evidence: tt.agent, Databases: []string{"sum.golang.org"}}}
			if tt.change != nil {
				tt.change(&in)
			}
			d := Decide(in)
			finding := ""
			if len(d.Findings) > 0 {
				finding = d.Findings[0].ID + " " + string(d.Findings[0].Severity)
			}
			got := report.Value(d.Settings, "GOPROXY")
			if d.Outcome != tt.outcome || got != tt.goproxy || d.Proxies[0].State != tt.state || finding != tt.finding {
				t.Errorf("%s, GOPROXY=%q, agent %s, %q; want %s, %q, %s, %q", d.Outcome, got, d.Proxies[0].State, finding, tt.outcome, tt.goproxy, tt.state, tt.finding)
			}
			if d.Chain.String() != got || d.Primary != AgentName || d.Proxies[0].Name != AgentName {
				t.Errorf("chain %q, primary %q, first row %q", d.Chain, d.Primary, d.Proxies[0].Name)
			}
			if AgentServes(&in) != (d.Selected == AgentName) {
				t.Errorf("AgentServes = %v, and %q is selected", AgentServes(&in), d.Selected)
			}
			replayed, err := json.Marshal(in)
			if err != nil {
				t.Fatal(err)
			}
			again, err := Replay(&report.Report{Replay: replayed})
			if err != nil || again.Outcome != d.Outcome || again.Chain.String() != d.Chain.String() {
				t.Errorf("replayed: %s, %q, %v", again.Outcome, again.Chain, err)
			}
		})
	}
}

func TestThroughAgent(t *testing.T) {
	const local, remote = "http://127.0.0.1:8765", "http://agent.example.com:8765"
	forward := func(s policy.Settings) policy.Settings {
		s.HTTPSProxy, s.NoProxy = "http://forward.example.com:3128", "corp.example.com"
		return s
	}
	for _, tt := range []struct {
		name     string
		settings policy.Settings
		was      Inherited
		url      string
		unknown  string
		want     map[string]string // "" is not set
	}{
		{"routed", settings(routed, "a direct"), Inherited{}, local, "",
			map[string]string{"GOPROXY": local + ",direct", "GONOPROXY": "none", "GONOSUMDB": "", "GOSUMDB": "sum.golang.org", "GOVCS": "", "HTTPS_PROXY": ""}},
		{"the caller's patterns", settings(routed, "a direct"), Inherited{GOPRIVATE: "git.example.com", GONOSUMDB: "x.example.com"}, local, "",
			map[string]string{"GONOPROXY": "none", "GONOSUMDB": "git.example.com,x.example.com"}},
		{"the agent does not know them all", settings(routed, "p a"), Inherited{GOPRIVATE: "git.example.com,x.example.com"}, local, "x.example.com",
			map[string]string{"GOPROXY": local, "GONOPROXY": "x.example.com", "GONOSUMDB": "git.example.com,x.example.com"}},
		{"not listed is not private", settings(routed, "a b"), Inherited{GONOSUMDB: "*"}, local, "", map[string]string{"GONOPROXY": "none", "GONOSUMDB": "*"}},
		{"nobody may be asked for them", settings(routed, "a b"), Inherited{GONOPROXY: "git.example.com"}, local, "",
			map[string]string{"GOPROXY": local, "GONOPROXY": "git.example.com", "GONOSUMDB": "git.example.com"}},
		{"a proxy may be asked for them", settings(routed, "p a"), Inherited{GOPRIVATE: "git.example.com"}, local, "", map[string]string{"GONOPROXY": "none"}},
		{"enforced", settings(enforced, "g"), Inherited{GOPRIVATE: "git.example.com"}, local, "",
			map[string]string{"GOPROXY": local, "GONOPROXY": "none", "GONOSUMDB": "git.example.com", "GOVCS": "*:off"}},
		{"another database", settings(routed, "a"), Inherited{GOSUMDB: "sum.golang.google.cn"}, local, "", map[string]string{"GOSUMDB": "sum.golang.org"}},
		{"switched off before", settings(routed, "a"), Inherited{GOSUMDB: "off"}, local, "", map[string]string{"GOSUMDB": "off"}},
		{"forward proxy", forward(settings(routed, "a direct")), Inherited{NoProxy: "x.example.com"}, local, "",
			map[string]string{"HTTPS_PROXY": "http://forward.example.com:3128", "NO_PROXY": "x.example.com,corp.example.com"}},
		{"forward proxy, agent elsewhere", forward(settings(routed, "a direct")), Inherited{}, remote, "",
			map[string]string{"NO_PROXY": "corp.example.com,agent.example.com"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			list := ThroughAgent(&tt.settings, []string{"sum.golang.org"}, tt.was, tt.url, tt.unknown)
			for name, want := range tt.want {
				if got := report.Value(list, name); got != want {
					t.Errorf("%s=%q; want %q", name, got, want)
				}
			}
			for _, v := range list {
				if v.Value == "" || v.Why == "" {
					t.Errorf("%s=%q has no value or no reason (%q)", v.Name, v.Value, v.Why)
				}
			}
		})
	}
}

// An agent says what it keeps private; what it does not name it may not know.
func TestAgentReady(t *testing.T) {
	for body, want := range map[string]string{
		"ready\n": "a.example.com,*.b.example.com",
		"ready\nprivate: x.example.com,*.b.example.com\n":         "a.example.com",
		"ready\r\nprivate: *.b.example.com,a.example.com\r\nmore": "",
		"private: *": "a.example.com,*.b.example.com",
	} {
		a := RunningAgent{Unknown: "a.example.com,*.b.example.com"}
		if a.Ready(body); a.Unknown != want {
			t.Errorf("%q: %q; want %q", body, a.Unknown, want)
		}
	}
}
