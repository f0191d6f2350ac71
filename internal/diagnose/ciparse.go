package diagnose

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"
)

// parseCI returns what a CI file sets. Its name says of which kind it is, and
// so where a shell reads a value and where nobody takes quotes away. What CI
// itself fills in is left out.
func parseCI(file, text string) []assignment {
	var list []assignment
	switch base := filepath.Base(file); {
	case slices.Contains([]string{".yml", ".yaml"}, filepath.Ext(base)):
		list = yamlSets(text)
	case strings.Contains(base, "Dockerfile"):
		list = dockerSets(text)
	case base == "Makefile":
		list = linesSet(text, 1, makeLine)
	default:
		list = linesSet(text, 1, shellLine)
	}
	list = slices.DeleteFunc(list, func(a assignment) bool { return strings.Contains(a.Value, "${{") })
	for i := range list {
		list[i].File = file
	}
	return list
}

// linesSet returns what the lines of a text set, of which the first has the
// number n.
func linesSet(text string, n int, read func(line string) []assignment) (list []assignment) {
	for line := range strings.Lines(text) {
		for _, a := range read(strings.TrimRight(line, "\r\n")) {
			a.Line = n
			list = append(list, a)
		}
		n++
	}
	return list
}

// shellLine returns what a line for a shell sets, if only for one command.
func shellLine(line string) (list []assignment) {
	line = strings.TrimSpace(line)
	for _, call := range []string{"sh '", `sh "`} { // of a Jenkinsfile
		line = strings.TrimPrefix(line, call)
	}
	for _, words := range shellWords(line) {
		if words[0].text == "export" {
			words = words[1:]
		}
		for _, w := range words {
			name, value, ok := strings.Cut(w.text, "=")
			if !ok || name == "" {
				break
			}
			list = append(list, assignment{Name: name, Value: value, Computed: w.computed, Cut: w.cut})
		}
	}
	return list
}

// literal returns a variable whose value no shell reads.
func literal(name, value string) assignment {
	return assignment{Name: name, Value: value, Computed: strings.Contains(value, "$")}
}

// makeExport matches a variable that make hands on to commands, quotes included.
var makeExport = regexp.MustCompile(`^export\s+(\w+)\s*(?:\?|::?)?=\s*(.*?)\s*(?:#.*)?$`)

// makeLine returns what a line of a Makefile sets: a shell reads those of
// recipes alone.
func makeLine(line string) []assignment {
	if recipe, ok := strings.CutPrefix(line, "\t"); ok {
		list := shellLine(strings.TrimLeft(recipe, " \t@-+"))
		for i := range list { // make computes within any quotes
			list[i].Computed = strings.Contains(list[i].Value, "$")
		}
		return list
	}
	if match := makeExport.FindStringSubmatch(line); match != nil {
		return []assignment{literal(match[1], match[2])}
	}
	return nil
}

// dockerSets returns what a Dockerfile sets. An instruction goes on in the next
// line after a backslash.
func dockerSets(text string) []assignment {
	verb := ""
	return linesSet(text, 1, func(line string) []assignment {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#") {
			return nil
		}
		begin := verb == ""
		if begin {
			verb, line, _ = strings.Cut(line, " ")
			verb = strings.ToUpper(verb)
		}
		reads := verb
		line, more := strings.CutSuffix(line, `\`)
		if !more {
			verb = ""
		}
		switch reads {
		case "ENV", "ARG":
			return dockerPairs(strings.TrimSpace(line), begin)
		case "RUN":
			return shellLine(line)
		}
		return nil
	})
}

// dockerPairs returns what stands behind ENV or ARG; begin says that it stands
// in the instruction's first line.
func dockerPairs(pairs string, begin bool) (list []assignment) {
	if name, value, ok := strings.Cut(pairs, " "); ok && begin && !strings.Contains(name, "=") {
		return []assignment{literal(name, strings.TrimSpace(value))} // the old form
	}
	for word := range strings.FieldsSeq(pairs) {
		if name, value, ok := strings.Cut(word, "="); ok && name != "" {
			list = append(list, literal(name, strings.Trim(value, `"'`)))
		}
	}
	return list
}

// shellKeys are keys of CI files whose text a shell reads.
var shellKeys = []string{"run", "script", "before_script", "after_script", "command", "commands", "sh", "bash", "install", "before_install"}

var variableName = regexp.MustCompile(`^[A-Z][A-Z0-9_]*$`)

// yamlSets returns what a CI file in YAML sets: by a key that is a variable's
// name, by an item NAME=VALUE of "environment", or in a shell's text. Of a file
// that is no YAML that is nothing: CI itself says what is wrong with it.
func yamlSets(text string) (list []assignment) {
	d := yaml.NewDecoder(strings.NewReader(text))
	for {
		var doc yaml.Node
		if d.Decode(&doc) != nil {
			return list
		}
		list = append(list, nodeSets("", &doc)...)
	}
}

// nodeSets returns what a node below key sets. Values that stand elsewhere
// (aliases) and those of tags that only CI knows are left out.
func nodeSets(key string, n *yaml.Node) (list []assignment) {
	one := func(name, value string) []assignment {
		a := literal(name, value)
		a.Line = n.Line
		return []assignment{a}
	}
	name, value, pair := strings.Cut(n.Value, "=")
	switch named := variableName.MatchString(key); {
	case n.Kind == yaml.DocumentNode:
		return nodeSets("", n.Content[0])
	case !strings.HasPrefix(n.Tag, "!!") || n.Tag == "!!null":
	case n.Kind == yaml.MappingNode:
		for i := 0; i+1 < len(n.Content); i += 2 {
			list = append(list, nodeSets(n.Content[i].Value, n.Content[i+1])...)
		}
	case n.Kind == yaml.SequenceNode && !named:
		for _, c := range n.Content {
			list = append(list, nodeSets(key, c)...)
		}
	case n.Kind != yaml.ScalarNode:
	case named:
		return one(key, n.Value)
	case key == "environment" && pair && variableName.MatchString(name):
		return one(name, value)
	case slices.Contains(shellKeys, key):
		first := n.Line
		if n.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 {
			first++
		}
		return linesSet(n.Value, first, shellLine)
	}
	return list
}
