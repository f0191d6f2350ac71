package diagnose

import (
	"bytes"
	"cmp"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/files"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/netrc"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/probe"
	"github.com/org/goproxy-setup/internal/report"
)

// Limits of what is read from the outside.
const (
	maxFile     = 1 << 20          // bytes of a settings file
	maxOutput   = 1 << 20          // bytes of a command's output
	maxFiles    = 200              // files of a kind, such as workflows
	commandTime = 20 * time.Second // a busy machine starts go slowly; the caller's budget is shorter
)

// Config says where to look. Dir and Getenv are required.
type Config struct {
	Getenv  func(string) string
	Environ []string // for commands that are run; nil is this process's
	Dir     string   // the working directory, absolute
	Home    string   // "" if there is none
	// Tree is the work tree if its author is not trusted, as in a pull request:
	// links that lead out of it are then not followed. "" trusts it.
	Tree string
	Etc  string // "" is /etc

	// User is the file that "go env -w" writes.
	User goenv.EnvFile
	// Over are settings to judge as if they were exported.
	Over []goenv.Setting
	// Policy are the settings that the chain is probed with, and Logins what
	// GOPROXY says of credentials, by the names of entries. Without a chain
	// Read takes both from GOPROXY; see [Chain].
	Policy policy.Settings
	Logins map[string]Login
	// PolicyFile holds the mistakes of the repository's policy file.
	PolicyFile []report.Finding
	HasPolicy  bool
	GoSum      *checksum.GoSum // nil if there is none
	GoSumError error           // why it could not be used
	Toolchain  string          // the toolchain that go would fetch first, "" for none

	Resolvers []string // HOST:PORT of name servers to ask besides the system's
	Progress  func(probe.Event)

	Free func(dir string) (bytes uint64, ok bool) // nil asks the system

	// For tests: authorities besides the system's, and another network.
	RootCAs *x509.CertPool
	Dial    func(ctx context.Context, network, address string) (net.Conn, error)
}

// A Machine is what was read from the outside.
type Machine struct {
	Config
	Settings goenv.Sources
	Go       goCommand
	Shell    []assignment // in the order in which shells read them
	Git      Git
	Netrc    netrcFile
	Work     workspace
	ci       ciSetting

	unread []string // what was not read in time

	once struct {
		evidence, sights, poison sync.Once
	}
	probed probe.Result
	seen   []sight
	cache  cacheScan
}

// A goCommand is the go command that PATH leads to.
type goCommand struct {
	Path string            // "" if there is none
	Env  map[string]string // of "go env -json"
	Err  string            // why there is no Env
	Late bool              // it did not answer in time, which is no fault of its own
}

// A netrcFile is the file with logins that the go command reads.
type netrcFile struct {
	Path     string
	Text     string
	Mode     fs.FileMode
	Err      error // nil if it was read, fs.ErrNotExist if there is none
	Machines []netrc.Machine
}

// Read reads what checks need to know. It runs "go env" and "git config", asks
// no network, and bounds every file. What cannot be read is for the checks to
// report: there are no errors. What is not read soon after ctx ends, as of a
// file system that hangs, stays empty.
func Read(ctx context.Context, c Config) *Machine {
	c.Etc = cmp.Or(c.Etc, "/etc")
	m := &Machine{Config: c}
	over, stop := lingering(ctx)
	defer stop()
	goAsked, git := begin(func() goCommand { return m.readGo(ctx) }), begin(func() Git { return m.readGit(ctx) })
	shell, netrc, ci := begin(m.readShell), begin(m.readNetrc), begin(m.readCI)
	m.note(goAnswer, await(over, goAsked, &m.Go))
	m.note(gitSettings, await(over, git, &m.Git))
	m.note(shellSettings, await(over, shell, &m.Shell))
	m.note(logins, await(over, netrc, &m.Netrc))
	m.note(ciSettingsOf, await(over, ci, &m.ci))
	m.Settings = goenv.Sources{Over: c.Over, Getenv: c.Getenv, User: c.User}
	if root := m.Go.Env["GOROOT"]; root != "" {
		m.Settings.GOROOT.Path = filepath.Join(root, "go.env")
		m.Settings.GOROOT.Data, _ = files.Read(m.Settings.GOROOT.Path, maxFile) // an installation without one has no defaults
	}
	if m.Policy.Chain == nil {
		m.Policy, m.Logins, _ = Chain(m.setting("GOPROXY")) // a check says what is wrong with it
	}
	m.note(workFiles, await(over, begin(m.readWorkspace), &m.Work))
	return m
}

// setting returns the value in force of one of Go's settings.
func (m *Machine) setting(name string) string { return m.Settings.Lookup(name).Value }

// variable returns what probes see of the environment: Go's settings as they
// are in force, everything else as it is.
func (m *Machine) variable(name string) string {
	if slices.Contains([]string{"GOAUTH", "GOPRIVATE", "GONOPROXY"}, name) {
		return m.setting(name)
	}
	return m.Getenv(name)
}

// either returns an environment variable that may be written in lower case.
func (m *Machine) either(name string) string {
	return cmp.Or(m.Getenv(name), m.Getenv(strings.ToLower(name)))
}

// goVariable returns a variable of "go env", or else of the environment.
func (m *Machine) goVariable(name string) string { return cmp.Or(m.Go.Env[name], m.Getenv(name)) }

// command prepares a command that reads no input, in the working directory.
func (m *Machine) command(ctx context.Context, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir, cmd.Env = m.Dir, m.Environ
	cmd.WaitDelay = time.Second
	return cmd
}

// output runs a command and returns what it printed, bounded in time and size.
func (m *Machine) output(ctx context.Context, dir string, extra []string, path string, args ...string) (stdout, stderr string, err error) {
	ctx, cancel := context.WithTimeout(ctx, commandTime)
	defer cancel()
	cmd := m.command(ctx, path, args...)
	cmd.Dir = dir
	cmd.Env = append(slices.Clone(cmd.Environ()), extra...)
	var out, errs limited
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err = cmd.Run(); ctx.Err() != nil {
		err = ctx.Err()
	}
	return out.String(), errs.String(), err
}

// goAlone runs the go command where no go.mod and no proxy can keep it from
// answering for itself: it neither becomes another version nor downloads.
func (m *Machine) goAlone(ctx context.Context, args ...string) (stdout, stderr string, err error) {
	root := filepath.VolumeName(m.Dir) + string(filepath.Separator)
	extra := []string{"GOTOOLCHAIN=local", "GOPROXY=off", "GOWORK=off"}
	if file := m.userFile(); file != "" { // GOENV may be relative to the working directory
		extra = append(extra, "GOENV="+file)
	}
	return m.output(ctx, root, extra, m.Go.Path, args...)
}

// limited keeps the first maxOutput bytes that are written to it.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	l.Buffer.Write(p[:min(len(p), max(0, maxOutput-l.Len()))])
	return len(p), nil
}

// find returns the program called name that the machine's own PATH leads to.
func (m *Machine) find(name string) []string {
	var list []string
	for _, dir := range filepath.SplitList(m.Getenv("PATH")) {
		if dir == "" || !filepath.IsAbs(dir) {
			continue // as package os/exec has it
		}
		file := filepath.Join(dir, name)
		if runtime.GOOS == "windows" {
			file += ".exe"
		}
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && (runtime.GOOS == "windows" || info.Mode()&0o111 != 0) {
			list = append(list, file)
		}
	}
	return list
}

// goVariables are what only the go command knows. By name: for all it has, it
// would start the C compiler eight times.
var goVariables = []string{"GOBIN", "GOMODCACHE", "GOPATH", "GOROOT", "GOVERSION"}

// readGo asks the go command for its settings. It never lets go become another
// version first, which may take a download.
func (m *Machine) readGo(ctx context.Context) (g goCommand) {
	list := m.find("go")
	if len(list) == 0 {
		return g
	}
	g.Path = list[0]
	out, errs, err := m.output(ctx, m.Dir, []string{"GOTOOLCHAIN=local"}, g.Path, append([]string{"env", "-json"}, goVariables...)...)
	if err == nil {
		err = json.Unmarshal([]byte(out), &g.Env)
	}
	if err != nil {
		g.Env, g.Err, g.Late = nil, cmp.Or(firstLine(errs), err.Error()), errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil
	}
	return g
}

// readShell reads the files that shells read.
func (m *Machine) readShell() []assignment {
	var list []assignment
	for _, pattern := range shellFiles {
		base := m.Etc
		rest, system := strings.CutPrefix(pattern, "etc/")
		if !system {
			if base = m.Home; base == "" {
				continue
			}
			rest = strings.TrimPrefix(pattern, "~/")
		}
		paths, _ := filepath.Glob(filepath.Join(base, filepath.FromSlash(rest))) // ours: never malformed
		for _, f := range paths[:min(len(paths), maxFiles)] {
			if data, err := files.Read(f, maxFile); err == nil {
				list = append(list, parseShell(f, string(data))...)
			}
		}
	}
	return list
}

// assigned returns where a shell's file gives a variable its value of the
// environment, and whether there is one. The last file wins.
func (m *Machine) assigned(name string) (assignment, bool) {
	value := m.Getenv(name)
	for _, a := range slices.Backward(m.Shell) {
		if a.Name == name && value != "" && (a.Value == value || a.Computed) {
			return a, true
		}
	}
	return assignment{}, false
}

// readNetrc reads the file that go takes logins from.
func (m *Machine) readNetrc() (n netrcFile) {
	n.Path = m.Getenv("NETRC")
	if n.Path == "" && m.Home != "" {
		n.Path = filepath.Join(m.Home, ".netrc")
		if _, err := os.Stat(n.Path); err != nil && runtime.GOOS == "windows" {
			n.Path = filepath.Join(m.Home, "_netrc")
		}
	}
	if n.Path == "" {
		n.Err = fs.ErrNotExist
		return n
	}
	info, err := os.Stat(n.Path)
	if err != nil {
		n.Err = err
		return n
	}
	n.Mode = info.Mode()
	var data []byte
	if data, n.Err = files.Read(n.Path, maxFile); n.Err == nil {
		n.Text = string(data)
		n.Machines = netrc.Parse(n.Text)
	}
	return n
}

// readTree reads a file of the work tree, as [files.Read] does.
func (m *Machine) readTree(path string, limit int64) ([]byte, error) {
	rel, err := filepath.Rel(m.Tree, path)
	if m.Tree == "" || err != nil || !filepath.IsLocal(rel) {
		return files.Read(path, limit)
	}
	root, err := os.OpenRoot(m.Tree)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	return files.ReadIn(root, rel, limit)
}

// place returns the position in a file as a report has it: relative to the
// working directory if the file lies there.
func (m *Machine) place(file string, line int) report.Place {
	if rel, err := filepath.Rel(m.Dir, file); err == nil && filepath.IsLocal(rel) {
		file = rel
	}
	return report.Place{File: filepath.ToSlash(file), Line: line}
}
