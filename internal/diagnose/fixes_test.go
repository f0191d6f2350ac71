package diagnose_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/org/goproxy-setup/internal/diagnose"
	"github.com/org/goproxy-setup/internal/proxytest"
	"github.com/org/goproxy-setup/internal/report"
)

var (
	fixCommand = regexp.MustCompile(`(?:^|: |run ")((?:GOTOOLCHAIN=local go env -[uw]|go env -[uw]|go work|git config|chmod|rm -f) .*?)(?:"|; |, | and |$)`)
	fixSetting = regexp.MustCompile(`(?:^|: |export )([A-Z0-9_]+)=('[^']*'|"[^"]*"|[^\s;]+)`)
	fixQuoted  = regexp.MustCompile(`^quote the value of (\w+): ('[^']*')$`)
	fixUnset   = regexp.MustCompile(`unset (GO\w+)(?:$|:)`)
	blank      = regexp.MustCompile(`\b(DIR|FILE|NAME|VALUE|USER|PASSWORD)\b`) // for a person to fill in
)

// follow does what a fix says, as far as it is a command or a line to copy. It
// reports whether it is.
func (r *rig) follow(f diagnose.Finding) bool {
	r.Helper()
	if blank.MatchString(f.Fix) {
		return false
	}
	if m := fixCommand.FindStringSubmatch(f.Fix); m != nil {
		cmd := exec.Command("sh", "-c", m[1])
		cmd.Dir, cmd.Env = r.dir, r.environ()
		if out, err := cmd.CombinedOutput(); err != nil {
			r.Errorf("%s: %v\n%s", m[1], err, out)
		}
		return true
	}
	m := fixQuoted.FindStringSubmatch(f.Fix)
	if m == nil {
		m = fixSetting.FindStringSubmatch(f.Fix)
	}
	switch {
	case m != nil:
		old, inFile := r.rewrite(f.Place, m[1], m[2])
		if !inFile || r.env[m[1]] == old { // the file is where it came from
			r.export(m[1], m[2])
		}
		return true
	case fixUnset.MatchString(f.Fix):
		delete(r.env, fixUnset.FindStringSubmatch(f.Fix)[1])
		return true
	}
	return false
}

// export sets a variable to a word of a shell. The rig has a checksum database
// of its own.
func (r *rig) export(name, word string) {
	value := os.Expand(strings.Trim(word, `'"`), func(name string) string { return r.env[name] })
	if r.env[name] = value; name == "GOSUMDB" {
		r.env[name] = proxytest.GOSUMDB
	}
}

// rewrite gives a variable another value in a line of a file, and returns the
// old one. It reports whether the line gives it one.
func (r *rig) rewrite(at report.Place, name, word string) (old string, ok bool) {
	r.Helper()
	if at.File == "" || at.Line == 0 {
		return "", false
	}
	file := at.File
	if !filepath.IsAbs(file) {
		file = filepath.Join(r.dir, file)
	}
	data, err := os.ReadFile(file)
	lines := strings.Split(string(data), "\n")
	if err != nil || at.Line > len(lines) {
		r.Fatalf("%s: %v", at, err)
	}
	line := &lines[at.Line-1]
	m := regexp.MustCompile(name + `\s*[=:]\s*([^,\s]+(?:,\s*[^,\s]+)*)`).FindStringSubmatchIndex(*line)
	if m == nil {
		return "", false
	}
	old, *line = (*line)[m[2]:m[3]], (*line)[:m[2]]+word+(*line)[m[3]:]
	r.write(file, strings.Join(lines, "\n"))
	return old, true
}

// thorough is set by the build tag e2e: to follow every fix takes as long again
// as to find what it is for.
var thorough = false

// followFixes does what the fixes of a seed's findings say, and looks again: what
// was wrong is right, and nothing else is wrong. It reports whether one of them
// is a command or a line to copy; for the others a person has to decide.
func (r *rig) followFixes(id string, before []diagnose.Examined) bool {
	r.Helper()
	followed := false
	for _, e := range before {
		for _, f := range e.Findings {
			followed = e.ID == id && r.follow(f) || followed
		}
	}
	if !followed {
		return false
	}
	after := r.examine()
	for _, other := range here(ids(after)) {
		if other == "D05" && id == "D06" {
			continue // it is mended for the next shell
		}
		if other == id || !slices.Contains(ids(before), other) {
			r.Errorf("after the fix %q, %s is found\n%s", fixOf(before, id), other, show(after))
		}
	}
	return true
}

// TestRepairs makes the repair of every seed that has one, and looks again: all
// is right. Only checks that the documentation lists have repairs, and each of
// these has one.
func TestRepairs(t *testing.T) {
	repaired := map[string]int{}
	var mu sync.Mutex // guards repaired
	t.Run("D", func(t *testing.T) {
		for _, s := range seeds {
			if checkOf(s.id).Safe == "" {
				continue
			}
			t.Run(s.id+"/"+s.name, func(t *testing.T) {
				t.Parallel()
				r := newRig(t)
				s.make(r)
				repairs := 0
				for _, e := range r.examine() {
					for _, f := range e.Findings {
						if f.Repair == nil {
							continue
						}
						if e.Safe == "" {
							t.Errorf("%s is not listed as safe, and repairs: %s", e.ID, f.Repair.Shown)
						}
						repairs++
						if err := f.Repair.Do(t.Context()); err != nil {
							t.Error(err)
						}
					}
				}
				if repairs == 0 {
					return
				}
				list := r.examine()
				if got := here(ids(list)); len(got) > 0 {
					t.Errorf("after %d repairs %q are found\n%s", repairs, got, show(list))
				}
				mu.Lock()
				repaired[s.id] += repairs
				mu.Unlock()
			})
		}
	})
	for _, c := range diagnose.Checks() {
		if c.Safe != "" && repaired[c.ID] == 0 {
			t.Errorf("%s is listed as safe, and no seed of it was repaired", c.ID)
		}
	}
}

// here returns the IDs without that of a rig which lets nothing out: where Go's
// own default is in force, the way to its proxy is closed.
func here(found []string) []string {
	return slices.DeleteFunc(found, func(id string) bool { return id == "D28" })
}

func checkOf(id string) diagnose.Check {
	all := diagnose.Checks()
	return all[slices.IndexFunc(all, func(c diagnose.Check) bool { return c.ID == id })]
}
