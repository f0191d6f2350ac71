package cli

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/org/goproxy-setup/internal/ci"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/report"
)

// credentials are user and password of entries, by the entry's name.
type credentials map[string]login

type login struct{ user, password string }

// bindings tells which secret may be sent where: NAME=HOST, from outside the
// policy file. A file that anybody may edit must not choose where a secret
// goes.
type bindings map[string][]string

func parseBindings(c *call) (bindings, error) {
	b := bindings{}
	for _, item := range c.all("credential-host") {
		name, host, ok := strings.Cut(item, "=")
		name, host = strings.TrimSpace(name), strings.TrimSpace(host)
		if !ok || name == "" || host == "" || strings.ContainsAny(host, "/@ ") {
			return nil, usagef("write NAME=HOST, as in CORP_TOKEN=goproxy.corp.example.com", "%s: %q is no binding of a secret to a host", c.from("credential-host"), item)
		}
		b[name] = append(b[name], strings.ToLower(host))
	}
	return b, nil
}

// allow reports whether the secret called name may go to u's host: bound to
// the bare host or to host:port.
func (b bindings) allow(name string, u *url.URL) bool {
	for _, h := range b[name] {
		if h == strings.ToLower(u.Host) || h == strings.ToLower(u.Hostname()) {
			return true
		}
	}
	return false
}

// secrets returns the values given as lines of NAME=VALUE, and masks each.
func secrets(c *call, job *ci.Job) (map[string]string, []report.Finding, error) {
	var findings []report.Finding
	values := map[string]string{}
	for _, line := range c.all("credentials") {
		name, value, ok := strings.Cut(line, "=")
		if !ok || strings.TrimSpace(name) == "" {
			return nil, nil, usagef("write one NAME=VALUE a line", "%s: a line without a name", c.from("credentials"))
		}
		if value = strings.TrimSpace(value); value == "" {
			continue // a secret that this job may not see
		}
		f, err := job.Mask("", value)
		if err != nil {
			return nil, nil, err
		}
		findings = append(findings, f...)
		values[strings.TrimSpace(name)] = value
	}
	return values, findings, nil
}

// errNoValue reports a secret that this job was not given.
var errNoValue = errors.New("it has no value in this job")

// expand fills in the templates of every entry that has some, and masks the
// results. A secret without a value leaves the entry without credentials, and
// says so; a secret that is not bound to the entry's host is the caller's
// mistake.
func expand(c *call, job *ci.Job, s *policy.Settings) (credentials, []report.Finding, error) {
	bound, err := parseBindings(c)
	if err != nil {
		return nil, nil, err
	}
	values, findings, err := secrets(c, job)
	if err != nil {
		return nil, nil, err
	}
	list := credentials{}
	for _, e := range s.Proxies() {
		if e.Username == "" && e.Password == "" {
			continue
		}
		l, err := expandEntry(e, func(name string, u *url.URL) (string, error) {
			if !bound.allow(name, u) {
				return "", usagef(fmt.Sprintf("give --credential-host %s=%s (or the input) if it may", name, u.Host),
					"%s: proxy %q: the secret %s may not be sent to %s", s.Policy, e.Name, name, u.Host)
			}
			if v := values[name]; v != "" {
				return v, nil
			}
			if v := c.Getenv(name); v != "" {
				f, err := job.Mask("", v) // wherever it stands: tokens travel as the user, too
				findings = append(findings, f...)
				return v, err
			}
			return "", errNoValue
		})
		switch {
		case errors.Is(err, errNoValue):
			findings = append(findings, report.Finding{
				ID: "secret-missing", Severity: report.Notice, Title: "Credentials missing: " + e.Name,
				Message: fmt.Sprintf("proxy %s is asked without credentials: %v", e.Name, err),
				Fix:     "secrets are absent in pull requests of forks and, if protected, on unprotected branches", Place: e.Place,
			})
			continue
		case err != nil:
			return nil, nil, err
		}
		f, err := job.Mask(l.user, l.password)
		if err != nil {
			return nil, nil, err
		}
		findings = append(findings, f...)
		list[e.Name] = l
	}
	return list, findings, nil
}

func expandEntry(e policy.Entry, value func(name string, u *url.URL) (string, error)) (l login, err error) {
	u, err := url.Parse(e.URL)
	if err != nil {
		return login{}, err
	}
	at := func(name string) (string, error) { return value(name, u) }
	if l.user, err = policy.Expand(e.Username, at); err != nil {
		return login{}, err
	}
	if l.password, err = policy.Expand(e.Password, at); err != nil {
		return login{}, err
	}
	return l, nil
}

// authorities are the PEM bundles that entries name, by file.
type authorities map[string][]byte

// readCAs reads the certificates that the entries name, with read.
func readCAs(s *policy.Settings, read func(path string) ([]byte, error)) (authorities, error) {
	list := authorities{}
	for _, e := range s.Proxies() {
		if e.CA == "" || list[e.CA] != nil {
			continue
		}
		pem, err := read(e.CA)
		if err != nil {
			return nil, usagef("", "%s: certificates of proxy %q: %w", e.Place, e.Name, err)
		}
		if !x509.NewCertPool().AppendCertsFromPEM(pem) {
			return nil, usagef("it takes PEM: -----BEGIN CERTIFICATE-----", "%s: %s holds no certificate", e.Place, e.CA)
		}
		list[e.CA] = pem
	}
	return list, nil
}
