package cache

import (
	"time"

	"ftpfs/cache/remote"
)

// A large file is not uploaded after it was written but while it is: one that was
// written front to back so far, and of which the server has nothing that must be
// joined to it. The upload follows the writer (feed.go), gives its connection back
// when the writer pauses, and goes on by its offset later. When what was sent is
// written over, it begins again after the last close.

// earlyStep is how much must have been written, since the last time, for an upload to be
// worth beginning or going on with while the file is open.
const earlyStep = 4 << 20

// followLocked has an upload follow the writer, when enough was written.
func (t *Tree) followLocked(f *File) {
	if f.ship != nil || f.late || f.writers == 0 || f.cur == nil || time.Now().Before(f.retryAt) {
		return
	}
	c := f.cur
	c.mu.Lock()
	front, ours := c.frontLocked(), c.ours
	worth := front-max(c.claimed, f.triedAt) >= t.cfg.earlyStep
	c.mu.Unlock()
	if !ours || !worth {
		return
	}
	f.triedAt = front
	t.schedule(f, 0)
}

// mayFollowLocked says whether an upload may follow f's writer now. One of the uploads
// at once is left to files that are closed, unless a writer could not go on then.
func (f *File) mayFollowLocked() bool {
	t, c := f.node.tree, f.cur
	c.mu.Lock()
	able := c.ours && !c.stale
	fresh := c.frontLocked() - c.claimed
	c.mu.Unlock()
	switch {
	case !able:
		return false
	case f.squeezed:
		return true
	}
	return !f.late && fresh >= t.cfg.earlyStep && t.early < max(1, t.uploads()-1)
}

// Files that stay open and dirty, or are closed and opened again all the time, are
// published as they stand after MaxDirtyAge, and again not before that has passed
// once more, nor before ten times what the last publication took.

// ageLocked has f looked at when that is due. Where somebody waits for f that is now.
func (t *Tree) ageLocked(f *File) {
	switch at := f.snapshotAtLocked(); {
	case f.ship != nil || f.writers == 0:
	case f.hurryLocked():
		t.schedule(f, 0)
	case !at.IsZero():
		t.queue.Schedule(f, at)
	}
}

// snapshotAtLocked is when f is to be published as it stands; zero: never.
func (f *File) snapshotAtLocked() time.Time {
	age := f.node.tree.cfg.MaxDirtyAge
	if age <= 0 || f.dirtyAt.IsZero() {
		return time.Time{}
	}
	at := f.dirtyAt.Add(age)
	if !f.shippedAt.IsZero() {
		if next := f.shippedAt.Add(max(age, 10*f.shipTook)); next.After(at) {
			at = next
		}
	}
	return at
}

func (f *File) agedLocked(now time.Time) bool {
	at := f.snapshotAtLocked()
	return !at.IsZero() && !now.Before(at)
}

// asItStandsLocked says that what is sent now is to stay valid whatever is written
// meanwhile: a state of the file of its own.
func (f *File) asItStandsLocked() bool {
	return !f.throughLocked() && (f.writers > 0 || f.hurryLocked() || f.agedLocked(time.Now()))
}

// closedLocked is called when f's last writer has closed.
func (t *Tree) closedLocked(f *File, now time.Time) {
	f.closedAt, f.late, f.triedAt = now, false, 0
	f.short.Store(f.size <= remote.Short)
	if s := f.ship; s != nil && s.feed != nil && !s.decided {
		s.decideLocked(f.asItStandsLocked())
	}
	delay := t.closedDelayLocked(f, now)
	if wait := time.Until(f.retryAt); wait > delay && f.failed != nil && !f.hurryLocked() {
		delay = wait
	}
	t.schedule(f, delay)
	t.makeWayLocked(f)
}

// makeWayLocked lets f, which was closed, go before uploads that follow writers, where
// there is one upload at a time.
func (t *Tree) makeWayLocked(f *File) {
	if t.early == 0 || t.uploads() > 1 {
		return
	}
	for o := range t.owed {
		if s := o.ship; o != f && s != nil && s.early && s.feed != nil {
			s.feed.pause()
		}
	}
}
