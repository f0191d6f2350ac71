package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/probe"
	"github.com/org/goproxy-setup/internal/proxytest"
	"github.com/org/goproxy-setup/internal/report"
)

// config asks list, a GOPROXY list in which P is the server, for modules of the
// server. Entries are named a, b, c …; those of private are marked so.
func config(t testing.TB, p *proxytest.Server, list, private string, modules ...string) Config {
	t.Helper()
	list = strings.NewReplacer("P/", p.URL+"/", "REFUSE", "http://"+p.Refuse, "SILENT", "http://"+p.Silent).Replace(list)
	return configFor(t, list, private, p.GoSum(modules...))
}

func configFor(t testing.TB, list, private, sum string) Config {
	t.Helper()
	chain, err := goenv.ParseChain(list)
	if err != nil {
		t.Fatal(err)
	}
	g, err := checksum.ParseGoSum("go.sum", []byte(sum))
	if err != nil {
		t.Fatal(err)
	}
	set := &policy.Settings{Mode: policy.Routed, Probe: policy.Probe{Timeout: 20 * time.Second}}
	for i, e := range chain {
		entry := policy.Entry{Name: e.Value}
		if e.Proxy() {
			entry.Name, entry.URL = string(rune('a'+i)), e.Value
			entry.Private = strings.Contains(private, entry.Name)
		}
		set.Chain = append(set.Chain, entry)
	}
	return Config{Chain: chain, GoSum: g, File: "go.sum", Probe: probe.Config{Settings: set}, Budget: time.Minute}
}

func run(t testing.TB, cfg Config) *report.Preflight {
	t.Helper()
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r := p.Run(t.Context(), nil)
	if sum := r.Served + r.Direct + r.Private + r.Withheld + r.Failed + r.Unasked; sum != r.Modules {
		t.Errorf("%d of %d modules are accounted for: %+v", sum, r.Modules, r)
	}
	return r
}

// The go command's way through the chain decides what becomes of a module. The
// server refuses, loses or spoils one of the files.
func TestFates(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	const errwrap = "github.com/hashicorp/errwrap@v1.0.0"
	for _, tt := range []struct {
		list  string
		fate  report.Fate
		file  string
		class decision.Class
		cause string // contained
	}{
		{"P/ok", report.FateServed, "", "", ""},
		{"P/redirect", report.FateServed, "", "", ""},
		{"P/redirect-host,off", report.FateServed, "", "", ""},
		{"P/first:502", report.FateServed, "", "", ""}, // an accident
		{"P/404,P/ok", report.FateServed, "", "", ""},
		{"P/404,P/410", report.FateMissing, "mod", decision.Missing, "a: 404 Not Found"},
		{"P/404,off", report.FateMissing, "mod", decision.Missing, ""},
		{"P/404,direct", report.FateDirect, "mod", decision.Missing, ""},
		{"P/403,P/ok", report.FateStopped, "mod", decision.Forbidden, "a: 403 Forbidden"},
		{"P/403|P/ok", report.FateServed, "", "", ""},
		{"P/502|P/404", report.FateStopped, "mod", decision.Missing, "b: 404"},
		{"P/502|direct", report.FateDirect, "mod", decision.ServerError, ""},
		{"P/401", report.FateStopped, "mod", decision.Unauthorized, ""},
		{"REFUSE,P/ok", report.FateStopped, "mod", decision.Refused, "connection refused"},
		{"REFUSE|P/ok", report.FateServed, "", "", ""},
		{"P/close|P/ok", report.FateServed, "", "", ""},
		{"P/html,P/ok", report.FateWrong, "mod", decision.Portal, ""},
		{"P/empty|P/ok", report.FateWrong, "mod", decision.WrongContent, ""}, // go.sum is looked at too late
		{"P/mod:wrong-bytes|P/ok", report.FateWrong, "mod", decision.WrongContent, "its hash is h1:"},
		{"P/endless", report.FateWrong, "mod", decision.WrongContent, "too large"},
		{"P/redirect-loop|P/ok", report.FateServed, "", "", ""},
		{"P/redirect-dead", report.FateStopped, "mod", decision.Refused, ""},

		// Gatekeepers and storage refuse zips alone.
		{"P/zip:403,P/ok", report.FateStopped, "zip", decision.Forbidden, "a: 403 Forbidden (\"proxytest: 403 Forbidden\"); its .mod file is served"},
		{"P/zip:403|P/ok", report.FateServed, "", "", ""},
		{"P/zip:404,P/ok", report.FateServed, "", "", ""},
		{"P/zip:404", report.FateMissing, "zip", decision.Missing, "its .mod file is served"},
		{"P/zip:redirect-dead,direct", report.FateStopped, "zip", decision.Refused, "at 127.0.0.1:"},
		{"P/zip:html|P/ok", report.FateWrong, "zip", decision.Portal, ""},
	} {
		t.Run(tt.list, func(t *testing.T) {
			t.Parallel()
			r := run(t, config(t, p, tt.list, "", errwrap))
			var m report.PreflightModule
			if m.Fate = report.FateServed; len(r.Notable) == 1 {
				m = r.Notable[0]
			}
			if m.Fate != tt.fate || m.File != tt.file || m.Class != string(tt.class) || !strings.Contains(m.Cause, tt.cause) {
				t.Errorf("got %+v; want fate %q, file %q, class %q, cause with %q", m, tt.fate, tt.file, tt.class, tt.cause)
			}
			if m.Fate != report.FateServed && (m.Path+"@"+m.Version != errwrap || m.Place != report.Place{File: "go.sum", Line: 1}) {
				t.Errorf("it is about %+v", m)
			}
		})
	}
}

// A proxy that hangs ends the way, as the go command would wait for ever. After
// three silences in a row it is not asked again.
func TestSilence(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	var modules []string // more than are asked for at once
	for i := range 2 * atOnce {
		modules = append(modules, fmt.Sprintf("example.com/case/m%d@v1.0.0", i))
	}
	for _, list := range []string{"SILENT|P/ok", "P/silent|P/ok", "P/stall|P/ok"} {
		t.Run(list, func(t *testing.T) {
			t.Parallel()
			cfg := config(t, p, list, "a", modules...)
			cfg.Probe.Settings.Probe.Timeout = 200 * time.Millisecond
			r := run(t, cfg)
			if r.Failed != len(modules) || r.Notable[0].Fate != report.FateSilent || !r.Proxies[0].GaveUp || r.Proxies[0].Usable() {
				t.Errorf("got %+v; want all silent, and the first given up", r)
			}
		})
	}
	t.Run("zips only", func(t *testing.T) {
		t.Parallel()
		cfg := config(t, p, "P/zip:redirect-silent|P/ok", "a", modules...)
		cfg.Probe.Settings.Probe.Timeout = 2 * time.Second // for .mod files too, which are served
		r := run(t, cfg)
		if r.Failed != len(modules) || r.Proxies[0].Served != len(modules) || !r.Proxies[0].GaveUp {
			t.Errorf("got %+v; want all .mod files served, and no zip", r)
		}
	})
}

// Where zips come from is noted.
func TestHosts(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	r := run(t, config(t, p, "P/zip:redirect-host", "", "github.com/hashicorp/errwrap@v1.0.0", "rsc.io/quote@v1.5.2"))
	want := []string{strings.TrimPrefix(p.Other, "http://")}
	if r.Served != 2 || !slices.Equal(r.Proxies[0].Hosts, want) {
		t.Errorf("got %+v; want zips from %q", r, want)
	}
}

// No more than eight files are asked for at once.
func TestAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := &fake{took: time.Second}
		cfg := configFor(t, "https://a.example.com", "a", many(100))
		r := fly(t, cfg, a)
		if r.Served != 100 || a.most != 8 {
			t.Errorf("served %d, at most %d at once; want 100 and 8", r.Served, a.most)
		}
	})
}

// A fake answers after some time as the function says, or 200.
type fake struct {
	took   time.Duration
	answer func(n int, at time.Duration) probe.Answer // the n-th request, from 0

	gate      chan struct{} // guards the fields below
	start     time.Time
	n         int
	now, most int
	times     []time.Duration
}

func (f *fake) ask() probe.Answer {
	f.gate <- struct{}{}
	n, at := f.n, time.Since(f.start)
	f.n++
	f.now++
	f.most = max(f.most, f.now)
	f.times = append(f.times, at)
	<-f.gate
	time.Sleep(f.took)
	f.gate <- struct{}{}
	f.now--
	<-f.gate
	if f.answer == nil {
		return probe.Answer{Status: 200}
	}
	return f.answer(n, at)
}

func (f *fake) Mod(context.Context, module.Version, string) probe.Answer { return f.ask() }
func (f *fake) ZipStart(context.Context, module.Version) probe.Answer    { return f.ask() }

func fly(t *testing.T, cfg Config, f *fake) *report.Preflight {
	t.Helper()
	f.gate, f.start = make(chan struct{}, 1), time.Now()
	p, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return p.run(t.Context(), []asker{f}, nil)
}

// many is a go.sum with n modules and no zips.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "golang.org/x/m%d v1.0.0/go.mod h1:LzX7hefJvL54yjefDEDHNONDjII0t9xZLPXsUe+TKr0=\n", i)
	}
	return b.String()
}

// Who answers 429 is left alone by everybody for as long as it asks, and then
// asked for the same files again.
func TestRetryAfter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{took: time.Millisecond, answer: func(_ int, at time.Duration) probe.Answer {
			if at < 30*time.Second {
				return probe.Answer{Class: decision.RateLimited, Status: 429, RetryAfter: 30 * time.Second}
			}
			return probe.Answer{Status: 200}
		}}
		r := fly(t, configFor(t, "https://a.example.com", "a", many(20)), f)
		if r.Served != 20 || r.Proxies[0].Waited != 30_000 {
			t.Errorf("got %+v; want all served after a wait of 30 s", r)
		}
		for i, at := range f.times {
			if want := time.Duration(0); i < 8 && at != want || i >= 8 && at < 30*time.Second {
				t.Errorf("request %d left after %s", i, at)
			}
		}
	})
}

// A wait that is longer than the time left is not begun.
func TestRetryAfterTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(int, time.Duration) probe.Answer {
			return probe.Answer{Class: decision.RateLimited, Status: 429, Detail: "429 Too Many Requests", RetryAfter: time.Hour}
		}}
		start := time.Now()
		r := fly(t, configFor(t, "https://a.example.com", "a", many(3)), f)
		if f.n > 3 {
			t.Errorf("%d requests", f.n)
		}
		if want := "a: 429 Too Many Requests; it asks to wait for 1h0m0s, longer than the time that is left"; r.Failed != 3 || r.Notable[0].Cause != want {
			t.Errorf("got %+v; want %q", r, want)
		}
		if took := time.Since(start); took != 0 {
			t.Errorf("it took %s", took)
		}
	})
}

// "Later" for ever is a no.
func TestRetryAfterForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{answer: func(int, time.Duration) probe.Answer {
			return probe.Answer{Class: decision.RateLimited, Status: 429, Detail: "429 Too Many Requests"}
		}}
		start := time.Now()
		r := fly(t, configFor(t, "https://a.example.com", "a", many(1)), f)
		if r.Failed != 1 || !strings.HasSuffix(r.Notable[0].Cause, "still, after waiting 5 times as it asked") {
			t.Errorf("got %+v", r)
		}
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("it took %s; want five waits of a second", took)
		}
	})
}

// When time is up, what was not asked is not called missing.
func TestTimeIsUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cfg := configFor(t, "https://a.example.com", "a", many(40))
		cfg.Budget = 2500 * time.Millisecond
		r := fly(t, cfg, &fake{took: time.Second})
		if r.Served != 16 || r.Unasked != 24 || r.Failed != 0 {
			t.Errorf("got %+v; want 16 served and 24 not asked", r)
		}
	})
}

func TestPlanRefuses(t *testing.T) {
	const hash = "h1:LzX7hefJvL54yjefDEDHNONDjII0t9xZLPXsUe+TKr0="
	for _, tt := range []struct {
		name, sum string
		want      string
	}{
		{"nothing", "", ErrEmpty.Error()},
		{"blank lines", "\n\n \n", ErrEmpty.Error()},
		{"no path", "..//x v1.0.0 " + hash + "\n", "go.sum:1: malformed"},
		{"no version", "rsc.io/quote latest " + hash + "\n", "go.sum:1: rsc.io/quote@latest: invalid version"},
		{"a command", "::error:: v1.0.0 " + hash + "\n", "go.sum:1: malformed module path"},
	} {
		g, err := checksum.ParseGoSum("go.sum", []byte(tt.sum))
		if err != nil {
			t.Fatal(err)
		}
		_, err = New(Config{GoSum: g, File: "go.sum", Probe: probe.Config{Settings: &policy.Settings{}}})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
		if _, ok := errors.AsType[*checksum.LineError](err); ok == errors.Is(err, ErrEmpty) {
			t.Errorf("%s: %T", tt.name, err)
		}
	}
}
