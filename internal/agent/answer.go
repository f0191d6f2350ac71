package agent

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/org/goproxy-setup/internal/agent/pool"
	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/agent/upstream"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/modproxy"
)

// A refusal is an answer without a file. Handlers return it as an error.
type refusal struct {
	status     int
	text       string // for the go command's user
	retryAfter time.Duration
	result     Result
}

func (r *refusal) Error() string { return r.text }

// statusFor is the only place that turns a verdict into an HTTP status. The go
// command moves past a comma after 404 and 410 alone, so a failing proxy must
// never become one: a build would quietly go elsewhere.
func statusFor(v pool.Verdict) int {
	switch v {
	case pool.Absent:
		return http.StatusNotFound
	case pool.Denied:
		return http.StatusForbidden
	case pool.Unavailable:
		return http.StatusServiceUnavailable
	case pool.TimedOut:
		return http.StatusGatewayTimeout
	}
	return http.StatusBadGateway // failed, tampered, and whatever a new version brings
}

// resultFor returns the same for meters and reports.
func resultFor(v pool.Verdict) Result {
	switch v {
	case pool.Absent:
		return ResultAbsent
	case pool.Denied:
		return ResultDenied
	}
	return ResultFailed
}

// refused returns the answer for err, an error of the pool or of this machine.
// what names the file for people.
func refused(what string, err error) *refusal {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r
	}
	e, ok := errors.AsType[*pool.Error](err)
	switch {
	case ok && e.Local == nil:
		return &refusal{statusFor(e.Verdict), explain(what, e), e.RetryAfter(), resultFor(e.Verdict)}
	case errors.Is(err, store.ErrFull):
		return &refusal{status: http.StatusServiceUnavailable, result: ResultFailed,
			text: what + ": the agent's disk or store is full: " + err.Error() + "\nnext: raise store.max_size, or free space"}
	}
	return &refusal{status: http.StatusServiceUnavailable, result: ResultFailed, text: what + ": " + err.Error()}
}

// explain says in a few lines why no proxy could serve a file.
func explain(what string, e *pool.Error) string {
	lines := []string{headline(what, e)}
	next := ""
	for _, o := range e.Outcomes {
		if o.Class == upstream.NotAsked && o.Detail == "not asked" && e.Verdict == pool.Denied {
			continue
		}
		lines = append(lines, o.Proxy+": "+o.Detail)
		if next == "" {
			next = o.Next
		}
	}
	if next != "" {
		lines = append(lines, "next: "+next)
	}
	return strings.Join(lines, "\n")
}

// headline says the same without a word of the proxies.
func headline(what string, e *pool.Error) string {
	switch e.Verdict {
	case pool.Absent:
		return "not found: " + what
	case pool.Denied:
		return what + " is not allowed"
	case pool.Tampered:
		return what + ": SECURITY ERROR: every proxy that has it sends other bytes than it must have.\n" +
			"They were changed on the way, or the version was changed after it was published."
	}
	return "no module proxy could serve " + what + "; this does not mean that it does not exist"
}

const askOperator = "\nnext: ask whoever runs this agent; its log has the cause"

// forStrangers returns r, the answer to err, for somebody who may not know which
// proxies the agent asks. A gatekeeper's words are for whoever wants the module.
func forStrangers(what string, r *refusal, err error) *refusal {
	e, ok := errors.AsType[*pool.Error](err)
	if !ok {
		return r
	}
	s := *r
	s.text = what + ": the agent cannot keep it"
	if e.Local == nil {
		s.text = headline(what, e)
		for _, o := range e.Outcomes {
			if o.Gatekeeper && o.Class == decision.Forbidden {
				s.text += "\n" + o.Detail
			}
		}
	}
	if r.result == ResultFailed {
		s.text += askOperator
	}
	return &s
}

// What the go command shows of an error's body. It prints nothing at all if one
// byte is not graphic, and stops at an empty line.
//
// Source: readErrorBody and formatBody in cmd/go/internal/web of Go 1.26.
const (
	maxBodyLines = 8
	maxBodyBytes = 640
)

// shown returns text as the go command will show it to its user.
func shown(text string) string {
	var b strings.Builder
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		line = modproxy.Line(line)
		if line == "" {
			continue
		}
		room := maxBodyBytes - b.Len() - 1
		if n++; n > maxBodyLines || room < 8 {
			break
		}
		if len(line) > room {
			line = line[:room-len("…")]
			for !utf8.ValidString(line) {
				line = line[:len(line)-1]
			}
			line += "…"
		}
		b.WriteString(line + "\n")
	}
	return b.String()
}

// write sends the refusal.
func (r *refusal) write(w http.ResponseWriter) {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cache-Control", "no-store")
	if r.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int((r.retryAfter+time.Second-1)/time.Second)))
	}
	w.WriteHeader(r.status)
	fmt.Fprint(w, shown(r.text))
}
