package diagnose

import (
	"slices"

	"github.com/org/goproxy-setup/internal/decision"
)

// Checks returns every check, in the order in which they are listed.
// docs/doctor.md holds the same table; a test says so.
func Checks() []Check { return slices.Clone(checks) }

var checks = []Check{
	// Settings.
	{"D01", "goproxy-refused", "GOPROXY that go refuses", ThisMachine, "mend the entry it names; unset an empty value", true, goproxyRefused},
	{"D02", "pattern-never-matches", "Module pattern that matches nothing", ThisMachine, "write patterns with commas alone, without scheme, port or capitals", true, patternsNeverMatch},
	{"D03", "gosumdb-refused", "GOSUMDB off, or one that go refuses", ThisMachine, "leave it at its default; name private modules in GONOSUMDB", false, gosumdbRefused},
	{"D04", "setting-without-effect", "\"go env -w\" without effect", ThisMachine, "take the variable out of the environment", false, withoutEffect},
	{"D05", "shell-file-differs", "Shell file says something else", ThisMachine, "start a new shell, or mend the line", false, shellFilesDiffer},
	{"D06", "bar-not-quoted", "Bar without quotes in a shell file", ThisMachine, "quote the value", false, shellBar},
	{"D07", "env-file-not-read", "File with settings that go does not read", ThisMachine, "write them again with \"go env -w\"", false, envFileNotRead},
	{"D08", "env-file-unreadable", "File of \"go env -w\" that go skips", ThisMachine, "make it readable, one NAME=VALUE a line", false, envFileUnreadable},
	{"D09", "goflags-refused", "GOFLAGS that breaks go", ThisMachine, "take the flag out", false, goflagsRefused},
	{"D10", "modules-off", "Modules are off", ThisMachine, "unset GO111MODULE", false, modulesOff},
	{"D11", "setting-unknown", "Variable that go does not know", ThisMachine, "use the real name", false, settingUnknown},
	// Programs.
	{"D12", "go-missing", "No go command that works", ThisMachine, "install Go; unset GOROOT", false, goMissing},
	{"D13", "go-shadowed", "Another go comes first in PATH", ThisMachine, "put the one that is meant first", false, goShadowed},
	{"D14", "gobin-not-in-path", "Installed programs are not in PATH", ThisMachine, "add the directory to PATH", false, binOutsidePath},
	{"D15", "program-shadowed", "An old program hides an installed one", ThisMachine, "remove the old one, or change the order of PATH", false, programShadowed},
	{"D16", "gobin-relative", "GOBIN that go refuses", ThisMachine, "write the whole path", false, binRelative},
	{"D17", "gotoolchain-refused", "GOTOOLCHAIN that go refuses", ThisMachine, "write auto, local, path or a version", false, toolchainRefused},
	{"D18", "setting-doubtful", "Setting that does not do what it seems to", ThisMachine, "write what \"explain --lint\" says", false, doubtful},
	// The chain.
	{"D20", "proxy-down", "Module proxy does not serve builds", ThisMachine, "follow the next step of the probe; put a bar after public proxies", false, blame("",
		decision.Refused, decision.Timeout, decision.Silent, decision.Stalled, decision.Reset, decision.ServerError, decision.BadStatus, decision.RateLimited,
		decision.Forbidden, decision.Missing, decision.BadRedirect, decision.NotAllowed)},
	{"D21", "captive-portal", "A page for people instead of modules", ThisMachine, "sign in to the network, or have the host exempted", false, blame(" answers with a page for people", decision.Portal)},
	{"D22", "certificate-not-trusted", "Certificate that is not trusted here", ThisMachine, "add the authority: SSL_CERT_FILE; GOINSECURE does not help", false, blame("", decision.UnknownCA)},
	{"D23", "tls-broken", "TLS that cannot be established", ThisMachine, "renew the certificate, correct host and port, set the clock", false, blame("", decision.BadTLS)},
	{"D24", "tls-inspected", "Somebody inspects TLS", ThisMachine, "have the host exempted, or trust the inspector's authority everywhere", false, tlsInspected},
	{"D25", "proxy-name", "Proxy whose name does not resolve", ThisMachine, "correct the name, or the name server", false, blame("", decision.DNSFailure)},
	{"D26", "resolvers-disagree", "Name servers disagree", ThisMachine, "use the name server that answers and tells the truth", false, resolversDisagree},
	{"D27", "hosts-file", "Hosts file pins a proxy", ThisMachine, "remove the line", false, hostsFile},
	{"D28", "https-proxy-fails", "HTTPS_PROXY does not let through", ThisMachine, "correct HTTPS_PROXY, or put the host into NO_PROXY", false, blame("", decision.NoProxyPath)},
	{"D29", "https-proxy-ignored", "HTTP proxy setting that go does not obey", ThisMachine, "set HTTPS_PROXY, in capitals and small letters alike", false, httpsProxySettings},
	{"D30", "no-proxy-pattern", "Item of NO_PROXY that exempts nothing", ThisMachine, "write hosts or .domains, separated by commas", false, noProxyPatterns},
	{"D31", "login-missing", "Proxy asks for a login", ThisMachine, "add machine HOST:PORT with login and password to netrc", false, blame("", decision.Unauthorized)},
	{"D32", "wrong-content", "Proxy sends wrong bytes", ThisMachine, "do not use it until its cache was cleared", false, blame("", decision.WrongContent)},
	{"D33", "zip-blocked", "Zips fail, other files do not", ThisMachine, "allow the storage host that zips come from", false, blame("", decision.ZipBlocked)},
	{"D34", "proxy-degraded", "Proxy serves builds, but not everything", ThisMachine, "put one that serves all before it", false, degraded},
	{"D36", "sumdb-unreachable", "No way to the checksum database", ThisMachine, "allow its host, or a proxy that passes it on; leave GOSUMDB on", false, database},
	{"D37", "clock-wrong", "The clock is wrong", ThisMachine, "set it by NTP", false, clockSkew},
	{"D38", "certificate-file", "SSL_CERT_FILE or SSL_CERT_DIR leads nowhere", ThisMachine, "correct the path", false, certFiles},
	// Logins and git.
	{"D40", "netrc-machine", "Login that is not sent", ThisMachine, "add machine HOST:PORT as in GOPROXY; use https", false, netrcMachine},
	{"D41", "netrc-incomplete", "Entry of netrc that go skips", ThisMachine, "give both login and password", false, netrcIncomplete},
	{"D42", "netrc-file", "File with logins that others can read, or go cannot", ThisMachine, "chmod 600; correct NETRC", true, netrcOpen},
	{"D43", "goauth", "GOAUTH keeps logins back", ThisMachine, "write netrc, git /DIR or a command that exists", false, goAuth},
	{"D44", "git-missing", "No git that works", ThisMachine, "install git, or end the chain without direct", false, gitMissing},
	{"D45", "insteadof-nowhere", "git rewrite that points nowhere", ThisMachine, "rewrite the repository's URL, not the module path", false, insteadOfNowhere},
	{"D46", "insteadof-joins-wrong", "git rewrite that makes a broken URL", ThisMachine, "end both halves with a slash", false, insteadOfJoins},
	{"D47", "git-tls-off", "git checks no certificates", ThisMachine, "give git the authority instead", false, gitTLSOff},
	// The module cache.
	{"D50", "cache-mod-poisoned", "Poisoned .mod in the module cache", ThisMachine, "remove the file", true, poisoned("a proxy's error page was kept as go.mod", func(s cacheScan) []bad { return s.mods }, alone)},
	{"D51", "cache-zip-broken", "Broken zip in the module cache", ThisMachine, "remove the file", true, poisoned("a broken zip was kept", func(s cacheScan) []bad { return s.zips }, beside)},
	{"D52", "cache-info-broken", "Broken .info in the module cache", ThisMachine, "remove the file", true, poisoned("a broken .info was kept", func(s cacheScan) []bad { return s.infos }, alone)},
	{"D53", "cache-not-writable", "Module cache that go cannot write", ThisMachine, "give it to its user, or name another", false, cacheUnwritable},
	{"D54", "disk-full", "Hardly any room for modules", ThisMachine, "make room: go clean -modcache", false, diskFull},
	// CI.
	{"D60", "policy-invalid", "Policy file with mistakes", CI, "mend the lines it names", false, policyInvalid},
	{"D61", "ci-setting-refused", "CI file with a setting that go refuses", CI, "mend the line", false, ciSettings},
	{"D62", "ci-checks-off", "CI file switches checks off", CI, "remove the line", false, ciChecksOff},
	{"D63", "docker-loses-goproxy", "Dockerfile without the job's GOPROXY", CI, "ARG GOPROXY, and --build-arg GOPROXY", false, dockerLoses},
	// The workspace.
	{"D70", "work-member-missing", "Member of go.work that is not there", Workspace, "go work edit -dropuse=DIR", false, workMembers},
	{"D71", "work-go-version", "go.work is older than a member", Workspace, "go work use", false, workVersion},
	{"D72", "work-outside", "Module that is not in go.work", Workspace, "go work use DIR, or GOWORK=off", false, workOutside},
	{"D73", "replace-missing", "go.mod that cannot be built here", Workspace, "take the replacement out, mend the line", false, replaceMissing},
	{"D74", "go-sum-broken", "go.sum that go refuses, or that contradicts itself", Workspace, "remove the line; go mod tidy", false, goSumBroken},
	{"D75", "toolchain-forbidden", "Newer Go needed than may run", Workspace, "install it, or GOTOOLCHAIN=auto", false, toolchainForbidden},
	{"D76", "toolchain-unavailable", "Toolchain that cannot be had", Workspace, "install it, or a proxy that serves golang.org/toolchain", false, toolchainUnavailable},
	{"D77", "toolchain-no-release", "Toolchain that is no release", Workspace, "write the release: toolchain go1.N.0", false, toolchainName},
}
