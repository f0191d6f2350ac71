package render

import (
	"fmt"
	"strings"
	"time"
)

// A Property is one property of a workflow command: file, line, col, title …
type Property struct{ Name, Value string }

// commandLength is where GitHub's runner cuts the message of an annotation.
const commandLength = 4096

// WorkflowCommand returns the line "::name property=value,…::message" that
// GitHub's runner, Forgejo, Gitea and act obey, without the line's end.
// Properties without a value are left out; line breaks in message are kept,
// and it is cut where GitHub's runner would cut it.
//
// name and the properties' names are the caller's own and must be words.
// "::" in a message is broken by U+200B: act and its descendants look for the
// last "::" of the line, and would take the rest for properties.
func WorkflowCommand(name string, props []Property, message string) string {
	var b strings.Builder
	b.WriteString("::" + name)
	separator := " "
	for _, p := range props {
		if value := strings.TrimSpace(visible(p.Value)); value != "" {
			b.WriteString(separator + p.Name + "=" + propertyEscapes.Replace(value))
			separator = ","
		}
	}
	return b.String() + "::" + commandData(message)
}

// propertyEscapes are the runner's own. It splits properties at commas, and
// each at its first "=".
var propertyEscapes = strings.NewReplacer("%", "%25", ":", "%3A", ",", "%2C")

func commandData(message string) string {
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(message, "\r\n", "\n")), "\n")
	for i, line := range lines {
		lines[i] = oldCommand.ReplaceAllString(visible(line), "## $1")
	}
	message = strings.Join(lines, "\n")
	message = strings.ReplaceAll(message, "::", ":\u200b:")
	message = strings.ReplaceAll(message, "::", ":\u200b:") // what was ":::"
	if strings.HasPrefix(message, ":") {
		message = "\u200b" + message
	}
	return dataEscapes.Replace(cutUnits(message, commandLength))
}

// dataEscapes are the runner's own, for messages.
var dataEscapes = strings.NewReplacer("%", "%25", "\n", "%0A")

// GitLabSectionStart returns the line that opens a section of a GitLab job log
// under header. Start and end of a section have the same name.
func GitLabSectionStart(name, header string, collapsed bool, now time.Time) string {
	options := ""
	if collapsed {
		options = "[collapsed=true]"
	}
	return fmt.Sprintf("\x1b[0Ksection_start:%d:%s%s\r\x1b[0K%s", now.Unix(), sectionName(name), options, LogLine(header))
}

// GitLabSectionEnd returns the line that closes a section of a GitLab job log.
func GitLabSectionEnd(name string, now time.Time) string {
	return fmt.Sprintf("\x1b[0Ksection_end:%d:%s\r\x1b[0K", now.Unix(), sectionName(name))
}

// sectionName replaces what GitLab does not take in a section's name.
func sectionName(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', r == '_', r == '.', r == '-':
			return r
		}
		return '_'
	}, name)
}
