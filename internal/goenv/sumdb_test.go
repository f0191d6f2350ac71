package goenv

import (
	"strings"
	"testing"
)

const testKey = "sum.example.com+2d1c8830+AZIHB9fbjR8AnSnCz1QFIjiMT2swcXT6SJW+kIPg0YVi"

func TestParseSumDB(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     SumDB
		text     string // String, "" for in itself
	}{
		{"off", "off", SumDB{Off: true}, ""},
		{"known name", "sum.golang.org", SumDB{Name: knownName, Key: knownKey}, ""},
		{"its key in full", knownKey, SumDB{Name: knownName, Key: knownKey}, knownName},
		{"through a proxy of choice", "sum.golang.org https://a.example.com/sumdb/sum.golang.org", SumDB{Name: knownName, Key: knownKey, URL: "https://a.example.com/sumdb/sum.golang.org"}, ""},
		{"alias for China", chinaAlias, SumDB{Name: knownName, Key: knownKey, URL: "https://" + chinaAlias}, knownName + " https://" + chinaAlias},
		{"own database", testKey, SumDB{Name: "sum.example.com", Key: testKey}, ""},
		{"blanks", "  " + testKey + "\thttps://a.example.com ", SumDB{Name: "sum.example.com", Key: testKey, URL: "https://a.example.com"}, testKey + " https://a.example.com"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseSumDB(tt.in)
			if err != nil || got != tt.want {
				t.Errorf("ParseSumDB(%q) = %+v, %v; want %+v", tt.in, got, err, tt.want)
			}
			text := tt.text
			if text == "" {
				text = tt.in
			}
			if got.String() != text {
				t.Errorf("String of %q = %q; want %q", tt.in, got, text)
			}
		})
	}
	for _, tt := range []struct{ name, in, want string }{
		{"empty", " ", "GOSUMDB is empty"},
		{"capitals", "OFF", `GOSUMDB "OFF": neither a known database nor a verifier key`},
		{"off with a blank", "off ", `GOSUMDB "off": neither a known database nor a verifier key`},
		{"unknown name", "sum.example.com", `write off, sum.golang.org or NAME+HASH+KEY`},
		{"wrong hash", strings.Replace(testKey, "+2d1c", "+0d1c", 1), "neither a known database nor a verifier key"},
		{"three fields", "sum.golang.org https://a.example.com x", "GOSUMDB has too many fields"},
		{"URL", "sum.golang.org https://u:s3cret@a.example.com:x/", `GOSUMDB URL "https://a.example.com:xxxxx/": invalid port`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseSumDB(tt.in)
			if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("ParseSumDB(%q) = %+v, %v; want error %s", tt.in, got, err, tt.want)
			}
		})
	}
}

func FuzzParseSumDB(f *testing.F) {
	for _, v := range []string{"off", knownName, chinaAlias, knownName + " https://a.example.com", testKey} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		db, err := ParseSumDB(v)
		if err != nil {
			return
		}
		if again, err := ParseSumDB(db.String()); err != nil || again != db {
			t.Errorf("ParseSumDB(%q) = %+v, which reparses as %+v, %v", v, db, again, err)
		}
	})
}
