package agent

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/proxytest"
)

// put puts a file into the store.
func (l *lab) put(key, text string, m store.Meta) {
	l.t.Helper()
	sp, err := l.store.Spool()
	if err == nil {
		if _, err = sp.Write([]byte(text)); err == nil {
			err = <-l.store.Commit(sp, key, m)
		}
	}
	if err != nil {
		l.t.Fatal(err)
	}
}

const (
	privateMod = "git.corp.example.com/team/private/@v/v1.0.0.mod"
	wrongMod   = "module rsc.io/quote // other bytes\n"
)

// corp returns a policy with a proxy for private modules before a public one.
func corp(private, public string) string {
	return "private: [git.corp.example.com]\nproxies: {corp: {url: \"" + private + "\", private: true}, pub: {url: \"" + public + "\"}}\n" +
		"environments: {default: {chain: [corp, pub]}}\nAGENT\n"
}

// What was stored when nobody could vouch is fetched anew if it proves wrong,
// and so is what nothing is known of any more.
func TestDoubtfulFilesAreFetchedAgain(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	wrong := checksum.HashGoMod([]byte(wrongMod))
	for _, tt := range []struct {
		name, path, text string
		meta             store.Meta
		policy           string
		grade            store.Grade
	}{
		{"wrong, the database was down", quoteMod, wrongMod, store.Meta{Grade: store.Unvouched, Source: "a", Sum: wrong}, "", store.Verified},
		{"right, its grade is lost", quoteMod, "", store.Meta{Grade: store.Unvouched}, "", store.Verified},
		{"damaged, its grade is lost", quoteMod, "modul", store.Meta{Grade: store.Unvouched}, "", store.Verified},
		{"its grade is lost, and one is required", quoteMod, wrongMod, store.Meta{Grade: store.Unvouched}, "sumdb: required\n", store.Verified},
		{"private and imported: no first use", privateMod, wrongMod, store.Meta{Grade: store.Unvouched, Source: store.Imports, Sum: wrong}, "", store.Pinned},
	} {
		t.Run(tt.name, func(t *testing.T) {
			l := start(t, tt.policy+corp(p.URL, p.URL+"/ok=pub"))
			_, right := start(t, corp(p.URL, p.URL+"/ok=pub")).get(tt.path)
			if tt.text == "" {
				tt.text = right
			}
			l.put(tt.path, tt.text, tt.meta)
			for _, want := range []Result{ResultFetched, ResultHit} {
				if status, got := l.get(tt.path); status != 200 || got != right || l.last().Grade != tt.grade || l.last().Result != want {
					t.Errorf("%d %q, %+v; want it %s and %s", status, got, l.last(), tt.grade, want)
				}
				l.pool.Wait()
			}
		})
	}
}

// Private files are compared with their first use: who changed one knows how to
// go on, and nothing is compared with a pin that cannot be read.
func TestPinnedFiles(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	l := start(t, corp(p.URL, p.URL+"/ok=pub"))
	_, right := l.get(privateMod)
	l.pool.Wait()
	wrong := store.Meta{Grade: store.Unvouched, Source: "corp", Sum: checksum.HashGoMod([]byte(wrongMod))}
	l.put(privateMod, wrongMod, wrong) // when the pin could not be written, say
	if status, got := l.get(privateMod); status != 200 || got != right {
		t.Errorf("%d %q", status, got)
	}
	l.pool.Wait()

	e, err := l.store.Get(privateMod)
	if err != nil {
		t.Fatal(err)
	}
	e.Close()
	l.store.Remove(privateMod, e.Sum)
	file := filepath.Join(filepath.Dir(filepath.Dir(l.store.Dir())), "pins", filepath.FromSlash(privateMod))
	if err := os.WriteFile(file, []byte("h1:first\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	const forget = `"goproxy-setup agent forget git.corp.example.com/team/private@v1.0.0"`
	if status, body := l.get(privateMod); status != 502 || !strings.Contains(body, "SECURITY ERROR") || !strings.Contains(body, forget) {
		t.Errorf("changed at the proxy: %d %s", status, body)
	}
	l.put(privateMod, right, store.Meta{Grade: store.Unvouched, Source: "corp", Sum: checksum.HashGoMod([]byte(right))})
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if status, body := l.get(privateMod); status != 503 || !strings.Contains(body, "pins/"+privateMod) {
		t.Errorf("without its pin: %d %s", status, body)
	}
	if err := store.Forget(filepath.Dir(filepath.Dir(l.store.Dir())), privateMod); err != nil {
		t.Fatal(err)
	}
	if status, got := l.get(privateMod); status != 200 || got != right {
		t.Errorf("after forget: %d %q", status, got)
	}
}

// A go.sum that was made to fit wrong bytes vouches for nothing if the database
// is known to say otherwise.
func TestGoSumAgainstDatabase(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	l := start(t, two(p.URL, p.URL+"/ok=b"))
	if status, body := l.get("sumdb/" + proxytest.SumDBName + "/lookup/rsc.io/quote@v1.5.2"); status != 200 {
		t.Fatal(status, body)
	}
	resp, err := http.Get(p.URL + "/zip:wrong-bytes/" + quoteZip)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	var data bytes.Buffer
	if _, err := data.ReadFrom(resp.Body); err != nil {
		t.Fatal(err)
	}
	h1, err := checksum.HashZip(bytes.NewReader(data.Bytes()), int64(data.Len()))
	if err != nil {
		t.Fatal(err)
	}
	c := configOf(t, two(p.URL+"/zip:wrong-bytes", p.URL+"/zip:wrong-bytes/ok=b"))
	if c.GoSum, err = checksum.ParseGoSum("go.sum", []byte("rsc.io/quote v1.5.2 "+h1+"\n")); err != nil {
		t.Fatal(err)
	}
	if err := l.Reload(c); err != nil {
		t.Fatal(err)
	}
	if status, body := l.get(quoteZip); status != 502 || !strings.Contains(body, "SECURITY ERROR") || !strings.Contains(body, "the checksum database "+proxytest.SumDBName) {
		t.Errorf("%d %s", status, body)
	}
}

// What was said of a list before is said again only if it is whole, and no lie
// meanwhile.
func TestEarlierLists(t *testing.T) {
	t.Parallel()
	p := proxytest.New(t, proxytest.Options{})
	l := start(t, two(p.URL, p.URL+"/ok=b"))
	const list = "rsc.io/quote/@v/list"
	file := filepath.Join(filepath.Dir(filepath.Dir(l.store.Dir())), "mutable", filepath.FromSlash(list))
	_, right := start(t, two(p.URL, p.URL+"/ok=b")).get(list)
	old := time.Now().Add(-time.Hour)
	for _, tt := range []struct {
		name string
		put  func() error
		want Result
	}{
		{"whole", func() error { return l.store.PutMutable(list, []byte(right)) }, ResultStale},
		{"cut", func() error { return os.WriteFile(file, []byte(right[:7]), 0o644) }, ResultFailed},
		{"gone", func() error { return os.WriteFile(file, nil, 0o644) }, ResultFailed},
		{"empty", func() error { return l.store.PutMutable(list, nil) }, ResultStale},
		{"HTML", func() error { return l.store.PutMutable(list, []byte("<html>\n")) }, ResultFailed},
		{"empty, and there is a version", func() error {
			l.put(quoteMod, "module rsc.io/quote\n", store.Meta{})
			return l.store.PutMutable(list, nil)
		}, ResultFailed},
	} {
		p.SetFault("503")
		for _, age := range []time.Time{time.Now(), old} {
			if err := tt.put(); err != nil {
				t.Fatal(err)
			}
			if err := os.Chtimes(file, age, age); err != nil {
				t.Fatal(err)
			}
			want := tt.want
			if want == ResultStale && age != old {
				want = ResultHit
			}
			if status, _ := l.get(list); l.last().Result != want {
				t.Errorf("%s, %v: %d, %+v; want %s", tt.name, age, status, l.last(), want)
			}
		}
	}
	p.SetFault("")
	if status, got := l.get(list); status != 200 || got != right {
		t.Errorf("%d %q", status, got)
	}
}

// Who may not see what credentials give access to does not see what a proxy has
// sent that nobody knows any more.
func TestStrangersAndForgottenProxies(t *testing.T) {
	p := proxytest.New(t, proxytest.Options{})
	l := start(t, two(p.URL, p.URL+"/ok=b"))
	const text = "module rsc.io/quote // of a private fork\n"
	m := store.Meta{Grade: store.Verified, Source: "gone", Sum: checksum.HashGoMod([]byte(text))}
	l.put(quoteMod, text, m)
	rec := httptest.NewRecorder()
	l.Handler(func(*http.Request) bool { return false }).ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/"+quoteMod, nil))
	if rec.Code != 200 || rec.Body.String() == text {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
}
