//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/org/goproxy-setup/internal/proxytest"
	"github.com/org/goproxy-setup/internal/report"
)

// sumdbRows says for each kind of chain, and for each answer of its proxy about
// the checksum database, what is exported as GOSUMDB where the database itself
// can be reached, and where it cannot:
//
//	name      its name alone: go asks the chain, and the database if that leads there
//	proxy     its name with the URL of the proxy
//	database  its name with the URL of the database
//
// "!" says that the go command then fails, as no way there is leads to a signed
// record. Every other value has to make it verify.
const sumdbRows = `
chain       proxy's answer     reachable  not reachable
alone       ok                 name       name
alone       sumdb:404          name       name!
alone       sumdb:403          database   name!
alone       sumdb:502          database   name!
alone       supported:404      proxy      proxy
alone       supported:403      proxy      proxy
alone       supported:502      proxy      proxy
alone       lookup:404         database   name!
alone       lookup:502         database   name!
alone       sumdb:forged       database   name!
alone       sumdb:html         database   name!

direct      ok                 name       name
direct      sumdb:404          name       name!
direct      sumdb:403          name       name!
direct      sumdb:502          name       name!
direct      supported:404      proxy      proxy
direct      supported:403      proxy      proxy
direct      supported:502      proxy      proxy
direct      lookup:404         database   name!
direct      lookup:502         database   name!
direct      sumdb:forged       database   name!
direct      sumdb:html         database   name!

gatekeeper  ok                 name       name
gatekeeper  sumdb:404          name       name!
gatekeeper  sumdb:403          database   name!
gatekeeper  sumdb:502          database   name!
gatekeeper  supported:404      proxy      proxy
gatekeeper  supported:403      proxy      proxy
gatekeeper  supported:502      proxy      proxy
gatekeeper  lookup:404         database   name!
gatekeeper  sumdb:forged       database   name!

enforced    ok                 proxy      proxy
enforced    sumdb:404          proxy!     proxy!
enforced    sumdb:403          proxy!     proxy!
enforced    sumdb:502          proxy!     proxy!
enforced    supported:404      proxy      proxy
enforced    supported:403      proxy      proxy
enforced    supported:502      proxy      proxy
enforced    lookup:404         proxy!     proxy!
enforced    sumdb:forged       proxy!     proxy!
enforced    sumdb:html         proxy!     proxy!

allowed     ok                 proxy      proxy
allowed     sumdb:404          database   proxy!
allowed     sumdb:403          database   proxy!
allowed     sumdb:502          database   proxy!
allowed     supported:404      proxy      proxy
allowed     lookup:404         database   proxy!
allowed     sumdb:forged       database   proxy!
`

// sumdbChains are the environments of the rows; each stands twice in the
// policy, with "sumdb: preferred" and "required".
const sumdbChains = `
  alone-RULE: { chain: [a], sumdb: RULE }
  direct-RULE: { chain: [a, direct], sumdb: RULE }
  gatekeeper-RULE: { chain: [g, direct], sumdb: RULE }
  enforced-RULE: { mode: enforced, chain: [g], sumdb: RULE }
  allowed-RULE: { mode: enforced, chain: [g], sumdb: RULE, allow: [127.0.0.1, sumdb.example.com] }
`

// What is exported about the checksum database is what the table above says,
// and the real go command verifies with exactly that: it refuses a module whose
// zip is not what the database has signed. Where no way leads there it refuses
// every module, and "sumdb: required" has said so before.
func TestSumDB(t *testing.T) {
	var combinations, commands atomic.Int64
	t.Cleanup(func() {
		t.Logf("%d combinations of mode, answer and reachability; %d go commands", combinations.Load(), commands.Load())
	})
	for row := range strings.Lines(strings.TrimSpace(sumdbRows)) {
		f := strings.Fields(row)
		if len(f) == 0 || f[0] == "chain" {
			continue
		}
		for i, reachable := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/%s/reachable=%v", f[0], f[1], reachable), func(t *testing.T) {
				t.Parallel()
				l := newSumDBLab(t, f[1], reachable)
				l.check(t, f[0], f[2+i])
				combinations.Add(1)
				commands.Add(l.commands)
			})
		}
	}
}

// A sumDBLab is a proxy with a fault, the checksum database itself, and the only
// network between them: everything but loopback goes through a forward proxy.
type sumDBLab struct {
	dir       string
	proxy, db *proxytest.Server
	forward   *proxytest.ForwardProxy
	base      string   // the proxy's URL
	env       []string // of setup and of go
	commands  int64
}

func newSumDBLab(t *testing.T, fault string, reachable bool) *sumDBLab {
	t.Helper()
	l := &sumDBLab{dir: t.TempDir(), proxy: proxytest.New(t, proxytest.Options{}), db: proxytest.New(t, proxytest.Options{TLS: proxytest.PrivateCA})}
	hosts := map[string]*proxytest.Server{}
	if reachable {
		hosts[proxytest.SumDBName] = l.db
	}
	l.forward = proxytest.NewForward(t, hosts)
	l.base = l.proxy.URL + "/as=proxy/" + fault // "as": modules can ask for faults of their own
	write(t, l.dir, "ca.pem", string(l.db.CA))
	write(t, l.dir, "go.mod", "module project.example.com\n\ngo 1.26\n")
	write(t, l.dir, policyFile, fmt.Sprintf("version: 1\nproxies:\n  a: { url: %q }\n  g: { url: %q, gatekeeper: true, gatekeeper_overridable: true, private: true }\nenvironments:%s%s",
		l.base, l.base, strings.ReplaceAll(strings.TrimRight(sumdbChains, "\n"), "RULE", "preferred"), strings.ReplaceAll(sumdbChains, "RULE", "required")))
	l.env = []string{
		"HTTPS_PROXY=" + l.forward.URL, "HTTP_PROXY=" + l.forward.URL, "NO_PROXY=",
		"SSL_CERT_FILE=" + filepath.Join(l.dir, "ca.pem"), "SSL_CERT_DIR=" + l.dir,
	}
	return l
}

// check runs setup for a chain, and go with what it exports.
func (l *sumDBLab) check(t *testing.T, chain, cell string) {
	t.Helper()
	form, refused := strings.CutSuffix(cell, "!")
	x := setup(t, l.dir, environ(append(l.env, "GOSUMDB="+proxytest.GOSUMDB)...), "--environment", chain+"-preferred")
	want := map[string]string{
		"name":     proxytest.GOSUMDB,
		"proxy":    proxytest.GOSUMDB + " " + l.base + "/sumdb/" + proxytest.SumDBName,
		"database": proxytest.GOSUMDB + " https://" + proxytest.SumDBName,
	}[form]
	if x.exit != 0 || x.env["GOSUMDB"] != want {
		t.Fatalf("exit %d, GOSUMDB=%q; want %q\nreasons %q\n%s", x.exit, x.env["GOSUMDB"], want, x.report.Reasons, x.stderr)
	}
	after := map[string]string{"direct": "|direct", "gatekeeper": ",direct"}[chain]
	if want := l.base + after; x.env["GOPROXY"] != want {
		t.Errorf("GOPROXY=%q; want %q", x.env["GOPROXY"], want)
	}
	warned := slices.ContainsFunc(x.report.Findings, func(f report.Finding) bool {
		return f.ID == "sumdb-unreachable" && f.Severity == report.Warning && f.Fix != ""
	})
	if warned != refused {
		t.Errorf("a warning tells that the database cannot be reached: %v; want %v", warned, refused)
	}
	l.checkRequired(t, chain, refused, x)
	l.checkGo(t, x, refused)
}

// checkRequired checks that "sumdb: required" exports the same, or nothing where
// go could not verify.
func (l *sumDBLab) checkRequired(t *testing.T, chain string, refused bool, preferred exported) {
	t.Helper()
	x := setup(t, l.dir, environ(append(l.env, "GOSUMDB="+proxytest.GOSUMDB)...), "--environment", chain+"-required")
	switch {
	case refused && (x.exit != 1 || x.report.Outcome != report.Exhausted || x.stdout != "(exit 1)\n"):
		t.Errorf("required: exit %d, outcome %q, exports %q; want exit 1 and none", x.exit, x.report.Outcome, x.stdout)
	case !refused && (x.exit != 0 || x.env["GOSUMDB"] != preferred.env["GOSUMDB"]):
		t.Errorf("required: exit %d, GOSUMDB=%q; want the same as without: %q", x.exit, x.env["GOSUMDB"], preferred.env["GOSUMDB"])
	}
}

// checkGo runs the real go command, which has no go.sum to go by.
func (l *sumDBLab) checkGo(t *testing.T, x exported, refused bool) {
	t.Helper()
	const good, tampered = "example.com/greet@v1.0.0", "example.com/case/proxy_zip_wrong-bytes/module@v1.0.0"
	for _, args := range [][]string{{"mod", "download", good}, {"get", good}} {
		r := l.run(t, x, args...)
		if r.exit == 0 == refused {
			t.Errorf("go %q: exit %d; want a refusal: %v\n%s", args, r.exit, refused, r.stderr)
		}
		// Past a bar go takes its chance with version control.
		if refused && !strings.Contains(r.stderr, "verifying ") && !strings.HasSuffix(x.env["GOPROXY"], "|direct") {
			t.Errorf("go %q fails by something else than the verification:\n%s", args, r.stderr)
		}
	}
	// That go was content proves nothing unless it would have noticed.
	r := l.run(t, x, "mod", "download", tampered)
	if r.exit == 0 || !refused && !strings.Contains(r.stderr, "SECURITY ERROR") {
		t.Errorf("a module with other bytes: exit %d; want a security error\n%s", r.exit, r.stderr)
	}
	for _, f := range l.forward.Requests() {
		if f.Host != proxytest.SumDBName+":443" && !strings.HasSuffix(x.env["GOPROXY"], "|direct") {
			t.Errorf("go or the probe asked %s", f.Host)
		}
	}
}

func (l *sumDBLab) run(t *testing.T, x exported, args ...string) result {
	t.Helper()
	l.commands++
	dir := t.TempDir()
	data, err := os.ReadFile(filepath.Join(l.dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir, "go.mod", string(data))
	return goCommand(t, dir, x, l.env, args...)
}
