//go:build e2e

// Package e2e runs the whole product where it will run: in real containers, by
// the CI systems' own runners, with the real go command. "make test" does.
//
// This file holds what its tests share: the program, built once; tools, which
// the scripts in .ci/tools install; a Docker engine; module proxies that
// containers can reach; a project to build. A test that cannot run on this
// machine calls [skip], and the end of the run says which and why.
package e2e

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/proxytest"
)

// root is the repository.
var root = func() string {
	dir, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return dir
}()

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	if engine.ours {
		script(context.Background(), "docker.sh", "stop")
	}
	skipped.mu.Lock()
	slices.Sort(skipped.list)
	fmt.Printf("e2e: %d tests skipped\n", len(skipped.list))
	for _, s := range skipped.list {
		fmt.Println("e2e: skipped", s)
	}
	skipped.mu.Unlock()
	os.Exit(code)
}

var skipped struct {
	mu   sync.Mutex
	list []string
}

// skip ends a test that cannot run here; TestMain repeats the reason where
// nobody overlooks it. With E2E_NO_SKIP set it is a failure.
func skip(t *testing.T, format string, args ...any) {
	t.Helper()
	reason := fmt.Sprintf(format, args...)
	if os.Getenv("E2E_NO_SKIP") != "" {
		t.Fatalf("must not be skipped: %s", reason)
	}
	skipped.mu.Lock()
	skipped.list = append(skipped.list, t.Name()+": "+reason)
	skipped.mu.Unlock()
	t.Skip(reason)
}

// A result is what a command did.
type result struct {
	stdout, stderr string
	exit           int
	took           time.Duration
}

// run runs a command in dir with exactly the variables env, and fails the test
// only if it could not be started. It is stopped after 20 minutes: a first
// build of six binaries takes long on a small machine.
func run(t *testing.T, dir string, env []string, name string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir, cmd.Env = dir, env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	err := cmd.Run()
	if _, exited := errors.AsType[*exec.ExitError](err); err != nil && !exited {
		t.Fatalf("%s: %v", name, err)
	}
	return result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode(), time.Since(start)}
}

// must is run for commands that only prepare a test: they have to succeed. It
// returns what they print, without surrounding blanks.
func must(t *testing.T, dir string, env []string, name string, args ...string) string {
	t.Helper()
	r := run(t, dir, env, name, args...)
	if r.exit != 0 {
		t.Fatalf("%s %s: exit %d\n%s%s", name, strings.Join(args, " "), r.exit, r.stdout, r.stderr)
	}
	return strings.TrimSpace(r.stdout)
}

// environ returns a plain user's environment with extra added: no CI, none of
// Go's download settings. What HTTPS needs on this machine stays.
func environ(extra ...string) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "USER", "LANG", "TMPDIR", "XDG_CACHE_HOME", "DOCKER_HOST", "SSL_CERT_FILE", "SSL_CERT_DIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return append(append(env, "GOTOOLCHAIN=local"), extra...)
}

var built struct {
	once sync.Once
	dir  string
	err  error
}

// program returns the path of goproxy-setup, built as for a release: static, so
// that it runs in any container too.
func program(t testing.TB) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "goproxy-setup-e2e-"); built.err != nil {
			return
		}
		// Readable for other users: some tests change to one.
		if built.err = os.Chmod(built.dir, 0o755); built.err != nil {
			return
		}
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", built.dir+"/goproxy-setup", "./cmd/goproxy-setup")
		cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			built.err = fmt.Errorf("%w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatalf("building goproxy-setup: %v", built.err)
	}
	return built.dir + "/goproxy-setup"
}

// tools remembers what the scripts in .ci/tools said.
var tools struct {
	mu   sync.Mutex
	said map[string]toolAnswer
}

type toolAnswer struct {
	out string
	err error
}

// tool runs a script of .ci/tools, once for all tests, and returns what it
// prints: for an installer the folder of its commands. It skips the test if
// the script fails.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	key := strings.Join(append([]string{name}, args...), " ")
	tools.mu.Lock()
	defer tools.mu.Unlock()
	answer, ok := tools.said[key]
	if !ok {
		answer.out, answer.err = script(context.Background(), name, args...)
		if tools.said == nil {
			tools.said = map[string]toolAnswer{}
		}
		tools.said[key] = answer
	}
	if answer.err != nil {
		skip(t, "%v", answer.err)
	}
	return answer.out
}

func script(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, filepath.Join(root, ".ci/tools", name), args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
		return "", fmt.Errorf("%s: %w: %s", name, err, lines[len(lines)-1])
	}
	return strings.TrimSpace(string(out)), nil
}

var engine struct {
	once sync.Once
	ours bool // started for these tests: TestMain stops it
	host string
	// bridge is the engine's address on its default network: the one address
	// of this machine that containers reach.
	bridge string
	err    error
}

// docker returns the DOCKER_HOST of an engine that runs.
func docker(t *testing.T) string {
	t.Helper()
	engine.once.Do(startEngine)
	if engine.err != nil {
		skip(t, "no Docker engine: %v", engine.err)
	}
	return engine.host
}

func startEngine() {
	ctx := context.Background()
	before, _ := script(ctx, "docker.sh", "status")
	if engine.host, engine.err = script(ctx, "docker.sh", "start"); engine.err != nil {
		return
	}
	engine.ours = before == ""
	cmd := exec.Command("docker", "--host", engine.host, "network", "inspect", "bridge", "--format", "{{(index .IPAM.Config 0).Gateway}}")
	out, err := cmd.Output()
	engine.bridge, engine.err = strings.TrimSpace(string(out)), err
	if err == nil && net.ParseIP(engine.bridge) == nil {
		engine.err = fmt.Errorf("%q is no address of the default network", engine.bridge)
	}
}

// golangImage makes sure that the engine has the image that the Dockerfile
// starts from, and returns its name. It has a shell, Go and no GOPROXY set.
func golangImage(t *testing.T) string {
	t.Helper()
	docker(t)
	tool(t, "docker.sh", "golang")
	return "golang:1.26-bookworm"
}

// bridgeProxy starts a module proxy that this machine and containers reach
// under one address.
func bridgeProxy(t *testing.T, o proxytest.Options) *proxytest.Server {
	t.Helper()
	docker(t)
	o.Addr = cmp.Or(o.Addr, net.JoinHostPort(engine.bridge, "0"))
	return proxytest.New(t, o)
}

// project writes a Go program that needs rsc.io/quote, with a complete go.sum
// for the modules as p serves them, and returns its folder: a Git repository
// without any commit, whose origin is github.com/acme/project.
func project(t *testing.T, p *proxytest.Server) string {
	t.Helper()
	dir := openDir(t)
	write(t, dir, "go.mod", `module project.example.com

go 1.26

require rsc.io/quote v1.5.2

require (
	golang.org/x/text v0.0.0-20170915032832-14c0d48ead0c // indirect
	rsc.io/sampler v1.3.0 // indirect
)
`)
	write(t, dir, "go.sum", p.GoSum("rsc.io/quote@v1.5.2", "rsc.io/sampler@v1.3.0", proxytest.BigModule))
	write(t, dir, "main.go", "package main\n\nimport (\n\t\"fmt\"\n\n\t\"rsc.io/quote\"\n)\n\nfunc main() { fmt.Println(quote.Go()) }\n")
	must(t, dir, environ(), "git", "init", "--quiet", "--initial-branch=main")
	must(t, dir, environ(), "git", "remote", "add", "origin", "https://github.com/acme/project.git")
	return dir
}

// openDir is t.TempDir for files that other users may read.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{filepath.Dir(dir), dir} {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// commit commits everything in dir.
func commit(t *testing.T, dir string) {
	t.Helper()
	must(t, dir, environ(), "git", "add", "--all")
	must(t, dir, environ(), "git", "-c", "user.name=Test", "-c", "user.email=test@example.com", "commit", "--quiet", "--allow-empty", "--message=test")
}

// write writes the file called name below dir, with the folders it needs.
func write(t *testing.T, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
