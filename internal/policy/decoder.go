package policy

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/org/goproxy-setup/internal/report"
	"gopkg.in/yaml.v3"
)

// Limits that no real policy reaches: they bound the work for a hostile one.
const (
	maxBytes = 256 << 10
	maxNodes = 20_000 // values read, those behind aliases once for each use
	maxText  = 1024   // bytes of one text
	maxChain = 16     // entries of one chain
)

// A decoder walks the nodes of one file and collects every mistake.
//
// It decodes by hand: yaml.v3's own decoding accepts unknown keys, stops at the
// first mistake and forgets the places.
type decoder struct {
	file  string
	errs  Errors
	nodes int
}

func (d *decoder) place(n *yaml.Node) report.Place {
	return report.Place{File: d.file, Line: n.Line, Column: n.Column}
}

// fail records a mistake at n. What comes after the limit of values is not
// judged: it was not read.
func (d *decoder) fail(id string, n *yaml.Node, hint, format string, args ...any) {
	if d.exhausted() && id != idTooMuch {
		return
	}
	d.errs = append(d.errs, &Error{ID: id, Place: d.place(n), Msg: fmt.Sprintf(format, args...), Hint: hint})
}

// follow returns the node that n stands for: itself, unless it is an alias.
// Once too many values were read it returns an empty one.
func (d *decoder) follow(n *yaml.Node) *yaml.Node {
	d.nodes++
	if d.nodes == maxNodes {
		d.fail(idTooMuch, n, "does an alias repeat a large part?", "more than %d values", maxNodes)
	}
	if d.nodes >= maxNodes {
		return &yaml.Node{Kind: n.Kind, Line: n.Line, Column: n.Column}
	}
	if n.Kind == yaml.AliasNode && n.Alias != nil {
		return n.Alias
	}
	return n
}

// exhausted reports whether follow gave up.
func (d *decoder) exhausted() bool { return d.nodes >= maxNodes }

// fields are the keys that a mapping may have, and how each one's value is
// read into T. The tables are compared with the JSON Schema by a test.
type fields[T any] map[string]func(d *decoder, n *yaml.Node, into *T)

// keys returns the keys that a user may write, sorted.
func (f fields[T]) keys() []string {
	return slices.Sorted(maps.Keys(f))
}

// within makes keys of a part of T keys of T.
func within[T, P any](table fields[P], part func(*T) *P) fields[T] {
	lifted := fields[T]{}
	for key, read := range table {
		lifted[key] = func(d *decoder, n *yaml.Node, into *T) { read(d, n, part(into)) }
	}
	return lifted
}

// merge joins tables whose keys differ.
func merge[T any](tables ...fields[T]) fields[T] {
	all := fields[T]{}
	for _, table := range tables {
		maps.Copy(all, table)
	}
	return all
}

// readMap reads the mapping n, which people call what, into T.
func readMap[T any](d *decoder, n *yaml.Node, what string, known fields[T], into *T) {
	d.pairs(n, what, func(key, val *yaml.Node) {
		read, ok := known[key.Value]
		if !ok {
			d.fail(idKey, key, suggest(key.Value, known.keys()), "unknown key %q in %s", clip(key.Value), what)
			return
		}
		read(d, val, into)
	})
}

// pairs calls f for each key of the mapping n that is text and not repeated.
func (d *decoder) pairs(n *yaml.Node, what string, f func(key, val *yaml.Node)) {
	n = d.follow(n)
	if n.Kind != yaml.MappingNode {
		d.fail(idType, n, "", "%s must be a mapping, not %s", what, kindOf(n))
		return
	}
	line := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := d.follow(n.Content[i])
		at := n.Content[i]
		switch first, again := line[key.Value]; {
		case d.exhausted():
			return
		case key.Value == "<<":
			d.fail(idKey, at, "repeat the keys, or use an alias for a whole value", "merge keys are not supported")
		case key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str":
			d.fail(idType, at, "put it in quotes", "a key of %s must be text, not %s", what, kindOf(key))
		case again:
			d.fail(idRepeated, at, "", "key %q is already set on line %d", clip(key.Value), first)
		default:
			line[key.Value] = at.Line
			f(&yaml.Node{Kind: yaml.ScalarNode, Value: key.Value, Line: at.Line, Column: at.Column}, n.Content[i+1])
		}
	}
}

// items returns the elements of the list n.
func (d *decoder) items(n *yaml.Node, key string) ([]*yaml.Node, bool) {
	n = d.follow(n)
	if n.Kind != yaml.SequenceNode {
		hint := ""
		if n.Kind == yaml.ScalarNode && n.ShortTag() == "!!str" {
			words := strings.FieldsFunc(clip(n.Value), func(r rune) bool { return r == ',' || r == '|' || unicode.IsSpace(r) })
			for i := range words {
				words[i] = strconv.Quote(words[i])
			}
			hint = "write [" + strings.Join(words, ", ") + "]"
		}
		d.fail(idType, n, hint, "%s must be a list, not %s", key, kindOf(n))
		return nil, false
	}
	return n.Content, true
}

// text reads one line of text in which nothing is expanded.
func (d *decoder) text(n *yaml.Node, key string) (value[string], bool) {
	v, ok := d.raw(n, key)
	if ok && strings.Contains(v.v, "${") {
		d.fail(idSecret, n, `it is expanded in "username" and "password" only`, "%s must not contain ${NAME}", key)
		return v, false
	}
	return v, ok
}

// raw reads one line of text.
func (d *decoder) raw(n *yaml.Node, key string) (value[string], bool) {
	at := d.place(n)
	n = d.follow(n)
	bad := func(hint, problem string) (value[string], bool) {
		d.fail(idType, n, hint, "%s must be %s", key, problem)
		return value[string]{}, false
	}
	switch {
	case d.exhausted():
		return value[string]{}, false
	case n.Kind != yaml.ScalarNode || n.ShortTag() == "!!null":
		return bad("", "text, not "+kindOf(n))
	case n.ShortTag() != "!!str":
		return bad(fmt.Sprintf("write %q", clip(n.Value)), "text, not "+kindOf(n))
	case n.Value == "":
		return bad("leave the key out to get its default", "a text that is not empty")
	case len(n.Value) > maxText:
		return bad("", fmt.Sprintf("at most %d bytes long", maxText))
	case strings.TrimSpace(n.Value) != n.Value:
		return bad("", "without blanks around it")
	case !printable(n.Value):
		return bad("", "one line of printable characters")
	}
	return value[string]{n.Value, at, true}, true
}

// printable reports whether s may stand in a message and in a line of a file.
func printable(s string) bool {
	return utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) })
}

// flag reads true or false.
func (d *decoder) flag(n *yaml.Node, key string) value[bool] {
	at := d.place(n)
	n = d.follow(n)
	v := value[bool]{place: at, set: true}
	if n.ShortTag() != "!!bool" || n.Decode(&v.v) != nil {
		d.fail(idType, n, "", "%s must be true or false, not %s", key, kindOf(n))
		return value[bool]{}
	}
	return v
}

// number reads an integer from low to high.
func (d *decoder) number(n *yaml.Node, key string, low, high int) value[int] {
	at := d.place(n)
	n = d.follow(n)
	v := value[int]{place: at, set: true}
	if n.ShortTag() != "!!int" || n.Decode(&v.v) != nil {
		d.fail(idType, n, "", "%s must be a number from %d to %d, not %s", key, low, high, kindOf(n))
		return value[int]{}
	}
	if v.v < low || v.v > high {
		d.fail(idValue, n, "", "%s must be from %d to %d, not %d", key, low, high, v.v)
		return value[int]{}
	}
	return v
}

// oneOf reads one of the words that are valid.
func oneOf[E ~string](d *decoder, n *yaml.Node, key string, valid []E) value[E] {
	v, ok := d.text(n, key)
	if !ok {
		return value[E]{}
	}
	if !slices.Contains(valid, E(v.v)) {
		words := make([]string, len(valid))
		for i, w := range valid {
			words[i] = string(w)
		}
		d.fail(idValue, n, suggest(v.v, words), "%s cannot be %q", key, clip(v.v))
		return value[E]{}
	}
	return value[E]{E(v.v), v.place, true}
}

// list reads a list of texts that check accepts; check reports what it does
// not, and returns the text to keep.
func (d *decoder) list(n *yaml.Node, key string, check func(n *yaml.Node, s string) (string, bool)) value[[]string] {
	at := d.place(n)
	items, ok := d.items(n, key)
	if !ok {
		return value[[]string]{}
	}
	if len(items) == 0 {
		d.fail(idValue, n, "leave the key out", "%s is empty", key)
	}
	v := value[[]string]{place: at, set: true}
	for _, item := range items {
		s, ok := d.text(item, "an item of "+key)
		if !ok {
			continue
		}
		if kept, ok := check(item, s.v); ok && !slices.Contains(v.v, kept) {
			v.v = append(v.v, kept)
		}
	}
	return v
}

// kindOf says in words what n is.
func kindOf(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a mapping"
	case yaml.SequenceNode:
		return "a list"
	case yaml.AliasNode:
		return "an alias"
	}
	switch tag := n.ShortTag(); tag {
	case "!!str":
		return fmt.Sprintf("the text %q", clip(n.Value))
	case "!!null":
		return "nothing"
	case "!!int", "!!float":
		return "the number " + clip(n.Value)
	case "!!bool":
		return clip(n.Value)
	default:
		return fmt.Sprintf("a value tagged %q", clip(tag))
	}
}

// clip shortens s for a message.
func clip(s string) string {
	const most = 60
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
