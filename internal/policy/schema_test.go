package policy

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"gopkg.in/yaml.v3"
)

const schemaFile = "../../docs/policy.schema.json"

// A node is what the tests need to know of a part of the schema.
type node struct {
	Ref                  string           `json:"$ref"`
	Type                 string           `json:"type"`
	Properties           map[string]*node `json:"properties"`
	AdditionalProperties any              `json:"additionalProperties"`
	Definitions          map[string]*node `json:"definitions"`
	Enum                 []string         `json:"enum"`
	Default              any              `json:"default"`
	Description          string           `json:"description"`
}

func readSchema(t *testing.T) *node {
	t.Helper()
	data, err := os.ReadFile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	var n node
	if err := json.Unmarshal(data, &n); err != nil {
		t.Fatal(err)
	}
	return &n
}

// The schema knows the keys that the parser knows, and no others.
func TestSchemaHasTheParsersKeys(t *testing.T) {
	schema := readSchema(t)
	def := schema.Definitions
	for _, tt := range []struct {
		what string
		node *node
		keys []string
	}{
		{"the file", schema, topFields.keys()},
		{"environment", def["environment"], environmentFields.keys()},
		{"proxy", def["proxy"], proxyFields.keys()},
		{"tls", def["proxy"].Properties["tls"], tlsFields.keys()},
		{"variant", def["variant"], variantFields.keys()},
		{"when", def["variant"].Properties["when"], whenFields.keys()},
		{"rule", def["rule"], ruleFields.keys()},
		{"agent", def["agent"], agentFields.keys()},
		{"store", def["agent"].Properties["store"], storeFields.keys()},
		{"agent's tls", def["agent"].Properties["tls"], agentTLSFields.keys()},
		{"limits", def["agent"].Properties["limits"], limitFields.keys()},
		{"probe", def["probe"], probeFields.keys()},
	} {
		if got := slices.Sorted(maps.Keys(tt.node.Properties)); !slices.Equal(got, tt.keys) {
			t.Errorf("%s: the schema has %v, the parser %v", tt.what, got, tt.keys)
		}
		if tt.node.Type != "object" || tt.node.AdditionalProperties != false {
			t.Errorf("%s: the schema permits unknown keys", tt.what)
		}
	}
	for _, key := range blockFields.keys() { // one meaning at the top and in an environment
		ref := "#/definitions/" + key
		if a, b := schema.Properties[key].Ref, def["environment"].Properties[key].Ref; a != ref || b != ref {
			t.Errorf("%s: %q at the top, %q in an environment, want %s", key, a, b, ref)
		}
	}
}

// The schema offers the parser's words, and tells the true defaults.
func TestSchemaHasTheParsersValues(t *testing.T) {
	def := readSchema(t).Definitions
	d := defaults()
	for _, tt := range []struct {
		key   string
		words []string
		value any
	}{
		{"mode", words(modes), string(d.Mode)},
		{"private_via", words(vias), nil},
		{"sumdb", words(sumdbRules), string(d.SumDB)},
		{"strategy", words(strategies), string(d.Strategy)},
		{"on_fallback", words(onFallbacks), string(d.OnFallback)},
		{"on_exhausted", words(onExhausted), string(d.OnExhausted)},
	} {
		if n := def[tt.key]; !slices.Equal(n.Enum, tt.words) || n.Default != tt.value {
			t.Errorf("%s: the schema has %v, default %v; the parser %v, %v", tt.key, n.Enum, n.Default, tt.words, tt.value)
		}
	}
	probe := def["probe"].Properties
	for key, value := range map[string]any{
		"timeout": d.Probe.Timeout.String(), "slow": d.Probe.Slow.String(), "keep": float64(d.Probe.Keep), "canary": d.Probe.Canary,
	} {
		if got := probe[key].Default; got != value {
			t.Errorf("probe.%s: the schema's default is %v, the parser's %v", key, got, value)
		}
	}
}

func words[T ~string](list []T) []string {
	var out []string
	for _, w := range list {
		out = append(out, string(w))
	}
	return out
}

// Schema and parser agree: on what is valid, and on what is invalid by itself.
// What depends on other keys is left to the parser.
func TestSchemaAgreesWithTheParser(t *testing.T) {
	schema := compileSchema(t)
	for dir, want := range map[string]struct{ parser, schema bool }{
		"valid": {true, true}, "invalid": {false, false}, "meaning": {false, true},
	} {
		for file, data := range policies(t, dir) {
			_, err := Parse(file, data)
			if ok := err == nil; ok != want.parser {
				t.Errorf("%s: Parse says %v", file, err)
			}
			if err := validate(schema, data); (err == nil) != want.schema {
				t.Errorf("%s: the schema says %v", file, err)
			}
		}
	}
}

// Every single mistake of the invalid files is one to the schema as well: what
// is left of a file without the lines that the parser complains about is valid
// to both, and each of those lines alone makes it invalid.
func TestSchemaFindsEachMistake(t *testing.T) {
	schema := compileSchema(t)
	for _, name := range []string{"types.yaml", "values.yaml", "proxies.yaml", "rules.yaml", "variants.yaml"} {
		data, err := os.ReadFile(filepath.Join("testdata", "invalid", name))
		if err != nil {
			t.Fatal(err)
		}
		_, err = Parse(name, data)
		errs, _ := err.(Errors)
		lines := strings.SplitAfter(string(data), "\n")
		bad := map[int]bool{}
		for _, e := range errs {
			bad[e.Place.Line] = true
		}
		for only := range bad {
			var text strings.Builder
			for i, line := range lines {
				if !bad[i+1] || i+1 == only {
					text.WriteString(line)
				}
			}
			if err := validate(schema, []byte(text.String())); err == nil {
				t.Errorf("%s:%d: the schema accepts %s", name, only, strings.TrimSpace(lines[only-1]))
			}
			if _, err := Parse(name, []byte(text.String())); err == nil {
				t.Errorf("%s:%d: the parser accepts %s alone", name, only, strings.TrimSpace(lines[only-1]))
			}
		}
	}
}

func compileSchema(t testing.TB) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	s, err := c.Compile(schemaFile)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// validate reads data as an editor does.
func validate(s *jsonschema.Schema, data []byte) error {
	var v any
	if err := yaml.NewDecoder(bytes.NewReader(data)).Decode(&v); err != nil {
		return err
	}
	return s.Validate(plain(v))
}

// plain turns the keys that yaml.v3 does not read as text into text, as in JSON.
func plain(v any) any {
	switch v := v.(type) {
	case map[any]any:
		m := map[string]any{}
		for key, val := range v {
			switch key := key.(type) {
			case string:
				m[key] = plain(val)
			case int:
				m[strconv.Itoa(key)] = plain(val)
			}
		}
		return m
	case map[string]any:
		for key, val := range v {
			v[key] = plain(val)
		}
	case []any:
		for i, val := range v {
			v[i] = plain(val)
		}
	}
	return v
}
