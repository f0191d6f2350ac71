package proxytest

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An exchange is one request and the answer on its way through the faults.
type exchange struct {
	s      *Server
	w      http.ResponseWriter
	r      *http.Request
	prefix string // the faults at the front of the URL
	path   string // below the proxy's URL, without faults
	nth    int    // this URL is asked for the nth time
	answer *httptest.ResponseRecorder
}

// serve applies the rules in order. If none of them answers, what has become
// of the answer is sent. Its error is a case module's misspelt fault.
func (x *exchange) serve(rules []rule) error {
	x.answer = x.s.healthy(x.r, x.path)
	kinds := x.kinds()
	for i := 0; i < len(rules); i++ {
		r := rules[i]
		switch {
		case r.kind != "" && !slices.Contains(kinds, r.kind), x.spared(r):
		case r.fault == "as":
			more, err := caseRules(x.path, r.arg)
			if err != nil {
				return err
			}
			rules = slices.Insert(rules, i+1, more...)
		case faults[r.fault](x, r.arg):
			return nil
		}
	}
	x.send()
	return nil
}

// spared reports whether the rule does not yet concern this request.
func (x *exchange) spared(r rule) bool {
	if r.after == 0 {
		return false
	}
	x.s.mu.Lock()
	defer x.s.mu.Unlock()
	key := x.prefix + " " + r.text
	x.s.spared[key]++
	return x.s.spared[key] <= r.after
}

// send sends the answer with an honest length.
func (x *exchange) send() {
	x.header()
	x.w.Write(x.answer.Body.Bytes())
}

func (x *exchange) header() {
	x.cutRange()
	maps.Copy(x.w.Header(), x.answer.Header())
	if code := x.answer.Code; code != http.StatusNoContent && code != http.StatusNotModified {
		x.w.Header().Set("Content-Length", strconv.Itoa(x.answer.Body.Len()))
	}
	x.w.WriteHeader(x.answer.Code)
}

var openRange = regexp.MustCompile(`^bytes=([0-9]+)-([0-9]*)$`)

// cutRange makes the answer the part of a file that the client asks for.
func (x *exchange) cutRange() {
	m := openRange.FindStringSubmatch(x.r.Header.Get("Range"))
	etag := x.answer.Header().Get("ETag")
	if m == nil || etag == "" || x.answer.Code != http.StatusOK || x.r.Method != http.MethodGet {
		return
	}
	if want := x.r.Header.Get("If-Range"); want != "" && want != etag {
		return
	}
	size := x.answer.Body.Len()
	from, err := strconv.Atoi(m[1])
	to, err2 := strconv.Atoi(cmp.Or(m[2], strconv.Itoa(size-1)))
	if to = min(to, size-1); err != nil || err2 != nil || from > to {
		x.replace(http.StatusRequestedRangeNotSatisfiable, "text/plain", "")
		x.answer.Header().Set("Content-Range", fmt.Sprintf("bytes */%d", size))
		return
	}
	x.answer.Code = http.StatusPartialContent
	x.answer.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, size))
	x.answer.Body = bytes.NewBuffer(slices.Clip(x.answer.Body.Bytes()[from : to+1]))
}

// half sends the header and the first half of the body, and sees that they
// leave. A body too short for that is made longer.
func (x *exchange) half() {
	x.cutRange()
	for x.answer.Body.Len() < 2 {
		x.answer.Body.WriteString("\n")
	}
	x.header()
	x.w.Write(x.answer.Body.Bytes()[:x.answer.Body.Len()/2])
	http.NewResponseController(x.w).Flush()
}

// replace makes the answer another one; it returns false, as a fault does that
// has not yet answered.
func (x *exchange) replace(code int, contentType, body string) bool {
	x.answer = httptest.NewRecorder()
	x.answer.Code = code
	x.answer.Header().Set("Content-Type", contentType)
	x.answer.Body.WriteString(body)
	return false
}

const forever = time.Duration(1<<63 - 1)

// wait returns false if the client or the server went away meanwhile.
func (x *exchange) wait(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-x.r.Context().Done():
	case <-x.s.done:
	}
	return false
}

// abort waits and then breaks the answer off: over HTTP/1 by closing the
// connection, over HTTP/2 by ending the stream with INTERNAL_ERROR.
func (x *exchange) abort(after time.Duration) bool {
	x.wait(after)
	panic(http.ErrAbortHandler)
}

// hijack takes the connection; HTTP/2 has none to give, so there it aborts.
func (x *exchange) hijack() net.Conn {
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	return conn
}

// at returns the base URL of an address that speaks as the server does.
func (x *exchange) at(addr string) string {
	if x.r.TLS != nil {
		return "https://" + addr
	}
	return "http://" + addr
}

// otherHost returns the base URL of the second port under the name by which
// the client knows the first.
func (x *exchange) otherHost() string {
	_, other, _ := strings.Cut(x.s.Other, "://")
	_, port, err := net.SplitHostPort(other)
	if err != nil {
		return x.s.Other
	}
	return x.at(net.JoinHostPort(strings.Trim(hostname(x.r.Host), "[]"), port))
}
