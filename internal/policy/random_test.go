package policy

import (
	"math/rand/v2"
	"testing"

	"gopkg.in/yaml.v3"
)

// pool has values for each key, the harmless ones first.
var pool = map[string][]any{
	"mode":         {"routed", "enforced", "routed", "rooted"},
	"private":      {[]any{"git.corp.example.com"}, []any{"a.example.com", "b.example.com/*"}, []any{"a.example.com, b"}, nil},
	"private_via":  {"direct", "chain"},
	"allow":        {[]any{"corp.example.com"}, []any{"corp.example.com", "second.example.com"}, []any{}, "corp.example.com"},
	"sumdb":        {"required", "preferred", "off", false},
	"http_proxy":   {"http://proxy.example.com:8080", "proxy"},
	"https_proxy":  {"http://proxy.example.com:8080", "http://u:p@proxy.example.com"},
	"no_proxy":     {"localhost", ""},
	"strategy":     {"order", "fastest"},
	"on_fallback":  {"notice", "warn", "fail"},
	"on_exhausted": {"fail", "direct", "keep"},
	"probe":        {map[string]any{"timeout": "3s"}, map[string]any{"slow": "1s", "keep": 3, "canary": "built-in"}, map[string]any{"timeout": "3h"}},
	"chain": {
		[]any{"corp"}, []any{"corp", "second"}, []any{"official", "direct"}, []any{"goproxy.cn", "official", "off"}, []any{"second", "official", "direct"},
		[]any{"corp", "direct"}, []any{"https://corp.example.com", "plain"}, []any{"direct"}, []any{"direct", "corp"}, []any{"nobody"}, []any{},
	},
	"variants": {
		[]any{map[string]any{"when": map[string]any{"variable": "REGION", "is": "*"}, "chain": []any{"second", "direct"}}},
		[]any{map[string]any{"when": map[string]any{"variable": "TOKEN", "is": "*"}, "chain": []any{"direct"}}},
	},
	"url":                    {"https://corp.example.com", "https://corp.example.com/", "https://second.example.com", "http://plain.example.com", "http://169.254.169.254"},
	"gatekeeper":             {true, false},
	"gatekeeper_overridable": {true, false},
	"username":               {"ci", "${USER}", "$"},
	"password":               {"${TOKEN}", "hunter2"},
	"tls":                    {map[string]any{"ca": "ca.pem"}},
}

// pick returns some of the keys with some of their values.
func pick(r *rand.Rand, keys []string, chance float64) map[string]any {
	m := map[string]any{}
	for _, key := range keys {
		if values := pool[key]; len(values) > 0 && r.Float64() < chance {
			m[key] = values[min(r.IntN(len(values)), r.IntN(len(values)))]
		}
	}
	return m
}

// randomPolicy makes a file that is often valid and always near to it.
func randomPolicy(r *rand.Rand) map[string]any {
	m := pick(r, blockFields.keys(), 0.08)
	proxies := map[string]any{}
	for _, name := range []string{"corp", "second", "plain"} {
		p := pick(r, []string{"gatekeeper", "tls"}, 0.3)
		p["url"], p["private"] = "https://"+name+".example.com", r.IntN(5) > 0
		if r.IntN(20) == 0 {
			p = pick(r, proxyFields.keys(), 0.5)
		}
		proxies[name] = p
	}
	m["proxies"] = proxies
	environments := map[string]any{}
	for _, name := range []string{"production", "review/*", "*", "default"} {
		if r.IntN(2) == 0 {
			e := pick(r, environmentFields.keys(), 0.08)
			e["chain"] = pool["chain"][min(r.IntN(11), r.IntN(11))]
			environments[name] = e
		}
	}
	if len(environments) > 0 {
		m["environments"] = environments
	}
	if r.IntN(4) == 0 {
		m["match"] = []any{map[string]any{"branch": "main", "environment": "production"}}
	}
	return m
}

// Policies that combine the keys at random keep the promises of FuzzParse.
func TestRandomPolicies(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	schema := compileSchema(t)
	valid := 0
	const rounds = 500
	for range rounds {
		data, err := yaml.Marshal(randomPolicy(r))
		if err != nil {
			t.Fatal(err)
		}
		p, err := Parse("policy.yaml", data)
		if err != nil {
			checkMistakes(t, err, data)
		} else {
			valid++
			if err := validate(schema, data); err != nil {
				t.Errorf("the schema does not accept a valid policy: %v", err)
			}
			for _, name := range p.environmentNames() {
				checkPromises(t, settingsFor(t, p, name, nil))
				checkPromises(t, settingsFor(t, p, name, map[string]string{"REGION": "eu"}))
			}
		}
		if t.Failed() {
			t.Fatalf("with %s", data)
		}
	}
	if valid < rounds/10 || valid > rounds*9/10 {
		t.Errorf("%d of %d policies are valid: the generator shows little", valid, rounds)
	}
}
