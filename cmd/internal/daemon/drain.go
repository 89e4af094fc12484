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
	Retry(path string) (int, error)
	Discard(path string) (int, string, error)
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
	outcome, err := t.Sync(inner, path, func(p cache.Progress) {
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
	if path != "/" { // the status is of the whole
		s.Parked = last.Parked
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
		Outcome: control.OutcomeOf(o), Owed: st.OwedFiles, OwedBytes: st.OwedBytes, Parked: st.Parked,
		Online: st.Online, LastError: st.LastError, SpoolDir: st.SpoolDir,
	}
}

// settledNow judges by the status alone, after a tree was closed.
func settledNow(st cache.Status) control.Settled {
	s := control.Settled{Outcome: control.AllThere, Owed: st.OwedFiles, OwedBytes: st.OwedBytes, Parked: st.Parked,
		Online: st.Online, LastError: st.LastError, SpoolDir: st.SpoolDir}
	switch {
	case st.OwedFiles > 0:
		s.Outcome = control.StillOwed
	case st.Parked > 0:
		s.Outcome = control.SomeParked
	}
	return s
}
