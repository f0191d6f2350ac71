package probe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"golang.org/x/mod/module"
	"golang.org/x/mod/semver"

	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/modproxy"
)

// Bounds of bodies, in bytes.
const (
	smallLimit = 1 << 20  // .mod, .info, lookups
	listLimit  = 4 << 20  // version lists
	zipLimit   = 64 << 20 // a canary zip, which the policy may choose
	startLimit = 64 << 10 // what is read of a big zip
)

// A question is one graded request and the judge of its answer.
type question struct {
	kind     decision.CheckKind
	what     string         // for people: "rsc.io/quote@v1.5.2.zip"
	path     string         // below the proxy's URL
	module   module.Version // of the build, for [decision.Project]
	limit    int64          // of the body, in bytes
	start    bool           // read no more than limit bytes of a longer body
	absent   bool           // 404 and 410 are the right answers
	critical bool           // builds need it: worth the one retry
	small    bool           // its time is the proxy's latency
	// judge says what is wrong with a body, class "" if nothing is, and for
	// people what it saw.
	judge func(body []byte) (decision.Class, string)
}

// The built-in canaries are public modules that every mirror has, with hashes
// that the checksum database vouches for.
var (
	quote = Canary{
		module.Version{Path: "rsc.io/quote", Version: "v1.5.2"},
		"h1:w5fcysjrx7yqtD/aO+QwRjYZOKnaM9Uh2b40tElTs3Y=", "h1:LzX7hefJvL54yjefDEDHNONDjII0t9xZLPXsUe+TKr0=",
	}
	toml = Canary{
		module.Version{Path: "github.com/BurntSushi/toml", Version: "v0.3.1"},
		"h1:WXkYYl6Yr3qBf1K79EBnL4mak0OimBfB0XUf9Vl28OQ=", "h1:xHWCNGjB5oqiDr8zfno3MHue2Ht5sIBksp03qcyfWMU=",
	}
	xtime = Canary{
		module.Version{Path: "golang.org/x/time", Version: "v0.1.0"},
		"h1:xYY+Bajn2a7VBmTM5GikTmnK8ZuX8YgnQCqZpbBNtmA=", "h1:tRJNPiyCQ0inRvYxbN9jk5I+vvW/OXSQhTDSoE431IQ=",
	}
	listed = xtime.Version
	big    = module.Version{Path: "golang.org/x/text", Version: "v0.0.0-20170915032832-14c0d48ead0c"}
	// impossible can't exist: the domain is reserved for that.
	impossible = module.Version{Path: "goproxy-probe.invalid/x", Version: "v0.0.1"}
)

// A Canary is a module version whose hashes are known.
type Canary struct {
	module.Version
	Zip, Mod string // h1; Mod is "" if unknown
}

// file returns the question for a file of m, which has passed [module.Check].
func file(kind decision.CheckKind, m module.Version, k modproxy.Kind) question {
	path, err := modproxy.File{Path: m.Path, Version: m.Version, Kind: k}.URLPath()
	if err != nil {
		panic(err)
	}
	what := m.Path + "@" + m.Version + "." + string(k)
	if k == modproxy.List {
		what = "the version list of " + m.Path
	}
	return question{kind: kind, what: what, path: path, limit: smallLimit}
}

func zipQuestion(c Canary) question {
	q := file(decision.Zip, c.Version, modproxy.Zip)
	q.critical, q.small = true, c == quote
	if !q.small {
		q.limit = zipLimit
	}
	q.judge = func(body []byte) (decision.Class, string) {
		if !bytes.HasPrefix(body, zipMagic) {
			return notZip(body)
		}
		h, err := checksum.HashZip(bytes.NewReader(body), int64(len(body)))
		switch {
		case err != nil:
			return decision.WrongContent, fmt.Sprintf("%d bytes that begin like a zip but are none: %v", len(body), err)
		case h != c.Zip:
			return decision.WrongContent, fmt.Sprintf("a valid zip with other content: its hash is %s, not %s", h, c.Zip)
		}
		return "", fmt.Sprintf("%d bytes with the known hash", len(body))
	}
	return q
}

var zipMagic = []byte("PK\x03\x04")

// modQuestion asks for a .mod file whose hash is known.
func modQuestion(kind decision.CheckKind, m module.Version, hash string) question {
	q := file(kind, m, modproxy.Mod)
	q.small = true
	q.judge = func(body []byte) (decision.Class, string) {
		h := checksum.HashGoMod(body)
		switch {
		case h == hash || hash == "" && bytes.Contains(body, []byte("module")):
			return "", ""
		case looksLikePage(body):
			return notThis(body, "a go.mod file")
		}
		return decision.WrongContent, fmt.Sprintf("other content: its hash is %s, not %s", h, hash)
	}
	return q
}

func infoQuestion(m module.Version) question {
	q := file(decision.Info, m, modproxy.Info)
	q.small = true
	q.judge = func(body []byte) (decision.Class, string) {
		var info struct{ Version string }
		if err := json.Unmarshal(body, &info); err != nil {
			return notThis(body, "JSON")
		}
		if info.Version != m.Version {
			return decision.WrongContent, fmt.Sprintf("it is for version %q, not %s", modproxy.Excerpt([]byte(info.Version)), m.Version)
		}
		return "", ""
	}
	return q
}

// listQuestion asks for the list of m's versions, which has to hold m's own.
func listQuestion(m module.Version) question {
	q := file(decision.List, m, modproxy.List)
	q.limit, q.small = listLimit, true
	q.judge = func(body []byte) (decision.Class, string) {
		n := 0
		for line := range strings.Lines(string(body)) {
			f := strings.Fields(line)
			if len(f) == 0 || !semver.IsValid(f[0]) {
				continue
			}
			if n++; f[0] == m.Version {
				return "", ""
			}
		}
		if n == 0 && len(bytes.TrimSpace(body)) > 0 {
			return notThis(body, "a version list")
		}
		return decision.WrongContent, fmt.Sprintf("%d versions, and %s is not among them", n, m.Version)
	}
	return q
}

// bigQuestion asks for the beginning of a zip, wherever it is stored.
func bigQuestion(kind decision.CheckKind, m module.Version) question {
	q := file(kind, m, modproxy.Zip)
	q.limit, q.start = startLimit, true
	q.judge = func(body []byte) (decision.Class, string) {
		if !bytes.HasPrefix(body, zipMagic) {
			return notZip(body)
		}
		return "", fmt.Sprintf("the first %d KiB", len(body)>>10)
	}
	return q
}

func absentQuestion() question {
	q := file(decision.NotFound, impossible, modproxy.Info)
	q.absent = true
	q.judge = func(body []byte) (decision.Class, string) {
		if looksLikePage(body) {
			return notThis(body, "404 for a module that cannot exist")
		}
		return decision.WrongContent, "200 for a module that cannot exist"
	}
	return q
}

func supportedQuestion(db goenv.SumDB) question {
	return question{
		kind: decision.Supported, what: "sumdb/" + db.Name + "/supported",
		path: modproxy.SumDBPath(db.Name) + "/supported", limit: smallLimit,
		judge: func([]byte) (decision.Class, string) { return "", "" }, // go ignores the body
	}
}

// lookupQuestion asks a checksum database at path for the record of c.
func lookupQuestion(db goenv.SumDB, path string, c Canary) question {
	lookup, err := modproxy.LookupPath(c.Path, c.Version.Version)
	if err != nil {
		panic(err)
	}
	return question{
		kind: decision.SumDB, what: "the checksum database's record of " + c.Path + "@" + c.Version.Version,
		path: strings.TrimPrefix(path+"/"+lookup, "/"), limit: smallLimit,
		judge: func(body []byte) (decision.Class, string) {
			rec, err := checksum.ParseRecord(body, c.Version, db.Key)
			switch {
			case err != nil && looksLikePage(body):
				return notThis(body, "a signed record")
			case err != nil:
				return decision.WrongContent, err.Error()
			case rec.Zip != c.Zip || rec.GoMod != c.Mod:
				return decision.WrongContent, fmt.Sprintf("it is signed, but for other content: %s", rec.Zip)
			}
			return "", "the signature of " + db.Name + " is right"
		},
	}
}

// notThis is the verdict on a body of status 200 that is not what was asked
// for: a page for people, or other bytes.
func notThis(body []byte, want string) (decision.Class, string) {
	if len(bytes.TrimSpace(body)) == 0 {
		return decision.WrongContent, "an empty answer instead of " + want
	}
	class := decision.WrongContent
	if looksLikePage(body) {
		class = decision.Portal
	}
	return class, fmt.Sprintf("not %s; it begins %q", want, modproxy.Excerpt(body))
}

// notZip is notThis where bytes are due: any text is a page for people.
func notZip(body []byte) (decision.Class, string) {
	class, detail := notThis(body, "a zip")
	start := bytes.TrimSpace(body[:min(len(body), 64)])
	binary := bytes.ContainsFunc(start, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' })
	if len(start) > 0 && !binary {
		class = decision.Portal
	}
	return class, detail
}

// looksLikePage reports whether body is HTML or JSON, which no text file of a
// module proxy but .info is.
func looksLikePage(body []byte) bool {
	body = bytes.TrimSpace(body)
	return len(body) > 0 && bytes.IndexByte([]byte("<{["), body[0]) >= 0
}
