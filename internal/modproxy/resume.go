package modproxy

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
)

// ErrRange means that a server was asked for the rest of a file and answered
// with another part, or did not say with which; it stands in [Error].Err.
var ErrRange = errors.New("answer is another part of the file")

// A Resume asks for the rest of a file that was begun before. The zero value
// asks for all of it.
type Resume struct {
	From int64 // offset of the first byte that is wanted
	// Size is how long the whole file must be, -1 or 0 if that is not known: the
	// rest of a file of another size is refused.
	Size int64
	// ETag is the file's as it was begun, from an [Answer]. If the server's is
	// another one now, it sends the whole file instead; "" does not ask for that.
	ETag string
}

// header sets what the request says of it.
func (r Resume) header(h http.Header) {
	if r.From <= 0 {
		return
	}
	h.Set("Range", fmt.Sprintf("bytes=%d-", r.From))
	if r.ETag != "" {
		h.Set("If-Range", r.ETag)
	}
}

// served returns the size of the whole file, of which resp, with the status
// 206, is to bring the rest.
//
// Source: RFC 9110, section 14.4.
func (r Resume) served(resp *http.Response) (size int64, err error) {
	header := resp.Header.Get("Content-Range")
	part, total, ok := strings.Cut(strings.TrimPrefix(header, "bytes "), "/")
	first, last, ok2 := strings.Cut(part, "-")
	if !ok || !ok2 || !strings.HasPrefix(header, "bytes ") {
		return 0, fmt.Errorf("%w: Content-Range is %q", ErrRange, Excerpt([]byte(header)))
	}
	from, err1 := offset(first)
	to, err2 := offset(last)
	size, err3 := offset(total)
	length := resp.ContentLength
	switch {
	case errors.Join(err1, err2, err3) != nil,
		from != r.From, to != size-1, length >= 0 && length != size-from:
		return 0, fmt.Errorf("%w: asked for bytes %d to the end, Content-Range is %q", ErrRange, r.From, Excerpt([]byte(header)))
	case r.Size > 0 && size != r.Size:
		return 0, fmt.Errorf("%w: the file has %d bytes now, and had %d", ErrRange, size, r.Size)
	}
	return size, nil
}

// offset parses digits and nothing else.
func offset(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 63)
	return int64(n), err
}

// strongETag returns the response's ETag, "" if it has none that names bytes.
func strongETag(h http.Header) string {
	tag := h.Get("ETag")
	if len(tag) < 3 || len(tag) > 256 || tag[0] != '"' || tag[len(tag)-1] != '"' {
		return "" // weak, or none
	}
	return tag
}
