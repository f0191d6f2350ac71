package bench

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"flag"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/render"
)

var update = flag.Bool("update", false, "rewrite golden files")

// golden compares got with a file, which "go test -update" rewrites first.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	file = filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(file, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is out of date (%v): run go test -update and read the diff; got\n%s", file, err, got)
	}
}

// example is a result with one proxy of each sort.
func example(open bool) *Result {
	figures := func(kind Kind, scale float64, failures ...Failure) Figures {
		f := Figures{
			Kind: kind, Requests: 400, Percentiles: Percentiles{12.3 * scale, 20.4 * scale, 31 * scale, 118 * scale}, Max: 640 * scale, Mean: 17.9 * scale,
			Bytes: 8 << 20, BytesPerSecond: 1.53e6, RequestsPerSecond: 80, Failures: failures,
		}
		for _, x := range failures {
			f.Failed += x.Count
		}
		if open {
			f.Service = &Percentiles{f.P50 * 0.9, f.P90 * 0.9, f.P95 * 0.8, f.P99 * 0.5}
		} else {
			f.Corrected = &Percentiles{f.P50, f.P90 * 1.5, f.P95 * 2, f.P99 * 2}
		}
		return f
	}
	can := func(no ...string) []Ability {
		var list []Ability
		for _, name := range abilities {
			list = append(list, Ability{Name: name, Known: true, Yes: !slices.Contains(no, name), Detail: "404 Not Found"})
		}
		return list
	}
	right := func(k Kind) FileChecks { return FileChecks{Kind: k, Right: 3, Asked: 3} }
	silent := Failure{decision.Silent, 7, "it accepted the request, and then did not answer within 5s"}
	wrong := Failure{decision.WrongContent, 400, "a valid zip with other content"}
	r := &Result{
		Schema: Schema, Version: "v1.2.3", Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), TookMS: 25_000,
		Load: Load{Requests: 2000, Concurrency: 10, Timeout: 5 * time.Second, WarmUp: 15}, Loop: "closed", Rounds: 5,
		Modules: []string{"rsc.io/quote@v1.5.2", "golang.org/x/time@v0.1.0"}, Common: []Kind{Info, Mod, Zip},
	}
	if open {
		r.Load.Rate, r.Loop = 2, "open"
		r.Load.Concurrency = 4
		r.Notes = []string{"goproxy.example.com is a public service: at most 2 requests a second, 4 at a time and 200 in all, for every proxy alike", "requests at a time 4 instead of 10"}
	}
	all := func(f Figures) *Figures { f.Kind = ""; f.Requests *= 3; return &f }
	corp := Proxy{Name: "corp", URL: "https://proxy.corp.example.com", All: all(figures("", 1)), RoundsP50: []float64{11.8, 12.1, 12.3, 12.4, 12.9}, Abilities: can()}
	mirror := Proxy{Name: "mirror", URL: "https://mirror.example.com", All: all(figures("", 1.4, silent)), RoundsP50: []float64{16.1, 17.0, 17.2, 17.4, 18.8}, Abilities: append(can(canSumDB, canRange), Ability{"zips", true, true, "storage.example.com"})}
	liar := Proxy{Name: "liar", URL: "https://liar.example.com", All: all(figures("", 0.6, wrong)), RoundsP50: []float64{7, 7.5, 7.6}, Abilities: can(canToolchain)}
	dead := Proxy{Name: "a-proxy-with-a-very-long-name-that-is-dead", URL: "https://dead.example.com", Class: decision.Refused, Detail: "connection refused", Abilities: make([]Ability, len(abilities))}
	for i, name := range abilities {
		dead.Abilities[i].Name = name
	}
	for _, k := range Kinds() {
		corp.Kinds, corp.Files = append(corp.Kinds, figures(k, 1)), append(corp.Files, right(k))
		if k == SumDB {
			mirror.Files = append(mirror.Files, FileChecks{Kind: k, Asked: 3, Faults: []Failure{{decision.NoSumDB, 3, "the checksum database's record of rsc.io/quote@v1.5.2: 404 Not Found"}}})
		} else {
			mirror.Kinds, mirror.Files = append(mirror.Kinds, figures(k, 1.4)), append(mirror.Files, right(k))
		}
		if k == Zip {
			liar.Kinds, liar.Files = append(liar.Kinds, figures(k, 0.6, wrong)), append(liar.Files, FileChecks{Kind: k, Asked: 3, Wrong: 3, Faults: []Failure{{decision.WrongContent, 3, "rsc.io/quote@v1.5.2.zip: a valid zip with other content"}}})
		} else {
			liar.Kinds, liar.Files = append(liar.Kinds, figures(k, 0.6)), append(liar.Files, right(k))
		}
	}
	mirror.Kinds[0].Failures, mirror.Kinds[0].Failed = []Failure{silent}, silent.Count
	for i, m := range fresh {
		corp.Fresh = append(corp.Fresh, Newest{Module: m.path, Version: "v0.31.0"})
		mirror.Fresh = append(mirror.Fresh, Newest{Module: m.path, Version: "v0.30.0", Behind: true})
		liar.Fresh = append(liar.Fresh, Newest{Module: m.path, Version: "v0.31.0"})
		if i == 1 {
			liar.Fresh[i] = Newest{Module: m.path, Class: decision.Forbidden}
		}
	}
	r.Proxies = []Proxy{corp, mirror, liar, dead}
	return r
}

func TestText(t *testing.T) {
	for file, opt := range map[string]render.Options{
		"closed-60.txt": {Width: 60}, "closed-80.txt": {}, "closed-120.txt": {Width: 120}, "closed-colour.txt": {Width: 120, Color: true},
	} {
		golden(t, file, example(false).Text(opt))
	}
	golden(t, "open-120.txt", example(true).Text(render.Options{Width: 120}))
	for _, width := range []int{60, 72, 120} {
		for line := range strings.Lines(string(example(false).Text(render.Options{Width: width}))) {
			if n := len([]rune(strings.TrimRight(line, "\n"))); n > width {
				t.Errorf("width %d: a line of %d columns:\n%s", width, n, line)
			}
		}
	}
}

func TestMarkdown(t *testing.T) { golden(t, "closed.md", example(false).Markdown()) }

func TestJSON(t *testing.T) {
	data, err := render.EncodeJSON(example(true))
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "open.json", data)
	if !json.Valid(data) {
		t.Error("that is no JSON")
	}
}

// The chart is XML that names nothing outside of itself.
func TestSVG(t *testing.T) {
	svg := example(false).SVG()
	golden(t, "closed.svg", svg)
	d := xml.NewDecoder(bytes.NewReader(svg))
	for {
		tok, err := d.Token()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := tok.(xml.StartElement); ok && !slices.Contains([]string{"svg", "style", "rect", "text", "line", "circle"}, e.Name.Local) {
			t.Errorf("element %s", e.Name.Local)
		}
	}
	golden(t, "nothing.svg", (&Result{Started: example(false).Started, Load: DefaultLoad()}).SVG())
}

// A run that was cut before anything was measured says so, and does not fall.
func TestInterruptedEarly(t *testing.T) {
	r := &Result{Interrupted: true, Load: Load{Requests: 5, Concurrency: 1, Timeout: time.Second}, Loop: "closed", Rounds: 1, Proxies: []Proxy{{Name: "a", Abilities: make([]Ability, len(abilities))}}}
	golden(t, "early.txt", r.Text(render.Options{Width: 120}))
	r.SVG()
	r.Markdown()
}

func TestCompare(t *testing.T) {
	proxy := func(name string, p50 float64, failed int, rounds ...float64) Proxy {
		return Proxy{Name: name, All: &Figures{Requests: 1000, Failed: failed, Percentiles: Percentiles{P50: p50}}, RoundsP50: rounds}
	}
	for _, tt := range []struct {
		name    string
		proxies []Proxy
		want    string
	}{
		{"nobody to compare with", []Proxy{proxy("a", 1, 0), {Name: "dead"}}, ""},
		{"a difference", []Proxy{proxy("b", 20, 0, 19, 21), proxy("a", 10, 0, 9, 11)},
			"Fastest at the median: a, 10.0 ms (rounds: 9.00 ms to 11.0 ms).|b takes 2.0 times as long, 20.0 ms (rounds: 19.0 ms to 21.0 ms)."},
		{"within the spread", []Proxy{proxy("a", 10, 0, 9, 15), proxy("b", 14, 0, 13, 16)},
			"Fastest at the median: a, 10.0 ms (rounds: 9.00 ms to 15.0 ms).|b: no difference beyond the spread, 14.0 ms (rounds: 13.0 ms to 16.0 ms)."},
		{"one round proves nothing", []Proxy{proxy("a", 10, 0, 10), proxy("b", 1400, 0, 1400)},
			"Fastest at the median: a, 10.0 ms.|b: no difference beyond the spread, 1.40 s."},
		{"fast since it fails", []Proxy{proxy("a", 0.1, 500, 0.1, 0.1), proxy("b", 10, 10, 10, 10)},
			"Fastest at the median: b, 10.0 ms (rounds: 10.0 ms to 10.0 ms).|a is not compared: 50.0 % of its requests failed."},
		{"all fail", []Proxy{proxy("a", 0, 1000), proxy("b", 0, 1000)}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.Join(compare(tt.proxies), "|"); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestUnits(t *testing.T) {
	for v, want := range map[float64]string{0.0004: "0 µs", 0.999: "999 µs", 1: "1.00 ms", 9.994: "9.99 ms", 10: "10.0 ms", 123.4: "123 ms", 999.4: "999 ms", 999.6: "1.00 s", 61_000: "61.00 s"} {
		if got := duration(v); got != want {
			t.Errorf("duration(%v) = %q; want %q", v, got, want)
		}
	}
	for v, want := range map[float64]string{0: "0 B", 999: "999 B", 1500: "2 kB", 1.25e6: "1.2 MB", 2e9: "2.00 GB"} {
		if got := rate(v); got != want {
			t.Errorf("rate(%v) = %q; want %q", v, got, want)
		}
	}
}
