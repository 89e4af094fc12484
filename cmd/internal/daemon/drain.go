package daemon

import (
	"context"
	"errors"
	"sync"
	"time"

	"ftpfs/cache"
	"ftpfs/cmd/internal/control"
)

// Tree is what the daemon asks of a cache.Tree.
type Tree interface {
	Status() cache.Status
	Sync(ctx context.Context, path string, report func(cache.Progress)) (cache.Outcome, error)
	Drain(ctx context.Context, report func(cache.Progress)) (cache.Outcome, error)
	Retry(path string) (int, error)
	Discard(path string) (int, string, error)
	LookNow(ctx context.Context)
	Close(ctx context.Context) error
}

// bounds of one waiting for uploads. Zero is no bound.
type bounds struct {
	limit time.Duration // in all; negative: do not wait at all
	stall time.Duration // without a byte or file more
}

var (
	errStall = errors.New("nothing moved")
	errLimit = errors.New("the time was up")
)

// drain waits until what is owed below path is on the server, within bounds or
// until ctx ends. report (may be nil) sees the progress. The error is ctx's, or the
// tree's own; to have given up is not one, and stands in Settled.GaveUp.
func drain(ctx context.Context, t Tree, path string, b bounds, report func(cache.Progress)) (control.Settled, error) {
	return await(ctx, t, path == "/", b, report, func(ctx context.Context, report func(cache.Progress)) (cache.Outcome, error) {
		return t.Sync(ctx, path, report)
	})
}

// drainClosed is drain of everything but what programs have open for writing.
func drainClosed(ctx context.Context, t Tree, b bounds, report func(cache.Progress)) (control.Settled, error) {
	return await(ctx, t, true, b, report, t.Drain)
}

// waiter is Sync or Drain of a tree.
type waiter func(ctx context.Context, report func(cache.Progress)) (cache.Outcome, error)

func await(ctx context.Context, t Tree, whole bool, b bounds, report func(cache.Progress), wait waiter) (control.Settled, error) {
	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if b.limit < 0 {
		cancel(errLimit)
	} else if b.limit > 0 {
		defer time.AfterFunc(b.limit, func() { cancel(errLimit) }).Stop()
	}
	var stall *time.Timer
	if b.stall > 0 {
		stall = time.AfterFunc(b.stall, func() { cancel(errStall) })
		defer stall.Stop()
	}
	var mu sync.Mutex // report may come late, from the tree's goroutine
	var last cache.Progress
	outcome, err := wait(inner, func(p cache.Progress) {
		mu.Lock()
		moved := p.FilesDone > last.FilesDone || p.BytesDone > last.BytesDone
		last = p
		mu.Unlock()
		if moved && stall != nil {
			stall.Reset(b.stall)
		}
		if report != nil {
			report(p)
		}
	})
	mu.Lock()
	defer mu.Unlock()
	s := settled(t, outcome)
	if !whole { // the status is of the whole
		s.Parked, s.Open = last.Parked, 0
		s.Owed = max(last.Files-last.FilesDone-last.Parked, 0)
		s.OwedBytes = max(last.Bytes-last.BytesDone, 0)
	}
	s.Files, s.Bytes = last.FilesDone, last.BytesDone
	switch cause := context.Cause(inner); {
	case ctx.Err() != nil:
		return s, ctx.Err()
	case errors.Is(cause, errStall), errors.Is(cause, errLimit):
		if s.Outcome == control.AllThere && s.Owed > 0 {
			s.Outcome = control.StillOwed
		}
		if s.Outcome != control.AllThere {
			s.GaveUp = cause.Error()
		}
		return s, nil
	}
	return s, err
}

func settled(t Tree, o cache.Outcome) control.Settled {
	st := t.Status()
	return control.Settled{
		Outcome: control.OutcomeOf(o), Owed: st.OwedFiles, OwedBytes: st.OwedBytes, Open: st.Open, Parked: st.Parked,
		Online: st.Online, LastError: st.LastError, SpoolDir: st.SpoolDir,
	}
}

// settledNow judges by the status alone, after a tree was closed.
func settledNow(st cache.Status) control.Settled {
	s := control.Settled{Outcome: control.AllThere, Owed: st.OwedFiles, OwedBytes: st.OwedBytes, Open: st.Open, Parked: st.Parked,
		Online: st.Online, LastError: st.LastError, SpoolDir: st.SpoolDir}
	switch {
	case st.OwedFiles > 0:
		s.Outcome = control.StillOwed
	case st.Parked > 0:
		s.Outcome = control.SomeParked
	}
	return s
}
