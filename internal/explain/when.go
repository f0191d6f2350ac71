package explain

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/policy"
)

// A When is something that a proxy does, as a word of "--when".
type When struct {
	Word string
	Text string // what it is, a few words
	// Answer is how go sees it.
	Answer goenv.Answer
	// Wait is how long go waits for one request before it gives up, by limits
	// of its own; 0 if it knows at once. It has none for [goenv.Hang].
	Wait time.Duration
	// ZipOnly says that it can happen to zips alone.
	ZipOnly bool
}

// The limits that go has. Source: net/http.DefaultTransport, and the resolver's
// two tries of five seconds.
const (
	connectLimit = 30 * time.Second
	tlsLimit     = 10 * time.Second
	dnsLimit     = 10 * time.Second
)

// words are the words of --when that are no status.
var words = []When{
	{Word: "ok", Text: "the right file", Answer: goenv.OK},
	{Word: "refused", Text: "connection refused", Answer: goenv.Unreachable},
	{Word: "reset", Text: "connection cut before an answer", Answer: goenv.Unreachable},
	{Word: "dns", Text: "no such host", Answer: goenv.Unreachable},
	{Word: "dns-timeout", Text: "the name server is silent", Answer: goenv.Unreachable, Wait: dnsLimit},
	{Word: "timeout", Text: "no connection", Answer: goenv.Unreachable, Wait: connectLimit},
	{Word: "tls", Text: "bad certificate or no common protocol", Answer: goenv.Unreachable},
	{Word: "tls-timeout", Text: "connects, never speaks TLS", Answer: goenv.Unreachable, Wait: tlsLimit},
	{Word: "redirect-loop", Text: "more than 10 redirects", Answer: goenv.Unreachable},
	{Word: "silent", Text: "connects, never answers", Answer: goenv.Hang},
	{Word: "stall", Text: "falls silent within the body", Answer: goenv.Hang},
	{Word: "cut", Text: "body shorter than announced", Answer: goenv.Broken},
	{Word: "cut-silent", Text: "body cut without a sign of it", Answer: goenv.Truncated},
	{Word: "cut-zip", Text: "zip cut without a sign of it", Answer: goenv.Truncated, ZipOnly: true},
	{Word: "html", Text: "200 with a web page", Answer: goenv.Garbage},
	{Word: "empty", Text: "200 without a body", Answer: goenv.Garbage},
	{Word: "corrupt-zip", Text: "a zip that does not unpack", Answer: goenv.Garbage, ZipOnly: true},
	{Word: "wrong", Text: "the right form, but other bytes", Answer: goenv.Wrong},
}

// aliases are other names for the same.
var aliases = map[string]string{
	"hang": "silent", "portal": "html", "tampered": "wrong", "wrong-bytes": "wrong", "nxdomain": "dns", "close": "reset", "unreachable": "refused",
}

// Words returns the words of --when that are no status.
func Words() []string {
	var list []string
	for _, w := range words {
		list = append(list, w.Word)
	}
	return list
}

// ParseWhen parses a list of words and HTTP statuses separated by commas. The
// error says which word is unknown and what may have been meant.
func ParseWhen(list string) ([]When, error) {
	var all []When
	for word := range strings.SplitSeq(list, ",") {
		word = strings.ToLower(strings.TrimSpace(word))
		if word == "" {
			continue
		}
		w, err := parseWord(word)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(all, func(o When) bool { return o.Word == w.Word }) {
			all = append(all, w)
		}
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("an empty list; write statuses and words, as in 404,502,timeout,html")
	}
	return all, nil
}

func parseWord(word string) (When, error) {
	if n, err := strconv.Atoi(word); err == nil {
		return parseStatus(word, n)
	}
	if other, ok := aliases[word]; ok {
		word = other
	}
	i := slices.IndexFunc(words, func(w When) bool { return w.Word == word })
	if i < 0 {
		return When{}, fmt.Errorf("unknown word %q (%s)", word, policy.Suggest(word, append(Words(), "404", "410", "403", "502")))
	}
	return words[i], nil
}

// statusText is what the usual statuses mean when a module proxy answers them.
var statusText = map[int]string{
	200: "the right file", 204: "no content", 304: "not modified", 400: "bad request", 401: "no or wrong credentials", 403: "not allowed",
	404: "not found", 407: "the forward proxy wants credentials", 410: "not found", 429: "too many requests", 451: "blocked by law",
	500: "internal error", 502: "bad gateway", 503: "unavailable", 504: "gateway time-out",
}

func parseStatus(word string, n int) (When, error) {
	w := When{Word: word, Text: statusText[n], Answer: goenv.Status}
	switch {
	case n < 200 || n > 599:
		return When{}, fmt.Errorf("%s is no status of an answer; write one from 200 to 599", word)
	case n == 200:
		w.Answer = goenv.OK
	case n == 404 || n == 410:
		w.Answer = goenv.Absent
	case n == 301 || n == 302 || n == 303 || n == 307 || n == 308:
		w.Answer, w.Text = goenv.OK, "a redirect, which go follows"
	}
	return w, nil
}
