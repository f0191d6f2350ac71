//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/proxytest"
)

// The runner's own "docker run" line: every command file is right, and the
// next step, another user on the machine itself, builds with what it says.
func TestContainerFallsBack(t *testing.T) {
	p := bridgeProxy(t, proxytest.Options{})
	dir := project(t, p)
	write(t, dir, policyFile, twoProxies(p, "/html"))
	step := newRunnerStep(t, dir)
	step.inputs["ENVIRONMENT"] = "staging"
	got := step.run(t, image(t))

	if want := p.URL + "|direct"; got.exit != 0 || got.env["GOPROXY"] != want {
		t.Fatalf("exit %d, GOPROXY=%q; want %q", got.exit, got.env["GOPROXY"], want)
	}
	if got.outputs["fallback-used"] != "true" || got.outputs["unhealthy"] != "first" {
		t.Errorf("outputs = %v; want a fallback from first", got.outputs)
	}
	if w := got.named("warning"); len(w) != 1 || w[0].properties["file"] != policyFile || w[0].properties["line"] != chainLine {
		t.Errorf("warnings = %+v; want one at %s:%s", w, policyFile, chainLine)
	}
	if !strings.Contains(got.summary, "first") || !strings.Contains(got.summary, "second") {
		t.Errorf("summary = %q; want both proxies", got.summary)
	}
	var report struct {
		Outcome string `json:"outcome"`
	}
	data, err := os.ReadFile(filepath.Join(dir, got.outputs["report"]))
	if err == nil {
		err = json.Unmarshal(data, &report)
	}
	if err != nil || report.Outcome != "fallback" {
		t.Errorf("report %q: outcome %q, %v; want fallback", got.outputs["report"], report.Outcome, err)
	}
	if r := step.later(t, got.env, "go", "mod", "download"); r.exit != 0 {
		t.Errorf("go mod download as the runner's user: exit %d\n%s", r.exit, r.stdout)
	}
	if r := step.later(t, got.env, "go", "env", "GOPROXY"); r.stdout != got.env["GOPROXY"]+"\n" {
		t.Errorf("go env GOPROXY = %q; want %q", r.stdout, got.env["GOPROXY"])
	}
	if r := step.later(t, nil, "git", "status", "--porcelain", "--", ".goproxy-setup"); r.stdout != "" {
		t.Errorf("the report shows in git status:\n%s", r.stdout)
	}
}

// The runner's user reads the netrc and the certificates that root left in its
// temporary directory, under the path that this user knows.
func TestContainerHandsOverCredentialsAndCA(t *testing.T) {
	p := bridgeProxy(t, proxytest.Options{TLS: proxytest.PrivateCA})
	dir := project(t, p)
	write(t, dir, "certs/ca.pem", string(p.CA))
	write(t, dir, policyFile, fmt.Sprintf(`version: 1
proxies:
  corp: { url: "%s/auth", username: ci, password: "${CORP_TOKEN}", tls: { ca: certs/ca.pem } }
environments:
  default: { chain: [corp] }
`, p.URL))
	step := newRunnerStep(t, dir)
	maps.Copy(step.inputs, map[string]string{
		"ENVIRONMENT": "default", "CREDENTIAL-HOST": "CORP_TOKEN=" + engine.bridge, "CREDENTIALS": "CORP_TOKEN=secret",
	})
	got := step.run(t, image(t))
	if got.exit != 0 || got.env["GOPROXY"] != p.URL+"/auth" {
		t.Fatalf("exit %d, exported %v; want GOPROXY without credentials", got.exit, got.env)
	}
	temp := step.host + "/_temp/"
	if !strings.HasPrefix(got.env["NETRC"], temp) || !strings.HasPrefix(got.env["SSL_CERT_DIR"], temp) {
		t.Errorf("NETRC=%q SSL_CERT_DIR=%q; want them below %s", got.env["NETRC"], got.env["SSL_CERT_DIR"], temp)
	}
	if info, err := os.Stat(got.env["NETRC"]); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("netrc: %v, %v; want mode 0600", info, err)
	}
	if r := step.later(t, got.env, "go", "mod", "download"); r.exit != 0 {
		t.Errorf("go mod download as the runner's user: exit %d\n%s", r.exit, r.stdout)
	}
	masks := fmt.Sprint(got.named("add-mask"))
	if !strings.Contains(masks, "secret") {
		t.Errorf("masks = %s; want the password masked", masks)
	}
	for line := range strings.Lines(got.log) {
		if strings.Contains(line, "secret") && !strings.HasPrefix(line, "::add-mask::") {
			t.Errorf("the log shows the password: %q", line)
		}
	}
	if text := fmt.Sprint(got.outputs) + got.summary; strings.Contains(text, "secret") {
		t.Error("an output or the summary holds the password")
	}
}

// The steps of a job that has a container of its own see a third path, which
// nobody tells: a netrc would be lost, so the step fails and says what to do.
func TestContainerCannotHandOverToAJobContainer(t *testing.T) {
	p := bridgeProxy(t, proxytest.Options{TLS: proxytest.PrivateCA})
	dir := project(t, p)
	write(t, dir, "ca.pem", string(p.CA))
	write(t, dir, policyFile, fmt.Sprintf("version: 1\nproxies:\n  corp: { url: %q, tls: { ca: ca.pem } }\nenvironments:\n  default: { chain: [corp] }\n", p.URL))
	step := newRunnerStep(t, dir)
	step.inputs["ENVIRONMENT"], step.inputs["JOB-CONTAINER"] = "default", "0123456789ab"
	got := step.run(t, image(t))
	if got.exit != 3 || len(got.env) != 0 || !strings.Contains(got.log, "github/binary") {
		t.Errorf("exit %d, exported %v; want exit 3, nothing, and the binary action named", got.exit, got.env)
	}
}

// What cannot be reached from inside the container may be right outside: a
// proxy on the machine's loopback address keeps its place, and the step that
// follows uses it.
func TestContainerLoopbackIsUnknown(t *testing.T) {
	docker(t)
	outside := proxytest.New(t, proxytest.Options{})
	p := bridgeProxy(t, proxytest.Options{})
	dir := project(t, p)
	write(t, dir, policyFile, fmt.Sprintf("version: 1\nproxies:\n  local: { url: %q }\n  second: { url: %q }\nenvironments:\n  default: { chain: [local, second] }\n",
		outside.URL, p.URL))
	step := newRunnerStep(t, dir)
	step.inputs["ENVIRONMENT"] = "default"
	got := step.run(t, image(t))
	if want := outside.URL + "|" + p.URL; got.exit != 0 || got.env["GOPROXY"] != want {
		t.Errorf("exit %d, GOPROXY=%q; want %q", got.exit, got.env["GOPROXY"], want)
	}
	if got.outputs["fallback-used"] != "false" || got.outputs["unhealthy"] != "" || strings.Contains(got.log, "fallback") {
		t.Errorf("outputs %v; want no fallback, and no word of one", got.outputs)
	}
	if r := step.later(t, got.env, "go", "mod", "download"); r.exit != 0 || len(outside.Requests()) == 0 {
		t.Errorf("go mod download: exit %d, %d requests to the local proxy\n%s", r.exit, len(outside.Requests()), r.stdout)
	}
}

// Exports that nobody would read are a failure, not a success without effect.
func TestContainerCommandFileNotWritable(t *testing.T) {
	p := bridgeProxy(t, proxytest.Options{})
	for _, tt := range []struct {
		name   string
		change func(s *runnerStep)
	}{
		{"missing environment file", func(s *runnerStep) { s.env["GITHUB_ENV"] = "/github/file_commands/missing" }},
		{"missing output file", func(s *runnerStep) { s.env["GITHUB_OUTPUT"] = "/github/file_commands/missing" }},
		{"no environment file named", func(s *runnerStep) { s.env["GITHUB_ENV"] = "" }},
		{"read-only files", func(s *runnerStep) { s.readOnly = true }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := project(t, p)
			write(t, dir, policyFile, twoProxies(p, "/ok"))
			step := newRunnerStep(t, dir)
			step.inputs["ENVIRONMENT"] = "staging"
			tt.change(step)
			got := step.run(t, image(t))
			if got.exit != 3 || len(got.env) != 0 || len(got.outputs) != 0 {
				t.Errorf("exit %d, exported %v, outputs %v; want exit 3 and nothing", got.exit, got.env, got.outputs)
			}
			if !strings.Contains(got.log, "GITHUB_") {
				t.Errorf("the log names no file:\n%s", got.log)
			}
		})
	}
}

// All proxies down: exit 1, a line with cause and next step for each, nothing
// exported.
func TestContainerExhausted(t *testing.T) {
	p := bridgeProxy(t, proxytest.Options{})
	dir := project(t, p)
	write(t, dir, policyFile, fmt.Sprintf("version: 1\nproxies:\n  one: { url: %q }\n  two: { url: %q }\n  three: { url: %q }\nenvironments:\n  default: { chain: [one, two, three] }\n",
		p.URL+"/502", p.URL+"/html", "http://"+p.Refuse))
	step := newRunnerStep(t, dir)
	step.inputs["ENVIRONMENT"] = "default"
	got := step.run(t, image(t))
	if got.exit != 1 || len(got.env) != 0 || got.outputs["goproxy"] != "" {
		t.Errorf("exit %d, exported %v, outputs %v; want exit 1 and nothing", got.exit, got.env, got.outputs)
	}
	for _, name := range []string{"one", "two", "three"} {
		if !strings.Contains(got.log, name) || !strings.Contains(got.summary, name) {
			t.Errorf("log and summary do not both name proxy %s", name)
		}
	}
	if len(got.named("error")) != 1 {
		t.Errorf("errors = %+v; want one", got.named("error"))
	}
}

// Strangers choose a branch's name, an environment's name and what a proxy
// answers. None of it becomes a command, a variable or an output.
func TestContainerResistsHostileText(t *testing.T) {
	const evil = "x\n::error title=forged::forged\r::set-output name=goproxy::evil\n##[error]forged\nGOPROXY=evil\nGOPROXY<<E\nevil\nE\n\x1b[2J_GitHubActionsFileCommandDelimeter_\nGOFLAGS=evil"
	p := bridgeProxy(t, proxytest.Options{})
	for _, tt := range []struct {
		name, fault string
		change      func(s *runnerStep)
		exit        int
	}{
		{"proxy answer", "/hostile", func(s *runnerStep) { s.inputs["ENVIRONMENT"] = "staging" }, 0},
		{"branch", "/502", func(s *runnerStep) {
			s.inputs["ENVIRONMENT"] = "staging"
			s.env["GITHUB_REF"], s.env["GITHUB_HEAD_REF"], s.env["GITHUB_REF_NAME"] = "refs/heads/"+evil, evil, evil
		}, 0},
		{"environment", "/ok", func(s *runnerStep) { s.inputs["ENVIRONMENT"] = evil }, 2},
		{"deployment event", "/ok", func(s *runnerStep) {
			payload, _ := json.Marshal(map[string]any{"deployment": map[string]string{"environment": evil}})
			os.WriteFile(s.host+"/_temp/_github_workflow/event.json", payload, 0o644)
		}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := project(t, p)
			write(t, dir, policyFile, twoProxies(p, tt.fault))
			step := newRunnerStep(t, dir)
			tt.change(step)
			got := step.run(t, image(t))
			if got.exit != tt.exit {
				t.Errorf("exit %d; want %d", got.exit, tt.exit)
			}
			for _, c := range got.commands {
				if strings.HasPrefix(c.data, "forged") || c.properties["title"] == "forged" || c.name == "set-output" {
					t.Errorf("the runner would obey %+v", c)
				}
			}
			for name, value := range got.env {
				if name == "GOFLAGS" || strings.Contains(value, "evil") {
					t.Errorf("exported %s=%q", name, value)
				}
			}
			if got.outputs["goproxy"] == "evil" || strings.Contains(got.log, "\x1b[2J") {
				t.Errorf("output goproxy = %q; log\n%q", got.outputs["goproxy"], got.log)
			}
		})
	}
}

// fakeGitHub is the API as far as a job asks it. It speaks plain http, which a
// token is trusted to on the loopback address only: run the container in this
// machine's network.
func fakeGitHub(t *testing.T, answers map[string]string) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[strings.TrimPrefix(r.URL.RequestURI(), "/api/v3")]
		if !ok || r.Header.Get("Authorization") != "Bearer token" {
			http.Error(w, `{"message":"Resource not accessible by integration"}`, http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprint(w, answer)
	}))
	t.Cleanup(s.Close)
	return s
}

// The job's own check run tells its environment; without the permission to ask
// there is a notice, and the next rule applies.
func TestContainerEnvironmentFromCheckRun(t *testing.T) {
	p := bridgeProxy(t, proxytest.Options{})
	api := fakeGitHub(t, map[string]string{"/repos/acme/project/check-runs/42": `{"id":42,"deployment":{"environment":"staging"}}`})
	for _, tt := range []struct{ name, token, environment string }{
		{"permitted", "token", "staging"},
		{"not permitted", "other", "default"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := project(t, p)
			write(t, dir, policyFile, twoProxies(p, "/ok"))
			step := newRunnerStep(t, dir)
			step.inputs["CHECK-RUN-ID"], step.inputs["GITHUB-TOKEN"] = "42", tt.token
			step.env["GITHUB_API_URL"] = api.URL
			got := step.run(t, image(t), "--network", "host")
			if got.exit != 0 || got.outputs["environment"] != tt.environment {
				t.Errorf("exit %d, environment %q; want %q", got.exit, got.outputs["environment"], tt.environment)
			}
			if len(got.named("error")) != 0 {
				t.Errorf("errors = %+v; want none", got.named("error"))
			}
		})
	}
}

// A pull request's own policy is looked at and not obeyed: its evil proxy is
// never asked, and the base commit's policy decides.
func TestContainerPolicyOfABaseCommit(t *testing.T) {
	p := bridgeProxy(t, proxytest.Options{})
	evil := bridgeProxy(t, proxytest.Options{})
	dir := project(t, p)
	write(t, dir, policyFile, fmt.Sprintf(`version: 1
proxies:
  evil: { url: "%s", username: x, password: "${CORP_TOKEN}" }
  metadata: { url: "http://169.254.169.254/latest" }
environments:
  default: { chain: [evil, metadata], sumdb: off }
`, evil.URL))
	base := strings.Repeat("b", 40)
	content, _ := json.Marshal(map[string]any{"type": "file", "encoding": "", "content": twoProxies(p, "/ok"), "name": policyFile, "path": policyFile})
	api := fakeGitHub(t, map[string]string{
		"/repos/acme/project/contents/" + policyFile + "?ref=" + base: string(content),
	})
	step := newRunnerStep(t, dir)
	maps.Copy(step.env, map[string]string{"GITHUB_EVENT_NAME": "pull_request", "GITHUB_REF": "refs/pull/7/merge", "GITHUB_BASE_REF": "main",
		"GITHUB_API_URL": api.URL, "CORP_TOKEN": "secret"})
	step.inputs["GITHUB-TOKEN"] = "token"
	payload := fmt.Sprintf(`{"repository":{"full_name":"acme/project"},"pull_request":{"base":{"sha":%q},"head":{"sha":%q,"repo":{"full_name":"mallory/project"}}}}`,
		base, strings.Repeat("c", 40))
	write(t, step.host, "_temp/_github_workflow/event.json", payload)
	got := step.run(t, image(t), "--network", "host")
	if got.exit != 0 || got.env["GOPROXY"] != p.URL {
		t.Errorf("exit %d, GOPROXY=%q; want the base commit's %q", got.exit, got.env["GOPROXY"], p.URL)
	}
	if n := len(evil.Requests()); n != 0 {
		t.Errorf("the proxy of the pull request's policy got %d requests", n)
	}
	if strings.Contains(got.log+got.summary+fmt.Sprint(got.outputs, got.env), "secret") {
		t.Error("the secret leaked")
	}
	if !strings.Contains(got.log+got.summary, "base commit") {
		t.Errorf("nobody is told which policy applies:\n%s", got.log)
	}
}
