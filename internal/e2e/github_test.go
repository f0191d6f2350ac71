//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/proxytest"
)

// workflow returns a workflow that runs the released action with the given
// lines below "with:", and then the step "after".
func workflow(with, after string) string {
	indent := func(text string) string {
		return strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n          ")
	}
	return `on: [push, pull_request]
jobs:
  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - uses: org/goproxy-setup@v1
        id: setup
        with:
          ` + indent(with) + `
      - id: after
        if: always()
        env:
          OUTPUT: ${{ steps.setup.outputs.goproxy }}
          FALLBACK: ${{ steps.setup.outputs.fallback-used }}
        run: |
          ` + indent(after) + `
`
}

// twoProxies is a policy whose first proxy suffers fault ("/ok" is none). The
// chain of the environment staging names it on the line chainLine.
func twoProxies(p *proxytest.Server, fault string) string {
	return fmt.Sprintf(`version: 1
proxies:
  first: { url: "%[1]s%[2]s" }
  second: { url: "%[1]s" }
environments:
  staging: { chain: [first, second, direct] }
  default: { chain: [second] }
`, p.URL, fault)
}

const chainLine = "6"

// policyFile is where the tests' projects have their policy.
const policyFile = ".goproxy-setup.yaml"

// The published action, in a real container: it falls back, says so once, at
// the line that names the dead proxy, and the real go command of a later step
// builds with exactly what was exported.
func TestActionFallsBack(t *testing.T) {
	p := bridgeProxy(t, proxytest.Options{})
	dir := project(t, p)
	write(t, dir, policyFile, twoProxies(p, "/502"))
	run := act(t, dir, workflow("environment: staging", `
echo "variable=$GOPROXY output=$OUTPUT fallback=$FALLBACK"
echo "go=$(go env GOPROXY)"
go mod download && go run .
`), published(releasedAction(t))...)

	want := p.URL + "|direct"
	if got := run.values("set-env")["GOPROXY"]; got != want {
		t.Errorf("exported GOPROXY=%q; want %q", got, want)
	}
	outputs := run.values("set-output")
	for name, want := range map[string]string{
		"goproxy": want, "environment": "staging", "primary": "first", "selected": "second",
		"fallback-used": "true", "unhealthy": "first",
	} {
		if outputs[name] != want {
			t.Errorf("output %s = %q; want %q", name, outputs[name], want)
		}
	}
	if got := outputNames(t); !slices.Equal(slices.Sorted(maps.Keys(outputs)), got) {
		t.Errorf("outputs are %v; action.yml declares %v", slices.Sorted(maps.Keys(outputs)), got)
	}
	warnings := run.commands("warning")
	if len(warnings) != 1 || warnings[0].Properties["file"] != policyFile || warnings[0].Properties["line"] != chainLine {
		t.Errorf("warnings = %+v; want one at %s:%s", warnings, policyFile, chainLine)
	}
	if errors := run.commands("error"); len(errors) != 0 {
		t.Errorf("errors = %+v; want none", errors)
	}
	if s := run.commands("summary"); len(s) != 1 || !strings.Contains(s[0].Content, "second") {
		t.Errorf("summary = %+v; want a table of the proxies", s)
	}
	printed := run.printed("after")
	for _, want := range []string{
		"variable=" + want + " output=" + want + " fallback=true\n", "go=" + want + "\n", "Don't communicate by sharing memory",
	} {
		if !strings.Contains(printed, want) {
			t.Errorf("the later step printed %q; want %q in it", printed, want)
		}
	}
}

// outputNames returns the outputs that action.yml declares, sorted.
func outputNames(t *testing.T) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "action.yml"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(data), "\noutputs:\n")
	rest, _, _ = strings.Cut(rest, "\nruns:\n")
	var names []string
	for line := range strings.Lines(rest) {
		if name, ok := strings.CutPrefix(line, "  "); ok && name[0] != ' ' {
			names = append(names, strings.TrimSuffix(strings.TrimSpace(name), ":"))
		}
	}
	slices.Sort(names)
	return names
}

// With every proxy dead the step fails, says why for each, and exports nothing.
func TestActionExportsNothingWhenExhausted(t *testing.T) {
	p := bridgeProxy(t, proxytest.Options{})
	dir := project(t, p)
	write(t, dir, policyFile, fmt.Sprintf("version: 1\nproxies:\n  one: { url: %q }\n  two: { url: %q }\nenvironments:\n  default: { chain: [one, two] }\n",
		p.URL+"/502", p.URL+"/html"))
	run := act(t, dir, workflow("environment: default", `echo "variable=${GOPROXY-unset}"; env | grep -E '^(GO|NETRC)' || true`),
		published(releasedAction(t))...)
	if run.exit == 0 || run.outcome("setup") != "failure" {
		t.Errorf("exit %d, step %q; want a failed job", run.exit, run.outcome("setup"))
	}
	if env := run.values("set-env"); len(env) != 0 {
		t.Errorf("exported %v; want nothing", env)
	}
	if got := run.printed("after"); !strings.Contains(got, "variable=unset") {
		t.Errorf("the later step printed %q; want GOPROXY unset", got)
	}
	if errors, log := run.commands("error"), run.printed("setup"); len(errors) != 1 || !strings.Contains(log, "✗ one") || !strings.Contains(log, "✗ two") {
		t.Errorf("errors = %+v; want one, and a line for each proxy in the log", errors)
	}
}

// Text from strangers forges nothing: not the branch's name, not an
// environment's, not what a proxy answers.
func TestActionResistsHostileText(t *testing.T) {
	p := bridgeProxy(t, proxytest.Options{})
	repository := releasedAction(t)
	t.Run("proxy answer and branch", func(t *testing.T) {
		dir := project(t, p)
		write(t, dir, policyFile, twoProxies(p, "/hostile"))
		must(t, dir, environ(), "git", "checkout", "--quiet", "-b", `x';$(touch${IFS}pwned);"%0A|${{github.token}}`)
		run := act(t, dir, workflow("environment: staging", `ls; env | grep -v ^GITHUB_REF | grep -i -E 'evil|forged|pwned' || true`), published(repository)...)
		if got := run.values("set-env")["GOPROXY"]; got != p.URL+"|direct" {
			t.Errorf("exported GOPROXY=%q; want %q", got, p.URL+"|direct")
		}
		noForgery(t, run, 1)
	})
	t.Run("environment", func(t *testing.T) {
		dir := project(t, p)
		write(t, dir, policyFile, twoProxies(p, "/ok"))
		run := act(t, dir, workflow(`environment: "staging\n::error title=forged::forged\n##[error]forged\n::set-output name=goproxy::evil\u001b[2J\r::warning::forged"`,
			`ls; env | grep -i -E 'evil|forged|pwned' || true`), published(repository)...)
		if run.outcome("setup") != "failure" || len(run.values("set-env")) != 0 {
			t.Errorf("step %q exported %v; want a failure without exports", run.outcome("setup"), run.values("set-env"))
		}
		noForgery(t, run, 0)
	})
}

// noForgery fails the test if act obeyed a command that is not ours, or if the
// later step found a trace of one.
func noForgery(t *testing.T, run actRun, warnings int) {
	t.Helper()
	for _, e := range run.events {
		if e.Command == "" || e.Command == "summary" {
			continue
		}
		if !slices.Contains([]string{"set-env", "set-output", "warning", "error", "notice", "add-mask", "debug"}, e.Command) ||
			e.Properties["title"] == "forged" || strings.HasPrefix(e.Arg, "forged") || e.Arg == "evil" {
			t.Errorf("act obeyed %+v", e)
		}
	}
	if got := len(run.commands("warning")); got != warnings {
		t.Errorf("%d warnings; want %d", got, warnings)
	}
	if after := run.printed("after"); strings.Contains(after, "evil") || strings.Contains(after, "forged") || strings.Contains(after, "pwned") {
		t.Errorf("the later step printed %q", after)
	}
}

// A proxy with a private CA that wants a password is usable from a later step
// through what was exported alone.
func TestActionHandsOverCredentialsAndCA(t *testing.T) {
	p := bridgeProxy(t, proxytest.Options{TLS: proxytest.PrivateCA})
	dir := project(t, p)
	write(t, dir, "certs/ca.pem", string(p.CA))
	write(t, dir, policyFile, fmt.Sprintf(`version: 1
proxies:
  corp:
    url: %s/auth
    username: ci
    password: ${CORP_TOKEN}
    tls: { ca: certs/ca.pem }
environments:
  default: { chain: [corp] }
`, p.URL))
	run := act(t, dir, workflow(`
environment: default
credential-host: CORP_TOKEN=`+engine.bridge+`
credentials: CORP_TOKEN=${{ secrets.CORP_TOKEN }}
`, `
go mod download && echo "downloaded"
`), append(published(releasedAction(t)), "--secret", "CORP_TOKEN=secret")...)
	env := run.values("set-env")
	if env["GOPROXY"] != p.URL+"/auth" || env["NETRC"] == "" || env["SSL_CERT_DIR"] == "" {
		t.Errorf("exported %v; want GOPROXY without credentials, NETRC and SSL_CERT_DIR", env)
	}
	if got := run.printed("after"); !strings.Contains(got, "downloaded") {
		t.Errorf("the later step printed %q; want a download", got)
	}
	if strings.Contains(run.log(), "ci:secret") || strings.Contains(fmt.Sprint(run.values("set-output")), "secret") {
		t.Errorf("the password is in the log or in an output")
	}
}

// The workflow that users copy does what it says.
func TestWorkflowToCopy(t *testing.T) {
	p := bridgeProxy(t, proxytest.Options{})
	dir := project(t, p)
	write(t, dir, policyFile, twoProxies(p, "/502"))
	text, err := os.ReadFile(filepath.Join(root, "ci-templates/github/workflow.yml"))
	if err != nil {
		t.Fatal(err)
	}
	args := append(published(releasedAction(t)), "--job", "linux", "--var", "GOPROXY_ENVIRONMENT=staging")
	run := act(t, dir, string(text), args...)
	if run.exit != 0 || !strings.Contains(run.log(), "built through a fallback, because ") {
		t.Errorf("exit %d; want a build through a fallback", run.exit)
	}
}
