package diagnose

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/files"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/report"
)

// goproxyRefused finds a GOPROXY that go refuses as a whole, or an entry that
// it takes and can't use.
func goproxyRefused(_ context.Context, m *Machine) Result {
	value := m.setting("GOPROXY")
	f := Finding{Severity: report.Error, Place: m.origin("GOPROXY")}
	chain, err := goenv.ParseWhole(value)
	if m.Settings.Lookup("GOPROXY").Origin == goenv.Unset && m.Go.Env == nil {
		return skipped("GOPROXY is not set, and there is no go command to have a default")
	}
	if errors.Is(err, goenv.ErrNoEntries) {
		f.Message = "GOPROXY is set to nothing, so go refuses every download"
		f.Fix = "unset it, and Go's default is in force again; or name a proxy"
		if m.fromUser("GOPROXY") {
			f.Fix = "go env -u GOPROXY, and Go's default is in force again"
			if f.Repair = m.goEnv("-u", "GOPROXY"); f.Repair != nil {
				f.Fix = f.Repair.Shown + ", and Go's default is in force again"
			}
		}
		return found(f)
	}
	for _, e := range chain {
		if err == nil && e.Proxy() {
			_, err = goenv.CheckEntry(e.Value)
		}
	}
	bad, ok := errors.AsType[*goenv.EntryError](err)
	switch {
	case err == nil:
		return Result{Seen: goenv.RedactSetting("GOPROXY", value)}
	case !ok:
		f.Message = err.Error()
	default:
		f.Message = fmt.Sprintf("entry %q of GOPROXY: %s; go refuses the whole list", bad.Entry, bad.Reason)
		f.Fix = bad.Fix
	}
	return found(f)
}

// patternsNeverMatch finds module patterns that cannot match what was meant.
func patternsNeverMatch(_ context.Context, m *Machine) Result {
	var r Result
	for _, name := range patternSettings {
		value := m.setting(name)
		problems := goenv.LintPatterns(value)
		if len(problems) == 0 {
			continue
		}
		if m.Settings.Lookup(name).From != "" {
			continue // its value is GOPRIVATE's
		}
		var words []string
		for _, p := range problems {
			words = append(words, fmt.Sprintf("%q: %s", p.Pattern, p.Reason))
		}
		f := Finding{
			Severity: report.Error, Place: m.origin(name),
			Message: fmt.Sprintf("%s has patterns that match nothing, so private modules are asked of public proxies: %s", name, strings.Join(words, "; ")),
			Fix:     writeAnew,
		}
		if mended, ok := goenv.MendPatterns(value); ok && mended != "" {
			if f.Fix = m.set(name, mended); m.fromUser(name) {
				f.Repair = m.goEnv("-w", name+"="+mended)
			}
		}
		r.Findings = append(r.Findings, f)
	}
	return r
}

// writeAnew is the fix of patterns of which nobody can tell what they were
// meant to be.
const writeAnew = "write the patterns anew, separated by commas alone, as in git.example.com/team"

// gosumdbRefused finds a GOSUMDB that go refuses, or that is off.
func gosumdbRefused(_ context.Context, m *Machine) Result {
	value := m.setting("GOSUMDB")
	db, err := goenv.ParseSumDB(value)
	f := Finding{Place: m.origin("GOSUMDB"), Fix: m.set("GOSUMDB", policy.Databases()[0].GOSUMDB)}
	switch {
	case m.Settings.Lookup("GOSUMDB").Origin == goenv.Unset:
		return skipped("GOSUMDB is not set")
	case err != nil:
		f.Severity, f.Message = report.Error, err.Error()
	case db.Off:
		f.Message = "GOSUMDB is off: what go.sum does not have is believed as any proxy sends it"
		f.Fix += "; for private modules alone use GONOSUMDB or GOPRIVATE"
	default:
		return Result{Seen: goenv.RedactSetting("GOSUMDB", value)}
	}
	return found(f)
}

// withoutEffect finds what "go env -w" has written and the environment hides.
func withoutEffect(_ context.Context, m *Machine) Result {
	var r Result
	for _, name := range goSettings {
		s := m.Settings.Lookup(name)
		for _, other := range s.Shadowed {
			if s.Origin != goenv.Environment || other.Origin != goenv.UserFile || other.Value == s.Value {
				continue
			}
			f := Finding{
				Place:   m.place(other.File, other.Line),
				Message: fmt.Sprintf("%s=%s, written by \"go env -w\", has no effect: the environment says %s", name, goenv.RedactSetting(name, other.Value), goenv.RedactSetting(name, s.Value)),
				Fix:     "take " + name + " out of the environment, or out of the file: go env -u " + name,
			}
			if a, ok := m.assigned(name); ok {
				f.Message += " (" + m.place(a.File, a.Line).String() + ")"
			}
			r.Findings = append(r.Findings, f)
		}
	}
	return r
}

// shellFilesDiffer finds variables that shells' files give other values than
// the one in force: the next shell will build otherwise than this one.
func shellFilesDiffer(_ context.Context, m *Machine) Result {
	var r Result
	for _, name := range watched {
		var last *assignment
		for i, a := range m.Shell {
			if a.Name == name {
				last = &m.Shell[i]
			}
		}
		now := m.Getenv(name)
		if last == nil || last.Computed || last.Cut || last.Value == now || last.Value == "" {
			continue
		}
		said := "the environment of this process has no " + name
		if now != "" {
			said = "in this process it is " + goenv.RedactSetting(name, now)
		}
		r.Findings = append(r.Findings, Finding{
			Severity: report.Notice, Place: m.place(last.File, last.Line),
			Message: fmt.Sprintf("%s is set to %s here, but %s", name, goenv.RedactSetting(name, last.Value), said),
			Fix:     "start a new shell, or take out the line that is out of date",
		})
	}
	return r
}

// shellBar finds a value whose bar a shell takes for a pipe.
func shellBar(_ context.Context, m *Machine) Result {
	var r Result
	for _, a := range m.Shell {
		if a.Cut {
			r.Findings = append(r.Findings, Finding{
				Severity: report.Error, Place: m.place(a.File, a.Line),
				Message: fmt.Sprintf("the bar in the value of %s is not quoted: the shell takes what follows for a command, and the value is not set", a.Name),
				Fix:     fmt.Sprintf("quote the value of %s: %s", a.Name, a.quoted()),
			})
		}
	}
	return r
}

// envFileNotRead finds files with settings that go does not read: in no shell,
// or only not in this one.
func envFileNotRead(_ context.Context, m *Machine) Result {
	var r Result
	if m.Home == "" {
		return skipped("there is no home directory")
	}
	usual := filepath.Join(m.Home, ".config", "go", "env")
	goenv := m.Getenv("GOENV")
	for _, file := range []string{filepath.Join(m.Home, "go", "env"), usual, filepath.Join(m.Home, ".go", "env")} {
		if file == m.userFile() {
			continue
		}
		data, err := files.Read(file, maxFile)
		if err != nil || !strings.Contains("\n"+string(data), "\nGO") {
			continue
		}
		f := Finding{
			Place: m.place(file, 1), Message: "go does not read this file; the one it reads is " + cmp.Or(m.userFile(), "none, since GOENV is off"),
			Fix: "write the settings again with \"go env -w\", and remove this file",
		}
		switch {
		case file == usual && goenv != "": // of every other shell it is the right one
			f.Severity, f.Message, f.Fix = report.Notice, "go does not read this file here, for GOENV is set to "+goenv, "if its settings shall count here, too: unset GOENV"
		case goenv == "off":
			f.Fix = "unset GOENV, " + f.Fix
		}
		r.Findings = append(r.Findings, f)
	}
	return r
}

// envFileUnreadable finds a file of "go env -w" that go skips in silence.
func envFileUnreadable(_ context.Context, m *Machine) Result {
	file := m.userFile()
	if file == "" {
		return skipped("there is no file of \"go env -w\"")
	}
	data, err := files.Read(file, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Result{Seen: file + " does not exist"}
	case err != nil:
		return found(Finding{
			Place: m.place(file, 0), Message: fmt.Sprintf("go cannot read the settings of \"go env -w\" and says nothing of it: %v", reason(err)),
			Fix: "make it a file that you can read, or point GOENV at one",
		})
	}
	r := Result{Seen: file}
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		if text := strings.TrimSpace(line); text == "" || text[0] == '#' || line[0] >= 'A' && line[0] <= 'Z' && strings.Contains(line, "=") {
			continue
		}
		if r.Findings = append(r.Findings, Finding{
			Place: m.place(file, n), Message: "go skips this line in silence: it is not NAME=VALUE from its first column on", Fix: "remove it, and use \"go env -w NAME=VALUE\"",
		}); len(r.Findings) == 10 {
			break
		}
	}
	return r
}

// reason returns an error without the path that the place names already.
func reason(err error) error {
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return p.Err
	}
	return err
}

// goflagsRefused finds a GOFLAGS that go refuses. "go env" does not look at it;
// listing a package of the standard library does, and asks no network.
func goflagsRefused(ctx context.Context, m *Machine) Result {
	flags := m.setting("GOFLAGS")
	if flags == "" || m.Go.Env == nil {
		return skipped("GOFLAGS is not set")
	}
	_, errs, err := m.goAlone(ctx, "list", "unsafe")
	if i := strings.Index(errs, "parsing $GOFLAGS"); err != nil && i >= 0 {
		shown, why := goenv.RedactSetting("GOFLAGS", flags), ""
		if shown == flags { // or go's own words would show what is not to be seen
			why = ": " + firstLine(errs[i:])
		}
		return found(Finding{
			Severity: report.Error, Place: m.origin("GOFLAGS"), Message: fmt.Sprintf("GOFLAGS=%s: every go command fails%s", shown, why),
			Fix: "GOFLAGS holds flags such as -mod=readonly, separated by blanks: mend it " + m.set("GOFLAGS", ""),
		})
	}
	if slices.Contains(strings.Fields(flags), "-insecure") {
		return found(Finding{
			Place: m.origin("GOFLAGS"), Message: "GOFLAGS has -insecure, which makes \"go get\" fail and other commands ignore it",
			Fix: "take it out; for one private host there is GOINSECURE, which concerns direct fetches alone",
		})
	}
	root, vendor := m.Work.root, "go mod vendor"
	if m.Work.gowork != "" {
		root, vendor = filepath.Dir(m.Work.gowork), "go work vendor"
	}
	if slices.Contains(strings.Fields(flags), "-mod=vendor") && root != "" {
		if _, err := os.Stat(filepath.Join(root, "vendor", "modules.txt")); err != nil {
			return found(Finding{
				Severity: report.Error, Place: m.origin("GOFLAGS"), Message: "GOFLAGS has -mod=vendor, and there is no vendor directory in " + root,
				Fix: "run \"GOFLAGS= " + vendor + "\", or take -mod=vendor out of GOFLAGS",
			})
		}
	}
	return Result{Seen: goenv.RedactSetting("GOFLAGS", flags)}
}

// modulesOff finds GO111MODULE=off.
func modulesOff(_ context.Context, m *Machine) Result {
	if m.setting("GO111MODULE") != "off" {
		return Result{}
	}
	return found(Finding{
		Severity: report.Error, Place: m.origin("GO111MODULE"), Message: "GO111MODULE=off: go.mod and GOPROXY are not looked at",
		Fix: "take it out: modules are the default since Go 1.16",
	})
}
