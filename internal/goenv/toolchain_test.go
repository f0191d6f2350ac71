package goenv_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/golab"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// toolchains are held against the real go command: which toolchain it asks the
// proxy for, and whether it refuses.
var toolchains = []struct {
	name, mode string
	lines      goenv.GoLines
	fetch      string // from the proxy, "" for none
	line       string
	refused    bool // the go line is too new
	missing    bool // it is in PATH or nowhere
}{
	{"older", "auto", goenv.GoLines{Go: "1.21.0"}, "", "", false, false},
	{"no lines", "auto", goenv.GoLines{}, "", "", false, false},
	{"release", "auto", goenv.GoLines{Go: "1.99.3"}, "go1.99.3", "go", false, false},
	{"language version", "auto", goenv.GoLines{Go: "1.99"}, "go1.99.0", "go", false, false},
	{"release candidate", "auto", goenv.GoLines{Go: "1.99rc1"}, "go1.99rc1", "go", false, false},
	{"toolchain line", "auto", goenv.GoLines{Go: "1.21.0", Toolchain: "go1.99.1"}, "go1.99.1", "toolchain", false, false},
	{"toolchain line of others", "auto", goenv.GoLines{Go: "1.21.0", Toolchain: "go1.99.1-corp"}, "go1.99.1-corp", "toolchain", false, false},
	{"toolchain line older than the go line", "auto", goenv.GoLines{Go: "1.99.1", Toolchain: "go1.98.0"}, "go1.99.1", "go", false, false},
	{"toolchain line without a release", "auto", goenv.GoLines{Go: "1.21.0", Toolchain: "go1.99"}, "go1.99", "toolchain", false, false},
	{"toolchain line without a release, go line with", "auto", goenv.GoLines{Go: "1.99.0", Toolchain: "go1.99"}, "go1.99.0", "go", false, false},
	{"default", "auto", goenv.GoLines{Go: "1.21.0", Toolchain: "default"}, "", "", false, false},
	{"default, and a newer go line", "auto", goenv.GoLines{Go: "1.99.0", Toolchain: "default"}, "", "", true, false},
	{"local, newer go line", "local", goenv.GoLines{Go: "1.99.0"}, "", "", true, false},
	{"local, newer toolchain line", "local", goenv.GoLines{Go: "1.21.0", Toolchain: "go1.99.1"}, "", "", false, false},
	{"local and auto", "local+auto", goenv.GoLines{Go: "1.99.0"}, "go1.99.0", "go", false, false},
	{"pinned newer", "go1.98.0", goenv.GoLines{Go: "1.97.0"}, "go1.98.0", "", false, false},
	{"pinned older, ignores the lines", "go1.21.0", goenv.GoLines{Go: "1.21.0", Toolchain: "go1.99.1"}, "go1.21.0", "", false, false},
	{"pinned without a release", "go1.98", goenv.GoLines{}, "go1.98", "", false, false},
	{"pinned as a minimum, go line newer", "go1.98.0+auto", goenv.GoLines{Go: "1.99"}, "go1.99.0", "go", false, false},
	{"pinned as a minimum, go line older", "go1.98.0+auto", goenv.GoLines{Go: "1.97.0"}, "go1.98.0", "", false, false},
	{"path", "path", goenv.GoLines{Go: "1.99"}, "go1.99.0", "go", false, true},
	{"pinned as a minimum, path", "go1.98.0+path", goenv.GoLines{Go: "1.21.0"}, "go1.98.0", "", false, true},
}

var askedToolchain = regexp.MustCompile(`golang\.org/toolchain/@v/v0\.0\.1-(.*)\.[a-z0-9]+-[a-z0-9]+\.zip`)

func TestSelectToolchain(t *testing.T) {
	for _, tt := range toolchains {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			l := golab.New(t, "")
			installed := strings.TrimSpace(l.Run(t.Context(), t, nil, "env", "GOVERSION").Stdout)
			text := "module example.com/m\n"
			if tt.lines.Go != "" {
				text += "go " + tt.lines.Go + "\n"
			}
			if tt.lines.Toolchain != "" {
				text += "toolchain " + tt.lines.Toolchain + "\n"
			}
			if err := os.WriteFile(filepath.Join(l.Dir, "go.mod"), []byte(text), 0o666); err != nil {
				t.Fatal(err)
			}
			out := l.Run(t.Context(), t, []string{"GOTOOLCHAIN=" + tt.mode, "GOPROXY=" + l.Proxies.URL, "GOSUMDB=" + proxytest.GOSUMDB}, "list", "-m")
			asked := ""
			for _, r := range l.Proxies.Requests() {
				if m := askedToolchain.FindStringSubmatch(r.Path); m != nil {
					asked = m[1]
				}
			}
			refused, missing := strings.Contains(out.Stderr, "requires go >="), strings.Contains(out.Stderr, "in PATH")
			if wantAsked := tt.fetch != "" && !tt.missing; wantAsked != (asked != "") || wantAsked && asked != tt.fetch || refused != tt.refused || missing != tt.missing {
				t.Errorf("go asks for %q, refused %v, missing %v; the table says otherwise\n%s", asked, refused, missing, out.Stderr)
			}
			got, err := goenv.SelectToolchain(tt.mode, installed, tt.lines)
			want := goenv.Toolchain{Name: tt.fetch, Line: tt.line, PathOnly: strings.HasSuffix(tt.mode, "path"), TooOld: tt.refused}
			if tt.fetch == "" {
				want.Name, want.Installed = installed, true
			}
			if err != nil || got != want {
				t.Errorf("got %+v, %v; want %+v", got, err, want)
			}
			noRelease := strings.Contains(tt.name, "without a release") && tt.line != "go"
			if got.NoRelease() != noRelease {
				t.Errorf("NoRelease is %v; want %v", got.NoRelease(), noRelease)
			}
		})
	}
}

// What go refuses before it looks at a line.
func TestSelectToolchainInvalid(t *testing.T) {
	l := golab.New(t, "")
	for _, mode := range []string{"1.26.0", "bash", "auto+auto", "local+local", "go1.26.0+local", "go", "go1.26.0/x", "devel", "+auto"} {
		out := l.Run(t.Context(), t, []string{"GOTOOLCHAIN=" + mode}, "list", "unsafe")
		if !strings.Contains(out.Stderr, "invalid GOTOOLCHAIN") {
			t.Errorf("GOTOOLCHAIN=%s: go says %q", mode, out.Stderr)
		}
		if got, err := goenv.SelectToolchain(mode, "go1.26.8", goenv.GoLines{}); err == nil {
			t.Errorf("GOTOOLCHAIN=%s: got %+v", mode, got)
		}
	}
	if _, err := goenv.SelectToolchain("auto", "go1.26.8", goenv.GoLines{Toolchain: "go1.x"}); err == nil {
		t.Error("a toolchain line that names none is no error")
	}
	for _, installed := range []string{"devel go1.27-abcdef Mon", "go1.26.8 X:rangefunc", "go1.26.8-corp", "unknown"} {
		for _, mode := range []string{"", "local"} {
			if got, err := goenv.SelectToolchain(mode, installed, goenv.GoLines{}); err != nil || !got.Installed || got.Name != installed {
				t.Errorf("%q: got %+v, %v", installed, got, err)
			}
		}
	}
}
