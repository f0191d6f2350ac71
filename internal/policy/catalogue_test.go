package policy

import (
	"bytes"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/goenv"
)

func TestCatalogue(t *testing.T) {
	list := Catalogue()
	if len(list) < 8 {
		t.Errorf("%d proxies, want 8 or more", len(list))
	}
	if list[0].Name != "official" {
		t.Errorf("the first proxy is %q, want Go's default", list[0].Name)
	}
	date := regexp.MustCompile(`^20[0-9]{2}-[01][0-9]$`)
	names, hosts := map[string]bool{}, map[string]bool{}
	for _, c := range list {
		u, err := url.Parse(c.URL)
		if _, bad := checkURL(c.URL); bad != nil || err != nil || u.Scheme != "https" {
			t.Errorf("%s: address %q: %v, %v", c.Name, c.URL, bad, err)
			continue
		}
		if !proxyName.MatchString(c.Name) || names[c.Name] || hosts[u.Hostname()] {
			t.Errorf("%s: bad or repeated name or host", c.Name)
		}
		names[c.Name], hosts[u.Hostname()] = true, true
		if !slices.Contains([]string{"yes", "no", "not known"}, c.SumDB) {
			t.Errorf("%s: sumdb %q", c.Name, c.SumDB)
		}
		if c.From == "" || c.Seen == "" || c.Since != "not known" && !date.MatchString(c.Since) {
			t.Errorf("%s: from %q, since %q, seen %q", c.Name, c.From, c.Since, c.Seen)
		}
		if got, ok := LookupProxy(c.Name); !ok || got != c {
			t.Errorf("LookupProxy(%q) = %v, %v", c.Name, got, ok)
		}
	}
	for _, r := range builtInChain {
		if _, ok := LookupProxy(r.text); !ok && r.text != "direct" {
			t.Errorf("the built-in chain names %q", r.text)
		}
	}
}

// The go command takes the way that the catalogue says.
func TestDatabases(t *testing.T) {
	list := Databases()
	if len(list) < 2 {
		t.Fatalf("%d databases, want Go's default and its alias for China", len(list))
	}
	for i, c := range list {
		db, err := goenv.ParseSumDB(c.GOSUMDB)
		if err != nil || db.Name != "sum.golang.org" {
			t.Errorf("%s: GOSUMDB %q is %+v, %v", c.Name, c.GOSUMDB, db, err)
		}
		if db.URL != "" && db.URL != c.URL || i == 0 && c.URL != "https://"+db.Name {
			t.Errorf("%s: go asks %q, the catalogue says %q", c.Name, db.URL, c.URL)
		}
	}
}

// Every other file calls public proxies by their names. (A checksum database's
// name is its address.)
func TestAddressesStandInTheCatalogueOnly(t *testing.T) {
	var addresses [][]byte
	for _, c := range Catalogue() {
		host := hostOf(c.entry())
		if host == c.Name {
			host = "://" + host // the name alone may stand anywhere
		}
		addresses = append(addresses, []byte(host))
	}
	root := filepath.Join("..", "..")
	if _, err := os.Stat(filepath.Join(root, "go.mod")); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == ".git":
			return filepath.SkipDir
		case !d.Type().IsRegular() || slices.Contains([]string{"go.mod", "go.sum", "catalogue.yaml"}, d.Name()):
			return nil
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		files++
		if bytes.IndexByte(data, 0) >= 0 {
			return nil // not text: built binaries and archives
		}
		for _, a := range addresses {
			if bytes.Contains(data, a) {
				t.Errorf("%s contains %q, the address of a public service: use its name", path, a)
			}
		}
		return nil
	})
	if err != nil || files < 20 {
		t.Errorf("%d files read, %v", files, err)
	}
}

// What the catalogue knows to be public is never given private names or
// credentials, under whatever name it goes.
func TestPublicProxiesStayPublic(t *testing.T) {
	for _, c := range Catalogue() {
		u, _ := url.Parse(c.URL)
		for _, address := range []string{c.URL, "https://" + strings.ToUpper(u.Host) + "./other"} {
			text := "proxies:\n  mine: { url: \"" + address + "\", private: true, username: ci, password: \"${TOKEN}\" }\n" +
				"  corp: { url: \"https://goproxy.corp.example.com\", gatekeeper: true, private: true }\n" +
				"environments:\n  default: { chain: [corp, \"" + address + "\"] }\n" +
				"  production: { mode: enforced, chain: [corp, mine] }\n"
			_, err := Parse("policy.yaml", []byte(text))
			errs, _ := err.(Errors)
			for _, want := range []string{"takes no credentials", "would be sent to it"} {
				if !strings.Contains(errs.Error(), want) {
					t.Errorf("%s: no error %q in:\n%v", address, want, err)
				}
			}
			text = strings.Replace(text, ", private: true, username: ci, password: \"${TOKEN}\"", "", 1)
			_, err = Parse("policy.yaml", []byte(text))
			errs, _ = err.(Errors)
			if len(errs) != 2 || !strings.Contains(errs.Error(), "is a way around it") || !strings.Contains(errs.Error(), "way around the gatekeepers") {
				t.Errorf("%s: two ways around the gatekeeper, got:\n%v", address, err)
			}
		}
	}
}
