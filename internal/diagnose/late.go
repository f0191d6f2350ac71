package diagnose

import (
	"context"
	"slices"
	"time"
)

// linger is how long we wait for what was told to stop. It stops at once,
// unless a file system hangs.
const linger = 200 * time.Millisecond

// What [Read] may be too late for.
const (
	goAnswer      = "what the go command says"
	gitSettings   = "git's settings"
	shellSettings = "shells' files"
	logins        = "the file with logins"
	ciSettingsOf  = "CI files"
	workFiles     = "go.mod and go.work"
)

// judged names the checks that judge it.
var judged = map[string][]string{
	goAnswer:      {"D12"},
	gitSettings:   {"D29", "D44", "D45", "D46", "D47"},
	shellSettings: {"D05", "D06"},
	logins:        {"D40", "D41", "D42", "D43"},
	ciSettingsOf:  {"D61", "D62", "D63"},
	workFiles:     {"D09", "D70", "D71", "D72", "D73", "D74", "D75", "D76", "D77"},
}

// note remembers what was not read in time.
func (m *Machine) note(what string, read bool) {
	if !read {
		m.unread = append(m.unread, what)
	}
}

// late says why a check cannot be made, "" if it can.
func (m *Machine) late(id string) string {
	if m == nil {
		return ""
	}
	for _, what := range m.unread {
		if slices.Contains(judged[what], id) {
			return what + " could not be read in time"
		}
	}
	return ""
}

// lingering returns a channel that is closed a little after ctx has ended.
func lingering(ctx context.Context) (over <-chan struct{}, stop func()) {
	late, cancel := context.WithCancel(context.WithoutCancel(ctx))
	undo := context.AfterFunc(ctx, func() { time.AfterFunc(linger, cancel) })
	return late.Done(), func() {
		undo()
		cancel()
	}
}

// begin reads beside others. Nobody has to wait for what it returns.
func begin[T any](read func() T) <-chan T {
	c := make(chan T, 1)
	go func() { c <- read() }()
	return c
}

// await waits for what was begun until it is over, and reports whether it came.
func await[T any](over <-chan struct{}, c <-chan T, into *T) bool {
	select {
	case *into = <-c:
		return true
	default:
	}
	select {
	case *into = <-c:
		return true
	case <-over:
		return false
	}
}
