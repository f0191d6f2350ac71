package proxytest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// goCommand runs the real go command in dir with a fresh module cache and
// nothing of the caller's settings.
func goCommand(t *testing.T, dir, goproxy string, env []string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", args...)
	cmd.Dir = dir
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME"), // HOME has the build cache
		"GOENV=off", "GOTOOLCHAIN=local", "GOFLAGS=-modcacherw", "GOPATH=" + t.TempDir(),
		"GOPROXY=" + goproxy, "GOSUMDB=" + GOSUMDB,
	}, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// project writes a module that needs the modules given, without a go.sum.
func project(t *testing.T, gomod string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "go.mod"), []byte(gomod), 0o666); err != nil {
		t.Fatal(err)
	}
	return dir
}

const allModules = `module project.example.com

go 1.26

require (
	example.com/hello v1.1.0
	example.com/greet/v2 v2.0.0
	example.com/deep/path/module v0.3.0
	example.com/incompatible v2.1.0+incompatible
	example.com/nomod v1.0.0
	example.com/pseudo v0.0.0-20240102030405-0123456789ab
	example.com/case/a_403 v1.0.0
	git.corp.example.com/team/private v1.0.0
	github.com/BurntSushi/toml v0.3.1
	github.com/hashicorp/errwrap v1.0.0
	github.com/inconshreveable/mousetrap v1.0.0
	golang.org/x/time v0.1.0
	rsc.io/quote v1.5.2
)
`

// The go command downloads every kind of module through the server and has
// each of them verified by its checksum database.
func TestGoModDownload(t *testing.T) {
	p := New(t, Options{})
	out, err := goCommand(t, project(t, allModules), p.URL, nil, "mod", "download", "-json", "all")
	if err != nil {
		t.Fatalf("go mod download: %v\n%s", err, out)
	}
	sums := map[string]string{}
	for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
		var m struct{ Path, Version, Sum string }
		if err := d.Decode(&m); err != nil {
			t.Fatal(err)
		}
		sums[m.Path+"@"+m.Version] = m.Sum
	}
	if len(sums) != 17 || sums["rsc.io/quote@v1.5.2"] != quoteH1 {
		t.Errorf("got %d modules %v; want 17", len(sums), sums)
	}
	lookups := 0
	for _, r := range p.Requests() {
		if strings.HasPrefix(r.Path, "/sumdb/"+SumDBName+"/lookup/") {
			lookups++
		}
	}
	if lookups == 0 {
		t.Error("the checksum database was never asked")
	}
}

func TestGoBuildsTheRecordedModules(t *testing.T) {
	p := New(t, Options{})
	dir := project(t, "module project.example.com\n\ngo 1.26\n\nrequire (\n\trsc.io/quote v1.5.2\n\trsc.io/sampler v1.3.0 // indirect\n"+
		"\tgolang.org/x/text v0.0.0-20170915032832-14c0d48ead0c // indirect\n)\n")
	src := "package project\n\nimport \"rsc.io/quote\"\n\nvar Hello = quote.Hello()\n"
	sum := p.GoSum("rsc.io/quote@v1.5.2", "rsc.io/sampler@v1.3.0", BigModule)
	for name, data := range map[string]string{"project.go": src, "go.sum": sum} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := goCommand(t, dir, p.URL, nil, "build", "."); err != nil {
		t.Errorf("go build: %v\n%s", err, out)
	}
	for _, r := range p.Requests() {
		if strings.HasPrefix(r.Path, "/sumdb/") {
			t.Errorf("go.sum from GoSum is not complete: go asked for %s", r.Path)
		}
	}
}

func TestGoSeesTheFaults(t *testing.T) {
	p := New(t, Options{})
	for _, tt := range []struct{ fault, want string }{
		{"/zip:403", "403 Forbidden"},
		{"/zip:wrong-bytes", "SECURITY ERROR"},
		{"/zip:cut-silent", "zip: not a valid zip file"},
		{"/info:html", "invalid character '<'"},
		{"/wrong-info", "proxy returned info for version v9.9.9"},
		{"/lookup:wrong-bytes", "cannot authenticate record data"},
		{"/sumdb:forged", "note has no verifiable signatures"},
	} {
		t.Run(tt.fault, func(t *testing.T) {
			t.Parallel()
			out, err := goCommand(t, project(t, "module project.example.com\n\ngo 1.26\n"), p.URL+tt.fault, nil, "mod", "download", "example.com/greet@v1.0.0")
			if err == nil || !strings.Contains(out, tt.want) {
				t.Errorf("got %v, %s; want an error with %q", err, out, tt.want)
			}
		})
	}
}

// Without a URL, go asks the checksum database itself if the proxy has none.
func TestGoReachesTheDatabaseItself(t *testing.T) {
	p, db := New(t, Options{}), New(t, Options{TLS: PrivateCA})
	f := NewForward(t, map[string]*Server{SumDBName: db})
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, db.CA, 0o666); err != nil {
		t.Fatal(err)
	}
	env := []string{"HTTPS_PROXY=" + f.URL, "SSL_CERT_FILE=" + ca}
	out, err := goCommand(t, project(t, "module project.example.com\n\ngo 1.26\n"), p.URL+"/sumdb:404", env, "mod", "download", "example.com/greet@v1.0.0")
	if err != nil || len(db.Requests()) == 0 {
		t.Errorf("got %v, %d requests at the database\n%s", err, len(db.Requests()), out)
	}
}
