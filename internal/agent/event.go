package agent

import (
	"time"

	"github.com/org/goproxy-setup/internal/agent/pool"
	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/modproxy"
)

// A Result is how a request ended.
type Result string

const (
	ResultHit     Result = "hit"     // from the store
	ResultFetched Result = "fetched" // from a proxy, just now
	ResultShared  Result = "shared"  // by a fetch that another request had begun
	ResultStale   Result = "stale"   // an earlier answer, since nobody could be asked
	ResultAbsent  Result = "absent"  // 404
	ResultDenied  Result = "denied"  // 403, and what is no request for a module
	ResultFailed  Result = "failed"  // any other failure
	ResultLeft    Result = "left"    // the client did not wait
)

// results are all of them.
var results = []Result{ResultHit, ResultFetched, ResultShared, ResultStale, ResultAbsent, ResultDenied, ResultFailed, ResultLeft}

// An Event is an answer to one request.
type Event struct {
	Kind     string        // "info", "mod", "zip", "list", "latest", "sumdb" or "other"
	File     modproxy.File // zero unless Kind is that of a module's file
	Result   Result
	First    string // the first proxy of the file's route; "" if there is none, or nobody was asked
	Source   string // the proxy that served the file, now or earlier; "" if none did
	Grade    store.Grade
	Outcomes []pool.Outcome // of proxies that were asked before or beside Source, or of all if none served it
	Cause    string         // why no file was sent, for people: the first line says it, others may follow
	Bytes    int64          // of the file that were sent
	Took     time.Duration
	// Ahead says that nobody had asked for the file yet. Who asks for it then is
	// told of in an event without the Outcomes of this one.
	Ahead bool
}
