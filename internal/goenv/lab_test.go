package goenv_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/proxytest"
)

// A lab is where the real go command runs: module proxies that do what a module
// path or their own URL tells them to, and nothing else within reach.
type lab struct {
	proxies *proxytest.Server
	tls     *httptest.Server // the same proxies over https
	outside *outside
	dir     string // holds an empty directory "empty", for file proxies
}

func newLab(t *testing.T, modules string) *lab {
	t.Helper()
	l := &lab{
		proxies: proxytest.New(t, proxytest.Options{Modules: modules}),
		outside: newOutside(t),
		dir:     t.TempDir(),
	}
	l.tls = httptest.NewUnstartedServer(l.proxies)
	l.tls.EnableHTTP2 = true
	l.tls.Config.ErrorLog = log.New(io.Discard, "", 0)
	l.tls.StartTLS()
	t.Cleanup(l.tls.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.tls.Certificate().Raw})
	telemetry := filepath.Join(l.dir, "config", "go", "telemetry")
	if err := errors.Join(
		os.Mkdir(filepath.Join(l.dir, "empty"), 0o777),
		os.WriteFile(filepath.Join(l.dir, "ca.pem"), ca, 0o666),
		os.MkdirAll(telemetry, 0o777),
		os.WriteFile(filepath.Join(telemetry, "mode"), []byte("off"), 0o666), // or a process stays behind
	); err != nil {
		t.Fatal(err)
	}
	return l
}

// A download is what one module of "go mod download -json" came to.
type download struct{ Path, Version, Error string }

// result is one run of the go command.
type result struct {
	modules map[string]download // by path
	stderr  string
	killed  bool
	cache   string // GOMODCACHE
}

// download runs "go mod download -json" with settings ("GOPROXY=…") in a new
// module cache. It kills the command when ctx ends.
func (l *lab) download(ctx context.Context, t *testing.T, settings []string, cells ...cell) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	home := t.TempDir()
	r := result{modules: map[string]download{}, cache: filepath.Join(home, "mod")}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", append([]string{"mod", "download", "-json"}, queries(cells)...)...)
	cmd.Dir = l.dir
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GOPATH=" + home, "GOMODCACHE=" + r.cache,
		"XDG_CONFIG_HOME=" + filepath.Join(l.dir, "config"),
		"GOENV=off", "GOTOOLCHAIN=local", "GOFLAGS=-modcacherw", "GOWORK=off", "GOVCS=*:off",
		"HTTPS_PROXY=" + l.outside.url, "HTTP_PROXY=" + l.outside.url, "SSL_CERT_FILE=" + filepath.Join(l.dir, "ca.pem"),
	}, settings...)
	err := cmd.Run()
	r.stderr = stderr.String()
	r.killed = ctx.Err() != nil && err != nil
	for dec := json.NewDecoder(&stdout); ; {
		var d download
		if err := dec.Decode(&d); err != nil {
			if err != io.EOF && !r.killed {
				t.Errorf("go mod download -json: %v", err)
			}
			return r
		}
		r.modules[d.Path] = d
	}
}

// until returns a context that ends when done is true.
func until(t *testing.T, done func() bool) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		defer cancel()
		for tick := time.Tick(2 * time.Millisecond); ctx.Err() == nil && !done(); {
			<-tick
		}
	})
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	return ctx
}

// outside stands for all that is not the lab: an HTTP proxy that writes down
// the hosts it is asked to reach, and refuses.
type outside struct {
	url string

	mu    sync.Mutex // guards the field below
	hosts map[string]bool
}

func newOutside(t *testing.T) *outside {
	o := &outside{hosts: map[string]bool{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: o}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	o.url = "http://" + l.Addr().String()
	return o
}

func (o *outside) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	host, _, _ := strings.Cut(r.Host, ":")
	o.hosts[host] = true
	http.Error(w, "out of reach", http.StatusForbidden)
}

// asked reports whether go tried to reach the host.
func (o *outside) asked(host string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.hosts[host]
}
