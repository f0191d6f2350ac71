package goenv

import "net/url"

// A File is a kind of file that go asks module proxies for.
type File int

const (
	List      File = iota // MODULE/@v/list
	Latest                // MODULE/@latest; for [Chain.Walk] the query "@latest" with all it takes
	Info                  // MODULE/@v/VERSION.info
	Mod                   // MODULE/@v/VERSION.mod
	Zip                   // MODULE/@v/VERSION.zip
	Supported             // sumdb/NAME/supported
	Lookup                // sumdb/NAME/lookup/MODULE@VERSION and the tiles that prove it
)

func (f File) String() string {
	return [...]string{"list", "latest", "info", "mod", "zip", "supported", "lookup"}[f]
}

// An Answer is what a proxy does when it is asked for a file, told apart as far
// as go treats it differently or a person would.
type Answer int

const (
	OK          Answer = iota // 200 with the file
	Absent                    // 404 or 410
	Status                    // any other status: 204, 401, 403, 429, 500, 503 …
	Unreachable               // no answer: name, refused, reset, TLS, time-outs of connecting
	Hang                      // connects, but falls silent before the answer or within it
	Broken                    // a body shorter than its Content-Length, or a broken chunk
	Truncated                 // a body that ends early without a sign of it
	Garbage                   // 200 with HTML, nothing, or another form; a list without versions
	Wrong                     // the right form, but for another version or tampered with
)

func (a Answer) String() string {
	return [...]string{"ok", "absent", "status", "unreachable", "hang", "broken", "truncated", "garbage", "wrong"}[a]
}

// A Vouch says who can tell true bytes of a module from wrong ones.
type Vouch int

const (
	Nobody   Vouch = iota
	GoSum          // go.sum has the line
	Database       // go.sum has not, the checksum database is asked
)

// A Request is what go is looking for.
type Request struct {
	File    File
	Module  string // module path; unused for [Supported] and [Lookup]
	NoProxy string // the value of GONOPROXY
	Vouch   Vouch  // matters for [Mod] and [Zip]
}

// An Ending is how the way through a chain ends.
type Ending int

const (
	NotFound   Ending = iota // every proxy said 404 or 410
	Served                   // an entry's answer is used, and it is right
	Swallowed                // an entry's answer is used, although it is wrong
	Stopped                  // go fails with an entry's error
	LateFatal                // an entry's bytes are refused when no other entry can be asked any more
	Hung                     // go waits for an entry without limit
	WentDirect               // go asks version control, or the checksum database itself
	TurnedOff                // go fails because of "off"
)

func (e Ending) String() string {
	return [...]string{"not found", "served", "swallowed", "stopped", "late fatal", "hung", "direct", "off"}[e]
}

// A Step is one file asked of one proxy.
type Step struct {
	Entry  int // index in the chain
	File   File
	Answer Answer
}

// A Route is the way go takes through a chain.
type Route struct {
	Steps []Step
	End   Ending
	Entry int // index of the entry that End speaks of, -1 if of none
}

// Walk returns the way go takes through c to the file of q, if the proxies give
// the answers that answer returns. It is called once for each step.
//
// The query [Latest] takes the list and then, of the same proxy, the .info of
// the version chosen or, if there was none, @latest. A [Lookup] takes
// [Supported] first: the proxy that grants it is pinned for the life of the
// process, and no other is asked whatever happens. GOSUMDB with a URL asks no
// proxy at all, so there is nothing to walk.
//
// Source: TryProxies, queryProxy, downloadZip, checkModSum and initBase in
// cmd/go/internal/modfetch and modload.
func (c Chain) Walk(q Request, answer func(entry int, f File) Answer) Route {
	w := walk{Request: q, answer: answer, failed: -1, known: map[string]Ending{}}
	if !w.database() && MatchPatterns(q.NoProxy, q.Module) {
		return Route{End: WentDirect, Entry: -1}
	}
	for i, e := range c {
		if e.Direct() {
			return w.end(WentDirect, i)
		}
		if e.Off() {
			return w.exhausted(TurnedOff, i)
		}
		switch end := w.visit(i, e); end {
		case NotFound:
		case Stopped:
			w.failed = i
			if e.Sep != Bar {
				return w.end(Stopped, i)
			}
		default:
			if end == Served && q.File == Lookup {
				end = w.ask(i, Lookup) // pinned: no other proxy is asked from here on
			}
			return w.end(end, i)
		}
	}
	return w.exhausted(NotFound, len(c)-1)
}

// A walk is one call of [Chain.Walk].
type walk struct {
	Request
	answer func(entry int, f File) Answer
	steps  []Step
	failed int               // the last entry with an error other than "not found", -1 if none
	known  map[string]Ending // by the value of an entry that was visited
}

func (w *walk) database() bool { return w.File == Supported || w.File == Lookup }

func (w *walk) end(end Ending, entry int) Route { return Route{w.steps, end, entry} }

// exhausted ends a walk that no entry has ended. Of all errors go shows the
// last that is not "not found"; only without one, the checksum database is
// asked directly.
func (w *walk) exhausted(end Ending, entry int) Route {
	switch {
	case w.failed >= 0:
		return w.end(Stopped, w.failed)
	case w.database():
		return w.end(WentDirect, -1)
	}
	return w.end(end, entry)
}

// visit asks one proxy for all that the request takes. [NotFound] and [Stopped]
// leave the next word to the separator. A proxy that stands twice in the chain
// is asked once, because go remembers its error; only zips it asks for again.
func (w *walk) visit(i int, e Entry) Ending {
	if end, ok := w.known[e.Value]; ok && w.File != Zip && !w.database() {
		return end
	}
	end := Stopped
	switch {
	case sendsNothing(e):
	case w.File == Latest:
		end = w.query(i)
	case w.File == Lookup:
		end = w.ask(i, Supported)
	default:
		end = w.ask(i, w.File)
	}
	w.known[e.Value] = end
	return end
}

// query is the way of the query "@latest" through one proxy.
func (w *walk) query(i int) Ending {
	list := w.ask(i, List)
	if list != Served && list != Swallowed {
		return list
	}
	next := Info
	if w.steps[len(w.steps)-1].Answer == Garbage {
		next = Latest // no version in the list
	}
	if end := w.ask(i, next); end != Served {
		return end
	}
	return list
}

func (w *walk) ask(i int, f File) Ending {
	a := w.answer(i, f)
	w.steps = append(w.steps, Step{i, f, a})
	return judge(f, a, w.Vouch)
}

// judge returns what an answer to one request comes to.
func judge(f File, a Answer, v Vouch) Ending {
	switch a {
	case Absent:
		if f == Latest || f == Lookup {
			return Stopped // "no matching versions", and no way back from a pinned proxy
		}
		return NotFound
	case Status, Unreachable, Broken:
		return Stopped
	case Hang:
		return Hung
	case OK:
		return Served
	}
	switch f {
	case Supported:
		return Served // whatever the body says
	case List:
		return Swallowed
	case Info:
		return Stopped
	case Latest:
		if a == Wrong {
			return Swallowed
		}
		return Stopped
	case Mod:
		return [...]Ending{Nobody: Swallowed, GoSum: LateFatal, Database: Stopped}[v]
	case Zip:
		if a == Wrong && v == Nobody {
			return Swallowed
		}
		return LateFatal
	}
	return Stopped
}

// sendsNothing reports whether go accepts e but fails before it sends a
// request: without a host, or with credentials for plain http.
func sendsNothing(e Entry) bool {
	u, err := url.Parse(e.Value)
	return err != nil || u.Scheme != "file" && u.Host == "" || u.Scheme == "http" && u.User != nil
}
