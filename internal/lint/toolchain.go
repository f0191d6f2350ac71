package lint

import (
	"fmt"
	"strings"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/report"
)

// toolchain returns what the go command becomes; not ok if that is not known.
func (c *checker) toolchain() (t goenv.Toolchain, ok bool) {
	if c.HaveGo == "" {
		return t, false
	}
	t, err := goenv.SelectToolchain(c.look("GOTOOLCHAIN").Value, c.HaveGo, c.Lines)
	return t, err == nil
}

// inPath reports whether PATH leads to the toolchain, as far as that is known.
func (c *checker) inPath(t goenv.Toolchain) (in, known bool) {
	if c.InPath == nil {
		return false, false
	}
	return c.InPath(t.Name), true
}

// asks is what asks for the toolchain: a line of go.mod, as a setting that is
// none of go's, or GOTOOLCHAIN.
func (c *checker) asks(t goenv.Toolchain) goenv.Setting {
	at := c.GoAt
	switch t.Line {
	case "":
		return c.look("GOTOOLCHAIN")
	case "toolchain":
		at = c.ToolchainAt
	}
	return goenv.Setting{File: at.File, Line: at.Line}
}

func toolchainForbidden(c *checker) []found {
	t, ok := c.toolchain()
	set := c.look("GOTOOLCHAIN")
	auto := []Change{{"GOTOOLCHAIN", "auto"}}
	if in, known := c.inPath(t); ok && t.PathOnly && !t.Installed && known && !in {
		return []found{{set, fmt.Sprintf("%s is needed and not in PATH, and GOTOOLCHAIN=%s downloads none: every go command fails", t.Name, set.Value), auto, "or install " + t.Name}}
	}
	if !ok || !t.TooOld {
		return nil
	}
	want := goenv.ToolchainFor(c.Lines.Go)
	f := found{set: set, message: fmt.Sprintf("%s needs go %s, and by GOTOOLCHAIN=%s it is %s that runs: every go command fails", c.GoAt, c.Lines.Go, set.Value, t.Name), changes: auto, advice: "or install " + want}
	if c.Lines.Toolchain == "default" {
		f.message += ", and the line \"toolchain default\" forbids another"
		f.changes, f.advice = nil, "install "+want
	}
	return []found{f}
}

func toolchainDownload(c *checker) []found {
	t, ok := c.toolchain()
	if in, _ := c.inPath(t); !ok || t.Installed || t.PathOnly || in || t.NoRelease() {
		return nil
	}
	return []found{{set: c.asks(t), message: fmt.Sprintf("%s is not installed (%s is): about 80 MB come through GOPROXY, verified by the checksum database, before any go command does its work", t.Name, c.HaveGo), advice: "install " + t.Name + " where the build runs"}}
}

func toolchainMissing(c *checker) []found {
	t, ok := c.toolchain()
	if in, _ := c.inPath(t); !ok || !t.NoRelease() || in {
		return nil
	}
	f := found{set: c.asks(t), message: fmt.Sprintf("there is no toolchain %s: since Go 1.21 that is a language version, which go completes in a go line alone", t.Name)}
	if t.Line == "toolchain" {
		f.advice = fmt.Sprintf("write \"toolchain %s.0\" in %s", t.Name, c.ToolchainAt.File)
	} else {
		f.changes = []Change{{"GOTOOLCHAIN", strings.Replace(f.set.Value, t.Name, t.Name+".0", 1)}}
	}
	return []found{f}
}

const (
	fault  = report.Error
	worry  = report.Warning
	remark = report.Notice
)
