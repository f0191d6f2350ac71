//go:build linux

package lab

import (
	"fmt"
	"strings"
)

// A Fault is what the first upstream does wrong.
type Fault struct {
	Name  string
	Fault string // as proxytest spells it, one fault; "" is none
}

// Healthy is no fault.
var Healthy = Fault{Name: "healthy"}

// Faults are those that every contender meets.
var Faults = []Fault{
	{"refused", "vanish"},
	{"reset", "reset"},
	{"500", "500"},
	{"403", "403"},
	{"hang after accept", "silent"},
	{"stall mid-body", "stall"},
	{"30 % random 503", "flaky=30"},
	{"truncated zip, wrong length", "zip:cut"},
	{"truncated zip, length of the rest", "zip:short"},
	{"truncated zip, no length", "zip:cut-silent"},
	{"corrupted zip", "zip:corrupt-zip"},
	{"valid zip with other content", "zip:wrong-bytes"},
	{"wrong .info", "info:wrong-info"},
	{"captive HTML", "html"},
	{"2 s latency", "slow=2s"},
}

// Whereabouts of a fault's beginning.
const (
	FromStart  = "start"
	FromMiddle = "middle" // when half of the healthy run's requests that it is for are answered
)

// kind returns the kind of files that the fault is for, "" if for all.
func (f Fault) kind() string {
	kind, _, ok := strings.Cut(f.Fault, ":")
	if !ok {
		return ""
	}
	return kind
}

// at returns the fault for [proxytest.Server.SetFault], so that it begins after
// n requests of its kind.
func (f Fault) at(n int) string {
	return fmt.Sprintf("%s@%d", f.Fault, n)
}

// middle returns how many requests a fault from the middle spares, after what
// the first upstream was asked for in a healthy run.
func (f Fault) middle(healthy Run) int {
	n := 0
	for _, path := range healthy.asked {
		if f.kind() == "" || strings.HasSuffix(path, "."+f.kind()) {
			n++
		}
	}
	return n / 2
}
