package render

import (
	"fmt"
	"strings"

	"github.com/org/goproxy-setup/internal/report"
)

// shell writes export lines for a POSIX sh that evaluates them. Where the run
// exports nothing, the one line sets the exit status and nothing else, so that
// a script under "set -e" stops if that was a failure.
func shell(r *report.Report, opt Options) ([]byte, error) {
	if !exports(r) {
		return ShellFailure(status(r, opt)), nil
	}
	var b strings.Builder
	for _, s := range r.Settings {
		if err := checkVariable(s.Name, s.Value); err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "export %s=%s\n", s.Name, shellQuote(s.Value))
	}
	return []byte(b.String()), nil
}

// status is the exit status that a script is told about a run without exports:
// a failed run never looks like success.
func status(r *report.Report, opt Options) int {
	if failed := r.Outcome != report.OK && r.Outcome != report.Kept; failed && opt.ExitCode == 0 {
		return 1
	}
	return opt.ExitCode
}

// ShellFailure returns the line that makes a script stop which evaluates it
// under "set -e", with code as its status.
func ShellFailure(code int) []byte {
	return fmt.Appendf(nil, "(exit %d)\n", code)
}

// shellQuote returns s as one word of POSIX sh. Nothing is special between
// single quotes but the single quote itself.
func shellQuote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

// ShellWord returns s as one word of POSIX sh for people to read and paste:
// without quotes, if it needs none.
func ShellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%_+=:,./-") == "" {
		return s
	}
	return shellQuote(s)
}

// powerShell writes assignments for PowerShell, each a statement on a line of
// its own, so that a script may evaluate them one by one or together.
func powerShell(r *report.Report, opt Options) ([]byte, error) {
	if !exports(r) {
		if code := status(r, opt); code != 0 {
			return PowerShellFailure(code), nil
		}
		return []byte("$global:LASTEXITCODE = 0\n"), nil
	}
	var b strings.Builder
	for _, s := range r.Settings {
		if err := checkVariable(s.Name, s.Value); err != nil {
			return nil, err
		}
		fmt.Fprintf(&b, "$env:%s = %s\n", s.Name, powerShellQuote(s.Value))
	}
	return []byte(b.String()), nil
}

// PowerShellFailure returns the line that makes a script stop which passes it
// to Invoke-Expression. "exit" would also close a person's own session, and a
// native command's status alone stops nothing.
func PowerShellFailure(code int) []byte {
	return fmt.Appendf(nil, "$global:LASTEXITCODE = %d; throw 'goproxy-setup: nothing was exported (exit status %d)'\n", code, code)
}

// powerShellQuote returns s as an expression of PowerShell in ASCII alone.
//
// PowerShell takes ‘ ’ ‚ ‛ for single quotes too, and Windows PowerShell
// decodes what a program prints by the console's code page, where the second
// byte of a harmless letter may be such a quote. So every other character is
// written by its number: 'a' + [char]0x2019 + 'b'.
func powerShellQuote(s string) string {
	var terms []string
	var ascii strings.Builder
	literal := func() string {
		defer ascii.Reset()
		return "'" + strings.ReplaceAll(ascii.String(), "'", "''") + "'"
	}
	for _, unit := range utf16Units(s) {
		if ' ' <= unit && unit <= '~' {
			ascii.WriteByte(byte(unit))
			continue
		}
		terms = append(terms, literal(), fmt.Sprintf("[char]0x%04X", unit))
	}
	return strings.Join(append(terms, literal()), " + ")
}
