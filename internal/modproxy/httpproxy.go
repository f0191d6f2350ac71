package modproxy

import (
	"cmp"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpproxy"

	"github.com/org/goproxy-setup/internal/policy"
)

// HTTPProxy returns which HTTP proxy leads to a URL, as net/http finds it:
// never one for a loopback address. The policy's settings come before those of
// the environment; both lists of exceptions apply.
func HTTPProxy(s *policy.Settings, getenv func(string) string) func(*url.URL) (*url.URL, error) {
	env := func(name string) string { return cmp.Or(getenv(name), getenv(strings.ToLower(name))) }
	c := httpproxy.Config{
		HTTPProxy:  cmp.Or(s.HTTPProxy, env("HTTP_PROXY")),
		HTTPSProxy: cmp.Or(s.HTTPSProxy, env("HTTPS_PROXY")),
		NoProxy:    strings.Trim(env("NO_PROXY")+","+s.NoProxy, ","),
	}
	return c.ProxyFunc()
}
