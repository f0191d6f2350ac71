package probe

import (
	"strings"
	"testing"

	"golang.org/x/mod/module"
)

// The list gives no owner's private repositories away, and can be read and
// amended by people.
func TestPublicList(t *testing.T) {
	last := ""
	for line := range strings.Lines(publicList) {
		path := strings.TrimSuffix(line, "\n")
		if path == "" || strings.HasPrefix(path, "#") {
			last = ""
			continue
		}
		if path <= last {
			t.Errorf("%s is not in order after %s", path, last)
		}
		last = path
		if err := module.CheckPath(path); err != nil && !strings.HasPrefix(path, "gopkg.in") {
			t.Error(err)
		}
		if host, rest, _ := strings.Cut(path, "/"); host == "github.com" && strings.Count(rest, "/") < 1 {
			t.Errorf("%s names all repositories of an owner", path)
		}
		if strings.HasSuffix(path, "/v2") {
			t.Errorf("%s: major versions are covered by their path", path)
		}
	}
	for _, m := range []module.Version{quote.Version, toml.Version, listed, big} {
		if !KnownPublic(m.Path) {
			t.Errorf("the canary %s is not on the list", m.Path)
		}
	}
}

func TestKnownPublic(t *testing.T) {
	for path, want := range map[string]bool{
		"golang.org/x/text":                true,
		"golang.org/xyz":                   false,
		"golang.org":                       false,
		"github.com/stretchr/testify":      true,
		"github.com/stretchr/testify/v2":   true,
		"github.com/stretchr/testify-fork": false,
		"github.com/stretchr/secret":       false,
		"github.com/Stretchr/testify":      false,
		"git.corp.example.com/lib":         false,
		"":                                 false,
	} {
		if got := KnownPublic(path); got != want {
			t.Errorf("KnownPublic(%q) = %v", path, got)
		}
	}
}
