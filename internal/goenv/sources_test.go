package goenv_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/goenv"
)

// Which source wins, what it hides, and where it stands.
func TestLookup(t *testing.T) {
	user := "# go env -w\nGOPROXY=https://user.example.com\nGOPRIVATE=u.example.com\nGOSUMDB=\n"
	root := "GOPROXY=https://root.example.com\nGOSUMDB=sum.golang.org\n GOVCS=*:off\nGOVCS=a:git\nGOVCS=b:git\n"
	for _, tt := range []struct {
		name, env, variable string
		want                string // value, origin and place, then the same of what is hidden
	}{
		{"environment", "https://env.example.com", "GOPROXY", "https://env.example.com environment; https://user.example.com u:2; https://root.example.com r:1"},
		{"user file", "", "GOPROXY", "https://user.example.com u:2; https://root.example.com r:1"},
		{"empty line hides go.env", "", "GOSUMDB", " u:4; sum.golang.org r:2"},
		{"environment heals an empty line", "off", "GOSUMDB", "off environment;  u:4; sum.golang.org r:2"},
		{"first line of go.env", "", "GOVCS", "a:git r:4"},
		{"derived", "", "GONOPROXY", "u.example.com u:3"},
		{"not derived", "none", "GONOPROXY", "none environment"},
		{"built-in", "", "GOAUTH", "netrc built-in"},
		{"unset", "", "GOINSECURE", " unset"},
		{"no line of a file", "", "HTTPS_PROXY", " unset"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := goenv.Sources{
				Getenv: func(name string) string {
					if name == tt.variable {
						return tt.env
					}
					return ""
				},
				User:   goenv.EnvFile{Path: "u", Data: []byte(user + "HTTPS_PROXY=http://p.example.com\n")},
				GOROOT: goenv.EnvFile{Path: "r", Data: []byte(root)},
			}
			set := s.Lookup(tt.variable)
			if (set.From == "GOPRIVATE") != (tt.name == "derived") {
				t.Errorf("From = %q", set.From)
			}
			var got []string
			for _, v := range append([]goenv.Setting{set}, set.Shadowed...) {
				got = append(got, v.Value+" "+v.Place())
			}
			if text := strings.Join(got, "; "); text != tt.want {
				t.Errorf("Lookup(%s) = %s; want %s", tt.variable, text, tt.want)
			}
		})
	}
}

// What will be exported wins over everything, and is a default of others too.
func TestLookupOver(t *testing.T) {
	s := goenv.Sources{
		Over:   []goenv.Setting{{Name: "GOPRIVATE", Value: "p.example.com", Origin: "policy", File: "policy.yaml", Line: 3}},
		Getenv: func(string) string { return "env" },
	}
	if set := s.Lookup("GOPRIVATE"); set.Value != "p.example.com" || set.Place() != "policy.yaml:3" || len(set.Shadowed) != 1 {
		t.Errorf("GOPRIVATE = %+v", set)
	}
	s.Getenv = nil
	if set := s.Lookup("GONOSUMDB"); set.Value != "p.example.com" || set.Origin != "policy" || set.From != "GOPRIVATE" {
		t.Errorf("GONOSUMDB = %+v", set)
	}
}

// TestLookupDifferential holds Lookup against "go env -json" for generated
// environments and files.
func TestLookupDifferential(t *testing.T) {
	names := []string{"GOPROXY", "GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOSUMDB", "GOINSECURE", "GOAUTH", "GOVCS", "GOTOOLCHAIN"}
	rnd := rand.New(rand.NewPCG(3, 4))
	dir := t.TempDir()
	root := filepath.Join(dir, "root")
	if err := os.Mkdir(root, 0o777); err != nil {
		t.Fatal(err)
	}
	for run := range lookupRuns {
		env := map[string]string{}
		var environ []string
		for _, name := range names {
			if name != "GOTOOLCHAIN" && rnd.IntN(3) == 0 {
				env[name] = []string{"", "e.example.com"}[rnd.IntN(2)]
				environ = append(environ, name+"="+env[name])
			}
		}
		s := goenv.Sources{
			Getenv: func(name string) string { return env[name] },
			User:   goenv.EnvFile{Path: filepath.Join(dir, "env"), Data: envFile(rnd, names)},
			GOROOT: goenv.EnvFile{Path: filepath.Join(root, "go.env"), Data: envFile(rnd, names)},
		}
		for _, f := range []goenv.EnvFile{s.User, s.GOROOT} {
			if err := os.WriteFile(f.Path, f.Data, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		cmd := exec.Command("go", append([]string{"env", "-json"}, names...)...)
		cmd.Dir = dir
		cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "GOENV=" + s.User.Path, "GOROOT=" + root}, environ...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("run %d: go env: %v", run, err)
		}
		real := map[string]string{}
		if err := json.Unmarshal(out, &real); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if set := s.Lookup(name); set.Value != real[name] {
				t.Errorf("run %d: Lookup(%s) = %+v; go says %q\nenvironment %q\nuser file %q\ngo.env %q", run, name, set, real[name], environ, s.User.Data, s.GOROOT.Data)
			}
		}
	}
}

// envFile writes a file of settings with all that may be wrong with one.
// GOTOOLCHAIN is always "local", or go becomes another one.
func envFile(rnd *rand.Rand, names []string) []byte {
	var b strings.Builder
	for i := range rnd.IntN(12) {
		name := names[rnd.IntN(len(names))]
		value := fmt.Sprintf("v%d.example.com", i)
		if name == "GOTOOLCHAIN" {
			value = "local"
		}
		lines := []string{
			name + "=" + value, name + "=" + value, name + "=" + value, name + "=", " " + name + "=" + value, "#" + name + "=" + value,
			strings.ToLower(name) + "=" + value, name, "", "=" + value, "export " + name + "=" + value, name + "='" + value + "'", name + " = " + value, name + "=" + value + "\r",
		}
		if name == "GOTOOLCHAIN" {
			lines = slices.DeleteFunc(lines, func(s string) bool { return strings.ContainsAny(s, "'\r") })
		}
		b.WriteString(lines[rnd.IntN(len(lines))] + "\n")
	}
	return []byte(b.String())
}
