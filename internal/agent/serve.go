package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/agent/accept"
	"github.com/org/goproxy-setup/internal/agent/pool"
	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/modproxy"
	"github.com/org/goproxy-setup/internal/policy"
)

// A visit is one request of a client.
type visit struct {
	a       *Agent
	plan    *plan
	w       http.ResponseWriter
	r       *http.Request
	trusted bool // may see private modules
	event   Event

	links    []link // whom a module may be asked of
	everyone bool   // nobody else knows of it: it is private, or others may decide who gets it
}

// Handler returns the agent's HTTP handler. trusted tells whether a client may
// see private modules and what credentials give access to; nil trusts all.
func (a *Agent) Handler(trusted func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start := time.Now()
		http.NewResponseController(w).SetWriteDeadline(time.Time{}) // that of the connection's last answer
		v := &visit{a: a, plan: a.plan.Load(), w: w, r: r, trusted: trusted == nil || trusted(r), event: Event{Kind: "other"}}
		defer func() {
			if bug := recover(); bug != nil {
				v.bug(bug)
			}
			v.event.Took = time.Since(start)
			a.meters.add(v.event)
			if a.observe != nil && v.event.Kind != "other" {
				a.observe(v.event)
			}
		}()
		if err := v.serve(); err != nil {
			v.refuse(err)
		}
	})
}

// bug answers a panic. An answer that has begun is cut off by another panic,
// which net/http knows, lest half a file looks whole.
func (v *visit) bug(bug any) {
	v.a.log.Error("a bug of the agent", "path", modproxy.Line(v.r.URL.Path), "panic", fmt.Sprint(bug), "stack", string(debug.Stack()))
	v.event.Result, v.event.Cause = ResultFailed, "a bug of the agent: its log tells where"
	if v.w.Header().Get("Content-Type") != "" {
		panic(http.ErrAbortHandler)
	}
	(&refusal{status: http.StatusInternalServerError, text: v.event.Cause}).write(v.w)
}

// refuse answers an error.
func (v *visit) refuse(err error) {
	if v.r.Context().Err() != nil { // nobody listens any more
		v.event.Result = ResultLeft
		return
	}
	r := refused(v.name(), err)
	v.event.Result, v.event.Cause, v.event.Outcomes = r.result, r.text, outcomes(err)
	if r.result == ResultFailed {
		v.a.log.LogAttrs(v.r.Context(), slog.LevelWarn, "request failed", slog.String("path", modproxy.Line(v.r.URL.Path)),
			slog.Int("status", r.status), slog.String("cause", modproxy.Line(r.text)))
	}
	if !v.trusted {
		r = forStrangers(v.name(), r, err)
	}
	r.write(v.w)
}

// outcomes returns those of an error of the pool.
func outcomes(err error) []pool.Outcome {
	if e, ok := errors.AsType[*pool.Error](err); ok {
		return e.Outcomes
	}
	return nil
}

// name returns what was asked for, for people.
func (v *visit) name() string {
	if v.event.File.Path == "" {
		return modproxy.Line(v.r.URL.Path)
	}
	return fileName(v.event.File)
}

func (v *visit) serve() error {
	if v.r.Method != http.MethodGet && v.r.Method != http.MethodHead {
		v.w.Header().Set("Allow", "GET, HEAD")
		return &refusal{status: http.StatusMethodNotAllowed, text: "only GET and HEAD are answered", result: ResultDenied}
	}
	path, ok := strings.CutPrefix(v.r.URL.Path, "/")
	switch {
	case !ok:
	case path == "healthz" || path == "readyz" || path == "metrics" || path == "":
		return v.operations(path)
	case strings.HasPrefix(path, "sumdb/"):
		v.event.Kind = "sumdb"
		return v.sumdb(strings.TrimPrefix(path, "sumdb/"))
	default:
		f, err := modproxy.ParsePath(path)
		if err == nil {
			v.event.Kind, v.event.File = string(f.Kind), f
			return v.module(f, path)
		}
		return &refusal{status: http.StatusBadRequest, text: err.Error(), result: ResultDenied}
	}
	return &refusal{status: http.StatusBadRequest, text: "not a path of the GOPROXY protocol", result: ResultDenied}
}

// module answers for a file of a module; key is its path.
func (v *visit) module(f modproxy.File, key string) error {
	var deny *denial
	v.links, v.everyone, deny = v.plan.route(f.Path, v.trusted)
	if deny != nil && deny.status == http.StatusForbidden {
		return &refusal{status: deny.status, text: v.name() + ": " + deny.text, result: ResultDenied}
	}
	judge := v.vouchers(f)
	if !changes(f) {
		if done, err := v.stored(f, key, judge); done || err != nil {
			return err
		}
	} else if v.fresh(f, key, judge) {
		return nil
	}
	if deny != nil {
		return &refusal{status: deny.status, text: v.name() + ": " + deny.text, result: ResultAbsent}
	}
	v.event.First = v.links[0].Name // there is one, if nobody denies
	known := v.known(f, judge)
	v.lookAhead(f, judge)
	rules := pool.Rules{Everyone: v.everyone, Known: known}
	s, err := v.a.pool.Fetch(v.r.Context(), request(f, key, v.links, rules, judge))
	if err != nil {
		if changes(f) && refused(v.name(), err).result == ResultFailed && v.r.Context().Err() == nil && v.stale(f, key, judge) {
			v.event.Outcomes = outcomes(err)
			return nil
		}
		return err
	}
	defer s.File.Close()
	v.event.Outcomes = s.Outcomes
	v.event.Result = ResultFetched
	if s.Shared {
		v.event.Result = ResultShared
	}
	if f.Kind == modproxy.Mod {
		v.readAhead(f, rules, judge)
	}
	return v.fetched(f, key, judge, s)
}

// request returns what the pool needs to fetch a file.
func request(f modproxy.File, key string, links []link, rules pool.Rules, judge *accept.Vouchers) pool.Request {
	return pool.Request{
		Key: key, Targets: ask(links, key), Rules: rules, Limit: accept.Limit(f.Kind), Keep: !changes(f),
		Accept: func(ctx context.Context, b pool.Body) (store.Meta, error) {
			m, err := judge.File(ctx, f, accept.Body(b))
			if err == nil && rules.Known && f.Kind == modproxy.List && b.Size == 0 {
				err = errEmptyList
			}
			return m, err
		},
		Vouched: func(ctx context.Context) bool { return f.Kind == modproxy.Zip && judge.Vouches(ctx, f) },
	}
}

// aheadAtOnce is how many files are fetched before they are asked for, at a
// time; aheadLimit is how long one may take.
const (
	aheadAtOnce = 8
	aheadLimit  = 30 * time.Second
)

// readAhead fetches the .info of a version whose .mod was asked for: the go
// command asks for it soon, one after the other. Nobody waits for it, and if
// all fail, they will be asked again.
func (v *visit) readAhead(f modproxy.File, rules pool.Rules, judge *accept.Vouchers) {
	f.Kind = modproxy.Info
	key, err := f.URLPath()
	if err != nil || v.keeps(f) {
		return
	}
	select {
	case v.a.ahead <- struct{}{}:
	default:
		return // there is enough to do
	}
	v.a.wg.Go(func() {
		defer func() { <-v.a.ahead }()
		ctx, cancel := context.WithTimeout(v.a.background, aheadLimit)
		defer cancel()
		r := request(f, key, v.links, rules, judge)
		r.Ahead = true
		if s, err := v.a.pool.Fetch(ctx, r); err == nil {
			s.File.Close()
			if !s.Shared && v.a.observe != nil {
				v.a.observe(Event{Kind: string(f.Kind), File: f, Result: ResultFetched, First: v.links[0].Name, Source: s.Source, Outcomes: s.Outcomes, Ahead: true})
			}
		}
	})
}

// errEmptyList is that of a list without versions, of a module that has some.
var errEmptyList = errors.New("an empty list of versions, and the module has some")

// fetched answers with a file that was just accepted.
func (v *visit) fetched(f modproxy.File, key string, judge *accept.Vouchers, s *pool.Served) error {
	if err := v.mayServe(f, judge, s.Meta); err != nil {
		return err
	}
	v.a.remember(v.realm(), f, s.Size)
	if !changes(f) {
		v.send(f, s.File, s.Size, s.Meta)
		return nil
	}
	data, err := readAll(s.File, s.Size)
	if err != nil {
		return err
	}
	if !s.Shared {
		if err := v.a.store.PutMutable(v.mutable(key), data); err != nil {
			v.a.log.Warn("answer not kept", "file", key, "err", err)
		}
	}
	v.send(f, bytes.NewReader(data), s.Size, s.Meta)
	return nil
}

// mayServe enforces "sumdb: required".
func (v *visit) mayServe(f modproxy.File, judge *accept.Vouchers, m store.Meta) error {
	if v.plan.Settings.SumDB != policy.SumDBRequired || f.Kind != modproxy.Zip && f.Kind != modproxy.Mod {
		return nil
	}
	if ok, err := judge.Vouched(f, m); err != nil || ok {
		return err
	}
	return &refusal{status: http.StatusServiceUnavailable, result: ResultFailed,
		text: v.name() + ": no checksum database can vouch for it now, and the policy says \"sumdb: required\""}
}

// changes reports whether a file may have other bytes tomorrow.
func changes(f modproxy.File) bool { return !f.Canonical() }

// vouchPatience bounds the wait for the checksum database unless it is
// required: the client checks what nobody vouches for by its own go.sum.
const vouchPatience = 5 * time.Second

// vouchers returns who can vouch for a file.
func (v *visit) vouchers(f modproxy.File) *accept.Vouchers {
	j := &accept.Vouchers{GoSum: v.plan.GoSum, Log: v.a.log}
	if v.plan.Settings.SumDB != policy.SumDBRequired {
		j.Patience, j.Vain = vouchPatience, &v.a.vain
	}
	switch {
	case v.plan.isUnlisted(f.Path):
		j.Pin = v.a.store.Pin
	case len(v.plan.databases) > 0:
		j.Sums = v.plan.sums
		j.Recorded = v.plan.recorded
	}
	return j
}

// lookAhead looks the hashes up beside the download.
func (v *visit) lookAhead(f modproxy.File, judge *accept.Vouchers) {
	if judge.Sums == nil || f.Kind != modproxy.Zip && f.Kind != modproxy.Mod || judge.HasSum(f) {
		return
	}
	ctx := v.r.Context()
	v.a.wg.Go(func() {
		if _, _, _, err := judge.Sums(ctx, module.Version{Path: f.Path, Version: f.Version}); err == nil {
			v.a.vain.Store(0) // it answers again
		}
	})
}

// A client may take sendLimit for a file, and a second for each slowestClient
// bytes of it.
const (
	sendLimit     = time.Minute
	slowestClient = 8 << 10
)

// send answers with a file.
func (v *visit) send(f modproxy.File, body io.ReadSeeker, size int64, m store.Meta) {
	v.event.Source, v.event.Grade = m.Source, m.Grade
	h := v.w.Header()
	h.Set("Content-Type", contentTypes[f.Kind])
	h.Set("Cache-Control", "no-cache")
	if !changes(f) {
		h.Set("Cache-Control", v.sharing(m)+", max-age=31536000, immutable")
	}
	// There is no limit on the wait for a file, but on that for a client that
	// does not take it. What cannot have a deadline has none.
	limit := sendLimit + time.Duration(size/slowestClient)*time.Second
	http.NewResponseController(v.w).SetWriteDeadline(time.Now().Add(limit))
	// No validator: two mirrors may pack the same content into other bytes. An
	// *os.File is copied by the kernel.
	http.ServeContent(v.w, v.r, "", time.Time{}, body)
	v.event.Bytes = v.sent(body)
}

// sharing says whether a cache may give a file to others. With "public" it would
// do so whatever login this client has shown.
func (v *visit) sharing(m store.Meta) string {
	if l := v.link(m.Origin); l == nil || l.User != nil || v.everyone {
		return "private"
	}
	return "public"
}

// sent returns how many bytes of body the client took.
func (v *visit) sent(body io.Seeker) (n int64) {
	switch {
	case v.r.Method == http.MethodHead:
	case v.r.Header.Get("Range") != "":
		n, _ = strconv.ParseInt(v.w.Header().Get("Content-Length"), 10, 64)
	default:
		n, _ = body.Seek(0, io.SeekCurrent)
	}
	return n
}

var contentTypes = map[modproxy.Kind]string{
	modproxy.Info: "application/json", modproxy.Latest: "application/json", modproxy.Zip: "application/zip",
	modproxy.Mod: "text/plain; charset=utf-8", modproxy.List: "text/plain; charset=utf-8",
}
