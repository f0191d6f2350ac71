package ci

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"

	"github.com/org/goproxy-setup/internal/render"
	"github.com/org/goproxy-setup/internal/report"
)

const (
	// delimiter ends a value in the runner's files. go-githubactions uses this
	// line always, so that a value which holds it could add a variable.
	delimiter = "_GitHubActionsFileCommandDelimeter_"
	// maxValue bounds a value: Linux starts no program with a variable of
	// 128 KiB or more.
	maxValue = 64 << 10
	// maxSummary is what GitHub accepts of a step; it drops a larger one.
	maxSummary = 1 << 20
)

var (
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	outputName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)
)

// writeCommandFiles writes variables, outputs and the summary into the files
// that the runner reads when the step has ended, and then the table and the
// annotation into the log. The files are left as they were if any of it fails.
func (j *Job) writeCommandFiles(r *report.Report, summary, table string) (err error) {
	settings := exported(r)
	if err := checkValues(settings, r.Outputs); err != nil {
		return err
	}
	if len(summary) > maxSummary {
		j.Log(fmt.Sprintf("notice: no summary: it has %d bytes, and the runner takes %d", len(summary), maxSummary))
		summary = ""
	}
	if j.host.Getenv("GITHUB_STEP_SUMMARY") == "" {
		summary = "" // an old runner, or a Forgejo without them
	}
	var files commandFiles
	defer func() { err = errors.Join(err, files.close(err != nil)) }()
	for _, f := range []struct {
		variable string
		needed   bool
	}{
		{"GITHUB_ENV", len(settings) > 0},
		{"GITHUB_OUTPUT", len(r.Outputs) > 0},
		{"GITHUB_STEP_SUMMARY", summary != ""},
	} {
		if f.needed {
			if err := files.open(f.variable, j.host.Getenv(f.variable)); err != nil {
				return err
			}
		}
	}
	return guard(func() {
		a := j.action()
		for _, s := range settings {
			a.SetEnv(s.Name, s.Value)
		}
		for _, s := range r.Outputs {
			a.SetOutput(s.Name, s.Value)
		}
		if summary != "" {
			a.AddStepSummary(summary)
		}
		if table != "" {
			a.Infof("%s", strings.TrimSuffix(table, "\n"))
		}
		annotate(a, r)
	})
}

// exported returns the settings that later steps get: none unless the run chose
// a chain.
func exported(r *report.Report) []report.Setting {
	if r.Outcome == report.OK || r.Outcome == report.Fallback {
		return r.Settings
	}
	return nil
}

// checkValues refuses what the runner would read as anything but one value of
// that name.
func checkValues(settings, outputs []report.Setting) error {
	for _, s := range settings {
		if !variableName.MatchString(s.Name) {
			return fmt.Errorf("%q is not a variable's name", s.Name)
		}
		if s.Value == "" {
			return fmt.Errorf("%s: a variable without a value would hide the default", s.Name)
		}
	}
	for _, s := range outputs {
		if !outputName.MatchString(s.Name) {
			return fmt.Errorf("%q is not an output's name", s.Name)
		}
	}
	for _, list := range [][]report.Setting{settings, outputs} {
		seen := map[string]bool{}
		for _, s := range list {
			if err := render.CheckValue(s.Name, s.Value); err != nil {
				return err
			}
			switch {
			case strings.Contains(s.Value, delimiter):
				return fmt.Errorf("%s: the value contains %s, which ends a value in the runner's file", s.Name, delimiter)
			case len(s.Value) > maxValue:
				return fmt.Errorf("%s: the value has more than %d bytes", s.Name, maxValue)
			case seen[s.Name]:
				return fmt.Errorf("%s is set twice", s.Name)
			}
			seen[s.Name] = true
		}
	}
	return nil
}

// commandFiles are the runner's files while they are written. The library opens
// each again for every value; these handles prove beforehand that it can, and
// take everything back if it could not after all.
type commandFiles []commandFile

type commandFile struct {
	file *os.File
	size int64 // before anything was written
}

// open opens the file that a variable names. The runner creates it, so it is
// not created here: where it is missing, the directory was not mounted into
// this container, and whatever is written would be lost.
func (c *commandFiles) open(variable, path string) error {
	if path == "" {
		return fmt.Errorf("%s is not set: the runner gave no file to write to", variable)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("%s: the runner's file can't be written: %w", variable, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		f.Close()
		return fmt.Errorf("%s: %w", variable, err)
	}
	*c = append(*c, commandFile{f, info.Size()})
	return endLine(f, info.Size())
}

// endLine ends a last line that an earlier command of the step left open: our
// first name would become part of it.
func endLine(f *os.File, size int64) error {
	if size == 0 {
		return nil
	}
	last := make([]byte, 1)
	if _, err := f.ReadAt(last, size-1); err != nil && err != io.EOF {
		return err
	}
	if last[0] == '\n' {
		return nil
	}
	_, err := f.WriteAt([]byte("\n"), size)
	return err
}

// close closes the files, and first takes back what was written if undo is set.
func (c commandFiles) close(undo bool) error {
	var errs []error
	for _, f := range c {
		if undo {
			errs = append(errs, f.file.Truncate(f.size))
		}
		errs = append(errs, f.file.Close())
	}
	return errors.Join(errs...)
}
