package netrc

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

// goTest is the example of the go command's own test.
const goTest = `
machine incomplete
password none

machine api.github.com
  login user
  password pwd

machine incomlete.host
  login justlogin

machine test.host
login user2
password pwd2

machine oneline login user3 password pwd3

machine ignore.host macdef ignore
  login nobody
  password nothing

machine hasmacro.too macdef ignore-next-lines login user4 password pwd4
  login nobody
  password nothing

default
login anonymous
password gopher@golang.org

machine after.default
login oops
password too-late-in-file
`

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []Machine
	}{
		{"as the go command's own test", goTest, []Machine{
			{"api.github.com", "user", "pwd"},
			{"test.host", "user2", "pwd2"},
			{"oneline", "user3", "pwd3"},
			{"hasmacro.too", "user4", "pwd4"},
		}},
		{"empty", "", nil},
		{"password first", "machine h password p login l", []Machine{{"h", "l", "p"}}},
		{"windows line ends", "machine h\r\nlogin l\r\npassword p\r\n", []Machine{{"h", "l", "p"}}},
		{"no password", "machine h login l", nil},
		{"words that look like keys", "machine default login login password machine", []Machine{{"default", "login", "machine"}}},
		{"default on one line does not end the file", "default login a password b\nmachine h login l password p", []Machine{{"h", "l", "p"}}},
		{"hash is no comment", "machine h login l password #p", []Machine{{"h", "l", "#p"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := Parse(tt.text); !slices.Equal(got, tt.want) {
				t.Errorf("Parse = %q; want %q", got, tt.want)
			}
		})
	}
}

func TestLookup(t *testing.T) {
	list := Parse(`machine h login first password p
machine h login second password p
machine h:8443 login port password p
machine h/team/go login path password p
machine default.example.com login default password p`)
	for _, tt := range []struct{ name, url, login string }{
		{"first of two wins", "https://h", "first"},
		{"any path below", "https://h/base/x", "first"},
		{"slash at the end", "https://h/", "first"},
		{"port is part of the name", "https://h:8443/base", "port"},
		{"another port has no entry", "https://h:9443/base", ""},
		{"default port is not implied", "https://h:443/base", ""},
		{"longest path wins", "https://h/team/go/mod", "path"},
		{"whole path elements only", "https://h/team/golang", "first"},
		{"never over http", "http://h", ""},
		{"a user in the URL comes first", "https://u@h", ""},
		{"case matters", "https://H", ""},
		{"subdomain", "https://x.h", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			u, err := url.Parse(tt.url)
			if err != nil {
				t.Fatal(err)
			}
			if m, ok := Lookup(list, u); m.Login != tt.login || ok != (tt.login != "") {
				t.Errorf("Lookup(%s) = %q, %v; want %q", tt.url, m.Login, ok, tt.login)
			}
		})
	}
}

func TestMerge(t *testing.T) {
	corp := Machine{"corp.example.com:8443", "ci", "s3cret"}
	for _, tt := range []struct{ name, text, want string }{
		{"new file", "", "machine corp.example.com:8443 login ci password s3cret\n"},
		{"before a default entry", "default\nlogin a\n", "machine corp.example.com:8443 login ci password s3cret\ndefault\nlogin a\n"},
		{"an open macro keeps nothing away", "macdef init\ncd x", "machine corp.example.com:8443 login ci password s3cret\nmacdef init\ncd x"},
		{"same entry already there", "machine corp.example.com:8443\nlogin ci\npassword s3cret", "machine corp.example.com:8443\nlogin ci\npassword s3cret"},
		{"old password is overridden", "machine corp.example.com:8443 login ci password old", "machine corp.example.com:8443 login ci password s3cret\nmachine corp.example.com:8443 login ci password old"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Merge(tt.text, corp)
			if err != nil || got != tt.want {
				t.Errorf("Merge = %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestMergeRefuses(t *testing.T) {
	for _, tt := range []struct {
		name string
		m    Machine
		want string
	}{
		{"no login", Machine{"h", "", "hidden"}, `netrc: login for machine "h" is empty: the go command ignores such an entry`},
		{"blank in the password", Machine{"h", "l", "hid den"}, `netrc: password for machine "h" has a blank or line break, which a netrc file can't hold`},
		{"line break in the login", Machine{"h", "hidden\nmachine evil", "p"}, `netrc: login for machine "h" has a blank or line break, which a netrc file can't hold`},
		{"no-break space", Machine{"h", "l", "hid\u00a0den"}, `netrc: password for machine "h" has a blank or line break, which a netrc file can't hold`},
		{"NUL", Machine{"h", "l", "hid\x00den"}, `netrc: password for machine "h" has a control character, which a netrc file can't hold`},
		{"name with a blank", Machine{"h x", "l", "p"}, `netrc: machine name "h x" has a blank or line break, which a netrc file can't hold`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Merge("old", tt.m)
			if err == nil || err.Error() != tt.want || got != "" {
				t.Errorf("Merge = %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

// FuzzMerge: what was merged is what a lookup finds, all old entries of other
// machines stay in force, and merging again changes nothing.
func FuzzMerge(f *testing.F) {
	f.Add(goTest, "api.github.com", "user", "other")
	f.Add("macdef x", "corp.example.com:8443", "ci", "p#\"'\\")
	f.Add("machine h", "h", "default", "macdef")
	f.Fuzz(func(t *testing.T, text, name, login, password string) {
		m := Machine{name, login, password}
		merged, err := Merge(text, m)
		if err != nil {
			return
		}
		if !strings.HasSuffix(merged, text) {
			t.Fatalf("Merge(%q, %q) = %q lost the old text", text, m, merged)
		}
		got := Parse(merged)
		if i := slices.IndexFunc(got, func(g Machine) bool { return key(g.Name) == key(name) }); i < 0 || got[i].Login != login || got[i].Password != password {
			t.Errorf("Merge(%q, %q) = %q, which parses as %q", text, m, merged, got)
		}
		if old := Parse(text); !slices.Equal(got[len(got)-len(old):], old) {
			t.Errorf("Merge(%q, %q) = %q, which changes the old entries %q to %q", text, m, merged, old, got)
		}
		if again, err := Merge(merged, m); err != nil || again != merged {
			t.Errorf("merging twice: %q, %v; want %q", again, err, merged)
		}
	})
}
