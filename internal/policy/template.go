package policy

import (
	"errors"
	"fmt"
	"strings"
)

// References returns the names of the variables that template, a username or
// password, refers to by ${NAME}, in order. A "$" that does not begin such a
// reference is an error, which does not repeat the template.
func References(template string) ([]string, error) {
	var names []string
	_, err := Expand(template, func(name string) (string, error) {
		names = append(names, name)
		return "", nil
	})
	return names, err
}

// Expand replaces each ${NAME} of template by the value of NAME. Values are not
// expanded again. It stops at the first error of value.
func Expand(template string, value func(name string) (string, error)) (string, error) {
	var out strings.Builder
	for {
		before, rest, found := strings.Cut(template, "$")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		name, after, closed := strings.Cut(strings.TrimPrefix(rest, "{"), "}")
		switch {
		case !strings.HasPrefix(rest, "{") || !closed:
			return "", errors.New(`a "$" that does not begin ${NAME}`)
		case !variableName.MatchString(name):
			return "", errors.New("${…} without the name of a variable")
		}
		v, err := value(name)
		if err != nil {
			return "", fmt.Errorf("${%s}: %w", name, err)
		}
		out.WriteString(v)
		template = after
	}
}
