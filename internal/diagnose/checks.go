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
	{"D01", "goproxy-refused", "GOPROXY that go refuses", ThisMachine, "mend the entry it names; unset an empty value", "unset an empty value of \"go env -w\"", goproxyRefused},
	{"D02", "pattern-never-matches", "Module pattern that matches nothing", ThisMachine, "write patterns with commas alone, without scheme, port or capitals", "write the patterns of \"go env -w\" anew, if it is plain what was meant", patternsNeverMatch},
	{"D03", "gosumdb-refused", "GOSUMDB off, or one that go refuses", ThisMachine, "leave it at its default; name private modules in GONOSUMDB", "", gosumdbRefused},
	{"D04", "setting-without-effect", "\"go env -w\" without effect", ThisMachine, "take the variable out of the environment", "", withoutEffect},
	{"D05", "shell-file-differs", "Shell file says something else", ThisMachine, "start a new shell, or mend the line", "", shellFilesDiffer},
	{"D06", "bar-not-quoted", "Bar without quotes in a shell file", ThisMachine, "quote the value", "", shellBar},
	{"D07", "env-file-not-read", "File with settings that go does not read", ThisMachine, "write them again with \"go env -w\"", "", envFileNotRead},
	{"D08", "env-file-unreadable", "File of \"go env -w\" that go skips", ThisMachine, "make it readable, one NAME=VALUE a line", "", envFileUnreadable},
	{"D09", "goflags-refused", "GOFLAGS that breaks go", ThisMachine, "take the flag out", "", goflagsRefused},
	{"D10", "modules-off", "Modules are off", ThisMachine, "unset GO111MODULE", "", modulesOff},
	{"D11", "setting-unknown", "Variable that go does not know", ThisMachine, "use the real name", "", settingUnknown},
	// Programs.
	{"D12", "go-missing", "No go command that works", ThisMachine, "install Go; unset GOROOT", "", goMissing},
	{"D13", "go-shadowed", "Another go comes first in PATH", ThisMachine, "put the one that is meant first", "", goShadowed},
	{"D14", "gobin-not-in-path", "Installed programs are not in PATH", ThisMachine, "add the directory to PATH", "", binOutsidePath},
	{"D15", "program-shadowed", "An old program hides an installed one", ThisMachine, "remove the old one, or change the order of PATH", "", programShadowed},
	{"D16", "gobin-relative", "GOBIN that go refuses", ThisMachine, "write the whole path", "", binRelative},
	{"D17", "gotoolchain-refused", "GOTOOLCHAIN that go refuses", ThisMachine, "write auto, local, path or a version", "", toolchainRefused},
	{"D18", "setting-doubtful", "Setting that does not do what it seems to", ThisMachine, "write what \"explain --lint\" says", "", doubtful},
	// The chain.
	{"D20", "proxy-down", "Module proxy does not serve builds", ThisMachine, "follow the next step of the probe; put a bar after public proxies", "", blame("",
		decision.Refused, decision.Timeout, decision.Silent, decision.Stalled, decision.Reset, decision.ServerError, decision.BadStatus, decision.RateLimited,
		decision.Forbidden, decision.Missing, decision.BadRedirect, decision.NotAllowed)},
	{"D21", "captive-portal", "A page for people instead of modules", ThisMachine, "sign in to the network, or have the host exempted", "", blame(" answers with a page for people", decision.Portal)},
	{"D22", "certificate-not-trusted", "Certificate that is not trusted here", ThisMachine, "add the authority: SSL_CERT_FILE on Linux, the system's store elsewhere; GOINSECURE does not help", "", blame("", decision.UnknownCA)},
	{"D23", "tls-broken", "TLS that cannot be established", ThisMachine, "renew the certificate, correct host and port, set the clock", "", blame("", decision.BadTLS)},
	{"D24", "tls-inspected", "Somebody inspects TLS", ThisMachine, "have the host exempted, or trust the inspector's authority everywhere", "", tlsInspected},
	{"D25", "proxy-name", "Proxy whose name does not resolve", ThisMachine, "correct the name, or the name server", "", blame("", decision.DNSFailure)},
	{"D26", "resolvers-disagree", "Name servers disagree", ThisMachine, "use the name server that answers and tells the truth", "", resolversDisagree},
	{"D27", "hosts-file", "Hosts file pins a proxy", ThisMachine, "remove the line", "", hostsFile},
	{"D28", "https-proxy-fails", "HTTPS_PROXY does not let through", ThisMachine, "correct HTTPS_PROXY, or put the host into NO_PROXY", "", blame("", decision.NoProxyPath)},
	{"D29", "https-proxy-ignored", "HTTP proxy setting that go does not obey", ThisMachine, "set HTTPS_PROXY, in capitals and small letters alike", "", httpsProxySettings},
	{"D30", "no-proxy-pattern", "Item of NO_PROXY that exempts nothing", ThisMachine, "write hosts or .domains, separated by commas", "", noProxyPatterns},
	{"D31", "login-missing", "Proxy asks for a login", ThisMachine, "add machine HOST:PORT with login and password to netrc", "", blame("", decision.Unauthorized)},
	{"D32", "wrong-content", "Proxy sends wrong bytes", ThisMachine, "do not use it until its cache was cleared", "", blame("", decision.WrongContent)},
	{"D33", "zip-blocked", "Zips fail, other files do not", ThisMachine, "allow the storage host that zips come from", "", blame("", decision.ZipBlocked)},
	{"D34", "proxy-degraded", "Proxy serves builds, but not everything", ThisMachine, "put one that serves all before it", "", degraded},
	{"D36", "sumdb-unreachable", "No way to the checksum database", ThisMachine, "allow its host, or a proxy that passes it on; leave GOSUMDB on", "", database},
	{"D37", "clock-wrong", "The clock is wrong", ThisMachine, "set it by NTP", "", clockSkew},
	{"D38", "certificate-file", "SSL_CERT_FILE or SSL_CERT_DIR leads nowhere", ThisMachine, "correct the path", "", certFiles},
	// Logins and git.
	{"D40", "netrc-machine", "Login that is not sent", ThisMachine, "add machine HOST:PORT as in GOPROXY; use https", "", netrcMachine},
	{"D41", "netrc-incomplete", "Entry of netrc that go skips", ThisMachine, "give both login and password", "", netrcIncomplete},
	{"D42", "netrc-file", "File with logins that others can read, or go cannot", ThisMachine, "chmod 600; correct NETRC", "chmod 600", netrcOpen},
	{"D43", "goauth", "GOAUTH keeps logins back", ThisMachine, "write netrc, git /DIR or a command that exists", "", goAuth},
	{"D44", "git-missing", "No git that works", ThisMachine, "install git, or end the chain without direct", "", gitMissing},
	{"D45", "insteadof-nowhere", "git rewrite that points nowhere", ThisMachine, "rewrite the repository's URL, not the module path", "", insteadOfNowhere},
	{"D46", "insteadof-joins-wrong", "git rewrite that makes a broken URL", ThisMachine, "end both halves with a slash", "", insteadOfJoins},
	{"D47", "git-tls-off", "git checks no certificates", ThisMachine, "give git the authority instead", "", gitTLSOff},
	// The module cache.
	{"D50", "cache-mod-poisoned", "Poisoned .mod in the module cache", ThisMachine, "remove the file", "remove the file", poisoned("a proxy's error page was kept as go.mod", func(s cacheScan) []bad { return s.mods }, alone)},
	{"D51", "cache-zip-broken", "Broken zip in the module cache", ThisMachine, "remove the file", "remove the file", poisoned("a broken zip was kept", func(s cacheScan) []bad { return s.zips }, beside)},
	{"D52", "cache-info-broken", "Broken .info in the module cache", ThisMachine, "remove the file", "remove the file", poisoned("a broken .info was kept", func(s cacheScan) []bad { return s.infos }, alone)},
	{"D53", "cache-not-writable", "Module cache that go cannot write", ThisMachine, "give it to its user, or name another", "", cacheUnwritable},
	{"D54", "disk-full", "Hardly any room for modules", ThisMachine, "make room: go clean -modcache", "", diskFull},
	// CI.
	{"D60", "policy-invalid", "Policy file with mistakes", CI, "mend the lines it names", "", policyInvalid},
	{"D61", "ci-setting-refused", "CI file with a setting that go refuses", CI, "mend the line", "", ciSettings},
	{"D62", "ci-checks-off", "CI file switches checks off", CI, "remove the line", "", ciChecksOff},
	{"D63", "docker-loses-goproxy", "Dockerfile without the job's GOPROXY", CI, "ARG GOPROXY, and --build-arg GOPROXY", "", dockerLoses},
	// The workspace.
	{"D70", "work-member-missing", "Member of go.work that is not there", Workspace, "go work edit -dropuse=DIR", "", workMembers},
	{"D71", "work-go-version", "go.work is older than a member", Workspace, "go work use", "", workVersion},
	{"D72", "work-outside", "Module that is not in go.work", Workspace, "go work use DIR, or GOWORK=off", "", workOutside},
	{"D73", "replace-missing", "go.mod that cannot be built here", Workspace, "take the replacement out, mend the line", "", replaceMissing},
	{"D74", "go-sum-broken", "go.sum that go refuses, or that contradicts itself", Workspace, "remove the line; go mod tidy", "", goSumBroken},
	{"D75", "toolchain-forbidden", "Newer Go needed than may run", Workspace, "install it, or GOTOOLCHAIN=auto", "", toolchainForbidden},
	{"D76", "toolchain-unavailable", "Toolchain that cannot be had", Workspace, "install it, or a proxy that serves golang.org/toolchain", "", toolchainUnavailable},
	{"D77", "toolchain-no-release", "Toolchain that is no release", Workspace, "write the release: toolchain go1.N.0", "", toolchainName},
}
