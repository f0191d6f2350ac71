package cli

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/org/goproxy-setup/internal/render"
)

// healthcheck asks a running agent, for places without curl.
func healthcheck(ctx context.Context, c *call) (int, error) {
	set, err := openSetup(c)
	if err != nil {
		return ExitUsage, err
	}
	base, own, err := set.agentURL(ctx)
	if err != nil {
		return ExitUsage, err
	}
	timeout, err := c.duration("timeout", 100*time.Millisecond, 5*time.Second, 10*time.Minute)
	if err != nil {
		return ExitUsage, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	status, text, err := askLife(ctx, base, own)
	if err == nil && status == http.StatusBadRequest && own && base.Scheme == "http" {
		base.Scheme = "https" // it speaks TLS: the answer was that of a listener with a certificate
		status, text, err = askLife(ctx, base, own)
	}
	if err != nil {
		text = "no answer: " + err.Error()
	}
	fmt.Fprintln(c.Stdout, render.LogLine(text))
	if err != nil || status != http.StatusOK {
		return ExitNo, nil
	}
	return ExitOK, nil
}

// askLife asks whether an agent is well. The certificate of one of this machine is
// not verified: it is made out to another name, and nothing secret is sent.
func askLife(ctx context.Context, base *url.URL, own bool) (status int, text string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base.JoinPath("healthz").String(), nil)
	if err != nil {
		return 0, "", err
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: own}}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	return resp.StatusCode, strings.TrimSpace(string(body)), nil
}

// agentURL returns the URL of the agent to ask: given, of the address file, of
// --listen or of the policy's listeners. own says that it is one of this machine.
func (s *setup) agentURL(ctx context.Context) (base *url.URL, own bool, err error) {
	const hint = "write the agent's URL, such as http://127.0.0.1:8765"
	text := ""
	switch file := addressFile(s.call); {
	case len(s.args) > 0:
		text = s.args[0]
	case file != "":
		data, err := readFile(file, 4<<10)
		if err != nil {
			return nil, false, usagef("is the agent running?", "reading the address file: %w", err)
		}
		text, own = strings.TrimSpace(string(data)), true
	default:
		own = true
		if text, err = s.listener(ctx); err != nil {
			return nil, false, err
		}
	}
	if text == "" {
		return nil, false, usagef(hint, "which agent is to be asked?")
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, false, usagef(hint, "%q is no URL of an agent", text)
	}
	if ip := net.ParseIP(u.Hostname()); ip != nil && ip.IsLoopback() || u.Hostname() == "localhost" {
		own = true
	}
	return u, own, nil
}

// listener returns the URL of the first listener with a port that is known, ""
// if there is none.
func (s *setup) listener(ctx context.Context) (string, error) {
	addresses := s.all("listen")
	if len(addresses) == 0 {
		p, err := loadPolicy(ctx, s.call, s.job)
		if err != nil {
			return "", err
		}
		addresses = p.Agent().Listen
	}
	for _, address := range addresses {
		host, port, err := net.SplitHostPort(address)
		if err != nil || port == "0" {
			continue
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		return "http://" + net.JoinHostPort(host, port), nil
	}
	return "", nil
}
