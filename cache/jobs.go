package cache

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"ftpfs/cache/remote"
)

// schedule makes f due for publication after delay.
func (t *Tree) schedule(f *File, delay time.Duration) { t.queue.Schedule(f, time.Now().Add(delay)) }

// kick ends the pauses after failures, and has all that is owed or unsettled looked at now.
func (t *Tree) kick() {
	t.mu.Lock()
	for f := range t.owed {
		f.retryAt = time.Time{}
	}
	for _, u := range t.unsettled {
		u.askLocked()
	}
	t.mu.Unlock()
	t.pour.waited(time.Now())
	t.queue.Kick()
}

// job is one run of the queue for one file.
func (t *Tree) job(ctx context.Context, f *File) {
	if t.wait(ctx, "publish", nil) != nil {
		return
	}
	t.mu.Lock()
	what := f.dueLocked(time.Now())
	if u := f.waitsForLocked(); what != nothing && u != nil {
		u.holdLocked(f, what == whole)
		t.mu.Unlock()
		return
	}
	if wait := time.Until(f.retryAt); what != nothing && wait > 0 && !f.hurryLocked() {
		t.schedule(f, wait) // whatever brought it here: the last failure set a pause
		t.mu.Unlock()
		return
	}
	t.mu.Unlock()
	var err error
	if what != nothing {
		err = t.publish(ctx, f, what == following)
	}
	if ctx.Err() != nil {
		return
	}
	if heldBy(err) != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		if u := f.waitsForLocked(); u != nil {
			u.holdLocked(f, what == whole)
		} else { // settled meanwhile
			t.schedule(f, 0)
		}
		return
	}
	if err != nil && !errors.Is(err, errOvertaken) && !errors.Is(err, errPaused) {
		t.uploadFailed(f, err)
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if delay, ok := f.againLocked(time.Now()); ok {
		t.schedule(f, delay)
	}
}

// The reasons to publish.
type reason int

const (
	nothing   reason = iota // clean, or waiting for its writers or for a person
	whole                   // closed, or as it stands
	following               // being written front to back
)

// dueLocked says what is to be done for f now.
func (f *File) dueLocked(now time.Time) reason {
	through := f.throughLocked()
	switch {
	case !f.owed || f.ship != nil || f.node.removed || f.parked != nil || f.interrupted || f.lost != nil || f.cur == nil:
		return nothing
	case f.writers == 0, through && f.unflushed == 0:
		return whole
	case !through && (f.hurryLocked() || f.agedLocked(now)):
		return whole
	case f.mayFollowLocked():
		return following
	}
	return nothing
}

// againLocked is nextLocked, and never at once if there is nothing to be done: what is
// missing then is an event, and looking would not end.
func (f *File) againLocked(now time.Time) (time.Duration, bool) {
	delay, ok := f.nextLocked(now)
	return delay, ok && (delay > 0 || f.dueLocked(now) != nothing)
}

// nextLocked is when f is to be looked at again, after an attempt that did not fail;
// false if an event will bring that about.
func (f *File) nextLocked(now time.Time) (time.Duration, bool) {
	t := f.node.tree
	switch {
	case !f.owed || f.parked != nil || f.interrupted || f.lost != nil:
		return 0, false
	case f.hurryLocked() && !f.throughLocked(), f.squeezed:
		return 0, true
	case f.writers == 0:
		return t.closedDelayLocked(f, now), true
	}
	at := f.snapshotAtLocked()
	return max(0, at.Sub(now)), !at.IsZero()
}

// closedDelayLocked is how long a file without writers waits for one that opens or
// renames it. Such waits do not add up for ever.
func (t *Tree) closedDelayLocked(f *File, now time.Time) time.Duration {
	delay := t.cfg.PublishDelay
	if at := f.snapshotAtLocked(); !at.IsZero() {
		delay = min(delay, max(0, at.Sub(now)))
	}
	return delay
}

// errOvertaken: the file changed, moved or went away while it was being sent.
var errOvertaken = errors.New("changed meanwhile")

// uploadFailed parks what was refused for good and tries the rest again, for ever.
func (t *Tree) uploadFailed(f *File, err error) {
	verdict := remote.KindOf(err).Verdict()
	local := fromDisk(err)
	if local {
		verdict = remote.Retry // the server has refused nothing
	}
	var parked *parkError
	if errors.As(err, &parked) {
		verdict = remote.Park
	}
	var outdated *outdatedError
	if errors.As(err, &outdated) {
		verdict = remote.Retry // it was said of what the file was before
	}
	t.mu.Lock()
	if !f.owed {
		t.mu.Unlock()
		return
	}
	if f.gen != f.judged && f.lost == nil {
		verdict = remote.Retry // written since: what there is now has not been refused
	}
	f.attempts++
	if remote.Is(err, remote.Corrupt) {
		if f.corrupt++; f.corrupt >= mostCorrupt {
			verdict, err, f.corrupt = remote.Park, f.corruptError(err), 0
		}
	}
	f.failed, f.want = err, 0
	path, attempts := f.node.pathLocked(), f.attempts
	wait := backoff(attempts)
	f.retryAt = time.Now().Add(wait)
	if verdict == remote.Park {
		f.parked = err
	}
	kind := remote.KindOf(err)
	known := t.outage[kind] // a server that is down fails each of a thousand files
	if !local && kind.Offline() {
		t.outage[kind] = true
	}
	t.changedLocked()
	t.mu.Unlock()
	if verdict == remote.Park {
		t.cfg.Log.Error("the server refuses a file; it is kept, see ftpfs status, and settle it with ftpfs retry or ftpfs discard", "path", path, "err", err)
	} else {
		if local { // of a thousand files the disk refuses each
			t.once("disk", "the disk of the spool or the cache refuses what an upload needs; all uploads are tried again", err)
		}
		level := slog.LevelWarn
		if local || known {
			level = slog.LevelDebug
		}
		t.cfg.Log.Log(context.Background(), level, "upload failed; it will be tried again", "path", path, "attempt", attempts, "in", wait.Round(time.Second), "err", err)
		t.schedule(f, wait)
	}
	f.rec.Lock()
	defer f.rec.Unlock()
	t.mu.Lock()
	open := f.savedOpen
	t.mu.Unlock()
	put := noteRecord
	if verdict == remote.Park {
		put = putRecord
	}
	defer t.rest(f)                             // it was opened to be sent
	if err := f.saveBy(open, put); err != nil { // it is tried again all the same
		t.once("note", "cannot note in the spool that an upload failed; the counts of attempts begin anew after a restart", err)
	}
}

// backoff before attempt n+1: from two seconds to five minutes, less some jitter.
func backoff(n int) time.Duration {
	d := 5 * time.Minute
	if n < 8 {
		d = 2 * time.Second << (n - 1)
	}
	return d*3/4 + rand.N(d/4)
}

// parkError is a failure that waiting does not mend, whatever its kind.
type parkError struct{ err error }

func (e *parkError) Error() string { return e.err.Error() }
func (e *parkError) Unwrap() error { return e.err }

// outdatedError is a failure of content that has been written over since: it counts and
// sets a pause as any other, but what is there now has not been refused.
type outdatedError struct{ err error }

func (e *outdatedError) Error() string { return e.err.Error() }
func (e *outdatedError) Unwrap() error { return e.err }

// publishNow publishes f as it stands and waits until so many changes of it are on the
// server. The first failure is the caller's answer; the upload is tried again all
// the same. Of a file that is not wholly here any more (through.go) an attempt that
// was cut off is not the answer yet, as long as the mount's timeout.
func (t *Tree) publishNow(ctx context.Context, f *File, changes uint64) error {
	t.mu.Lock()
	f.failed = nil
	t.hurryLocked(f, changes)
	patience := time.Now()
	if f.throughLocked() {
		patience = patience.Add(t.cfg.Timeout)
	}
	t.mu.Unlock()
	for {
		t.mu.Lock()
		changed := t.changed
		done := !f.owed || f.published >= changes
		err := f.lastErrorLocked()
		if err == nil && f.interrupted {
			err = &remote.Error{Op: "publish", Path: f.node.pathLocked(), Kind: remote.Temporary,
				Text: "it was cut off when the daemon ended, and waits for ftpfs retry or ftpfs discard"}
		}
		again := f.parked == nil && !f.interrupted
		t.mu.Unlock()
		var later <-chan time.Time
		if wait := time.Until(patience); err != nil && again && wait > 0 {
			later, err = time.After(wait), nil
		}
		switch {
		case done:
			return nil
		case err != nil:
			return err
		}
		select {
		case <-changed:
		case <-later:
		case <-ctx.Done():
			return canceled("publish", f.node, ctx)
		case <-t.ctx.Done():
			return errClosing("publish", f.node)
		}
	}
}

// hurryLocked has f published as it stands, now, until so many changes are on the server.
func (t *Tree) hurryLocked(f *File, changes uint64) {
	f.want = max(f.want, changes)
	t.pour.waited(time.Now())
	if s := f.ship; s != nil && s.feed != nil && (!f.throughLocked() || f.unflushed == 0) {
		s.decideLocked(!f.throughLocked())
		t.changedLocked() // it may wait for a rename
	}
	t.schedule(f, 0)
}

// hurryLocked says that somebody waits for f.
func (f *File) hurryLocked() bool { return f.want > f.published }
