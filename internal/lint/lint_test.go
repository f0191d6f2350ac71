package lint_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/lint"
	"github.com/org/goproxy-setup/internal/netrc"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/render"
	"github.com/org/goproxy-setup/internal/report"
)

var update = flag.Bool("update", false, "rewrite the golden parts of testdata and docs/lint.md")

// names stand for the addresses of the catalogue in testdata.
func names() (toURL, toName *strings.Replacer) {
	var there, back []string
	for _, p := range policy.Catalogue() {
		url := strings.TrimRight(p.URL, "/")
		there = append(there, "{"+p.Name+"}", url)
		back = append(back, url, "{"+p.Name+"}")
	}
	db := policy.Databases()[0].GOSUMDB
	return strings.NewReplacer(append(there, "{sumdb}", db)...), strings.NewReplacer(append(back, db, "{sumdb}")...)
}

// input is one case of testdata: the files below "fails/" or "near/".
func input(a *txtar.Archive, prefix string) lint.Input {
	in := lint.Input{NetrcName: "/home/ci/.netrc"}
	env, present := map[string]string{}, map[string]bool{}
	toURL, _ := names()
	for _, f := range a.Files {
		name, ok := strings.CutPrefix(f.Name, prefix+"/")
		text := toURL.Replace(string(f.Data))
		if !ok {
			continue
		}
		switch name {
		case "env":
			for line := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
				k, v, _ := strings.Cut(line, "=")
				env[k], present[k] = v, true
			}
		case "user":
			in.Sources.User = goenv.EnvFile{Path: "/home/ci/.config/go/env", Data: []byte(text)}
		case "goroot":
			in.Sources.GOROOT = goenv.EnvFile{Path: "/usr/local/go/go.env", Data: []byte(text)}
		case "netrc":
			in.Netrc = netrc.Parse(text)
		case "go.mod":
			for n, line := range strings.Split(text, "\n") {
				switch word, value, _ := strings.Cut(line, " "); word {
				case "go":
					in.Lines.Go, in.GoAt = value, report.Place{File: "go.mod", Line: n + 1}
				case "toolchain":
					in.Lines.Toolchain, in.ToolchainAt = value, report.Place{File: "go.mod", Line: n + 1}
				}
			}
		case "installed": // the go command, and toolchains in PATH
			names := strings.Fields(text)
			in.HaveGo = names[0]
			in.InPath = func(name string) bool { return slices.Contains(names, name) }
		}
	}
	in.Sources.Getenv = func(name string) string { return env[name] }
	in.Present = func(name string) bool { return present[name] }
	return in
}

// text shows the findings of one rule.
func text(findings []lint.Finding, id string) string {
	var b strings.Builder
	for _, f := range findings {
		if f.Rule.ID != id {
			continue
		}
		r := f.Report(render.ShellWord)
		fmt.Fprintf(&b, "%s %s: %s\n", r.Severity, r.ID, r.Title)
		if r.Place.File != "" {
			fmt.Fprintf(&b, "at %s\n", r.Place)
		}
		fmt.Fprintf(&b, "%s\nfix: %s\n", r.Message, r.Fix)
	}
	_, toName := names()
	return toName.Replace(b.String())
}

// Every rule has a case that fails and one that nearly does.
func TestRules(t *testing.T) {
	for i, rule := range lint.Rules() {
		if want := fmt.Sprintf("L%02d", i+1); rule.ID != want {
			t.Errorf("rule %d has the ID %s; want %s", i+1, rule.ID, want)
		}
		t.Run(rule.ID, func(t *testing.T) {
			file := filepath.Join("testdata", rule.ID+".txtar")
			a, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			fails := lint.Check(input(a, "fails"))
			got := text(fails, rule.ID)
			if got == "" {
				t.Errorf("finds nothing in the case that fails; all findings: %v", fails)
			}
			if near := text(lint.Check(input(a, "near")), rule.ID); near != "" {
				t.Errorf("finds something in the near miss:\n%s", near)
			}
			for _, secret := range []string{"s3cret", "secret@"} {
				if strings.Contains(got, secret) {
					t.Errorf("shows a secret:\n%s", got)
				}
			}
			want(t, file, a, got)
			for _, f := range fails {
				if f.Rule.ID == rule.ID {
					mends(t, a, f)
				}
			}
		})
	}
}

// want compares got with the golden part of the archive.
func want(t *testing.T, file string, a *txtar.Archive, got string) {
	t.Helper()
	for i, f := range a.Files {
		if f.Name != "fails/want" {
			continue
		}
		if *update {
			a.Files[i].Data = []byte(got)
			if err := os.WriteFile(file, txtar.Format(a), 0o666); err != nil {
				t.Fatal(err)
			}
		} else if string(f.Data) != got {
			t.Errorf("got\n%swant\n%s", got, f.Data)
		}
	}
}

// mends checks that the line to write instead is one that a shell or
// "go env -w" takes, that the rule is content with it, and that it brings about
// nothing else.
func mends(t *testing.T, a *txtar.Archive, f lint.Finding) {
	t.Helper()
	if len(f.Changes) == 0 && f.Advice == "" {
		t.Error("does not say what to do")
	}
	in := input(a, "fails")
	dir := t.TempDir()
	userFile := filepath.Join(dir, "env")
	if err := os.WriteFile(userFile, in.Sources.User.Data, 0o666); err != nil {
		t.Fatal(err)
	}
	telemetry := filepath.Join(dir, ".config", "go", "telemetry")
	if err := os.MkdirAll(telemetry, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(telemetry, "mode"), []byte("off"), 0o666); err != nil { // or a process stays behind
		t.Fatal(err)
	}
	var script strings.Builder
	var variables []string
	for _, c := range f.Changes {
		fmt.Fprintln(&script, f.Line(c, render.ShellWord))
		variables = append(variables, c.Name)
	}
	if variables == nil {
		return // only advice
	}
	old, present := in.Sources.Getenv, in.Present
	for _, name := range variables {
		fmt.Fprintf(&script, "printf '%%s=%%s=%%s\\0' %s \"${%[1]s-}\" \"${%[1]s+set}\"\n", name)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-e", "-c", script.String())
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "XDG_CONFIG_HOME=" + filepath.Join(dir, ".config"), "GOENV=" + userFile, "GOTOOLCHAIN=local"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s\n%s", err, out, script.String())
	}
	inFile := strings.Contains(script.String(), "go env -")
	if inFile {
		data, err := os.ReadFile(userFile)
		if err != nil {
			t.Fatal(err)
		}
		in.Sources.User.Data = data
	} else {
		now := map[string]string{}
		for record := range bytes.SplitSeq(bytes.TrimRight(out, "\x00"), []byte{0}) {
			name, rest, _ := strings.Cut(string(record), "=")
			i := strings.LastIndex(rest, "=")
			now[name] = rest[:i]
		}
		in.Sources.Getenv = func(name string) string {
			if v, ok := now[name]; ok {
				return v
			}
			return old(name)
		}
		in.Present = func(name string) bool {
			if v, ok := now[name]; ok {
				return v != ""
			}
			return present(name)
		}
	}
	before := lint.Check(input(a, "fails"))
	for _, g := range lint.Check(in) {
		if left := text([]lint.Finding{g}, g.Rule.ID); g.Rule.ID == f.Rule.ID {
			t.Errorf("after\n%sthere is still\n%s", script.String(), left)
		} else if g.Rule.Severity != report.Notice && g.Setting.Origin != goenv.GOROOTFile && !slices.ContainsFunc(before, func(b lint.Finding) bool { return b.Rule.ID == g.Rule.ID }) {
			t.Errorf("after\n%sthere is also\n%s", script.String(), left)
		}
	}
}

// Go's own defaults on a machine without any settings are no error.
func TestDefaults(t *testing.T) {
	toURL, _ := names()
	in := lint.Input{Sources: goenv.Sources{
		Getenv: func(string) string { return "" },
		GOROOT: goenv.EnvFile{Path: "go.env", Data: []byte(toURL.Replace("GOPROXY={official},direct\nGOSUMDB={sumdb}\nGOTOOLCHAIN=auto\n"))},
	}}
	findings := lint.Check(in)
	if len(findings) != 1 || findings[0].Rule.ID != "L06" {
		t.Errorf("findings %v; want L06 alone", findings)
	}
}

// docs/lint.md says of every rule what the rule says of itself, with its case
// of testdata. "go test -update" rewrites it.
func TestDocs(t *testing.T) {
	var b strings.Builder
	b.WriteString(`# What explain --lint finds

` + "`goproxy-setup explain --lint`" + ` checks the settings that decide how Go downloads modules, wherever they come from, and
prints the exact line to write instead. It exits with 1 if there is an error among its findings. An ID never changes its
meaning. This file is written by the rules' own tests: each example is one of their cases. A name in braces, such as
` + "`{official}`" + `, stands for that proxy's address, ` + "`{sumdb}`" + ` for Go's default checksum database.

An *error* breaks downloads or leaks names as soon as it matters; a *warning* does so if something else goes wrong; a *notice*
is worth knowing. A file that cannot be read, such as a go.sum with the marks of a merge, is an error, too, with the ID
` + "`unreadable`" + `; it keeps no rule from looking at the rest.

`)
	for _, rule := range lint.Rules() {
		fmt.Fprintf(&b, "## %s: %s\n\n*%s.* %s\n\n", rule.ID, rule.Title, rule.Severity, rule.Why)
		a, err := txtar.ParseFile(filepath.Join("testdata", rule.ID+".txtar"))
		if err != nil {
			t.Fatal(err)
		}
		b.WriteString("```\n")
		for _, f := range a.Files {
			name, ok := strings.CutPrefix(f.Name, "fails/")
			if !ok || name == "want" || name == "installed" {
				continue
			}
			what := map[string]string{"user": "# the file of go env -w\n", "goroot": "# GOROOT/go.env\n", "netrc": "# netrc\n", "go.mod": "# go.mod\n"}[name]
			b.WriteString(what + strings.ReplaceAll(string(f.Data), "s3cret", "SECRET"))
		}
		for _, f := range a.Files {
			if f.Name == "fails/want" {
				b.WriteString("\n" + string(f.Data))
			}
		}
		b.WriteString("```\n\n")
	}
	file := filepath.Join("..", "..", "docs", "lint.md")
	got := strings.TrimRight(b.String(), "\n") + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if data, err := os.ReadFile(file); err != nil || string(data) != got {
		t.Errorf("docs/lint.md does not say what the rules say (%v): run go test ./internal/lint -update", err)
	}
}
