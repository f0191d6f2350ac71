package probe_test

import (
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/probe"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// BenchmarkSettled asks six proxies over sockets, two of which drop every
// packet and one of which is slow. "late-ms" is the worst time from the last
// answer that was needed to the result; the limit is 50.
func BenchmarkSettled(b *testing.B) {
	p := proxytest.New(b, proxytest.Options{})
	for _, rtt := range []string{"1ms", "30ms"} {
		b.Run("rtt="+rtt, func(b *testing.B) {
			if p.BlackHole == "" {
				b.Skip("no address that drops packets on this system")
			}
			cfg := setup(b, p)
			for _, e := range []policy.Entry{
				{Name: "fast", URL: p.URL + "/slow=" + rtt}, {Name: "hole1", URL: "http://" + p.BlackHole}, {Name: "slow", URL: p.URL + "/slow=2s"},
				{Name: "second", URL: p.URL + "/slow=" + rtt + "/ok"}, {Name: "hole2", URL: "http://" + p.BlackHole}, {Name: "third", URL: p.URL + "/slow=" + rtt + "/ok/ok"},
			} {
				cfg.Settings.Chain = append(cfg.Settings.Chain, e)
			}
			cfg.Settings.Probe.Timeout, cfg.Settings.Probe.Slow = 5*time.Second, 800*time.Millisecond
			cfg.Settled = func(seen []decision.Evidence, elapsed time.Duration) (bool, time.Duration) {
				return decision.Settled(cfg.Settings, false, seen, elapsed)
			}
			var late time.Duration
			b.ReportAllocs()
			for b.Loop() {
				start := time.Now()
				res := probe.Run(b.Context(), cfg)
				took := time.Since(start)
				var needed time.Duration
				for _, e := range res.Evidence {
					if e.Class != decision.Cancelled {
						needed = max(needed, e.Took)
					}
				}
				late = max(late, took-needed)
			}
			b.ReportMetric(float64(late.Microseconds())/1000, "late-ms")
		})
	}
}
