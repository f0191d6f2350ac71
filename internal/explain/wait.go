package explain

import (
	"fmt"
	"time"

	"github.com/org/goproxy-setup/internal/goenv"
)

// Size is what the waiting time depends on.
type Size struct {
	Mods    int `json:"mods"`    // modules whose .mod go.sum lists
	Zips    int `json:"zips"`    // modules whose .zip go.sum lists
	Workers int `json:"workers"` // GOMAXPROCS of the go command
}

// A Wait is how long a command takes at worst, because one proxy makes it wait
// at every request.
type Wait struct {
	Command string `json:"command"` // "build", "download" or "any"
	Proxy   string `json:"proxy"`   // redacted
	When    string `json:"when"`
	// Seconds is the time in all, -1 for no limit.
	Seconds float64 `json:"seconds"`
	Then    string  `json:"then"`    // what happens then
	Formula string  `json:"formula"` // how Seconds comes about
}

// Waits returns the worst case for every entry and failure that takes time.
// The go command never remembers a dead proxy: it is paid again for every
// module and kind of file, and by every process.
//
// Source: measured; the phases are those of [commands].
func Waits(c goenv.Chain, when []When, s Size) []Wait {
	var list []Wait
	for i, e := range c {
		if !e.Proxy() {
			continue
		}
		for _, w := range when {
			if w.Wait == 0 && w.Answer != goenv.Hang || w.ZipOnly {
				continue
			}
			f, _ := fate(c, i, goenv.Mod, goenv.Mod, w.Answer, goenv.GoSum)
			if f == Unasked {
				continue
			}
			for _, command := range []string{"build", "download"} {
				if f == Forever && command == "build" {
					continue
				}
				wait := Wait{Command: command, Proxy: label(e), When: w.Word}
				wait.fill(w, f, s)
				list = append(list, wait)
			}
		}
	}
	return list
}

func (w *Wait) fill(when When, f Fate, s Size) {
	mods, zips := rounds(s.Mods, s.Workers), rounds(s.Zips, s.Workers)
	d := when.Wait
	switch {
	case f == Forever:
		w.Command = "any"
		w.Seconds, w.Then, w.Formula = -1, "nothing ends it", "go has no limit for a silent proxy"
		return
	case f.Fails() && w.Command == "download":
		// The graph is loaded before anything else, and to its end.
		w.Then, w.Formula = "it fails", fmt.Sprintf("%s × ⌈%d mods/%d⌉", d, s.Mods, s.Workers)
		w.Seconds = (d * time.Duration(mods)).Seconds()
		return
	case f.Fails():
		w.Then, w.Formula = "it fails", fmt.Sprintf("%s × (⌈%d mods/%d⌉ + ⌈%d zips/%[3]d⌉)", d, s.Mods, s.Workers, s.Zips)
		w.Seconds = (d * time.Duration(mods+zips)).Seconds()
		return
	}
	w.Then = "the next entry has served everything"
	if w.Command == "download" {
		w.Seconds = (d * time.Duration(mods+s.Zips+zips)).Seconds()
		w.Formula = fmt.Sprintf("%s × (⌈%d mods/%d⌉ + %d infos + ⌈%[4]d zips/%[3]d⌉)", d, s.Mods, s.Workers, s.Zips)
		return
	}
	w.Seconds = (d * time.Duration(mods+2*zips)).Seconds()
	w.Formula = fmt.Sprintf("%s × (⌈%d mods/%d⌉ + ⌈%d infos/%[3]d⌉ + ⌈%[4]d zips/%[3]d⌉)", d, s.Mods, s.Workers, s.Zips)
}

// rounds is how many rounds n requests take with so many at a time.
func rounds(n, workers int) int {
	workers = max(workers, 1)
	return (n + workers - 1) / workers
}
