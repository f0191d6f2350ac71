package policy

import (
	"encoding/json"
	"os"
	"reflect"
	"testing"
)

func TestDesignExample(t *testing.T) {
	data, err := os.ReadFile("testdata/valid/full.yaml")
	if err != nil {
		t.Fatal(err)
	}
	p, err := Parse("testdata/valid/full.yaml", data)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range p.environmentNames() {
		c, err := p.Choose(Facts{Given: []Named{{Name: name, Source: "--environment"}}})
		if err != nil {
			t.Fatal(err)
		}
		s, err := p.Settings(c, os.Getenv)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range s.Rows() {
			t.Log(r.Key, r.Value, r.Place)
		}
		j, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		var back Settings
		if err := json.Unmarshal(j, &back); err != nil || !reflect.DeepEqual(s, back) {
			t.Errorf("settings change in JSON: %v\n%+v\n%+v", err, s, back)
		}
	}
}
