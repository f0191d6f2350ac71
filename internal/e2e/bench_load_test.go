//go:build e2e

package e2e

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/proxytest"
)

// uneven is a module proxy most of whose answers take 2 ms, some 10 and a few 40:
// its percentiles are known beforehand, but for what the machine adds.
func uneven(t *testing.T) string {
	t.Helper()
	p := proxytest.New(t, proxytest.Options{})
	var n atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch i := n.Add(1) % 100; {
		case i >= 97:
			time.Sleep(40 * time.Millisecond)
		case i >= 85:
			time.Sleep(10 * time.Millisecond)
		default:
			time.Sleep(2 * time.Millisecond)
		}
		p.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// percentiles are those that each of the tools gives, in milliseconds.
type percentiles struct{ p50, p90, p95, p99 float64 }

func (p percentiles) list() []float64 { return []float64{p.p50, p.p90, p.p95, p.p99} }

// Bench measures what plain HTTP load generators measure: hey and wrk, run in
// turns with it on the same file of the same server, with as many connections.
// Wrk corrects its latencies for coordinated omission, and hey does not.
// No two runs are alike; medians of five may differ by as much as the runs of one
// tool do, or by a tenth and half a millisecond.
func TestBenchAgreesWithLoadGenerators(t *testing.T) {
	tools := tool(t, "load.sh")
	url := uneven(t)
	const path, requests, connections, runs = "/rsc.io/quote/@v/v1.5.2.mod", 3000, 10, 5
	seen := map[string][]percentiles{}
	measure := []struct {
		name string
		run  func() percentiles
	}{
		{"bench", func() percentiles {
			out := must(t, t.TempDir(), environ("GOSUMDB=off"), program(t), "bench", url, "--json", "--kind", "mod", "--module", "rsc.io/quote@v1.5.2",
				"--requests", fmt.Sprint(requests), "--concurrency", fmt.Sprint(connections))
			plain, corrected := ofBench(t, out)
			seen["bench, corrected"] = append(seen["bench, corrected"], corrected)
			return plain
		}},
		{"hey", func() percentiles {
			return ofHey(t, must(t, t.TempDir(), environ(), filepath.Join(tools, "hey"), "-n", fmt.Sprint(requests), "-c", fmt.Sprint(connections), "-o", "csv", url+path))
		}},
		{"wrk", func() percentiles {
			return ofWrk(t, must(t, t.TempDir(), environ(), filepath.Join(tools, "wrk"), "-t", "1", "-c", fmt.Sprint(connections), "-d", "2s", "--latency", url+path))
		}},
	}
	for range runs {
		for _, m := range measure {
			seen[m.name] = append(seen[m.name], m.run())
		}
	}
	t.Logf("median of %d runs in turns, and from the least to the most, ms\n%s", runs, agreement(seen, "bench", "hey", "bench, corrected", "wrk"))
	for i, name := range []string{"p50", "p90", "p95", "p99"} {
		for our, their := range map[string]string{"bench": "hey", "bench, corrected": "wrk"} {
			ours, low, high := middleOf(seen[our], i)
			theirs, otherLow, otherHigh := middleOf(seen[their], i)
			if theirs == 0 {
				continue // wrk gives no p95
			}
			noise := max(high-low, otherHigh-otherLow, 0.1*theirs+0.5)
			if math.Abs(ours-theirs) > noise {
				t.Errorf("%s: %s %.2f ms, %s %.2f ms; they may differ by %.2f", name, our, ours, their, theirs, noise)
			}
		}
	}
}

// middleOf returns median, least and most of the i-th percentile.
func middleOf(runs []percentiles, i int) (median, low, high float64) {
	var list []float64
	for _, r := range runs {
		list = append(list, r.list()[i])
	}
	slices.Sort(list)
	return list[len(list)/2], list[0], list[len(list)-1]
}

// agreement is the table of docs/bench.md.
func agreement(seen map[string][]percentiles, names ...string) string {
	var b strings.Builder
	b.WriteString("| | p50 | p90 | p95 | p99 |\n| --- | --: | --: | --: | --: |\n")
	for _, name := range names {
		fmt.Fprintf(&b, "| %s |", name)
		for i := range 4 {
			median, low, high := middleOf(seen[name], i)
			if median == 0 {
				b.WriteString(" – |")
				continue
			}
			fmt.Fprintf(&b, " %.2f (%.2f to %.2f) |", median, low, high)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// A benchResult is what tests read of bench's JSON.
type benchResult struct {
	Loop    string
	Load    struct{ Rate float64 }
	Notes   []string
	Proxies []struct {
		Name, Class, Detail string
		All                 *struct {
			Requests, Failed int
			benchPercentiles
			Corrected benchPercentiles
		}
		Files []struct {
			Kind                string
			Right, Asked, Wrong int
		}
		Abilities []struct {
			Name       string
			Known, Yes bool
			Detail     string
		}
	}
}

type benchPercentiles struct {
	P50 float64 `json:"p50_ms"`
	P90 float64 `json:"p90_ms"`
	P95 float64 `json:"p95_ms"`
	P99 float64 `json:"p99_ms"`
}

func (p benchPercentiles) percentiles() percentiles { return percentiles{p.P50, p.P90, p.P95, p.P99} }

func readBench(t *testing.T, out string) benchResult {
	t.Helper()
	var r benchResult
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return r
}

func ofBench(t *testing.T, out string) (plain, corrected percentiles) {
	t.Helper()
	f := readBench(t, out).Proxies[0].All
	if f == nil || f.Failed > 0 {
		t.Fatalf("bench: %+v", f)
	}
	return f.percentiles(), f.Corrected.percentiles()
}

// ofHey reads the CSV of hey, whose first column is the time of each request in
// seconds.
func ofHey(t *testing.T, out string) percentiles {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || len(rows) < 100 {
		t.Fatalf("hey: %v, %d rows", err, len(rows))
	}
	var times []float64
	for _, row := range rows[1:] {
		s, err := strconv.ParseFloat(row[0], 64)
		if err != nil || row[6] != "200" {
			t.Fatalf("hey: row %q: %v", row, err)
		}
		times = append(times, 1000*s)
	}
	slices.Sort(times)
	at := func(p int) float64 { return times[len(times)*p/100] }
	return percentiles{at(50), at(90), at(95), at(99)}
}

var wrkLine = regexp.MustCompile(`(?m)^\s+(50|90|99)%\s+([0-9.]+)(us|ms|s)$`)

// ofWrk reads the latencies that wrk prints.
func ofWrk(t *testing.T, out string) percentiles {
	t.Helper()
	var p percentiles
	found := wrkLine.FindAllStringSubmatch(out, -1)
	if len(found) != 3 {
		t.Fatalf("wrk:\n%s", out)
	}
	for _, m := range found {
		v, err := strconv.ParseFloat(m[2], 64)
		if err != nil {
			t.Fatal(err)
		}
		v *= map[string]float64{"us": 0.001, "ms": 1, "s": 1000}[m[3]]
		switch m[1] {
		case "50":
			p.p50 = v
		case "90":
			p.p90 = v
		case "99":
			p.p99 = v
		}
	}
	return p
}

// The module proxy that this machine's go command uses, asked as politely as a
// public service: it serves real modules with their right bytes.
func TestBenchOnTheUpstream(t *testing.T) {
	list := must(t, t.TempDir(), environ(), "go", "env", "GOPROXY")
	upstream, _, _ := strings.Cut(strings.ReplaceAll(list, "|", ","), ",")
	if !strings.HasPrefix(upstream, "https://") && !strings.HasPrefix(upstream, "http://") {
		skip(t, "go env GOPROXY names no module proxy here: %q", list)
	}
	env := environ("GOSUMDB=sum.golang.org")
	for _, name := range []string{"HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "https_proxy", "http_proxy", "no_proxy", "NETRC", "GOAUTH"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	r := run(t, t.TempDir(), append(env, "GOPROXY="+upstream), program(t), "bench", "--json", "--rate", "2", "--concurrency", "2", "--requests", "15", "--warm-up", "0", "--timeout", "20s")
	if r.exit > 1 {
		t.Fatalf("exit %d\n%s", r.exit, r.stderr)
	}
	one := readBench(t, r.stdout).Proxies[0]
	if one.All == nil {
		skip(t, "the upstream is not there: %s: %s", one.Class, one.Detail)
	}
	t.Logf("%d requests, %d failed, p50 %.0f ms", one.All.Requests, one.All.Failed, one.All.P50)
	for _, f := range one.Files {
		t.Logf("%s: %d of %d right", f.Kind, f.Right, f.Asked)
		if f.Wrong > 0 || (f.Kind == "mod" || f.Kind == "zip") && f.Right == 0 {
			t.Errorf("%s: %d of %d right, %d wrong", f.Kind, f.Right, f.Asked, f.Wrong)
		}
	}
	for _, a := range one.Abilities {
		t.Logf("%s: %v (%s)", a.Name, a.Yes, a.Detail)
	}
}
