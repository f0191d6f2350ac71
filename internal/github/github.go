// Package github asks the API of GitHub, GitHub Enterprise, or a forge that
// speaks the same language, for what a setup step can't learn otherwise: the
// environment of its job and the policy file of another commit. It can publish
// a check run.
//
// It is the only package that imports go-github. Every answer is bounded in
// size and time, and no error holds a token. An error matches
// [fs.ErrPermission] if the token may not ask, and [fs.ErrNotExist] only if it
// is certain that what was asked for does not exist.
package github

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	gh "github.com/google/go-github/v60/github"
)

const (
	timeout   = 10 * time.Second // for one request, body included
	maxAnswer = 2 << 20          // bytes of one answer
	publicAPI = "https://api.github.com"
)

// A Client asks one API with one token. It is safe for concurrent use.
type Client struct {
	api   *gh.Client
	token string // only to keep it out of errors
}

// New returns a client for the API at baseURL, the value of GITHUB_API_URL:
// that of GitHub, "https://HOST/api/v3" of GitHub Enterprise, or "" for
// GitHub's. The URL is https, or http on loopback. An empty token asks
// anonymously.
func New(baseURL, token string) (*Client, error) {
	base, err := parseBase(cmp.Or(baseURL, publicAPI))
	if err != nil {
		return nil, err
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxResponseHeaderBytes = 64 << 10
	api := gh.NewClient(&http.Client{
		Timeout:       timeout,
		Transport:     &roundTripper{next: transport, token: token, host: base.Host},
		CheckRedirect: sameHost,
	})
	// Not WithEnterpriseURLs: GITHUB_API_URL is the whole base already, and
	// that of Forgejo does not end in /api/v3.
	api.BaseURL, api.UploadURL = base, base
	return &Client{api: api, token: token}, nil
}

// parseBase returns the API's base as go-github wants it: with a final slash.
func parseBase(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		// The URL is not quoted: it may hold a password.
		return nil, errors.New("the API's URL (GITHUB_API_URL) is not a plain https URL")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return nil, fmt.Errorf("the API's URL (GITHUB_API_URL) %q would send the token unencrypted: use https", u)
	}
	u.Path = strings.TrimSuffix(u.Path, "/") + "/"
	return u, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// sameHost follows the redirects of renamed repositories and no others.
func sameHost(req *http.Request, via []*http.Request) error {
	if len(via) > 3 || req.URL.Scheme != via[0].URL.Scheme || req.URL.Host != via[0].URL.Host {
		return errors.New("the API redirects to another host")
	}
	return nil
}

// A roundTripper adds the token and bounds the answer. go-github's own
// WithAuthToken would send the token to every host.
type roundTripper struct {
	next        http.RoundTripper
	token, host string
}

func (t *roundTripper) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.token != "" && req.URL.Host == t.host {
		req = req.Clone(req.Context())
		req.Header.Set("Authorization", "Bearer "+t.token)
	}
	resp, err := t.next.RoundTrip(req)
	if err == nil {
		resp.Body = &boundedBody{ReadCloser: resp.Body, left: maxAnswer}
	}
	return resp, err
}

var errTooBig = fmt.Errorf("the answer is larger than %d bytes", maxAnswer)

// A boundedBody fails where an io.LimitReader would pretend that the body ends.
type boundedBody struct {
	io.ReadCloser
	left int
}

func (b *boundedBody) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errTooBig
	}
	n, err := b.ReadCloser.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// An Error says what the API did not do. It matches [fs.ErrPermission] if the
// token may not ask; GitHub answers 404 as well as 403 then.
type Error struct {
	Op     string // "reading the check run"
	Status int    // HTTP status, 0 if no answer arrived
	Detail string // the API's own message or the network's; without the token
	Fix    string // the next step, "" if unknown
	Err    error
}

func (e *Error) Error() string {
	s := e.Op
	if e.Status != 0 {
		s += fmt.Sprintf(": %d %s", e.Status, http.StatusText(e.Status))
	}
	if e.Detail != "" {
		s += ": " + e.Detail
	}
	return s
}

func (e *Error) Unwrap() error { return e.Err }

// failure turns an error of go-github into an [*Error]. Fix is the next step if
// the token may not ask.
func (c *Client) failure(op, fix string, err error) error {
	e := &Error{Op: op, Detail: err.Error(), Err: err}
	if r, ok := errors.AsType[*gh.ErrorResponse](err); ok {
		e.Status, e.Detail = r.Response.StatusCode, r.Message
	}
	if r, ok := errors.AsType[*gh.RateLimitError](err); ok {
		e.Status, e.Detail = r.Response.StatusCode, "the rate limit of the API is used up"
	}
	if r, ok := errors.AsType[*gh.AbuseRateLimitError](err); ok {
		e.Status, e.Detail = r.Response.StatusCode, "the API asks to slow down"
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		e.Detail = u.Err.Error() // without the URL: the operation says enough
	}
	if errors.Is(err, context.DeadlineExceeded) {
		e.Detail = "no complete answer in time"
	}
	if e.Status == 401 || e.Status == 404 || e.Status == 403 && errors.As(err, new(*gh.ErrorResponse)) {
		e.Err, e.Fix = fs.ErrPermission, fix
	}
	e.Detail = c.clean(e.Detail)
	return e
}

// clean takes the token out of text, and bounds it.
func (c *Client) clean(text string) string {
	if c.token != "" {
		text = strings.ReplaceAll(text, c.token, "***")
	}
	return strings.ToValidUTF8(text[:min(len(text), 300)], "")
}

var (
	repoName = regexp.MustCompile(`^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$`)
	fullHash = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
)

// splitRepo returns the two halves of "owner/name".
func splitRepo(repo string) (owner, name string, err error) {
	owner, name, _ = strings.Cut(repo, "/")
	if !repoName.MatchString(repo) || strings.Trim(owner, ".") == "" || strings.Trim(name, ".") == "" {
		return "", "", fmt.Errorf("%q is not a repository's owner/name", repo)
	}
	return owner, name, nil
}
