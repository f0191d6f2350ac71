package goenv

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestParseChain(t *testing.T) {
	for _, tt := range []struct {
		name, list string
		want       string // String of the chain
	}{
		{"policy stands after the entry", "https://a.example.com|https://b.example.com,direct", "https://a.example.com|https://b.example.com,direct"},
		{"a host gets https", "goproxy.example.com", "https://goproxy.example.com"},
		{"a port too", "goproxy.example.com:8443/go", "https://goproxy.example.com:8443/go"},
		{"even loopback", "127.0.0.1:8080", "https://127.0.0.1:8080"},
		{"user and host", "u:p@goproxy.example.com", "https://u:p@goproxy.example.com"},
		{"blanks around", " https://a.example.com , direct\t", "https://a.example.com,direct"},
		{"empty entries", ",|https://a.example.com,,|direct", "https://a.example.com,direct"},
		{"the first of two separators counts", "https://a.example.com,|https://b.example.com", "https://a.example.com,https://b.example.com"},
		{"trailing separator", "https://a.example.com|", "https://a.example.com|"},
		{"nothing counts after direct", "direct,https://a.example.com", "direct"},
		{"not even garbage", "https://a.example.com|off|::nope::", "https://a.example.com|off"},
		{"scheme in capitals", "HTTPS://a.example.com", "HTTPS://a.example.com"},
		{"file", "file:///srv/proxy", "file:///srv/proxy"},
		{"query is kept", "https://a.example.com/?tok=1", "https://a.example.com/?tok=1"},
		{"credentials over http fail later", "http://u:p@a.example.com", "http://u:p@a.example.com"},
		{"no host fails later", "https:///go", "https:///go"},
		{"semicolon is part of the host", "a.example.com;b.example.com", "https://a.example.com;b.example.com"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := ParseChain(tt.list)
			if err != nil || c.String() != tt.want {
				t.Errorf("ParseChain(%q) = %q, %v; want %q", tt.list, c, err, tt.want)
			}
		})
	}
}

func TestParseChainErrors(t *testing.T) {
	for _, list := range []string{"", ",", "|", " ", " , |"} {
		if c, err := ParseChain(list); err != ErrNoEntries {
			t.Errorf("ParseChain(%q) = %q, %v; want ErrNoEntries", list, c, err)
		}
	}
	for _, tt := range []struct{ name, list, entry, want string }{
		{"bare word", "https://a.example.com,none", "none", `neither a keyword nor a URL; write "off", "direct" or https://HOST`},
		{"keyword in capitals", "OFF", "OFF", "neither a keyword nor a URL; write off"},
		{"scheme", "ftp://a.example.com", "ftp://a.example.com", `unsupported scheme "ftp"; go knows https, http and file`},
		{"directory", "/srv/proxy", "/srv/proxy", "a directory is written as a URL; write file:///DIR"},
		{"file with host", "file://a.example.com/srv", "file://a.example.com/srv", "a file URL is a path and nothing else; write file:///DIR"},
		{"file with one slash", "file:/srv/proxy", "file:/srv/proxy", "a file URL is a path and nothing else; write file:///DIR"},
		{"quotes", `"https://a.example.com"`, `"https://a.example.com"`, "quotes are part of the entry; remove them"},
		{"blank within", "https://a.example.com https://b.example.com", "https://a.example.com https://b.example.com", `invalid character " " in host name`},
		{"comma in a password", "https://u:s3cret,x@a.example.com", "https://a.example.com", "a separator within user or password cuts it in two; write a comma as %2C, a bar as %7C"},
		{"no port", "https://a.example.com:x,direct", "https://a.example.com:xxxxx", "invalid port; write https://HOST[:PORT][/PATH]; inside user or password write a slash as %2F, a comma as %2C, a bar as %7C"},
		{"two commas in a password", "u:1,s3cret,x@a.example.com", "a.example.com", "a separator within user or password cuts it in two; write a comma as %2C, a bar as %7C"},
		{"slash in a password", "https://u:s3c/ret@a.example.com", "https://xxxxx@a.example.com", "invalid port"},
		{"escape", "https://u:s3c%ret@a.example.com", "https://a.example.com", "malformed percent-escape"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseChain(tt.list)
			e, ok := errors.AsType[*EntryError](err)
			if !ok || e.Entry != tt.entry || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3c") {
				t.Errorf("ParseChain(%q): %v; want entry %q: %s", tt.list, err, tt.entry, tt.want)
			}
		})
	}
}

func TestCheckEntry(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"direct", "direct"},
		{"off", "off"},
		{"a.example.com", "https://a.example.com"},
		{"http://127.0.0.1:3000", "http://127.0.0.1:3000"},
		{"https://[::1]:8443/go/", "https://[::1]:8443/go/"},
		{"https://u:p%2Cw@a.example.com/x?tok=1", "https://u:p%2Cw@a.example.com/x?tok=1"},
		{"https://bücher.example.com", "https://bücher.example.com"},
		{"file:///srv/proxy", "file:///srv/proxy"},
	} {
		if got, err := CheckEntry(tt.in); err != nil || got != tt.want {
			t.Errorf("CheckEntry(%q) = %q, %v; want %q", tt.in, got, err, tt.want)
		}
	}
	for _, tt := range []struct{ name, in, want string }{
		{"nothing", "", `GOPROXY entry "": empty; write "off", "direct" or https://HOST`},
		{"comma", "https://u:s3c,ret@a.example.com", `GOPROXY entry "https://a.example.com": a comma ends an entry; write %2C`},
		{"bar", "https://a.example.com/x|y", `GOPROXY entry "https://a.example.com/x|y": a bar ends an entry; write %7C`},
		{"blank", "https://a.example.com /x", `has a blank; remove it`},
		{"blank before", " direct", `has a blank; remove it`},
		{"line break", "https://a.example.com\nGOSUMDB=off", `has a blank`},
		{"escape sequence", "https://a.example.com/\x1b[31m", `has the unprintable character U+001B; remove it`},
		{"invisible", "https://a.example.com\u200b", `has the unprintable character U+200B; remove it`},
		{"not UTF-8", "https://a.example.com/\xff", `has the unprintable character U+FFFD; remove it`},
		{"credentials over http", "http://ci:s3cret@a.example.com", `GOPROXY entry "http://a.example.com": go refuses to send credentials over http; write https, or take them out`},
		{"user over http", "http://s3cret@a.example.com", `go refuses to send credentials over http`},
		{"no host", "https:///go", `a URL without a host; write https://HOST[:PORT][/PATH]`},
		{"one slash", "http:/a.example.com", `a URL without a host; write http://HOST`},
		{"port alone", "http://:8080", `a URL without a host`},
		{"impossible port", "https://a.example.com:99999", `no such port; write a port from 1 to 65535`},
		{"semicolons", "https://a.example.com;direct", `not a host name; entries are separated by commas or bars, without quotes`},
		{"single quotes", "'a.example.com'", `not a host name`},
		{"fragment", "https://a.example.com#s3cret", `GOPROXY entry "https://a.example.com": what follows a # is never sent; remove it`},
		{"file without path", "file://", `a file URL without a path; write file:///DIR`},
		{"what ParseChain refuses", "none", `neither a keyword nor a URL`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := CheckEntry(tt.in)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3c") {
				t.Errorf("CheckEntry(%q) = %q, %v; want error %s", tt.in, got, err, tt.want)
			}
		})
	}
}

func FuzzParseChain(f *testing.F) {
	for _, list := range grammar {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		c, err := ParseChain(list)
		if err != nil {
			return // rejecting is fine; accepting and changing meaning is not
		}
		if again, err := ParseChain(c.String()); err != nil || !slices.Equal(c, again) {
			t.Errorf("ParseChain(%q) = %q, which reparses as %q, %v", list, c, again, err)
		}
		for i, e := range c {
			if !e.Proxy() && i != len(c)-1 {
				t.Errorf("ParseChain(%q) = %q: keyword %q is not last", list, c, e.Value)
			}
		}
	})
}

func FuzzCheckEntry(f *testing.F) {
	for _, list := range grammar {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, s string) {
		normal, err := CheckEntry(s)
		if err != nil {
			if _, ok := errors.AsType[*EntryError](err); !ok {
				t.Errorf("CheckEntry(%q): %T is no *EntryError", s, err)
			}
			return
		}
		for _, list := range []string{s, normal} {
			if c, err := ParseChain(list); err != nil || len(c) != 1 || c[0] != (Entry{normal, End}) {
				t.Errorf("CheckEntry(%q) = %q, but ParseChain(%q) = %q, %v", s, normal, list, c, err)
			}
		}
	})
}

// grammar holds GOPROXY lists that show the corners of their grammar.
var grammar = []string{
	"https://a.example.com|https://b.example.com,direct",
	"a.example.com:8443/go, |direct,junk",
	"https://u:p%2Cw@a.example.com/x//?tok=1#frag",
	"file:///srv/proxy,off",
	"http://[::1]:80",
	"none", ",", " ", "::", "/srv", `\\host\share.x`, `C:\srv`, "https:/x", "https:a:/b",
}
