package cache

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"ftpfs/cache/remote"
)

// schedule makes f due for publication after delay.
func (t *Tree) schedule(f *File, delay time.Duration) { t.queue.Schedule(f, time.Now().Add(delay)) }

// job is one run of the queue for one file.
func (t *Tree) job(ctx context.Context, f *File) {
	if t.wait(ctx, "publish", nil) != nil {
		return
	}
	t.mu.Lock()
	skip := !f.owed || f.node.removed || f.parked != nil || f.interrupted || f.writers > 0 && !f.hurry
	t.mu.Unlock()
	if skip {
		return // clean, or waiting for its writers or for a person
	}
	err := t.publish(ctx, f)
	if ctx.Err() != nil {
		return
	}
	t.mu.Lock()
	again := f.owed && err == nil && (f.writers == 0 || f.hurry)
	delay := t.cfg.PublishDelay
	if f.hurry {
		delay = 0
	}
	t.mu.Unlock()
	switch {
	case err == nil && again, errors.Is(err, errOvertaken):
		t.schedule(f, delay)
	case err != nil:
		t.uploadFailed(f, err)
	}
}

// errOvertaken: the file changed, moved or went away while it was being sent.
var errOvertaken = errors.New("changed meanwhile")

// uploadFailed parks what was refused for good and tries the rest again, for ever.
func (t *Tree) uploadFailed(f *File, err error) {
	verdict := remote.KindOf(err).Verdict()
	var parked *parkError
	if errors.As(err, &parked) {
		verdict = remote.Park
	}
	t.mu.Lock()
	if !f.owed {
		t.mu.Unlock()
		return
	}
	f.attempts++
	f.failed, f.hurry = err, false
	path, attempts := f.node.pathLocked(), f.attempts
	if verdict == remote.Park {
		f.parked = err
	}
	t.changedLocked()
	t.mu.Unlock()
	if verdict == remote.Park {
		t.cfg.Log.Error("the server refuses a file; it is kept, see ftpfs status, and settle it with ftpfs retry or ftpfs discard", "path", path, "err", err)
	} else {
		wait := backoff(attempts)
		t.cfg.Log.Warn("upload failed; it will be tried again", "path", path, "attempt", attempts, "in", wait.Round(time.Second), "err", err)
		t.schedule(f, wait)
	}
	f.rec.Lock()
	defer f.rec.Unlock()
	t.mu.Lock()
	open := f.savedOpen
	t.mu.Unlock()
	if err := f.save(open, false); err != nil {
		t.cfg.Log.Warn("cannot note a failed upload in the spool", "path", path, "err", err)
	}
}

// backoff before attempt n+1: from two seconds to five minutes, with jitter.
func backoff(n int) time.Duration {
	d := 5 * time.Minute
	if n < 8 {
		d = 2 * time.Second << (n - 1)
	}
	return d*3/4 + rand.N(d/2)
}

// parkError is a failure that waiting does not mend, whatever its kind.
type parkError struct{ err error }

func (e *parkError) Error() string { return e.err.Error() }
func (e *parkError) Unwrap() error { return e.err }

// publishNow publishes f as it stands and waits until so many changes of it are on the
// server. The first failure is the caller's answer; the upload is tried again all
// the same.
func (t *Tree) publishNow(ctx context.Context, f *File, changes uint64) error {
	t.mu.Lock()
	f.hurry = true
	f.failed = nil
	t.mu.Unlock()
	t.schedule(f, 0)
	for {
		t.mu.Lock()
		changed := t.changed
		done := !f.owed || f.published >= changes
		err := f.lastErrorLocked()
		if err == nil && f.interrupted {
			err = &remote.Error{Op: "publish", Path: f.node.pathLocked(), Kind: remote.Temporary,
				Text: "it was cut off when the daemon ended, and waits for ftpfs retry or ftpfs discard"}
		}
		t.mu.Unlock()
		switch {
		case done:
			return nil
		case err != nil:
			return err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return canceled("publish", f.node, ctx)
		case <-t.ctx.Done():
			return errClosing("publish", f.node)
		}
	}
}
