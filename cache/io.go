package cache

import (
	"context"
	"errors"
	"time"
)

// ReadAt reads what this mount wrote, or else what the server has. It returns fewer
// bytes than asked for only at the end of the file, then with a nil error.
func (h *Handle) ReadAt(ctx context.Context, p []byte, off int64) (int, error) {
	c := h.content()
	read := 0
	limit := int64(-1) // the read is noted once: later ones have been by the time it is answered
	broken, at := 0, 0 // transfers that broke since the read had got so far
	for {
		n, all, err := c.readHeld(p[read:], off+int64(read))
		if read += n; read-at >= minAhead {
			broken, at = 0, read
		}
		if err != nil {
			return read, err
		}
		if all || read == len(p) {
			if limit < 0 {
				c.readOn(off, off+int64(read))
			}
			return read, nil
		}
		if limit < 0 {
			limit = c.readOn(off, off+int64(len(p)))
		}
		if err := c.wantAgain(ctx, off+int64(read), off+int64(len(p)), limit, &broken); err != nil {
			return read, err
		}
	}
}

// content is what the handle reads: what was current when it was opened.
func (h *Handle) content() *content {
	h.tree.mu.Lock()
	defer h.tree.mu.Unlock()
	return h.c
}

// readOn takes note of a read of [off, end) and returns how far to fetch: not far
// for a reader that jumps, further and further for one that reads on; the kernel
// sends several requests for what such a one will want, in any order.
func (c *content) readOn(off, end int64) int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jumps++
	switch {
	case end == c.last:
	case end >= c.last-joinGap && off <= c.last+joinGap:
		c.ahead, c.jumps = min(c.ahead*2, maxAhead), 0
	default:
		c.ahead = minAhead
	}
	c.last = end
	limit := end + c.ahead
	if c.size >= 0 && c.size <= wholeBelow {
		limit = c.size
	}
	for _, s := range c.streams {
		if s.pos <= limit && s.pos >= off && s.limit < limit {
			s.limit = limit
			s.on = true
			if s.idle {
				c.broadcastLocked()
			}
		}
	}
	return limit
}

// WriteAt accepts p only after room for it was reserved in the spool, so that a
// later upload cannot fail for lack of local disk. It waits for room, within the
// mount's timeout, and then fails with NoSpace.
func (h *Handle) WriteAt(ctx context.Context, p []byte, off int64) (int, error) {
	t, f := h.tree, h.file
	if !h.fl.Write {
		return 0, errReadOnly("write", f.node)
	}
	c := h.content()
	if err := f.touchBase(ctx, c, off); err != nil {
		return 0, err
	}
	c.mu.Lock()
	if c.stale {
		c.mu.Unlock()
		return 0, errStale("write", f.node)
	}
	if err := c.refusedLocked(off); err != nil {
		c.mu.Unlock()
		return 0, err
	}
	room := int64(0)
	for at := off; at < off+int64(len(p)); {
		r, missing := c.have.NextMissing(at, off+int64(len(p)))
		if !missing {
			break
		}
		room += r.End - max(r.Off, min(max(c.base, 0), r.End))
		at = r.End
	}
	c.mu.Unlock()
	if err := f.lostNow(); err != nil {
		return 0, err
	}
	if err := t.roomFor(ctx, f, c, room, off); err != nil {
		return 0, err
	}
	if err := f.beginWrite(ctx, c, off); err != nil {
		t.space.release(room)
		return 0, err
	}
	defer f.rec.RUnlock()
	f.markWrites(c)
	n := 0
	err := t.disk.yielding(func() error {
		more, err := c.writeAt(p[n:], off+int64(n))
		n += more
		return err
	})
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.owed {
		f.reserved += room
	} else {
		t.space.release(room) // unlinked: its bytes are nobody's but the handle's
	}
	var unmarked *unmarkedError
	if n > 0 || errors.As(err, &unmarked) {
		h.wroteLocked()
		if f.size = max(f.size, off+int64(n)); n == 0 {
			c.mu.Lock()
			f.size = c.size
			c.mu.Unlock()
		}
		f.mtime = wholeSecond(time.Now())
		f.touchedLocked()
		t.followLocked(f)
	}
	return n, err
}

// markWrites has the parts that are written marked, if the length of the data file
// would not tell a restart what they are.
func (f *File) markWrites(c *content) {
	t := f.node.tree
	t.mu.Lock()
	needed, id := f.owed && f.base != nil, f.id
	t.mu.Unlock()
	c.mu.Lock()
	if needed && c.marks == nil {
		c.marks = &marks{path: t.marksPath(id), disk: t.cfg.fs}
	}
	c.mu.Unlock()
}

// beginWrite, of a write at off, returns with f.rec held shared and a record on disk that says a writer
// is at work, so that a crash from here on publishes nothing half.
func (f *File) beginWrite(ctx context.Context, c *content, off int64) error {
	t := f.node.tree
	for {
		f.rec.RLock()
		t.mu.Lock()
		owed, open, removed := f.owed, f.savedOpen, f.node.removed
		t.mu.Unlock()
		if c.isStale() { // also if another handle has made the file owed since, with another content
			f.rec.RUnlock()
			return errStale("write", f.node)
		}
		if owed && open || removed {
			if f.touchesLean(c, off) { // another handle has made the file owed since, and for its tail only
				f.rec.RUnlock()
				if err := f.touchBase(ctx, c, off); err != nil {
					return err
				}
				continue
			}
			if err := t.disk.opening(c.ensureFile); err != nil {
				f.rec.RUnlock()
				return err
			}
			return nil
		}
		f.rec.RUnlock()
		if !owed {
			if err := t.disk.opening(func() error { return f.owe(ctx, c, false, c.mayBeLean(off)) }); err != nil {
				return err
			}
			c.mu.Lock()
			part := (!c.wholeLocked() || !c.unsure.Empty()) && !c.lean
			c.mu.Unlock()
			if part { // the rest of the base, while it is still what it was
				t.spawn(func() { c.fetchBase(t.ctx) })
			}
			continue
		}
		f.rec.Lock()
		err := f.save(true, false)
		f.rec.Unlock()
		if err != nil {
			return err
		}
	}
}

// beginCut is beginWrite that returns with f.rec held exclusively. An upload that was
// under way may be through before that is to be had: then the file is not owed any more,
// and a cut would be nobody's.
func (f *File) beginCut(ctx context.Context, c *content, size int64) error {
	t := f.node.tree
	for {
		if err := f.beginWrite(ctx, c, size); err != nil {
			return err
		}
		f.rec.RUnlock()
		f.rec.Lock()
		t.mu.Lock()
		begun := f.owed && f.savedOpen || f.node.removed
		t.mu.Unlock()
		if begun {
			return nil
		}
		f.rec.Unlock()
	}
}

// Truncate sets the size: it cuts, or adds a hole that reads as zeros.
func (h *Handle) Truncate(ctx context.Context, size int64) error {
	t, f := h.tree, h.file
	c := h.content()
	c.mu.Lock()
	stale := c.stale
	var refused error
	if size > 0 {
		refused = c.refusedLocked(size)
	}
	c.mu.Unlock()
	switch {
	case stale:
		return errStale("truncate", f.node)
	case refused != nil:
		return refused
	}
	t.mu.Lock()
	owed, removed := f.owed, f.node.removed
	t.mu.Unlock()
	if !owed && !removed && size == 0 {
		if err := t.disk.opening(func() error { return f.owe(ctx, c, true, false) }); err != nil {
			return err
		}
	}
	if err := f.touchBase(ctx, c, size); err != nil {
		return err
	}
	if err := f.beginCut(ctx, c, size); err != nil {
		return err
	}
	defer f.rec.Unlock()
	// The record must never claim what the file does not have: a cut is recorded
	// first, a hole made first, and before anybody reads up to its end. A crash from here
	// on finds a writer at work.
	c.mu.Lock()
	longer := size > c.size
	c.mu.Unlock()
	if longer {
		if err := c.resize(size); err != nil {
			return err
		}
	}
	undo := c.cut(size)
	t.mu.Lock()
	was, mtime := f.size, f.mtime
	h.wroteLocked()
	if size == 0 {
		f.lost, f.late, f.triedAt = nil, false, 0
	}
	f.size, f.mtime = size, wholeSecond(time.Now())
	f.touchedLocked()
	t.mu.Unlock()
	var err error
	if 0 < size && size < was {
		// The records before it are given up, and with them the proof that what
		// remains is on disk, which fsync may have promised.
		err = f.savePromptly(true)
	} else {
		err = f.save(true, false)
	}
	if err == nil && !longer {
		err = c.resize(size)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		undo()
		f.size, f.mtime = was, mtime
		f.touchedLocked()
	} else if size < was {
		f.giveBackLocked(c)
	}
	return err
}

// giveBackLocked releases what f has reserved for bytes that were cut off. f.rec is held
// exclusively.
func (f *File) giveBackLocked(c *content) {
	if !f.owed || f.cur != c {
		return
	}
	c.mu.Lock()
	need := int64(0)
	for _, r := range c.have.Ranges() {
		need += max(0, r.End-max(r.Off, c.base))
	}
	if !c.lean {
		need += max(c.base, 0)
	}
	c.mu.Unlock()
	if over := f.reserved - need; over > 0 {
		f.reserved = need
		f.node.tree.space.release(over)
	}
}

// wholeSecond is what a server can keep of a time, from the start, so that nothing
// changes at publication.
func wholeSecond(t time.Time) time.Time { return t.Truncate(time.Second) }
