package cache

import (
	"context"
	"fmt"
	"syscall"
	"time"

	"ftpfs/cache/remote"
)

// A file larger than the spool passes through it. When there is no room for what a
// program writes, no other file's upload is about to make some, and the file is written
// front to back, its upload follows the writer, and what the server says that it has is
// dropped here: the record without it first, then the bytes. A stretch behind is
// kept, so that a connection that is cut can be followed by another.
//
// What was dropped exists under the server's temporary name alone. It can be neither
// read nor rewritten nor synced; close waits for the server's verdict; and if the upload
// cannot go on where it ended, the file is lost, and says so. Its temporary name is
// never removed, but by a discard.

// keepBehind is the most that is kept of what the server has taken.
const keepBehind = 64 << 20

// throughLocked says that a part of f is gone. tree.mu is held.
func (f *File) throughLocked() bool {
	if f.cur == nil {
		return false
	}
	f.cur.mu.Lock()
	defer f.cur.mu.Unlock()
	return f.cur.gone > 0
}

// holdsOnlyThereLocked says that f's temporary name may hold the only copy of something.
func (f *File) holdsOnlyThereLocked() bool { return f.owed && f.throughLocked() }

// goneLocked is the error of who wants what is gone.
func (c *content) goneLocked(op string) error {
	return &throughError{op: op, path: c.file.node.lastName(), gone: c.gone}
}

// throughError: the file is larger than the spool, and something was asked of it that
// needs its beginning.
type throughError struct {
	op, path string
	gone     int64
}

func (e *throughError) Error() string {
	return fmt.Sprintf("%s %s: it is larger than the spool; its first %d bytes are on their way to the server and not here any more", e.op, e.path, e.gone)
}

func (e *throughError) Unwrap() error { return syscall.EIO }

// refusedLocked says why off cannot be written: of a file that passes through, what may
// have been sent cannot be sent again.
func (c *content) refusedLocked(off int64) error {
	if c.gone > 0 && off < c.claimed {
		return c.goneLocked("write")
	}
	return nil
}

// roomFor reserves n bytes for a write at off. It waits for uploads to make room, f's
// own among them if nothing else can.
func (t *Tree) roomFor(ctx context.Context, f *File, c *content, n, off int64) error {
	if n <= 0 || t.space.try(n) {
		return nil
	}
	t.pour.waited(time.Now())
	if !t.mayPass(f, c, off) {
		return t.space.reserve(ctx, n)
	}
	if t.othersMakeRoom(f, n) {
		if err := t.space.reserve(ctx, n); !remote.Is(err, remote.NoSpace) {
			return err
		}
	}
	return t.squeeze(ctx, f, c, n)
}

// mayPass says whether f can pass through.
func (t *Tree) mayPass(f *File, c *content, off int64) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	return f.owed && f.cur == c && !f.node.removed && c.ours && off == c.size && c.frontLocked() == c.size
}

// othersMakeRoom says whether uploads of other files are about to make room that f, if
// nothing of it is gone yet, may fit into.
func (t *Tree) othersMakeRoom(f *File, n int64) bool {
	if !t.online() {
		return false
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.reserved+n > t.space.max || f.throughLocked() {
		return false
	}
	for o := range t.owed {
		if o != f && o.reserved > 0 && o.parked == nil && !o.interrupted && o.writers == 0 && o.failed == nil {
			return true
		}
	}
	return false
}

// squeeze waits for f's own upload to make room.
func (t *Tree) squeeze(ctx context.Context, f *File, c *content, n int64) error {
	c.mu.Lock()
	c.squeezed++
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		c.squeezed--
		left := c.squeezed
		c.mu.Unlock()
		t.mu.Lock()
		f.squeezed = left > 0
		t.mu.Unlock()
	}()
	var progress int64
	patience := time.Now().Add(t.cfg.Timeout)
	look := min(50*time.Millisecond, t.cfg.Timeout)
	for {
		if t.space.try(n) {
			return nil
		}
		t.mu.Lock()
		lost, parked := f.lost, f.parked
		f.squeezed = true
		if f.ship == nil {
			t.schedule(f, max(0, time.Until(f.retryAt)))
		}
		c.mu.Lock()
		wake, claimed, gone := c.wake, c.claimed, c.gone
		c.mu.Unlock()
		freed := t.space.freedChan()
		t.mu.Unlock()
		switch {
		case lost != nil:
			return lost
		case parked != nil:
			return fmt.Errorf("write %s: there is no room for it, and it cannot be sent: %w", f.path(), parked)
		}
		dropped, err := t.dropSent(ctx, f, c, n)
		switch {
		case err != nil:
			return err
		case dropped:
			continue
		}
		if p := claimed + gone; p > progress {
			progress, patience = p, time.Now().Add(t.cfg.Timeout)
		}
		if time.Until(patience) <= 0 {
			return t.space.full()
		}
		timer := time.NewTimer(look) // the server may have taken more without our hearing of it
		select {
		case <-wake:
		case <-freed:
		case <-timer.C:
			look = min(2*look, time.Second)
		case <-t.ctx.Done():
			timer.Stop()
			return errClosing("write", f.node)
		case <-ctx.Done():
			timer.Stop()
			return canceled("write", f.node, ctx)
		}
		timer.Stop()
	}
}

// dropSent drops so much of what the server has that n bytes find room, and says whether
// it could.
func (t *Tree) dropSent(ctx context.Context, f *File, c *content, n int64) (bool, error) {
	piece := min(int64(keepBehind), t.space.max/8) // each costs a durable record
	t.mu.Lock()
	temp, share := f.tempPathLocked(), f.reserved+n
	t.mu.Unlock()
	c.mu.Lock()
	gone := c.gone
	edge := min(c.intactLocked()-min(keepBehind, t.space.max/4, share/2), gone+max(n, piece))
	least := gone + max(n, piece)
	if c.claimed == c.size { // nothing more can be sent before there is room
		least = gone + min(n, piece)
	}
	c.mu.Unlock()
	if temp == "" || edge < least {
		return false, nil
	}
	e, err := t.store.Stat(ctx, temp)
	if err != nil || e.Size < edge {
		return false, nil // in doubt nothing is dropped
	}
	return true, f.drop(c, temp, edge)
}

// drop gives up the bytes before edge, which the server has under temp.
func (f *File) drop(c *content, temp string, edge int64) error {
	t := f.node.tree
	f.rec.Lock()
	defer f.rec.Unlock()
	t.mu.Lock()
	if !f.owed || f.node.removed || f.cur != c || f.tempPathLocked() != temp {
		t.mu.Unlock()
		return nil
	}
	c.mu.Lock()
	was := c.gone
	if edge <= was || edge > c.intactLocked() || c.restarts {
		c.mu.Unlock()
		t.mu.Unlock()
		return nil
	}
	have, dirty, base := c.have.Clone(), c.dirty.Clone(), c.base
	c.gone, c.base = edge, 0 // what a snapshot has left under the name is not what is gone
	c.have.Remove(0, edge)
	c.dirty.Remove(0, edge)
	c.mu.Unlock()
	path, open := f.node.pathLocked(), f.savedOpen
	t.mu.Unlock()
	err := f.save(open, true) // else a power cut would bring the record back without the proof that the rest is here
	if err != nil {
		c.mu.Lock()
		c.gone, c.have, c.dirty, c.base = was, have, dirty, base
		c.mu.Unlock()
		return fmt.Errorf("write %s: %w", path, err)
	}
	if was == 0 {
		t.cfg.Log.Warn("a file is larger than the spool: it passes through, and what the server has taken of it is not kept here", "path", path, "temporary name", temp)
	}
	if err = c.lockFile(); err == nil {
		if c.f != nil {
			err = punchHole(c.f, was, edge-was)
		}
		c.io.RUnlock()
	}
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	t.mu.Lock()
	if f.owed {
		f.reserved -= edge - was
		t.space.release(edge - was)
	}
	t.mu.Unlock()
	return nil
}
