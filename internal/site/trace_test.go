package site

import (
	"context"
	"net/http/httptrace"
	"net/url"
	"syscall"
	"testing"
)

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
			tr := &Trace{}
			hooks := httptrace.ContextClientTrace(tr.Start(context.Background()))
			tr.Hop(&url.URL{Host: "proxy.example.com"}, nil)
			tt.tried(hooks)
			checks := tr.Checks("", 0, "")
			if len(checks) != 1 || checks[0].Detail != tt.want || checks[0].Class != "" {
				t.Errorf("got %+v; want %q", checks, tt.want)
			}
		})
	}
}
