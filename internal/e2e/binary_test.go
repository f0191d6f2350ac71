//go:build e2e

package e2e

import (
	"crypto/sha256"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/org/goproxy-setup/internal/proxytest"
)

// binaryWorkflow is a workflow that uses the binary action with the given
// lines below "with:".
func binaryWorkflow(with string) string {
	return strings.NewReplacer("org/goproxy-setup@v1", "org/goproxy-setup/ci-templates/github/binary@v1").Replace(workflow(with, `
echo "variable=$GOPROXY output=$OUTPUT fallback=$FALLBACK"
go mod download && go run .
`))
}

// A mirrorServer serves files as a release's download page or its mirror does,
// and remembers what it was asked for.
type mirrorServer struct {
	*httptest.Server
	mu    sync.Mutex
	paths []string
}

func newMirror(t *testing.T, files map[string][]byte) *mirrorServer {
	s := &mirrorServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.paths = append(s.paths, r.URL.Path)
		s.mu.Unlock()
		data, ok := files[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write(data)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *mirrorServer) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.paths)
}

func sum(data []byte) string { return fmt.Sprintf("%x", sha256.Sum256(data)) }

// The binary action of a release downloads its own version from a mirror,
// checks it, and does what the container does.
func TestBinaryActionDownloads(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	binary, err := os.ReadFile(program(t))
	if err != nil {
		t.Fatal(err)
	}
	file := "goproxy-setup-linux-" + runtime.GOARCH
	mirror := newMirror(t, map[string][]byte{"/mirror/v1.2.3/" + file: binary})
	action := releasedAction(t)
	write(t, action, "ci-templates/github/binary/SHA256SUMS", sum([]byte("other"))+"  other\n"+sum(binary)+"  "+file+"\n")

	dir := project(t, p)
	write(t, dir, policyFile, twoProxies(p, "/502"))
	run := act(t, dir, binaryWorkflow("environment: staging\ndownload-url: "+mirror.URL+"/mirror/"), published(action)...)
	want := p.URL + "|direct"
	if got := run.values("set-env")["GOPROXY"]; run.exit != 0 || got != want {
		t.Errorf("exit %d, GOPROXY=%q; want %q", run.exit, got, want)
	}
	if got := run.printed("after"); !strings.Contains(got, "variable="+want+" output="+want+" fallback=true\n") || !strings.Contains(got, "Don't communicate") {
		t.Errorf("the later step printed %q; want the variable, the outputs and a build", got)
	}
	if w := run.commands("warning"); len(w) != 1 || w[0].Properties["line"] != chainLine {
		t.Errorf("warnings = %+v; want one at line %s", w, chainLine)
	}
	if asked := mirror.asked(); len(asked) != 1 {
		t.Errorf("asked the mirror for %q; want one file", asked)
	}
}

// A binary that is there already is used as it is; hostile text in an input
// stays text.
func TestBinaryActionWithBinary(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	dir := project(t, p)
	write(t, dir, policyFile, twoProxies(p, "/ok"))
	t.Run("runs it", func(t *testing.T) {
		run := act(t, dir, binaryWorkflow("environment: staging\nbinary: "+program(t)), published(releasedAction(t))...)
		if got := run.values("set-env")["GOPROXY"]; run.exit != 0 || got != p.URL+"/ok|"+p.URL+"|direct" {
			t.Errorf("exit %d, GOPROXY=%q", run.exit, got)
		}
	})
	t.Run("hostile input", func(t *testing.T) {
		run := act(t, dir, binaryWorkflow(`environment: "'; touch pwned; echo '::error title=forged::forged\n::error::forged$(touch pwned)"`+"\nbinary: "+program(t)),
			published(releasedAction(t))...)
		if run.outcome("setup") != "failure" {
			t.Errorf("step %q; want a failure", run.outcome("setup"))
		}
		if _, err := os.Stat(filepath.Join(dir, "pwned")); err == nil {
			t.Error("the input was run as a command")
		}
		for _, e := range run.commands("error") {
			if strings.HasPrefix(e.Arg, "forged") {
				t.Errorf("act obeyed %+v", e)
			}
		}
	})
}

// fetch.sh by itself: which file it wants where, and what it refuses.
func TestFetchScript(t *testing.T) {
	binary := []byte("#!/bin/sh\necho ran\n")
	files := map[string][]byte{}
	for _, name := range []string{"linux-amd64", "linux-arm64", "darwin-arm64", "windows-amd64.exe"} {
		files["/v1.2.3/goproxy-setup-"+name] = binary
	}
	mirror := newMirror(t, files)
	pinned := t.TempDir()
	for name, text := range map[string]string{
		"VERSION":    "v1.2.3\n",
		"SHA256SUMS": sum(binary) + "  goproxy-setup-linux-amd64\n" + sum(binary) + "  goproxy-setup-windows-amd64.exe\n",
	} {
		write(t, pinned, name, text)
	}
	script, err := os.ReadFile(filepath.Join(root, "ci-templates/github/binary/fetch.sh"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, pinned, "fetch.sh", string(script))
	unpinned := filepath.Join(root, "ci-templates/github/binary")

	for _, tt := range []struct {
		name, dir string
		env       []string
		path      string // end of the path that the next step is given
		message   string // part of the error
	}{
		{"pinned", pinned, nil, "/goproxy-setup/v1.2.3/amd64/goproxy-setup", ""},
		{"windows", pinned, []string{"RUNNER_OS=Windows"}, "/v1.2.3/amd64/goproxy-setup.exe", ""},
		{"macOS with checksum", pinned, []string{"RUNNER_OS=macOS", "RUNNER_ARCH=ARM64", "CHECKSUM=" + strings.ToUpper(sum(binary))}, "/arm64/goproxy-setup", ""},
		{"own version and checksum", unpinned, []string{"VERSION=v1.2.3", "CHECKSUM=" + sum(binary)}, "/amd64/goproxy-setup", ""},
		{"ready binary", unpinned, []string{"BINARY=" + program(t)}, "/goproxy-setup", ""},
		{"binary on the PATH", unpinned, []string{"BINARY=sh"}, "/sh", ""},
		{"wrong bytes", pinned, []string{"CHECKSUM=" + sum([]byte("other"))}, "", "and not " + sum([]byte("other"))},
		{"no checksum known", pinned, []string{"RUNNER_ARCH=ARM64"}, "", "knows no checksum of goproxy-setup-linux-arm64 v1.2.3"},
		{"no release", unpinned, nil, "", "belongs to no release"},
		{"another version needs a checksum", pinned, []string{"VERSION=v1.2.4"}, "", "knows no checksum"},
		{"not there", pinned, []string{"VERSION=v9.9.9", "CHECKSUM=" + sum(binary)}, "", "404"},
		{"no checksum at all", pinned, []string{"CHECKSUM=::error::forged"}, "", "is not hexadecimal"},
		{"short checksum", pinned, []string{"CHECKSUM=abc"}, "", "64 hexadecimal digits"},
		{"version as a path", pinned, []string{"VERSION=../../evil", "CHECKSUM=" + sum(binary)}, "", "is not a version"},
		{"version as an option", pinned, []string{"VERSION=v1\n::error::forged", "CHECKSUM=" + sum(binary)}, "", "is not a version"},
		{"other system", pinned, []string{"RUNNER_OS=Plan9"}, "", "no release for the operating system"},
		{"missing binary", pinned, []string{"BINARY=./missing\n::error::forged"}, "", "is not an executable"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			work := t.TempDir()
			write(t, work, "output", "")
			env := append(environ("RUNNER_OS=Linux", "RUNNER_ARCH=X64", "RUNNER_TEMP="+work, "GITHUB_OUTPUT="+work+"/output",
				"VERSION=", "CHECKSUM=", "BINARY=", "DOWNLOAD_URL="+mirror.URL+"/"), tt.env...)
			var output []byte
			for range 2 { // the second time from the runner's tool cache
				r := run(t, work, env, "bash", filepath.Join(tt.dir, "fetch.sh"))
				if strings.Count(r.stdout, "::error") != min(r.exit, 1) || strings.Contains(r.stdout, "\n::error::forged") {
					t.Errorf("exit %d, stdout %q; want one error if any", r.exit, r.stdout)
				}
				if ok := r.exit == 0; ok != (tt.message == "") || !strings.Contains(r.stdout, tt.message) {
					t.Errorf("exit %d, stdout %q, stderr %q; want %q", r.exit, r.stdout, r.stderr, tt.message)
				}
				var err error
				if output, err = os.ReadFile(work + "/output"); err != nil {
					t.Fatal(err)
				}
			}
			got := parsePath(string(output))
			if tt.message != "" && len(output) != 0 || !strings.HasSuffix(got, tt.path) {
				t.Errorf("the next step is given %q; want it to end in %q", output, tt.path)
			}
			if strings.Contains(tt.path, "v1.2.3") {
				if data, err := os.ReadFile(got); err != nil || string(data) != string(binary) {
					t.Errorf("%s is not the released file: %v", got, err)
				}
			}
		})
	}
}

func parsePath(output string) string {
	_, path, _ := strings.Cut(strings.TrimSpace(output), "path=")
	path, _, _ = strings.Cut(path, "\n")
	return path
}
