package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/render"
)

// healthcheck asks a running agent, for places without curl.
func healthcheck(ctx context.Context, c *call) (int, error) {
	url, err := agentURL(c)
	if err != nil {
		return ExitUsage, err
	}
	timeout, err := c.duration("timeout", 100*time.Millisecond, 5*time.Second, time.Minute)
	if err != nil {
		return ExitUsage, err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimRight(url, "/")+"/healthz", nil)
	if err != nil {
		return ExitUsage, usagef("write the agent's URL, such as http://127.0.0.1:8765", "%q is no URL of an agent", url)
	}
	resp, err := (&http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}).Do(req)
	if err != nil {
		fmt.Fprintln(c.Stdout, render.LogLine("no answer: "+err.Error()))
		return ExitNo, nil
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	fmt.Fprintln(c.Stdout, render.LogLine(strings.TrimSpace(string(body))))
	if resp.StatusCode != http.StatusOK {
		return ExitNo, nil
	}
	return ExitOK, nil
}

// agentURL returns the URL of the agent to ask: given, of the address file, or
// of --listen.
func agentURL(c *call) (string, error) {
	if len(c.args) > 0 {
		return c.args[0], nil
	}
	if file := c.text("address-file"); file != "" {
		if !filepath.IsAbs(file) {
			file = filepath.Join(c.Dir, file)
		}
		data, err := readFile(file, 4<<10)
		if err != nil {
			return "", usagef("is the agent running?", "reading the address file: %w", err)
		}
		return strings.TrimSpace(string(data)), nil
	}
	for _, address := range c.all("listen") {
		if _, port, ok := strings.Cut(address, ":"); ok && port != "0" {
			return "http://" + strings.Replace(address, "0.0.0.0", "127.0.0.1", 1), nil
		}
	}
	return "", usagef("write \"agent healthcheck http://127.0.0.1:8765\"", "which agent is to be asked?")
}

// withStore opens the store that options and policy name, alone, for f.
func withStore(c *call, f func(s *store.Store, a policy.Agent) (int, error)) (int, error) {
	p := policy.BuiltIn()
	file := c.text("policy")
	if _, err := os.Stat(filepath.Join(c.Dir, policy.FileName)); file != "" || err == nil {
		if p, err = policyFile(c, file); err != nil {
			return ExitUsage, asUsage(err)
		}
	}
	a := p.Agent()
	dir, err := storeDir(c, a)
	if err != nil {
		return ExitUsage, err
	}
	s, err := openStore(dir, a.StoreSize, nil)
	if err != nil {
		return ExitFailed, err
	}
	defer s.Close()
	return f(s, a)
}

func collectStore(ctx context.Context, c *call) (int, error) {
	return withStore(c, func(s *store.Store, a policy.Agent) (int, error) {
		limit := a.StoreSize
		if text := c.text("max-size"); text != "" {
			var err error
			if limit, err = policy.ParseSize(text); err != nil {
				return ExitUsage, usagef("write a number and a unit: 500MB, 20GB, 1TiB", "%s: %w", c.from("max-size"), err)
			}
		}
		files, bytes, err := s.GC(ctx, limit)
		if err != nil {
			return ExitFailed, err
		}
		st := s.Stats()
		_, err = fmt.Fprintf(c.Stdout, "removed %d files of %d bytes; %d files of %d bytes are left\n", files, bytes, st.Files, st.Bytes)
		return ExitOK, err
	})
}

func importStore(ctx context.Context, c *call) (int, error) {
	if len(c.args) == 0 {
		return ExitUsage, usagef("write \"agent import DIR\", such as the folder that \"go env GOMODCACHE\" prints", "import: which folder?")
	}
	dir := c.args[0]
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(c.Dir, dir)
	}
	sums := (&setup{call: c, job: openJob("", c.Host)}).goSum()
	return withStore(c, func(s *store.Store, _ policy.Agent) (int, error) {
		vouch := func(key, h1 string) (store.Grade, error) {
			f, err := modproxy.ParsePath(key)
			if err != nil || sums == nil {
				return store.Unvouched, err
			}
			m := module.Version{Path: f.Path, Version: f.Version}
			want := sums.GoMod(m)
			if f.Kind == modproxy.Zip {
				want = sums.Zip(m)
			}
			if f.Kind != modproxy.Info && want != "" && want != h1 {
				return "", fmt.Errorf("its hash is %s, and go.sum has %s", h1, want)
			}
			return store.Unvouched, nil // go.sum counts in its own run alone
		}
		n, err := s.Import(ctx, dir, vouch, problemWriter(c))
		if err != nil {
			return ExitFailed, err
		}
		if _, err = fmt.Fprintf(c.Stdout, "%d files imported, %d were here already, %d refused\n", n.Files, n.Present, n.Refused); err != nil {
			return ExitFailed, err
		}
		if n.Refused > 0 {
			return ExitNo, nil
		}
		return ExitOK, nil
	})
}

func verifyStore(ctx context.Context, c *call) (int, error) {
	remove, err := c.on("remove")
	if err != nil {
		return ExitUsage, err
	}
	return withStore(c, func(s *store.Store, _ policy.Agent) (int, error) {
		bad := 0
		show := problemWriter(c)
		good, err := s.Verify(ctx, remove, func(p store.Problem) {
			bad++
			show(p)
		})
		if err != nil {
			return ExitFailed, err
		}
		verb := "are wrong; --remove takes them away"
		if remove {
			verb = "were wrong and are gone"
		}
		if bad == 0 {
			verb = "are wrong"
		}
		if _, err = fmt.Fprintf(c.Stdout, "%d files are good, %d %s\n", good, bad, verb); err != nil || bad == 0 {
			return ExitOK, err
		}
		return ExitNo, nil
	})
}

func problemWriter(c *call) func(store.Problem) {
	return func(p store.Problem) { fmt.Fprintln(c.Stderr, render.LogLine(p.Key+": "+p.Err.Error())) }
}

func forgetPin(_ context.Context, c *call) (int, error) {
	path, version, ok := "", "", false
	if len(c.args) > 0 {
		path, version, ok = strings.Cut(c.args[0], "@")
	}
	if !ok {
		return ExitUsage, usagef("write \"agent forget MODULE@VERSION\"", "forget: which version of which module?")
	}
	return withStore(c, func(s *store.Store, _ policy.Agent) (int, error) {
		forgotten := 0
		for _, kind := range []modproxy.Kind{modproxy.Zip, modproxy.Mod} {
			key, err := modproxy.File{Path: path, Version: version, Kind: kind}.URLPath()
			if err != nil {
				return ExitUsage, &usageError{err: err}
			}
			switch err := s.Unpin(key); {
			case err == nil:
				forgotten++
			case !errors.Is(err, fs.ErrNotExist):
				return ExitFailed, err
			}
		}
		if forgotten == 0 {
			_, err := fmt.Fprintf(c.Stdout, "%s has no pin\n", render.LogLine(c.args[0]))
			return ExitNo, err
		}
		_, err := fmt.Fprintf(c.Stdout, "the next fetch of %s counts as its first\n", render.LogLine(c.args[0]))
		return ExitOK, err
	})
}
