package cli

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/preflight"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// On a terminal, the tables of probe keep to its width, and what was drawn on
// the way to them is gone. A round of --watch takes the place of the one before.
func TestProbeOnTerminal(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	policy := strings.NewReplacer("PROXY", p.URL).Replace(`version: 1
proxies:
  broken: { url: "PROXY/502" }
  a-portal-with-a-long-name: { url: "PROXY/html" }
  again: { url: "PROXY/first:404" }
  good: { url: "PROXY/slow=20ms" }
environments:
  default: { chain: [broken, a-portal-with-a-long-name, good] }
`)
	sum := p.GoSum("github.com/hashicorp/errwrap@v1.0.0", "example.com/hello@v1.0.0") +
		"golang.org/x/nowhere v0.1.0/go.mod h1:tRJNPiyCQ0inRvYxbN9jk5I+vvW/OXSQhTDSoE431IQ=\n"
	for _, tt := range []struct {
		name    string
		columns int
		env     string
		shell   string
		first   string // beginning of the first line on the screen
		last    string // the last one
		colour  bool
		drawn   bool
	}{
		{"wide", 120, "", "PROBE || true", "  ", "2 of 3 proxies not usable: broken, a-portal-with-a-long-name.", true, true},
		{"narrow", 60, "", "PROBE || true", "  ", "a-portal-with-a-long-name.", true, true},
		{"no colour", 120, "NO_COLOR=1", "PROBE || true", "  ", "2 of 3 proxies not usable: broken, a-portal-with-a-long-name.", false, true},
		{"dumb", 120, "TERM=dumb", "PROBE || true", "  ", "2 of 3 proxies not usable: broken, a-portal-with-a-long-name.", false, false},
		{"to a file", 120, "", "PROBE >out || true; tail -n 1 out", "2 of 3", "2 of 3 proxies not usable: broken, a-portal-with-a-long-name.", false, true},
		{"watch", 60, "", "PROBE again --watch --count 3 --interval 100ms", "  ", "The proxy is usable.", true, true},
		{"preflight", 60, "", "PROBE --go-sum go.sum good || true", "names that are not known", "1 cannot be had, 1 withheld.", true, true},
		{"wide preflight", 120, "", "PROBE --go-sum go.sum good || true", "names that are not known", "1 of 3 modules of go.sum are served by the chain's proxies, 1 cannot be had, 1 withheld.", true, true},
		{"preflight in a log", 120, "CI=true", "PROBE --go-sum go.sum good || true", "names that are not known", "1 of 3 modules of go.sum are served by the chain's proxies, 1 cannot be had, 1 withheld.", true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			for name, text := range map[string]string{".goproxy-setup.yaml": policy, "go.sum": sum} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			raw := onTerminal(t, dir, tt.columns, tt.env, strings.ReplaceAll(tt.shell, "PROBE", "goproxy-setup probe"))
			s := newScreen(tt.columns)
			s.write(raw)
			text := s.text()
			if s.unknown != "" {
				t.Errorf("the terminal was sent %q", s.unknown)
			}
			if !strings.HasPrefix(text, tt.first) || !strings.HasSuffix(text, tt.last+"\n") {
				t.Errorf("the screen begins and ends otherwise than with %q and %q", tt.first, tt.last)
			}
			if got := strings.Contains(raw, "\x1b[31m") || strings.Contains(raw, "\x1b[32m"); got != tt.colour {
				t.Errorf("colours: %v; want %v", got, tt.colour)
			}
			if got := strings.Contains(raw, "\x1b[K"); got != tt.drawn {
				t.Errorf("something was drawn: %v; want %v", got, tt.drawn)
			}
			for _, left := range []string{"connecting", "asking for", "preflight:"} {
				if strings.Contains(text, left) && !strings.Contains(tt.env, "CI") {
					t.Errorf("%q stays on the screen", left)
				}
			}
			if n := strings.Count(text, "\nzip "); strings.Contains(tt.name, "watch") && n != 1 {
				t.Errorf("%d tables are on the screen; want the last one", n)
			}
			if data, _ := os.ReadFile(filepath.Join(dir, "out")); strings.Contains(string(data), "\x1b") {
				t.Errorf("the file holds\n%q", data)
			}
			if t.Failed() {
				t.Logf("sent:\n%q\nthe screen:\n%s", raw, text)
			}
		})
	}
}

// A record that Go's public checksum database has signed shows that a module is
// public; a file that only looks like one shows nothing.
func TestRecorded(t *testing.T) {
	quote := module.Version{Path: "rsc.io/quote", Version: "v1.5.2"}
	p := proxytest.New(t, proxytest.Options{})
	public := policy.Databases()[0]
	lookup, err := modproxy.LookupPath(quote.Path, quote.Version)
	if err != nil {
		t.Fatal(err)
	}
	record := get(t, p.URL+"/"+modproxy.SumDBPath(public.Name)+"/"+lookup)
	other := get(t, p.URL+"/"+modproxy.SumDBPath(proxytest.SumDBName)+"/"+lookup)
	for _, tt := range []struct {
		name string
		m    module.Version
		data []byte
		want bool
	}{
		{"signed", quote, record, true},
		{"signed by somebody else", quote, other, false},
		{"about another module", module.Version{Path: "git.corp.example.com/x", Version: "v1.0.0"}, record, false},
		{"no record", quote, []byte("hello\n"), false},
		{"nothing", quote, nil, false},
	} {
		for _, place := range []string{"GOMODCACHE", "GOPATH", "HOME"} {
			dir := t.TempDir()
			h, _, _ := host(t, map[string]string{place: dir, "GOENV": "off"})
			below := map[string]string{"GOMODCACHE": "", "GOPATH": "pkg/mod", "HOME": "go/pkg/mod"}[place]
			if place == "HOME" {
				h.Home = dir
			}
			lookup, err := modproxy.LookupPath(tt.m.Path, tt.m.Version)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, below, "cache/download/sumdb", public.Name, lookup)
			if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
				t.Fatal(err)
			}
			if tt.data != nil {
				if err := os.WriteFile(file, tt.data, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got := recorded(h)(tt.m); got != tt.want {
				t.Errorf("%s, by %s: %v; want %v", tt.name, place, got, tt.want)
			}
		}
	}
}

// In a log, progress is told now and then; on a terminal it keeps to one line.
func TestProgressLine(t *testing.T) {
	h, _, stderr := host(t, nil)
	l := newProgressLine(h)
	l.show(preflight.Progress{Done: 1, Total: 9})
	l.last = l.last.Add(-tellEvery)
	l.show(preflight.Progress{Done: 5, Total: 9, Failed: 2})
	l.done()
	if got, want := stderr.String(), "preflight: 5 of 9 modules, 2 cannot be had\n"; got != want {
		t.Errorf("got %q; want %q", got, want)
	}
	h, _, stderr = host(t, nil)
	h.ErrWidth = 20
	l = newProgressLine(h)
	l.last = l.last.Add(-tellEvery)
	l.show(preflight.Progress{Done: 5, Total: 9, Failed: 2})
	l.done()
	if got, want := stderr.String(), "\rpreflight: 5 of 9 m\x1b[K\r\x1b[K"; got != want {
		t.Errorf("got %q; want %q", got, want)
	}
}

func get(t *testing.T, url string) []byte {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", url, resp.Status, err)
	}
	return data
}
