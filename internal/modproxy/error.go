package modproxy

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
	"time"
	"unicode"

	"github.com/org/goproxy-setup/internal/goenv"
)

// Reasons for which a request ends before there is an answer, as the go
// command ends it; they stand in [Error].Err.
var (
	ErrTooManyRedirects = errors.New("stopped after 10 redirects")
	ErrInsecureRedirect = errors.New("redirected from https to plain http")
	ErrTooLarge         = errors.New("answer is too large")
)

// An Error says what one module proxy did wrong and, if known, what to do next.
type Error struct {
	Op     string // "reading"
	URL    string // of the request that failed, after redirects; redacted: build logs are public
	Host   string // host[:port] of URL
	Status int    // HTTP status, 0 if no response arrived
	Text   string // how the response's body begins: one printable line, "" if it has none
	Fix    string // next step for the person reading, "" if unknown
	Err    error  // nil if Status says it all
	// RetryAfter is how long the server asks to wait, 0 if it does not say.
	RetryAfter time.Duration
}

// Error returns "reading URL: 403 Forbidden" or "reading URL: CAUSE".
func (e *Error) Error() string {
	s := e.Op + " " + e.URL
	if e.Status != 0 && e.Status != http.StatusOK {
		s += ": " + StatusText(e.Status)
	}
	if e.Err != nil {
		s += ": " + e.Err.Error()
	}
	return s
}

// AsError returns the [*Error] that err is or wraps, or one whose cause is err.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Err: err}
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Is matches 404 and 410 with [fs.ErrNotExist]: they are the only answers after
// which the go command moves past a comma.
func (e *Error) Is(target error) bool {
	return target == fs.ErrNotExist && (e.Status == http.StatusNotFound || e.Status == http.StatusGone)
}

// StatusText returns "403 Forbidden", and just the number of an unknown status.
func StatusText(status int) string {
	return strings.TrimSpace(fmt.Sprintf("%d %s", status, http.StatusText(status)))
}

// excerptSize is how much of a surprising body is worth showing, in bytes.
const excerptSize = 80

// Line returns text that may come from a server, made fit for one line of a
// build log: runs of blanks and of what is not printable become one blank.
func Line(text string) string {
	return strings.Join(strings.FieldsFunc(text, func(r rune) bool {
		return r == unicode.ReplacementChar || unicode.IsSpace(r) || !unicode.IsGraphic(r)
	}), " ")
}

// Excerpt returns how body begins, as one [Line] of at most 80 bytes.
func Excerpt(body []byte) string { return Cut(string(body), excerptSize) }

// Cut returns how text begins, as one [Line] of at most size bytes.
func Cut(text string, size int) string {
	line := Line(text)
	if len(line) <= size {
		return line
	}
	cut := 0
	for i := range line { // at the start of a rune
		if i > size-len("…") {
			break
		}
		cut = i
	}
	return line[:cut] + "…"
}

// Hide takes the client's credentials out of text that came from elsewhere: a
// server may repeat what it was sent.
func (c *Client) Hide(text string) string {
	if c.User == nil {
		return text
	}
	name := c.User.Username()
	password, _ := c.User.Password()
	secrets := []string{base64.StdEncoding.EncodeToString([]byte(name + ":" + password)), password}
	if password == "" || len(name) >= 16 { // a token that travels as the user
		secrets = append(secrets, name)
	}
	for _, s := range secrets {
		for _, form := range []string{s, url.QueryEscape(s), url.PathEscape(s)} {
			if form != "" {
				text = strings.ReplaceAll(text, form, "xxxxx")
			}
		}
	}
	return text
}

// A hidden error has a text without credentials and keeps its causes.
type hidden struct {
	text string
	err  error
}

func (h *hidden) Error() string { return h.text }
func (h *hidden) Unwrap() error { return h.err }

// fail makes err, met while reading u, an [*Error]. A nil err is for a status
// that says it all.
func (c *Client) fail(u string, err error) *Error {
	if ue, ok := errors.AsType[*url.Error](err); ok { // shows more of a URL than a log should
		u, err = absolute(u, ue.URL), ue.Err
	}
	e := &Error{Op: "reading", URL: c.Hide(goenv.Redact(u)), Host: c.Base.Host, Err: err}
	if parsed, perr := url.Parse(u); perr == nil && parsed.Host != "" {
		e.Host = parsed.Host
	}
	if err != nil && c.Hide(err.Error()) != err.Error() {
		e.Err = &hidden{c.Hide(err.Error()), err}
	}
	switch {
	case errors.Is(err, ErrInsecureRedirect):
		e.Fix = "let the proxy redirect to https: the go command follows no redirect from https to http"
	case errors.Is(err, ErrTooManyRedirects):
		e.Fix = "the proxy redirects in a circle: check its base URL and the path in this one"
	case errors.Is(err, http.ErrSchemeMismatch):
		e.Fix = "the port speaks plain http: write http:// or the port that speaks TLS"
	}
	return e
}

// absolute returns the URL ref as seen from base: a redirect may be relative.
func absolute(base, ref string) string {
	b, berr := url.Parse(base)
	r, rerr := url.Parse(ref)
	if berr != nil || rerr != nil {
		return ref
	}
	return b.ResolveReference(r).String()
}
