package ci

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/netrc"
)

var machine = netrc.Machine{Name: "goproxy.corp.example.com:8443", Login: "ci", Password: "s3cret"}

func TestPlaceNetrc(t *testing.T) {
	const existing = "machine git.example.com login me password mine\n"
	r := newRunner(t, GitHub)
	s, err := r.PlaceNetrc(existing, machine)
	if err != nil {
		t.Fatal(err)
	}
	if s.Name != "NETRC" || !strings.HasPrefix(s.Value, filepath.Join(r.dir, "temp")) || strings.Contains(s.Why, "s3cret") {
		t.Errorf("setting %+v; want NETRC in the job's temporary directory", s)
	}
	data, err := os.ReadFile(s.Value)
	if err != nil || !strings.Contains(string(data), existing) || len(netrc.Parse(string(data))) != 2 {
		t.Errorf("netrc = %q, %v; want both machines", data, err)
	}
	if info, err := os.Stat(s.Value); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	if err := r.Discard(); err != nil {
		t.Fatal(err)
	}
	wantTree(t, filepath.Join(r.dir, "temp"))
}

// TestPlaceNetrcMakesTheDirectory is about GitLab and Jenkins, which name a
// directory and leave it to others to make it.
func TestPlaceNetrcMakesTheDirectory(t *testing.T) {
	r := newRunner(t, Jenkins, "WORKSPACE_TMP", filepath.Join(t.TempDir(), "shop@tmp"))
	s, err := r.PlaceNetrc("", machine)
	if err != nil || !strings.HasPrefix(s.Value, r.Temp.Path) {
		t.Errorf("PlaceNetrc = %+v, %v; want a file in WORKSPACE_TMP", s, err)
	}
}

func TestPlaceNetrcFromAContainer(t *testing.T) {
	r := newRunner(t, GitHub)
	r.Container = true
	r.Temp.Next = "/home/runner/work/_temp"
	s, err := r.PlaceNetrc("", machine)
	if err != nil {
		t.Fatal(err)
	}
	rel, ok := strings.CutPrefix(s.Value, "/home/runner/work/_temp/")
	if !ok || !strings.Contains(s.Why, "home directory") {
		t.Errorf("setting %+v; want the path of the steps that follow, and that their own .netrc is hidden", s)
	}
	if _, err := os.Stat(filepath.Join(r.dir, "temp", rel)); err != nil {
		t.Errorf("the file is not where that path leads: %v", err)
	}
	r.Temp.Next = ""
	if _, err := r.PlaceNetrc("", machine); err == nil || !strings.Contains(err.Error(), "binary form") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("PlaceNetrc = %v; want that the binary form is the way", err)
	}
}

// TestPlaceHandsOver needs root, as a container action has: the file goes to
// the owner of the directory, and to nobody else.
func TestPlaceHandsOver(t *testing.T) {
	if os.Geteuid() != 0 || runtime.GOOS == "windows" {
		t.Skip("SKIPPED: only root can give files away")
	}
	const uid, gid = 1001, 127
	r := newRunner(t, GitHub)
	r.Container = true
	if err := os.Chown(r.Temp.Path, uid, gid); err != nil {
		t.Fatal(err)
	}
	s, err := r.PlaceNetrc("", machine)
	if err != nil {
		t.Fatal(err)
	}
	for path, mode := range map[string]os.FileMode{s.Value: 0o600, filepath.Dir(s.Value): 0o700 | os.ModeDir} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if u, g, _ := owner(info); u != uid || g != gid || info.Mode() != mode {
			t.Errorf("%s: owner %d:%d, mode %v; want %d:%d, %v", path, u, g, info.Mode(), uid, gid, mode)
		}
	}
}

func TestPlaceNetrcRefused(t *testing.T) {
	r := newRunner(t, GitHub)
	bad := machine
	bad.Password = "s3cret token"
	if _, err := r.PlaceNetrc("", bad); err == nil || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("PlaceNetrc = %v; want a refusal without the password", err)
	}
	wantTree(t, filepath.Join(r.dir, "temp"))
}

func TestPlaceCAs(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("SKIPPED: only Linux has SSL_CERT_DIR")
	}
	server := httptest.NewTLSServer(nil)
	defer server.Close()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	key := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: []byte("key")})
	for _, tt := range []struct{ name, inherited, rest string }{
		{"the system's directories", "", ":/etc/ssl/certs:/etc/pki/tls/certs"},
		{"those in force", "/opt/certs:/opt/more", ":/opt/certs:/opt/more"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRunner(t, GitHub, "SSL_CERT_DIR", tt.inherited)
			s, err := r.PlaceCAs(bytes.Join([][]byte{key, ca}, []byte("text\n")), ca)
			if err != nil {
				t.Fatal(err)
			}
			dir, ok := strings.CutSuffix(s.Value, tt.rest)
			if s.Name != "SSL_CERT_DIR" || !ok || strings.Contains(dir, ":") {
				t.Errorf("setting %+v; want a new directory before %q", s, tt.rest)
			}
			data, err := os.ReadFile(filepath.Join(dir, "goproxy-setup.pem"))
			if err != nil || !x509.NewCertPool().AppendCertsFromPEM(data) || strings.Contains(string(data), "PRIVATE") {
				t.Errorf("certificates = %q, %v; want them without the key", data, err)
			}
		})
	}
	r := newRunner(t, GitHub)
	if _, err := r.PlaceCAs(ca, key); err == nil || !strings.Contains(err.Error(), "no certificate") {
		t.Errorf("PlaceCAs = %v; want that there is no certificate", err)
	}
	wantTree(t, filepath.Join(r.dir, "temp"))
}
