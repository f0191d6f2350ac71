package modproxy_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/modproxy"
)

const file = "0123456789"

// resume returns what a client gets for r, and the request as it arrived.
func resume(t *testing.T, r modproxy.Resume, h http.HandlerFunc) (from int64, body string, size int64, header http.Header, err error) {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		header = req.Header.Clone()
		h(w, req)
	}))
	defer srv.Close()
	a, err := client(t, srv.URL).Resume(t.Context(), "m/@v/v1.0.0.zip", r)
	if err != nil {
		return 0, "", 0, header, err
	}
	data, err := a.ReadAll(100)
	return a.From, string(data), a.Size, header, err
}

// serve answers as servers do that understand ranges.
func serve(etag string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", etag)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(file))
	}
}

// part answers 206 with a Content-Range of its own choice.
func part(contentRange, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		if contentRange != "" {
			w.Header().Set("Content-Range", contentRange)
		}
		w.WriteHeader(http.StatusPartialContent)
		fmt.Fprint(w, body)
	}
}

func TestResume(t *testing.T) {
	whole := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, file) }
	for _, tt := range []struct {
		name   string
		resume modproxy.Resume
		server http.HandlerFunc
		from   int64
		want   string
		err    string // contained
		status int
	}{
		{name: "all of it", server: serve(`"a"`), want: file},
		{name: "the rest", resume: modproxy.Resume{From: 4, Size: 10}, server: serve(`"a"`), from: 4, want: "456789"},
		{name: "the rest of an unknown size", resume: modproxy.Resume{From: 4, Size: -1}, server: serve(`"a"`), from: 4, want: "456789"},
		{name: "the rest of the same file", resume: modproxy.Resume{From: 4, ETag: `"a"`}, server: serve(`"a"`), from: 4, want: "456789"},
		{name: "another file now", resume: modproxy.Resume{From: 4, ETag: `"a"`}, server: serve(`"b"`), want: file},
		{name: "no ranges here", resume: modproxy.Resume{From: 4}, server: whole, want: file},
		{name: "beyond the end", resume: modproxy.Resume{From: 11}, server: serve(`"a"`), err: "416", status: 416},
		{name: "another size", resume: modproxy.Resume{From: 4, Size: 11}, server: serve(`"a"`), err: "10 bytes now, and had 11", status: 206},
		{name: "another offset", resume: modproxy.Resume{From: 4}, server: part("bytes 5-9/10", "56789"), err: "another part", status: 206},
		{name: "not to the end", resume: modproxy.Resume{From: 4}, server: part("bytes 4-8/10", "45678"), err: "another part", status: 206},
		{name: "unknown total", resume: modproxy.Resume{From: 4}, server: part("bytes 4-9/*", "456789"), err: "another part", status: 206},
		{name: "a body of another length", resume: modproxy.Resume{From: 4}, server: part("bytes 4-9/10", "45678"), err: "another part", status: 206},
		{name: "signs and blanks", resume: modproxy.Resume{From: 4}, server: part("bytes +4- 9/10", "456789"), err: "another part", status: 206},
		{name: "beyond numbers", resume: modproxy.Resume{From: 4}, server: part("bytes 4-9223372036854775807/9223372036854775808", "456789"), err: "another part", status: 206},
		{name: "no Content-Range", resume: modproxy.Resume{From: 4}, server: part("", "456789"), err: "Content-Range is \"\"", status: 206},
		{name: "other units", resume: modproxy.Resume{From: 4}, server: part("lines 4-9/10", "456789"), err: "another part", status: 206},
		{name: "a part that nobody asked for", server: part("bytes 0-9/10", file), err: "206 Partial Content", status: 206},
	} {
		t.Run(tt.name, func(t *testing.T) {
			from, body, size, header, err := resume(t, tt.resume, tt.server)
			if tt.err != "" {
				e, ok := errors.AsType[*modproxy.Error](err)
				if !ok || e.Status != tt.status || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("got %q, %v; want status %d and %q", body, err, tt.status, tt.err)
				}
				return
			}
			if err != nil || from != tt.from || body != tt.want || size != int64(len(file)) {
				t.Errorf("got %q from %d of %d, %v; want %q from %d", body, from, size, err, tt.want, tt.from)
			}
			if asked := header.Get("Range") != ""; asked != (tt.resume.From > 0) || header.Get("If-Range") != tt.resume.ETag {
				t.Errorf("sent %v", header)
			}
		})
	}
}

// Only a strong ETag names bytes.
func TestETag(t *testing.T) {
	for tag, want := range map[string]string{
		`"abc"`: `"abc"`, `W/"abc"`: "", `abc`: "", `""`: "", ``: "", `"`: "",
		`"` + strings.Repeat("x", 300) + `"`: "",
	} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("ETag", tag) }))
		a, err := client(t, srv.URL).Get(t.Context(), quoteMod)
		if err != nil {
			t.Fatal(err)
		}
		a.Body.Close()
		if a.ETag != want {
			t.Errorf("ETag %q is %q; want %q", tag, a.ETag, want)
		}
		srv.Close()
	}
}

func TestResumeFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte(file), 0o666); err != nil {
		t.Fatal(err)
	}
	c := client(t, (&url.URL{Scheme: "file", Path: "/" + strings.TrimPrefix(filepath.ToSlash(dir), "/")}).String())
	for r, want := range map[modproxy.Resume]string{
		{}: file, {From: 4}: "456789", {From: 4, Size: 10}: "456789", {From: 4, Size: 9}: file, {From: 11}: file, {From: 10}: "",
	} {
		a, err := c.Resume(t.Context(), "f", r)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := a.ReadAll(100); err != nil || string(got) != want || file[a.From:] != want || a.Size != 10 {
			t.Errorf("%+v: got %q from %d of %d, %v; want %q", r, got, a.From, a.Size, err, want)
		}
	}
}
