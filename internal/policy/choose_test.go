package policy

import (
	"strings"
	"testing"
)

const choosePolicy = `
environments:
  production: { chain: [official] }
  staging: { chain: [official] }
  "review/*": { chain: [official] }
  "review/*-eu": { chain: [official] }
  "review/special/*": { chain: [official] }
  default: { chain: [official] }
match:
  - { tag: "v*", environment: production }
  - { branch: main, environment: production }
  - { branch: "release/*", environment: staging }
  - { target: main, environment: staging }
  - { target: "release/*", environment: review/release }
`

func TestChoose(t *testing.T) {
	p := mustParse(t, choosePolicy)
	given := func(names ...string) []Named {
		var list []Named
		for _, n := range names {
			list = append(list, Named{n, "option " + n})
		}
		return list
	}
	proposed := mustParse(t, "environments: { qa: { chain: [official] }, default: { chain: [direct] } }")
	for _, tt := range []struct {
		name  string
		facts Facts
		want  Choice
	}{
		{"exact name", Facts{Given: given("production")}, Choice{"production", "production", "option production", ""}},
		{"the strongest caller", Facts{Given: given("", "staging", "production")}, Choice{"staging", "staging", "option staging", ""}},
		{"glob", Facts{Given: given("review/42")}, Choice{"review/42", "review/*", "option review/42", ""}},
		{"star spans slashes", Facts{Given: given("review/a/b")}, Choice{"review/a/b", "review/*", "option review/a/b", ""}},
		{"longer pattern wins", Facts{Given: given("review/1-eu")}, Choice{"review/1-eu", "review/*-eu", "option review/1-eu", ""}},
		{"longer prefix wins over longer pattern", Facts{Given: given("review/special/1-eu")}, Choice{"review/special/1-eu", "review/special/*", "option review/special/1-eu", ""}},
		{"default by name", Facts{Given: given("default")}, Choice{"default", "default", "option default", ""}},
		{"caller before CI", Facts{Given: given("staging"), FromCI: given("production")}, Choice{"staging", "staging", "option staging", ""}},
		{"CI before match", Facts{FromCI: given("staging"), Tag: "v1.0.0"}, Choice{"staging", "staging", "option staging", ""}},
		{"second name of the CI", Facts{FromCI: given("preview", "production")}, Choice{"production", "production", "option production", ""}},
		{
			"unknown name of the CI", Facts{FromCI: given("Staging"), Tag: "v1.0.0"},
			Choice{"default", "default", "default", `option Staging names "Staging"; policy.yaml has no such environment, so "default" applies (did you mean "staging"?)`},
		},
		{"hostile name of the CI", Facts{FromCI: []Named{{"review/abc\nd", "CI"}}}, Choice{"default", "default", "default", `CI names "review/abc\nd"; policy.yaml has no such environment, so "default" applies`}},
		{
			"a name that the change brings", Facts{Given: given("qa"), Tag: "v1.0.0", Proposed: proposed},
			Choice{"default", "default", "default", `option qa names "qa"; policy.yaml has no such environment, so "default" applies`},
		},
		{"a name that the change brings, and one of the CI", Facts{Given: given("qa"), FromCI: given("staging"), Proposed: proposed}, Choice{"staging", "staging", "option staging", ""}},
		{"what the change makes of a name is of no account", Facts{Given: given("production"), Proposed: proposed}, Choice{"production", "production", "option production", ""}},
		{"nothing", Facts{}, Choice{"default", "default", "default", ""}},
		{"tag", Facts{Tag: "v1.2.3"}, Choice{"production", "production", "match", ""}},
		{"other tag", Facts{Tag: "nightly"}, Choice{"default", "default", "default", ""}},
		{"branch", Facts{Branch: "main"}, Choice{"production", "production", "match", ""}},
		{"branch glob", Facts{Branch: "release/1/x"}, Choice{"staging", "staging", "match", ""}},
		{"target", Facts{PullRequest: true, Target: "main", Branch: "topic"}, Choice{"staging", "staging", "match", ""}},
		{"target, glob environment", Facts{PullRequest: true, Target: "release/1"}, Choice{"review/release", "review/*", "match", ""}},
		{"branch of a pull request decides nothing", Facts{PullRequest: true, Branch: "main", Target: "develop"}, Choice{"default", "default", "default", ""}},
		{"tag of a pull request decides nothing", Facts{PullRequest: true, Tag: "v1.2.3"}, Choice{"default", "default", "default", ""}},
		{"target without a pull request", Facts{Target: "main"}, Choice{"default", "default", "default", ""}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := p.Choose(tt.facts)
			if err != nil || got != tt.want {
				t.Errorf("Choose(%+v) = %+v, %v; want %+v", tt.facts, got, err, tt.want)
			}
		})
	}
}

func TestChooseRefuses(t *testing.T) {
	strict := "proxies: { corp: { url: \"https://corp.example.com\", private: true } }\nenvironments:\n  production: { mode: enforced, chain: [corp] }\n"
	for _, tt := range []struct {
		name, policy string
		facts        Facts
		want         string
	}{
		{
			"misspelt", choosePolicy, Facts{Given: []Named{{"prodution", "--environment"}}},
			`policy.yaml: unknown environment "prodution", named by --environment (did you mean "production"? the policy has production, staging, review/*, review/*-eu, review/special/*, default)`,
		},
		{
			"nothing like it", choosePolicy, Facts{Given: []Named{{"qa", "the input environment"}}},
			`policy.yaml: unknown environment "qa", named by the input environment (the policy has production, staging, review/*, review/*-eu, review/special/*, default)`,
		},
		{
			"in neither policy", choosePolicy, Facts{Given: []Named{{"qa", "--environment"}}, Proposed: BuiltIn()},
			`policy.yaml: unknown environment "qa", named by --environment`,
		},
		{
			"hostile", choosePolicy, Facts{Given: []Named{{"review/a\n::error::b", "--environment"}}},
			`unknown environment "review/a\n::error::b"`,
		},
		{
			"built-in", "", Facts{Given: []Named{{"production", "--environment"}}},
			`unknown environment "production", named by --environment (the policy has default)`,
		},
		{
			"no default beside an enforced environment", strict, Facts{},
			`policy.yaml: no environment is named, no match rule applies, and the policy has no default (add "default" to environments, or name one of production)`,
		},
		{
			"unknown to the CI, and no default", strict, Facts{FromCI: []Named{{"staging", "CI_ENVIRONMENT_NAME"}}},
			`policy.yaml: CI_ENVIRONMENT_NAME names "staging"; the policy has no such environment and no default`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := mustParse(t, tt.policy).Choose(tt.facts)
			if _, ok := err.(*Error); !ok || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Choose = %+v, %v; want an *Error with %s", c, err, tt.want)
			}
		})
	}
}

// A file without "default" gets the built-in one, unless the file is strict
// anywhere: then an unnamed build must not slip out through the public chain.
func TestImplicitDefault(t *testing.T) {
	corp := "proxies: { corp: { url: \"https://corp.example.com\", private: true } }\n"
	for _, tt := range []struct {
		name, policy string
		want         bool
	}{
		{"empty", "", true},
		{"other environments", "environments: { staging: { chain: [direct] } }", true},
		{"its own", "environments: { default: { chain: [direct] } }", false},
		{"a glob covers it", "environments: { \"*\": { chain: [direct] } }", false},
		{"enforced at the top", corp + "mode: enforced", false},
		{"enforced environment", corp + "environments: { production: { mode: enforced, chain: [corp] } }", false},
		{"allow-list", corp + "environments: { production: { allow: [corp.example.com], chain: [corp] } }", false},
		{"private modules through the chain", corp + "environments: { production: { private_via: chain, chain: [corp] } }", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := mustParse(t, tt.policy).implicitDefault(); got != tt.want {
				t.Errorf("implicitDefault = %v, want %v", got, tt.want)
			}
		})
	}
}

func TestMatchGlob(t *testing.T) {
	for _, tt := range []struct {
		pattern, s string
		want       bool
	}{
		{"main", "main", true},
		{"main", "mainly", false},
		{"", "", true},
		{"*", "", true},
		{"*", "a/b", true},
		{"v*", "v", true},
		{"v*", "1v", false},
		{"*-eu", "a-eu", true},
		{"*-eu", "a-eu-1", false},
		{"a*b*c", "abc", true},
		{"a*b*c", "a-b-b-c", true},
		{"a*b*c", "acb", false},
		{"ab*ba", "aba", false},
		{"a**", "a", true},
		{"[a]?", "[a]?", true},
		{"[a]", "a", false},
	} {
		if got := matchGlob(tt.pattern, tt.s); got != tt.want {
			t.Errorf("matchGlob(%q, %q) = %v, want %v", tt.pattern, tt.s, got, tt.want)
		}
	}
}

func TestCoversGlob(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"*", "v*", true},
		{"v*", "v1*", true},
		{"v1*", "v*", false},
		{"a*c", "abc", true},
		{"a*", "*", false},
		{"*b*", "ab*", true},
		{"main", "main", true},
	} {
		if got := coversGlob(tt.a, tt.b); got != tt.want {
			t.Errorf("coversGlob(%q, %q) = %v, want %v", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestDidYouMean(t *testing.T) {
	valid := []string{"chain", "production", "on_fallback", "on_exhausted"}
	for given, want := range map[string]string{
		"chian": `did you mean "chain"?`, "prodution": `did you mean "production"?`, "Chain": `did you mean "chain"?`,
		"onfallback": `did you mean "on_fallback"?`, "qa": "", "": "", "zzzzz": "", strings.Repeat("x", 500): "",
	} {
		if got := didYouMean(given, valid); got != want {
			t.Errorf("didYouMean(%q) = %q, want %q", clip(given), got, want)
		}
	}
}
