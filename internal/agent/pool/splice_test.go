package pool

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/agent/upstream"
)

// A transfer that is cut goes on where it was, on another proxy, and little is
// sent twice.
func TestResumes(t *testing.T) {
	data := noise(1, 8<<20)
	a := &origin{data: data, ranges: true, cuts: []int{6 << 20, 0, 0, 0}}
	b := &origin{data: data, ranges: true}
	p, _ := open(t, store.Options{})
	s, err := p.Fetch(t.Context(), Request{Key: "file", Targets: targets(t, a, b), Limit: 100 << 20, Accept: equal(data), Vouched: yes})
	if err != nil {
		t.Fatal(err)
	}
	s.File.Close()
	if sent := a.total() + b.total(); float64(sent) > 1.05*float64(len(data)) {
		t.Errorf("%d bytes were sent for a file of %d", sent, len(data))
	}
	if s.Source != "p1" || p.Stats().Resumed != 1 {
		t.Errorf("served by %s, %+v", s.Source, p.Stats())
	}
}

// Whatever is cut, whoever knows ranges, whoever has other bytes: the client
// gets the right file, or an error.
func TestSplicesAreNeverWrong(t *testing.T) {
	for n := range uint64(60) {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			t.Parallel()
			splice(t, n)
		})
	}
}

// splice fetches a file from random origins, of which some have packed the same
// content otherwise. It must be served if one of them works all the time.
func splice(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(7, seed))
	size := 300_000 + rnd.IntN(1_000_000)
	data, packed := noise(seed, size), noise(seed+500, size+100)
	var handlers []http.Handler
	var desc []string
	works := false
	for range 1 + rnd.IntN(3) {
		o := &origin{data: data, ranges: rnd.IntN(3) > 0}
		if rnd.IntN(3) == 0 { // the same length, other bytes somewhere
			o.data = bytes.Clone(data)
			o.data[rnd.IntN(size)] ^= 1
		}
		if rnd.IntN(4) == 0 {
			o.data = packed
		}
		if rnd.IntN(4) == 0 {
			o.data = noise(seed+1000, size+rnd.IntN(3)-1)
		}
		if rnd.IntN(2) == 0 {
			o.etag = fmt.Sprintf(`"%x"`, rnd.Uint32())
		}
		for range rnd.IntN(3) {
			o.cuts = append(o.cuts, rnd.IntN(size))
		}
		good := bytes.Equal(o.data, data) || bytes.Equal(o.data, packed)
		works = works || good && len(o.cuts) == 0
		desc = append(desc, fmt.Sprintf("{good %v ranges %v etag %s cuts %v}", good, o.ranges, o.etag, o.cuts))
		handlers = append(handlers, o)
	}
	vouched := yes
	if rnd.IntN(2) == 0 {
		vouched = nil
	}
	p, _ := open(t, store.Options{})
	s, err := p.Fetch(t.Context(), Request{Key: "file", Targets: targets(t, handlers...), Limit: 10 << 20, Accept: equal(data, packed), Vouched: vouched})
	if err != nil {
		if works {
			t.Errorf("not served: %v; %s", err, strings.Join(desc, " "))
		}
		return
	}
	defer s.File.Close()
	got, err := io.ReadAll(s.File)
	if err != nil || !bytes.Equal(got, data) && !bytes.Equal(got, packed) {
		t.Errorf("wrong bytes, %v; %s", err, strings.Join(desc, " "))
	}
}

// A proxy that has packed the same content otherwise is asked for all of it, and
// has done nothing wrong.
func TestPackedOtherwise(t *testing.T) {
	data, packed := noise(1, 1_000_000), noise(2, 1_000_040)
	list := targets(t, &origin{data: data, ranges: true, cuts: []int{300_000}}, &origin{data: packed, ranges: true})
	p, kept := open(t, store.Options{})
	for range 4 {
		s, err := p.Fetch(t.Context(), Request{Key: "file", Targets: list[1:], Limit: 10 << 20, Accept: equal(data, packed), Vouched: yes})
		if err != nil {
			t.Fatal(err)
		}
		s.File.Close()
	}
	s, err := p.Fetch(t.Context(), Request{Key: "file", Targets: list, Limit: 10 << 20, Accept: equal(data, packed), Vouched: yes})
	if err != nil {
		t.Fatal(err)
	}
	s.File.Close()
	if s.Source != "p1" || list[1].State() != upstream.Healthy || kept.Stats().Quarantined != 0 {
		t.Errorf("served by %s, which is %s", s.Source, list[1].State())
	}
}

// What one proxy has begun and another one may not continue is there when the
// first one is asked again.
func TestBeginningIsKept(t *testing.T) {
	data := noise(1, 2<<20)
	a := &origin{data: data, ranges: true, etag: `"a"`, cuts: []int{1 << 20}}
	p, _ := open(t, store.Options{})
	s, err := p.Fetch(t.Context(), Request{Key: "file", Targets: targets(t, a, http.NotFoundHandler()), Limit: 10 << 20, Accept: equal(data)})
	if err != nil {
		t.Fatal(err)
	}
	s.File.Close()
	if a.total() > int64(len(data))+overlap || p.Stats().Resumed != 1 {
		t.Errorf("%d bytes were sent, %+v", a.total(), p.Stats())
	}
}

// Wrong bytes of all are no splice's fault for ever: it ends, and says so.
func TestWrongBytesEnd(t *testing.T) {
	data := noise(1, 1<<20)
	other := &origin{data: noise(2, 1<<20), ranges: true, cuts: []int{600_000}}
	p, s := open(t, store.Options{})
	_, err := p.Fetch(t.Context(), Request{Key: "file", Targets: targets(t, other, other), Limit: 10 << 20, Accept: equal(data), Vouched: yes})
	e, ok := errors.AsType[*Error](err)
	if !ok || e.Verdict != Tampered && e.Verdict != Failed || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v", err)
	}
	if s.Stats().Quarantined == 0 {
		t.Error("nothing in the quarantine")
	}
}
