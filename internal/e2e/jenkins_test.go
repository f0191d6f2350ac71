//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/proxytest"
	"github.com/org/goproxy-setup/internal/render"
	"github.com/org/goproxy-setup/internal/report"
)

// A build is one run of a pipeline script; see testdata/jenkins/harness.groovy.
type build struct {
	Name        string            `json:"name"`
	Script      string            `json:"script"`
	Workspace   string            `json:"workspace"`
	Environment map[string]string `json:"environment"`
	Plugins     []string          `json:"plugins,omitempty"`
	Tools       map[string]string `json:"tools,omitempty"`
}

// A buildResult is what became of it.
type buildResult struct {
	Name        string         `json:"name"`
	Result      string         `json:"result"` // SUCCESS, UNSTABLE or FAILURE
	Description string         `json:"description"`
	Issues      map[string]any `json:"issues"` // what recordIssues was given, by its id
	Log         string         `json:"log"`
}

func library() string { return filepath.Join(root, "ci-templates/jenkins") }

// jenkins runs builds with the Groovy that Jenkins has, and returns the results
// by name. Starting Groovy is what takes long: a test runs all its builds at once.
func jenkins(t *testing.T, builds ...build) map[string]buildResult {
	t.Helper()
	return jenkinsWith(t, library(), builds...)
}

// jenkinsWith is jenkins with another copy of the library.
func jenkinsWith(t *testing.T, library string, builds ...build) map[string]buildResult {
	t.Helper()
	groovy := filepath.Join(tool(t, "jenkins.sh"), "groovy")
	dir := t.TempDir()
	spec, err := json.Marshal(builds)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "builds.json", string(spec))
	must(t, dir, environ(), groovy, filepath.Join(root, "internal/e2e/testdata/jenkins/harness.groovy"), library, "builds.json", "results.json")
	data, err := os.ReadFile(filepath.Join(dir, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	var list []buildResult
	if err := json.Unmarshal(data, &list); err != nil {
		t.Fatal(err)
	}
	results := map[string]buildResult{}
	for _, r := range list {
		if strings.Contains(r.Log, "BROKEN: ") {
			t.Errorf("%s: the harness or the library broke:\n%s", r.Name, r.Log)
		}
		results[r.Name] = r
	}
	return results
}

// agent returns the variables of a Jenkins agent whose PATH has folders in front.
func agent(t *testing.T, folders ...string) map[string]string {
	t.Helper()
	vars := map[string]string{"JENKINS_URL": "https://jenkins.example.com/", "BUILD_TAG": "jenkins-app-1"}
	for _, v := range goEnviron(t) {
		name, value, _ := strings.Cut(v, "=")
		vars[name] = value
	}
	vars["PATH"] = strings.Join(append(folders, vars["PATH"]), ":")
	return vars
}

// with returns vars and the pairs.
func with(vars map[string]string, pairs ...string) map[string]string {
	vars = maps.Clone(vars)
	for _, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		vars[name] = value
	}
	return vars
}

func TestJenkins(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	workspace := project(t, p)
	write(t, workspace, ".goproxy-setup.yaml", policyFor(p.URL, p.URL+"/ok"))
	commit(t, workspace)
	down := project(t, p)
	write(t, down, ".goproxy-setup.yaml", policyFor(p.URL+"/502", p.URL))
	commit(t, down)
	dead := project(t, p)
	write(t, dead, ".goproxy-setup.yaml", policyFor(p.URL+"/502", p.URL+"/html"))
	commit(t, dead)
	corp := proxytest.New(t, proxytest.Options{TLS: proxytest.PrivateCA})
	secret := project(t, corp)
	write(t, secret, ".goproxy-setup.yaml", secretPolicy(corp.URL+"/auth"))
	write(t, secret, "ca.pem", string(corp.CA))
	commit(t, secret)
	vars := agent(t, filepath.Dir(program(t)))

	results := jenkins(t,
		build{Name: "closure", Workspace: workspace, Environment: vars, Script: `
			def got = goproxySetup(environment: 'staging') {
				sh 'echo "inside GOPROXY=$GOPROXY"; go mod download; go run .; git status --porcelain'
				return 'the value of the braces'
			}
			echo "got ${got}"
			sh 'echo "after GOPROXY=[$GOPROXY]"'`},
		build{Name: "map", Workspace: workspace, Environment: vars, Script: `
			def settings = goproxySetup(environment: 'staging')
			sh 'echo "outside GOPROXY=[$GOPROXY]"'
			echo "map GOPROXY=${settings.GOPROXY} from ${settings.GOPROXY_RESULT_ENVIRONMENT_SOURCE}"
			withEnv(settings.collect { it.key + '=' + it.value }) { sh 'echo "inside GOPROXY=$GOPROXY"; go mod download' }`},
		build{Name: "parameter", Workspace: workspace, Environment: with(vars, "ENVIRONMENT=production"), Script: `
			goproxySetup { sh 'echo "inside GOPROXY=$GOPROXY"' }`},
		build{Name: "nested", Workspace: workspace, Environment: vars, Script: `
			goproxySetup(environment: 'production') {
				goproxySetup(environment: 'staging', override: true) { sh 'echo "inner GOPROXY=$GOPROXY"' }
				sh 'echo "outer GOPROXY=$GOPROXY"'
			}`},
		build{Name: "fallback", Workspace: down, Environment: vars, Plugins: []string{"warnings-ng"}, Script: `
			currentBuild.description = 'nightly'
			goproxySetup(environment: 'staging') { sh 'echo "inside GOPROXY=$GOPROXY"; go mod download' }
			goproxySetup(environment: 'staging') { sh 'echo twice' }`},
		build{Name: "fallback without plugins", Workspace: down, Environment: vars, Script: `
			goproxySetup(environment: 'staging') { sh 'echo went on' }`},
		build{Name: "fallback allowed", Workspace: down, Environment: vars, Script: `
			goproxySetup(environment: 'staging', fallbackExitCode: 0) { sh 'echo went on' }`},
		build{Name: "exhausted", Workspace: dead, Environment: vars, Script: `
			try {
				goproxySetup(environment: 'staging') { sh 'echo must not run' }
			} finally {
				sh 'echo "after GOPROXY=[$GOPROXY]"'
			}`},
		build{Name: "misspelt environment", Workspace: workspace, Environment: vars, Script: `
			goproxySetup(environment: 'stagin') { sh 'echo must not run' }`},
		build{Name: "misspelt option", Workspace: workspace, Environment: vars, Script: `
			goproxySetup(enviroment: 'staging') { sh 'echo must not run' }`},
		build{Name: "credentials", Workspace: secret, Environment: with(vars, "CORP_TOKEN=secret", "WORKSPACE="+secret, "WORKSPACE_TMP="+t.TempDir()), Script: `
			goproxySetup(environment: 'production', credentialHost: 'CORP_TOKEN=127.0.0.1') {
				sh 'echo "inside GOPROXY=$GOPROXY"; go mod download; go run .'
			}
			sh 'echo "after NETRC=[$NETRC]"'`},
		build{Name: "tool", Workspace: workspace, Environment: agent(t), Tools: map[string]string{"goproxy": filepath.Dir(program(t))}, Script: `
			goproxySetup(tool: 'goproxy', environment: 'staging') { sh 'echo "inside GOPROXY=$GOPROXY"' }`},
		build{Name: "no program", Workspace: workspace, Environment: agent(t), Script: `
			goproxySetup(environment: 'staging') { sh 'echo must not run' }`},
	)
	chain := p.URL + "|" + p.URL + "/ok"
	for _, tt := range []struct {
		name, result string
		log          []string // must be there
		notLog       []string // must not
	}{
		{"closure", "SUCCESS", []string{"inside GOPROXY=" + chain + "\n", proverb, "got the value of the braces", "after GOPROXY=[]"}, []string{".goproxy-setup/"}},
		{"map", "SUCCESS", []string{"outside GOPROXY=[]", "map GOPROXY=" + chain + " from ", "inside GOPROXY=" + chain + "\n"}, nil},
		{"parameter", "SUCCESS", []string{"inside GOPROXY=" + p.URL + "/ok\n"}, nil},
		{"nested", "SUCCESS", []string{"inner GOPROXY=" + chain + "\n", "outer GOPROXY=" + p.URL + "/ok\n"}, nil},
		{"fallback", "UNSTABLE", []string{"inside GOPROXY=" + p.URL + "\n", "twice", "an earlier goproxySetup"}, nil},
		{"fallback without plugins", "UNSTABLE", []string{"WARNING: goproxy-setup: ", "the plugin Warnings would", "went on"}, nil},
		{"fallback allowed", "SUCCESS", []string{"went on"}, []string{"WARNING: "}},
		{"exhausted", "FAILURE", []string{"after GOPROXY=[]", "ERROR: goproxy-setup failed with exit code 1"}, []string{"must not run"}},
		{"misspelt environment", "FAILURE", []string{`"staging"`, "exit code 2"}, []string{"must not run"}},
		{"misspelt option", "FAILURE", []string{"goproxySetup has no option enviroment"}, []string{"must not run"}},
		{"credentials", "SUCCESS", []string{"inside GOPROXY=" + corp.URL + "/auth\n", proverb, "after NETRC=[]"}, []string{"secret"}},
		{"tool", "SUCCESS", []string{"inside GOPROXY=" + chain + "\n"}, nil},
		{"no program", "FAILURE", []string{"goproxy-setup: not in PATH: ", "exit code 3"}, []string{"must not run"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := results[tt.name]
			if r.Result != tt.result {
				t.Errorf("result %s; want %s", r.Result, tt.result)
			}
			for _, want := range tt.log {
				if !strings.Contains(r.Log, want) {
					t.Errorf("the log lacks %q", want)
				}
			}
			for _, bad := range tt.notLog {
				if strings.Contains(r.Log, bad) {
					t.Errorf("the log has %q", bad)
				}
			}
			if t.Failed() {
				t.Logf("log:\n%s", r.Log)
			}
		})
	}
	fallback := results["fallback"]
	if !strings.HasPrefix(fallback.Description, "nightly\ngoproxy-setup: ") || strings.Count(fallback.Description, "\n") != 1 {
		t.Errorf("description %q; want the old one and one line for the fallback", fallback.Description)
	}
	if _, ok := fallback.Issues["goproxy-setup"]; !ok {
		t.Errorf("recordIssues was not given the findings: %v", fallback.Issues)
	}
}

// hostile are texts that a stranger may have chosen, such as a branch's name.
// Each tries to create the file "forged" or to add the variable FORGED.
var hostile = []string{
	`$(touch forged)`,
	"`touch forged`",
	`'; touch forged; '`,
	`"; touch forged; "`,
	`${"touch forged".execute()}`,
	`\'; touch forged #`,
	"x\nFORGED=1",
	"x\rFORGED=1",
	"x\n::set-env name=FORGED::1",
	`../../$HOME|touch forged|`,
	`-rf --write=shell=forged`,
}

func TestJenkinsHostileNames(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	workspace := project(t, p)
	write(t, workspace, ".goproxy-setup.yaml", policyFor(p.URL, p.URL+"/ok"))
	commit(t, workspace)
	var builds []build
	for i, name := range hostile {
		vars := agent(t, filepath.Dir(program(t)))
		const show = `{ sh 'echo ran; echo ${FORGED+was forged}' }`
		builds = append(builds,
			build{Name: fmt.Sprintf("option %d", i), Workspace: workspace, Environment: with(vars, "TEXT="+name),
				Script: `goproxySetup(environment: env.TEXT) ` + show},
			build{Name: fmt.Sprintf("interpolated option %d", i), Workspace: workspace, Environment: with(vars, "TEXT="+name),
				Script: `goproxySetup(environment: "x${env.TEXT}") ` + show},
			build{Name: fmt.Sprintf("parameter and branch %d", i), Workspace: workspace,
				Environment: with(vars, "ENVIRONMENT="+name, "BRANCH_NAME="+name, "CHANGE_BRANCH="+name), Script: `goproxySetup ` + show},
		)
	}
	for name, r := range jenkins(t, builds...) {
		if strings.HasPrefix(name, "parameter") {
			// A name from the CI that fits no block is no mistake of the caller.
			if r.Result != "SUCCESS" || !strings.Contains(r.Log, "\nran\n") {
				t.Errorf("%s: %s\n%s", name, r.Result, r.Log)
			}
		} else if r.Result != "FAILURE" || !strings.Contains(r.Log, "exit code 2") {
			t.Errorf("%s: %s\n%s", name, r.Result, r.Log)
		}
		if strings.Contains(r.Log, "\nwas forged\n") {
			t.Errorf("%s: a variable was forged\n%s", name, r.Log)
		}
	}
	if _, err := os.Stat(filepath.Join(workspace, "forged")); err == nil {
		t.Error("a command was forged")
	}
}

// TestJenkinsReadsWhatWasMeant gives Groovy the file that the program's own
// writer makes of difficult values.
func TestJenkinsReadsWhatWasMeant(t *testing.T) {
	values := append([]string{
		"https://a.example.com|https://b.example.com,direct", "=", "a=b=c", "name URL", "$HOME ${HOME} $$", `"quoted"`, `it's`, `\`, `\n`,
		"#", "%41", "*.corp.example.com,[a-z]?", "tab\tinside", "日本語 – ünïcödé 🚀", "x", "+", "a+b", strings.Repeat("long ", 99) + "end",
	}, hostile...)
	r := &report.Report{Outcome: report.OK}
	want := map[string]string{}
	for i, value := range values {
		s := report.Setting{Name: fmt.Sprintf("GO_%d", i), Value: value}
		// One at a time: what the writer refuses can't do harm, and its limits
		// are another test's.
		one := &report.Report{Outcome: report.OK, Settings: []report.Setting{s}}
		if _, err := render.Render(render.Dotenv, one, render.Options{}); err == nil {
			r.Settings = append(r.Settings, s)
			want[s.Name] = value
		}
	}
	if len(want) < len(values)/2 {
		t.Fatalf("the writer takes only %d of %d values", len(want), len(values))
	}
	workspace := t.TempDir()
	var lines []byte
	for _, s := range r.Settings {
		line, _ := render.Render(render.Dotenv, &report.Report{Outcome: report.OK, Settings: []report.Setting{s}}, render.Options{})
		lines = append(lines, line...)
	}
	write(t, workspace, "answer.env", string(lines))
	write(t, workspace, "bin/goproxy-setup", "#!/bin/sh\ncp answer.env \"$GOPROXY_SETUP_FILES.env\"\n")
	if err := os.Chmod(filepath.Join(workspace, "bin/goproxy-setup"), 0o755); err != nil {
		t.Fatal(err)
	}
	results := jenkins(t, build{Name: "read", Workspace: workspace, Environment: agent(t, workspace+"/bin"), Script: `
		writeFile(file: 'map.json', text: groovy.json.JsonOutput.toJson(goproxySetup()))
		goproxySetup { sh 'env -0 >inside' }
		sh 'env -0 >after'`})
	if results["read"].Result != "SUCCESS" {
		t.Fatalf("%+v", results["read"])
	}
	got := map[string]string{}
	data, err := os.ReadFile(filepath.Join(workspace, "map.json"))
	if err == nil {
		err = json.Unmarshal(data, &got)
	}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("the map is %q, %v; want %q", got, err, want)
	}
	inside, after := environment(t, filepath.Join(workspace, "inside")), environment(t, filepath.Join(workspace, "after"))
	for name, value := range want {
		if inside[name] != value {
			t.Errorf("inside the braces %s is %q; want %q", name, inside[name], value)
		}
		delete(inside, name)
	}
	for _, shell := range []string{"_", "PWD", "OLDPWD", "SHLVL"} {
		delete(inside, shell)
		delete(after, shell)
	}
	if !maps.Equal(inside, after) {
		t.Errorf("beyond the settings, the braces change the environment from\n%q to\n%q", after, inside)
	}
}

// environment reads what "env -0" wrote.
func environment(t *testing.T, file string) map[string]string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	vars := map[string]string{}
	for pair := range strings.SplitSeq(strings.TrimSuffix(string(data), "\x00"), "\x00") {
		name, value, _ := strings.Cut(pair, "=")
		vars[name] = value
	}
	return vars
}
