package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/proxytest"
	"github.com/org/goproxy-setup/internal/report"
)

// The report that a run writes is all that its decision depended on: replayed
// from the file, it comes out the same, and no secret was needed for that.
func TestReportReplays(t *testing.T) {
	plain := proxytest.New(t, proxytest.Options{})
	secure := proxytest.New(t, proxytest.Options{TLS: proxytest.PrivateCA})
	for _, tt := range []struct {
		name, policy string
		env          map[string]string
		args         []string
		exit         int
		outcome      report.Outcome
	}{
		{"ok", `{proxies: {a: {url: "PLAIN"}}, environments: {default: {chain: [a, direct]}}}`, nil, nil, ExitOK, report.OK},
		{"fallback", `{proxies: {a: {url: "PLAIN/502"}, b: {url: "PLAIN"}}, private: [git.corp.example.com], environments: {default: {chain: [a, b, direct]}}}`,
			map[string]string{"GOPRIVATE": "x.example.com, y.example.com"}, nil, ExitOK, report.Fallback},
		{"fallback refused", `{proxies: {a: {url: "PLAIN/html"}, b: {url: "PLAIN"}}, environments: {default: {chain: [a, b]}}}`,
			nil, []string{"--on-fallback", "fail"}, ExitNo, report.Fallback},
		{"silent", `{proxies: {a: {url: "http://SILENT"}, b: {url: "PLAIN"}}, environments: {default: {chain: [a, b], probe: {timeout: 200ms}}}}`, nil, nil, ExitOK, report.Fallback},
		{"fastest", `{proxies: {a: {url: "PLAIN/slow=400ms"}, b: {url: "PLAIN"}}, strategy: fastest, environments: {default: {chain: [a, b]}}}`, nil, nil, ExitOK, report.Fallback},
		{"exhausted", `{proxies: {a: {url: "http://REFUSE"}, b: {url: "PLAIN/zip:403"}}, environments: {default: {chain: [a, b]}}}`, nil, nil, ExitNo, report.Exhausted},
		{"kept", "", map[string]string{"GOPROXY": "PLAIN/403,direct"}, nil, ExitOK, report.Kept},
		{"enforced", `{proxies: {a: {url: "PLAIN/example:403", gatekeeper: true, private: true}}, environments: {default: {mode: enforced, chain: [a], sumdb: required}}}`,
			map[string]string{"GONOPROXY": "git.corp.example.com"}, nil, ExitOK, report.OK},
		{"downgrade", `{proxies: {a: {url: "PLAIN"}}, sumdb: "off", environments: {default: {chain: [a]}}}`, nil, []string{"--allow-downgrade"}, ExitOK, report.OK},
		{"preflight", `{proxies: {a: {url: "PLAIN"}}, environments: {default: {chain: [a]}}}`, nil, []string{"--preflight"}, ExitNo, report.Incomplete},
		{"preflight of what is kept", "", map[string]string{"GOPROXY": "PLAIN"}, []string{"--preflight"}, ExitNo, report.Incomplete},
		{"credentials and CA", `{proxies: {a: {url: "SECURE/auth", username: ci, password: "${CORP_TOKEN}", tls: {ca: ca.pem}}}, environments: {default: {chain: [a]}}}`,
			map[string]string{"CORP_TOKEN": proxytest.Password}, []string{"--credential-host", "CORP_TOKEN=127.0.0.1"}, ExitOK, report.OK},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if strings.Contains(tt.policy, "ca.pem") && runtime.GOOS != "linux" {
				t.Skip("only on Linux go takes certificates from elsewhere than the system")
			}
			fill := strings.NewReplacer("PLAIN", plain.URL, "SECURE", secure.URL, "REFUSE", plain.Refuse, "SILENT", plain.Silent).Replace
			env := map[string]string{"GOSUMDB": proxytest.GOSUMDB, "GOENV": "off", "GOPROXY_SETUP_POLICY_INLINE": fill(tt.policy), "HTTPS_PROXY": "http://" + plain.Refuse}
			for name, value := range tt.env {
				env[name] = fill(value)
			}
			h, _, stderr := host(t, env, append([]string{"setup", "--write", "json=report.json", "--timeout", "5s"}, tt.args...)...)
			if err := os.WriteFile(filepath.Join(h.Dir, "ca.pem"), secure.CA, 0o644); err != nil {
				t.Fatal(err)
			}
			if slices.Contains(tt.args, "--preflight") {
				if err := os.WriteFile(filepath.Join(h.Dir, "go.sum"), []byte("golang.org/x/nowhere v1.0.0/go.mod h1:tRJNPiyCQ0inRvYxbN9jk5I+vvW/OXSQhTDSoE431IQ=\n"), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if exit := Main(t.Context(), h); exit != tt.exit {
				t.Fatalf("exit %d; want %d\n%s", exit, tt.exit, stderr)
			}
			data, err := os.ReadFile(filepath.Join(h.Dir, "report.json"))
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(data, []byte(proxytest.Password)) {
				t.Errorf("the report holds the password:\n%s", data)
			}
			var was report.Report
			if err := json.Unmarshal(data, &was); err != nil {
				t.Fatal(err)
			}
			if was.Outcome != tt.outcome {
				t.Errorf("outcome %q; want %q", was.Outcome, tt.outcome)
			}
			replays(t, &was)
		})
	}
}

// replays compares a report with what its own input decides.
func replays(t *testing.T, was *report.Report) {
	t.Helper()
	d, err := decision.Replay(was)
	if err != nil {
		t.Fatal(err)
	}
	// Where secrets and certificates lie is no decision.
	decided := slices.DeleteFunc(slices.Clone(was.Settings), func(s report.Setting) bool { return s.Name == "NETRC" || s.Name == "SSL_CERT_DIR" })
	if d.Outcome != was.Outcome || !slices.Equal(d.Settings, decided) {
		t.Errorf("replayed: %s with\n%+v; the report has %s with\n%+v", d.Outcome, d.Settings, was.Outcome, decided)
	}
	if !reflect.DeepEqual(d.Proxies, was.Proxies) || !slices.Equal(d.Reasons, was.Reasons) {
		t.Errorf("replayed: reasons %q and proxies\n%+v; the report has %q and\n%+v", d.Reasons, d.Proxies, was.Reasons, was.Proxies)
	}
	for _, f := range d.Findings {
		if !slices.Contains(was.Findings, f) {
			t.Errorf("replayed finding %+v is not in the report", f)
		}
	}
}
