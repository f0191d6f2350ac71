package goenv

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"unicode"
)

// CheckEntry checks s, one entry that shall stand in a GOPROXY list, and
// returns it as go will use it. It refuses whatever [ParseChain] refuses, and
// also what go accepts but cannot use as meant: a comma or bar, which would
// split the entry; blanks and unprintable characters; credentials on a plain
// http URL, which go refuses to send; and hosts that cannot be reached. The
// error is an [*EntryError] that says what to write instead.
func CheckEntry(s string) (normal string, err error) {
	fail := func(reason, fix string) (string, error) {
		return "", &EntryError{Redact(s), reason, fix}
	}
	switch s {
	case "":
		return fail("empty", `write "off", "direct" or https://HOST`)
	case direct, off:
		return s, nil
	}
	for _, r := range s {
		switch {
		case r == ',':
			return fail("a comma ends an entry", "write %2C")
		case r == '|':
			return fail("a bar ends an entry", "write %7C")
		case unicode.IsSpace(r):
			return fail("has a blank", "remove it, or write %20 within a path")
		case r == unicode.ReplacementChar || !unicode.IsGraphic(r):
			return fail(fmt.Sprintf("has the unprintable character %U", r), "remove it")
		}
	}
	normal, u, err := parseEntry(s)
	if err != nil {
		return "", err
	}
	if reason, fix := unusable(u); reason != "" {
		return fail(reason, fix)
	}
	return normal, nil
}

// unusable says why go can't use a URL that it accepts, and what to write
// instead; both are "" for a usable one.
func unusable(u *url.URL) (reason, fix string) {
	if u.Scheme == "file" {
		if u.Path == "" {
			return "a file URL without a path", "write file:///DIR"
		}
		return "", ""
	}
	host := u.Hostname()
	switch {
	case host == "":
		return "a URL without a host", "write " + u.Scheme + "://HOST[:PORT][/PATH]"
	case u.Scheme == "http" && u.User != nil:
		return "go refuses to send credentials over http", "write https, or take them out"
	case u.Fragment != "":
		return "what follows a # is never sent", "remove it"
	case !validHost(host):
		return "not a host name", "entries are separated by commas or bars, without quotes"
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return "no such port", "write a port from 1 to 65535"
		}
	}
	return "", ""
}

// validHost reports whether s is an IP address or consists of the characters
// of host names. Letters outside ASCII are allowed: go translates them.
func validHost(s string) bool {
	if strings.Contains(s, ":") {
		_, err := netip.ParseAddr(s)
		return err == nil
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r != '-' && r != '.' && r != '_' && !unicode.In(r, unicode.L, unicode.M, unicode.N)
	})
}
