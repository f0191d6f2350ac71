package diagnose

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/org/goproxy-setup/internal/report"
)

func check(id string, run func(context.Context, *Machine) Result) Check {
	return Check{ID: id, Name: strings.ToLower(id), Title: "title", Impact: ThisMachine, Fix: "fix", run: run}
}

// Results stand in the order of the table whatever ends first; what does not
// end in time is said to be skipped, and nobody waits for it.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		stuck := make(chan struct{})
		defer close(stuck)
		start := time.Now()
		list := Run(ctx, nil, []Check{
			check("D1", func(context.Context, *Machine) Result {
				time.Sleep(300 * time.Millisecond)
				return found(Finding{Message: "slow"})
			}),
			check("D2", func(context.Context, *Machine) Result { <-stuck; return Result{} }), // a file system that hangs
			check("D3", func(ctx context.Context, _ *Machine) Result { <-ctx.Done(); return skipped("told to stop") }),
			check("D4", func(context.Context, *Machine) Result { return Result{Seen: "fast"} }),
		})
		if took := time.Since(start); took != time.Second+linger {
			t.Errorf("took %s", took)
		}
		var got strings.Builder
		for _, e := range list {
			got.WriteString(e.ID + " " + e.Seen + e.Skipped + " " + e.Took.String() + "; ")
		}
		if want := "D1  300ms; D2 no time was left for it 0s; D3 told to stop 1s; D4 fast 0s; "; got.String() != want {
			t.Errorf("got %s; want %s", got.String(), want)
		}
		if n := Troubles(list); n != 1 {
			t.Errorf("%d troubles", n)
		}
	})
}

// What is not read in time stays empty, nobody waits for it, and the checks that
// judge it say so.
func TestReadInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		stuck := make(chan struct{})
		defer close(stuck)
		start := time.Now()
		m := Read(ctx, Config{Dir: t.TempDir(), Environ: []string{}, Etc: t.TempDir(), Getenv: func(name string) string {
			if name == "NETRC" { // its directory is on a server that is gone
				<-stuck
			}
			return ""
		}})
		if took := time.Since(start); took != time.Second+linger {
			t.Errorf("took %s", took)
		}
		fine := func(context.Context, *Machine) Result { return Result{Seen: "fine"} }
		list := Run(t.Context(), m, []Check{check("D42", fine), check("D44", fine)})
		if list[0].Skipped != "the file with logins could not be read in time" || list[1].Seen != "fine" {
			t.Errorf("%+v", list)
		}
	})
}

// A bug in a check is one of the program, seen where it is called.
func TestRunPanics(t *testing.T) {
	defer func() {
		if v := recover(); v == nil || !strings.Contains(v.(string), "check D1: oops") {
			t.Errorf("recovered %v", v)
		}
	}()
	Run(t.Context(), nil, []Check{check("D1", func(context.Context, *Machine) Result { panic("oops") })})
}

// A report has the findings by impact, and worst first.
func TestFill(t *testing.T) {
	finding := func(s report.Severity, text string) Result { return found(Finding{Severity: s, Message: text}) }
	list := []Examined{
		{&Check{ID: "D1", Name: "one", Title: "t", Impact: CI}, finding(report.Error, "a"), 0},
		{&Check{ID: "D2", Name: "two", Title: "t", Impact: ThisMachine}, finding(report.Notice, "b"), time.Second},
		{&Check{ID: "D3", Name: "three", Title: "t", Impact: ThisMachine}, finding("", "c"), 0},
		{&Check{ID: "D4", Name: "four", Title: "t", Impact: Workspace}, skipped("nothing there"), 0},
	}
	r := &report.Report{}
	Fill(r, list)
	var got strings.Builder
	for _, f := range r.Findings {
		got.WriteString(f.Group + " " + string(f.Severity) + " " + f.Title + " " + f.Message + "; ")
	}
	if want := "This machine warning D3 t c; This machine notice D2 t b; CI error D1 t a; "; got.String() != want {
		t.Errorf("got %s; want %s", got.String(), want)
	}
	for i, want := range []report.Check{
		{Name: "D1 one"}, {Name: "D2 two", OK: true, TookMS: 1000}, {Name: "D3 three"}, {Name: "D4 four", OK: true, Skipped: true, Detail: "nothing there"},
	} {
		if r.Checks[i] != want {
			t.Errorf("check %+v; want %+v", r.Checks[i], want)
		}
	}
}
