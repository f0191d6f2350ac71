//go:build e2e

package e2e

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// TestDownload runs the shell functions of the GitLab template and the Jenkins
// library in each shell that jobs have, with the programs that come with it.
func TestDownload(t *testing.T) {
	script, err := os.ReadFile(filepath.Join(library(), "resources/goproxy-setup/setup.sh"))
	if err != nil {
		t.Fatal(err)
	}
	functions, _, ok := strings.Cut(string(script), "\n# What earlier builds")
	if !ok {
		t.Fatal("setup.sh has changed its shape: where do its functions end?")
	}
	busybox := busyboxFolder(t)
	for _, shell := range []struct{ name, command, path string }{
		{"sh", "sh", os.Getenv("PATH")},
		{"bash", "bash", os.Getenv("PATH")},
		{"busybox", filepath.Join(busybox, "sh"), busybox}, // has wget and no curl
	} {
		t.Run(shell.name, func(t *testing.T) {
			testDownload(t, func(dir string, env ...string) result {
				return run(t, dir, append(env, "PATH="+dir+"/bin:"+shell.path), shell.command, "-c",
					"set -e\n"+functions+"\ngoproxy_setup_binary .")
			})
		})
	}
}

// busyboxFolder returns a folder with the programs of the image with a shell.
func busyboxFolder(t *testing.T) string {
	t.Helper()
	busybox := filepath.Join(tool(t, "image-parts.sh"), "busybox-"+runtime.GOARCH)
	dir := t.TempDir()
	for name := range strings.FieldsSeq(must(t, dir, environ(), busybox, "--list")) {
		if err := os.Symlink(busybox, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func testDownload(t *testing.T, find func(dir string, env ...string) result) {
	const content = "#!/bin/sh\necho the program\n"
	file := "goproxy-setup-" + runtime.GOOS + "-" + runtime.GOARCH
	var requests []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests = append(requests, r.URL.Path)
		switch r.URL.Path {
		case "/good/" + file:
			io.WriteString(w, content)
		case "/portal":
			io.WriteString(w, "<html>Please log in")
		default:
			http.NotFound(w, r)
		}
	}))
	defer server.Close()
	good := "GOPROXY_SETUP_BINARY_URL=" + server.URL + "/good/goproxy-setup-{os}-{arch}"
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(content)))
	right := "GOPROXY_SETUP_BINARY_SHA256=" + strings.Repeat("0", 64) + " " + sum
	wrong := "GOPROXY_SETUP_BINARY_SHA256=" + strings.Repeat("0", 64)
	url := func(paths ...string) string {
		return "GOPROXY_SETUP_BINARY_URL=" + server.URL + strings.Join(paths, " "+server.URL)
	}
	const path, kept = "bin/goproxy-setup", content + "# kept\n" // what a case finds there

	for _, tt := range []struct {
		name   string
		files  map[string]string // there before
		env    []string
		out    string // path that is printed, "" for a failure
		stderr string // must be said
		asked  int    // requests
	}{
		{"nothing", nil, nil, "", "not in PATH", 0},
		{"in PATH", map[string]string{path: content}, nil, "bin/goproxy-setup", "", 0},
		{"PATH before download", map[string]string{path: content}, []string{good, right}, "bin/goproxy-setup", "", 0},
		{"named", map[string]string{"mine": content}, []string{"GOPROXY_SETUP_BINARY=./mine", good, right}, "./mine", "", 0},
		{"named and missing", map[string]string{path: content}, []string{"GOPROXY_SETUP_BINARY=./mine", good, right}, "", "./mine is no program", 0},
		{"downloaded", nil, []string{good, right}, "./" + file, "", 1},
		{"kept", map[string]string{file: content}, []string{good, right}, "./" + file, "", 0},
		{"kept and changed", map[string]string{file: kept}, []string{good, right}, "./" + file, "", 1},
		{"without checksum", nil, []string{good}, "", "refusing to download", 0},
		{"blank checksum", nil, []string{good, "GOPROXY_SETUP_BINARY_SHA256=  "}, "", "which is none of", 1},
		{"wrong checksum", nil, []string{good, wrong}, "", "has SHA-256 " + sum, 1},
		{"part of a checksum", nil, []string{good, "GOPROXY_SETUP_BINARY_SHA256=" + sum[:63]}, "", "has SHA-256 " + sum, 1},
		{"captive portal", nil, []string{url("/portal"), right}, "", "which is none of", 1},
		{"second URL", nil, []string{url("/missing", "/portal", "/good/"+file), right}, "./" + file, "could not download", 3},
		{"missing", nil, []string{url("/missing"), right}, "", "could not download " + server.URL + "/missing", 1},
		{"file URL", nil, []string{"GOPROXY_SETUP_BINARY_URL=file:///bin/true", right}, "", "not an http or https URL", 0},
		{"option as URL", nil, []string{"GOPROXY_SETUP_BINARY_URL=--output=x", right}, "", "not an http or https URL", 0},
		{"code as URL", nil, []string{"GOPROXY_SETUP_BINARY_URL=$(touch$IFS forged)", right}, "", "not an http or https URL", 0},
		{"credentials are not shown", nil, []string{"GOPROXY_SETUP_BINARY_URL=" + strings.Replace(server.URL, "//", "//user:hush@", 1) + "/missing", right}, "", "could not download " + server.URL, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := t.TempDir()
			for name, text := range tt.files {
				write(t, dir, name, text)
				if err := os.Chmod(filepath.Join(dir, name), 0o755); err != nil {
					t.Fatal(err)
				}
			}
			requests = nil
			r := find(dir, tt.env...)
			out := strings.TrimPrefix(strings.TrimSpace(r.stdout), dir+"/")
			if out != tt.out || tt.out == "" && r.exit != 3 || tt.out != "" && r.exit != 0 {
				t.Errorf("exit %d, path %q; want %q\n%s", r.exit, out, tt.out, r.stderr)
			}
			if !strings.Contains(r.stderr, tt.stderr) || strings.Contains(r.stderr, "hush") {
				t.Errorf("said %q; want %q", r.stderr, tt.stderr)
			}
			if len(requests) != tt.asked {
				t.Errorf("requests %q; want %d", requests, tt.asked)
			}
			if tt.out == "./"+file {
				if data, err := os.ReadFile(filepath.Join(dir, file)); string(data) != content {
					t.Errorf("%s is %q, %v", file, data, err)
				}
				if out := must(t, dir, nil, filepath.Join(dir, file)); out != "the program" {
					t.Errorf("running it prints %q", out)
				}
			}
			left, err := filepath.Glob(filepath.Join(dir, "*"))
			for _, name := range left {
				if base := filepath.Base(name); base != "bin" && base != "mine" && (base != file || tt.out == "") {
					t.Errorf("left behind: %s, %v", base, err)
				}
			}
		})
	}
}
