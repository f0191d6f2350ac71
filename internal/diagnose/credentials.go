package diagnose

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/netrc"
	"github.com/org/goproxy-setup/internal/report"
)

// machineLine is a word "machine" of a netrc file, complete or not.
type machineLine struct {
	name            string
	line            int
	login, password bool
}

// machineLines returns every machine that a netrc file names, with or without
// login and password.
func machineLines(text string) (list []machineLine) {
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		n++
		f := strings.Fields(line)
		for i := 0; i+1 < len(f); i += 2 {
			switch f[i] {
			case "machine":
				list = append(list, machineLine{name: f[i+1], line: n})
			case "login", "password":
				if len(list) > 0 {
					last := &list[len(list)-1]
					last.login = last.login || f[i] == "login"
					last.password = last.password || f[i] == "password"
				}
			}
		}
	}
	return list
}

// refusesUs reports whether a proxy of the chain wants a login, or another one.
func (m *Machine) refusesUs(ctx context.Context, entry string) bool {
	return slices.ContainsFunc(m.evidence(ctx).Evidence, func(ev decision.Evidence) bool {
		return ev.Entry == entry && (ev.Class == decision.Unauthorized || ev.Class == decision.Forbidden)
	})
}

// netrcMachine finds entries of netrc that were meant for a proxy of the chain
// and that go does not send there. They may as well be another program's, if
// the proxy wants no login.
func netrcMachine(ctx context.Context, m *Machine) Result {
	if m.Netrc.Err != nil {
		return skipped("there is no netrc file")
	}
	r := Result{Seen: fmt.Sprintf("%d logins in %s", len(m.Netrc.Machines), m.Netrc.Path)}
	for _, e := range m.Policy.Proxies() {
		u, err := url.Parse(e.URL)
		if err != nil || u.Host == "" {
			continue
		}
		if _, ok := netrc.Lookup(m.Netrc.Machines, u); ok || m.Logins[e.Name] != (Login{}) {
			continue
		}
		for _, line := range machineLines(m.Netrc.Text) {
			name := strings.TrimPrefix(line.name, "https://")
			host, _, _ := strings.Cut(name, "/")
			bare, _, _ := strings.Cut(host, ":")
			if !strings.EqualFold(bare, u.Hostname()) {
				continue
			}
			f := Finding{Severity: report.Notice, Place: m.place(m.Netrc.Path, line.line)}
			if m.refusesUs(ctx, e.Name) {
				f.Severity = report.Error
			}
			switch {
			case u.Scheme != "https":
				f.Message = fmt.Sprintf("the login for %s is not sent to %s: go sends none over plain http", line.name, e.Name)
				f.Fix = "write the proxy's https URL into GOPROXY"
			case host != u.Host:
				f.Message = fmt.Sprintf("machine %s is not %s, the host in GOPROXY: go compares the port and the spelling as well, so no login is sent", line.name, u.Host)
				f.Fix = "add a line for it, and leave this one: machine " + u.Host
			default:
				continue // incomplete: another check says so
			}
			r.Findings = append(r.Findings, f)
		}
	}
	return r
}

// netrcIncomplete finds machines without login or password, which go skips.
func netrcIncomplete(_ context.Context, m *Machine) Result {
	if m.Netrc.Err != nil {
		return skipped("there is no netrc file")
	}
	var r Result
	for _, line := range machineLines(m.Netrc.Text) {
		missing := ""
		switch {
		case !line.login && !line.password:
			missing = "neither login nor password"
		case !line.login:
			missing = "no login"
		case !line.password:
			missing = "no password"
		default:
			continue
		}
		r.Findings = append(r.Findings, Finding{
			Place: m.place(m.Netrc.Path, line.line), Message: fmt.Sprintf("machine %s has %s: go uses entries with both alone", line.name, missing),
			Fix: "complete the entry (for a token, any login will do), or remove it",
		})
	}
	return r
}

// netrcOpen finds a netrc file that others can read, or that we cannot.
func netrcOpen(_ context.Context, m *Machine) Result {
	n := m.Netrc
	switch {
	case errors.Is(n.Err, fs.ErrNotExist):
		if m.Getenv("NETRC") != "" {
			return found(Finding{Place: m.place(n.Path, 0), Message: "NETRC names a file that does not exist, so no login is sent", Fix: "correct NETRC, or unset it: ~/.netrc is then read"})
		}
		return skipped("there is no netrc file")
	case n.Err != nil:
		return found(Finding{Severity: report.Error, Place: m.place(n.Path, 0), Message: fmt.Sprintf("go cannot read the logins: %v", reason(n.Err)), Fix: "make it a file that you can read"})
	case runtime.GOOS != "windows" && n.Mode.Perm()&0o077 != 0 && strings.Contains(n.Text, "password"):
		return found(Finding{
			Place: m.place(n.Path, 0), Message: fmt.Sprintf("others on this machine can read your logins (mode %o)", n.Mode.Perm()),
			Fix: "chmod 600 " + shellWord(n.Path), Repair: chmod(n.Path, 0o600),
		})
	}
	return Result{Seen: n.Path}
}

// goAuth finds a GOAUTH that go refuses, that names what is not there, or that
// keeps go from using netrc.
func goAuth(_ context.Context, m *Machine) Result {
	value, at := m.setting("GOAUTH"), m.origin("GOAUTH")
	shown := goenv.RedactSetting("GOAUTH", value)
	commands, err := goenv.ParseAuth(value)
	if err != nil {
		return found(Finding{Severity: report.Error, Place: at, Message: fmt.Sprintf("%v: go ends at its first https request", err), Fix: "correct it, or leave it to netrc: " + m.set("GOAUTH", "netrc")})
	}
	r := Result{Seen: "GOAUTH=" + shown}
	usesNetrc := false
	for _, c := range commands {
		words := strings.Fields(c)
		bad := Finding{Severity: report.Error, Place: at}
		switch words[0] {
		case "off":
		case "netrc":
			usesNetrc = true
		case "git":
			if info, err := os.Stat(words[1]); err != nil || !info.IsDir() {
				bad.Message, bad.Fix = fmt.Sprintf("GOAUTH: git cannot work in %s, which is no directory: go ends at its first https request", words[1]), "write git /ABSOLUTE/DIRECTORY"
			}
		default:
			bad.Message, bad.Fix = m.authProgram(c)
		}
		if bad.Message != "" {
			r.Findings = append(r.Findings, bad)
		}
	}
	for _, e := range m.Policy.Proxies() {
		u, err := url.Parse(e.URL)
		if err != nil || u.Scheme != "https" || usesNetrc || m.Logins[e.Name] != (Login{}) {
			continue
		}
		if login, ok := netrc.Lookup(m.Netrc.Machines, u); ok {
			r.Findings = append(r.Findings, Finding{Place: at, Message: fmt.Sprintf("GOAUTH=%s keeps go from sending the login for %s in netrc to %s", shown, login.Name, e.Name), Fix: "put netrc into GOAUTH: " + m.set("GOAUTH", "netrc")})
		}
	}
	return r
}

// authProgram says why a command of GOAUTH cannot be run, and what to do; both
// are "" if it can.
func (m *Machine) authProgram(command string) (why, fix string) {
	name, _, _ := strings.Cut(command, " ")
	if quote := command[:1]; quote == `"` || quote == "'" {
		name, _, _ = strings.Cut(command[1:], quote)
	}
	shown := goenv.RedactSetting("", name)
	if !strings.ContainsAny(name, `/\`) {
		if len(m.find(name)) == 0 {
			return fmt.Sprintf("GOAUTH: there is no command %q in PATH", shown), "install it, or correct the name; logins of netrc need \"netrc\""
		}
		return "", ""
	}
	if !filepath.IsAbs(name) {
		name = filepath.Join(m.Dir, name)
	}
	if _, err := readableProgram(name); err != nil {
		return fmt.Sprintf("GOAUTH: the command %s cannot be run: %v", shown, err), "correct its path"
	}
	return "", ""
}
