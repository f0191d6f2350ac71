//go:build linux

package lab

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/org/goproxy-setup/internal/proxytest"
)

// A Contender is something that can stand between go and the two upstreams.
type Contender struct {
	Name string
	// Stores says that it keeps what it has fetched: a second go command
	// costs the upstreams nothing.
	Stores bool
	start  func(context.Context, setting) (*Process, error)
}

// A setting is where a contender runs and what it asks.
type setting struct {
	dir           string // its own, empty
	program       string
	peers         string
	first, second string // URLs
}

// Contenders are all there are, ours first.
var Contenders = []Contender{
	{"agent", true, startAgent},
	{"go alone", false, startList},
	{"goproxy", true, startGoproxy},
	{"Athens", true, startAthens},
	{"nginx", true, startNginx},
}

// Named returns the contender of that name.
func Named(name string) (Contender, error) {
	for _, c := range Contenders {
		if c.Name == name {
			return c, nil
		}
	}
	return Contender{}, fmt.Errorf("lab: there is no contender %q", name)
}

// list is the best GOPROXY for a contender that reads one: a bar moves on after
// every error.
func (s setting) list() string { return s.first + "|" + s.second }

// database is the checksum database, at an address that does not misbehave.
func (s setting) database() string {
	return proxytest.GOSUMDB + " " + s.second + "/sumdb/" + proxytest.SumDBName
}

func startList(_ context.Context, s setting) (*Process, error) {
	return &Process{GOPROXY: s.list()}, nil
}

func startAgent(ctx context.Context, s setting) (*Process, error) {
	policy, address := filepath.Join(s.dir, "policy.yaml"), filepath.Join(s.dir, "address")
	text := fmt.Sprintf(`version: 1
proxies:
  first: { url: %q, full: true }
  second: { url: %q, full: true }
environments:
  default: { chain: [first, second] }
agent:
  databases: [%q]
`, s.first, s.second, s.database())
	if err := os.WriteFile(policy, []byte(text), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command(s.program, "agent", "--policy", policy, "--environment", "default",
		"--listen", "127.0.0.1:0", "--address-file", address, "--store", filepath.Join(s.dir, "store"))
	cmd.Env, cmd.Dir = environment(), s.dir
	return launch(ctx, cmd, func() string {
		data, _ := os.ReadFile(address) // not yet there
		return strings.TrimSpace(string(data))
	})
}

// launchAt starts a command that listens on an address given to it.
func launchAt(ctx context.Context, s setting, command func(address string) (*exec.Cmd, error)) (*Process, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	cmd, err := command(address)
	if err != nil {
		return nil, err
	}
	cmd.Dir = s.dir
	return launch(ctx, cmd, func() string { return "http://" + address })
}

func startGoproxy(ctx context.Context, s setting) (*Process, error) {
	return launchAt(ctx, s, func(address string) (*exec.Cmd, error) {
		cmd := exec.Command(filepath.Join(s.peers, "goproxy"), "server", "--address", address,
			"--cacher-dir", filepath.Join(s.dir, "cache"), "--connect-timeout", "3s", "--proxied-sumdbs",
			proxytest.SumDBName+" "+s.second+"/sumdb/"+proxytest.SumDBName)
		cmd.Env = environment("GOPROXY="+s.list(), "GOSUMDB="+s.database())
		return cmd, nil
	})
}

func startAthens(ctx context.Context, s setting) (*Process, error) {
	return launchAt(ctx, s, func(address string) (*exec.Cmd, error) {
		dir := filepath.Join(s.dir, "storage")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return nil, err
		}
		cmd := exec.Command(filepath.Join(s.peers, "athens"))
		cmd.Env = environment("ATHENS_PORT="+address, "ATHENS_STORAGE_TYPE=disk", "ATHENS_DISK_STORAGE_ROOT="+dir,
			"ATHENS_GO_BINARY_ENV_VARS=GOPROXY="+s.list()+";GOSUMDB="+s.database()+";GOTOOLCHAIN=local",
			"ATHENS_GOGET_DIR="+s.dir, "ATHENS_LOG_LEVEL=warn", "ATHENS_SHUTDOWN_TIMEOUT=1", "TMPDIR="+s.dir)
		return cmd, nil
	})
}

func startNginx(ctx context.Context, s setting) (*Process, error) {
	return launchAt(ctx, s, func(address string) (*exec.Cmd, error) {
		conf := filepath.Join(s.dir, "nginx.conf")
		text := strings.NewReplacer("DIR", s.dir, "ADDRESS", address,
			"FIRST", strings.TrimPrefix(s.first, "http://"), "SECOND", strings.TrimPrefix(s.second, "http://")).Replace(nginxConf)
		if os.Getuid() == 0 {
			text = "user root;\n" + text
		}
		cmd := exec.Command(filepath.Join(s.peers, "nginx"), "-p", s.dir, "-e", filepath.Join(s.dir, "error.log"), "-c", conf)
		cmd.Env = environment()
		return cmd, os.WriteFile(conf, []byte(text), 0o644)
	})
}

// nginxConf is a caching proxy as a careful administrator writes it: the second
// upstream steps in after every kind of failure that nginx can see, with the
// time limits that our agent has; one request fetches for all.
const nginxConf = `daemon off;
worker_processes auto;
pid DIR/pid;
error_log DIR/error.log;
events { worker_connections 1024; }
http {
  access_log off;
  sendfile on;
  client_body_temp_path DIR/body;
  fastcgi_temp_path DIR/fastcgi;
  scgi_temp_path DIR/scgi;
  uwsgi_temp_path DIR/uwsgi;
  proxy_temp_path DIR/temp;
  proxy_cache_path DIR/cache levels=1:2 keys_zone=modules:10m max_size=10g inactive=1d use_temp_path=off;
  upstream chain {
    server FIRST max_fails=3 fail_timeout=10s;
    server SECOND backup;
    keepalive 16;
  }
  server {
    listen ADDRESS;
    location = /healthz { return 200; }
    location / {
      proxy_pass http://chain;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_connect_timeout 3s;
      proxy_read_timeout 10s;
      proxy_next_upstream error timeout invalid_header http_403 http_404 http_429 http_500 http_502 http_503 http_504;
      proxy_cache modules;
      proxy_cache_valid 200 1d;
      proxy_cache_lock on;
      proxy_cache_lock_age 10m;
      proxy_cache_lock_timeout 10m;
    }
  }
}
`

// environment is that of a plain user, without any of Go's settings, and extra.
func environment(extra ...string) []string {
	env := []string{"GOENV=off", "GOTOOLCHAIN=local", "GOFLAGS=-modcacherw", "GOWORK=off", "GOVCS=*:off"}
	for _, name := range []string{"PATH", "HOME", "TMPDIR"} {
		if v, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+v)
		}
	}
	return append(env, extra...)
}
