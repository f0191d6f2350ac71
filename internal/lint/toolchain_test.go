package lint_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/lint"
	"github.com/org/goproxy-setup/internal/render"
	"github.com/org/goproxy-setup/internal/report"
)

// Which Go runs, and whether it can be had, hangs on GOTOOLCHAIN and on both
// lines.
func TestToolchains(t *testing.T) {
	for _, tt := range []struct {
		name, mode    string
		lines         goenv.GoLines
		installed     string // the go command, and toolchains in PATH
		id, text, fix string // the finding, "" for none
	}{
		{"new enough", "auto", goenv.GoLines{Go: "1.26"}, "go1.26.8", "", "", ""},
		{"language version", "auto", goenv.GoLines{Go: "1.27"}, "go1.26.8", "L49", "go1.27.0 is not installed", "install go1.27.0"},
		{"toolchain line", "auto", goenv.GoLines{Go: "1.24.0", Toolchain: "go1.27.1"}, "go1.26.8", "L49", "go1.27.1 is not installed", "install go1.27.1"},
		{"toolchain line, in PATH", "auto", goenv.GoLines{Go: "1.24.0", Toolchain: "go1.27.1"}, "go1.26.8 go1.27.1", "", "", ""},
		{"toolchain line, local", "local", goenv.GoLines{Go: "1.24.0", Toolchain: "go1.27.1"}, "go1.26.8", "", "", ""},
		{"toolchain line, pinned", "go1.26.8", goenv.GoLines{Go: "1.24.0", Toolchain: "go1.27.1"}, "go1.26.8", "", "", ""},
		{"pinned newer", "go1.28.0", goenv.GoLines{Go: "1.27.0"}, "go1.26.8", "L49", "GOTOOLCHAIN (environment): go1.28.0 is not installed", "install go1.28.0"},
		{"pinned older than the go line", "go1.26.8", goenv.GoLines{Go: "1.27.0"}, "go1.26.8", "L48", "it is go1.26.8 that runs", "export GOTOOLCHAIN=auto; or install go1.27.0"},
		{"pinned without a release", "go1.28+auto", goenv.GoLines{Go: "1.27.0"}, "go1.26.8", "L50", "no toolchain go1.28", "export GOTOOLCHAIN=go1.28.0+auto"},
		{"path, and not there", "path", goenv.GoLines{Go: "1.27"}, "go1.26.8", "L48", "go1.27.0 is needed and not in PATH", "export GOTOOLCHAIN=auto"},
		{"path, and there", "path", goenv.GoLines{Go: "1.27"}, "go1.26.8 go1.27.0", "", "", ""},
		{"default", "auto", goenv.GoLines{Go: "1.27", Toolchain: "default"}, "go1.26.8", "L48", "toolchain default", "install go1.27.0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			names := strings.Fields(tt.installed)
			got := lint.Check(lint.Input{
				Sources: goenv.Sources{Getenv: func(n string) string {
					return map[string]string{"GOTOOLCHAIN": tt.mode, "GOPROXY": "https://p.example.com", "GOSUMDB": "off"}[n]
				}},
				Lines: tt.lines, GoAt: report.Place{File: "go.mod", Line: 3}, ToolchainAt: report.Place{File: "go.mod", Line: 4},
				HaveGo: names[0], InPath: func(n string) bool { return slices.Contains(names, n) },
			})
			got = slices.DeleteFunc(got, func(f lint.Finding) bool { return !slices.Contains([]string{"L48", "L49", "L50"}, f.Rule.ID) })
			if tt.id == "" {
				if len(got) > 0 {
					t.Errorf("found %v", got)
				}
				return
			}
			if len(got) != 1 || got[0].Rule.ID != tt.id {
				t.Fatalf("found %v; want %s alone", got, tt.id)
			}
			if r := got[0].Report(render.ShellWord); !strings.Contains(r.Message, tt.text) || !strings.HasPrefix(r.Fix, tt.fix) {
				t.Errorf("says %q, %q; want %q, %q", r.Message, r.Fix, tt.text, tt.fix)
			}
		})
	}
}
