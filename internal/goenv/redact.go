package goenv

import "strings"

// hidden stands where a part of a URL was taken out, as in [url.URL.Redacted].
const hidden = "xxxxx"

// Redact returns rawURL in a form fit for build logs: without user and
// password (tokens often travel as the user), without query values and without
// fragment. It works on the text, so that a URL which does not parse leaks
// nothing either, and takes out too much rather than too little: an "@" beyond
// the host may end a password in which a slash was not escaped. Only the "@v"
// and "@latest" of a proxy's own paths are known to be harmless.
func Redact(rawURL string) string {
	scheme, rest := "", rawURL
	if i := strings.Index(rawURL, "://"); i >= 0 && isScheme(rawURL[:i]) {
		scheme, rest = rawURL[:i+3], rawURL[i+3:]
	}
	if i := lastUserinfoAt(rest); i >= 0 {
		mark := ""
		if rest[:i] == hidden || strings.ContainsAny(rest[:i], "/?#") {
			mark = hidden + "@"
		}
		rest = mark + rest[i+1:]
	}
	rest, _, _ = strings.Cut(rest, "#")
	rest, query, found := strings.Cut(rest, "?")
	out := scheme + redactPort(rest)
	if found {
		out += "?" + redactQuery(query)
	}
	return out
}

func isScheme(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-.") == ""
}

// lastUserinfoAt returns the index of the last "@" that may end user and
// password, or -1.
func lastUserinfoAt(s string) int {
	for end := len(s); ; {
		i := strings.LastIndexByte(s[:end], '@')
		if i < 0 || !protocolAt(s, i) {
			return i
		}
		end = i
	}
}

// protocolAt reports whether the "@" at s[i] belongs to MODULE/@v/FILE or
// MODULE/@latest.
func protocolAt(s string, i int) bool {
	return i > 0 && s[i-1] == '/' && (strings.HasPrefix(s[i:], "@v/") || s[i:] == "@latest")
}

// redactPort hides what stands in the place of a port but is none: it may be
// the first half of a password, cut by a separator.
func redactPort(s string) string {
	host, rest := s, ""
	if i := strings.IndexByte(s, '/'); i >= 0 {
		host, rest = s[:i], s[i:]
	}
	from := strings.LastIndexByte(host, ']') + 1 // an IPv6 address has colons of its own
	if i := strings.IndexByte(host[from:], ':'); i >= 0 && strings.Trim(host[from+i+1:], "0123456789") != "" {
		host = host[:from+i+1] + hidden
	}
	return host + rest
}

// redactQuery hides the values of a query. A part without "=" may be a value.
func redactQuery(query string) string {
	parts := strings.Split(query, "&")
	for i, part := range parts {
		if key, _, found := strings.Cut(part, "="); found {
			parts[i] = key + "=" + hidden
		} else if part != "" {
			parts[i] = hidden
		}
	}
	return strings.Join(parts, "&")
}
