package cli

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/goenv"
)

// The settings that we find are those that the go command has, with its own
// go.env and a user's file in each of its places.
func TestGoSources(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"config dir": {"XDG_CONFIG_HOME": "DIR/config"},
		"home":       {},
		"GOENV":      {"GOENV": "DIR/own"},
		"GOENV off":  {"GOENV": "off"},
		"GOROOT":     {"GOROOT": "DIR/root", "GOPROXY": "https://environment.example.com"},
	} {
		t.Run(name, func(t *testing.T) {
			h, _, _ := host(t, nil)
			for file, text := range map[string]string{
				"config/go/env": "GOPROXY=https://config.example.com\n", ".config/go/env": "GOPRIVATE=home.example.com\n",
				"own": "GOSUMDB=\nGOROOT=\n", "root/go.env": "GOPROXY=https://root.example.com\nGOVCS=*:off\n",
			} {
				file = filepath.Join(h.Dir, file)
				if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
					t.Fatal(err)
				}
			}
			cmd := exec.Command("go", "env", "-json")
			cmd.Dir = h.Dir
			cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + h.Dir, "GOTOOLCHAIN=local"}
			for name, value := range env {
				env[name] = strings.ReplaceAll(value, "DIR", h.Dir)
				cmd.Env = append(cmd.Env, name+"="+env[name])
			}
			env["GOTOOLCHAIN"] = "local"
			h.Getenv = func(name string) string { return env[name] }
			out, err := cmd.Output()
			if err != nil {
				t.Fatal(err)
			}
			real := map[string]string{}
			if err := json.Unmarshal(out, &real); err != nil {
				t.Fatal(err)
			}
			s, err := goSources(t.Context(), h)
			if err != nil {
				t.Fatal(err)
			}
			for _, set := range s.All() {
				if set.Value != real[set.Name] {
					t.Errorf("%s = %q (%s); go says %q", set.Name, set.Value, set.Place(), real[set.Name])
				}
			}
			if s.User.Path != strings.TrimSuffix(real["GOENV"], "off") {
				t.Errorf("user file %q; go says %q", s.User.Path, real["GOENV"])
			}
			if want := filepath.Join(real["GOROOT"], "go.env"); s.GOROOT.Path != want {
				t.Errorf("GOROOT file %q; want %q", s.GOROOT.Path, want)
			}
		})
	}
}

// A file that go would ignore in silence is an error that names it.
func TestGoSourcesUnreadable(t *testing.T) {
	h, _, _ := host(t, map[string]string{"GOENV": "settings"})
	path := filepath.Join(h.Dir, "settings")
	if err := os.Mkdir(path, 0o777); err != nil {
		t.Fatal(err)
	}
	if _, err := goSources(t.Context(), h); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("err = %v; want one that names %s", err, path)
	}
	var file goenv.EnvFile
	if file, _ = userEnv(h); file.Data != nil {
		t.Errorf("data %q", file.Data)
	}
}
