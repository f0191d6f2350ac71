package ci

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"runtime"
	"slices"
	"strings"

	"github.com/sethvargo/go-githubactions"

	"github.com/org/goproxy-setup/internal/render"
	"github.com/org/goproxy-setup/internal/report"
)

// minSecret is the length in bytes below which masking would blot out words of
// every log instead of protecting anything.
const minSecret = 4

// Mask keeps secret out of everything the job writes from now on, and makes the
// runner keep it out of the log: as it is, percent-encoded and in base64, alone
// and after the name of its user, which may be "". Call it before anything is
// written. What can't be masked is a finding.
func (j *Job) Mask(user, secret string) ([]report.Finding, error) {
	why := "" // the runner can't mask it
	for line := range strings.SplitSeq(secret, "\n") {
		if n := len(strings.TrimSpace(line)); 0 < n && n < minSecret {
			why = fmt.Sprintf("it, or a line of it, is shorter than %d characters", minSecret)
		}
	}
	for _, v := range variants(user, secret) {
		if slices.Contains(j.secrets, v) {
			continue
		}
		j.secrets = append(j.secrets, v)
		if !j.actions() {
			continue
		}
		// act and its descendants read the command up to the last "::" of the
		// line, do not know it then, and print it.
		if strings.Contains(v, "::") && (j.System == Forgejo || j.host.Getenv("ACT") != "") {
			why = "it contains two colons, which this runner does not understand"
			continue
		}
		if err := guard(func() { j.action().AddMask(v) }); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(j.secrets, func(a, b string) int { return len(b) - len(a) })
	if why == "" {
		return nil, nil
	}
	return []report.Finding{{
		ID: "secret-not-masked", Severity: report.Notice, Title: "Secret not masked",
		Message: "a secret can't be hidden in the log: " + why, Fix: "choose a longer, random secret",
	}}, nil
}

// variants returns the forms in which a secret may turn up.
func variants(user, secret string) []string {
	var list []string
	add := func(s string) {
		list = append(list, s, url.QueryEscape(s), url.PathEscape(s), strings.TrimPrefix(url.UserPassword("", s).String(), ":"))
		list = append(list, base64s(s)...)
		if user != "" {
			list = append(list, user+":"+s, url.UserPassword(user, s).String())
			list = append(list, base64s(user+":"+s)...)
		}
	}
	// Logs are masked line by line.
	lines := strings.FieldsFunc(secret, func(r rune) bool { return r == '\n' || r == '\r' })
	for _, line := range lines {
		if line = strings.TrimSpace(line); len(line) >= minSecret {
			add(line)
		}
	}
	if len(lines) > 1 {
		list = append(list, base64s(secret)...)
	}
	return list
}

func base64s(s string) []string {
	b := []byte(s)
	return []string{
		base64.StdEncoding.EncodeToString(b), base64.RawStdEncoding.EncodeToString(b),
		base64.URLEncoding.EncodeToString(b), base64.RawURLEncoding.EncodeToString(b),
	}
}

// redact returns text without the masked secrets.
func (j *Job) redact(text string) string {
	for _, s := range j.secrets { // longest first
		text = strings.ReplaceAll(text, s, "***")
	}
	return text
}

// Log writes text, wherever it came from, to the job's log: it can't become a
// command, and holds no masked secret.
func (j *Job) Log(text string) {
	for line := range strings.SplitSeq(strings.TrimRight(text, "\r\n"), "\n") {
		fmt.Fprintln(j.host.Stderr, render.LogLine(j.redact(line)))
	}
}

// Clean returns a copy of r without masked secrets in what is meant for people;
// a proxy may well repeat a credential in its answer. A secret in a setting or
// an output is an error: the runner would drop that value without a word.
func (j *Job) Clean(r *report.Report) (*report.Report, error) {
	for _, list := range [][]report.Setting{r.Settings, r.Outputs} {
		for _, s := range list {
			if j.redact(s.Value) != s.Value {
				return nil, fmt.Errorf("the value of %s contains a masked secret: the runner would drop it", s.Name)
			}
		}
	}
	data, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	var tree any
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&tree); err != nil {
		return nil, err
	}
	if data, err = json.Marshal(j.redactTree(tree)); err != nil {
		return nil, err
	}
	clean := new(report.Report)
	if err := json.Unmarshal(data, clean); err != nil {
		return nil, err
	}
	// JSON mends what is not UTF-8; whether a value is fit to be exported is
	// to be judged by the value itself.
	restore(clean.Settings, r.Settings)
	restore(clean.Outputs, r.Outputs)
	return clean, nil
}

func restore(list, from []report.Setting) {
	for i, s := range from {
		list[i].Name, list[i].Value = s.Name, s.Value
	}
}

func (j *Job) redactTree(v any) any {
	switch v := v.(type) {
	case string:
		return j.redact(v)
	case []any:
		for i := range v {
			v[i] = j.redactTree(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = j.redactTree(v[k])
		}
	}
	return v
}

// action returns the library's handle on the runner.
func (j *Job) action() *githubactions.Action {
	return githubactions.New(githubactions.WithWriter(j.host.Stderr), githubactions.WithGetenv(j.host.Getenv))
}

// guard turns a panic of go-githubactions, its only way to report that the
// runner's files or streams can't be written, into an error.
func guard(f func()) (err error) {
	defer func() {
		switch e := recover().(type) {
		case nil:
		case runtime.Error: // a bug
			panic(e)
		default:
			err = fmt.Errorf("telling the runner: %v", e)
		}
	}()
	f()
	return nil
}
