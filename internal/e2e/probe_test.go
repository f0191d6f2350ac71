//go:build e2e

package e2e

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/proxytest"
	"github.com/org/goproxy-setup/internal/report"
)

// TestProbeUpstream looks at the module proxy that this machine's go command
// uses, and asks it for all modules of this repository's own go.sum.
func TestProbeUpstream(t *testing.T) {
	list := must(t, root, os.Environ(), "go", "env", "GOPROXY")
	chain, err := goenv.ParseChain(list)
	if err != nil || !chain[0].Proxy() {
		skip(t, "go env GOPROXY names no module proxy")
	}
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir() // no policy file: the GOPROXY that is set
	write(t, dir, "go.sum", string(sums))
	env := append(os.Environ(), "GOPROXY="+list, "GOPRIVATE=", "GONOPROXY=", "CI=", "GITHUB_ACTIONS=", "GITLAB_CI=", "JENKINS_URL=")

	r := run(t, dir, env, program(t), "probe", "--json")
	var looked report.Report
	if err := json.Unmarshal([]byte(r.stdout), &looked); err != nil {
		t.Fatalf("%v\n%s", err, r.stderr)
	}
	if r.exit != 0 || looked.Outcome != report.OK {
		t.Errorf("probe: exit %d, %s", r.exit, looked.Summary)
	}
	first := looked.Proxies[0]
	for _, c := range first.Checks {
		t.Logf("%-10s %5d ms  ok=%v %s", c.Name, c.TookMS, c.OK, c.Class)
	}

	// Every module here is public.
	r = run(t, dir, env, program(t), "probe", "--go-sum", "go.sum", "--ask-all", "--json")
	if err := json.Unmarshal([]byte(r.stdout), &looked); err != nil {
		t.Fatalf("%v\n%s", err, r.stderr)
	}
	p := looked.Preflight
	if p == nil || r.exit != 0 || p.Served != p.Modules || p.Modules < 10 {
		t.Fatalf("preflight: exit %d, %s\n%+v", r.exit, looked.Summary, p)
	}
	t.Logf("preflight: %d modules, %d with zips", p.Modules, p.Zips)
}

// TestPreflightIsRight lets the real go command download what a preflight has
// looked at: it succeeds where the preflight says so, and nowhere else.
func TestPreflightIsRight(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	modules := []string{"rsc.io/quote@v1.5.2", "rsc.io/sampler@v1.3.0", proxytest.BigModule, "github.com/hashicorp/errwrap@v1.0.0"}
	dir := t.TempDir()
	write(t, dir, "go.mod", "module example.com/m\n\ngo 1.21\n\nrequire (\n\trsc.io/quote v1.5.2\n\tgithub.com/hashicorp/errwrap v1.0.0\n)\n"+
		"require (\n\tgolang.org/x/text v0.0.0-20170915032832-14c0d48ead0c // indirect\n\trsc.io/sampler v1.3.0 // indirect\n)\n")
	write(t, dir, "go.sum", p.GoSum(modules...))
	for _, list := range []string{
		"P/ok", "P/redirect-host", "P/404,P/ok", "P/404,P/410", "P/404,off", "P/403,P/ok", "P/403|P/ok", "P/502,P/ok", "P/502|P/ok", "P/502|P/404",
		"P/close|P/ok", "P/close,P/ok", "P/cut|P/ok", "P/html|P/ok", "P/empty|P/ok", "P/mod:wrong-bytes|P/ok", "P/zip:403,P/ok", "P/zip:403|P/ok",
		"P/zip:404,P/ok", "P/zip:html|P/ok", "P/big-zip:403", "P/big-zip:403|P/ok", "P/redirect-loop|P/ok", "P/zip:redirect-dead,P/ok", "P/zip:redirect-dead|P/ok",
		"REFUSE|P/ok", "REFUSE,P/ok", "P/public:404,P/ok",
	} {
		t.Run(list, func(t *testing.T) {
			goproxy := strings.NewReplacer("P/", p.URL+"/", "REFUSE", "http://"+p.Refuse).Replace(list)
			env := environ("GOPROXY="+goproxy, "GOENV=off", "GOSUMDB=off", "GOFLAGS=-modcacherw", "GOMODCACHE="+t.TempDir(), "GOWORK=off")
			r := run(t, dir, env, program(t), "probe", "--go-sum", "go.sum", "--ask-all", "--json")
			var looked report.Report
			if err := json.Unmarshal([]byte(r.stdout), &looked); err != nil {
				t.Fatalf("%v\n%s", err, r.stderr)
			}
			g := run(t, dir, env, "go", "mod", "download")
			if says, is := looked.Preflight.Failed == 0, g.exit == 0; says != is {
				t.Errorf("the preflight says %v: %s\nthe go command: exit %d\n%s", says, looked.Summary, g.exit, g.stderr)
			}
		})
	}
}
