package diagnose_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/diagnose"
	"github.com/org/goproxy-setup/internal/report"
)

var quote = module.Version{Path: "rsc.io/quote", Version: "v1.5.2"}

// chainOf sets GOPROXY; each "/FAULT" becomes this machine's proxy with it.
func chainOf(list string) func(*rig) {
	return func(r *rig) {
		r.env["GOPROXY"] = strings.NewReplacer("/", r.proxy.URL+"/", "REFUSE", "http://"+r.proxy.Refuse, "SILENT", "http://"+r.proxy.Silent).Replace(list)
	}
}

// impatient gives a proxy less time to fall silent.
func impatient(r *rig) {
	r.fill = func(m *diagnose.Machine) { m.Policy.Probe.Timeout = 1500 * time.Millisecond }
}

func goSum(text string) func(*rig) {
	return func(r *rig) {
		sums, err := checksum.ParseGoSum("go.sum", []byte(text))
		if err != nil {
			r.Fatal(err)
		}
		r.config.GoSum = sums
	}
}

// Who is to blame, asked of real proxies, a real module cache and a real
// checksum database. "PROXY" stands for the proxy with the fault after it.
func TestBisect(t *testing.T) {
	for _, tt := range []struct {
		name   string
		make   func(*rig)
		mod    module.Version
		guilty string // names, joined by blanks
		text   string // part of the reason
	}{
		{"all is well", chainOf("/ok=a,/ok=b"), quote, "", "every layer that go asks has the same"},
		{"502 from the first", chainOf("/502,/ok=b"), quote, "/502", "502 Bad Gateway. With this GOPROXY, go ends at"},
		{"502 from the first, and a bar", chainOf("/502|/ok=b"), quote, "/502", "502 Bad Gateway"},
		{"zip refused", chainOf("/zip:403|/ok=b"), quote, "/zip:403", "for .zip: 403"},
		{"missing in the first", chainOf("/404,/ok=b"), quote, "/404", "another layer has it"},
		{"wrong bytes", chainOf("/zip:wrong-bytes,/ok=b"), quote, "/zip:wrong-bytes", "the checksum database says"},
		{"wrong .mod", chainOf("/ok=b,/mod:wrong-bytes"), quote, "/mod:wrong-bytes", ".mod has the hash"},
		{"cut zip", chainOf("/zip:cut|/ok=b"), quote, "/zip:cut", "cut off"},
		{"silently cut zip", chainOf("/zip:cut-silent|/ok=b"), quote, "/zip:cut-silent", "wrong bytes"},
		{"page as .info", chainOf("/info:html|/ok=b"), quote, "/info:html", "no JSON"},
		{"info of another version", chainOf("/wrong-info|/ok=b"), quote, "/wrong-info", "v9.9.9"},
		{"ten gigabytes of .info", chainOf("/info:endless|/ok=b"), quote, "/info:endless", "larger than any such file"},
		{"refused", chainOf("REFUSE|/ok=b"), quote, "REFUSE", "connection refused"},
		{"silent", both(chainOf("SILENT|/ok=b"), impatient), quote, "SILENT", "no answer within the time"},
		{"stops in the middle of a zip", both(chainOf("/zip:stall|/ok=b"), impatient), quote, "/zip:stall", "no answer within the time"},
		{"two fail", chainOf("/502|/403|/ok=b"), quote, "/502 /403", ""},
		{"moved tag", chainOf("/ok=a,/zip:wrong-bytes+ok=b,/zip:wrong-bytes+ok=c"), quote, "/zip:wrong-bytes+ok=b /zip:wrong-bytes+ok=c", ""}, // not all agree
		{"tag moved everywhere", chainOf("/zip:wrong-bytes+ok=b,/zip:wrong-bytes+ok=c"), quote, "direct", "the tag was moved"},
		{"poisoned cache", func(r *rig) { r.poison("rsc.io/quote/@v/v1.5.2.mod", "<html>") }, quote, "module cache", "no module line"},
		{"changed zip in the cache", func(r *rig) {
			r.download()
			data, _ := os.ReadFile(r.cache("rsc.io/sampler/@v/v1.3.0.zip"))
			if data == nil {
				r.run("go", "mod", "download", "rsc.io/sampler@v1.3.0")
				data, _ = os.ReadFile(r.cache("rsc.io/sampler/@v/v1.3.0.zip"))
			}
			r.write(r.cache("rsc.io/quote/@v/v1.5.2.zip"), string(data))
		}, quote, "module cache", ".zip has the hash"},
		{"warm cache, and all is well", func(r *rig) { r.download() }, quote, "", "has the same files"},
		{"go.sum against the database", both(chainOf("/ok=a,/ok=b"), goSum("rsc.io/quote v1.5.2 h1:AAAA\n")), quote, "go.sum", "another hash"},
		{"database cannot be asked", both(chainOf("/sumdb:500,direct"), env("GONOPROXY", "none")), quote, "checksum database", "could not be asked"},
		{"forged record", chainOf("/forged"), quote, "checksum database", "signature"},
		{"no such version", chainOf("/ok=a,/ok=b"), module.Version{Path: "rsc.io/quote", Version: "v9.9.9"}, "the version", "does not exist"},
		{"nobody can vouch, and one differs", both(chainOf("/ok=a,/ok=b,/zip:wrong-bytes"), env("GOSUMDB", "off")), quote, "/zip:wrong-bytes", "the majority says"},
		{"private, and nobody is asked", both(chainOf("/ok=a"), env("GOPRIVATE", "rsc.io/*")), quote, "direct", "version control"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.env["GOPROXY"] = r.proxy.URL
			tt.make(r)
			m := r.machine(t.Context())
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			v := m.Bisect(ctx, tt.mod)
			var want []string
			for name := range strings.FieldsSeq(tt.guilty) {
				if strings.Contains(name, "/") || name == strings.ToUpper(name) {
					name = strings.NewReplacer("/", r.proxy.URL+"/", "REFUSE", "http://"+r.proxy.Refuse, "SILENT", "http://"+r.proxy.Silent).Replace(name)
				}
				want = append(want, name)
			}
			if got := strings.Join(v.Guilty, " "); got != strings.Join(want, " ") || !strings.Contains(v.Text, tt.text) {
				t.Errorf("to blame: %q (%s); want %q with %q\n%s", v.Guilty, v.Text, want, tt.text, layers(v))
			}
			if len(v.Guilty) > 0 && v.Next == "" {
				t.Error("there is no next step")
			}
			rep := &report.Report{}
			v.Fill(rep)
			if (rep.Outcome == report.OK) != (len(v.Guilty) == 0) || len(rep.Proxies) != len(v.Layers) {
				t.Errorf("report %+v", rep)
			}
		})
	}
}

// A layer that is still sending when the time is over is neither to blame nor a
// witness: what the others say is judged without it.
func TestBisectOutOfTime(t *testing.T) {
	for _, tt := range []struct {
		name, chain string // SLOW is a proxy whose zips never end
		guilty      string
		text, not   string
	}{
		{"alone", "SLOW", "", "not known is what SLOW would have sent", "every layer"},
		{"beside one that serves", "SLOW,/ok=b", "", "nobody: the layers that were done in time have the same files", "go ends"},
		{"beside one that fails", "/502,SLOW", "/502", "With this GOPROXY, go ends at /502; not known is what SLOW", "SLOW fails"},
		{"beside one that has none", "/404|SLOW", "", "nobody, as far as is known", "does not exist"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				if !strings.HasSuffix(q.URL.Path, ".zip") {
					r.proxy.ServeHTTP(w, q)
					return
				}
				for tick := time.NewTicker(20 * time.Millisecond); ; <-tick.C {
					if _, err := w.Write([]byte("PK")); err != nil || q.Context().Err() != nil {
						return
					}
					w.(http.Flusher).Flush()
				}
			}))
			defer s.Close()
			named := strings.NewReplacer("/", r.proxy.URL+"/", "SLOW", s.URL)
			r.env["GOPROXY"], r.env["GOSUMDB"] = named.Replace(tt.chain), "off"
			m := r.machine(t.Context())
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
			defer cancel()
			v := m.Bisect(ctx, quote)
			if got := strings.Join(v.Guilty, " "); got != named.Replace(tt.guilty) || !strings.Contains(v.Text, named.Replace(tt.text)) || strings.Contains(v.Text, named.Replace(tt.not)) {
				t.Errorf("to blame: %q: %s; want %q\n%s", got, v.Text, tt.guilty, layers(v))
			}
			rep := &report.Report{}
			v.Fill(rep)
			for _, p := range rep.Proxies {
				if p.Name == s.URL && p.State != report.Unknown {
					t.Errorf("the slow proxy is shown as %s", p.State)
				}
			}
		})
	}
}

func layers(v diagnose.Verdict) string {
	var b strings.Builder
	for _, l := range v.Layers {
		fmt.Fprintf(&b, "%s %s\n", l.Name, l.Skipped)
		for _, a := range l.Answers {
			fmt.Fprintf(&b, "    %s %s %s %s\n", a.File, a.Answer, a.Hash, a.Detail)
		}
	}
	return b.String()
}

// A private module's name is told to no proxy and to no database.
func TestBisectTellsNobody(t *testing.T) {
	r := newRig(t)
	r.env["GOPRIVATE"] = "git.example.com"
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	v := r.machine(ctx).Bisect(ctx, module.Version{Path: "git.example.com/secret", Version: "v1.0.0"})
	for _, q := range r.proxy.Requests() {
		if strings.Contains(q.Path, "secret") {
			t.Errorf("the proxy was asked %s", q.Path)
		}
	}
	for _, l := range v.Layers[1 : len(v.Layers)-1] {
		if l.Skipped == "" {
			t.Errorf("%s was asked", l.Name)
		}
	}
}

// Version control is asked where the module's page says, by the real git.
func TestBisectDirect(t *testing.T) {
	r := newRig(t)
	repo := t.TempDir()
	r.env["GIT_AUTHOR_NAME"], r.env["GIT_AUTHOR_EMAIL"], r.env["GIT_COMMITTER_NAME"], r.env["GIT_COMMITTER_EMAIL"] = "a", "a@example.com", "a", "a@example.com"
	for _, args := range [][]string{
		{"init", "-q", repo}, {"-C", repo, "commit", "-q", "--allow-empty", "-m", "x"}, {"-C", repo, "tag", "v1.0.0"}, {"-C", repo, "tag", "sub/v2.1.0"},
		{"config", "--global", "url." + repo + ".insteadOf", "https://github.com/acme/repo"},
	} {
		r.run("git", args...)
	}
	r.env["GOPRIVATE"] = "github.com/acme"
	for _, tt := range []struct {
		mod    module.Version
		guilty bool
		text   string
	}{
		{module.Version{Path: "github.com/acme/repo", Version: "v1.0.0"}, false, "version control has it"},
		{module.Version{Path: "github.com/acme/repo/sub/v2", Version: "v2.1.0"}, false, "version control has it"},
		{module.Version{Path: "github.com/acme/repo", Version: "v1.0.1"}, true, "there is no tag v1.0.1"},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		v := r.machine(ctx).Bisect(ctx, tt.mod)
		cancel()
		if slices.Contains(v.Guilty, "direct") != tt.guilty || !strings.Contains(v.Text, tt.text) {
			t.Errorf("%s: %q %s\n%s", tt.mod, v.Guilty, v.Text, layers(v))
		}
	}
}

// A proxy that sends without end takes no more memory than one that does not.
func TestBisectMemory(t *testing.T) {
	r := newRig(t)
	r.env["GOPROXY"] = r.proxy.URL + "/endless"
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	m := r.machine(ctx)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for _, layer := range m.Bisect(ctx, quote).Layers {
		for _, a := range layer.Answers {
			if a.Took > 10*time.Second {
				t.Errorf("%s took %s", a.File, a.Took)
			}
		}
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 300<<20 {
		t.Errorf("%d MiB were allocated", grown>>20)
	}
}
