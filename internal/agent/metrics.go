package agent

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/org/goproxy-setup/internal/agent/upstream"
	"github.com/org/goproxy-setup/internal/decision"
)

// buckets are the upper bounds of the latency histogram.
var buckets = [...]time.Duration{
	time.Millisecond, 5 * time.Millisecond, 25 * time.Millisecond, 100 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2500 * time.Millisecond, 10 * time.Second, 30 * time.Second, 2 * time.Minute,
}

// meters count answers.
type meters struct {
	mu      sync.Mutex // guards the fields below
	kinds   map[string]map[Result]int64
	latency map[string]*histogram // by kind
	bytes   int64
}

type histogram struct {
	counts [len(buckets) + 1]int64
	sum    time.Duration
}

func (m *meters) add(e Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kinds == nil {
		m.kinds, m.latency = map[string]map[Result]int64{}, map[string]*histogram{}
	}
	if m.kinds[e.Kind] == nil {
		m.kinds[e.Kind], m.latency[e.Kind] = map[Result]int64{}, &histogram{}
	}
	m.kinds[e.Kind][e.Result]++
	h := m.latency[e.Kind]
	i := 0
	for i < len(buckets) && e.Took > buckets[i] {
		i++
	}
	h.counts[i]++
	h.sum += e.Took
	m.bytes += e.Bytes
}

// An exposition is metrics in Prometheus' text format.
type exposition struct{ w io.Writer }

func (x exposition) family(name, kind, help string) {
	fmt.Fprintf(x.w, "# HELP goproxy_setup_%s %s\n# TYPE goproxy_setup_%s %s\n", name, help, name, kind)
}

// value writes one sample; labels are pairs of name and value.
func (x exposition) value(name string, v float64, labels ...string) {
	var b strings.Builder
	for i := 0; i+1 < len(labels); i += 2 {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `%s="%s"`, labels[i], labelEscaper.Replace(labels[i+1]))
	}
	if b.Len() > 0 {
		fmt.Fprintf(x.w, "goproxy_setup_%s{%s} %g\n", name, b.String(), v)
		return
	}
	fmt.Fprintf(x.w, "goproxy_setup_%s %g\n", name, v)
}

var labelEscaper = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// writeMetrics writes everything that is counted. No name of a module is among
// it: whoever reads meters need not know what is built. Proxies have numbers
// unless their names may be told.
func (a *Agent) writeMetrics(w io.Writer, names bool) {
	x := exposition{w}
	a.requestMetrics(x)
	a.upstreamMetrics(x, names)
	st, pl := a.store.Stats(), a.pool.Stats()
	for _, m := range []struct {
		name, kind, help string
		value            float64
	}{
		{"uptime_seconds", "gauge", "Time since the agent started.", time.Since(a.started).Seconds()},
		{"store_bytes", "gauge", "Bytes of the files that are kept.", float64(st.Bytes)},
		{"store_files", "gauge", "Files that are kept.", float64(st.Files)},
		{"store_spool_bytes", "gauge", "Bytes that are being fetched.", float64(st.SpoolBytes)},
		{"store_evictions_total", "counter", "Files removed to make room.", float64(st.Evictions)},
		{"quarantined_total", "counter", "Wrong bytes refused.", float64(st.Quarantined)},
		{"fetches_total", "counter", "Fetches, each for any number of requests.", float64(pl.Fetches)},
		{"fetches_shared_total", "counter", "Requests that joined a fetch on its way.", float64(pl.Shared)},
		{"hedges_total", "counter", "Second attempts because the first was late.", float64(pl.Hedges)},
		{"retries_total", "counter", "Rounds after all proxies had failed.", float64(pl.Retries)},
		{"resumed_total", "counter", "Transfers that were cut and continued.", float64(pl.Resumed)},
		{"fetches_in_flight", "gauge", "Fetches on their way.", float64(pl.InFlight)},
	} {
		x.family(m.name, m.kind, m.help)
		x.value(m.name, m.value)
	}
}

func (a *Agent) requestMetrics(x exposition) {
	m := &a.meters
	m.mu.Lock()
	defer m.mu.Unlock()
	kinds := slices.Sorted(maps.Keys(m.kinds))
	x.family("requests_total", "counter", "Answers by kind of file and result.")
	for _, k := range kinds {
		for _, r := range results {
			if n := m.kinds[k][r]; n > 0 {
				x.value("requests_total", float64(n), "kind", k, "result", string(r))
			}
		}
	}
	x.family("request_seconds", "histogram", "Time from a request to its answer.")
	for _, k := range kinds {
		h, total := m.latency[k], int64(0)
		for i, n := range h.counts {
			total += n
			le := "+Inf"
			if i < len(buckets) {
				le = fmt.Sprintf("%g", buckets[i].Seconds())
			}
			x.value("request_seconds_bucket", float64(total), "kind", k, "le", le)
		}
		x.value("request_seconds_sum", h.sum.Seconds(), "kind", k)
		x.value("request_seconds_count", float64(total), "kind", k)
	}
	x.family("response_bytes_total", "counter", "Bytes of the files that were sent.")
	x.value("response_bytes_total", float64(m.bytes))
}

func (a *Agent) upstreamMetrics(x exposition, names bool) {
	list := labelled(a.plan.Load().upstreams, names)
	labels := slices.Sorted(maps.Keys(list))
	x.family("upstream_up", "gauge", "1 if requests are sent to the proxy, 0 while it is left out.")
	for _, label := range labels {
		up := 1.0
		if !list[label].Ready() {
			up = 0
		}
		x.value("upstream_up", up, "proxy", label)
	}
	x.family("upstream_requests_total", "counter", "Requests to a proxy by the class of their outcome; served if it has none.")
	for _, label := range labels {
		classes := list[label].Status().Classes
		for _, c := range slices.Sorted(maps.Keys(classes)) {
			x.value("upstream_requests_total", float64(classes[c]), "proxy", label, "class", string(cmp.Or(c, decision.Class("served"))))
		}
	}
	x.family("upstream_bytes_total", "counter", "Bytes of bodies that a proxy has sent.")
	for _, label := range labels {
		x.value("upstream_bytes_total", float64(list[label].Status().Bytes), "proxy", label)
	}
}

// labelled returns proxies by name, each name once, or by number in their order.
func labelled(list []*upstream.Upstream, names bool) map[string]*upstream.Upstream {
	m := map[string]*upstream.Upstream{}
	for i, u := range list {
		label := u.Name
		if !names {
			label = strconv.Itoa(i + 1)
		}
		if m[label] == nil {
			m[label] = u
		}
	}
	return m
}
