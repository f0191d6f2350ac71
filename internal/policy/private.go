package policy

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"golang.org/x/net/publicsuffix"
)

// privateSuffixes are top-level names that no public resolver answers.
var privateSuffixes = []string{
	".internal", ".local", ".lan", ".corp", ".home", ".intranet", ".private", ".test", ".localhost", ".home.arpa",
}

// PrivateHost reports whether a host's name can only be resolved by a private
// resolver. It takes single labels and private addresses for private as well.
func PrivateHost(host string) bool {
	if ip, err := netip.ParseAddr(host); err == nil {
		return ip.IsPrivate() || ip.IsLoopback()
	}
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if !strings.Contains(host, ".") {
		return true
	}
	return slices.ContainsFunc(privateSuffixes, func(s string) bool { return strings.HasSuffix(host, s) })
}

// Words that organisations give to what is nobody else's business: as a label
// of a host, as the first label of a host below somebody's own domain, and
// within an element of a path.
var (
	inwardLabels = []string{"corp", "internal", "intern", "intra", "intranet", "private", "priv", "lan", "local"}
	forgeLabels  = []string{"git", "gitlab", "gitea", "forgejo", "gerrit", "ghe", "github", "bitbucket", "stash", "scm", "vcs", "svn", "code", "source", "repo"}
	inwardWords  = []string{"private", "internal", "secret", "confidential", "proprietary"}
)

// LooksPrivate says why the name of a module looks like one that is not meant
// for the public, "" if nothing about it does.
//
// It looks at the name alone, and so it knows neither. A private repository on
// a public code host has a name like any other: "" does not mean public. Nor
// is every self-hosted forge a private one. It is for a warning before names
// are sent, never for a permission to send them.
func LooksPrivate(modulePath string) (why string) {
	host, rest, _ := strings.Cut(strings.ToLower(modulePath), "/")
	if _, err := netip.ParseAddr(host); err == nil {
		return "its host is an address"
	}
	if PrivateHost(host) {
		return fmt.Sprintf("no public name server knows %s", host)
	}
	if suffix, icann := publicsuffix.PublicSuffix(host); !icann && !strings.Contains(suffix, ".") {
		return fmt.Sprintf("there is no public domain .%s", suffix)
	}
	labels := strings.Split(host, ".")
	for _, label := range labels[:len(labels)-1] {
		if slices.Contains(inwardLabels, label) {
			return fmt.Sprintf("its host has the label %q", label)
		}
	}
	if len(labels) > 2 && slices.Contains(forgeLabels, labels[0]) {
		return fmt.Sprintf("%s looks like somebody's own code host", host)
	}
	for word := range strings.FieldsFuncSeq(rest, func(r rune) bool { return strings.ContainsRune("/-_.", r) }) {
		if slices.Contains(inwardWords, word) {
			return fmt.Sprintf("it is called %q", word)
		}
	}
	return ""
}
