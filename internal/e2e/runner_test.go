//go:build e2e

package e2e

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// A runnerStep is one step of GitHub's own runner that uses the container
// action: its "docker run" line, its mounts, its files, and its reading of
// what the action left there. act differs in each of them.
//
// Source: github.com/actions/runner, ContainerActionHandler.cs,
// DockerCommandManager.cs, FileCommandManager.cs and ActionCommand.cs.
type runnerStep struct {
	host     string            // folder of this machine that the runner works in
	work     string            // the checkout, as the steps that follow see it
	env      map[string]string // further variables of the step
	inputs   map[string]string
	commands map[string]string // the command files: GITHUB_ENV and their kin
	readOnly bool              // mount the command files read-only
	uid      int               // the runner's user: owns everything, runs what follows
}

// runnerUser is the number of the user that GitHub's machines run jobs as.
const runnerUser = 1001

// newRunnerStep prepares a step in the checkout work, a folder of [project].
func newRunnerStep(t *testing.T, work string) *runnerStep {
	t.Helper()
	if os.Getuid() != 0 {
		skip(t, "the runner's files belong to another user: needs root")
	}
	s := &runnerStep{host: openDir(t), work: work, env: map[string]string{}, uid: runnerUser, commands: map[string]string{}}
	s.inputs = map[string]string{"RUNNER-TEMP": "host:" + s.host + "/_temp", "GITHUB-TOKEN": "", "CHECK-RUN-ID": ""}
	write(t, s.host, "_temp/_github_workflow/event.json", `{}`)
	for variable, prefix := range map[string]string{
		"GITHUB_ENV": "set_env", "GITHUB_OUTPUT": "set_output", "GITHUB_STATE": "save_state",
		"GITHUB_PATH": "add_path", "GITHUB_STEP_SUMMARY": "step_summary",
	} {
		name := prefix + "_0b2e9a3c-0000-4000-8000-6f1d7b0c5a11"
		write(t, s.host, "_temp/_runner_file_commands/"+name, "")
		s.commands[variable] = filepath.Join(s.host, "_temp/_runner_file_commands", name)
	}
	write(t, s.host, "_temp/_github_home/.keep", "")
	return s
}

// stepOutcome is what the runner made of a step.
type stepOutcome struct {
	result
	log      string // both streams, as the runner reads them
	env      map[string]string
	outputs  map[string]string
	commands []logCommand
	summary  string
}

// run runs the action by the runner's own "docker run" line.
func (s *runnerStep) run(t *testing.T, image string, extra ...string) stepOutcome {
	t.Helper()
	s.own(t)
	host := docker(t)
	variables := map[string]string{
		"HOME": "/github/home", "GITHUB_WORKSPACE": "/github/workspace", "GITHUB_ACTIONS": "true", "CI": "true",
		"GITHUB_EVENT_NAME": "push", "GITHUB_EVENT_PATH": "/github/workflow/event.json", "GITHUB_REF": "refs/heads/main",
		"GITHUB_REPOSITORY": "acme/project", "GITHUB_SHA": strings.Repeat("1", 40), "GITHUB_API_URL": "http://127.0.0.1:9",
		"GITHUB_SERVER_URL": "https://github.com", "RUNNER_OS": "Linux", "RUNNER_ARCH": "X64", "RUNNER_TEMP": "/github/runner_temp",
	}
	for variable, file := range s.commands {
		variables[variable] = "/github/file_commands/" + filepath.Base(file)
	}
	for name, value := range s.inputs {
		variables["INPUT_"+name] = value
	}
	maps.Copy(variables, s.env)
	args := []string{"run", "--name", filepath.Base(s.host) + "_" + strconv.Itoa(os.Getpid()), "--label", "goproxy-setup-e2e",
		"--workdir", "/github/workspace", "--rm"}
	env := environ("DOCKER_HOST=" + host)
	for name, value := range variables {
		if name == "HOME" { // the client reads its own
			args = append(args, "-e", "HOME="+value)
			continue
		}
		args = append(args, "-e", name) // the value comes from the client's environment
		env = append(env, name+"="+value)
	}
	mode := ""
	if s.readOnly {
		mode = ":ro"
	}
	args = append(args,
		"-v", strings.TrimPrefix(host, "unix://")+":/var/run/docker.sock",
		"-v", s.host+"/_temp:/github/runner_temp",
		"-v", s.host+"/_temp/_github_home:/github/home",
		"-v", s.host+"/_temp/_github_workflow:/github/workflow",
		"-v", s.host+"/_temp/_runner_file_commands:/github/file_commands"+mode,
		"-v", s.work+":/github/workspace")
	args = append(append(args, extra...), image)
	r := run(t, s.work, env, "docker", args...)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("docker run took %v, exit %d\n%s%s", r.took, r.exit, r.stdout, r.stderr)
		}
	})
	out := stepOutcome{result: r, log: r.stdout + r.stderr, commands: parseLog(r.stdout + r.stderr)}
	out.env = s.fileCommand(t, "GITHUB_ENV")
	out.outputs = s.fileCommand(t, "GITHUB_OUTPUT")
	summary, err := os.ReadFile(s.commands["GITHUB_STEP_SUMMARY"])
	if err != nil {
		t.Fatal(err)
	}
	out.summary = string(summary)
	return out
}

// own gives everything to the runner's user, as on GitHub's machines.
func (s *runnerStep) own(t *testing.T) {
	t.Helper()
	for _, dir := range []string{s.host, s.work} {
		err := filepath.WalkDir(dir, func(path string, _ os.DirEntry, err error) error {
			if err != nil {
				return err
			}
			return os.Lchown(path, s.uid, s.uid)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// fileCommand reads a command file as the runner does.
func (s *runnerStep) fileCommand(t *testing.T, variable string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(s.commands[variable])
	if err != nil {
		t.Fatal(err)
	}
	values, err := parseFileCommand(string(data))
	if err != nil {
		t.Errorf("the runner refuses %s: %v\n%s", variable, err, data)
	}
	return values
}

// parseFileCommand is the runner's reading of GITHUB_ENV and GITHUB_OUTPUT.
func parseFileCommand(text string) (map[string]string, error) {
	values := map[string]string{}
	for text != "" {
		line, rest, _ := strings.Cut(text, "\n")
		text = rest
		if line = strings.TrimSuffix(line, "\r"); line == "" {
			continue
		}
		equals, heredoc := strings.Index(line, "="), strings.Index(line, "<<")
		switch {
		case equals >= 0 && (heredoc < 0 || equals < heredoc):
			values[line[:equals]] = line[equals+1:]
		case heredoc > 0:
			end := line[heredoc+2:]
			var lines []string
			for {
				next, rest, ok := strings.Cut(text, "\n")
				if !ok {
					return values, fmt.Errorf("matching delimiter not found %q", end)
				}
				text = rest
				if strings.TrimSuffix(next, "\r") == end {
					break
				}
				lines = append(lines, next)
			}
			values[line[:heredoc]] = strings.Join(lines, "\n")
		default:
			return values, fmt.Errorf("invalid format %q", line)
		}
	}
	return values, nil
}

// A logCommand is a workflow command that the runner finds in the log.
type logCommand struct {
	name, data string
	properties map[string]string
}

// parseLog is the runner's reading of a log, for both forms of a command:
// "::name …::data" behind blanks, "##[name …]data" anywhere in a line.
func parseLog(log string) []logCommand {
	var list []logCommand
	for line := range strings.FieldsFuncSeq(log, func(r rune) bool { return r == '\n' || r == '\r' }) {
		trimmed := strings.TrimSpace(line)
		if body, ok := strings.CutPrefix(trimmed, "::"); ok {
			if head, data, ok := strings.Cut(body, "::"); ok {
				list = append(list, newLogCommand(head, data, ","))
				continue
			}
		}
		if _, body, ok := strings.Cut(line, "##["); ok {
			if head, data, ok := strings.Cut(body, "]"); ok && head != "" {
				list = append(list, newLogCommand(head, data, ";"))
			}
		}
	}
	return list
}

func newLogCommand(head, data, separator string) logCommand {
	unescape := strings.NewReplacer("%25", "%", "%0D", "\r", "%0A", "\n", "%3A", ":", "%2C", ",")
	c := logCommand{properties: map[string]string{}, data: unescape.Replace(data)}
	name, rest, _ := strings.Cut(strings.TrimSpace(head), " ")
	c.name = name
	for property := range strings.SplitSeq(rest, separator) {
		if key, value, ok := strings.Cut(strings.TrimSpace(property), "="); ok {
			c.properties[key] = unescape.Replace(value)
		}
	}
	return c
}

// named returns the commands called name.
func (o stepOutcome) named(name string) []logCommand {
	var list []logCommand
	for _, c := range o.commands {
		if c.name == name {
			list = append(list, c)
		}
	}
	return list
}

// later runs a command as a later step of the job: in the checkout, as the
// runner's user, with what the action exported and nothing else of Go's.
func (s *runnerStep) later(t *testing.T, exported map[string]string, name string, args ...string) result {
	t.Helper()
	home := filepath.Join(s.host, "home")
	if err := os.MkdirAll(home, 0o755); err != nil {
		t.Fatal(err)
	}
	s.own(t)
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GOTOOLCHAIN=local", "GOFLAGS=-modcacherw"}
	for k, v := range exported {
		env = append(env, k+"="+v)
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir, cmd.Env = s.work, env
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(s.uid), Gid: uint32(s.uid)}}
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		t.Fatalf("%s: %v", name, err)
	}
	return result{stdout: string(out), exit: cmd.ProcessState.ExitCode()}
}
