package diagnose

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/report"
)

// Git is what the git command is set to.
type Git struct {
	Path   string // "" if there is none
	Config []GitSetting
	Err    string // why there is no Config
}

// A GitSetting is one value of git's configuration.
type GitSetting struct {
	Key, Value string // the key's section and name are in lower case
	File       string // "" if it comes from elsewhere
	Line       int    // 0 if unknown
}

// readGit asks git for all its settings that matter here.
func (m *Machine) readGit(ctx context.Context) (g Git) {
	list := m.find("git")
	if len(list) == 0 {
		return g
	}
	g.Path = list[0]
	out, errs, err := m.output(ctx, m.Dir, nil, g.Path, "config", "--null", "--show-origin", "--get-regexp", `^(url\..*\.(insteadof|pushinsteadof)|http\.(.*\.)?(proxy|sslverify)|core\.sshcommand)$`)
	if err != nil && errs != "" { // without a match it fails in silence
		g.Err = firstLine(errs)
		return g
	}
	fields := strings.Split(out, "\x00")
	for i := 0; i+1 < len(fields); i += 2 {
		key, value, _ := strings.Cut(fields[i+1], "\n")
		s := GitSetting{Key: key, Value: value}
		if file, ok := strings.CutPrefix(fields[i], "file:"); ok {
			s.File, s.Line = file, gitLine(file, value)
		}
		g.Config = append(g.Config, s)
	}
	return g
}

// gitLine finds the line of a value, which git does not tell.
func gitLine(file, value string) int {
	data, err := readFile(file, maxFile)
	if err != nil {
		return 0
	}
	n := 0
	for line := range strings.Lines(string(data)) {
		n++
		_, have, ok := strings.Cut(strings.TrimSpace(line), "=")
		if ok && strings.Trim(strings.TrimSpace(have), `"`) == value {
			return n
		}
	}
	return 0
}

// rewrites returns git's rewrites of URLs: what begins with the setting's
// Value is fetched from base.
func (g Git) rewrites() (list []rewrite) {
	for _, s := range g.Config {
		base, ok := strings.CutPrefix(s.Key, "url.")
		if base, ok2 := strings.CutSuffix(base, ".insteadof"); ok && ok2 {
			list = append(list, rewrite{base, s})
		}
	}
	return list
}

type rewrite struct {
	base string
	GitSetting
}

// shown returns the base without secrets. The user of ssh is none: it is "git".
func (w rewrite) shown() string {
	if rest, ok := strings.CutPrefix(w.base, "ssh://git@"); ok {
		return "ssh://git@" + goenv.Redact(rest)
	}
	if rest, ok := strings.CutPrefix(w.base, "git@"); ok && !strings.Contains(rest, "@") {
		return w.base
	}
	return goenv.RedactSetting("", w.base)
}

// gitMissing finds that modules shall be fetched from version control and
// there is no git.
func gitMissing(_ context.Context, m *Machine) Result {
	goesDirect := slices.ContainsFunc([]string{"GOPRIVATE", "GONOPROXY"}, func(n string) bool { return m.setting(n) != "" })
	for _, e := range m.Policy.Chain {
		goesDirect = goesDirect || e.Name == "direct"
	}
	switch {
	case m.Git.Path != "" && m.Git.Err != "":
		return found(Finding{Severity: report.Error, Message: "git cannot read its own settings: " + m.Git.Err, Fix: "mend the file that it names: every direct fetch fails until then"})
	case m.Git.Path != "":
		return Result{Seen: m.Git.Path}
	case !goesDirect:
		return skipped("nothing goes direct")
	}
	return found(Finding{
		Severity: report.Notice, Message: "\"direct\" and private modules are fetched by git, and there is no git in PATH", Fix: "install git, or end the chain without \"direct\"",
	})
}

// vanity are hosts of module paths that have no repositories of their own, and
// where the repositories are.
var vanity = map[string]string{
	"golang.org/x": "go.googlesource.com", "google.golang.org": "github.com", "gopkg.in": "github.com", "go.uber.org": "github.com/uber-go", "k8s.io": "github.com/kubernetes",
}

// insteadOfNowhere finds rewrites of module paths that are no repositories.
func insteadOfNowhere(_ context.Context, m *Machine) Result {
	if m.Git.Path == "" {
		return skipped("there is no git")
	}
	var r Result
	for _, w := range m.Git.rewrites() {
		_, from, ok := strings.Cut(w.Value, "://")
		if !ok {
			from = w.Value
		}
		for path, real := range vanity {
			if strings.TrimSuffix(from, "/") != path && !strings.HasPrefix(from, path+"/") {
				continue
			}
			f := Finding{Place: m.place(w.File, w.Line), Message: fmt.Sprintf(
				"git is told to fetch %s from %s, but it is never asked for %s: go reads there where the repository is (%s) and gives git that URL", goenv.RedactSetting("", w.Value), w.shown(), path, real)}
			f.Fix = fmt.Sprintf("remove it (git config --global --unset-all %s); modules of %s come through GOPROXY", shellWord("url."+w.shown()+".insteadOf"), path)
			if path == "golang.org/x" {
				f.Fix = "rewrite where the repositories are, to where their copies are: git config --global url.https://github.com/golang/.insteadOf https://go.googlesource.com/"
			}
			r.Findings = append(r.Findings, f)
		}
		if strings.HasSuffix(from, "go.googlesource.com/") && strings.TrimSuffix(w.base, "/") == "https://github.com" {
			r.Findings = append(r.Findings, Finding{Place: m.place(w.File, w.Line), Message: "git is told to fetch go.googlesource.com/NAME from github.com/NAME, where there is no such repository",
				Fix: "git config --global url.https://github.com/golang/.insteadOf https://go.googlesource.com/"})
		}
	}
	return r
}

// insteadOfJoins finds rewrites whose two halves do not join into a URL.
func insteadOfJoins(_ context.Context, m *Machine) Result {
	if m.Git.Path == "" {
		return skipped("there is no git")
	}
	var r Result
	for _, w := range m.Git.rewrites() {
		sep := func(s string) bool { return strings.HasSuffix(s, "/") || strings.HasSuffix(s, ":") }
		sample := w.base + strings.TrimPrefix(w.Value+"/org/repo", w.Value)
		if sep(w.Value) {
			sample = w.base + "org/repo"
		}
		f := Finding{Place: m.place(w.File, w.Line), Message: fmt.Sprintf("git makes of %s the URL %s", goenv.RedactSetting("", strings.TrimSuffix(w.Value, "/"))+"/org/repo", strings.Replace(sample, w.base, w.shown(), 1))}
		_, rest, hasScheme := strings.Cut(w.base, "://")
		switch {
		case sep(w.Value) && !sep(w.base):
			f.Severity = report.Error
			f.Fix = fmt.Sprintf("end both with a slash: git config --global %s %s", shellWord("url."+w.shown()+"/.insteadOf"), shellWord(goenv.RedactSetting("", w.Value)))
		case hasScheme && strings.HasPrefix(w.base, "ssh://") && strings.Contains(rest, ":") && !strings.Contains(rest, "/") && !portAfter(rest):
			f.Severity, f.Fix = report.Error, "after ssh:// a slash follows the host: write ssh://git@HOST/ (or git@HOST: without ssh://)"
		default:
			continue
		}
		r.Findings = append(r.Findings, f)
	}
	return r
}

// portAfter reports whether what follows the last colon is a port.
func portAfter(host string) bool {
	port := host[strings.LastIndexByte(host, ':')+1:]
	return port != "" && strings.Trim(port, "0123456789") == ""
}

// gitTLSOff finds that git checks no certificates.
func gitTLSOff(_ context.Context, m *Machine) Result {
	if m.Git.Path == "" {
		return skipped("there is no git")
	}
	var r Result
	for _, s := range m.Git.Config {
		if strings.HasPrefix(s.Key, "http.") && strings.HasSuffix(s.Key, ".sslverify") && slices.Contains([]string{"false", "no", "off", "0"}, strings.ToLower(s.Value)) {
			r.Findings = append(r.Findings, Finding{
				Place: m.place(s.File, s.Line), Message: goenv.RedactSetting("", s.Key) + "=" + s.Value + ": git believes every certificate, so anybody on the way can change what direct fetches bring",
				Fix: "take it out, and give git the authority it lacks: git config --global http.sslCAInfo FILE",
			})
		}
	}
	return r
}
