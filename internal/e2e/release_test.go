//go:build e2e

package e2e

import (
	"crypto/sha256"
	"debug/elf"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/org/goproxy-setup/internal/proxytest"
)

var release struct {
	once sync.Once
	tree string // copy of the repository that the files were made in
	tool string // the program that makes them
	dir  string // the files
}

// releaseFiles makes the files of the release v1.2.3 from a copy of the
// repository, once for all tests, and returns their folder.
func releaseFiles(t *testing.T) string {
	t.Helper()
	tool(t, "image-parts.sh")
	release.once.Do(func() {
		program(t) // makes built.dir, which outlives this test
		release.tree = filepath.Join(built.dir, "tree")
		copyRepository(t, root, release.tree)
		release.dir = filepath.Join(built.dir, "dist")
		release.tool = filepath.Join(built.dir, "release")
		must(t, release.tree, releaseEnv(), "go", "build", "-o", release.tool, "./internal/release")
		must(t, release.tree, releaseEnv(), release.tool, "-version", "v1.2.3", "-out", release.dir)
	})
	if _, err := os.Stat(filepath.Join(release.dir, "SHA256SUMS")); err != nil {
		t.Fatalf("the release files could not be made: %v", err)
	}
	return release.dir
}

func releaseEnv(extra ...string) []string {
	env := environ(extra...)
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH", "GOPROXY", "GOSUMDB"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return env
}

// copyRepository copies what a release is made of.
func copyRepository(t *testing.T, from, to string) {
	t.Helper()
	for _, name := range []string{".git", ".ci", "cmd", "internal", "go.mod", "go.sum", "Dockerfile", "action.yml"} {
		if err := os.MkdirAll(to, 0o755); err != nil {
			t.Fatal(err)
		}
		must(t, from, environ(), "cp", "-R", name, to)
	}
}

// The same commit gives the same bytes: in another folder, for another user's
// habits, at another time.
func TestReleaseFilesAreReproducible(t *testing.T) {
	first := releaseFiles(t)
	tree := filepath.Join(t.TempDir(), "somewhere/else")
	copyRepository(t, release.tree, tree)
	second := filepath.Join(t.TempDir(), "dist")
	must(t, tree, releaseEnv("TZ=Asia/Shanghai", "LC_ALL=C", "GOAMD64=v3", "CGO_ENABLED=1", "GOFLAGS=-buildvcs=false"),
		"sh", "-c", `umask 077 && exec "$1" -version v1.2.3 -out "$2"`, "sh", release.tool, second)

	want, got := fileSums(t, first), fileSums(t, second)
	if len(want) != 12 {
		t.Errorf("a release has %d files: %v; want 12", len(want), slices.Sorted(maps.Keys(want)))
	}
	for name, sum := range want {
		if got[name] != sum {
			t.Errorf("%s differs between two builds", name)
		}
	}
	must(t, first, environ(), "sha256sum", "--check", "--strict", "--quiet", "SHA256SUMS")
}

func fileSums(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	sums := map[string]string{}
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			t.Fatal(err)
		}
		sums[f.Name()] = fmt.Sprintf("%x", sha256.Sum256(data))
	}
	return sums
}

// Every binary is for the platform in its name, static, and within its budget.
func TestReleaseBinaries(t *testing.T) {
	dir := releaseFiles(t)
	for _, platform := range []string{"linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64", "windows-amd64", "windows-arm64"} {
		file := filepath.Join(dir, "goproxy-setup-"+platform)
		goos, goarch, _ := strings.Cut(platform, "-")
		if goos == "windows" {
			file += ".exe"
		}
		about := must(t, dir, environ(), "go", "version", "-m", file)
		for _, want := range []string{"GOOS=" + goos, "GOARCH=" + goarch, "CGO_ENABLED=0", "-trimpath=true"} {
			if !strings.Contains(about, want) {
				t.Errorf("%s: go version -m says\n%s\nwant %s", platform, about, want)
			}
		}
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%-14s %5.1f MB", platform, megabytes(info.Size()))
		if info.Size() > 14e6 { // the target is 12; "make bench" prints both
			t.Errorf("%s has %.1f MB; the guard is 14 MB, the target 12", platform, megabytes(info.Size()))
		}
		if goos == "linux" {
			static(t, file)
		}
	}
	if got := must(t, dir, environ(), "./goproxy-setup-linux-"+runtime.GOARCH, "version"); !strings.Contains(got, "v1.2.3") {
		t.Errorf("version = %q; want v1.2.3 in it", got)
	}
}

func megabytes(n int64) float64 { return float64(n) / 1e6 }

func static(t *testing.T, file string) {
	t.Helper()
	f, err := elf.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			t.Errorf("%s needs a dynamic linker", file)
		}
	}
}

// The action of this very tree, built from source as "uses: ./" does.
func TestActionFromSource(t *testing.T) {
	golangImage(t)
	p := bridgeProxy(t, proxytest.Options{})
	dir := project(t, p)
	write(t, dir, policyFile, twoProxies(p, "/502"))
	for _, name := range []string{"action.yml", "Dockerfile", "go.mod", "go.sum", "cmd", "internal"} {
		if err := os.MkdirAll(filepath.Join(dir, "action"), 0o755); err != nil {
			t.Fatal(err)
		}
		must(t, root, environ(), "cp", "-R", name, filepath.Join(dir, "action"))
	}
	flow := strings.Replace(workflow("environment: staging", `echo "go=$(go env GOPROXY)"`), "org/goproxy-setup@v1", "./action", 1)
	run := act(t, dir, flow)
	want := p.URL + "|direct"
	if got := run.printed("after"); run.exit != 0 || !strings.Contains(got, "go="+want+"\n") {
		t.Errorf("exit %d; the later step printed %q; want GOPROXY %s", run.exit, got, want)
	}
	t.Logf("built and run in %v", run.took)
}

// A release's action names its image, and what downloads binaries knows them;
// on main neither is so. Only the release may change that, and only once.
func TestPinRelease(t *testing.T) {
	dir := t.TempDir()
	releaseSources(t, dir, "")
	linux, darwin, windows := strings.Repeat("1", 64), strings.Repeat("2", 64), strings.Repeat("3", 64)
	write(t, dir, "SHA256SUMS", darwin+"  goproxy-setup-darwin-arm64\n"+linux+"  goproxy-setup-linux-amd64\n"+windows+"  goproxy-setup-windows-arm64.exe\n"+
		strings.Repeat("4", 64)+"  busybox-amd64.tar\n"+strings.Repeat("5", 64)+"  goproxy-setup-image.tar\n")
	write(t, dir, "none", "")
	image := "docker://registry.example.com/org/goproxy-setup@sha256:" + strings.Repeat("a", 64)
	pin := func(args ...string) result {
		return run(t, dir, environ(), "sh", append([]string{".ci/pin-release.sh"}, args...)...)
	}
	for _, bad := range [][]string{{"v1.2.3"}, {"1.2.3", image, "SHA256SUMS"}, {"v1.2.3", "docker://x|y", "SHA256SUMS"}, {"v1.2.3", "Dockerfile", "SHA256SUMS"}, {"v1.2.3", image, "none"}} {
		if r := pin(bad...); r.exit == 0 {
			t.Errorf("pin-release.sh %q succeeded", bad)
		}
	}
	if r := pin("v1.2.3", image, "SHA256SUMS"); r.exit != 0 {
		t.Fatalf("exit %d\n%s", r.exit, r.stderr)
	}
	const url = "https://github.com/org/goproxy-setup/releases/download/v1.2.3/goproxy-setup-{os}-{arch}"
	const template = "ci-templates/gitlab/templates/goproxy-setup.yml"
	for _, tt := range []struct{ file, want string }{
		{"action.yml", "\n  image: " + image + "\n"},
		{"ci-templates/github/binary/VERSION", "v1.2.3\n"},
		{"ci-templates/github/binary/SHA256SUMS", linux + "  goproxy-setup-linux-amd64\n" + windows + "  goproxy-setup-windows-arm64.exe\n"},
		{template, `default: "` + url + "\"\n"},
		{template, `default: "` + darwin + " " + linux + "\"\n"},
		{"ci-templates/jenkins/resources/goproxy-setup/setup.sh", "\nbinary_url='" + url + "'\nbinary_sha256='" + darwin + " " + linux + "'\n"},
	} {
		if data, err := os.ReadFile(filepath.Join(dir, tt.file)); err != nil || !strings.Contains(string(data), tt.want) {
			t.Errorf("%s: %v; want %q in it", tt.file, err, tt.want)
		}
	}
	if r := pin("v1.2.4", image, "SHA256SUMS"); r.exit == 0 {
		t.Error("a pinned tree was pinned again")
	}
}
