// Package render turns a report into bytes: every writer, and every encoder for
// text that came from outside.
//
// Names, causes and values in a report are hostile until they are encoded for
// the place they go to: a proxy's answer must not become a second variable, a
// command, an annotation or a link. All of that is decided here and nowhere
// else. The package is pure: it opens no file and knows no CI system; package
// ci says where the bytes go.
package render

import (
	"fmt"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/report"
)

// A Kind names one form of a report, as in "--format" and "--write".
type Kind string

const (
	Table       Kind = "table"       // for people at a terminal or in a log
	Shell       Kind = "shell"       // export lines for POSIX sh
	PowerShell  Kind = "powershell"  // $env: lines
	Dotenv      Kind = "dotenv"      // GitLab's artifacts:reports:dotenv
	JSON        Kind = "json"        // the report itself
	Markdown    Kind = "markdown"    // job summary
	CodeQuality Kind = "codequality" // GitLab's artifacts:reports:codequality
	SARIF       Kind = "sarif"       // 2.1.0
	JUnit       Kind = "junit"       // one test case for each proxy
	WarningsNG  Kind = "warnings-ng" // Jenkins' recordIssues(tool: issues(…))
)

var writers = []struct {
	kind  Kind
	write func(*report.Report, Options) ([]byte, error)
}{
	{Table, table},
	{Shell, shell},
	{PowerShell, powerShell},
	{Dotenv, dotenv},
	{JSON, reportJSON},
	{Markdown, summary},
	{CodeQuality, codeQuality},
	{SARIF, sarif},
	{JUnit, junit},
	{WarningsNG, warningsNG},
}

// Kinds returns all kinds, in the order in which help texts list them.
func Kinds() []Kind {
	kinds := make([]Kind, len(writers))
	for i, w := range writers {
		kinds[i] = w.kind
	}
	return kinds
}

// ParseKind returns the kind called name. The error lists the valid names.
func ParseKind(name string) (Kind, error) {
	kinds := Kinds()
	if slices.Contains(kinds, Kind(name)) {
		return Kind(name), nil
	}
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = string(k)
	}
	return "", fmt.Errorf("unknown format %q (valid: %s)", name, strings.Join(names, ", "))
}

// Options are what a writer needs to know of the place it writes to.
type Options struct {
	Color bool // [Table] may use terminal colours
	ASCII bool // [Table] marks states without ✓ and ✗
	Width int  // columns of [Table]; 0 is 80
	// ExitCode is the program's. [Shell] and [PowerShell] pass it on if
	// there is nothing to export.
	ExitCode int
}

// Render writes r in the form kind.
//
// An error means that a value cannot be written in that form without changing
// its meaning; nothing is written then. Scripts that evaluate [Shell] or
// [PowerShell] must be given [ShellFailure] or [PowerShellFailure] instead.
func Render(kind Kind, r *report.Report, opt Options) ([]byte, error) {
	for _, w := range writers {
		if w.kind == kind {
			b, err := w.write(r, opt)
			if err != nil {
				return nil, fmt.Errorf("rendering %s: %w", kind, err)
			}
			return b, nil
		}
	}
	_, err := ParseKind(string(kind))
	return nil, err
}

// exports reports whether the run behind r exports its settings.
func exports(r *report.Report) bool {
	return len(r.Settings) > 0 && (r.Outcome == report.OK || r.Outcome == report.Fallback)
}

// goproxy returns the value of GOPROXY that is in force after the run, or "".
func goproxy(r *report.Report) string {
	if exports(r) {
		return report.Value(r.Settings, "GOPROXY")
	}
	return report.Value(r.Outputs, "goproxy")
}
