package cli

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/org/goproxy-setup/internal/diagnose"
	"github.com/org/goproxy-setup/internal/render"
)

// mend shows each repair, makes those that are agreed to, and looks again at
// what they mend. It returns the machine as it is then. A repair that fails is
// said and no more: its finding stays.
func (d *doctor) mend(ctx context.Context, m *diagnose.Machine, list []diagnose.Examined) *diagnose.Machine {
	in := bufio.NewReader(d.Stdin)
	shown := 0
	var slots []int // of the checks to make again
	for i, e := range list {
		for _, f := range e.Findings {
			if f.Repair == nil {
				continue
			}
			shown++
			fmt.Fprintf(d.Stderr, "%s %s\n  fix: %s\n", e.ID, render.LogLine(f.Message), render.LogLine(f.Repair.Shown))
			if !d.agreed(in) {
				continue
			}
			if err := f.Repair.Do(ctx); err != nil {
				fmt.Fprintf(d.Stderr, "  not mended: %s\n", render.LogLine(err.Error()))
			}
			if !slices.Contains(slots, i) {
				slots = append(slots, i)
			}
		}
	}
	if shown == 0 {
		fmt.Fprintln(d.Stderr, "there is nothing that can be mended without a decision")
	} else if !d.yes && !d.Interactive {
		fmt.Fprintln(d.Stderr, "hint: nothing was changed; add --yes to make these changes without a terminal")
	}
	if len(slots) == 0 || ctx.Err() != nil {
		return m
	}
	return d.again(ctx, list, slots)
}

// agreed asks whether to make a change. Only a person at a terminal is asked.
func (d *doctor) agreed(in *bufio.Reader) bool {
	if d.yes {
		return true
	}
	if !d.Interactive {
		return false
	}
	fmt.Fprint(d.Stderr, "  change it? [y/N] ")
	answer, err := in.ReadString('\n')
	if err != nil {
		fmt.Fprintln(d.Stderr)
	}
	return slices.Contains([]string{"y", "yes"}, strings.ToLower(strings.TrimSpace(answer)))
}

// again makes the checks in these slots once more, on the machine as it is now.
func (d *doctor) again(ctx context.Context, list []diagnose.Examined, slots []int) *diagnose.Machine {
	ctx, cancel := context.WithTimeout(ctx, d.timeout)
	defer cancel()
	if user, err := userEnv(d.Host); err == nil {
		d.config.User = user
	}
	checks := make([]diagnose.Check, len(slots))
	for i, slot := range slots {
		checks[i] = *list[slot].Check
	}
	m := diagnose.Read(ctx, d.config)
	for i, e := range diagnose.Run(ctx, m, checks) {
		list[slots[i]] = e
	}
	return m
}
