package ci

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/render"
)

func TestParseWrite(t *testing.T) {
	for _, tt := range []struct {
		arg  string
		want Write
		err  string
	}{
		{"dotenv=.goproxy-setup/1.env", Write{render.Dotenv, ".goproxy-setup/1.env"}, ""},
		{"json=a=b.json", Write{render.JSON, "a=b.json"}, ""},
		{"json", Write{}, "KIND=PATH"},
		{"json=", Write{}, "KIND=PATH"},
		{"yaml=x", Write{}, `unknown format "yaml"`},
	} {
		got, err := ParseWrite(tt.arg)
		if tt.err == "" && (got != tt.want || err != nil) || tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err)) {
			t.Errorf("ParseWrite(%q) = %+v, %v; want %+v, %q", tt.arg, got, err, tt.want, tt.err)
		}
	}
}

func TestWriteFiles(t *testing.T) {
	r := newRunner(t, GitLab)
	outside := filepath.Join(r.dir, "outside.sh")
	r.write(t, "work/report.json", "old")
	err := r.WriteFiles(fallback(), []Write{
		{render.JSON, "report.json"}, {render.Dotenv, "a/b/goproxy.env"}, {render.Shell, outside},
	}, render.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		"work/report.json": `"outcome": "fallback"`, "work/a/b/goproxy.env": "GOPROXY=https://mirror.example.com|direct\n", "outside.sh": "export ",
	} {
		if got := r.read(t, name); !strings.Contains(got, want) {
			t.Errorf("%s = %q; want %q", name, got, want)
		}
		if info, err := os.Stat(filepath.Join(r.dir, name)); err != nil || info.Mode().Perm() != 0o644 {
			t.Errorf("%s: %v, %v; want mode 0644", name, info.Mode(), err)
		}
	}
	wantTree(t, r.dir, "outside.sh", "temp", "work", "work/a", "work/a/b", "work/a/b/goproxy.env", "work/report.json")
}

// wantTree compares the names in dir with those given.
func wantTree(t *testing.T, dir string, want ...string) {
	t.Helper()
	var got []string
	filepath.Walk(dir, func(path string, _ os.FileInfo, _ error) error {
		if rel, _ := filepath.Rel(dir, path); rel != "." {
			got = append(got, filepath.ToSlash(rel))
		}
		return nil
	})
	if !slices.Equal(got, want) {
		t.Errorf("files %q; want %q", got, want)
	}
}

// TestWriteFilesRefused checks that a refused write leaves nothing behind, not
// even of those that would have been fine.
func TestWriteFilesRefused(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		want       string
	}{
		{"the same file twice", "./fine.json", "twice"},
		{"a directory", "dir", "is a directory"},
		{"below a file", "file/x.env", "file"},
		{"out by a link", "link/x.env", "link/x.env"},
		{"out by a link, with directories to make", "link/a/x.env", "link/a/x.env"},
		{"out by an absolute link below the workspace", "ABS/link/x.env", "link/x.env"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRunner(t, GitLab)
			if err := os.Mkdir(filepath.Join(r.dir, "work/dir"), 0o755); err != nil {
				t.Fatal(err)
			}
			r.write(t, "work/file", "")
			if err := os.Symlink(filepath.Join(r.dir, "temp"), filepath.Join(r.dir, "work/link")); err != nil {
				t.Fatal(err)
			}
			path := strings.Replace(tt.path, "ABS", filepath.Join(r.dir, "work"), 1)
			err := r.WriteFiles(fallback(), []Write{{render.JSON, "fine.json"}, {render.Dotenv, path}}, render.Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("WriteFiles = %v; want %q", err, tt.want)
			}
			wantTree(t, r.dir, "temp", "work", "work/dir", "work/file", "work/link")
		})
	}
}

// TestWriteFilesReplacesALink writes to a name that the repository has made a
// link: the link goes, and what it pointed to stays as it is.
func TestWriteFilesReplacesALink(t *testing.T) {
	r := newRunner(t, GitLab)
	r.write(t, "precious", "precious")
	if err := os.Symlink(filepath.Join(r.dir, "precious"), filepath.Join(r.dir, "work/report.json")); err != nil {
		t.Fatal(err)
	}
	if err := r.WriteFiles(fallback(), []Write{{render.JSON, "report.json"}}, render.Options{}); err != nil {
		t.Fatal(err)
	}
	if got := r.read(t, "precious"); got != "precious" {
		t.Errorf("the link's target is overwritten: %q", got)
	}
}

func TestWriteFilesKeepsSecrets(t *testing.T) {
	r := newRunner(t, GitLab)
	r.Mask("", "s3cret-token")
	rep := fallback()
	rep.Proxies[0].Cause = "denied: s3cret-token"
	if err := r.WriteFiles(rep, []Write{{render.JSON, "report.json"}}, render.Options{}); err != nil {
		t.Fatal(err)
	}
	if got := r.read(t, "work/report.json"); strings.Contains(got, "s3cret") {
		t.Errorf("report = %s; want no secret", got)
	}
	rep.Settings[0].Value = "https://s3cret-token@mirror.example.com"
	if err := r.WriteFiles(rep, []Write{{render.Dotenv, "x.env"}}, render.Options{}); err == nil || !strings.Contains(err.Error(), "masked secret") {
		t.Errorf("WriteFiles = %v; want a refusal", err)
	}
}
