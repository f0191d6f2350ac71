package policy

import (
	"fmt"
	"maps"
	"math"
	"net/netip"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"

	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/report"
)

// Agent is what a policy says about the agent: a module proxy on this machine
// in front of the proxies of the chain. A zero field is a default, which the
// comments tell.
type Agent struct {
	Listen    []string // addresses "IP:PORT"; loopback, any free port
	StoreDir  string   // the user's cache folder
	StoreSize int64    // bytes; 10 GB
	Databases []string // GOSUMDB values that are answered; Go's own

	Cert, Key, ClientCA string // PEM files, relative to the policy file; plain http
	Username, Password  string // templates: what clients have to show, over TLS; nothing

	Connect   time.Duration // until a proxy has accepted, TLS included; 3 s
	FirstByte time.Duration // from the request to the answer's first byte; 10 s
	MinRate   int64         // bytes per second that a body must bring; 16 KB

	Places map[string]report.Place // where each key was written: "listen", "store.dir" …
}

// DefaultStoreSize bounds the agent's store, in bytes.
const DefaultStoreSize = 10_000_000_000

// Agent returns what the policy says about the agent.
func (p *Policy) Agent() Agent {
	a := p.agent
	if a.StoreSize == 0 {
		a.StoreSize = DefaultStoreSize
	}
	if len(a.Databases) == 0 {
		a.Databases = []string{Databases()[0].GOSUMDB}
	}
	a.Places = maps.Clone(a.Places)
	return a
}

// Bounds of "agent".
const (
	minStore = 10_000_000
	minRate  = 1_000
	maxRate  = 1_000_000_000
)

// agentFields are the keys of "agent".
var agentFields = fields[Agent]{
	"listen": func(d *decoder, n *yaml.Node, a *Agent) {
		a.Listen = agentKey(a, "listen", d.list(n, "listen", d.listener))
	},
	"store": func(d *decoder, n *yaml.Node, a *Agent) { readMap(d, n, "store", storeFields, a) },
	"databases": func(d *decoder, n *yaml.Node, a *Agent) {
		a.Databases = agentKey(a, "databases", d.list(n, "databases", d.database))
	},
	"tls": func(d *decoder, n *yaml.Node, a *Agent) { readMap(d, n, "tls", agentTLSFields, a) },
	"username": func(d *decoder, n *yaml.Node, a *Agent) {
		a.Username = agentKey(a, "username", d.credential(n, "username"))
	},
	"password": func(d *decoder, n *yaml.Node, a *Agent) {
		a.Password = agentKey(a, "password", d.credential(n, "password"))
	},
	"limits": func(d *decoder, n *yaml.Node, a *Agent) { readMap(d, n, "limits", limitFields, a) },
}

var storeFields = fields[Agent]{
	"dir": func(d *decoder, n *yaml.Node, a *Agent) {
		v, ok := d.text(n, "dir")
		if ok && !filepath.IsAbs(v.v) && !strings.HasPrefix(v.v, "/") {
			d.fail(idValue, n, "", "dir must be an absolute path, not %q", clip(v.v))
		}
		a.StoreDir = agentKey(a, "store.dir", v)
	},
	"max_size": func(d *decoder, n *yaml.Node, a *Agent) {
		a.StoreSize = agentKey(a, "store.max_size", d.size(n, "max_size", minStore, math.MaxInt64))
	},
}

var agentTLSFields = fields[Agent]{
	"cert":      func(d *decoder, n *yaml.Node, a *Agent) { a.Cert = agentText(d, n, a, "cert") },
	"key":       func(d *decoder, n *yaml.Node, a *Agent) { a.Key = agentText(d, n, a, "key") },
	"client_ca": func(d *decoder, n *yaml.Node, a *Agent) { a.ClientCA = agentText(d, n, a, "client_ca") },
}

var limitFields = fields[Agent]{
	"connect": func(d *decoder, n *yaml.Node, a *Agent) {
		a.Connect = agentKey(a, "limits.connect", d.duration(n, "connect", minTimeout, maxTimeout))
	},
	"first_byte": func(d *decoder, n *yaml.Node, a *Agent) {
		a.FirstByte = agentKey(a, "limits.first_byte", d.duration(n, "first_byte", minTimeout, maxTimeout))
	},
	"min_rate": func(d *decoder, n *yaml.Node, a *Agent) {
		a.MinRate = agentKey(a, "limits.min_rate", d.size(n, "min_rate", minRate, maxRate))
	},
}

func agentText(d *decoder, n *yaml.Node, a *Agent, key string) string {
	v, _ := d.text(n, key)
	return agentKey(a, "tls."+key, v)
}

// agentKey notes where a key was written and returns its value.
func agentKey[T any](a *Agent, key string, v value[T]) T {
	if v.set {
		a.Places[key] = v.place
	}
	return v.v
}

// readAgent reads "agent" and judges how its keys fit together.
func (p *Policy) readAgent(d *decoder, n *yaml.Node) {
	before := len(d.errs)
	p.agent.Places = map[string]report.Place{"agent": d.place(n)}
	readMap(d, n, "agent", agentFields, &p.agent)
	if len(d.errs) > before {
		return
	}
	a := &p.agent
	for _, pair := range []struct{ has, lacks, key, other string }{
		{a.Cert, a.Key, "tls.cert", `"key"`}, {a.Key, a.Cert, "tls.key", `"cert"`},
		{a.ClientCA, a.Cert, "tls.client_ca", `"cert" and "key"`},
		{a.Username, a.Password, "username", `"password"`}, {a.Password, a.Username, "password", `"username"`},
		{a.Username, a.Cert, "username", `"tls" with "cert" and "key"`},
	} {
		if pair.has != "" && pair.lacks == "" {
			d.errs = append(d.errs, &Error{ID: idMissing, Place: a.Places[pair.key], Msg: pair.key + " of agent needs " + pair.other + ", too"})
		}
	}
	if slices.ContainsFunc(a.Listen, func(s string) bool { return !onLoopback(s) }) && (a.Cert == "" || a.ClientCA == "" && a.Password == "") {
		p.note(report.Notice, idRisk, a.Places["listen"], "add tls with cert and key, and client_ca or username and password",
			"the agent listens beyond this machine without TLS and client credentials: there it serves nothing private and nothing that needs credentials")
	}
}

// listener reads an address to listen on.
func (d *decoder) listener(n *yaml.Node, s string) (string, bool) {
	if _, err := netip.ParseAddrPort(s); err != nil {
		d.fail(idValue, n, `write "127.0.0.1:8765", or "0.0.0.0:8765" for every address of this machine`, "listen: %q is not an address with a port", clip(s))
		return "", false
	}
	return s, true
}

// onLoopback reports whether only this machine reaches the address s.
func onLoopback(s string) bool {
	addr, err := netip.ParseAddrPort(s)
	return err == nil && addr.Addr().Unmap().IsLoopback()
}

// database reads a value of GOSUMDB.
func (d *decoder) database(n *yaml.Node, s string) (string, bool) {
	db, err := goenv.ParseSumDB(s)
	switch {
	case err != nil:
		d.fail(idValue, n, "write a name that go knows, or NAME+HASH+KEY, and optionally a URL after a blank", "databases: %v", err)
	case db.Off:
		d.fail(idValue, n, "leave the key out", `databases: "off" names none`)
	default:
		return s, true
	}
	return "", false
}

// sizeUnits are the units of a size. Storage is sold in powers of ten.
var sizeUnits = []struct {
	suffix string
	bytes  float64
}{
	{"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", 1 << 40},
	{"KB", 1e3}, {"MB", 1e6}, {"GB", 1e9}, {"TB", 1e12},
}

// size reads a number of bytes such as "20GB".
func (d *decoder) size(n *yaml.Node, key string, low, high int64) value[int64] {
	if t := d.follow(n); t.ShortTag() == "!!int" || t.ShortTag() == "!!float" {
		d.fail(idType, n, "write 500MB, 20GB, 1TiB", "%s needs a unit", key)
		return value[int64]{}
	}
	v, ok := d.text(n, key)
	if !ok {
		return value[int64]{}
	}
	bytes, err := ParseSize(v.v)
	switch {
	case err != nil:
		d.fail(idValue, n, "write a number and a unit: 500MB, 20GB, 1TiB", "%s: %v", key, err)
		return value[int64]{}
	case bytes < low || bytes > high:
		d.fail(idValue, n, "", "%s is out of range: %q", key, clip(v.v))
		return value[int64]{}
	}
	return value[int64]{bytes, v.place, true}
}

// ParseSize parses a number of bytes: a number and a unit, such as "500MB" or
// "1.5 GiB". What does not fit into an int64 is its maximum.
func ParseSize(s string) (int64, error) {
	for _, unit := range sizeUnits {
		text, found := strings.CutSuffix(s, unit.suffix)
		if !found {
			continue
		}
		number, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || !(number >= 0) {
			break
		}
		if bytes := number * unit.bytes; bytes < 1<<62 {
			return int64(bytes), nil
		}
		return math.MaxInt64, nil
	}
	return 0, fmt.Errorf("%q is not a size", clip(s))
}
