package goenv

import (
	"fmt"
	"slices"
	"strings"
)

// DefaultVCS is what go appends to GOVCS.
const DefaultVCS = "private:all,public:git|hg"

// A VCSRule is one entry of GOVCS: the version control systems that go may run
// for a module that the pattern covers.
type VCSRule struct {
	Pattern string // "public", "private" or a module pattern
	Allowed []string
}

func (r VCSRule) String() string { return r.Pattern + ":" + strings.Join(r.Allowed, "|") }

// ParseVCS parses v, the value of GOVCS, and appends [DefaultVCS]. With one bad
// entry go refuses to use any version control system.
//
// Source: parseGOVCS in cmd/go/internal/vcs.
func ParseVCS(v string) ([]VCSRule, error) {
	var rules []VCSRule
	v = strings.TrimSpace(v)
	if v != "" {
		for item := range strings.SplitSeq(v, ",") {
			rule, err := parseVCSRule(strings.TrimSpace(item))
			if err != nil {
				return nil, err
			}
			if slices.ContainsFunc(rules, func(r VCSRule) bool { return r.Pattern == rule.Pattern }) {
				return nil, fmt.Errorf("GOVCS entry %q: the pattern %q stands twice", shown(item), shown(rule.Pattern))
			}
			rules = append(rules, rule)
		}
	}
	return append(rules, VCSRule{"private", []string{"all"}}, VCSRule{"public", []string{"git", "hg"}}), nil
}

func parseVCSRule(item string) (VCSRule, error) {
	pattern, list, found := strings.Cut(item, ":")
	pattern, list = strings.TrimSpace(pattern), strings.TrimSpace(list)
	relative := pattern == "." || pattern == ".." || strings.HasPrefix(pattern, "./") || strings.HasPrefix(pattern, "../")
	if !found || pattern == "" || list == "" || relative {
		return VCSRule{}, fmt.Errorf("GOVCS entry %q: write PATTERN:VCS|VCS…, as in public:git", shown(item))
	}
	allowed := strings.Split(list, "|")
	for i, name := range allowed {
		if allowed[i] = strings.TrimSpace(name); allowed[i] == "" {
			return VCSRule{}, fmt.Errorf("GOVCS entry %q: a version control system without a name", shown(item))
		}
	}
	return VCSRule{pattern, allowed}, nil
}

// VCSFor returns the rule that decides for a module, the first that covers it.
// private says that GOPRIVATE covers the module. There is none for a list
// without the defaults.
func VCSFor(rules []VCSRule, modulePath string, private bool) (VCSRule, bool) {
	i := slices.IndexFunc(rules, func(r VCSRule) bool {
		switch r.Pattern {
		case "private":
			return private
		case "public":
			return !private
		}
		return MatchPatterns(r.Pattern, modulePath)
	})
	if i < 0 {
		return VCSRule{}, false
	}
	return rules[i], true
}

// Allows reports whether go may run the version control system of that name.
func (r VCSRule) Allows(name string) bool {
	return slices.Contains(r.Allowed, name) || slices.Contains(r.Allowed, "all")
}
