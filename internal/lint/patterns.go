package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/goenv"
)

// patternVariables hold lists of module patterns.
var patternVariables = []string{"GOPRIVATE", "GONOPROXY", "GONOSUMDB", "GOINSECURE"}

// badPattern finds patterns that are wrong for one of the reasons.
func badPattern(reasons ...string) func(*checker) []found {
	return func(c *checker) (list []found) {
		for _, name := range patternVariables {
			set := c.look(name)
			if set.From != "" {
				continue // reported where it is written
			}
			problems := goenv.LintPatterns(set.Value)
			for _, p := range problems {
				if !slices.Contains(reasons, p.Reason) {
					continue
				}
				f := found{set: set, message: fmt.Sprintf("the pattern %q matches nothing of what it names: %s", p.Pattern, p.Reason)}
				if fixed, ok := goenv.MendPatterns(set.Value); ok {
					f.changes = []Change{{name, fixed}}
				} else {
					f.advice = "write it anew, as in git.example.com/team"
				}
				list = append(list, f)
				break // one line mends all of them
			}
		}
		return list
	}
}

// everything finds the pattern that covers all modules.
func everything(c *checker) (list []found) {
	for _, name := range patternVariables {
		set := c.look(name)
		all := slices.Contains(items(set.Value), "*") || slices.Contains(items(set.Value), "*/*")
		if set.From != "" || !all {
			continue
		}
		message := map[string]string{
			"GOPRIVATE":  "every module is fetched from version control and none is verified, whatever GOPROXY and GOSUMDB say",
			"GONOPROXY":  "every module is fetched from version control, whatever GOPROXY says",
			"GONOSUMDB":  "no module that go.sum lacks is ever verified",
			"GOINSECURE": "every direct fetch may be altered on its way",
		}[name]
		list = append(list, found{set, message, []Change{{name, ""}}, "or name the private modules alone, as in git.example.com/team"})
	}
	return list
}

func directButLookedUp(c *checker) []found {
	set := c.look("GONOPROXY")
	if set.From != "" || c.dbErr != nil || c.db.Off {
		return nil
	}
	out := missing(set.Value, c.look("GONOSUMDB").Value)
	if slices.Contains(out, "*") || len(out) == 0 {
		return nil
	}
	return []found{{set, fmt.Sprintf("%s: fetched past every proxy, but still looked up in the public checksum database, which then knows the names; GONOPROXY does not make a module private", strings.Join(out, ", ")),
		[]Change{{"GONOSUMDB", with(c.look("GONOSUMDB").Value, out)}}, ""}}
}

func privateThroughPublic(c *checker) []found {
	name, ok := c.firstPublic()
	if !ok {
		return nil
	}
	var private []string
	for _, variable := range []string{"GOPRIVATE", "GONOSUMDB"} {
		private = append(private, missing(c.look(variable).Value, c.look("GONOPROXY").Value)...)
	}
	slices.Sort(private)
	private = slices.DeleteFunc(slices.Compact(private), func(p string) bool { return p == "*" })
	if len(private) == 0 {
		return nil
	}
	set := c.look("GONOPROXY")
	return []found{{set, fmt.Sprintf("%s: private, but no pattern of GONOPROXY covers it, so the names are told to the public proxy %s", strings.Join(private, ", "), name),
		[]Change{{"GONOPROXY", with(set.Value, private)}}, ""}}
}

// firstPublic returns the first proxy of the catalogue that is in the chain.
func (c *checker) firstPublic() (string, bool) {
	for _, p := range c.proxies {
		if p.public != nil {
			return p.public.Name, true
		}
	}
	return "", false
}

func hiddenPrivate(c *checker) (list []found) {
	private := c.look("GOPRIVATE")
	if _, public := c.firstPublic(); public || private.Value == "" {
		return nil // that is worse, and another rule
	}
	set := c.look("GONOPROXY")
	if set.From != "" || len(items(set.Value)) == 0 {
		return nil // none: private modules through the proxy, on purpose
	}
	if out := missing(private.Value, set.Value); len(out) > 0 {
		list = append(list, found{set, fmt.Sprintf("GOPRIVATE is only the default of GONOPROXY, which has patterns of its own: %s goes through the proxies", strings.Join(out, ", ")),
			[]Change{{"GONOPROXY", with(set.Value, out)}}, ""})
	}
	return list
}
