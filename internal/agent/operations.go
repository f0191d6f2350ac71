package agent

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/module"

	"github.com/org/goproxy-setup/internal/agent/sumdb"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/goenv"
)

// operations answers what the people who run the agent ask.
func (v *visit) operations(path string) error {
	v.event.Result = ResultHit
	h := v.w.Header()
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	switch path {
	case "healthz":
		fmt.Fprintln(v.w, "ok")
	case "readyz":
		v.a.mu.Lock()
		draining := v.a.draining
		v.a.mu.Unlock()
		if draining {
			v.w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(v.w, "draining")
			break
		}
		fmt.Fprintln(v.w, "ready")
		if v.trusted && v.plan.private != "" { // see decision.RunningAgent
			fmt.Fprintln(v.w, decision.PrivateLine+v.plan.private)
		}
	case "metrics":
		h.Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		v.a.writeMetrics(v.w, v.trusted)
	default:
		v.status()
	}
	return nil
}

// status shows a person what the agent does. Strangers learn that it is one.
func (v *visit) status() {
	fmt.Fprintln(v.w, "goproxy-setup agent: a module proxy for the go command. GOPROXY is the URL of this page.")
	if !v.trusted {
		return
	}
	s := v.plan.Settings
	fmt.Fprintf(v.w, "\nenvironment %s, mode %s, up %v\n\n", s.Environment, s.Mode, time.Since(v.a.started).Round(time.Second))
	for _, u := range v.plan.upstreams {
		st := u.Status()
		fmt.Fprintf(v.w, "%-20s %s", u.Name, st.State)
		if st.Last != "" {
			fmt.Fprintf(v.w, "; last failure: %s", st.Last)
		}
		fmt.Fprintln(v.w)
	}
	st := v.a.store.Stats()
	fmt.Fprintf(v.w, "\nstore %s: %d files, %d bytes\n", v.a.store.Dir(), st.Files, st.Bytes)
}

// sumdb answers for a checksum database: what is configured, and nothing else.
// An unknown name is "not found", after which the go command asks the database
// itself.
func (v *visit) sumdb(path string) error {
	rest := ""
	d := v.plan.database(func(s goenv.SumDB) (is bool) {
		rest, is = strings.CutPrefix(path, s.Name+"/")
		return is
	})
	if d == nil {
		return &refusal{status: http.StatusNotFound, text: "this agent does not answer for that checksum database", result: ResultAbsent}
	}
	if m, ok := lookupOf(rest); ok && v.plan.isUnlisted(m) {
		return &refusal{status: http.StatusForbidden, result: ResultDenied,
			text: m + " is private, or in no checksum database: its name does not leave this machine\nnext: set GONOSUMDB to the pattern of such modules"}
	}
	body, contentType, err := d.Serve(v.r.Context(), rest)
	if err != nil {
		return v.sumRefusal(d, err)
	}
	v.event.Result, v.event.Bytes = ResultHit, int64(len(body))
	v.w.Header().Set("Content-Type", contentType)
	v.w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if v.r.Method != http.MethodHead {
		v.w.Write(body)
	}
	return nil
}

// sumRefusal turns an error of a checksum database into an answer.
func (v *visit) sumRefusal(d *database, err error) error {
	e, ok := errors.AsType[*sumdb.Error](err)
	if !ok {
		return err
	}
	switch e.Class {
	case sumdb.NotAPath, sumdb.Absent:
		return &refusal{status: http.StatusNotFound, text: e.Error(), result: ResultAbsent}
	case sumdb.Security:
		return &refusal{status: http.StatusBadGateway, text: "SECURITY ERROR: " + e.Error(), result: ResultFailed}
	}
	text := e.Error()
	if !v.trusted { // it names the routes
		v.a.log.Warn("checksum database not reachable", "database", d.spec.Name, "err", err)
		text = "the checksum database " + d.spec.Name + " cannot be asked now" + askOperator
	}
	return &refusal{status: http.StatusBadGateway, text: text, result: ResultFailed}
}

// lookupOf returns the module path that a database's path asks about.
func lookupOf(path string) (string, bool) {
	rest, ok := strings.CutPrefix(path, "lookup/")
	if !ok {
		return "", false
	}
	escaped, _, _ := strings.Cut(rest, "@")
	m, err := module.UnescapePath(escaped)
	return m, err == nil
}
