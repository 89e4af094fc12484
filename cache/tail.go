package cache

import (
	"context"
	"fmt"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/spool"
)

// A file that only grew is not sent whole: what was written behind the server's file,
// if that is still the one ours is based on, is appended to it there, under its own
// name. It is the one way in which others may see a file that is half written, and
// meant for logs and recordings, so a small file is still replaced at once.
//
// Before a byte is sent the record says which part of the content is about to be
// appended. Whatever happens then, the server's file has any beginning of it, and the
// next attempt reads back what is there. If it is ours, the base has grown by that much,
// and the next tail begins behind it; bytes that are not ours mean that somebody else
// wrote too. Theirs stay, and ours become a conflict copy if all of the base is held
// here, or are parked. The states are in docs/design.md.
const (
	tailAbove = 128 << 10 // bases up to this size are replaced as a whole
	leanAbove = 4 << 20   // and up to this one fetched all the same, for a conflict copy
	maxTail   = 16 << 20  // appended at once: a rename waits for as long
)

// appendsLocked says whether all that f owes lies behind the server's file, or is nothing
// but attributes. tree.mu is held.
func (s *shipment) appendsLocked() bool {
	t, f, c := s.tree, s.file, s.c
	if s.early || !f.owed || f.node.removed || f.cur != c || f.base == nil || f.base.Size <= t.cfg.tailAbove ||
		f.temp != "" || f.sent != nil {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size > c.base && t.store.Caps().NoAppend {
		return false
	}
	if c.gone > 0 || c.sent != nil || c.torn || c.base != f.base.Size || c.size < c.base || c.ver.Size != c.base || c.ver.Differs(*f.base) {
		return false
	}
	dirty := c.dirty.Ranges()
	return len(dirty) == 0 || dirty[0].Off >= c.base
}

// sendTails appends what f owes to the server's file, piece by piece. Not done, without
// an error: it has to be sent whole.
func (s *shipment) sendTails(ctx context.Context) (done bool, err error) {
	for {
		done, err = s.sendTail(ctx)
		if !done || err != nil || !s.more {
			return done, err
		}
	}
}

func (s *shipment) sendTail(ctx context.Context) (done bool, err error) {
	t, f := s.tree, s.file
	t.mu.Lock()
	appends, tail := s.appendsLocked(), f.tail
	t.mu.Unlock()
	if !appends && tail == nil {
		return false, nil
	}
	if err := t.gate.Acquire(ctx, 1); err != nil {
		return true, err
	}
	defer t.gate.Release(1)
	if err := f.freeze(ctx); err != nil {
		return true, err
	}
	defer f.thaw()
	if err := f.waits(); err != nil {
		return true, err
	}
	if !appends {
		return false, s.settleTail(ctx)
	}
	for range 3 {
		t.mu.Lock()
		path, tail := f.node.pathLocked(), f.tail
		appends := s.appendsLocked()
		t.mu.Unlock()
		if !appends {
			return true, errOvertaken
		}
		now, err := t.store.Stat(t.ctx, path)
		if err != nil && !remote.Is(err, remote.NotExist) {
			return true, fmt.Errorf("look at %s before appending to it: %w", path, err)
		}
		at, ours := int64(0), false
		if err == nil {
			if at, ours, err = s.ours(ctx, path, now, tail); err != nil {
				return true, err
			}
		}
		if !ours {
			return s.notOurs(now, err)
		}
		if err := s.advance(now, at); err != nil {
			return true, err
		}
		again, done, err := s.appendFrom(ctx, path, now, at)
		if !again {
			return done, err
		}
	}
	return true, &remote.Error{Op: "append", Path: f.path(), Kind: remote.Temporary, Text: "the server's file does not hold still"}
}

// notOurs leaves what is on the server alone. With all of the base here the file is sent
// whole, and the check before the rename makes it a conflict copy; so it is also when
// there is nothing any more, and nothing was.
func (s *shipment) notOurs(now remote.Entry, missing error) (bool, error) {
	t, f, c := s.tree, s.file, s.c
	t.mu.Lock()
	defer t.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.wholeLocked() {
		return false, nil
	}
	text := "it was changed there while only what was appended is held here, which is kept"
	if missing != nil {
		text = "it is not there any more, and only what was appended is held here, which is kept"
	}
	return true, &parkError{&remote.Error{Op: "append", Path: f.node.pathLocked(), Kind: remote.Changed, Text: text, Err: missing}}
}

// appendFrom sends what follows at. Again: the server's file has to be looked at anew.
func (s *shipment) appendFrom(ctx context.Context, path string, now remote.Entry, at int64) (again, done bool, err error) {
	t, f, c := s.tree, s.file, s.c
	d, err := s.beginTail(ctx, at)
	if err != nil {
		return false, true, err
	}
	defer s.endTail(d)
	f.rec.Lock()
	t.mu.Lock()
	open := f.savedOpen
	t.mu.Unlock()
	err = f.savePromptly(open) // before the server has any of it, lest a power cut make our tail look like somebody else's
	f.rec.Unlock()
	if err != nil {
		return false, true, err
	}
	if at < d.end {
		err = t.store.Write(ctx, path, d, at, d.end-at)
	}
	c.mu.Lock()
	called, sent := d.err, d.pos
	c.mu.Unlock()
	switch {
	case remote.Is(err, remote.Unsupported) && sent == at:
		return false, false, nil // nothing behind the base: settleTail sees to the rest
	case remote.Is(err, remote.Changed) && sent == d.end:
		done, err := s.besideTheirs(ctx, path, at)
		return false, done, err
	case remote.Is(err, remote.Changed):
		return true, true, nil
	case called != nil:
		return false, true, called
	case err != nil:
		if sent > at {
			t.mu.Lock()
			f.attempts = 0 // it gets on
			t.mu.Unlock()
		}
		return false, true, fmt.Errorf("append to %s: %w", path, err)
	}
	return false, true, s.appended(path, now)
}

// beginTail decides what is sent: what there is now, or a part of it. Later writes do
// not call it off.
func (s *shipment) beginTail(ctx context.Context, at int64) (*feed, error) {
	t, f, c := s.tree, s.file, s.c
	t.mu.Lock()
	defer t.mu.Unlock()
	if !s.appendsLocked() {
		return nil, errOvertaken
	}
	d := &feed{c: c, ctx: ctx, cancel: s.cancel, pos: at, end: -1}
	f.sentBytes.Store(at)
	c.mu.Lock() // until the tail is known: no write may come between
	defer c.mu.Unlock()
	if c.sent != nil || c.torn || f.base.Size != at {
		return nil, errOvertaken
	}
	c.out, s.feed, s.decided = d, d, false
	s.decideHeldLocked(true)
	if maxTail := t.cfg.maxTail; d.end > at+maxTail { // the rest is another, and nobody's changes are there before that
		c.since.Add(at+maxTail, d.end)
		d.end = at + maxTail
		s.size, s.changes = d.end, f.published
	}
	s.more = d.end < c.size
	f.tail = &spool.Tail{From: at, To: d.end}
	c.growsLocked(f.id, f.tail)
	return d, nil
}

// endTail is called whatever became of it. Nothing lies under a temporary name.
func (s *shipment) endTail(d *feed) {
	d.close()
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	s.c.claimed, s.c.changed = 0, unchanged
}

// appended takes in that the server's file holds the tail, after setting its time, and
// its mode if that was changed here.
func (s *shipment) appended(path string, now remote.Entry) error {
	t, f := s.tree, s.file
	t.mu.Lock()
	mtime := wholeSecond(s.mtime)
	p := remote.Publish{Path: path, Size: s.size, MTime: &mtime}
	if m, e := f.mode, &f.node.ent; m != nil && !f.modeKept && (e.flags&hasMode == 0 || e.mode != uint16(*m)) && (!now.HasMode || *m != now.Mode&0o7777) {
		p.Mode = m
	}
	t.mu.Unlock()
	// From here on the dialogue is not broken off: t.ctx, not ctx.
	err := t.store.SetAttr(t.ctx, path, remote.Attr{MTime: p.MTime, Mode: p.Mode})
	if k := remote.KindOf(err); err != nil && (k.Offline() || k == remote.Canceled) {
		return fmt.Errorf("set the time of %s after appending to it: %w", path, err)
	}
	done := remote.Published{Entry: now, TimeSet: err == nil, ModeSet: err == nil}
	if err == nil {
		done.Entry.MTime, done.Entry.MGrain = mtime, time.Second
		if p.Mode != nil {
			done.Entry.Mode, done.Entry.HasMode = *p.Mode, true
		}
	} else if e, serr := t.store.Stat(t.ctx, path); serr == nil && e.Size == s.size {
		done.Entry = e
	} else {
		return fmt.Errorf("look at %s after appending to it: %w", path, errorOr(serr, err))
	}
	done.Entry.Size = s.size
	s.published(done, p) // with which the tail is over
	return nil
}

func errorOr(err, other error) error {
	if err != nil {
		return err
	}
	return other
}

// besideTheirs is called when the server has taken all of the tail, which began at at, and
// the file is longer than that. If ours is in it, both are there, and what is held here is
// not what the file is. If not, ours went into a file that has lost its name meanwhile, or
// was cut.
func (s *shipment) besideTheirs(ctx context.Context, path string, at int64) (done bool, err error) {
	t, f := s.tree, s.file
	now, err := t.store.Stat(t.ctx, path)
	if err != nil {
		return true, fmt.Errorf("look at %s, to which somebody else appended too: %w", path, err)
	}
	t.mu.Lock()
	size := s.size
	t.mu.Unlock()
	switch both, err := s.holdsBoth(ctx, path, now, at, size); {
	case err != nil:
		return true, fmt.Errorf("read back what was appended to %s: %w", path, err)
	case !both:
		return s.notOurs(now, nil)
	}
	t.cfg.Log.Warn("somebody else appended to a file at the same time; both parts are there", "path", path)
	e := packEntry(&now)
	f.rec.Lock()
	defer f.rec.Unlock()
	t.mu.Lock()
	e.inheritMode(&f.node.ent)
	more := f.changes != s.changes
	t.mu.Unlock()
	if more {
		return true, &remote.Error{Op: "append", Path: path, Kind: remote.Changed, Text: "somebody else appended at the same time"}
	}
	return true, f.dropRecordLocked(func() {
		dir := f.node.parent
		t.noteLocked(dir, f.node.name, e)
		if f.cur != nil {
			f.staleLocked()
		}
		t.dirDoneLocked(dir)
	})
}
