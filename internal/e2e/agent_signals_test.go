//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/proxytest"
)

// The first SIGTERM drains, the second one does not wait.
func TestAgentSecondSignal(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	a := startAgent(t, agentPolicy(p.URL+"/silent", p.URL+"/ok=second/silent"))
	asked := make(chan error, 1)
	go func() {
		resp, err := http.Get(a.url + "/example.com/greet/@v/v1.0.0.zip")
		if err == nil {
			resp.Body.Close()
		}
		asked <- err
	}()
	for p.Count("example.com/greet/@v/v1.0.0.zip") == 0 {
		time.Sleep(time.Millisecond)
	}
	a.cmd.Process.Signal(syscall.SIGTERM)
	a.await(t, "draining")
	var err error
	for ended := false; !ended; { // it hears of the first one in two places, of which this is one
		a.cmd.Process.Signal(syscall.SIGTERM)
		select {
		case err = <-a.exited:
			ended = true
		case <-time.After(20 * time.Millisecond):
		}
	}
	if err == nil || !strings.Contains(err.Error(), "signal: terminated") {
		t.Errorf("the agent ended with %v", err)
	}
	a.exited <- nil
	if err := <-asked; err == nil {
		t.Error("the request was answered")
	}
}

// An agent that other machines reach says after SIGTERM that it is not ready,
// while it still serves.
func TestAgentDrains(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	a := startAgent(t, agentPolicy(p.URL, p.URL+"/ok=second"), "--listen", "0.0.0.0:0")
	get := func(path string) int {
		resp, err := http.Get(a.url + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	if got := get("/readyz"); got != 200 {
		t.Errorf("before: %d", got)
	}
	a.cmd.Process.Signal(syscall.SIGTERM)
	a.await(t, "draining")
	if ready, served := get("/readyz"), get("/example.com/greet/@v/v1.0.0.mod"); ready != 503 || served != 200 {
		t.Errorf("draining: ready %d, served %d", ready, served)
	}
	err := <-a.exited // by itself; another signal would end it at once
	if a.exited <- err; err != nil {
		t.Errorf("the agent ended with %v", err)
	}
}

// A renewed certificate and another login are in force after SIGHUP.
func TestAgentRenewsItsCertificate(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	dir := t.TempDir()
	writeCertificate(t, dir)
	policy := agentPolicy(p.URL, p.URL+"/ok=second")
	policy = strings.Replace(policy, "agent: {", fmt.Sprintf(`agent: {tls: {cert: %q, key: %q}, username: ci, password: "x${HOME}", `, dir+"/cert.pem", dir+"/key.pem"), 1)
	a := startAgent(t, policy, "--listen", "0.0.0.0:0")
	serial := func() string {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(a.url, "https://"), &tls.Config{InsecureSkipVerify: true}) // to look at it
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.String()
	}
	before := serial()
	writeCertificate(t, dir)
	a.cmd.Process.Signal(syscall.SIGHUP)
	a.await(t, "policy reloaded")
	if after := serial(); after == before {
		t.Error("the old certificate is still shown")
	}
	if strings.Contains(a.logText(), "restart") {
		t.Errorf("log:\n%s", a.logText())
	}
}

// writeCertificate writes cert.pem and key.pem for 127.0.0.1.
func writeCertificate(t *testing.T, dir string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: serial, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	write(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}

// SIGHUP reads the policy again; a bad one changes nothing and says why.
func TestAgentReload(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	a := startAgent(t, agentPolicy(p.URL+"/403", p.URL+"/404"))
	get := func(path string) int {
		resp, err := http.Get(a.url + path)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	const mod = "/example.com/greet/@v/v1.0.0.mod"
	if got := get(mod); got != 404 {
		t.Errorf("before: %d", got)
	}
	reload := func(policy, says string) {
		t.Helper()
		write(t, a.cmd.Dir, "policy.yaml", policy)
		a.cmd.Process.Signal(syscall.SIGHUP)
		a.await(t, says)
	}
	reload("version: 1\nchian: [x]\n", `unknown key`)
	if got := get(mod); got != 404 {
		t.Errorf("after a bad policy: %d", got)
	}
	reload(agentPolicy(p.URL, p.URL+"/404"), "policy reloaded")
	if got := get(mod); got != 200 {
		t.Errorf("after: %d", got)
	}
}
