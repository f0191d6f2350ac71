//go:build linux

package lab

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/org/goproxy-setup/internal/proxytest"
)

// A Run is one "go mod download" into an empty module cache.
type Run struct {
	Contender, Fault, From string

	Took    time.Duration
	Green   bool    // go succeeded
	Capped  bool    // go was stopped at the cap
	Intact  bool    // go.sum is unchanged, and every file that go has is the origin's
	Ratio   float64 // Took by that of the same contender's healthy run
	First   int     // requests that reached the first upstream
	Second  int     // and the second
	Memory  int64   // peak of the contender, bytes
	Problem string  // what go, the comparison or the contender's log say

	asked []string // paths, of the first
}

// Healthy returns the run of a contender without a fault: of three, that of
// middle length. They are made when they are first asked for.
func (l *Lab) Healthy(ctx context.Context, c Contender) (Run, error) {
	if run, ok := l.healthy[c.Name]; ok {
		return run, nil
	}
	var runs []Run
	for range 3 {
		run, err := l.download(ctx, c, Healthy, 0, 10*time.Minute)
		if err != nil {
			return run, err
		}
		if !run.Green || !run.Intact {
			return run, fmt.Errorf("%s fails without any fault: %s", c.Name, run.Problem)
		}
		runs = append(runs, run)
	}
	slices.SortFunc(runs, func(a, b Run) int { return cmp.Compare(a.Took, b.Took) })
	run := runs[1]
	run.Ratio = 1
	if l.healthy == nil {
		l.healthy = map[string]Run{}
	}
	l.healthy[c.Name] = run
	return run, nil
}

// Download measures a contender while its first upstream has a fault.
func (l *Lab) Download(ctx context.Context, c Contender, f Fault, from string) (Run, error) {
	healthy, err := l.Healthy(ctx, c)
	if err != nil {
		return Run{}, err
	}
	at := 0
	if from == FromMiddle {
		at = f.middle(healthy)
	}
	limit := l.Cap
	if limit == 0 {
		limit = 3*healthy.Took + 5*time.Second
	}
	run, err := l.download(ctx, c, f, at, limit)
	run.From = from
	run.Ratio = run.Took.Seconds() / healthy.Took.Seconds()
	return run, err
}

func (l *Lab) download(ctx context.Context, c Contender, f Fault, at int, limit time.Duration) (run Run, err error) {
	run = Run{Contender: c.Name, Fault: f.Name}
	dir, remove, err := l.temp("run")
	if err != nil {
		return run, err
	}
	defer remove()
	u, err := l.startUpstreams(f, at)
	if err != nil {
		return run, err
	}
	defer func() { err = errors.Join(err, u.close()) }()
	p, err := l.start(ctx, c, dir, u)
	if err != nil {
		return run, err
	}
	defer p.Stop()

	client := filepath.Join(dir, "client")
	if err := os.Mkdir(client, 0o755); err != nil {
		return run, err
	}
	if err := l.Project.write(client); err != nil {
		return run, err
	}
	out := run.runGo(ctx, client, p.GOPROXY, limit)
	run.Memory = p.PeakMemory()
	for _, r := range u.first.Requests() {
		run.asked = append(run.asked, r.Path)
	}
	run.First, run.Second = len(run.asked), len(u.second.Requests())
	if err := l.compare(ctx, client, run.Green); err != nil {
		run.Problem = err.Error()
	} else {
		run.Intact = true
	}
	switch {
	case run.Capped:
		run.Problem = fmt.Sprintf("stopped after %v; its log: %s", limit.Round(time.Second), lastLines([]byte(p.Log()), 3))
	case !run.Green:
		run.Problem = lastLines(out, 3) + "\nits log: " + lastLines([]byte(p.Log()), 3)
	}
	return run, nil
}

// runGo runs the go command within the limit and returns what it prints.
func (r *Run) runGo(ctx context.Context, dir, goproxy string, limit time.Duration) []byte {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "mod", "download")
	cmd.Dir = dir
	cmd.Env = environment("GOPROXY="+goproxy, "GOSUMDB="+proxytest.GOSUMDB, "GOMODCACHE="+filepath.Join(dir, "cache"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.WaitDelay = time.Second
	start := time.Now()
	out, err := cmd.CombinedOutput()
	r.Took = time.Since(start)
	r.Green = err == nil
	r.Capped = ctx.Err() != nil
	if err != nil && len(out) == 0 {
		out = []byte(err.Error())
	}
	return out
}

// compare holds what go has in its module cache, and go.sum, against the
// origin. If complete, no file may be missing either.
func (l *Lab) compare(ctx context.Context, dir string, complete bool) error {
	if sum, err := os.ReadFile(filepath.Join(dir, "go.sum")); err != nil || string(sum) != l.Project.Sum {
		return errors.Join(errors.New("go.sum has changed"), err)
	}
	origin, err := l.startOrigin()
	if err != nil {
		return err
	}
	defer origin.Close()
	names, err := l.Project.files()
	if err != nil {
		return err
	}
	for _, name := range names {
		got, err := os.ReadFile(filepath.Join(dir, "cache/cache/download", name))
		if os.IsNotExist(err) && !complete {
			continue
		}
		if err != nil {
			return err
		}
		_, want, err := get(ctx, http.DefaultClient, origin.URL+"/"+name)
		if err != nil {
			return err
		}
		if !same(name, got, want) {
			return fmt.Errorf("%s is not what the origin has: %d bytes instead of %d", name, len(got), len(want))
		}
	}
	return nil
}

// same reports whether two files mean the same. An .info may be written in
// another way; what counts there is what go reads.
func same(name string, a, b []byte) bool {
	if !strings.HasSuffix(name, ".info") {
		return bytes.Equal(a, b)
	}
	var x, y struct {
		Version string
		Time    time.Time
	}
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && x.Version == y.Version && x.Time.Equal(y.Time)
}
