package lint

import (
	"fmt"
	goversion "go/version"
	"strings"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/report"
)

// newer reports whether go.mod asks for a newer go than is installed.
func (c *checker) newer() bool {
	return c.WantGo != "" && c.HaveGo != "" && goversion.Compare(c.WantGo, c.HaveGo) > 0
}

// goMod is the place of the go line, as a setting that is none of go's.
func (c *checker) goMod() goenv.Setting {
	return goenv.Setting{File: c.WantAt.File, Line: c.WantAt.Line}
}

func toolchainLocal(c *checker) []found {
	set := c.look("GOTOOLCHAIN")
	if !c.newer() || set.Value != "local" && set.Value != "path" {
		return nil
	}
	return []found{{set, fmt.Sprintf("%s asks for %s, %s is installed, and GOTOOLCHAIN=%s downloads none: every go command fails", c.WantAt, c.WantGo, c.HaveGo, set.Value), []Change{{"GOTOOLCHAIN", "auto"}}, "or install " + c.WantGo}}
}

func toolchainDownload(c *checker) []found {
	set := c.look("GOTOOLCHAIN")
	if !c.newer() || set.Value == "local" || set.Value == "path" || withoutPatch(c.WantGo) {
		return nil
	}
	return []found{{set: c.goMod(), message: fmt.Sprintf("%s is not installed (%s is): about 80 MB come through GOPROXY, verified by the checksum database, before any go command does its work", c.WantGo, c.HaveGo), advice: "install " + c.WantGo + " where the build runs"}}
}

func toolchainMissing(c *checker) []found {
	if !c.newer() || !withoutPatch(c.WantGo) || c.look("GOTOOLCHAIN").Value == "local" {
		return nil
	}
	return []found{{set: c.goMod(), message: fmt.Sprintf("there is no toolchain %s: since Go 1.21 the first release of a version ends in .0", c.WantGo), advice: fmt.Sprintf("write \"go %s.0\" in go.mod", strings.TrimPrefix(c.WantGo, "go"))}}
}

// withoutPatch reports whether v names a language version and no release.
func withoutPatch(v string) bool {
	return goversion.Lang(v) == v && goversion.Compare(v, "go1.21") >= 0
}

const (
	fault  = report.Error
	worry  = report.Warning
	remark = report.Notice
)
