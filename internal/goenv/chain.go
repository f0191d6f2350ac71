// Package goenv holds Go's download settings as typed values, read exactly as
// the go command reads them: GOPROXY lists, the module patterns of GOPRIVATE
// and its kin, and GOSUMDB.
//
// [Chain.Walk] is the one model of the way the go command takes through a
// chain: which proxies it asks for a file, in which order, and how that ends.
//
// The package is pure. Its rules are those of go 1.26; a test holds them equal
// to what the installed go command really does.
package goenv

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"
)

// A Sep is the separator that stands after an entry of a GOPROXY list. It is
// that entry's policy: what has to happen before go asks the next one.
type Sep byte

const (
	Comma Sep = ',' // next after 404 or 410 alone
	Bar   Sep = '|' // next after any error
	End   Sep = 0   // nothing follows
)

// The two keywords of a GOPROXY list.
const (
	direct = "direct"
	off    = "off"
)

// An Entry is one element of a GOPROXY list.
type Entry struct {
	// Value is "direct", "off", or the URL of a proxy as go will use it: blanks
	// around it are gone and a missing "https://" is added. It may hold
	// credentials; show it through [Redact].
	Value string
	Sep   Sep
}

// Direct reports whether e stands for the module's own version control system.
func (e Entry) Direct() bool { return e.Value == direct }

// Off reports whether e forbids looking further.
func (e Entry) Off() bool { return e.Value == off }

// Proxy reports whether e is the URL of a module proxy.
func (e Entry) Proxy() bool { return !e.Direct() && !e.Off() }

// A Chain is a parsed GOPROXY list. "direct" and "off" occur only as its last
// entry.
type Chain []Entry

// ErrNoEntries reports a GOPROXY list without any entry, such as "," or " ".
// The go command then refuses every download.
var ErrNoEntries = errors.New("GOPROXY list has no entries")

// An EntryError says what is wrong with one entry of a GOPROXY list. A single
// one makes the go command refuse the whole list.
type EntryError struct {
	Entry  string // redacted
	Reason string // what is wrong with it
	Fix    string // what to write instead, "" if unknown
}

func (e *EntryError) Error() string {
	text := fmt.Sprintf("GOPROXY entry %q: %s", e.Entry, e.Reason)
	if e.Fix != "" {
		text += "; " + e.Fix
	}
	return text
}

// ParseChain parses list, the value of GOPROXY, as the go command reads it:
// blank entries are skipped, and whatever follows "direct" or "off" is ignored.
//
// The error is [ErrNoEntries] for a list without entries, and otherwise an
// [*EntryError] naming the first entry that is neither keyword nor proxy URL.
// As go does, it accepts entries that no request can be sent to; see
// [CheckEntry].
//
// Source: proxyList in cmd/go/internal/modfetch, "go help goproxy", and the
// GOPROXY section of the Go Modules Reference.
func ParseChain(list string) (Chain, error) {
	var c Chain
	whole := list
	for list != "" {
		entry, sep := list, End
		if i := strings.IndexAny(list, ",|"); i >= 0 {
			entry, sep, list = list[:i], Sep(list[i]), list[i+1:]
		} else {
			list = ""
		}
		entry = strings.TrimSpace(entry)
		switch entry {
		case "":
			continue
		case direct, off:
			return append(c, Entry{entry, End}), nil
		}
		value, _, err := parseEntry(entry)
		if err != nil && cutLogin(whole) {
			return nil, cutError(whole)
		}
		if err != nil {
			return nil, err
		}
		c = append(c, Entry{value, sep})
	}
	if len(c) == 0 {
		return nil, ErrNoEntries
	}
	return c, nil
}

// ParseWhole is [ParseChain] for those who show the entries: it refuses a list
// whose entries may be pieces of user and password of one URL.
func ParseWhole(list string) (Chain, error) {
	if cutLogin(list) {
		return nil, cutError(list)
	}
	return ParseChain(list)
}

// cutError is the error of a list in which [cutLogin] finds a login. It shows
// none of the pieces.
func cutError(list string) *EntryError {
	return &EntryError{Redact(list), "a separator within user or password cuts it in two", "write a comma as %2C, a bar as %7C"}
}

// String returns the value of GOPROXY that parses into c. It may hold
// credentials.
func (c Chain) String() string {
	var b strings.Builder
	for _, e := range c {
		b.WriteString(e.Value)
		if e.Sep != End {
			b.WriteByte(byte(e.Sep))
		}
	}
	return b.String()
}

// parseEntry parses one entry that is not blank and not a keyword. The error is
// always an [*EntryError].
func parseEntry(entry string) (value string, u *url.URL, err error) {
	fail := func(reason, fix string) (string, *url.URL, error) {
		return "", nil, &EntryError{Redact(entry), reason, fix}
	}
	value = entry
	// The go command also spares what is an absolute path on the system it runs
	// on. On Windows that makes no difference: such a path is no URL either way.
	if strings.ContainsAny(entry, ".:/") && !strings.Contains(entry, ":/") && !path.IsAbs(entry) {
		value = "https://" + entry
	}
	u, err = url.Parse(value)
	if err != nil && strings.ContainsAny(entry[:1], "\"'`") {
		return fail("quotes are part of the entry", "remove them")
	}
	if err != nil {
		return fail(urlReason(err), "write https://HOST[:PORT][/PATH]"+escapeHint(err))
	}
	switch u.Scheme {
	case "http", "https":
		return value, u, nil
	case "file":
		if *u != (url.URL{Scheme: u.Scheme, Path: u.Path, RawPath: u.RawPath}) {
			return fail("a file URL is a path and nothing else", "write file:///DIR")
		}
		return value, u, nil
	case "":
		if path.IsAbs(entry) {
			return fail("a directory is written as a URL", "write file:///DIR")
		}
		return fail("neither a keyword nor a URL", "write "+meant(entry))
	}
	if !strings.Contains(entry, "://") { // perhaps it is a user name before a colon
		return fail("unsupported scheme", "go knows https, http and file")
	}
	return fail(fmt.Sprintf("unsupported scheme %q", u.Scheme), "go knows https, http and file")
}

// meant guesses what the author of a bare word wanted to say.
func meant(word string) string {
	switch w := strings.ToLower(word); w {
	case direct, off:
		return w
	}
	return `"off", "direct" or https://HOST`
}

// urlReason says why [url.Parse] refused a URL without repeating any part of
// it: what looks like a port may be a password.
func urlReason(err error) string {
	if e, ok := errors.AsType[*url.Error](err); ok {
		err = e.Err
	}
	if _, ok := errors.AsType[url.EscapeError](err); ok {
		return "malformed percent-escape"
	}
	text := strings.TrimPrefix(err.Error(), "net/url: ")
	for _, quotes := range []string{"invalid port", "invalid host"} {
		if strings.HasPrefix(text, quotes) {
			return quotes
		}
	}
	return text
}

// escapeHint reminds of the usual reason for an impossible port: a separator
// inside a password has cut the URL in two.
func escapeHint(err error) string {
	if strings.Contains(urlReason(err), "port") {
		return "; inside user or password write a slash as %2F, a comma as %2C, a bar as %7C"
	}
	return ""
}
