package policy

import (
	"slices"
	"testing"
	"time"
)

func TestAgentDefaults(t *testing.T) {
	a := BuiltIn().Agent()
	if a.StoreSize != DefaultStoreSize || len(a.Databases) != 1 || a.Listen != nil {
		t.Errorf("defaults = %+v", a)
	}
}

func TestAgent(t *testing.T) {
	p, err := Parse("policy.yaml", []byte(`agent:
  listen: ["[::1]:0", "0.0.0.0:8765"]
  store: { dir: /srv/modules, max_size: 1.5GiB }
  limits: { connect: 2s, min_rate: 32KB }
`))
	if err != nil {
		t.Fatal(err)
	}
	a := p.Agent()
	if !slices.Equal(a.Listen, []string{"[::1]:0", "0.0.0.0:8765"}) || a.StoreDir != "/srv/modules" ||
		a.StoreSize != 3<<29 || a.Connect != 2*time.Second || a.MinRate != 32_000 {
		t.Errorf("Agent = %+v", a)
	}
	if at := a.Places["store.max_size"]; at.Line != 3 || at.Column != 41 {
		t.Errorf("place of max_size = %v, want 3:41", at)
	}
	if f := p.Findings(); len(f) != 1 || f[0].Place.Line != 2 {
		t.Errorf("findings = %+v; want a notice about the open listener", f)
	}
	safe, ignored := p.WithoutTrust()
	if got := safe.Agent(); got.Listen != nil || got.StoreDir != "" || len(ignored) != 1 {
		t.Errorf("without trust: %+v, %v; want nothing of the agent and one finding", got, ignored)
	}
}
