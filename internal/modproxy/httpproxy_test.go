package modproxy_test

import (
	"net/url"
	"testing"

	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/policy"
)

// The policy's HTTP proxy comes before the environment's; both lists of
// exceptions apply, and loopback is never asked through one.
func TestHTTPProxy(t *testing.T) {
	env := map[string]string{"HTTPS_PROXY": "http://env.example.com:3128", "HTTP_PROXY": "plain.example.com:3128", "no_proxy": ".internal.example.com"}
	s := &policy.Settings{HTTPSProxy: "http://policy.example.com:3128", NoProxy: "10.0.0.0/8"}
	f := modproxy.HTTPProxy(s, func(name string) string { return env[name] })
	for target, want := range map[string]string{
		"https://proxy.example.com":            "http://policy.example.com:3128",
		"http://proxy.example.com":             "http://plain.example.com:3128",
		"https://mirror.internal.example.com":  "",
		"https://10.1.2.3":                     "",
		"https://localhost:8443":               "",
		"https://127.0.0.1":                    "",
		"https://[::1]":                        "",
		"https://internal.example.com.evil.io": "http://policy.example.com:3128",
	} {
		u, err := url.Parse(target)
		if err != nil {
			t.Fatal(err)
		}
		got, err := f(u)
		if s := ""; err != nil || got != nil && got.String() != want || got == nil && s != want {
			t.Errorf("%s goes through %v, %v; want %q", target, got, err, want)
		}
	}
}
