package bench

import (
	"slices"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/goenv"
	"github.com/org/goproxy-setup/internal/policy"
	"github.com/org/goproxy-setup/internal/probe"
)

// mostModules is how many modules are asked for: public services are asked for
// each of their files once, and then still have to be measured.
const mostModules = 15

// Bounds of bodies, in bytes. Every request in flight may hold one.
const (
	textLimit = 64 << 10 // .info, .mod, records
	listLimit = 1 << 20
	zipLimit  = 1 << 20 // larger zips are left out of the load
	fullLimit = 64 << 20
)

// A file is one that all proxies are asked for.
type file struct {
	probe.Known
	kind  Kind
	limit int64 // of the body under load
}

// files returns those of the modules that are of the kinds, by kind.
func files(modules []probe.Canary, kinds []Kind, db goenv.SumDB) []file {
	var list []file
	for _, k := range Kinds() {
		if !slices.Contains(kinds, k) || k == SumDB && db.Off {
			continue
		}
		for _, m := range modules {
			f := file{kind: k, limit: textLimit}
			switch k {
			case List:
				if module.IsPseudoVersion(m.Version.Version) {
					continue // no list names it
				}
				f.Known, f.limit = probe.KnownList(m), listLimit
			case Info:
				f.Known = probe.KnownInfo(m)
			case Mod:
				f.Known = probe.KnownMod(m)
			case Zip:
				f.Known, f.limit = probe.KnownZip(m), zipLimit
			case SumDB:
				f.Known = probe.KnownRecord(m, db)
			}
			if !slices.ContainsFunc(list, func(o file) bool { return o.Path == f.Path }) {
				list = append(list, f)
			}
		}
	}
	return list
}

// Modules returns what to ask for: modules of go.sum whose zip and .mod have
// their hashes there and which every proxy may know, spread over the file. It
// is empty if there are none.
func Modules(g *checksum.GoSum, proxies []policy.Entry, private string) []probe.Canary {
	var list []probe.Canary
	for _, s := range g.Sums {
		m := s.Module
		c := probe.Canary{Version: m, Zip: g.Zip(m), Mod: g.GoMod(m)}
		known := slices.ContainsFunc(list, func(o probe.Canary) bool { return o.Version == m })
		stranger := slices.ContainsFunc(proxies, func(e policy.Entry) bool { return !probe.MayKnow(e, private, m.Path) })
		if s.GoMod || c.Zip == "" || c.Mod == "" || known || stranger || module.Check(m.Path, m.Version) != nil {
			continue
		}
		list = append(list, c)
	}
	if len(list) <= mostModules {
		return list
	}
	spread := make([]probe.Canary, mostModules)
	for i := range spread {
		spread[i] = list[i*(len(list)-1)/(mostModules-1)]
	}
	return spread
}

// A sequence says which file each request of a load is for: the kinds take
// turns, and so do the files of each kind.
type sequence [][]file

func newSequence(list []file) sequence {
	var s sequence
	for _, k := range Kinds() {
		var same []file
		for _, f := range list {
			if f.kind == k {
				same = append(same, f)
			}
		}
		if same != nil {
			s = append(s, same)
		}
	}
	return s
}

// at returns the file of request n, counted from 0.
func (s sequence) at(n int) file {
	same := s[n%len(s)]
	return same[n/len(s)%len(same)]
}

// fresh are public modules with a new version every week or so.
var fresh = []struct{ label, path string }{
	{"x/tools", "golang.org/x/tools"}, {"google api", "google.golang.org/api"}, {"client-go", "k8s.io/client-go"},
}

// checksOf is how many requests the checks of one proxy need at most, those
// that are repeated included.
func checksOf(files int) int {
	const abilities = 8
	return files + abilities + len(fresh) + retries(files)
}

// retries is how many of the files are asked for twice at most.
func retries(files int) int { return max(files/4, 1) }
