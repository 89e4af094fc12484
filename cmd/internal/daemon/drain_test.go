package daemon

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"ftpfs/cache"
	"ftpfs/cmd/internal/control"
)

// slowTree owes files that move as the test says.
type slowTree struct {
	mu     sync.Mutex
	status cache.Status
	step   time.Duration // a report each
	move   func(n int) cache.Progress
	fail   error
}

func (t *slowTree) Status() cache.Status {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.status
}
func (t *slowTree) Retry(string) (int, error)           { return 0, nil }
func (t *slowTree) Discard(string) (int, string, error) { return 0, "", nil }
func (t *slowTree) LookNow(context.Context)             {}
func (t *slowTree) Close(context.Context) error         { return nil }

func (t *slowTree) Drain(ctx context.Context, report func(cache.Progress)) (cache.Outcome, error) {
	return t.Sync(ctx, "/", report)
}

func (t *slowTree) Sync(ctx context.Context, _ string, report func(cache.Progress)) (cache.Outcome, error) {
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return cache.StillOwed, ctx.Err()
		case <-time.After(t.step):
		}
		if t.fail != nil {
			return cache.StillOwed, t.fail
		}
		p := t.move(n)
		report(p)
		if p.Files == p.FilesDone {
			return cache.AllThere, nil
		}
	}
}

func TestDrain(t *testing.T) {
	moving := func(n int) cache.Progress { return cache.Progress{Files: 1, Bytes: 1e6, BytesDone: int64(n)} }
	stuck := func(n int) cache.Progress { return cache.Progress{Files: 1, Bytes: 10, BytesDone: int64(min(n, 5))} }
	done := func(n int) cache.Progress {
		return cache.Progress{Files: 3, FilesDone: min(n, 3), Bytes: 3, BytesDone: 3}
	}
	for _, c := range []struct {
		name    string
		move    func(int) cache.Progress
		b       bounds
		outcome control.Outcome
		gaveUp  error
		took    time.Duration
	}{
		{"all sent", done, bounds{stall: time.Minute}, control.AllThere, nil, 3 * time.Second},
		{"stalls after five reports", stuck, bounds{stall: 10 * time.Second}, control.StillOwed, errStall, 15 * time.Second},
		{"moves on, and is not a stall", moving, bounds{stall: 2 * time.Second, limit: time.Hour}, control.StillOwed, errLimit, time.Hour},
		{"a limit", moving, bounds{limit: 7 * time.Second}, control.StillOwed, errLimit, 7 * time.Second},
		{"no waiting", moving, bounds{limit: -1, stall: time.Minute}, control.StillOwed, errLimit, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tree := &slowTree{step: time.Second, move: c.move}
				start := time.Now()
				s, err := drain(t.Context(), tree, "/", c.b, nil)
				if err != nil || s.Outcome != c.outcome {
					t.Errorf("got %+v, %v; want %s", s, err, c.outcome)
				}
				if want := ""; c.gaveUp != nil && s.GaveUp != c.gaveUp.Error() || c.gaveUp == nil && s.GaveUp != want {
					t.Errorf("gave up because %q, want %v", s.GaveUp, c.gaveUp)
				}
				if took := time.Since(start); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
			})
		})
	}
}

func TestDrainEndsWithItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := &slowTree{step: time.Second, move: func(int) cache.Progress { return cache.Progress{Files: 1} }}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if s, err := drain(ctx, tree, "/", bounds{stall: time.Hour}, nil); err == nil {
			t.Errorf("a client that went away got %+v", s)
		}
	})
}

func TestDrainPassesTheTreesErrorOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		no := errors.New("no such file")
		if _, err := drain(t.Context(), &slowTree{step: time.Second, fail: no}, "/x", bounds{stall: time.Hour}, nil); err != no {
			t.Errorf("got %v", err)
		}
	})
}

func TestDrainCountsOnlyWhatWasAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tree := &slowTree{step: time.Second, status: cache.Status{OwedFiles: 100, OwedBytes: 1000, Parked: 7},
			move: func(int) cache.Progress { return cache.Progress{Files: 2, Bytes: 50, BytesDone: 20} }}
		s, err := drain(t.Context(), tree, "/a", bounds{limit: 5 * time.Second}, nil)
		if err != nil || s.Owed != 2 || s.OwedBytes != 30 || s.Parked != 0 {
			t.Errorf("below /a: %+v, %v; want 2 files, 30 bytes, none parked", s, err)
		}
	})
}

func TestSettledNow(t *testing.T) {
	for _, c := range []struct {
		owed, parked int
		want         control.Outcome
	}{{0, 0, control.AllThere}, {1, 0, control.StillOwed}, {0, 1, control.SomeParked}, {1, 1, control.StillOwed}} {
		if got := settledNow(cache.Status{OwedFiles: c.owed, Parked: c.parked}); got.Outcome != c.want {
			t.Errorf("%d owed, %d parked: %s, want %s", c.owed, c.parked, got.Outcome, c.want)
		}
	}
}
