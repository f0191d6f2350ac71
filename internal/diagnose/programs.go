package diagnose

import (
	"context"
	"errors"
	"fmt"
	goversion "go/version"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/report"
)

// readableProgram returns what a program's path leads to.
func readableProgram(path string) (fs.FileInfo, error) {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, reason(err)
	case !info.Mode().IsRegular():
		return nil, errors.New("it is no file")
	case runtime.GOOS != "windows" && info.Mode()&0o111 == 0:
		return nil, errors.New("it may not be run")
	}
	return info, nil
}

// goMissing finds that there is no go command, or one that does not start.
func goMissing(_ context.Context, m *Machine) Result {
	switch {
	case m.Go.Path == "":
		return found(Finding{Severity: report.Error, Message: "there is no go command in PATH", Fix: "install Go, and put its bin directory into PATH"})
	case m.Go.Late:
		return skipped("\"go env\" did not answer in time")
	case m.Go.Err != "" && strings.Contains(m.Go.Err, "GOROOT"):
		return found(Finding{Severity: report.Error, Place: m.origin("GOROOT"), Message: "go does not start: " + m.Go.Err, Fix: "unset GOROOT: go finds its own directory"})
	case m.Go.Err != "":
		return found(Finding{Severity: report.Error, Message: "\"go env\" fails: " + m.Go.Err, Fix: "mend what go names"})
	}
	return Result{Seen: m.Go.Path + ", " + m.Go.Env["GOVERSION"]}
}

// goShadowed finds another go further down in PATH.
func goShadowed(ctx context.Context, m *Machine) Result {
	if m.Go.Env == nil {
		return skipped("go does not start")
	}
	first, _ := filepath.EvalSymlinks(m.Go.Path)
	var r Result
	for _, other := range m.find("go")[1:] {
		if real, err := filepath.EvalSymlinks(other); err != nil || real == first {
			continue
		}
		out, _, err := m.output(ctx, filepath.Dir(other), []string{"GOTOOLCHAIN=local", "GOWORK=off", "GOROOT="}, other, "env", "GOVERSION")
		version := strings.TrimSpace(out)
		if err != nil || version == m.Go.Env["GOVERSION"] {
			continue
		}
		f := Finding{
			Severity: report.Notice, Message: fmt.Sprintf("%s (%s) comes before %s (%s) in PATH", m.Go.Path, m.Go.Env["GOVERSION"], other, version),
			Fix: "if the second is meant, put " + filepath.Dir(other) + " first in PATH; or remove the one that is not needed",
		}
		if goversion.Compare(m.Go.Env["GOVERSION"], version) < 0 {
			f.Severity = report.Warning
		}
		r.Findings = append(r.Findings, f)
	}
	return r
}

// bin returns where "go install" puts programs.
func (m *Machine) bin() string {
	if dir := m.goVariable("GOBIN"); dir != "" {
		return dir
	}
	if list := filepath.SplitList(m.goVariable("GOPATH")); len(list) > 0 && list[0] != "" {
		return filepath.Join(list[0], "bin")
	}
	return ""
}

// programs returns the names of the programs in a directory.
func programs(dir string) (names []string) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil
	}
	for _, e := range list[:min(len(list), 1000)] {
		if e.Type().IsRegular() || e.Type()&fs.ModeSymlink != 0 {
			names = append(names, e.Name())
		}
	}
	return names
}

// binOutsidePath finds that what "go install" brings cannot be called.
func binOutsidePath(_ context.Context, m *Machine) Result {
	dir := m.bin()
	if dir == "" || !filepath.IsAbs(dir) || len(programs(dir)) == 0 {
		return skipped("nothing is installed by go")
	}
	if slices.ContainsFunc(filepath.SplitList(m.Getenv("PATH")), func(p string) bool { return filepath.Clean(p) == filepath.Clean(dir) }) {
		return Result{Seen: dir + " is in PATH"}
	}
	return found(Finding{
		Severity: report.Notice, Message: fmt.Sprintf("%s, where \"go install\" puts programs, is not in PATH", dir), Fix: fmt.Sprintf("export PATH=\"$PATH:%s\"", dir),
	})
}

// programShadowed finds programs that go has installed and that PATH does not
// lead to: an older one of the same name comes first, and looks like a proxy
// that serves old versions.
func programShadowed(_ context.Context, m *Machine) Result {
	dir := m.bin()
	names := programs(dir)
	if dir == "" || len(names) == 0 {
		return skipped("nothing is installed by go")
	}
	var r Result
	for _, name := range names {
		if runtime.GOOS == "windows" {
			name = strings.TrimSuffix(name, ".exe")
		}
		list := m.find(name)
		at := slices.IndexFunc(list, func(p string) bool { return filepath.Dir(p) == filepath.Clean(dir) })
		if at <= 0 {
			continue
		}
		first, _ := filepath.EvalSymlinks(list[0])
		if own, err := filepath.EvalSymlinks(list[at]); err == nil && own == first {
			continue
		}
		r.Findings = append(r.Findings, Finding{
			Message: fmt.Sprintf("%s comes before %s in PATH: \"go install\" renews the second, and the first is what runs", list[0], list[at]),
			Fix:     "remove the first, or put " + dir + " before " + filepath.Dir(list[0]) + " in PATH",
		})
	}
	return r
}

// binRelative finds a GOBIN that go refuses.
func binRelative(_ context.Context, m *Machine) Result {
	dir := m.goVariable("GOBIN")
	if dir == "" || filepath.IsAbs(dir) {
		return Result{}
	}
	return found(Finding{
		Severity: report.Error, Place: m.origin("GOBIN"), Message: fmt.Sprintf("GOBIN=%s is not absolute: \"go install\" fails", dir), Fix: "write the whole path",
	})
}

// toolchain returns what the go command becomes before it does its work; the
// error says why it cannot be told.
func (m *Machine) toolchain() (goenv.Toolchain, error) {
	have := m.Go.Env["GOVERSION"]
	if have == "" {
		return goenv.Toolchain{}, errors.New("there is no go command")
	}
	return goenv.SelectToolchain(m.setting("GOTOOLCHAIN"), have, m.Work.lines)
}

// toolchainForbidden finds that a newer go is needed than may run.
func toolchainForbidden(_ context.Context, m *Machine) Result {
	t, err := m.toolchain()
	if err != nil {
		return skipped(err.Error())
	}
	r := m.rules("L48")
	r.Seen = t.Name + " runs"
	for i := range r.Findings {
		if r.Findings[i].Place = m.toolchainPlace(); t.TooOld {
			r.Findings[i].Place = m.Work.goAt
		}
	}
	return r
}

// toolchainUnavailable finds that the toolchain go will fetch cannot be had.
func toolchainUnavailable(ctx context.Context, m *Machine) Result {
	if m.Toolchain == "" || len(m.Policy.Proxies()) == 0 {
		return skipped("no toolchain has to be fetched")
	}
	if t, err := m.toolchain(); err == nil && t.NoRelease() {
		return skipped("there is no such release")
	}
	var asked []string
	for _, ev := range m.evidence(ctx).Evidence {
		c, made := ev.Check(decision.Toolchain)
		switch {
		case !made || c.Class == decision.Cancelled:
		case c.Class == "":
			return Result{Seen: m.Toolchain + " can be had from " + ev.Entry}
		default:
			asked = append(asked, fmt.Sprintf("%s: %s", ev.Entry, c.Class))
		}
	}
	if len(asked) == 0 {
		return skipped("no usable proxy was asked for it")
	}
	return found(Finding{
		Severity: report.Error, Place: m.toolchainPlace(), Message: fmt.Sprintf("go will fetch %s before anything else, and no proxy of the chain has it: %s", m.Toolchain, strings.Join(asked, "; ")),
		Fix: "install that Go, or put a proxy that serves golang.org/toolchain into the chain",
	})
}

// toolchainPlace is where a toolchain is asked for.
func (m *Machine) toolchainPlace() report.Place {
	switch t, _ := m.toolchain(); t.Line {
	case "go":
		return m.Work.goAt
	case "toolchain":
		return m.Work.toolchainAt
	}
	return m.origin("GOTOOLCHAIN")
}

// toolchainRefused finds a GOTOOLCHAIN that go does not understand.
func toolchainRefused(_ context.Context, m *Machine) Result {
	mode := m.setting("GOTOOLCHAIN")
	if _, err := goenv.SelectToolchain(mode, "", goenv.GoLines{}); err != nil {
		return found(Finding{
			Severity: report.Error, Place: m.origin("GOTOOLCHAIN"), Message: fmt.Sprintf("every go command fails: %v", err),
			Fix: "write auto, local, path, or a version such as go1.26.0 or go1.26.0+auto",
		})
	}
	return Result{Seen: mode}
}

// toolchainName finds that a toolchain is asked for by the name of a language
// version, which cannot be fetched.
func toolchainName(_ context.Context, m *Machine) Result {
	if t, err := m.toolchain(); err != nil || t.Installed {
		return skipped("no toolchain has to be fetched")
	}
	return m.rules("L50")
}
