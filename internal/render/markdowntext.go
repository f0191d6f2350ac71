package render

import "strings"

// markdownText returns s as inline GitHub-flavoured Markdown that shows s and
// does nothing else: no markup, no HTML, no link, no mention, no reference.
// Words that a renderer would turn into links (addresses, "www.", "@name",
// "#1") become code, where they are inert and can still be copied. It may begin
// a paragraph, a list's item or a cell (see markdownCell).
func markdownText(s string) string {
	text := markdownInline(s)
	// What would begin a list, a rule or the underline of a heading.
	if strings.IndexAny(text, "-+=0123456789") == 0 {
		digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
		if digits < len(text) && strings.IndexByte("-+=.)", text[digits]) >= 0 {
			text = text[:digits] + `\` + text[digits:]
		}
	}
	return text
}

// markdownInline is markdownText for where nothing begins a list or a rule: a
// cell of a table.
func markdownInline(s string) string {
	words := strings.Split(strings.TrimSpace(LogLine(s)), " ")
	for i, w := range words {
		words[i] = markdownWord(w)
	}
	return strings.Join(words, " ")
}

// markdownWord returns one word as Markdown; punctuation around an address
// stays outside its code.
func markdownWord(w string) string {
	lower := strings.ToLower(w)
	if !strings.ContainsAny(w, "@#") && !strings.Contains(lower, "://") && !strings.Contains(lower, "www.") {
		return markdownEscapes.Replace(w)
	}
	core := strings.TrimRight(strings.TrimLeft(w, `("'`), `)"',.;:!?`)
	if core == "" {
		core = w
	}
	before, after, _ := strings.Cut(w, core)
	return markdownEscapes.Replace(before) + codeSpan(core) + markdownEscapes.Replace(after)
}

// markdownEscapes writes as entities what HTML and tables read, since they are
// read before anything else, and escapes the rest of the markup.
var markdownEscapes = strings.NewReplacer(
	"&", "&amp;", "<", "&lt;", ">", "&gt;", "|", "&#124;",
	`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "~", `\~`, "$", `\$`, "#", `\#`, "@", "&#64;",
)

// markdownCode returns s as a code span, "" for a blank s. In a table it needs
// markdownCell around it.
func markdownCode(s string) string { return codeSpan(LogLine(s)) }

// codeSpan is markdownCode for one line that is already safe in a log.
func codeSpan(line string) string {
	line = strings.TrimSpace(line)
	if line == "" {
		return ""
	}
	fence := "`"
	for strings.Contains(line, fence) {
		fence += "`"
	}
	if line[0] == '`' || line[len(line)-1] == '`' {
		line = " " + line + " "
	}
	return fence + line + fence
}

// markdownCell returns a piece of inline Markdown for use as a table's cell: a
// bar inside it does not end the cell. Tables take "\|" for "|" even in code.
func markdownCell(markdown string) string {
	return strings.ReplaceAll(markdown, "|", `\|`)
}
