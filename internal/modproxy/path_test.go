package modproxy

import (
	"strings"
	"testing"
)

func TestParsePath(t *testing.T) {
	for path, want := range map[string]File{
		"rsc.io/quote/@v/list":                                           {"rsc.io/quote", "", List},
		"rsc.io/quote/@latest":                                           {"rsc.io/quote", "", Latest},
		"rsc.io/quote/@v/v1.5.2.info":                                    {"rsc.io/quote", "v1.5.2", Info},
		"github.com/!burnt!sushi/toml/@v/v0.3.1.zip":                     {"github.com/BurntSushi/toml", "v0.3.1", Zip},
		"rsc.io/quote/v3/@v/v3.1.0.mod":                                  {"rsc.io/quote/v3", "v3.1.0", Mod},
		"example.com/a/@v/v2.0.0+incompatible.mod":                       {"example.com/a", "v2.0.0+incompatible", Mod},
		"example.com/a/@v/main.info":                                     {"example.com/a", "main", Info},
		"example.com/a/@v/v1.info":                                       {"example.com/a", "v1", Info},
		"example.com/a/@v/!h!e!a!d.info":                                 {"example.com/a", "HEAD", Info},
		"golang.org/toolchain/@v/v0.0.1-go1.26.0.linux-amd64.zip":        {"golang.org/toolchain", "v0.0.1-go1.26.0.linux-amd64", Zip},
		"gopkg.in/yaml.v3/@v/v3.0.1.mod":                                 {"gopkg.in/yaml.v3", "v3.0.1", Mod},
		"example.com/a/@v/v0.0.0-20200101000000-0123456789ab.zip":        {"example.com/a", "v0.0.0-20200101000000-0123456789ab", Zip},
		"example.com/a.b/c-d/_e/~f/@v/v1.0.0-!r!c1.zip":                  {"example.com/a.b/c-d/_e/~f", "v1.0.0-RC1", Zip},
		"example.com/" + strings.Repeat("a", 200) + "/@v/v1.0.0-pre.mod": {"example.com/" + strings.Repeat("a", 200), "v1.0.0-pre", Mod},
	} {
		got, err := ParsePath(path)
		if err != nil || got != want {
			t.Errorf("ParsePath(%q) = %+v, %v; want %+v", path, got, err, want)
		}
		if back, err := got.URLPath(); err != nil || back != path {
			t.Errorf("URLPath of %+v = %q, %v; want %q", got, back, err, path)
		}
	}
}

func TestParsePathRefuses(t *testing.T) {
	for _, path := range []string{
		"", "/", "list", "@v/list", "/@v/list", "rsc.io/quote", "rsc.io/quote/@v/", "rsc.io/quote/@v/v1.5.2", "rsc.io/quote/@v/.zip",
		"rsc.io/../etc/@v/list", "../rsc.io/quote/@v/list", "rsc.io//quote/@v/list", "rsc.io/quote/./@v/list", "rsc.io/quote/@v/../../x.zip",
		"rsc.io/quote/@v/v1.5.2/../../x.zip", "rsc.io/Quote/@v/list", "rsc.io/quote/@v/v1.0.0-RC1.zip", "rsc.io/!quote!/@v/list", "rsc.io/!!quote/@v/list",
		"rsc.io/quote\x00/@v/list", "rsc.io/quote/@v/v1.5.2\x00.zip", "rsc.io\\quote/@v/list", "rsc.io/quo te/@v/list", "rsc.io/quote/@v/v1.5.zip",
		"rsc.io/quote/@v/main.mod", "rsc.io/quote/@v/v2.0.0.zip", "rsc.io/quote/v2/@v/v1.0.0.zip", "quote/@v/list", "rsc.io/quote/@v/list/@latest",
		"rsc.io/quote/@latest/", "rsc.io/quote/@v/v1.5.2.ziphash", "rsc.io/quote/@v/v1.5.2.lock", "rsc.io/con/@v/list", "rsc.io/quote./@v/list",
		"-rsc.io/quote/@v/list", "rsc.io/" + strings.Repeat("a/", 600) + "b/@v/list", "rsc.io/é/@v/list", "rsc.io/quote/@v/a/b.info", "rsc.io/quote/@v/\u202e.info",
	} {
		if f, err := ParsePath(path); err == nil {
			t.Errorf("ParsePath(%q) = %+v; want an error", path, f)
		} else if strings.ContainsAny(err.Error(), "\x00\n") || len(err.Error()) > 2000 {
			t.Errorf("ParsePath(%q): unfit error %q", path, err)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	for _, path := range []string{
		"rsc.io/quote/@v/list", "rsc.io/quote/@latest", "github.com/!burnt!sushi/toml/@v/v0.3.1.zip", "example.com/a/@v/main.info",
		"rsc.io/quote/@v/../x.mod", "rsc.io/quote/v3/@v/v3.1.0.mod", "example.com/a/@v/v2.0.0+incompatible.mod",
	} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		file, err := ParsePath(path)
		if err != nil {
			return
		}
		if back, err := file.URLPath(); err != nil || back != path {
			t.Errorf("ParsePath(%q) = %+v, whose path is %q, %v", path, file, back, err)
		}
		for part := range strings.SplitSeq(path, "/") {
			if part == "" || part == "." || part == ".." || strings.ContainsAny(part, "\\\x00:") {
				t.Errorf("ParsePath accepts %q", path)
			}
		}
	})
}
