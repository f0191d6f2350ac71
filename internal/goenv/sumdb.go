package goenv

import (
	"errors"
	"fmt"
	"net/url"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// A SumDB is a parsed GOSUMDB: the checksum database to ask, and how.
type SumDB struct {
	Off  bool
	Name string // such as "sum.golang.org"
	Key  string // verifier key: NAME+HASH+KEY
	URL  string // if not "", where to ask instead of all proxies and of https://NAME
}

// What the go command knows by itself.
const (
	knownName  = "sum.golang.org"
	knownKey   = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"
	chinaAlias = "sum.golang.google.cn" // the same database, reachable in mainland China
)

// ParseSumDB parses v, the value of GOSUMDB, as the go command reads it: "off",
// or a known name or verifier key, optionally followed by a URL.
//
// Source: dbDial in cmd/go/internal/modfetch.
func ParseSumDB(v string) (SumDB, error) {
	switch v {
	case off:
		return SumDB{Off: true}, nil
	case chinaAlias:
		v = knownName + " https://" + chinaAlias
	}
	fields := strings.Fields(v)
	switch len(fields) {
	case 0:
		return SumDB{}, errors.New("GOSUMDB is empty")
	case 1, 2:
	default:
		return SumDB{}, errors.New(`GOSUMDB has too many fields; write "NAME [URL]" or "KEY [URL]"`)
	}
	key := fields[0]
	if key == knownName {
		key = knownKey
	}
	verifier, err := note.NewVerifier(key)
	if err != nil {
		return SumDB{}, fmt.Errorf("GOSUMDB %q: neither a known database nor a verifier key; write off, %s or NAME+HASH+KEY", Redact(key), knownName)
	}
	if !validSumDBName(verifier.Name()) {
		return SumDB{}, fmt.Errorf("GOSUMDB %q: a database's name is HOST[/PATH]", Redact(key))
	}
	db := SumDB{Name: verifier.Name(), Key: key}
	if len(fields) == 2 {
		db.URL = fields[1]
		if _, err := url.Parse(db.URL); err != nil {
			return SumDB{}, fmt.Errorf("GOSUMDB URL %q: %s", Redact(db.URL), urlReason(err))
		}
	}
	return db, nil
}

func validSumDBName(name string) bool {
	u, err := url.Parse("https://" + name)
	return err == nil && !strings.HasSuffix(name, "/") && u.Host != "" && u.RawPath == "" &&
		*u == url.URL{Scheme: "https", Host: u.Host, Path: u.Path}
}

// String returns the value of GOSUMDB that parses into db, in its short form
// for the database that go knows.
func (db SumDB) String() string {
	if db.Off {
		return off
	}
	s := db.Key
	if s == knownKey {
		s = knownName
	}
	if db.URL != "" {
		s += " " + db.URL
	}
	return s
}
