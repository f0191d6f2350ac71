//go:build e2e

package e2e

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestJenkinsLibrary checks what Jenkins demands of a library and no harness
// can show.
func TestJenkinsLibrary(t *testing.T) {
	steps := 0
	err := filepath.WalkDir(library(), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(library(), path)
		folder, _, _ := strings.Cut(name, "/")
		switch {
		case d.Type()&fs.ModeSymlink != 0:
			t.Errorf("%s is a symbolic link: Jenkins rejects the library", name)
		case d.IsDir() && name != ".", name == "README.md":
		case d.Type().IsRegular() && folder == "resources":
		case d.Type().IsRegular() && regexp.MustCompile(`^vars/[a-z][A-Za-z0-9]*\.(groovy|txt)$`).MatchString(name):
			steps++
			if filepath.Ext(name) == ".groovy" {
				text, err := os.ReadFile(path)
				if err != nil {
					return err
				}
				checkNonCPS(t, name, string(text))
			} else if _, err := os.Stat(strings.TrimSuffix(path, ".txt") + ".groovy"); err != nil {
				t.Errorf("%s is the help of no step", name)
			}
		case name != ".":
			t.Errorf("%s: Jenkins does not copy this into a library", name)
		}
		return nil
	})
	if err != nil || steps != 2 {
		t.Errorf("%d files in vars, %v; want goproxySetup.groovy and .txt", steps, err)
	}
}

// checkNonCPS reports @NonCPS methods that name a step or a method that is not
// @NonCPS itself: Jenkins cannot stop inside them, and then runs on with wrong
// results.
func checkNonCPS(t *testing.T, name, source string) {
	method := regexp.MustCompile(`(?ms)^(@NonCPS\n)?(?:private |def )[^\n(]*?(\w+)\([^\n]*\{\n(.*?)^\}`)
	var suspends []string
	for _, m := range method.FindAllStringSubmatch(source, -1) {
		if m[1] == "" {
			suspends = append(suspends, m[2])
		}
	}
	steps := []string{"sh", "bat", "withEnv", "readFile", "writeFile", "fileExists", "libraryResource", "tool", "error", "echo", "unstable",
		"recordIssues", "issues", "isUnix", "pwd", "dir", "node", "stage", "script", "env", "currentBuild", "params", "steps"}
	call := regexp.MustCompile(`\b(` + strings.Join(append(steps, suspends...), "|") + `)\b`)
	checked := 0
	for _, m := range method.FindAllStringSubmatch(source, -1) {
		if m[1] == "" {
			continue
		}
		checked++
		body := regexp.MustCompile(`'[^'\n]*'`).ReplaceAllString(m[3], "''")
		if found := call.FindString(body); found != "" {
			t.Errorf("%s: the @NonCPS method %s names the step %s", name, m[2], found)
		}
	}
	if checked != strings.Count(source, "@NonCPS\n") || len(suspends) == 0 {
		t.Errorf("%s: %d methods are @NonCPS and %d are not; the source says otherwise", name, checked, len(suspends))
	}
	if gstring := regexp.MustCompile(`"[^"\n]*\$`).FindString(source); gstring != "" {
		t.Errorf("%s: put strings together with +, so that no text can become code: %s", name, gstring)
	}
}

func TestJenkinsHelpNamesEveryOption(t *testing.T) {
	source, err := os.ReadFile(filepath.Join(library(), "vars/goproxySetup.groovy"))
	if err != nil {
		t.Fatal(err)
	}
	help, err := os.ReadFile(filepath.Join(library(), "vars/goproxySetup.txt"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"tool"}
	for _, m := range regexp.MustCompile(`(?m)^        (\w+) *: 'GOPROXY_SETUP_`).FindAllStringSubmatch(string(source), -1) {
		want = append(want, m[1])
	}
	var got []string
	for line := range strings.Lines(string(help)) {
		if list, ok := strings.CutPrefix(line, "<dt>"); ok {
			list, _, _ = strings.Cut(list, "</dt>")
			for _, m := range regexp.MustCompile(`<code>(\w+)</code>`).FindAllStringSubmatch(list, -1) {
				got = append(got, m[1])
			}
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("goproxySetup.txt explains %q; the step has %q", got, want)
	}
}
