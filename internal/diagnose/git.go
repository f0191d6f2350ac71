package diagnose

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/files"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/report"
)

// Git is what the git command is set to.
type Git struct {
	Path   string // "" if there is none
	Config []gitSetting
	Err    string // why there is no Config
}

// A gitSetting is one value of git's configuration.
type gitSetting struct {
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
		s := gitSetting{Key: key, Value: value}
		if file, ok := strings.CutPrefix(fields[i], "file:"); ok {
			if !filepath.IsAbs(file) { // from the top of the repository
				file = cmp.Or(files.Nearest(m.Dir, file), file)
			}
			s.File, s.Line = file, gitLine(file, value)
		}
		g.Config = append(g.Config, s)
	}
	return g
}

// gitLine finds the line of a value, which git does not tell.
func gitLine(file, value string) int {
	data, err := files.Read(file, maxFile)
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
	gitSetting
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

// unset returns what takes a rewrite out of the file that it stands in.
func (m *Machine) unset(w rewrite) string {
	switch {
	case w.File == "":
		return "take it out where git's settings are given: no file has it"
	case w.shown() != w.base || goenv.Redact(w.Value) != w.Value: // a command would have to name the secret
		return "take the line out of " + m.place(w.File, w.Line).String()
	}
	return fmt.Sprintf("git config %s --unset-all %s %s", w.where(), shellWord("url."+w.base+".insteadOf"), shellWord("^"+regexp.QuoteMeta(w.Value)+"$"))
}

// replaced returns what puts another rewrite in the place of one.
func (m *Machine) replaced(w rewrite, base, value string) string {
	join, where := " && ", w.where()
	out := m.unset(w)
	if !strings.HasPrefix(out, "git ") {
		join, where = "; then ", "--global"
	}
	return fmt.Sprintf("%s%sgit config %s --add %s %s", out, join, where, shellWord("url."+base+".insteadOf"), shellWord(value))
}

// where returns git's option for the file of a setting.
func (s gitSetting) where() string {
	if !filepath.IsAbs(s.File) {
		return "--local" // git names its repository's own file like that
	}
	return "--file " + shellWord(s.File)
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
			f.Fix = fmt.Sprintf("modules of %s come through GOPROXY: %s", path, m.unset(w))
			if path == "golang.org/x" {
				f.Fix = "rewrite where the repositories are, to where their copies are: " + m.replaced(w, "https://github.com/golang/", "https://go.googlesource.com/")
			}
			r.Findings = append(r.Findings, f)
		}
		if strings.HasSuffix(from, "go.googlesource.com/") && strings.TrimSuffix(w.base, "/") == "https://github.com" {
			r.Findings = append(r.Findings, Finding{Place: m.place(w.File, w.Line), Message: "git is told to fetch go.googlesource.com/NAME from github.com/NAME, where there is no such repository",
				Fix: m.replaced(w, "https://github.com/golang/", "https://go.googlesource.com/")})
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
		if joining(w) == w.base {
			continue
		}
		sample := w.base + "org/repo"
		if !endsPart(w.Value) {
			sample = w.base + "/org/repo"
		}
		r.Findings = append(r.Findings, Finding{
			Severity: report.Error, Place: m.place(w.File, w.Line),
			Message: fmt.Sprintf("git makes of %s the URL %s", goenv.Redact(strings.TrimSuffix(w.Value, "/"))+"/org/repo", strings.Replace(sample, w.base, w.shown(), 1)),
			Fix:     m.replaced(w, joining(rewrite{w.shown(), w.gitSetting}), goenv.Redact(w.Value)),
		})
	}
	return r
}

// joining returns the base of a rewrite in the form in which it makes URLs with
// what follows: after ssh:// a slash and no colon follows the host, and both
// halves end alike.
func joining(w rewrite) string {
	base := w.base
	if rest, ok := strings.CutPrefix(base, "ssh://"); ok {
		host, _, hasPath := strings.Cut(rest, "/")
		i := strings.LastIndexByte(host, ':')
		if i > strings.LastIndexByte(host, '@') && !strings.HasSuffix(host, "]") && !isPort(host[i+1:]) && !(hasPath && i == len(host)-1) {
			base = "ssh://" + host[:i] + "/" + rest[i+1:]
		}
	}
	if endsPart(w.Value) && !endsPart(base) {
		end := "/"
		if !strings.Contains(base, ":") && strings.Contains(base, "@") { // USER@HOST, without a scheme
			end = ":"
		}
		base += end
	}
	return base
}

func endsPart(s string) bool { return strings.HasSuffix(s, "/") || strings.HasSuffix(s, ":") }

func isPort(s string) bool { return s != "" && strings.Trim(s, "0123456789") == "" }

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
