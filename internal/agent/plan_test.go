package agent

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// A database that does not have a version leaves it to the next one.
func TestDatabases(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	_, other, err := note.GenerateKey(nil, "other.example.com")
	if err != nil {
		t.Fatal(err)
	}
	l := start(t, fmt.Sprintf(`
environments: {default: {chain: [%q]}}
agent:
  databases: ["%s %s/404", %q]`, p.URL, other, p.URL, proxytest.GOSUMDB)+limits)
	if status, _ := l.get(quoteZip); status != 200 || l.last().Grade != store.Verified {
		t.Errorf("%d, %+v", status, l.last())
	}
}

// What GONOSUMDB names is asked of all proxies, and of no checksum database.
func TestUnlisted(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	l := start(t, two(p.URL, p.URL+"/ok=b"))
	c := configOf(t, two(p.URL, p.URL+"/ok=b"))
	c.Unlisted = "rsc.io"
	if err := l.Reload(c); err != nil {
		t.Fatal(err)
	}
	if status, _ := l.get(quoteZip); status != 200 || l.last().Grade != store.Pinned {
		t.Errorf("%d, %+v", status, l.last())
	}
	for _, r := range p.Requests() {
		if strings.Contains(r.Path, "/lookup/") {
			t.Errorf("asked for %s", r.Path)
		}
	}
}

// A reload does not touch a request that is on its way.
func TestReloadWhileServing(t *testing.T) {
	t.Parallel()
	p := proxytest.New(t, proxytest.Options{})
	l := start(t, "environments: {default: {chain: [\""+p.URL+"/zip:slow=200ms\"]}}\nAGENT\n")
	var wg sync.WaitGroup
	wg.Go(func() {
		if status, body := l.get(quoteZip); status != 200 || len(body) != 2987 {
			t.Errorf("%d, %d bytes", status, len(body))
		}
	})
	until(t, func() bool { return p.Count(quoteZip) > 0 })
	if err := l.Reload(configOf(t, "environments: {default: {chain: [\""+p.URL+"/500\"]}}\nAGENT\n")); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if status, _ := l.get("rsc.io/quote/@v/v1.0.0.zip"); status != 502 {
		t.Errorf("the old chain is still asked: %d", status)
	}
}
