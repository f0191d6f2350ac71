package render

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"html"
	"path"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/report"
)

// A mark is a finding as code review tools want it: every one has a file of
// the repository, a line, one line of text, and an identity.
type mark struct {
	report.Finding
	file        string
	line        int
	column      int    // 0 if unknown
	text        string // title and message
	fingerprint string
}

// untold returns the findings of r that say more than the row of a proxy does,
// for pages that show those rows. Warnings, and what cannot be judged, are
// always shown.
func untold(r *report.Report) []report.Finding {
	return slices.DeleteFunc(slices.Clone(r.Findings), func(f report.Finding) bool {
		return slices.ContainsFunc(r.Proxies, func(p report.Proxy) bool {
			return f.Severity != report.Warning && p.Cause != "" && p.State != report.Unknown && strings.HasSuffix(f.Title, ": "+p.Name) &&
				strings.HasSuffix(f.Message, ": "+p.Cause) && (f.Fix == "" || f.Fix == p.Next)
		})
	})
}

// marks prepares the findings of r. What has no place in the repository is
// shown at go.mod, line 1.
func marks(r *report.Report) []mark {
	list := make([]mark, len(r.Findings))
	seen := map[string]int{}
	for i, f := range r.Findings {
		m := mark{Finding: f, file: "go.mod", line: 1, text: visible(f.Title + ": " + f.Message)}
		if file := path.Clean(strings.ReplaceAll(f.Place.File, `\`, "/")); file != "." {
			if inside(file) {
				m.file, m.line, m.column = visible(file), max(f.Place.Line, 1), f.Place.Column
			} else {
				m.text += " (" + visible(f.Place.String()) + ")"
			}
		}
		// Neither the message nor the line takes part: times and positions
		// change from run to run, and the finding would look new each time.
		id := f.ID + "\x00" + m.file + "\x00" + f.Title
		sum := sha256.Sum256(fmt.Appendf(nil, "%s\x00%d", id, seen[id]))
		seen[id]++
		m.fingerprint = hex.EncodeToString(sum[:])
		list[i] = m
	}
	return list
}

// inside reports whether file, a clean path, lies in the repository.
func inside(file string) bool {
	drive := len(file) > 1 && file[1] == ':'
	return !path.IsAbs(file) && file != ".." && !strings.HasPrefix(file, "../") && !drive
}

// codeQuality writes GitLab's subset of the Code Climate format.
func codeQuality(r *report.Report, _ Options) ([]byte, error) {
	type lines struct {
		Begin int `json:"begin"`
	}
	type location struct {
		Path  string `json:"path"`
		Lines lines  `json:"lines"`
	}
	type issue struct {
		Description string   `json:"description"`
		CheckName   string   `json:"check_name"`
		Fingerprint string   `json:"fingerprint"`
		Severity    string   `json:"severity"`
		Location    location `json:"location"`
	}
	severity := map[report.Severity]string{report.Error: "critical", report.Warning: "major", report.Notice: "info"}
	issues := []issue{} // an array even if empty
	for _, m := range marks(r) {
		issues = append(issues, issue{
			m.text + fix(m.Fix), m.ID, m.fingerprint, cmp.Or(severity[m.Severity], "major"), location{m.file, lines{m.line}},
		})
	}
	return EncodeJSON(issues)
}

// warningsNG writes the JSON that Jenkins' Warnings plugin reads as
// "issues(…)". The plugin shows message and description as HTML.
func warningsNG(r *report.Report, _ Options) ([]byte, error) {
	type issue struct {
		FileName    string `json:"fileName"`
		LineStart   int    `json:"lineStart"`
		ColumnStart int    `json:"columnStart,omitempty"`
		Severity    string `json:"severity"`
		Category    string `json:"category"`
		Type        string `json:"type"`
		Message     string `json:"message"`
		Description string `json:"description"`
		Fingerprint string `json:"fingerprint"`
	}
	severity := map[report.Severity]string{report.Error: "ERROR", report.Warning: "NORMAL", report.Notice: "LOW"}
	issues := []issue{}
	for _, m := range marks(r) {
		issues = append(issues, issue{
			FileName: m.file, LineStart: m.line, ColumnStart: m.column,
			Severity: cmp.Or(severity[m.Severity], "NORMAL"), Category: "module proxy", Type: m.ID,
			Message: html.EscapeString(m.text), Description: html.EscapeString(visible(m.Fix)), Fingerprint: m.fingerprint,
		})
	}
	return EncodeJSON(map[string]any{
		"_class": "io.jenkins.plugins.analysis.core.restapi.ReportApi", "issues": issues, "size": len(issues),
	})
}

// fix appends the next step to a message, if there is one.
func fix(text string) string {
	if text == "" {
		return ""
	}
	return "; next: " + visible(text)
}
