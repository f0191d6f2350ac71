package bench

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// A Load is what each proxy is asked for, and how fast.
type Load struct {
	Requests    int           `json:"requests,omitempty"` // for each proxy; 0 is no bound
	Concurrency int           `json:"concurrency"`        // requests at a time, and so connections
	Rate        float64       `json:"rate,omitempty"`     // requests each second, due whatever came of the ones before; 0 is as fast as answers come
	Duration    time.Duration `json:"duration,omitempty"` // for each proxy; 0 is no bound
	Timeout     time.Duration `json:"timeout"`            // for one request
	WarmUp      int           `json:"warm_up"`            // requests before those that count; -1 is enough for each file and each connection
}

// Bounds of a load.
const (
	MaxRequests    = 10_000_000
	MaxConcurrency = 1000
	MaxRate        = 100_000
	MaxDuration    = 24 * time.Hour
	MaxTimeout     = 10 * time.Minute
)

// How many requests a load has if nobody says it.
const (
	defaultRequests = 1000
	politeDefault   = 60
)

// DefaultLoad is the load if nobody says otherwise.
func DefaultLoad() Load {
	return Load{Concurrency: 10, Timeout: 5 * time.Second, WarmUp: -1}
}

// A Preset is a load with a name.
type Preset struct {
	Name, Text string
	Load       Load
}

// Presets returns the loads that have a name.
func Presets() []Preset {
	return []Preset{{"burst", "2000 requests over 100 connections, 5s for each", Load{Requests: 2000, Concurrency: 100, Timeout: 5 * time.Second, WarmUp: -1}}}
}

// What a public service is asked at most, by one run.
const (
	politeRate     = 2 // requests each second
	politeInFlight = 4
	politeRequests = 200
)

// polite returns the load that is left of l for public services: every proxy
// has the same, since they could not be compared otherwise. Up to same proxies
// are on one host and share what it is asked; spent requests to it are
// needed for other things. notes say what was made less.
func (l Load) polite(same, spent int) (_ Load, notes []string) {
	lower := func(what string, was, is float64) {
		if was > is {
			notes = append(notes, fmt.Sprintf("%s %g instead of %g", what, is, was))
		}
	}
	rate := politeRate / float64(same)
	if lower("requests a second", l.Rate, rate); l.Rate == 0 || l.Rate > rate {
		l.Rate = rate
	}
	inFlight := max(politeInFlight/same, 1)
	lower("requests at a time", float64(l.Concurrency), float64(inFlight))
	l.Concurrency = min(l.Concurrency, inFlight)
	l.WarmUp = 0 // the checks have warmed everything up
	most := max(politeRequests/same-spent, 1)
	if l.Requests > most {
		lower("requests", float64(l.Requests), float64(most))
	}
	if l.Requests == 0 || l.Requests > most {
		l.Requests = most
	}
	return l, notes
}

// rounds is how often the proxies take turns: five times, or less often if a
// turn would not even use every connection twice.
func (l Load) rounds() int {
	const most = 5
	if l.Requests == 0 {
		return most
	}
	return min(max(l.Requests/(2*l.Concurrency), 1), most)
}

// turns returns how many requests each round has, 0 for no bound.
func (l Load) turns() []int {
	list := make([]int, l.rounds())
	for i := range list {
		list[i] = l.Requests*(i+1)/len(list) - l.Requests*i/len(list)
	}
	return list
}

// interval is the time between two requests to one proxy, 0 if they are as
// fast as answers come.
func (l Load) interval() time.Duration {
	if l.Rate == 0 {
		return 0
	}
	return time.Duration(float64(time.Second) / l.Rate)
}

// turnOrder returns the order of n proxies in a round: every other one goes
// backwards, and every second time another proxy begins, so that nobody is
// always first or follows always the same neighbour.
func turnOrder(n, round int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = (i + round/2) % n
	}
	if round%2 == 1 {
		slices.Reverse(list)
	}
	return list
}

// text says in a few words what the load is.
func (l Load) text() string {
	s := "requests to each proxy"
	if l.Requests > 0 {
		s = fmt.Sprintf("%d %s", l.Requests, s)
	}
	if l.Duration > 0 {
		s += fmt.Sprintf(" within %s", l.Duration)
	}
	if l.Rate > 0 {
		s += fmt.Sprintf(", %g a second", l.Rate)
	}
	return s + fmt.Sprintf(", at most %d at a time, %s for each", l.Concurrency, l.Timeout)
}

// MarshalJSON writes times as people give them: "5s".
func (l Load) MarshalJSON() ([]byte, error) {
	type plain Load
	text := struct {
		plain
		Duration string `json:"duration,omitempty"`
		Timeout  string `json:"timeout"`
	}{plain: plain(l), Timeout: l.Timeout.String()}
	if l.Duration > 0 {
		text.Duration = l.Duration.String()
	}
	return json.Marshal(text)
}
