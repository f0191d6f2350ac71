package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/org/goproxy-setup/internal/agent/accept"
	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/render"
)

// findStore returns the folder of the store that options and policy name. Unless
// create is true, there has to be one.
func findStore(ctx context.Context, c *call, create bool) (dir string, set *setup, a policy.Agent, err error) {
	if set, err = openSetup(c); err != nil {
		return "", nil, a, err
	}
	p, err := loadPolicy(ctx, c, set.job)
	if err != nil {
		return "", nil, a, err
	}
	a = p.Agent()
	if dir, err = storeDir(c, a); err != nil {
		return "", nil, a, err
	}
	if _, err := os.Stat(filepath.Join(dir, "VERSION")); errors.Is(err, fs.ErrNotExist) && !create {
		return "", nil, a, usagef("name it by --store, or give the policy that the agent has", "there is no store in %s", dir)
	}
	return dir, set, a, nil
}

// withStore opens that store, alone, for f.
func withStore(ctx context.Context, c *call, create bool, f func(s *store.Store, set *setup, a policy.Agent) (int, error)) (int, error) {
	dir, set, a, err := findStore(ctx, c, create)
	if err != nil {
		return ExitUsage, err
	}
	s, err := openStore(dir, a.StoreSize, slog.New(slog.NewTextHandler(logWriter{c.Stderr}, nil)))
	if err != nil {
		return ExitFailed, err
	}
	defer s.Close()
	return f(s, set, a)
}

func collectStore(ctx context.Context, c *call) (int, error) {
	limit, text := int64(0), c.text("max-size")
	if text != "" {
		var err error
		if limit, err = policy.ParseSize(text); err != nil {
			return ExitUsage, usagef("write a number and a unit: 500MB, 20GB, 1TiB", "%s: %w", c.from("max-size"), err)
		}
	}
	return withStore(ctx, c, false, func(s *store.Store, _ *setup, a policy.Agent) (int, error) {
		if text == "" {
			limit = a.StoreSize
		}
		files, bytes, err := s.GC(ctx, limit)
		if err != nil {
			return ExitFailed, err
		}
		st := s.Stats()
		_, err = fmt.Fprintf(c.Stdout, "removed %d files of %d bytes; %d files of %d bytes are left\n", files, bytes, st.Files, st.Bytes)
		if st.Bytes > limit {
			return ExitNo, err
		}
		return ExitOK, err
	})
}

func importStore(ctx context.Context, c *call) (int, error) {
	if len(c.args) == 0 {
		return ExitUsage, usagef("write \"agent import DIR\", such as the folder that \"go env GOMODCACHE\" prints", "import: which folder?")
	}
	return withStore(ctx, c, true, func(s *store.Store, set *setup, _ policy.Agent) (int, error) {
		dir := c.args[0]
		if !filepath.IsAbs(dir) {
			dir = filepath.Join(c.Dir, dir)
		}
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			return ExitUsage, usagef("name the folder that \"go env GOMODCACHE\" prints", "import: %s is no folder", c.args[0])
		}
		sums, file, err := set.readGoSum()
		if err != nil && (c.text("go-sum") != "" || !errors.Is(err, fs.ErrNotExist)) {
			return ExitUsage, usagef("mend it, or name another one by --go-sum", "%s: %s", file, firstLine(err))
		}
		bad := 0
		n, err := s.Import(ctx, dir, accept.Imported(ctx, sums), counted(c, &bad))
		if err != nil {
			return ExitFailed, err
		}
		if _, err = fmt.Fprintf(c.Stdout, "%d files imported, %d were here already, %d refused\n", n.Files, n.Present, n.Refused); err != nil {
			return ExitFailed, err
		}
		if bad > 0 { // refused, or not to be read
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
	return withStore(ctx, c, false, func(s *store.Store, _ *setup, _ policy.Agent) (int, error) {
		bad := 0
		good, err := s.Verify(ctx, remove, counted(c, &bad))
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

// counted shows problems, and counts them in n.
func counted(c *call, n *int) func(store.Problem) {
	return func(p store.Problem) {
		*n++
		fmt.Fprintln(c.Stderr, render.LogLine(p.Key+": "+p.Err.Error()))
	}
}

// forgetPin works beside an agent: a service is not stopped for one version.
func forgetPin(ctx context.Context, c *call) (int, error) {
	path, version, ok := "", "", false
	if len(c.args) > 0 {
		path, version, ok = strings.Cut(c.args[0], "@")
	}
	if !ok {
		return ExitUsage, usagef("write \"agent forget MODULE@VERSION\"", "forget: which version of which module?")
	}
	dir, _, _, err := findStore(ctx, c, false)
	if err != nil {
		return ExitUsage, err
	}
	forgotten := 0
	for _, kind := range []modproxy.Kind{modproxy.Zip, modproxy.Mod} {
		key, err := modproxy.File{Path: path, Version: version, Kind: kind}.URLPath()
		if err != nil {
			return ExitUsage, &usageError{err: err}
		}
		switch err := store.Forget(dir, key); {
		case err == nil:
			forgotten++
		case errors.Is(err, store.ErrVersion):
			return ExitFailed, usagef("", "%w", err)
		case !errors.Is(err, fs.ErrNotExist):
			return ExitFailed, err
		}
	}
	if forgotten == 0 {
		_, err := fmt.Fprintf(c.Stdout, "%s has no pin\n", render.LogLine(c.args[0]))
		return ExitNo, err
	}
	_, err = fmt.Fprintf(c.Stdout, "the next fetch of %s counts as its first\n", render.LogLine(c.args[0]))
	return ExitOK, err
}
