//go:build e2e

package e2e

import (
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/proxytest"
)

// Forgejo and Gitea run actions by forks of act: the same command files and the
// same log lines, without GitHub's API and without annotations.
func TestForgejo(t *testing.T) {
	p := bridgeProxy(t, proxytest.Options{})
	dir := project(t, p)
	write(t, dir, policyFile, twoProxies(p, "/502"))
	for _, tt := range []struct{ name, variable string }{
		{"forgejo", "FORGEJO_ACTIONS"},
		{"gitea", "GITEA_ACTIONS"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			flow := workflow("environment: staging", `
echo "variable=$GOPROXY output=$OUTPUT fallback=$FALLBACK"
go mod download && go run .
`)
			run := act(t, dir, flow, append(published(releasedAction(t)), "--env", tt.variable+"=true", "--env", "GITHUB_API_URL=http://127.0.0.1:9/api/v1")...)
			want := p.URL + "|direct"
			printed := run.printed("after")
			if run.exit != 0 || !strings.Contains(printed, "variable="+want+" output="+want+" fallback=true\n") || !strings.Contains(printed, "Don't communicate") {
				t.Errorf("exit %d; the later step printed %q; want the variable, the outputs and a build", run.exit, printed)
			}
			if w := run.commands("warning"); len(w) != 1 {
				t.Errorf("warnings = %+v; want one", w)
			}
		})
	}
}
