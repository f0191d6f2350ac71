package policy

import (
	"bytes"
	_ "embed"
	"net/url"
	"slices"
	"sync"

	"gopkg.in/yaml.v3"
)

// A Proxy is a public module proxy of the catalogue. Nothing here says whether
// it is alive: only a probe knows.
type Proxy struct {
	Name  string `yaml:"name"`  // as chains call it
	URL   string `yaml:"url"`   //
	From  string `yaml:"from"`  // where it is served from, for people
	Full  bool   `yaml:"full"`  // fetches any public module on demand
	SumDB string `yaml:"sumdb"` // passes the checksum database on: "yes", "no" or "not known"
	Since string `yaml:"since"` // year or year-month of the oldest mention that we have seen
	Seen  string `yaml:"seen"`  // kind and date of the evidence
}

// A Database is a way to the checksum database without a module proxy.
type Database struct {
	Name    string `yaml:"name"`    //
	GOSUMDB string `yaml:"gosumdb"` // the value that makes go take this way
	URL     string `yaml:"url"`     //
	From    string `yaml:"from"`    // where it is served from, for people
}

//go:embed catalogue.yaml
var catalogueFile []byte

type catalogueData struct {
	Proxies   []Proxy    `yaml:"proxies"`
	Databases []Database `yaml:"databases"`
}

// catalogue decodes the embedded file, on first use only. It panics if the file
// is broken, which a test rules out.
var catalogue = sync.OnceValue(func() catalogueData {
	var c catalogueData
	dec := yaml.NewDecoder(bytes.NewReader(catalogueFile))
	dec.KnownFields(true)
	if err := dec.Decode(&c); err != nil {
		panic("policy: catalogue.yaml: " + err.Error())
	}
	return c
})

// Catalogue returns the public module proxies that a chain may name without
// an entry in the file.
func Catalogue() []Proxy { return slices.Clone(catalogue().Proxies) }

// Databases returns the public ways to the checksum database, Go's default
// first.
func Databases() []Database { return slices.Clone(catalogue().Databases) }

// LookupProxy returns the catalogue's proxy of that name.
func LookupProxy(name string) (Proxy, bool) {
	list := catalogue().Proxies
	i := slices.IndexFunc(list, func(p Proxy) bool { return p.Name == name })
	if i < 0 {
		return Proxy{}, false
	}
	return list[i], true
}

// publicAt returns the name of the catalogue's proxy on host, "" if there is
// none.
func publicAt(host string) string {
	for _, p := range catalogue().Proxies {
		if u, err := url.Parse(p.URL); err == nil && u.Hostname() == host {
			return p.Name
		}
	}
	return ""
}
