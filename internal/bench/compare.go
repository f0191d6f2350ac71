package bench

import (
	"cmp"
	"fmt"
	"slices"
)

// ranked is the part of failed requests up to which a proxy's speed is worth
// comparing.
const ranked = 0.01

// compare says in sentences who is faster, and whether the difference is more
// than the spread between the rounds.
func compare(proxies []Proxy) []string {
	var list []Proxy
	var notes []string
	loaded := 0
	for _, p := range proxies {
		if p.All == nil {
			continue
		}
		loaded++
		if p.All.FailureRate() > ranked || p.All.Requests == p.All.Failed {
			notes = append(notes, fmt.Sprintf("%s is not compared: %.1f %% of its requests failed.", p.label(), 100*p.All.FailureRate()))
		} else {
			list = append(list, p)
		}
	}
	if loaded < 2 || len(list) == 0 {
		return nil
	}
	slices.SortStableFunc(list, func(a, b Proxy) int { return cmp.Compare(a.All.P50, b.All.P50) })
	best := list[0]
	said := []string{fmt.Sprintf("Fastest at the median: %s, %s%s.", best.label(), duration(best.All.P50), best.spread())}
	for _, p := range list[1:] {
		if overlap(best.RoundsP50, p.RoundsP50) {
			said = append(said, fmt.Sprintf("%s: no difference beyond the spread, %s%s.", p.label(), duration(p.All.P50), p.spread()))
			continue
		}
		said = append(said, fmt.Sprintf("%s takes %.1f times as long, %s%s.", p.label(), p.All.P50/best.All.P50, duration(p.All.P50), p.spread()))
	}
	return append(said, notes...)
}

// overlap reports whether two sets of medians overlap. With one round there is
// no spread, and nothing to say.
func overlap(a, b []float64) bool {
	if len(a) < 2 || len(b) < 2 {
		return true
	}
	return slices.Min(b) <= slices.Max(a) && slices.Min(a) <= slices.Max(b)
}

// spread says between which medians the rounds were.
func (p *Proxy) spread() string {
	if len(p.RoundsP50) < 2 {
		return ""
	}
	return fmt.Sprintf(" (rounds: %s to %s)", duration(slices.Min(p.RoundsP50)), duration(slices.Max(p.RoundsP50)))
}

// duration writes milliseconds with three digits.
func duration(ms float64) string {
	switch {
	case ms < 0.9995:
		return fmt.Sprintf("%.0f µs", ms*1000)
	case ms < 9.995:
		return fmt.Sprintf("%.2f ms", ms)
	case ms < 99.95:
		return fmt.Sprintf("%.1f ms", ms)
	case ms < 999.5:
		return fmt.Sprintf("%.0f ms", ms)
	}
	return fmt.Sprintf("%.2f s", ms/1000)
}

// rate writes bytes per second.
func rate(bytes float64) string {
	switch {
	case bytes < 999.5:
		return fmt.Sprintf("%.0f B", bytes)
	case bytes < 999_500:
		return fmt.Sprintf("%.0f kB", bytes/1e3)
	case bytes < 999_500_000:
		return fmt.Sprintf("%.1f MB", bytes/1e6)
	}
	return fmt.Sprintf("%.2f GB", bytes/1e9)
}
