//go:build linux

// Command table runs the laboratory and prints its tables: what each module proxy does
// while its first upstream fails. It judges nothing; a target that is missed
// stays in the table. "make bench" runs it.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"

	"github.com/org/goproxy-setup/internal/lab"
)

func main() {
	program := flag.String("program", "", "path of goproxy-setup")
	peers := flag.String("peers", "", "folder of the other proxies' commands")
	names := flag.String("contenders", "agent,go alone,goproxy,Athens,nginx", "who is measured")
	faults := flag.String("faults", "", "the faults by name, separated by commas; all if empty")
	from := flag.String("from", lab.FromStart+","+lab.FromMiddle, "where the faults begin")
	small := flag.Int("synthetic", 0, "so many synthetic modules instead of the recorded project")
	kills := flag.Int("kills", 200, "SIGKILLs of the agent")
	herd := flag.Int("herd", 200, "clients of one cold zip")
	dir := flag.String("dir", "", "folder for temporary files; in memory if empty and there is room")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	b := bench{faults: split(*faults), from: split(*from), kills: *kills, herd: *herd}
	if err := b.run(ctx, *program, *peers, *dir, split(*names), *small); err != nil {
		fmt.Fprintln(os.Stderr, "table:", err)
		os.Exit(3)
	}
}

type bench struct {
	lab         *lab.Lab
	contenders  []lab.Contender
	faults      []string
	from        []string
	kills, herd int
}

func (b *bench) run(ctx context.Context, program, peers, dir string, names []string, small int) error {
	for _, name := range names {
		c, err := lab.Named(name)
		if err != nil {
			return err
		}
		b.contenders = append(b.contenders, c)
	}
	project, err := chooseProject(ctx, small)
	if err != nil {
		return err
	}
	dir, remove, err := scratch(dir)
	if err != nil {
		return err
	}
	defer remove()
	b.lab = &lab.Lab{Project: project, Program: program, Peers: peers, Dir: dir, RoundTrip: lab.RoundTrip, Rate: lab.Rate}
	fmt.Printf("%s: %d modules, link of %v and %d MB/s, files in %s\n", project.Name, len(project.Modules), lab.RoundTrip, lab.Rate/1_000_000, filepath.Dir(dir))
	for _, part := range []func(context.Context) error{b.sideBySide, b.matrix, b.killed} {
		fmt.Println()
		if err := part(ctx); err != nil {
			return err
		}
	}
	return nil
}

// scratch makes a folder for temporary files below dir. If that is "", it is in
// memory where there is room: what a disk still has to write of the run before
// would differ from run to run by more than the faults do.
func scratch(dir string) (path string, remove func(), err error) {
	const memory, room = "/dev/shm", 4 << 30
	var fs syscall.Statfs_t
	if dir == "" && syscall.Statfs(memory, &fs) == nil && fs.Bavail*uint64(fs.Bsize) >= room {
		dir = memory
	}
	path, err = os.MkdirTemp(dir, "goproxy-setup-lab-")
	return path, func() { os.RemoveAll(path) }, err
}

// chooseProject returns the recorded project or, where it cannot be recorded,
// one that is made here, and says so: its figures mean less.
func chooseProject(ctx context.Context, small int) (*lab.Project, error) {
	if small > 0 {
		return lab.Synthetic(small)
	}
	project, err := lab.Recorded(ctx)
	if err == nil || ctx.Err() != nil {
		return project, err
	}
	fmt.Printf("SKIPPED the real project, synthetic modules instead: %v\n", err)
	return lab.Synthetic(160)
}

func newTable(head ...any) (row func(cells ...any), flush func() error) {
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	row = func(cells ...any) {
		fmt.Fprintf(w, strings.TrimSuffix(strings.Repeat("%v\t", len(cells)), "\t")+"\n", cells...)
	}
	row(head...)
	return row, w.Flush
}

// sideBySide measures what needs no fault.
func (b *bench) sideBySide(ctx context.Context) error {
	row, flush := newTable("contender", "start-up", "cold download", "requests", "peak memory", fmt.Sprintf("herd of %d", b.herd), "fetches", "right", "peak memory")
	for _, c := range b.contenders {
		run, err := b.lab.Healthy(ctx, c)
		if err != nil {
			return err
		}
		if !c.Stores {
			row(c.Name, "-", seconds(run.Took), run.First+run.Second, "-", "-", "-", "-", "-")
			continue
		}
		ready, err := b.lab.StartUp(ctx, c, 5)
		if err != nil {
			return err
		}
		h, err := b.lab.Herd(ctx, c, b.herd)
		if err != nil {
			return err
		}
		row(c.Name, fmt.Sprintf("%.1f ms", ready.Seconds()*1e3), seconds(run.Took), run.First+run.Second, megabytes(run.Memory),
			seconds(h.Took), h.Fetches, h.Right, megabytes(h.Memory))
	}
	return flush()
}

// matrix measures every fault from every beginning.
func (b *bench) matrix(ctx context.Context) error {
	row, flush := newTable("contender", "fault", "from", "result", "wall", "x healthy (target 1.15)", "go.sum and files", "requests", "why")
	for _, c := range b.contenders {
		for _, f := range lab.Faults {
			if len(b.faults) > 0 && !contains(b.faults, f.Name) {
				continue
			}
			for _, from := range b.from {
				run, err := b.lab.Download(ctx, c, f, from)
				if err != nil {
					return err
				}
				fmt.Fprintf(os.Stderr, "table: %s, %s from the %s: %s in %s, %s x healthy, requests %d + %d\n",
					c.Name, f.Name, from, result(run), seconds(run.Took), ratio(run), run.First, run.Second)
				row(c.Name, f.Name, from, result(run), wall(run), ratio(run), intact(run), fmt.Sprintf("%d + %d", run.First, run.Second), firstLine(run.Problem))
			}
		}
	}
	return flush()
}

// killed measures our agent alone: the others promise nothing.
func (b *bench) killed(ctx context.Context) error {
	if b.kills == 0 {
		return nil
	}
	agent, err := lab.Named("agent")
	if err != nil {
		return err
	}
	project, err := lab.Synthetic(60)
	if err != nil {
		return err
	}
	l := *b.lab
	l.Project = project
	k, err := l.Kill(ctx, agent, b.kills, uint64(time.Now().UnixNano()))
	if err != nil {
		return err
	}
	fmt.Printf("kill -9 of the agent, %d times: %d files served, %d wrong, %d wrong in the store, %d lost, %d spool files left (target 0)\n",
		k.Kills, k.Served, k.Wrong, k.Broken, k.Lost, len(k.Leaked))
	return nil
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func megabytes(bytes int64) string { return fmt.Sprintf("%.0f MB", float64(bytes)/1e6) }

func result(r lab.Run) string {
	switch {
	case r.Green:
		return "green"
	case r.Capped:
		return "> cap"
	}
	return "red"
}

func wall(r lab.Run) string {
	if r.Capped {
		return "> " + seconds(r.Took)
	}
	return seconds(r.Took)
}

// ratio is meaningless for a run that ended early because it failed.
func ratio(r lab.Run) string {
	switch {
	case r.Green:
		return fmt.Sprintf("%.2f", r.Ratio)
	case r.Capped:
		return fmt.Sprintf("> %.1f", r.Ratio)
	}
	return "-"
}

func intact(r lab.Run) string {
	if r.Intact {
		return "intact"
	}
	return "CHANGED"
}

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line[:min(len(line), 160)]
}

func split(list string) []string {
	if list == "" {
		return nil
	}
	return strings.Split(list, ",")
}

func contains(list []string, name string) bool {
	for _, s := range list {
		// A name may have a comma itself, so its beginning is enough.
		if strings.HasPrefix(name, strings.TrimSpace(s)) {
			return true
		}
	}
	return false
}
