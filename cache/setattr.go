package cache

import (
	"context"
	"time"

	"ftpfs/cache/remote"
)

// Set names the attributes to change.
type Set struct {
	Size  *int64
	MTime *time.Time
	Mode  *uint32
}

// SetAttr changes attributes. Those of an owed file go with it; those of a clean one
// are set on the server at once, and kept here while the mount lives where the
// server has no way. h may be nil.
func (t *Tree) SetAttr(ctx context.Context, n *Node, h *Handle, s Set) (Attr, error) {
	if t.cfg.ReadOnly {
		return Attr{}, errReadOnly("set attributes", n)
	}
	if err := t.wait(ctx, "set attributes", n); err != nil {
		return Attr{}, err
	}
	if s.Size != nil {
		if err := t.resize(ctx, n, h, *s.Size); err != nil {
			return Attr{}, err
		}
	}
	if s.MTime != nil {
		mt := wholeSecond(*s.MTime)
		s.MTime = &mt
	}
	if s.MTime != nil || s.Mode != nil {
		if done, err := t.setOwed(n, s); err != nil {
			return Attr{}, err
		} else if !done {
			if err := t.do(ctx, "set attributes", n, func(ctx context.Context) error { return t.setOnServer(ctx, n, s) }); err != nil {
				return Attr{}, err
			}
		}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.attrLocked(n), nil
}

func (t *Tree) resize(ctx context.Context, n *Node, h *Handle, size int64) error {
	if h == nil || !h.fl.Write {
		var err error
		if h, err = t.Open(ctx, n, OpenFlags{Write: true}); err != nil {
			return err
		}
		defer h.Release()
		if err := h.Truncate(ctx, size); err != nil {
			return err
		}
		return h.Flush(ctx)
	}
	return h.Truncate(ctx, size)
}

// setOwed changes an owed (or unlinked) file's attributes, in its record if no open
// writer will bring it up to date.
func (t *Tree) setOwed(n *Node, s Set) (done bool, err error) {
	t.mu.Lock()
	f := n.file
	t.mu.Unlock()
	if f == nil {
		return false, nil
	}
	f.rec.Lock()
	defer f.rec.Unlock()
	t.mu.Lock()
	if !f.owed && !n.removed {
		t.mu.Unlock()
		return false, nil
	}
	if s.MTime != nil {
		f.mtime = *s.MTime
	}
	if s.Mode != nil {
		mode := *s.Mode & 0o7777
		f.mode, f.modeKept = &mode, false
	}
	f.changes++
	closed, waiting := !f.savedOpen, f.owed && f.writers == 0 && f.parked == nil && !f.interrupted
	t.mu.Unlock()
	if closed {
		err = f.save(false, false)
	}
	if waiting {
		t.schedule(f, t.cfg.PublishDelay)
	}
	return true, err
}

// setOnServer changes what is not owed.
func (t *Tree) setOnServer(ctx context.Context, n *Node, s Set) error {
	if n.typ == remote.Dir && s.MTime != nil {
		later, err := t.setDirLater(n, *s.MTime)
		if err != nil {
			return err
		}
		if later {
			s.MTime = nil
		}
		if s.Mode == nil && later {
			return nil
		}
	}
	if s.MTime == nil && s.Mode == nil || n.typ == remote.Symlink {
		return nil
	}
	if n.typ == remote.File {
		t.mu.Lock()
		f := n.fileLocked()
		t.mu.Unlock()
		if err := t.freezeFor(ctx, f); err != nil { // what is published now would have the old ones
			return err
		}
		defer f.thaw()
		if done, err := t.setOwed(n, s); done || err != nil { // it was written meanwhile
			return err
		}
		if s.MTime != nil {
			if err := t.lookBeforeTime(ctx, n); err != nil {
				return err
			}
		}
	}
	t.mu.Lock()
	was := n.ent.version()
	if n.file != nil {
		n.file.timing = s.MTime != nil
	}
	t.mu.Unlock()
	err := t.store.SetAttr(ctx, t.PathOf(n), remote.Attr{MTime: s.MTime, Mode: s.Mode})
	if err != nil && undecided(err) && t.hasTime(ctx, n, s) {
		err = nil
	}
	unsupported := remote.Is(err, remote.Unsupported)
	if err != nil && !unsupported {
		t.mu.Lock()
		defer t.mu.Unlock()
		if n.file != nil {
			n.file.timing = false
		}
		return err
	}
	if unsupported {
		t.once("setattr", "the server cannot set an attribute; it is kept here", err)
	}
	t.noteSet(n, s, unsupported, was)
	t.saveOverlay()
	if s.Mode != nil { // which a writer that came in between had not heard of
		_, err = t.setOwed(n, Set{Mode: s.Mode})
		return err
	}
	return nil
}

// noteSet takes in what the server has set of n, which it had as version was, or could not.
func (t *Tree) noteSet(n *Node, s Set, unsupported bool, was remote.Version) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if n.file != nil {
		n.file.timing = false
	}
	e := n.ent
	if s.MTime != nil {
		if unsupported {
			e.showTime(*s.MTime)
		} else {
			e.mtime, e.grain, e.flags = s.MTime.Unix(), grainSecond, e.flags&^(shownSet|guessed)
		}
	}
	if s.Mode != nil {
		if unsupported {
			e.showMode(*s.Mode)
		} else {
			e.mode, e.flags = uint16(*s.Mode&0o7777), e.flags&^modeSet|hasMode
		}
	}
	if n.removed || n.parent == nil {
		n.ent = e
		return
	}
	if f := n.file; f != nil && f.owed && f.base != nil && s.MTime != nil && !unsupported && !f.base.Differs(was) {
		b := *f.base // a write came in between: what it may replace has the new time
		b.MTime, b.MGrain = *s.MTime, time.Second
		f.base = &b
		f.changes++
	}
	at := n.at
	t.noteLocked(n.parent, n.name, e)
	n.at = at // of its size and content we heard nothing new
	if n.parent.fetch != nil {
		n.parent.fetch.changes[n.name] = change{ent: e, attr: true}
	}
	if f := n.file; f != nil && f.cur != nil && !f.owed {
		v := e.version()
		f.cur.mu.Lock()
		f.cur.ver.MTime, f.cur.ver.MGrain = v.MTime, v.MGrain
		f.cur.mu.Unlock()
	}
}

// lookBeforeTime takes in what the server has of a file before its time is set: a change
// by somebody else that kept the size shows in nothing but the time.
func (t *Tree) lookBeforeTime(ctx context.Context, n *Node) error {
	path, began := t.PathOf(n), time.Now()
	r, err := t.store.Stat(ctx, path)
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if n.removed || n.parent == nil || n.pathLocked() != path {
		return nil
	}
	e := packEntry(&r)
	told := e
	e.inherit(&n.ent)
	t.overlaidLocked(n.parent.pathLocked(), n.name, &told, &e)
	t.learnLocked(n, e, began)
	if l := n.parent.list; l != nil && n.typ == e.typ {
		l.put(n.name, e)
	}
	return nil
}

// hasTime settles, by looking, a setting of n's time that ended without an answer. If it
// was set and we did not know, what is written next would seem to collide with a change
// by somebody else.
func (t *Tree) hasTime(ctx context.Context, n *Node, s Set) bool {
	if s.MTime == nil || s.Mode != nil {
		return false
	}
	r, err := t.store.Stat(ctx, t.PathOf(n))
	return err == nil && r.Type == n.typ && r.MGrain == time.Second && r.MTime.Equal(*s.MTime)
}

// A directory's time changes with every publication inside it, so one that was set
// is set on the server after the last of them, and recorded until then.
