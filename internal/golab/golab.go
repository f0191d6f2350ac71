// Package golab runs the real go command where nothing but test servers is
// within its reach: module proxies that fail on request, over http and https,
// and a stand-in for the rest of the world that writes down who was asked for.
// Only tests import it.
package golab

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

// A Lab is where the real go command runs: module proxies that do what a module
// path or their own URL tells them to, and nothing else within reach.
type Lab struct {
	Proxies *proxytest.Server
	TLS     *httptest.Server // the same proxies over https
	Outside *Outside
	Dir     string // where go runs; holds an empty directory "empty", for file proxies
}

// New starts a lab; modules is for [proxytest.Options]. It ends with the test.
func New(t *testing.T, modules string) *Lab {
	t.Helper()
	l := &Lab{
		Proxies: proxytest.New(t, proxytest.Options{Modules: modules}),
		Outside: newOutside(t),
		Dir:     t.TempDir(),
	}
	l.TLS = httptest.NewUnstartedServer(l.Proxies)
	l.TLS.EnableHTTP2 = true
	l.TLS.Config.ErrorLog = log.New(io.Discard, "", 0)
	l.TLS.StartTLS()
	t.Cleanup(l.TLS.Close)
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: l.TLS.Certificate().Raw})
	telemetry := filepath.Join(l.Dir, "config", "go", "telemetry")
	if err := errors.Join(
		os.Mkdir(filepath.Join(l.Dir, "empty"), 0o777),
		os.WriteFile(filepath.Join(l.Dir, "ca.pem"), ca, 0o666),
		os.MkdirAll(telemetry, 0o777),
		os.WriteFile(filepath.Join(telemetry, "mode"), []byte("off"), 0o666), // or a process stays behind
	); err != nil {
		t.Fatal(err)
	}
	return l
}

// A Download is what one module of "go mod download -json" came to.
type Download struct{ Path, Version, Error string }

// A Result is one run of the go command.
type Result struct {
	Modules        map[string]Download // by path; of [Lab.Download] alone
	Stdout, Stderr string
	Failed, Killed bool
	Cache          string // GOMODCACHE
}

// Run runs the go command in Dir, with settings ("GOPROXY=…") and a new module
// cache. It kills the command when ctx ends, and after a minute.
func (l *Lab) Run(ctx context.Context, t *testing.T, settings []string, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	home := t.TempDir()
	r := Result{Cache: filepath.Join(home, "mod")}
	var stdout, stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = l.Dir
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = append([]string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + home, "GOPATH=" + home, "GOMODCACHE=" + r.Cache,
		"XDG_CONFIG_HOME=" + filepath.Join(l.Dir, "config"),
		"GOENV=off", "GOTOOLCHAIN=local", "GOFLAGS=-modcacherw", "GOWORK=off", "GOVCS=*:off",
		"HTTPS_PROXY=" + l.Outside.URL, "HTTP_PROXY=" + l.Outside.URL, "SSL_CERT_FILE=" + filepath.Join(l.Dir, "ca.pem"),
	}, settings...)
	err := cmd.Run()
	r.Stdout, r.Stderr = stdout.String(), stderr.String()
	r.Failed = err != nil
	r.Killed = ctx.Err() != nil && err != nil
	return r
}

// Download runs "go mod download -json" for queries ("PATH@VERSION").
func (l *Lab) Download(ctx context.Context, t *testing.T, settings []string, queries ...string) Result {
	t.Helper()
	r := l.Run(ctx, t, settings, append([]string{"mod", "download", "-json"}, queries...)...)
	r.Modules = map[string]Download{}
	for dec := json.NewDecoder(strings.NewReader(r.Stdout)); ; {
		var d Download
		if err := dec.Decode(&d); err != nil {
			if err != io.EOF && !r.Killed {
				t.Errorf("go mod download -json: %v", err)
			}
			return r
		}
		r.Modules[d.Path] = d
	}
}

// Until returns a context that ends when done is true.
func Until(t *testing.T, done func() bool) context.Context {
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

// Outside stands for all that is not the lab: an HTTP proxy that writes down
// the hosts it is asked to reach, and refuses.
type Outside struct {
	URL string

	mu    sync.Mutex // guards the field below
	hosts map[string]bool
}

func newOutside(t *testing.T) *Outside {
	o := &Outside{hosts: map[string]bool{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: o}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	o.URL = "http://" + l.Addr().String()
	return o
}

func (o *Outside) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	o.mu.Lock()
	defer o.mu.Unlock()
	host, _, _ := strings.Cut(r.Host, ":")
	o.hosts[host] = true
	http.Error(w, "out of reach", http.StatusForbidden)
}

// Asked reports whether go tried to reach the host.
func (o *Outside) Asked(host string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.hosts[host]
}
