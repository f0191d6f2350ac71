package explain

import (
	"fmt"
	"strings"
	"unicode"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"
)

// A Query is a module and what of it is asked for, as on go's command line.
type Query struct {
	Path    string
	Version string // a version, or a query such as "latest" or a branch; "" for none
}

// ParseQuery parses MODULE[@VERSION]. The error says what is malformed.
func ParseQuery(s string) (Query, error) {
	path, version, found := strings.Cut(s, "@")
	q := Query{path, version}
	switch {
	case strings.Contains(path, "://"):
		return q, fmt.Errorf("module path %q: a module path has no scheme; write %s", s, strings.TrimPrefix(path[strings.Index(path, "://"):], "://"))
	case found && version == "":
		return q, fmt.Errorf("%q ends with @; write %s@latest or leave the @ out", s, path)
	}
	if err := module.CheckPath(path); err != nil {
		if e, ok := err.(*module.InvalidPathError); ok {
			return q, fmt.Errorf("malformed module path %q: %w", path, e.Err)
		}
		return q, err
	}
	return q, checkVersion(path, version)
}

func checkVersion(path, version string) error {
	bare := version != "" && version[0] >= '0' && version[0] <= '9'
	switch {
	case version == "":
		return nil
	case strings.ContainsFunc(version, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) || r == '@' || r == '\\' }):
		return fmt.Errorf("malformed version %q: a version or branch has no blanks and no further @", version)
	case bare && semver.IsValid("v"+version):
		return fmt.Errorf("malformed version %q: write v%s", version, version)
	case len(version) > 1 && version[0] == 'v' && version[1] >= '0' && version[1] <= '9' && !semver.IsValid(version):
		return fmt.Errorf("malformed version %q: a version is vMAJOR.MINOR.PATCH", version)
	}
	if semver.Canonical(version) == strings.TrimSuffix(version, "+incompatible") {
		if err := module.Check(path, version); err != nil {
			if e, ok := err.(*module.ModuleError); ok {
				err = e.Err
			}
			return fmt.Errorf("%s@%s: %w", path, version, err)
		}
	}
	return nil
}

// Exact reports whether the query is for one version and not for the best of
// several.
func (q Query) Exact() bool {
	return q.Version != "" && semver.Canonical(q.Version) == strings.TrimSuffix(q.Version, "+incompatible")
}

func (q Query) String() string {
	if q.Version == "" {
		return q.Path
	}
	return q.Path + "@" + q.Version
}
