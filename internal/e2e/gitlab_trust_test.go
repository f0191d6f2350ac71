//go:build e2e

package e2e

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/proxytest"
)

func TestGitLabRefusesInputs(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	for _, tt := range []struct{ name, inputs, message string }{
		{"not among the options", "on-fallback: explode", "on-fallback"},
		{"text that ends the YAML value", `environment: 'a" b'`, "environment"},
		{"line break", `environment: "a\n  script: [id]"`, "environment"},
		{"URL that is none", "binary-url: 'file:///etc/passwd'", "binary-url"},
		{"checksum that is none", "binary-sha256: abc", "binary-sha256"},
		{"name with a blank", "name: 'a b'", "name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			pipe := newPipeline(t, p, policyFor(p.URL, p.URL), includeTemplate+"    inputs: {"+tt.inputs+"}\n\nbuild:\n  extends: .goproxy-setup\n  script: [echo must not run]\n")
			r := pipe.run(t, "--list")
			if r.exit == 0 || !strings.Contains(r.stdout+r.stderr, "`"+tt.message+"`") {
				t.Errorf("exit %d; want a refusal of %s\n%s%s", r.exit, tt.message, r.stdout, r.stderr)
			}
		})
	}
}

// TestGitLabHostileNames gives the jobs names that a stranger chose.
func TestGitLabHostileNames(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	var jobs strings.Builder
	jobs.WriteString(includeTemplate + "    inputs: {environment: staging, job: choose}\n")
	for i, name := range hostile {
		fmt.Fprintf(&jobs, `
alone-%d:
  extends: .goproxy-setup
  environment: {name: %q}
  variables: {GOPROXY_SETUP_ENVIRONMENT: ""}
  needs: [choose]
  script:
    - echo "alone [$GOPROXY]"
    - '[ -n "${FORGED+set}" ] || echo "nothing forged"'
`, i, name)
	}
	pipe := newPipeline(t, p, policyFor(p.URL+"/hostile", p.URL), jobs.String())
	base := must(t, pipe.dir, environ(), "git", "rev-parse", "HEAD")
	var args []string
	for _, v := range []string{"CI_PIPELINE_SOURCE=merge_request_event", "CI_MERGE_REQUEST_IID=7", "CI_MERGE_REQUEST_PROJECT_ID=1",
		"CI_MERGE_REQUEST_SOURCE_PROJECT_ID=1", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME=main", "CI_MERGE_REQUEST_DIFF_BASE_SHA=" + base,
		"CI_MERGE_REQUEST_SOURCE_BRANCH_NAME=" + strings.Join(hostile, ""), "CI_COMMIT_REF_NAME=" + strings.Join(hostile, ""),
		"CI_MERGE_REQUEST_TITLE=" + strings.Join(hostile, "")} {
		args = append(args, "--variable", v)
	}
	r := pipe.run(t, pipe.inFolder(args...)...)
	if r.exit != 0 {
		t.Errorf("exit %d\n%s%s", r.exit, r.stdout, r.stderr)
	}
	for i := range hostile {
		pipe.expect(t, map[string][]string{fmt.Sprintf("alone-%d", i): {"alone [" + p.URL + "]\n", "nothing forged\n"}})
	}
	allowed := regexp.MustCompile(`^(GO(PROXY|PRIVATE|NOPROXY|NOSUMDB|SUMDB|VCS)|GOPROXY_RESULT_[A-Z_]+)$`)
	for name := range checkDotenv(t, pipe, "choose") {
		if !allowed.MatchString(name) {
			t.Errorf("the variable %s was forged", name)
		}
	}
	filepath.WalkDir(pipe.dir, func(path string, _ fs.DirEntry, err error) error {
		if filepath.Base(path) == "forged" {
			t.Errorf("a command was forged: %s", path)
		}
		return err
	})
}

// TestGitLabTemplateText checks what only a reader of the template can see.
func TestGitLabTemplateText(t *testing.T) {
	template, err := os.ReadFile(filepath.Join(root, "ci-templates/gitlab/templates/goproxy-setup.yml"))
	if err != nil {
		t.Fatal(err)
	}
	header, body, _ := strings.Cut(string(template), "\n---\n")
	for line := range strings.Lines(body) {
		if strings.Contains(line, "$[[") && !regexp.MustCompile(`^( +[A-Za-z0-9_]+: )?"\.?\$\[\[ inputs\.[a-z0-9-]+ \]\](-exec)?":?\n$`).MatchString(line) {
			t.Errorf("an input is more than one quoted YAML value: %s", line)
		}
	}
	var unused []string
	for _, m := range regexp.MustCompile(`(?m)^    ([a-z0-9-]+):$`).FindAllStringSubmatch(header, -1) {
		if !strings.Contains(body, "$[[ inputs."+m[1]+" ]]") {
			unused = append(unused, m[1])
		}
	}
	if slices.Sort(unused); unused != nil {
		t.Errorf("inputs that nothing uses: %q", unused)
	}
	script, err := os.ReadFile(filepath.Join(library(), "resources/goproxy-setup/setup.sh"))
	if err != nil {
		t.Fatal(err)
	}
	_, functions, _ := strings.Cut(string(script), "\n\n")
	functions, _, ok := strings.Cut(functions, "\n# What earlier builds")
	var indented strings.Builder
	for line := range strings.Lines(functions) {
		if line != "\n" {
			line = "      " + line
		}
		indented.WriteString(line)
	}
	if !ok || !strings.Contains(body, indented.String()) {
		t.Errorf("the functions of the template are not those of Jenkins' setup.sh:\n%s", indented.String())
	}
}

// TestTemplatesGiveOptionsThatExist holds the templates to the program: it
// ignores a variable that belongs to no option.
func TestTemplatesGiveOptionsThatExist(t *testing.T) {
	help := must(t, root, environ(), program(t), "setup", "-h") + must(t, root, environ(), program(t), "agent", "-h")
	for _, file := range []string{"gitlab/templates/goproxy-setup.yml", "gitlab/README.md", "jenkins/README.md", "jenkins/vars/goproxySetup.groovy", "github/agent.yml", "github/agent/action.yml"} {
		text, err := os.ReadFile(filepath.Join(root, "ci-templates", file))
		if err != nil {
			t.Fatal(err)
		}
		options := 0
		for _, m := range regexp.MustCompile(`GOPROXY_SETUP_([A-Z_0-9]+[A-Z0-9])`).FindAllStringSubmatch(string(text), -1) {
			option := strings.ToLower(strings.ReplaceAll(m[1], "_", "-"))
			if strings.HasPrefix(option, "binary") || option == "files" || option == "command" {
				continue // of the templates themselves
			}
			options++
			if !strings.Contains(help, "\t"+m[0]+" ") && !strings.Contains(help, "\t--"+option+" ") && !strings.Contains(help, "\t--"+option+"\n") {
				t.Errorf("%s gives --%s, which the program does not have", file, option)
			}
		}
		if options == 0 {
			t.Errorf("%s gives no options; has the pattern changed?", file)
		}
	}
}
