package proxytest

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A folder in the layout of a download cache is served with its checksum
// database; what the go command keeps there beside module files is not.
func TestDir(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, data []byte) {
		t.Helper()
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	zip, err := recorded.ReadFile("testdata/public" + quoteZip)
	if err != nil {
		t.Fatal(err)
	}
	const at = "example.com/!disk/quote/@v/v1.5.2"
	write(at+".zip", zip)
	write(at+".mod", []byte("module example.com/Disk/quote\n"))
	write(at+".info", []byte(`{"Version":"v1.5.2"}`))
	write(at+".lock", nil)
	write("cache/lock", nil)

	const h1 = "h1:noted"
	write(at+".ziphash", []byte(h1))
	p := New(t, Options{Dir: dir})
	for _, tt := range []struct {
		path, body string
		status     int
	}{
		{at + ".zip", string(zip), 200},
		{at + ".info", `{"Version":"v1.5.2"}`, 200},
		{at + ".lock", "not found", 404},
		{at + ".ziphash", "not found", 404},
		{"example.com/!disk/quote/@v/list", "v1.5.2\n", 200},
		{"example.com/!disk/quote/@latest", `{"Version":"v1.5.2"}`, 200},
		{quoteZip[1:], string(zip), 200}, // the server's own modules are still there
		{"sumdb/" + SumDBName + "/lookup/example.com/!disk/quote@v1.5.2", "", 200},
	} {
		resp, body, err := get(t, p.URL+"/"+tt.path)
		if err != nil || resp.StatusCode != tt.status || !strings.HasPrefix(string(body), tt.body) {
			t.Errorf("%s: %v, %v, %.50q", tt.path, resp, err, body)
		}
		if strings.Contains(tt.path, "lookup") && !strings.Contains(string(body), "v1.5.2 "+h1+"\nexample.com/Disk/quote v1.5.2/go.mod h1:") {
			t.Errorf("the database does not say what the go command noted:\n%s", body)
		}
	}
}

func TestRange(t *testing.T) {
	p := New(t, Options{})
	whole, zip, err := get(t, p.URL+quoteZip)
	if err != nil {
		t.Fatal(err)
	}
	etag, size := whole.Header.Get("ETag"), len(zip)
	for _, tt := range []struct {
		name, fault, header, ifRange string
		status                       int
		body                         []byte
		contentRange                 string
		err                          error
	}{
		{"from the middle", "", "bytes=100-", "", 206, zip[100:], fmt.Sprintf("bytes 100-%d/%d", size-1, size), nil},
		{"a part", "", "bytes=100-109", etag, 206, zip[100:110], fmt.Sprintf("bytes 100-109/%d", size), nil},
		{"more than there is", "", "bytes=0-99999999", etag, 206, zip, fmt.Sprintf("bytes 0-%d/%d", size-1, size), nil},
		{"behind the end", "", fmt.Sprintf("bytes=%d-", size), "", 416, nil, fmt.Sprintf("bytes */%d", size), nil},
		{"another file", "", "bytes=100-", `"other"`, 200, zip, "", nil},
		{"other bytes have another tag", "/wrong-bytes", "bytes=100-", etag, 200, nil, "", nil},
		{"cut again", "/cut", "bytes=100-", "", 206, zip[100 : 100+(size-100)/2], fmt.Sprintf("bytes 100-%d/%d", size-1, size), io.ErrUnexpectedEOF},
	} {
		req, err := http.NewRequestWithContext(t.Context(), "GET", p.URL+tt.fault+quoteZip, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Range", tt.header)
		if tt.ifRange != "" {
			req.Header.Set("If-Range", tt.ifRange)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if resp.StatusCode != tt.status || err != tt.err || tt.body != nil && !bytes.Equal(body, tt.body) || resp.Header.Get("Content-Range") != tt.contentRange {
			t.Errorf("%s: %s, %d bytes, %v, %q", tt.name, resp.Status, len(body), err, resp.Header.Get("Content-Range"))
		}
	}
}

// A fault that is set at run time may spare the first requests of its kind.
func TestFaultBeginsLater(t *testing.T) {
	p := New(t, Options{})
	p.SetFault("zip:403@2+mod:500@1")
	var got []int
	for _, ext := range []string{"zip", "mod", "zip", "zip", "mod", "zip", "info"} {
		resp, _, err := get(t, p.URL+"/rsc.io/quote/@v/v1.5.2."+ext)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, resp.StatusCode)
	}
	if want := "[200 200 200 403 500 403 200]"; fmt.Sprint(got) != want {
		t.Errorf("got %v; want %s", got, want)
	}
}

// About that percentage of requests fails, and in every run the same.
func TestFlaky(t *testing.T) {
	run := func() (pattern string) {
		p := New(t, Options{})
		for range 400 {
			resp, _, err := get(t, p.URL+"/flaky=30/rsc.io/quote/@v/v1.5.2.info")
			if err != nil {
				t.Fatal(err)
			}
			pattern += resp.Status[:1]
		}
		return pattern
	}
	first := run()
	if failed := strings.Count(first, "5"); failed < 90 || failed > 150 {
		t.Errorf("%d of 400 failed; want about 120", failed)
	}
	if second := run(); second != first {
		t.Error("a second run fails elsewhere")
	}
}

// After "vanish" the port refuses, for those who were connected, too.
func TestVanish(t *testing.T) {
	p := New(t, Options{})
	p.SetFault("vanish@1")
	if resp, _, err := get(t, p.URL+quoteZip); err != nil || resp.StatusCode != 200 {
		t.Fatalf("before: %v, %v", resp, err)
	}
	if _, _, err := get(t, p.URL+quoteZip); err == nil {
		t.Error("the request that it vanishes at is answered")
	}
	if conn, err := net.DialTimeout("tcp", strings.TrimPrefix(p.URL, "http://"), time.Second); err == nil {
		conn.Close()
		t.Error("it still accepts")
	}
}

// Behind a link everything works as without: what it costs, TestLink shows.
func TestBehindLink(t *testing.T) {
	p := New(t, Options{Link: NewLink(2*time.Millisecond, 1_000_000_000)})
	for _, tt := range []struct{ fault, want string }{
		{"", "200 <nil>"},
		{"/close", "EOF"},
		{"/reset", "connection reset by peer"},
		{"/cut", "200 unexpected EOF"},
		{"/cut-silent", "200 <nil>"},
		{"/slow=1ms", "200 <nil>"},
	} {
		resp, _, err := get(t, p.URL+tt.fault+quoteZip)
		got := fmt.Sprint(err)
		if resp != nil {
			got = fmt.Sprint(resp.StatusCode, " ", err)
		}
		if !strings.HasSuffix(got, tt.want) {
			t.Errorf("%s: got %s; want %s", tt.fault, got, tt.want)
		}
	}
}
