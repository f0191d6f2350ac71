package cli

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/org/goproxy-setup/internal/proxytest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"goproxy-setup": func() { os.Exit(Main(context.Background(), FromOS())) },
	})
}

// TestScripts runs the program as a user would, one story a file. Each has a
// module proxy of its own, healthy at $PROXY and with a fault at
// $PROXY/FAULT (see package proxytest); $REFUSE and $SILENT are URLs of ports
// that refuse or never answer. A forward proxy stands between the scripts and
// the network: it lets nothing through but proxy.example.com and
// evil.example.com, which speak TLS under the authority in $CAFILE. The
// command "asked URL-PATTERN" and "!asked PATTERN" look at what was asked of
// any server.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       os.Getenv("UPDATE") != "",
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup:               setupScript,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"asked": asked, "fill": fill, "fault": fault, "await": await, "snippet": snippet,
		},
	})
}

// servers are those of one script.
type servers struct {
	plain, secure, evil *proxytest.Server
	forward             *proxytest.ForwardProxy
}

func setupScript(env *testscript.Env) error {
	var s servers
	var err error
	if s.plain, err = proxytest.Start(proxytest.Options{}); err != nil {
		return err
	}
	env.Defer(func() { closed(env, s.plain) })
	if s.secure, err = proxytest.Start(proxytest.Options{TLS: proxytest.PrivateCA}); err != nil {
		return err
	}
	env.Defer(func() { closed(env, s.secure) })
	if s.evil, err = proxytest.Start(proxytest.Options{TLS: proxytest.PrivateCA}); err != nil {
		return err
	}
	env.Defer(func() { closed(env, s.evil) })
	s.forward, err = proxytest.StartForward("", map[string]*proxytest.Server{
		"proxy.example.com": s.secure, "other.example.com": s.secure, "evil.example.com": s.evil,
	})
	if err != nil {
		return err
	}
	env.Defer(s.forward.Close)
	env.Values["servers"] = &s
	ca := filepath.Join(env.WorkDir, "ca.pem")
	if err := os.WriteFile(ca, s.secure.CA, 0o644); err != nil {
		return err
	}
	home := filepath.Join(env.WorkDir, "home")
	if err := os.Mkdir(home, 0o755); err != nil {
		return err
	}
	for _, v := range []string{
		"HOME=" + home, "USERPROFILE=" + home, "PROXY=" + s.plain.URL, "REFUSE=http://" + s.plain.Refuse, "SILENT=http://" + s.plain.Silent,
		"HTTPS_PROXY=" + s.forward.URL, "FORWARD=" + s.forward.URL, "CAFILE=" + ca, "GOSUMDB=" + proxytest.GOSUMDB,
		"GOENV=off", "GOTOOLCHAIN=local", "GOFLAGS=-modcacherw", "GOMODCACHE=" + filepath.Join(env.WorkDir, "modcache"),
		"GOPATH=" + filepath.Join(env.WorkDir, "gopath"), "GOCACHE=" + filepath.Join(env.WorkDir, "gocache"),
	} {
		name, value, _ := strings.Cut(v, "=")
		env.Setenv(name, value)
	}
	return nil
}

// closed closes a server, and fails the script if it named a fault that does
// not exist.
func closed(env *testscript.Env, s *proxytest.Server) {
	if err := s.Close(); err != nil {
		env.T().Fatal(err)
	}
}

// requests returns all requests that any server of the script has seen, each
// as "HOST METHOD PATH".
func (s *servers) requests() string {
	var b strings.Builder
	for name, server := range map[string]*proxytest.Server{"plain": s.plain, "secure": s.secure, "evil": s.evil} {
		for _, r := range server.Requests() {
			b.WriteString(name + " " + r.Method + " " + r.Prefix + r.Path + " " + r.Header.Get("Authorization") + "\n")
		}
	}
	for _, r := range s.forward.Requests() {
		b.WriteString("forward " + r.Method + " " + r.Host + r.Path + "\n")
	}
	return b.String()
}

// asked [!] TEXT: some request holds the text.
func asked(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: asked TEXT")
	}
	all := ts.Value("servers").(*servers).requests()
	if strings.Contains(all, args[0]) == neg {
		ts.Fatalf("asked %q (negated: %v); the requests were\n%s", args[0], neg, all)
	}
}

// fill FILE…: replaces $NAME in files by the script's variables.
func fill(ts *testscript.TestScript, neg bool, args []string) {
	for _, file := range args {
		path := ts.MkAbs(file)
		text := os.Expand(ts.ReadFile(file), func(name string) string {
			if v := ts.Getenv(name); v != "" {
				return v
			}
			return "${" + name + "}"
		})
		ts.Check(os.WriteFile(path, []byte(text), 0o644))
	}
}

// await NAME FILE: waits until the file is there, which a command writes in the
// background, and sets the variable NAME to what it holds.
func await(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: await NAME FILE")
	}
	for range 1000 {
		if data, err := os.ReadFile(ts.MkAbs(args[1])); err == nil {
			ts.Setenv(args[0], strings.TrimSpace(string(data)))
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	ts.Fatalf("%s is still not there", args[1])
}

// snippet FILE DOCUMENT TEXT: writes the shell snippet of the document, from the
// root of the repository, that holds the text.
func snippet(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: snippet FILE DOCUMENT TEXT")
	}
	data, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(args[1])))
	ts.Check(err)
	for i, part := range strings.Split(string(data), "\n```") {
		if text, ok := strings.CutPrefix(part, "sh\n"); ok && i%2 == 1 && strings.Contains(text, args[2]) {
			ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text+"\n"), 0o644))
			return
		}
	}
	ts.Fatalf("%s has no shell snippet with %q", args[1], args[2])
}

// fault [TEXT]: from now on the plain server has the fault before all others.
func fault(ts *testscript.TestScript, neg bool, args []string) {
	ts.Value("servers").(*servers).plain.SetFault(strings.Join(args, ""))
}
