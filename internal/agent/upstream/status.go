package upstream

import (
	"maps"
	"time"

	"github.com/org/goproxy-setup/internal/decision"
)

// Status is what is known of a proxy, for people and meters.
type Status struct {
	State    State
	Ready    bool                     // a request that is not forced would be sent
	Classes  map[decision.Class]int64 // finished requests; "" are files that were served
	Bytes    int64                    // of bodies
	InFlight int                      // requests on their way
	Limit    int                      // of InFlight
	P95      time.Duration            // to the first byte of any file; 0 is unknown
	P99      time.Duration            // of .info and .mod files within the last minute; 0 is unknown
	Paused   time.Duration            // that the proxy asked for and are left
	Checks   int64                    // active checks made
	Last     string                   // the last failure, "" if there was none

	Addresses []Address // of the proxy's host, in the resolver's order
}

// An Address is one of a proxy's.
type Address struct {
	Addr   string // IP:port
	Failed bool   // a while ago, so that the others are asked first
	Conns  int    // that stand
}

// Status returns what is known now.
func (u *Upstream) Status() Status {
	s := Status{
		State: u.State(), Ready: u.Ready(), Bytes: u.bytes.Load(),
		InFlight: len(u.slots), Limit: cap(u.slots),
		Paused: max(0, u.pauseLeft()), Addresses: u.net.base.status(),
	}
	if d, ok := u.P95(); ok {
		s.P95 = d
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	if d, n := u.small.percentile(99, smallWindow); n >= enoughSmall {
		s.P99 = d
	}
	s.Classes, s.Last, s.Checks = maps.Clone(u.classes), u.last, u.checks
	return s
}

func (s *names) status() []Address {
	s.mu.Lock()
	list := s.list
	s.mu.Unlock()
	addrs := make([]Address, len(list))
	for i, l := range list {
		failed, _, _ := l.rank()
		addrs[i] = Address{l.addr.String(), failed, l.standing()}
	}
	return addrs
}
