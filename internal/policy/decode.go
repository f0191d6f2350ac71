package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/report"
	"gopkg.in/yaml.v3"
)

// Parse reads a policy file. Places name the file name. The error is of type
// [Errors] and holds every mistake of the file, unless it is not YAML at all:
// then it holds the first.
func Parse(name string, data []byte) (*Policy, error) {
	d := &decoder{file: name}
	p := &Policy{name: name, proxies: map[string]proxy{}}
	root, err := d.document(data)
	if err != nil {
		return nil, Errors{err}
	}
	if root == nil {
		p.warn(idUnused, report.Place{File: name}, "", "the policy file is empty: the built-in policy applies")
	} else {
		readMap(d, root, "the policy", topFields, p)
		p.link(d)
	}
	if len(d.errs) > 0 {
		return nil, d.errs.sorted()
	}
	slices.SortStableFunc(p.findings, func(a, b report.Finding) int {
		return compareErrors(&Error{Place: a.Place}, &Error{Place: b.Place})
	})
	return p, nil
}

// document returns the root of the only document in data, nil if it is empty.
func (d *decoder) document(data []byte) (*yaml.Node, *Error) {
	at := report.Place{File: d.file}
	if len(data) > maxBytes {
		return nil, &Error{ID: idTooMuch, Place: at, Msg: fmt.Sprintf("the file is larger than %d KiB", maxBytes>>10)}
	}
	if err := d.encoding(data); err != nil {
		return nil, err
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	if err := dec.Decode(&doc); errors.Is(err, io.EOF) {
		return nil, nil
	} else if err != nil {
		return nil, d.syntax(err)
	}
	switch err := dec.Decode(&second); {
	case err == nil:
		at.Line = second.Line
		return nil, &Error{ID: idSyntax, Place: at, Msg: "a policy file holds one document only", Hint: `remove "---" and what follows`}
	case !errors.Is(err, io.EOF):
		return nil, d.syntax(err)
	}
	root := doc.Content[0]
	if root.Kind == yaml.ScalarNode && root.ShortTag() == "!!null" {
		return nil, nil
	}
	return root, nil
}

// encoding refuses what is not plain UTF-8 text: yaml.v3 would, too, but
// without telling where.
func (d *decoder) encoding(data []byte) *Error {
	line := 1
	for i := 0; i < len(data); {
		r, size := utf8.DecodeRune(data[i:])
		problem := ""
		switch {
		case r == utf8.RuneError && size == 1:
			problem = "the file is not UTF-8"
		case r < ' ' && r != '\t' && r != '\r' && r != '\n' || r == 0x7f:
			problem = fmt.Sprintf("the file has a control character (%U)", r)
		}
		if problem != "" {
			return &Error{ID: idSyntax, Place: report.Place{File: d.file, Line: line}, Msg: problem, Hint: "save it as UTF-8 text"}
		}
		if r == '\n' {
			line++
		}
		i += size
	}
	return nil
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntax turns an error of yaml.v3, which knows lines as text only, into ours.
func (d *decoder) syntax(err error) *Error {
	e := &Error{ID: idSyntax, Place: report.Place{File: d.file, Line: 1}} // yaml.v3 leaves line 1 out
	text := err.Error()
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		text = text[len(m[0]):]
		if m[1] != "" {
			e.Place.Line, _ = strconv.Atoi(m[1])
		}
	}
	switch {
	case strings.Contains(text, "cannot start any token"):
		e.Hint = "quote text that begins with @ or `"
	case strings.Contains(text, "tab character"):
		e.Hint = "indent with blanks"
	case text == "did not find expected key":
		e.Hint = "look at the indentation, here and below"
	case strings.HasPrefix(text, "unknown anchor"):
		e.Place.Line = 0 // it could be anywhere
	}
	e.Msg = "not valid YAML: " + text
	return e
}

// warn notes something about a valid policy.
func (p *Policy) warn(id string, at report.Place, hint, format string, args ...any) {
	p.note(report.Warning, id, at, hint, format, args...)
}

func (p *Policy) note(severity report.Severity, id string, at report.Place, hint, format string, args ...any) {
	f := (&Error{ID: id, Place: at, Msg: fmt.Sprintf(format, args...), Hint: hint}).finding(severity)
	if len(p.findings) < maxErrors && !slices.ContainsFunc(p.findings, func(g report.Finding) bool { return g.Place == f.Place && g.Message == f.Message }) {
		p.findings = append(p.findings, f)
	}
}

// topFields are the keys of the file.
var topFields = merge(within(blockFields, func(p *Policy) *block { return &p.block }), fields[Policy]{
	"version": func(d *decoder, n *yaml.Node, _ *Policy) {
		if t := d.follow(n); t.ShortTag() != "!!int" || t.Value != "1" {
			d.fail(idValue, n, "write 1, or use a newer goproxy-setup", "version must be 1, not %s", kindOf(t))
		}
	},
	"proxies": func(d *decoder, n *yaml.Node, p *Policy) {
		d.pairs(n, "proxies", func(key, val *yaml.Node) { p.readProxy(d, key, val) })
	},
	"environments": func(d *decoder, n *yaml.Node, p *Policy) {
		d.pairs(n, "environments", func(key, val *yaml.Node) { p.readEnvironment(d, key, val) })
	},
	"match": func(d *decoder, n *yaml.Node, p *Policy) {
		items, _ := d.items(n, "match")
		for _, item := range items {
			p.readRule(d, item)
		}
	},
	"agent": func(d *decoder, n *yaml.Node, p *Policy) { p.readAgent(d, n) },
})

// environmentFields are the keys of an environment.
var environmentFields = merge(within(blockFields, func(e *environment) *block { return &e.block }), fields[environment]{
	"chain": func(d *decoder, n *yaml.Node, e *environment) { e.chain = d.chain(n) },
	"variants": func(d *decoder, n *yaml.Node, e *environment) {
		items, _ := d.items(n, "variants")
		for _, item := range items {
			e.readVariant(d, item)
		}
	},
})

var (
	modes       = []Mode{Routed, Enforced}
	vias        = []PrivateVia{ViaDirect, ViaChain}
	sumdbRules  = []SumDBRule{SumDBRequired, SumDBPreferred, SumDBOff}
	strategies  = []Strategy{Order, Fastest}
	onFallbacks = []OnFallback{FallbackNotice, FallbackWarn, FallbackFail}
	onExhausted = []OnExhausted{ExhaustedFail, ExhaustedDirect, ExhaustedKeep}
)

// blockFields are the keys that stand at the top and in environments.
var blockFields = fields[block]{
	"mode":         func(d *decoder, n *yaml.Node, b *block) { b.mode = oneOf(d, n, "mode", modes) },
	"private":      func(d *decoder, n *yaml.Node, b *block) { b.patterns = d.list(n, "private", d.pattern) },
	"private_via":  func(d *decoder, n *yaml.Node, b *block) { b.privateVia = oneOf(d, n, "private_via", vias) },
	"allow":        func(d *decoder, n *yaml.Node, b *block) { b.allow = d.list(n, "allow", d.host) },
	"sumdb":        func(d *decoder, n *yaml.Node, b *block) { b.sumdb = oneOf(d, n, "sumdb", sumdbRules) },
	"http_proxy":   func(d *decoder, n *yaml.Node, b *block) { b.httpProxy = d.forwardProxy(n, "http_proxy") },
	"https_proxy":  func(d *decoder, n *yaml.Node, b *block) { b.httpsProxy = d.forwardProxy(n, "https_proxy") },
	"no_proxy":     func(d *decoder, n *yaml.Node, b *block) { b.noProxy, _ = d.text(n, "no_proxy") },
	"probe":        func(d *decoder, n *yaml.Node, b *block) { readMap(d, n, "probe", probeFields, b) },
	"strategy":     func(d *decoder, n *yaml.Node, b *block) { b.strategy = oneOf(d, n, "strategy", strategies) },
	"on_fallback":  func(d *decoder, n *yaml.Node, b *block) { b.onFallback = oneOf(d, n, "on_fallback", onFallbacks) },
	"on_exhausted": func(d *decoder, n *yaml.Node, b *block) { b.onExhausted = oneOf(d, n, "on_exhausted", onExhausted) },
}

// pattern checks one GOPRIVATE pattern.
func (d *decoder) pattern(n *yaml.Node, s string) (string, bool) {
	if strings.Contains(s, ",") {
		d.fail(idValue, n, "make them items of the list", "private: %q holds several patterns", clip(s))
		return "", false
	}
	problems := goenv.LintPatterns(s)
	for _, p := range problems {
		hint := ""
		if p.Fix != "" {
			hint = fmt.Sprintf("write %q", p.Fix)
		}
		d.fail(idValue, n, hint, "private: pattern %q cannot match: %s", clip(p.Pattern), p.Reason)
	}
	return s, len(problems) == 0
}

// readVariant reads one item of "variants".
func (e *environment) readVariant(d *decoder, n *yaml.Node) {
	before := len(d.errs)
	v := variant{place: d.place(n)}
	readMap(d, n, "a variant", variantFields, &v)
	if len(d.errs) > before {
		return
	}
	if v.variable == "" {
		d.fail(idMissing, n, "write when: { variable: NAME, is: PATTERN }", `a variant needs "when"`)
	}
	if !v.chain.set {
		d.fail(idMissing, n, "", `a variant needs "chain"`)
	}
	if len(d.errs) == before {
		e.variants = append(e.variants, v)
	}
}

var variantFields = fields[variant]{
	"when":  func(d *decoder, n *yaml.Node, v *variant) { d.readWhen(n, v) },
	"chain": func(d *decoder, n *yaml.Node, v *variant) { v.chain = d.chain(n) },
}

var whenFields = fields[variant]{
	"variable": func(d *decoder, n *yaml.Node, v *variant) { v.variable = d.variable(n) },
	"is": func(d *decoder, n *yaml.Node, v *variant) {
		is, _ := d.text(n, "is")
		v.is = is.v
	},
}

func (d *decoder) readWhen(n *yaml.Node, v *variant) {
	before := len(d.errs)
	readMap(d, n, "when", whenFields, v)
	if len(d.errs) > before {
		return
	}
	if v.variable == "" {
		d.fail(idMissing, n, "", `"when" needs "variable"`)
	}
	if v.is == "" {
		d.fail(idMissing, n, "", `"when" needs "is"`)
	}
}

var (
	variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	secretWord   = regexp.MustCompile(`(?i)(^|_)(token|secret|secrets|password|passwd|pass|key|keys|credential|credentials|auth|pat|jwt)($|_)`)
)

// variable reads the name of a CI variable. A secret's is refused: each run
// would tell a pull request whether a guess was right.
func (d *decoder) variable(n *yaml.Node) string {
	v, ok := d.text(n, "variable")
	switch {
	case !ok:
	case !variableName.MatchString(v.v):
		d.fail(idValue, n, "letters, digits and _", "%q is not the name of a variable", clip(v.v))
	case secretWord.MatchString(v.v):
		d.fail(idSecret, n, "use a variable that everybody may know, such as a region", "variable %q looks like a secret", clip(v.v))
	default:
		return v.v
	}
	return ""
}

// readRule reads one item of "match".
func (p *Policy) readRule(d *decoder, n *yaml.Node) {
	before := len(d.errs)
	r := rule{place: d.place(n)}
	readMap(d, n, "a match rule", ruleFields, &r)
	if len(d.errs) > before {
		return
	}
	conditions := 0
	for _, v := range []value[string]{r.tag, r.branch, r.target} {
		if v.set {
			conditions++
		}
	}
	if conditions != 1 {
		d.fail(idMissing, n, "", `a match rule needs exactly one of "tag", "branch" and "target"`)
	}
	if !r.environment.set {
		d.fail(idMissing, n, "", `a match rule needs "environment"`)
	}
	if len(d.errs) == before {
		p.match = append(p.match, r)
	}
}

var ruleFields = fields[rule]{
	"tag":         func(d *decoder, n *yaml.Node, r *rule) { r.tag, _ = d.text(n, "tag") },
	"branch":      func(d *decoder, n *yaml.Node, r *rule) { r.branch, _ = d.text(n, "branch") },
	"target":      func(d *decoder, n *yaml.Node, r *rule) { r.target, _ = d.text(n, "target") },
	"environment": func(d *decoder, n *yaml.Node, r *rule) { r.environment, _ = d.text(n, "environment") },
}

// readEnvironment reads one environment.
func (p *Policy) readEnvironment(d *decoder, key, val *yaml.Node) {
	e := environment{name: key.Value, place: d.place(key)}
	if problem := badEnvironmentName(e.name); problem != "" {
		d.fail(idValue, key, "", "environment name %q %s", clip(e.name), problem)
	}
	before := len(d.errs)
	readMap(d, val, fmt.Sprintf("environment %q", clip(e.name)), environmentFields, &e)
	if !e.chain.set && len(d.errs) == before {
		d.fail(idMissing, key, "add chain: [official, direct], or whatever it shall use", "environment %q has no chain", clip(e.name))
	}
	p.environments = append(p.environments, e)
}

func badEnvironmentName(s string) string {
	switch {
	case s == "":
		return "is empty"
	case len(s) > 255:
		return "is longer than 255 bytes"
	case strings.TrimSpace(s) != s:
		return "has blanks around it"
	case !printable(s):
		return "has unprintable characters"
	case strings.Contains(s, "${"):
		return "contains ${, which is not expanded here"
	}
	return ""
}

// chain reads a chain, without asking whether its names exist.
func (d *decoder) chain(n *yaml.Node) value[[]ref] {
	v := value[[]ref]{place: d.place(n), set: true}
	items, ok := d.items(n, "chain")
	if !ok {
		return v
	}
	if len(items) == 0 {
		d.fail(idValue, n, `write [direct] to use no proxy at all`, "chain is empty")
	}
	if len(items) > maxChain {
		d.fail(idTooMuch, n, "", "chain has more than %d entries", maxChain)
		return v
	}
	for _, item := range items {
		if s, ok := d.raw(item, "an entry of chain"); ok {
			v.v = append(v.v, ref{s.v, s.place})
		}
	}
	return v
}
