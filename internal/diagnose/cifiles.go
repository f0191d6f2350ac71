package diagnose

import (
	"context"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/report"
)

// ciFiles are the files of a repository that say how CI builds it.
var ciFiles = []string{
	".github/workflows/*.yml", ".github/workflows/*.yaml", ".gitlab-ci.yml", ".gitlab/ci/*.yml", ".forgejo/workflows/*.yml", ".gitea/workflows/*.yml",
	"Jenkinsfile", ".circleci/config.yml", "azure-pipelines.yml", ".travis.yml", ".woodpecker.yml", "Makefile", "Dockerfile", "Dockerfile.*", "*.Dockerfile",
}

// A ciSetting is what the repository's CI files set.
type ciSetting struct {
	values  []assignment
	dockers []dockerfile
}

// A dockerfile builds an image.
type dockerfile struct {
	file    string
	line    int  // the first that makes go download, 0 if there is none
	hasArgs bool // declares GOPROXY as an argument, or sets it
}

// readCI reads the repository's CI files.
func (m *Machine) readCI() (c ciSetting) {
	for _, pattern := range ciFiles {
		files, _ := filepath.Glob(filepath.Join(m.Dir, filepath.FromSlash(pattern))) // ours: never malformed
		for _, f := range files[:min(len(files), maxFiles)] {
			data, err := m.readTree(f, maxFile)
			if err != nil {
				continue
			}
			values := parseCI(f, string(data))
			c.values = append(c.values, values...)
			if strings.Contains(filepath.Base(f), "Dockerfile") {
				sets := slices.ContainsFunc(values, func(v assignment) bool { return v.Name == "GOPROXY" })
				c.dockers = append(c.dockers, dockerfile{f, goRun(string(data)), sets || argGOPROXY.Match(data)})
			}
		}
	}
	return c
}

var argGOPROXY = regexp.MustCompile(`(?m)^\s*ARG\s+GOPROXY`)

// ciSettings finds settings in CI files that go refuses, or that cannot mean
// what their author thought.
func ciSettings(_ context.Context, m *Machine) Result {
	var r Result
	n := 0
	for _, v := range m.ci.values {
		f := Finding{Severity: report.Error, Place: m.place(v.File, v.Line)}
		switch {
		case v.Name == "GOPROXY" && v.Cut:
			f.Message, f.Fix = "the bar in GOPROXY is not quoted: the shell takes what follows for a command", "GOPROXY="+v.quoted()
		case v.Computed || v.Cut || v.Value == "": // an empty variable is none
			continue
		case v.Name == "GOPROXY":
			n++
			f.Message, f.Fix = refusedChain(v.Value)
		case v.Name == "GOPRIVATE" || v.Name == "GONOPROXY" || v.Name == "GONOSUMDB":
			n++
			if p := goenv.LintPatterns(v.Value); len(p) > 0 {
				f.Message, f.Fix = fmt.Sprintf("%s: pattern %q matches nothing: %s", v.Name, p[0].Pattern, p[0].Reason), writeAnew
				if mended, ok := goenv.MendPatterns(v.Value); ok {
					f.Fix = v.Name + "=" + mended
				}
			}
		}
		if f.Message != "" {
			r.Findings = append(r.Findings, f)
		}
	}
	if n == 0 && len(r.Findings) == 0 {
		return skipped("no CI file sets where modules come from")
	}
	return r
}

// refusedChain says why go refuses a GOPROXY list, and what to write.
func refusedChain(value string) (why, fix string) {
	chain, err := goenv.ParseChain(value)
	for _, e := range chain {
		if err == nil && e.Proxy() {
			_, err = goenv.CheckEntry(e.Value)
		}
	}
	if err == nil {
		return "", ""
	}
	return err.Error() + ": go refuses the whole list", "write proxies as https://HOST, and direct or off in lower case"
}

// ciChecksOff finds that a CI file switches off what guards against changed
// modules.
func ciChecksOff(_ context.Context, m *Machine) Result {
	var r Result
	for _, v := range m.ci.values {
		f := Finding{Place: m.place(v.File, v.Line)}
		switch {
		case v.Name == "GOSUMDB" && v.Value == "off":
			f.Message, f.Fix = "GOSUMDB=off: modules without a line in go.sum are believed as any proxy sends them", "leave it on; private modules belong into GONOSUMDB or GOPRIVATE"
		case v.Name == "GONOSUMCHECK":
			f.Message, f.Fix = "go knows no GONOSUMCHECK: the line changes nothing", "remove it"
		case (v.Name == "GONOSUMDB" || v.Name == "GOPRIVATE" || v.Name == "GOINSECURE") && v.Value == "*":
			f.Message, f.Fix = v.Name+"=* concerns every module, public ones too", "name the hosts of your own modules"
		case v.Name == "GIT_SSL_NO_VERIFY" && v.Value != "" && v.Value != "false" && v.Value != "0":
			f.Message, f.Fix = "GIT_SSL_NO_VERIFY: git believes every certificate", "give git the authority it lacks: GIT_SSL_CAINFO"
		default:
			continue
		}
		r.Findings = append(r.Findings, f)
	}
	return r
}

// dockerLoses finds Dockerfiles that run go without the settings of the job:
// the environment of a CI job does not reach "docker build".
func dockerLoses(_ context.Context, m *Machine) Result {
	if len(m.ci.dockers) == 0 {
		return skipped("there is no Dockerfile")
	}
	if !m.HasPolicy && m.Settings.Lookup("GOPROXY").Origin != goenv.Environment {
		return skipped("GOPROXY is Go's default")
	}
	var r Result
	for _, d := range m.ci.dockers {
		if d.line == 0 || d.hasArgs {
			continue
		}
		r.Findings = append(r.Findings, Finding{
			Severity: report.Notice, Place: m.place(d.file, d.line), Message: "go runs here without the GOPROXY of the job: its environment does not reach \"docker build\"",
			Fix: "add \"ARG GOPROXY\" above this line, and build with --build-arg GOPROXY",
		})
	}
	return r
}

var goDownloads = regexp.MustCompile(`^RUN\b.*\bgo (mod download|build|install|get|test|run)\b`)

// goRun returns the first line of a Dockerfile that makes go download, 0 if
// there is none.
func goRun(text string) int {
	n := 0
	for line := range strings.Lines(text) {
		n++
		if goDownloads.MatchString(strings.TrimSpace(line)) && !strings.Contains(line, "-mod=vendor") {
			return n
		}
	}
	return 0
}

// policyInvalid reports the mistakes of the repository's policy file.
func policyInvalid(_ context.Context, m *Machine) Result {
	if !m.HasPolicy {
		return skipped("there is no policy file")
	}
	var r Result
	for _, f := range m.PolicyFile {
		r.Findings = append(r.Findings, Finding{Severity: f.Severity, Message: f.Title + ": " + f.Message, Fix: f.Fix, Place: f.Place})
	}
	return r
}
