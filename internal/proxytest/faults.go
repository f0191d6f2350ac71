package proxytest

import (
	"archive/zip"
	"bytes"
	"cmp"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

const (
	// User and Password are what the fault "auth" asks for.
	User, Password = "ci", "secret"

	// endlessLength is the length that the fault "endless" announces.
	endlessLength = 10 << 30

	portalPath = "/portal/"
	portalPage = "<!DOCTYPE html>\n<html><head><title>Guest network</title></head>" +
		"<body><h1>Please sign in to use the network</h1></body></html>\n"
	hostileText = "::error file=go.mod,line=1::forged\r\n##[error]forged\n::set-output name=goproxy::forged\n" +
		"\x1b[31mred\x1b[0m </code><script>alert(1)</script> ${{ secrets.TOKEN }} $(touch forged) `id` \u202e\n"
)

// faults is every fault there is; the package comment says what they do. Each
// returns true if it has answered, false if the next rule may.
var faults = map[string]func(x *exchange, arg string) (answered bool){
	"ok": func(*exchange, string) bool { return false },
	"as": nil, // exchange.serve does it

	// Answers.
	"status":  (*exchange).status,
	"auth":    (*exchange).auth,
	"html":    func(x *exchange, _ string) bool { return x.replace(200, "text/html; charset=utf-8", portalPage) },
	"empty":   func(x *exchange, _ string) bool { return x.replace(200, "text/plain", "") },
	"hostile": func(x *exchange, _ string) bool { return x.replace(502, "text/plain", hostileText) },
	"endless": (*exchange).endless,
	"flaky":   (*exchange).flaky,

	// Redirects.
	"redirect":        func(x *exchange, code string) bool { return x.redirect(code, "") },
	"redirect-loop":   func(x *exchange, code string) bool { return x.redirectTo(code, x.r.RequestURI) },
	"redirect-host":   func(x *exchange, code string) bool { return x.redirect(code, x.otherHost()) },
	"redirect-dead":   func(x *exchange, code string) bool { return x.redirect(code, x.at(x.s.Refuse)) },
	"redirect-silent": func(x *exchange, code string) bool { return x.redirect(code, x.at(x.s.Silent)) },
	"portal-redirect": func(x *exchange, code string) bool {
		return x.redirectTo(code, x.otherHost()+portalPath+"login")
	},

	// Time.
	"slow":   (*exchange).slow,
	"silent": func(x *exchange, _ string) bool { return x.abort(forever) },
	"stall":  func(x *exchange, _ string) bool { x.half(); return x.abort(forever) },

	// Connections.
	"cut":        func(x *exchange, _ string) bool { x.half(); return x.abort(0) },
	"cut-silent": (*exchange).cutSilent,
	"short":      (*exchange).short,
	"close":      func(x *exchange, _ string) bool { x.hijack().Close(); return true },
	"reset":      (*exchange).reset,
	"vanish":     func(x *exchange, _ string) bool { x.s.http[0].Close(); return x.abort(0) },

	// Content.
	"wrong-bytes": (*exchange).wrongBytes,
	"corrupt-zip": (*exchange).corruptZip,
	"wrong-info":  (*exchange).wrongInfo,
	"forged":      (*exchange).forged,
}

// status answers arg, a status code; after "=" may stand the value of Retry-After.
func (x *exchange) status(arg string) bool {
	arg, retryAfter, _ := strings.Cut(arg, "=")
	code, _ := strconv.Atoi(arg) // checked by parseFault
	x.replace(code, "text/plain; charset=utf-8", fmt.Sprintf("proxytest: %d %s\n", code, http.StatusText(code)))
	h := x.answer.Header()
	switch code {
	case http.StatusUnauthorized:
		h.Set("WWW-Authenticate", `Basic realm="proxytest"`)
	case http.StatusTooManyRequests:
		h.Set("Retry-After", cmp.Or(retryAfter, "1"))
	case http.StatusServiceUnavailable:
		if retryAfter != "" {
			h.Set("Retry-After", retryAfter)
		}
	}
	x.send()
	return true
}

func (x *exchange) auth(string) bool {
	if u, p, ok := x.r.BasicAuth(); ok && u == User && p == Password {
		return false
	}
	return x.status("401")
}

// flaky answers 503 to that percentage of requests. Which ones is decided by
// their path and by how often it was asked for: in every run the same.
func (x *exchange) flaky(percent string) bool {
	limit, _ := strconv.Atoi(percent) // checked by parseFault
	sum := sha256.Sum256(fmt.Appendf(nil, "%s %d", x.path, x.nth))
	return int(binary.BigEndian.Uint32(sum[:]))%100 < limit && x.status("503")
}

// endless sends version lines until the client or the server leaves.
func (x *exchange) endless(string) bool {
	x.w.Header().Set("Content-Length", fmt.Sprint(int64(endlessLength)))
	x.w.Header().Set("Content-Type", x.answer.Header().Get("Content-Type"))
	block := bytes.Repeat([]byte("v1.0.0\n\n"), 4096)
	for sent := 0; sent < endlessLength; sent += len(block) {
		if _, err := x.w.Write(block); err != nil {
			break
		}
	}
	return true
}

// redirect leads to the same file, without faults, on another host or, if it
// is "", on this one.
func (x *exchange) redirect(code, host string) bool {
	return x.redirectTo(code, host+(&url.URL{Path: x.path}).EscapedPath())
}

func (x *exchange) redirectTo(code, url string) bool {
	c, _ := strconv.Atoi(cmp.Or(code, "302")) // checked by parseFault
	http.Redirect(x.w, x.r, url, c)
	return true
}

func (x *exchange) slow(arg string) bool {
	d, _ := time.ParseDuration(arg) // checked by parseFault
	return !x.wait(d)
}

// cutSilent sends half the body so that it looks whole: no length, no chunks.
func (x *exchange) cutSilent(string) bool {
	body := x.answer.Body.Bytes()[:x.answer.Body.Len()/2]
	if x.r.ProtoMajor == 2 {
		x.w.Write(body) // without a length, the end of the stream is the end
		return true
	}
	conn := x.hijack()
	defer conn.Close()
	fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: %s\r\n\r\n%s",
		x.answer.Header().Get("Content-Type"), body)
	return true
}

// short makes the body half as long, and says so: no sign tells that the other
// half is missing.
func (x *exchange) short(string) bool {
	half := x.answer.Body.Bytes()[:x.answer.Body.Len()/2]
	return x.replace(x.answer.Code, x.answer.Header().Get("Content-Type"), string(half))
}

// reset closes the connection by RST.
func (x *exchange) reset(string) bool {
	conn := x.hijack()
	if c, ok := conn.(interface{ NetConn() net.Conn }); ok { // below TLS
		conn = c.NetConn()
	}
	if tcp, ok := conn.(interface{ SetLinger(int) error }); ok {
		tcp.SetLinger(0)
	}
	conn.Close()
	return true
}

// wrongBytes makes the file another one of the right form: a valid zip with
// one file changed, a go.mod with one more comment, a lookup with another h1.
func (x *exchange) wrongBytes(string) bool {
	body := x.answer.Body.Bytes()
	switch {
	case x.answer.Code != http.StatusOK:
	case strings.HasSuffix(x.path, ".zip"):
		body = changedZip(body)
	case strings.HasSuffix(x.path, ".mod"):
		body = append(body, "\n// changed\n"...)
	case strings.Contains(x.path, "/lookup/"):
		body = regexp.MustCompile(`h1:.{43}`).ReplaceAll(body, []byte("h1:"+strings.Repeat("A", 43)))
	}
	return x.replace(x.answer.Code, x.answer.Header().Get("Content-Type"), string(body))
}

// changedZip returns the zip with a newline at the end of its first file.
func changedZip(data []byte) []byte {
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return data
	}
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for i, f := range r.File {
		if i > 0 {
			w.Copy(f)
			continue
		}
		dst, _ := w.Create(f.Name) // in memory: the errors are those of a bad zip, which is ours
		src, err := f.Open()
		if err != nil {
			return data
		}
		io.Copy(dst, src)
		io.WriteString(dst, "\n")
	}
	w.Close()
	return out.Bytes()
}

// corruptZip flips one byte of the first file's compressed data: the directory
// is intact, the file's checksum is not.
func (x *exchange) corruptZip(string) bool {
	data := x.answer.Body.Bytes()
	r, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return false // no zip
	}
	for _, f := range r.File {
		if off, err := f.DataOffset(); err == nil && f.CompressedSize64 > 0 {
			data = bytes.Clone(data)
			data[off+int64(f.CompressedSize64)/2] ^= 0xff
			return x.replace(200, "application/zip", string(data))
		}
	}
	return false
}

func (x *exchange) wrongInfo(string) bool {
	if strings.HasSuffix(x.path, ".info") || strings.HasSuffix(x.path, "/@latest") {
		return x.replace(200, "application/json", `{"Version":"v9.9.9","Time":"2024-01-02T03:04:05Z"}`)
	}
	return false
}

// forged signs the answer of the checksum database by another key of the same name.
func (x *exchange) forged(string) bool {
	body := x.answer.Body.String()
	tree := strings.Index(body, "go.sum database tree\n")
	name := regexp.MustCompile(`(?m)^— (\S+) \S+$`).FindStringSubmatch(body)
	if tree < 0 || name == nil {
		return false
	}
	record, signed := body[:tree], body[tree:]
	text, _, _ := strings.Cut(signed, "\n\n")
	skey, _, err := note.GenerateKey(rand.Reader, name[1])
	if err != nil {
		panic(err) // the name comes from a valid key
	}
	signer, err := note.NewSigner(skey)
	if err != nil {
		panic(err)
	}
	msg, err := note.Sign(&note.Note{Text: text + "\n"}, signer)
	if err != nil {
		panic(err)
	}
	return x.replace(200, "text/plain", record+string(msg))
}
