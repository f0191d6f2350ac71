package modproxy

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestURLPath(t *testing.T) {
	for _, tt := range []struct {
		name string
		file File
		want string // "" if there is no such file
	}{
		{"zip", File{"rsc.io/quote", "v1.5.2", Zip}, "rsc.io/quote/@v/v1.5.2.zip"},
		{"upper case", File{"github.com/BurntSushi/toml", "v1.0.0-RC", Mod}, "github.com/!burnt!sushi/toml/@v/v1.0.0-!r!c.mod"},
		{"incompatible", File{"github.com/a/b", "v2.0.0+incompatible", Info}, "github.com/a/b/@v/v2.0.0+incompatible.info"},
		{"list", File{"golang.org/x/time", "", List}, "golang.org/x/time/@v/list"},
		{"no module path", File{"../../etc", "v1.0.0", Zip}, ""},
		{"no version", File{"rsc.io/quote", "../v1", Zip}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got, err := tt.file.URLPath(); got != tt.want || (err == nil) != (tt.want != "") {
				t.Errorf("URLPath = %q, %v; want %q", got, err, tt.want)
			}
		})
	}
	if got, err := LookupPath("github.com/BurntSushi/toml", "v0.3.1"); got != "lookup/github.com/!burnt!sushi/toml@v0.3.1" || err != nil {
		t.Errorf("LookupPath = %q, %v", got, err)
	}
}

func FuzzExcerpt(f *testing.F) {
	f.Add([]byte("<!DOCTYPE html>\n<html><head><title>Guest network</title></head>"))
	f.Add([]byte("::error ::x\r\n\x1b[31mred \u202e" + strings.Repeat("ä", 100)))
	f.Add([]byte{0xff, 'a', 0, 'b'})
	f.Fuzz(func(t *testing.T, body []byte) {
		got := Excerpt(body)
		if len(got) > excerptSize || !utf8.ValidString(got) {
			t.Errorf("Excerpt(%q) = %q: %d bytes", body, got, len(got))
		}
		if i := strings.IndexFunc(got, func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) && r != ' ' }); i >= 0 {
			t.Errorf("Excerpt(%q) = %q: byte %d is not printable", body, got, i)
		}
	})
}
