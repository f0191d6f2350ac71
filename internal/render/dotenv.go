package render

import (
	"fmt"
	"strings"

	"github.com/org/goproxy-setup/internal/report"
)

// GitLab's limits on a dotenv report. Both are what a self-managed instance
// has without configuration; the size is a strict bound there.
const (
	dotenvBytes     = 5*1024 - 1
	dotenvVariables = 20
	dotenvReason    = 300 // characters of "reason", which is text for people
)

// dotenv writes raw KEY=value lines by GitLab's rules: no quoting, no comment,
// no blank line. First come the settings, then the step's results as
// GOPROXY_RESULT_<NAME>, without those that are empty or repeat a setting: the
// number of variables is limited. It is not a file for a shell to read.
//
// An error names the rule that is broken; GitLab would drop the whole report,
// with no word in the job's log.
func dotenv(r *report.Report, _ Options) ([]byte, error) {
	vars := results(r)
	if exports(r) {
		vars = append(r.Settings[:len(r.Settings):len(r.Settings)], vars...)
	}
	var b strings.Builder
	for _, v := range vars {
		if err := checkVariable(v.Name, v.Value); err != nil {
			return nil, err
		}
		if strings.TrimSpace(v.Value) != v.Value {
			return nil, fmt.Errorf("%s: the value begins or ends with a blank, which GitLab strips", v.Name)
		}
		b.WriteString(v.Name + "=" + v.Value + "\n")
	}
	if len(vars) > dotenvVariables {
		return nil, fmt.Errorf("%d variables, and GitLab takes %d", len(vars), dotenvVariables)
	}
	if b.Len() > dotenvBytes {
		return nil, fmt.Errorf("%d bytes, and GitLab takes %d", b.Len(), dotenvBytes)
	}
	return []byte(b.String()), nil
}

// results returns the outputs of r as variables, without those that are empty
// or that an exported setting repeats.
func results(r *report.Report) []report.Setting {
	var vars []report.Setting
	for _, o := range r.Outputs {
		name := strings.ToUpper(strings.ReplaceAll(o.Name, "-", "_"))
		value := o.Value
		if name == "REASON" {
			value = cut(strings.TrimSpace(visible(value)), dotenvReason)
		}
		repeated := exports(r) && report.Value(r.Settings, name) == value
		if value != "" && !repeated {
			vars = append(vars, report.Setting{Name: "GOPROXY_RESULT_" + name, Value: value})
		}
	}
	return vars
}
