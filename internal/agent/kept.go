package agent

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/agent/accept"
	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/modproxy"
)

// stored answers from the store.
func (v *visit) stored(f modproxy.File, key string, judge *accept.Vouchers) (done bool, err error) {
	e, err := v.a.store.Get(key)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			v.a.log.Warn("stored file not readable", "file", key, "err", err)
		}
		return false, nil
	}
	defer e.Close()
	if v.narrow() && v.link(e.Origin) == nil {
		return false, nil // it came another way
	}
	if f.Kind != modproxy.Info && e.Sum == "" {
		return false, nil // a power cut has taken what was known of it
	}
	was := e.Grade
	ok, err := judge.Vouched(f, e.Meta)
	if err == nil && !ok && e.Sum != "" {
		if judge.Pin != nil && e.Source == store.Imports {
			return false, nil // the first use is that of what a proxy sends
		}
		e.Meta, err = judge.Again(v.r.Context(), f, e.Meta)
		if err == nil && e.Grade != store.Unvouched {
			v.a.store.Regrade(key, e.Meta)
		}
	}
	if mismatch, is := errors.AsType[*checksum.MismatchError](err); is {
		// What was stored when nobody could vouch is wrong, or the run's go.sum
		// is. The proxies will tell.
		v.a.log.Warn("stored file does not match", "file", key, "proxy", e.Source, "err", mismatch)
		v.a.store.Quarantine(key, e.Source, mismatch.Error())
		if was == store.Unvouched {
			v.a.store.Remove(key, e.Sum)
			return false, nil
		}
		return false, &refusal{status: http.StatusBadGateway, result: ResultFailed, text: "SECURITY ERROR: " + mismatch.Error()}
	}
	if err != nil {
		return false, err
	}
	if err := v.mayServe(f, judge, e.Meta); err != nil {
		return false, err
	}
	v.event.Result = ResultHit
	v.send(f, e.File, e.Size, e.Meta)
	return true, nil
}

// narrow reports whether the client may have files of the route's proxies alone.
// Others may have anything that was fetched for whatever reason: it is public,
// or they are trusted.
func (v *visit) narrow() bool { return v.everyone || !v.trusted }

// link returns the proxy of the route with this origin, nil if there is none.
func (v *visit) link(origin string) *link {
	for i := range v.links {
		if v.links[i].Origin() == origin {
			return &v.links[i]
		}
	}
	return nil
}

// keeps reports whether the store has a file that the client may have.
func (v *visit) keeps(f modproxy.File) bool {
	key, err := f.URLPath()
	if err != nil || !v.narrow() {
		return err == nil && v.a.store.Has(key)
	}
	e, err := v.a.store.Get(key)
	if err != nil {
		return false
	}
	defer e.Close()
	return v.link(e.Origin) != nil
}

// realm names what may be known to the client: all, or what the proxies of one
// route say.
func (v *visit) realm() string {
	if !v.narrow() {
		return ""
	}
	var origins strings.Builder
	for _, l := range v.links {
		origins.WriteString(l.Origin())
	}
	sum := sha256.Sum256([]byte(origins.String()))
	return hex.EncodeToString(sum[:12])
}

// mutable is the store's key for an answer that may change.
func (v *visit) mutable(key string) string {
	if realm := v.realm(); realm != "" {
		return "by/" + realm + "/" + key // no module's path
	}
	return key
}

// known reports whether a file exists for sure: then its absence is an outage.
func (v *visit) known(f modproxy.File, judge *accept.Vouchers) bool {
	m := module.Version{Path: f.Path, Version: f.Version}
	if judge.Known(f) || v.a.wasServed(v.realm(), m) {
		return true
	}
	escaped, err := module.EscapePath(f.Path)
	switch {
	case err != nil:
		return false
	case f.Version == "":
		return slices.ContainsFunc(v.a.store.Versions(escaped), func(version string) bool {
			return v.keeps(modproxy.File{Path: f.Path, Version: version, Kind: modproxy.Mod})
		})
	case changes(f):
		return false
	}
	for _, kind := range []modproxy.Kind{modproxy.Mod, modproxy.Info, modproxy.Zip} {
		if f.Kind = kind; v.keeps(f) {
			return true
		}
	}
	return false
}

// freshFor is how long a list or @latest is served again without asking.
const freshFor = 10 * time.Second

// fresh answers with what a proxy said a moment ago.
func (v *visit) fresh(f modproxy.File, key string, judge *accept.Vouchers) bool {
	data, at, ok := v.earlier(f, key, judge)
	if !ok || time.Since(at) > freshFor {
		return false
	}
	v.event.Result = ResultHit
	v.send(f, bytes.NewReader(data), int64(len(data)), store.Meta{})
	return true
}

// earlier returns what a proxy has said of what changes. It is judged again: an
// empty list may be one no more.
func (v *visit) earlier(f modproxy.File, key string, judge *accept.Vouchers) (data []byte, at time.Time, ok bool) {
	data, at, err := v.a.store.Mutable(v.mutable(key))
	if err != nil {
		return nil, at, false
	}
	if f.Kind == modproxy.List && len(data) == 0 && v.known(f, judge) {
		return nil, at, false
	}
	_, err = judge.File(v.r.Context(), f, accept.Body{ReaderAt: bytes.NewReader(data), Size: int64(len(data)), Framed: true})
	return data, at, err == nil
}

// stale answers with an earlier answer, since nobody could be asked.
func (v *visit) stale(f modproxy.File, key string, judge *accept.Vouchers) bool {
	data, at, ok := v.earlier(f, key, judge)
	if !ok {
		return false
	}
	v.a.log.LogAttrs(v.r.Context(), slog.LevelWarn, "earlier answer served", slog.String("file", key), slog.Duration("age", time.Since(at).Round(time.Second)))
	v.w.Header().Set("Age", strconv.Itoa(int(time.Since(at)/time.Second)))
	v.w.Header().Set("Warning", `110 - "no module proxy could be asked"`)
	v.event.Result = ResultStale
	v.send(f, bytes.NewReader(data), int64(len(data)), store.Meta{})
	return true
}
