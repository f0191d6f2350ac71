package cli

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/org/goproxy-setup/internal/proxytest"
)

// On a real terminal the diagnosis fits its width, and the table of what is
// being asked is gone when it is there.
func TestDoctorOnTerminal(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	for _, tt := range []struct {
		name    string
		columns int
		env     string
		shell   string
		drawn   bool
		colour  bool
	}{
		{"wide", 120, "", "DOCTOR", true, true},
		{"narrow", 60, "", "DOCTOR", true, true},
		{"no colour", 60, "NO_COLOR=1", "DOCTOR", true, false},
		{"dumb terminal", 60, "TERM=dumb", "DOCTOR", false, false},
		{"stdout to a file", 120, "", "DOCTOR >out", true, false},
		{"no terminal at all", 120, "", "DOCTOR >out 2>err", false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, ".netrc"), []byte("machine git.example.com login ci password s3cret\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			shell := strings.ReplaceAll(tt.shell, "DOCTOR", "GOPROXY=\""+p.URL+"/502|"+p.URL+"/slow=20ms|direct\" goproxy-setup doctor") + "; true"
			raw := onTerminal(t, dir, tt.columns, tt.env, shell)
			s := newScreen(tt.columns)
			s.write(raw)
			if s.unknown != "" {
				t.Errorf("the terminal was sent %q", s.unknown)
			}
			if got := strings.Contains(raw, "\x1b[K"); got != tt.drawn {
				t.Errorf("a table was drawn: %v; want %v", got, tt.drawn)
			}
			if got := strings.Contains(raw, "\x1b[31m"); got != tt.colour {
				t.Errorf("colours: %v; want %v", got, tt.colour)
			}
			text := s.text()
			for _, left := range []string{"connecting", "asking for", "ok after"} {
				if strings.Contains(text, left) {
					t.Errorf("%q stays on the screen", left)
				}
			}
			for _, file := range []string{"out", "err"} {
				data, err := os.ReadFile(filepath.Join(dir, file))
				if errors.Is(err, os.ErrNotExist) {
					continue
				}
				if strings.Contains(string(data), "\x1b") {
					t.Errorf("%s holds\n%q", file, data)
				}
				text += string(data)
			}
			for _, want := range []string{"D20 Module proxy", "D42 File with logins", "things are wrong"} {
				if !strings.Contains(text, want) {
					t.Errorf("the screen has no %q", want)
				}
			}
			for line := range strings.Lines(strings.ReplaceAll(raw, "\r\n", "\n")) {
				if n := utf8.RuneCountInString(strings.TrimRight(plain(line), "\n")); n > tt.columns && !strings.Contains(line, tt.shell) {
					t.Errorf("%d columns: %q", n, line)
				}
			}
			if info, err := os.Stat(filepath.Join(dir, ".netrc")); err != nil || info.Mode().Perm() != 0o644 {
				t.Errorf("the file was changed: %v %v", info.Mode(), err)
			}
			if t.Failed() {
				t.Logf("the screen:\n%s", text)
			}
		})
	}
}

// plain returns a line without what a terminal obeys.
func plain(line string) string {
	var b strings.Builder
	for line != "" {
		i := strings.Index(line, "\x1b[")
		if i < 0 {
			break
		}
		b.WriteString(line[:i])
		line = line[i+2:]
		if end := strings.IndexFunc(line, func(r rune) bool { return r >= '@' && r <= '~' }); end >= 0 {
			line = line[end+1:]
		}
	}
	return b.String() + line
}

// A person at a terminal is asked for each change.
func TestDoctorAsks(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	for answer, changed := range map[string]bool{"y\n": true, "yes\n": true, "n\n": false, "\n": false, "": false, "maybe\n": false} {
		h, stdout, stderr := host(t, map[string]string{"GOPROXY": p.URL, "GOSUMDB": proxytest.GOSUMDB, "PATH": os.Getenv("PATH"), "GOENV": "off"}, "doctor", "--fix")
		h.Environ = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.Home, "GOENV=off", "GOPROXY=" + p.URL, "GOSUMDB=" + proxytest.GOSUMDB}
		h.Interactive, h.Stdin = true, strings.NewReader(answer)
		file := filepath.Join(h.Home, ".netrc")
		if err := os.WriteFile(file, []byte("machine git.example.com login ci password s3cret\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		exit := Main(context.Background(), h)
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm() == 0o600; got != changed || exit == ExitOK != changed {
			t.Errorf("answer %q: exit %d, mode %o\n%s%s", answer, exit, info.Mode(), stdout, stderr)
		}
		if !strings.Contains(stderr.String(), "fix: chmod 600") || !strings.Contains(stderr.String(), "[y/N]") {
			t.Errorf("stderr %s", stderr)
		}
	}
}

// A repair that fails is no reason to keep the diagnosis back.
func TestDoctorRepairFails(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	real, err := exec.LookPath("go")
	if err != nil {
		t.Skip("SKIPPED: there is no go command")
	}
	env := map[string]string{"GOPROXY": p.URL, "GOSUMDB": proxytest.GOSUMDB}
	h, stdout, stderr := host(t, env, "doctor", "--fix", "--yes", "--write", "json=report.json")
	write := func(name, text string, mode os.FileMode) {
		file := filepath.Join(h.Dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	write("bin/go", "#!/bin/sh\ncase \"$*\" in 'env -w'*) echo 'go: disk full' >&2; exit 1 ;; esac\nexec "+real+" \"$@\"\n", 0o755)
	write(".config/go/env", "GOPRIVATE=a.example.com, b.example.com\n", 0o644)
	write(".netrc", "machine git.example.com login ci password s3cret\n", 0o644)
	env["PATH"] = filepath.Join(h.Dir, "bin") + ":/usr/bin:/bin"
	h.Environ = []string{"HOME=" + h.Home}
	for name, value := range env {
		h.Environ = append(h.Environ, name+"="+value)
	}
	if exit := Main(t.Context(), h); exit != ExitNo || !strings.Contains(stderr.String(), "not mended: GOTOOLCHAIN=local go env -w GOPRIVATE") || !strings.Contains(stderr.String(), "disk full") {
		t.Errorf("exit %d\n%s", exit, stderr)
	}
	data, err := os.ReadFile(filepath.Join(h.Dir, "report.json"))
	if err != nil || !strings.Contains(string(data), "pattern-never-matches") || strings.Contains(string(data), `"id": "netrc-file"`) || !strings.Contains(stdout.String(), "D02") {
		t.Errorf("%v: the report is\n%s\n%s", err, data, stdout)
	}
	if info, err := os.Stat(filepath.Join(h.Home, ".netrc")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the other repair was not made: %v %v", info.Mode(), err)
	}
}

// A file system that hangs before the checks begin keeps doctor no longer than
// it may take.
func TestDoctorReadHangs(t *testing.T) {
	stuck := make(chan struct{})
	defer close(stuck)
	h, _, stderr := host(t, nil, "doctor", "--timeout", "1s")
	h.Getenv = func(name string) string {
		if name == "GOENV" {
			<-stuck
		}
		return ""
	}
	if exit := Main(t.Context(), h); exit != ExitFailed || !strings.Contains(stderr.String(), "a file system hangs") {
		t.Errorf("exit %d\n%s", exit, stderr)
	}
}

// Whatever hangs, doctor ends in time and says what it could not look at.
func TestDoctorEndsInTime(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	h, stdout, stderr := host(t, map[string]string{"GOPROXY": p.URL + "/silent|" + p.URL + "/stall|http://" + p.Silent, "PATH": os.Getenv("PATH"), "GOENV": "off"}, "doctor", "--timeout", "2s")
	h.Environ = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.Home, "GOENV=off"}
	start := time.Now()
	if exit := Main(t.Context(), h); exit != ExitNo {
		t.Errorf("exit %d\n%s", exit, stderr)
	}
	if took := time.Since(start); took > 10*time.Second { // five times what it may: a busy machine is slow
		t.Errorf("it took %s", took)
	}
	if n := strings.Count(stdout.String(), "D20"); n < 3 {
		t.Errorf("%d proxies are said to be silent; want 3\n%s", n, stdout)
	}
}
