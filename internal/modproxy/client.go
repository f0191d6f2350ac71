package modproxy

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	pathpkg "path"
	"strconv"
	"strings"
	"time"
)

// maxRedirects is how many redirects the go command follows.
const maxRedirects = 10

// A Client asks one module proxy. It is safe for concurrent use.
type Client struct {
	// Base is the proxy's URL: http, https or file. A query is sent with every
	// request, as the go command does.
	Base *url.URL
	// HTTP makes the single requests; redirects are followed here.
	HTTP http.RoundTripper
	// User is sent as Basic authentication over https and only to Base's own
	// host; nil sends none.
	User *url.Userinfo
}

// An Answer is a response with status 200 or, if the rest of a file was asked
// for, 206.
type Answer struct {
	Body io.ReadCloser // to be closed by the caller
	Host string        // host[:port] that sent it, after redirects; "" for a file
	Size int64         // length of the whole file, -1 if it is not known beforehand
	From int64         // offset of the body's first byte: 0 if it is the whole file
	ETag string        // names these very bytes; "" if the server does not
	// Framed says that the end of the body can be told from a connection that
	// was cut.
	Framed bool

	url    string
	client *Client
}

// Get asks for path, which is unescaped and relative to the base. The error is
// an [*Error]. The body is not bounded; see [Answer.ReadAll].
func (c *Client) Get(ctx context.Context, path string) (*Answer, error) {
	return c.Resume(ctx, path, Resume{})
}

// Resume is [Client.Get] for the rest of a file. A server may send the whole
// file instead: [Answer].From tells. It may also refuse by the status 416.
func (c *Client) Resume(ctx context.Context, path string, r Resume) (*Answer, error) {
	u := c.url(path)
	if u.Scheme == "file" {
		return c.open(u, r)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, c.fail(u.String(), err)
	}
	// Compressed bytes would hide the length, and a hash is taken of the file.
	req.Header.Set("Accept-Encoding", "identity")
	r.header(req.Header)
	if c.User != nil && u.Scheme == "https" {
		password, _ := c.User.Password()
		req.SetBasicAuth(c.User.Username(), password)
	}
	resp, err := (&http.Client{Transport: c.HTTP, CheckRedirect: c.checkRedirect}).Do(req)
	if err != nil {
		return nil, c.fail(u.String(), err)
	}
	final := resp.Request.URL
	framed := resp.ContentLength >= 0 || resp.ProtoMajor > 1 || len(resp.TransferEncoding) > 0
	a := &Answer{Body: resp.Body, Host: final.Host, Size: resp.ContentLength, ETag: strongETag(resp.Header), Framed: framed, url: final.String(), client: c}
	switch {
	case resp.StatusCode == http.StatusOK:
		return a, nil
	case resp.StatusCode == http.StatusPartialContent && r.From > 0:
		if a.Size, err = r.served(resp); err != nil {
			resp.Body.Close()
			e := c.fail(a.url, err)
			e.Status = resp.StatusCode
			return nil, e
		}
		a.From = r.From
		return a, nil
	}
	e := a.refused(resp.StatusCode)
	e.RetryAfter = retryAfter(resp.Header.Get("Retry-After"))
	return nil, e
}

// maxRetryAfter bounds what a server may ask for.
const maxRetryAfter = 7 * 24 * time.Hour

// retryAfter returns how long a server asks to wait, 0 if it does not say.
//
// Source: RFC 9110, section 10.2.3.
func retryAfter(header string) (d time.Duration) {
	if seconds, err := strconv.Atoi(header); err == nil {
		d = time.Duration(min(seconds, 1<<20)) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		d = time.Until(at)
	}
	return min(max(0, d), maxRetryAfter)
}

// url returns the URL of path, escaped as the go command does it.
func (c *Client) url(path string) *url.URL {
	u := *c.Base
	u.User = nil
	escaped := strings.ReplaceAll(url.PathEscape(path), "%2F", "/")
	u.RawPath = pathpkg.Join("/", u.EscapedPath(), escaped)
	u.Path = pathpkg.Join("/", u.Path, path)
	return &u
}

// checkRedirect follows as the go command does, and sends the credentials
// nowhere but to the proxy itself.
func (c *Client) checkRedirect(req *http.Request, via []*http.Request) error {
	if c.Base.Scheme == "https" && req.URL.Scheme != "https" {
		return ErrInsecureRedirect
	}
	if len(via) >= maxRedirects {
		return ErrTooManyRedirects
	}
	if req.URL.Host != c.Base.Host {
		req.Header.Del("Authorization")
	}
	// The base's query may be a token, and signed URLs are tokens: neither is
	// the next host's business.
	req.Header.Del("Referer")
	return nil
}

// refused closes the body and returns the error for a status other than 200.
func (a *Answer) refused(status int) *Error {
	defer a.Body.Close()
	e := a.client.fail(a.url, nil)
	e.Status = status
	begin, _ := io.ReadAll(io.LimitReader(a.Body, 4*excerptSize)) // as much as came is good enough
	e.Text = Excerpt([]byte(a.client.Hide(string(begin))))
	if status == http.StatusUnauthorized {
		e.Fix = fmt.Sprintf("put login and password for machine %s into the file that NETRC names", a.Host)
	}
	return e
}

// ReadAll reads the whole body and closes it. The error is an [*Error]; it
// wraps [ErrTooLarge] if the body is longer than limit bytes, of which no more
// is then read.
func (a *Answer) ReadAll(limit int64) ([]byte, error) {
	data, err := a.ReadStart(limit + 1)
	if err == nil && int64(len(data)) > limit {
		e := a.client.fail(a.url, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit))
		e.Status = http.StatusOK
		return nil, e
	}
	return data, err
}

// ReadStart reads the first n bytes of the body, fewer if it is shorter, and
// closes it. What was read before an error is returned with it.
func (a *Answer) ReadStart(n int64) ([]byte, error) {
	defer a.Body.Close()
	data, err := io.ReadAll(io.LimitReader(a.Body, n))
	if err != nil {
		e := a.client.fail(a.url, err)
		e.Status = http.StatusOK
		return data, e
	}
	return data, nil
}
