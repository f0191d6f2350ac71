package diagnose

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/net/html"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/policy"
)

// maxPage bounds the page that says where a module's repository is, in bytes.
const maxPage = 1 << 20

// A repository is where a module is developed.
type repository struct{ root, vcs, url string }

// fromDirect finds the repository of a module as go does, and asks it for the
// version's tag. Nothing is cloned.
func (m *Machine) fromDirect(ctx context.Context, mod module.Version) []layerAnswer {
	meta := layerAnswer{File: "meta"}
	repo, err := m.repository(ctx, mod.Path)
	if err != nil {
		meta.Answer, meta.Detail = goenv.Unreachable, modproxy.Line(err.Error())
		if errors.Is(err, context.DeadlineExceeded) {
			meta.Answer, meta.late = goenv.Hang, ctx.Err() != nil
		}
		return []layerAnswer{meta}
	}
	meta.Detail = repo.vcs + " " + goenv.Redact(repo.url)
	tag := layerAnswer{File: "tag"}
	switch {
	case repo.vcs != "git":
		tag.Detail = "not asked: it is no git repository"
	case m.Git.Path == "":
		tag.Answer, tag.Detail = goenv.Unreachable, "there is no git in PATH"
	case module.IsPseudoVersion(mod.Version):
		tag.Detail = "not asked: a pseudo-version has no tag"
	default:
		tag.Answer, tag.Detail = m.tag(ctx, repo, mod)
		tag.late = tag.Answer == goenv.Hang
	}
	return []layerAnswer{meta, tag}
}

// repository returns where a module is developed: by its name for the hosts
// that go knows, else as the page of its path says.
//
// Source: cmd/go/internal/vcs and "Finding a repository for a module path" in
// the Go Modules Reference.
func (m *Machine) repository(ctx context.Context, path string) (repository, error) {
	parts := strings.Split(path, "/")
	if parts[0] == "github.com" && len(parts) >= 3 {
		root := strings.Join(parts[:3], "/")
		return repository{root, "git", "https://" + root}, nil
	}
	host := parts[0]
	if why := policy.ForbiddenHost(host); why != "" {
		return repository{}, errors.New(why)
	}
	tr := m.transport()
	defer tr.CloseIdleConnections()
	u := &url.URL{Scheme: "https", Host: host, Path: "/" + strings.Join(parts[1:], "/"), RawQuery: "go-get=1"}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return repository{}, err
	}
	resp, err := (&http.Client{Transport: tr}).Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err
		}
		return repository{}, fmt.Errorf("https://%s?go-get=1: %w", path, err)
	}
	defer resp.Body.Close()
	page, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	if err != nil {
		return repository{}, err
	}
	for _, r := range goImports(page) {
		if (path == r.root || strings.HasPrefix(path, r.root+"/")) && r.vcs != "mod" {
			return r, nil
		}
	}
	return repository{}, fmt.Errorf("https://%s?go-get=1 (%s) names no repository", path, modproxy.StatusText(resp.StatusCode))
}

// goImports returns what the go-import tags in the head of a page say.
func goImports(page []byte) (list []repository) {
	z := html.NewTokenizer(bytes.NewReader(page))
	for {
		switch z.Next() {
		case html.ErrorToken:
			return list
		case html.StartTagToken, html.SelfClosingTagToken:
			t := z.Token()
			if t.Data == "body" {
				return list
			}
			name, content := "", ""
			for _, a := range t.Attr {
				switch a.Key {
				case "name":
					name = a.Val
				case "content":
					content = a.Val
				}
			}
			if f := strings.Fields(content); t.Data == "meta" && name == "go-import" && len(f) >= 3 {
				list = append(list, repository{f[0], f[1], f[2]})
			}
		}
	}
}

// tag asks a repository for a version's tag.
func (m *Machine) tag(ctx context.Context, r repository, mod module.Version) (goenv.Answer, string) {
	u, err := url.Parse(r.url)
	if err != nil || !slices.Contains([]string{"https", "http", "git", "ssh", "git+ssh"}, u.Scheme) {
		return goenv.Garbage, fmt.Sprintf("%q is no URL that go gives to git", r.url)
	}
	if why := policy.ForbiddenHost(u.Hostname()); why != "" {
		return goenv.Unreachable, why
	}
	dir := strings.TrimPrefix(strings.TrimPrefix(mod.Path, r.root), "/")
	if _, major, ok := module.SplitPathVersion(mod.Path); ok {
		dir = strings.TrimSuffix(strings.TrimSuffix(dir, strings.TrimPrefix(major, "/")), "/")
	}
	name := strings.TrimSuffix(mod.Version, "+incompatible")
	if dir != "" {
		name = dir + "/" + name
	}
	quiet := []string{"GIT_TERMINAL_PROMPT=0"}
	if m.Getenv("GIT_SSH_COMMAND") == "" {
		quiet = append(quiet, "GIT_SSH_COMMAND=ssh -o BatchMode=yes")
	}
	out, errs, err := m.output(ctx, m.Dir, quiet,
		m.Git.Path, "ls-remote", "--", r.url, "refs/tags/"+name)
	switch {
	case ctx.Err() != nil:
		return goenv.Hang, timeOver
	case err != nil:
		return goenv.Unreachable, "git: " + goenv.Redact(modproxy.Line(firstLine(errs)))
	case strings.TrimSpace(out) == "":
		return goenv.Absent, "there is no tag " + name
	}
	hash, _, _ := strings.Cut(out, "\t")
	return goenv.OK, "tag " + name + " is " + hash[:min(len(hash), 12)]
}
