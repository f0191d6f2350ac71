package ci

import (
	"bytes"
	"encoding/json"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files")

// golden compares got with a file, which "go test -update" rewrites first.
func golden(t *testing.T, file string, got []byte) {
	t.Helper()
	if *update {
		os.WriteFile(file, got, 0o666)
	}
	if want, err := os.ReadFile(file); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s is out of date (%v): run go test -update and read the diff; got\n%s", file, err, got)
	}
}

// getenv returns a function that knows the given variables: NAME, value, ….
func getenv(pairs ...string) func(string) string {
	return func(name string) string {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1]
			}
		}
		return ""
	}
}

func TestDetect(t *testing.T) {
	for _, tt := range []struct {
		name string
		env  []string
		want System
	}{
		{"nothing set", nil, None},
		{"GitHub", []string{"GITHUB_ACTIONS", "true"}, GitHub},
		{"Forgejo says that it is GitHub, too", []string{"GITHUB_ACTIONS", "true", "FORGEJO_ACTIONS", "true"}, Forgejo},
		{"Gitea", []string{"GITHUB_ACTIONS", "true", "GITEA_ACTIONS", "true"}, Forgejo},
		{"GitLab", []string{"GITLAB_CI", "true"}, GitLab},
		{"Jenkins", []string{"JENKINS_URL", "https://jenkins.example.com/"}, Jenkins},
		{"Jenkins without a URL", []string{"JENKINS_HOME", "/var/jenkins", "BUILD_TAG", "jenkins-x-1"}, Jenkins},
		{"a machine that also serves Jenkins", []string{"JENKINS_HOME", "/var/jenkins"}, None},
		{"switched off by hand", []string{"GITHUB_ACTIONS", "false"}, None},
		{"another system", []string{"CI", "true", "CIRCLECI", "true"}, None},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Detect(getenv(tt.env...)); got != tt.want {
				t.Errorf("Detect = %q; want %q", got, tt.want)
			}
		})
	}
}

func TestParse(t *testing.T) {
	onGitLab := getenv("GITLAB_CI", "true")
	for name, want := range map[string]System{"": GitLab, "auto": GitLab, "none": None, "jenkins": Jenkins, "forgejo": Forgejo} {
		if got, err := Parse(name, onGitLab); got != want || err != nil {
			t.Errorf("Parse(%q) = %q, %v; want %q", name, got, err, want)
		}
	}
	if _, err := Parse("gitub", onGitLab); err == nil || !strings.Contains(err.Error(), `"gitub"`) || !strings.Contains(err.Error(), "forgejo") {
		t.Errorf("Parse(gitub) = %v; want the name and the valid ones", err)
	}
}

func TestLookup(t *testing.T) {
	env := getenv(
		"INPUT_ON-FALLBACK", " fail ", "GOPROXY_SETUP_ON_FALLBACK", "warn",
		"INPUT_TIMEOUT", "  ", "GOPROXY_SETUP_TIMEOUT", "5s",
		"INPUT_CREDENTIAL-HOST", "A=a.example.com\nB=b.example.com\n",
	)
	for _, tt := range []struct {
		name            string
		system          System
		option          string
		value, variable string
	}{
		{"an input wins", GitHub, "on-fallback", "fail", "INPUT_ON-FALLBACK"},
		{"Forgejo has inputs", Forgejo, "on-fallback", "fail", "INPUT_ON-FALLBACK"},
		{"elsewhere there are no inputs", GitLab, "on-fallback", "warn", "GOPROXY_SETUP_ON_FALLBACK"},
		{"a blank input is not given", GitHub, "timeout", "5s", "GOPROXY_SETUP_TIMEOUT"},
		{"lines stay", GitHub, "credential-host", "A=a.example.com\nB=b.example.com", "INPUT_CREDENTIAL-HOST"},
		{"not given", GitHub, "policy", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			value, variable := Lookup(tt.system, env, tt.option)
			if value != tt.value || variable != tt.variable {
				t.Errorf("Lookup(%s) = %q, %q; want %q, %q", tt.option, value, variable, tt.value, tt.variable)
			}
		})
	}
}

// recorded returns the host that a file of testdata describes: variables of a
// job, and besides EVENT, the payload; FILES, what exists; MOUNTS; PID.
func recorded(t *testing.T, file string) Host {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	env := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			env[name] = value
		}
	}
	pid, _ := strconv.Atoi(env["PID"])
	return Host{
		Getenv: func(name string) string { return env[name] },
		ReadFile: func(path string) ([]byte, error) {
			switch {
			case path == env["GITHUB_EVENT_PATH"] && env["EVENT"] != "":
				return os.ReadFile(filepath.Join("testdata", env["EVENT"]))
			case path == "/proc/self/mountinfo" && env["MOUNTS"] != "":
				return []byte("22 1 0:21 / / rw - overlay overlay rw\n36 22 8:1 /x " + env["MOUNTS"] + " rw - ext4 /dev/sda rw\n"), nil
			}
			return nil, fs.ErrNotExist
		},
		Stat: func(path string) (fs.FileInfo, error) {
			if slices.Contains(strings.Fields(env["FILES"]), path) {
				return nil, nil
			}
			return nil, fs.ErrNotExist
		},
		Dir: "/home/me/shop", TempDir: "/tmp", PID: pid,
	}
}

// TestContext reads every recorded job. What must come out stands beside it.
func TestContext(t *testing.T) {
	files, _ := filepath.Glob("testdata/*.env")
	if len(files) == 0 {
		t.Fatal("no recorded jobs")
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".env")
		t.Run(name, func(t *testing.T) {
			host := recorded(t, file)
			system, err := Parse("auto", host.Getenv)
			if want, _, _ := strings.Cut(name, "-"); err != nil || string(system) != want {
				t.Fatalf("Parse(auto) = %q, %v; want %q", system, err, want)
			}
			got, err := json.MarshalIndent(Open(system, host).Context, "", "  ")
			if err != nil {
				t.Fatal(err)
			}
			golden(t, strings.TrimSuffix(file, ".env")+".golden", append(got, '\n'))
		})
	}
}
