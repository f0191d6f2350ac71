package pool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sync/atomic"
	"time"

	"github.com/org/goproxy-setup/internal/agent/store"
	"github.com/org/goproxy-setup/internal/agent/upstream"
	"github.com/org/goproxy-setup/internal/checksum"
	"github.com/org/goproxy-setup/internal/decision"
	"github.com/org/goproxy-setup/internal/modproxy"
)

// A transfer that was cut is continued if it had at least minBegun bytes. The
// last overlap bytes are read again: where they differ, the proxies have packed
// the file differently.
const (
	minBegun = 256 << 10
	overlap  = 64 << 10
)

// A part is the beginning of a file.
type part struct {
	spool  *store.Spool
	size   int64  // of the whole file, -1 if it was not told
	target int    // who sent the last of it
	pure   bool   // all of it is from target
	etag   string // that target gave it
}

// maxReason bounds what is told of bytes that were refused: it may name any
// number of files.
const maxReason = 500

// An attempt is one request to one proxy.
type attempt struct {
	target  int
	hedge   bool
	force   bool // ask although the proxy seems dead
	begun   *part
	beside  *part // what an attempt that goes on has received
	cancel  context.CancelFunc
	started time.Time
	excused time.Duration        // since started: its silence before that had its hedge
	heard   atomic.Int64         // when the last byte came, in nanoseconds since started; 0 is never
	whole   atomic.Bool          // all bytes are here and being judged
	body    atomic.Pointer[part] // what it is receiving

	// Set when it ends.
	spool   *store.Spool // if it served the file
	meta    store.Meta
	outcome Outcome
	cut     *part // if it served the beginning
	unused  *part // begun, if this proxy could not continue it
	local   error
}

// idle returns since when nothing came.
func (a *attempt) idle() time.Duration {
	if a.whole.Load() {
		return 0
	}
	return time.Since(a.started) - max(a.excused, time.Duration(a.heard.Load()))
}

// discard forgets a beginning, if there is one.
func (b *part) discard() {
	if b != nil {
		b.spool.Discard()
	}
}

// keep keeps the longest beginning.
func (rc *race) keep(b *part) {
	switch {
	case b == nil:
	case rc.begun != nil && rc.begun.spool.Size() >= b.spool.Size():
		b.discard()
	default:
		rc.begun.discard()
		rc.begun = b
	}
}

// ask starts an attempt.
func (rc *race) ask(i int, hedge bool) {
	ctx, cancel := context.WithCancel(rc.ctx)
	a := &attempt{target: i, hedge: hedge, force: rc.sides[i].force, cancel: cancel, started: time.Now(), outcome: rc.outcomes[i]}
	a.outcome.Class, a.outcome.Detail = "", ""
	if hedge {
		a.beside = rc.longest()
	} else {
		a.begun, rc.begun = rc.begun, nil
	}
	rc.sides[i].state = running
	rc.running = append(rc.running, a)
	go func() {
		defer cancel()
		rc.attempt(ctx, a)
		a.outcome.Took = time.Since(a.started)
		rc.ended <- a
	}()
}

// longest returns the longest beginning that is being received, nil if none is
// worth it.
func (rc *race) longest() (b *part) {
	size := int64(minBegun - 1)
	for _, a := range rc.running {
		if p := a.body.Load(); p != nil && p.spool.Size() > size {
			b, size = p, p.spool.Size()
		}
	}
	return b
}

// copyOf returns a copy of what another attempt has received so far, nil if
// there is not enough any more.
func (rc *race) copyOf(b *part) *part {
	spool, err := rc.p.store.Spool()
	if err != nil {
		return nil
	}
	_, err = io.Copy(spool, io.NewSectionReader(b.spool, 0, b.spool.Size()))
	if err != nil || spool.Size() < minBegun {
		spool.Discard()
		return nil
	}
	return &part{spool: spool, size: b.size, target: b.target}
}

// errSplice means that the beginning and the rest do not fit together: nobody's
// fault, and no reason not to take all of it from one proxy.
var errSplice = errors.New("the parts do not fit together")

// attempt asks one proxy and judges what it sends.
func (rc *race) attempt(ctx context.Context, a *attempt) {
	if a.beside != nil && rc.r.Vouched != nil && rc.r.Vouched(ctx) {
		a.begun = rc.copyOf(a.beside)
	}
	switch b := a.begun; {
	case b == nil:
	case !rc.mayContinue(ctx, a):
		a.unused = b
	case rc.fetch(ctx, a, b.spool, b) != errSplice:
		return
	default:
		rc.p.log.Info("parts do not fit together", "file", rc.r.Key, "proxy", rc.r.Targets[a.target].Name)
	}
	spool, err := rc.p.store.Spool()
	if err != nil {
		a.local = err
		return
	}
	rc.fetch(ctx, a, spool, nil)
}

// mayContinue reports whether the beginning may be continued by this proxy:
// with other bytes than the same proxy's own only if the whole is judged by a
// hash that somebody vouches for.
func (rc *race) mayContinue(ctx context.Context, a *attempt) bool {
	b := a.begun
	return b.pure && b.target == a.target && b.etag != "" || rc.r.Vouched != nil && rc.r.Vouched(ctx)
}

// fetch reads the file, or the rest of b, into spool, and judges it. An error
// that is errSplice is not the proxy's.
func (rc *race) fetch(ctx context.Context, a *attempt, spool *store.Spool, b *part) error {
	t := rc.r.Targets[a.target]
	kept := false
	defer func() {
		if !kept {
			spool.Discard()
		}
	}()
	var resume modproxy.Resume
	if b != nil {
		resume.From, resume.Size = spool.Size()-overlap, b.size
		if b.pure && b.target == a.target {
			resume.ETag = b.etag
		}
	}
	answer, done, failure := t.Resume(ctx, t.Path, resume, a.force)
	if failure != nil {
		if failure.Class == upstream.Unfit {
			return errSplice
		}
		a.fail(failure)
		kept = rc.cutOff(a, spool, b, answer)
		return nil
	}
	failure, err := rc.receive(ctx, a, answer, spool, b)
	answer.Body.Close()
	switch {
	case a.local != nil, err != nil:
		done(&upstream.Failure{Class: decision.Cancelled})
		return err
	case failure != nil:
		done(failure)
		a.fail(failure)
		kept = rc.cutOff(a, spool, b, answer)
		return nil
	}
	done(nil)
	a.spool, kept = spool, true
	return nil
}

// cutOff keeps the beginning of a file for the next attempt, if it is worth it.
func (rc *race) cutOff(a *attempt, spool *store.Spool, b *part, answer *upstream.Answer) bool {
	if a.outcome.Class == decision.WrongContent || spool.Size() < minBegun {
		return false
	}
	if answer == nil { // nothing has come
		a.cut = b
		return b != nil
	}
	a.cut = &part{spool: spool, size: answer.Size, target: a.target, pure: answer.From == 0, etag: answer.ETag}
	if b != nil && answer.From > 0 {
		a.cut.pure = b.pure && b.target == a.target
	}
	return true
}

// receive spools the body and judges the file. An error is errSplice.
func (rc *race) receive(ctx context.Context, a *attempt, answer *upstream.Answer, spool *store.Spool, b *part) (*upstream.Failure, error) {
	t := rc.r.Targets[a.target]
	tooLarge := &upstream.Failure{Upstream: t.Name, Class: decision.WrongContent, Detail: fmt.Sprintf("more than %d bytes", rc.r.Limit)}
	if answer.Size > rc.r.Limit {
		return tooLarge, nil
	}
	spliced := b != nil && answer.From > 0
	failure, err := rc.join(a, answer, spool, b)
	if failure != nil || err != nil || a.local != nil {
		return failure, err
	}
	a.body.Store(&part{spool: spool, size: answer.Size, target: a.target})
	n, err := io.Copy(&listener{spool, a}, io.LimitReader(answer.Body, rc.r.Limit+1-spool.Size()))
	if err != nil {
		if f, ok := upstream.IsFailure(err); ok {
			return f, nil
		}
		a.local = err
		return nil, nil
	}
	if n = spool.Size(); n > rc.r.Limit {
		return tooLarge, nil
	}
	a.whole.Store(true)
	meta, err := rc.r.Accept(ctx, Body{spool, n, answer.Framed, spool.Path()})
	switch {
	case err == nil:
		a.meta = meta
		a.meta.Source, a.meta.Origin = t.Name, t.Origin()
		return nil, nil
	case ctx.Err() != nil:
		return &upstream.Failure{Upstream: t.Name, Class: decision.Cancelled, Detail: "given up"}, nil
	case spliced:
		a.whole.Store(false)
		return nil, errSplice
	}
	if local, ok := errors.AsType[*fs.PathError](err); ok { // of the spool, or of the store
		a.local = local
		return nil, nil
	}
	reason := modproxy.Cut(err.Error(), maxReason)
	if errors.Is(err, ErrNext) {
		return &upstream.Failure{Upstream: t.Name, Class: upstream.Unfit, Detail: reason}, nil
	}
	_, a.outcome.Mismatch = errors.AsType[*checksum.MismatchError](err)
	rc.p.store.Quarantine(rc.r.Key, t.Name, reason)
	rc.p.log.Warn("wrong bytes refused", "file", rc.r.Key, "proxy", t.Name, "cause", reason)
	return &upstream.Failure{Upstream: t.Name, Class: decision.WrongContent, Detail: reason}, nil
}

// join reads the overlap of the beginning and the rest, or empties the spool if
// the whole file comes.
func (rc *race) join(a *attempt, answer *upstream.Answer, spool *store.Spool, b *part) (*upstream.Failure, error) {
	if b == nil {
		return nil, nil
	}
	if answer.From == 0 {
		a.local = spool.Rewind()
		return nil, nil
	}
	again, have := make([]byte, overlap), make([]byte, overlap)
	if _, err := io.ReadFull(answer.Body, again); err != nil {
		if f, ok := upstream.IsFailure(err); ok {
			return f, nil
		}
		return nil, errSplice
	}
	if _, err := spool.ReadAt(have, answer.From); err != nil {
		a.local = err
		return nil, nil
	}
	if !bytes.Equal(again, have) {
		return nil, errSplice
	}
	rc.p.count(func(s *Stats) { s.Resumed++ })
	return nil, nil
}

func (a *attempt) fail(f *upstream.Failure) {
	o := &a.outcome
	o.Class, o.Status, o.Detail, o.Next, o.RetryAfter = f.Class, f.Status, f.Detail, f.Next, f.RetryAfter
}

// A listener spools what comes, and notes that it came.
type listener struct {
	*store.Spool
	a *attempt
}

func (l *listener) Write(p []byte) (int, error) {
	l.a.heard.Store(max(1, int64(time.Since(l.a.started))))
	return l.Spool.Write(p)
}
