package agent

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/org/goproxy-setup/internal/proxytest"
)

// Two hundred requests for files of modules that do not exist, or that nobody
// may have, through sockets: 404 means that every authoritative proxy says so,
// and 200 that it is the origin's file.
func TestStatusThroughSockets(t *testing.T) {
	t.Parallel()
	p := proxytest.New(t, proxytest.Options{})
	fails := []string{"", "404", "410", "403", "500", "502", "reset", "close", "html", "cut", "wrong-info", "silent", "redirect-loop", "401"}
	rnd := rand.New(rand.NewPCG(11, 4))
	var wg sync.WaitGroup
	slots := make(chan struct{}, 64)
	for n := range 200 {
		mode := []string{"routed", "routed", "enforced"}[rnd.IntN(3)]
		exists := rnd.IntN(2) == 0
		var policy strings.Builder
		policy.WriteString("proxies:\n")
		var names, faults []string
		var full []bool
		for i := range 1 + rnd.IntN(3) {
			fault, isFull := fails[rnd.IntN(len(fails))], rnd.IntN(3) == 0
			names, faults, full = append(names, fmt.Sprint("p", i)), append(faults, fault), append(full, isFull)
			url := fmt.Sprintf("%s/ok=%d-%d", p.URL, n, i)
			if fault != "" {
				url += "/" + fault
			}
			fmt.Fprintf(&policy, "  p%d: {url: %q, full: %v, private: true, gatekeeper: %v}\n", i, url, isFull, mode == "enforced")
		}
		fmt.Fprintf(&policy, "environments: {default: {mode: %s, chain: [%s]}}\nAGENT\n", mode, strings.Join(names, ", "))
		path := "rsc.io/nothing/@v/v1.0.0.info"
		if exists {
			path = "rsc.io/quote/@v/v1.5.2.info"
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			l := start(t, policy.String())
			status, body := l.get(path)
			judgeStatus(t, mode == "enforced", exists, faults, full, status, body)
		})
	}
	wg.Wait()
}

// judgeStatus compares a status with what the proxies are known to answer.
func judgeStatus(t *testing.T, enforced, exists bool, faults []string, full []bool, status int, body string) {
	t.Helper()
	var serves, forbids, allAbsent, fullAbsent, anyFull bool
	allAbsent = true
	for i, f := range faults {
		absent := f == "404" || f == "410" || !exists && (f == "" || f == "cut")
		if f == "" && exists && !forbids {
			serves = true
		}
		if f == "403" && enforced && !serves {
			forbids = true // a gatekeeper's, unless an earlier one has served
		}
		allAbsent = allAbsent && absent
		anyFull = anyFull || full[i]
		fullAbsent = fullAbsent || full[i] && absent
	}
	fail := func(want string) {
		t.Errorf("enforced %v, exists %v, faults %q, full %v: %d; want %s: %s", enforced, exists, faults, full, status, want, body)
	}
	switch {
	case status == 200:
		if !serves || !strings.Contains(body, "v1.5.2") {
			fail("no file")
		}
	case serves:
		fail("200")
	case forbids:
		if status != 403 {
			fail("403")
		}
	case status == 404:
		if !allAbsent && (enforced || !fullAbsent) {
			fail("no 404")
		}
	case allAbsent:
		fail("404")
	case status != 502 && status != 503 && status != 504:
		fail("502, 503 or 504")
	}
}
