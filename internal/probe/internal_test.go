package probe

import (
	"context"
	"errors"
	"net/http/httptrace"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/fault"
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

// A name that resolves to a metadata address is refused before the connection.
func TestDialerChecksResolvedAddresses(t *testing.T) {
	s := new(site)
	for _, addr := range []string{"169.254.169.254:80", "[fe80::1%lo]:80", "[fd00:ec2::254]:80", "100.100.100.200:80", "168.63.129.16:80"} {
		conn, err := s.dialer(nil)(t.Context(), "tcp", addr)
		if conn != nil {
			conn.Close()
		}
		if _, ok := errors.AsType[*fault.NotAllowedError](err); !ok {
			t.Errorf("dialling %s: %v; want a refusal", addr, err)
		}
	}
}

// Both families of addresses are tried, and what became of each is shown.
func TestFamilies(t *testing.T) {
	const v4, v6 = "192.0.2.1:443", "[2001:db8::1]:443"
	refused := error(syscall.ECONNREFUSED)
	for _, tt := range []struct {
		name  string
		tried func(*httptrace.ClientTrace)
		want  string
	}{
		{"v4 alone", func(h *httptrace.ClientTrace) {
			h.ConnectStart("tcp", v4)
			h.ConnectDone("tcp", v4, nil)
		}, "v4 ok"},
		{"v6 refuses", func(h *httptrace.ClientTrace) {
			h.ConnectStart("tcp", v6)
			h.ConnectDone("tcp", v6, refused)
			h.ConnectStart("tcp", v4)
			h.ConnectDone("tcp", v4, nil)
		}, "v6 failed (connection refused), v4 ok"},
		{"v6 is a black hole", func(h *httptrace.ClientTrace) {
			h.ConnectStart("tcp", v6)
			h.ConnectStart("tcp", v4)
			h.ConnectDone("tcp", v4, nil)
		}, "v6 no answer, v4 ok"},
		{"the second address of a family answers", func(h *httptrace.ClientTrace) {
			h.ConnectStart("tcp", v4)
			h.ConnectDone("tcp", v4, refused)
			h.ConnectStart("tcp", v4)
			h.ConnectDone("tcp", v4, nil)
		}, "v4 ok"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tr := &trace{}
			hooks := httptrace.ContextClientTrace(tr.start(context.Background()))
			tr.hop(&url.URL{Host: "proxy.example.com"}, nil)
			tt.tried(hooks)
			checks := tr.checks(outcome{})
			if len(checks) != 1 || checks[0].Detail != tt.want || checks[0].Class != "" {
				t.Errorf("got %+v; want %q", checks, tt.want)
			}
		})
	}
}
