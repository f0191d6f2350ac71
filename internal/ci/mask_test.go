package ci

import (
	"encoding/base64"
	"net/url"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/report"
)

func TestMask(t *testing.T) {
	const user, secret = "ci@corp", "p/ss wörd%2F"
	forms := map[string]string{
		"raw":                 secret,
		"in a query":          url.QueryEscape(secret),
		"in a URL":            url.UserPassword(user, secret).String(),
		"user and password":   user + ":" + secret,
		"basic authorization": base64.StdEncoding.EncodeToString([]byte(user + ":" + secret)),
		"base64":              base64.StdEncoding.EncodeToString([]byte(secret)),
		"base64 for URLs":     base64.RawURLEncoding.EncodeToString([]byte(secret)),
	}
	for _, system := range []System{GitHub, GitLab} {
		r := newRunner(t, system)
		if findings, err := r.Mask(user, secret); len(findings) > 0 || err != nil {
			t.Fatalf("Mask = %+v, %v", findings, err)
		}
		masks := r.log.String()
		r.log.Reset()
		for name, form := range forms {
			if system == GitHub && !strings.Contains(masks, "::add-mask::"+strings.ReplaceAll(form, "%", "%25")+"\n") {
				t.Errorf("%s: the runner is not told to mask %q", name, form)
			}
			if system != GitHub && masks != "" {
				t.Errorf("wrote %q; only GitHub's runner takes masks", masks)
			}
			r.Log("x " + form + " y")
			if got := r.log.String(); got != "x *** y\n" {
				t.Errorf("%s: log = %q; want it masked", name, got)
			}
			r.log.Reset()
		}
	}
}

func TestMaskShortAndLong(t *testing.T) {
	for _, tt := range []struct {
		name   string
		system System
		secret string
		masked string // what the log makes of "abc line-one line-two a::bcd"
		found  string // part of the finding
	}{
		{"three characters", GitHub, "abc", "abc line-one line-two a::bcd", "shorter than 4"},
		{"nothing", GitHub, "", "abc line-one line-two a::bcd", ""},
		{"lines", GitHub, "line-one\r\nline-two\n", "abc *** *** a::bcd", ""},
		{"lines, one of them short", GitHub, "abc\nline-two", "abc line-one *** a::bcd", "a line of it"},
		{"colons that act would stumble over", Forgejo, "a::bcd", "abc line-one line-two ***", "two colons"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := newRunner(t, tt.system)
			findings, err := r.Mask("", tt.secret)
			if err != nil || len(findings) > 1 || (tt.found != "") != (len(findings) == 1) {
				t.Fatalf("Mask = %+v, %v; want %q", findings, err, tt.found)
			}
			if len(findings) == 1 && (!strings.Contains(findings[0].Message, tt.found) || strings.Contains(findings[0].Message, tt.secret)) {
				t.Errorf("finding = %+v; want %q, and not the secret", findings[0], tt.found)
			}
			for line := range strings.Lines(r.log.String()) {
				mask, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "::add-mask::")
				if !ok || len(mask) < minSecret || strings.Contains(mask, "::") {
					t.Errorf("wrote %q", line)
				}
			}
			r.log.Reset()
			r.Log("abc line-one line-two a::bcd")
			if got := r.log.String(); got != tt.masked+"\n" {
				t.Errorf("log = %q; want %q", got, tt.masked)
			}
		})
	}
}

func TestMaskThatTheRunnerNeverSaw(t *testing.T) {
	r := newRunner(t, GitHub)
	r.host.Stderr = failingWriter{}
	if _, err := r.Mask("", "secret"); err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("Mask = %v; want an error without the secret", err)
	}
}

func TestLog(t *testing.T) {
	r := newRunner(t, GitHub)
	r.Log("one\n::error::forged\r\n  ##[error]forged\x1b[31m\n")
	for line := range strings.Lines(r.log.String()) {
		if s := strings.TrimSpace(line); strings.HasPrefix(s, "::") || strings.Contains(s, "##[") || strings.ContainsAny(s, "\x1b\r") {
			t.Errorf("log line %q could be a command", line)
		}
	}
}

// TestClean puts a secret wherever text for people is.
func TestClean(t *testing.T) {
	r := newRunner(t, GitHub)
	r.Mask("ci", "s3cret-token")
	rep := fallback()
	rep.Summary += " s3cret-token"
	rep.Reasons = []string{"ci:s3cret-token"}
	rep.Proxies[0].Cause = "401: bad token s3cret-token"
	rep.Proxies[0].Checks = []report.Check{{Name: "http", Detail: "s3cret-token"}}
	rep.Findings[0].Message = "Basic " + base64.StdEncoding.EncodeToString([]byte("ci:s3cret-token"))
	rep.Replay = []byte(`{"evidence":[{"entry":"corp","detail":"s3cret-token","took":9007199254740993}]}`)
	got, err := r.Clean(rep)
	if err != nil {
		t.Fatal(err)
	}
	if got.Summary != fallback().Summary+" ***" || got.Reasons[0] != "***" || got.Proxies[0].Cause != "401: bad token ***" ||
		got.Proxies[0].Checks[0].Detail != "***" || got.Findings[0].Message != "Basic ***" || strings.Contains(string(got.Replay), "s3cret") {
		t.Errorf("Clean = %+v; want no secret", got)
	}
	if !strings.Contains(string(got.Replay), "9007199254740993") {
		t.Errorf("Clean changes numbers: %s", got.Replay)
	}
	if rep.Reasons[0] != "ci:s3cret-token" {
		t.Error("Clean has changed its argument")
	}
}
