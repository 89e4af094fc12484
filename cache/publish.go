package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"time"

	"ftpfs/cache/remote"
)

// shipment is one attempt to publish a file.
type shipment struct {
	tree    *Tree
	file    *File
	c       *content
	gen     uint64
	size    int64
	changes uint64 // as of settle
	dir     *Node  // in which the temporary file lies: it moves with it
	temp    string // its name
}

// publish uploads f to a temporary name and renames it into place. Without an error
// f is clean, or has changed again meanwhile.
func (t *Tree) publish(ctx context.Context, f *File) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t.mu.Lock()
	if !f.owed || f.uploading != nil {
		t.mu.Unlock()
		return nil
	}
	s := &shipment{tree: t, file: f, c: f.cur, gen: f.gen, size: f.size, dir: f.node.parent, temp: t.newTemp('u')}
	f.uploading = cancel
	f.sentBytes.Store(0)
	t.mu.Unlock()
	err := s.send(ctx)
	if err == nil {
		err = s.settle(ctx)
	}
	t.mu.Lock()
	f.uploading = nil
	overtaken := err != nil && (f.gen != s.gen || !f.owed)
	t.releaseLocked(f.node)
	t.mu.Unlock()
	if err != nil {
		t.mu.Lock()
		if f.temp == "" || path.Base(f.temp) != s.temp { // never sent
			t.doneTempLocked(s.temp)
		}
		t.mu.Unlock()
		t.removeTemp(f)
		if overtaken && t.ctx.Err() == nil {
			return errOvertaken
		}
	}
	return err
}

// settle renames the uploaded file into place, under its name of that moment.
func (s *shipment) settle(ctx context.Context) error {
	t, f := s.tree, s.file
	if err := t.gate.Acquire(ctx, 1); err != nil {
		return err
	}
	defer t.gate.Release(1)
	if err := f.freeze(ctx); err != nil {
		return err
	}
	defer f.thaw()
	if err := s.lookForEarlier(); err != nil {
		return err
	}

	f.rec.Lock()
	t.mu.Lock()
	if f.gen != s.gen || !f.owed || f.node.removed {
		t.mu.Unlock()
		f.rec.Unlock()
		return errOvertaken
	}
	mtime := wholeSecond(f.mtime)
	p := remote.Publish{Path: f.node.pathLocked(), Size: s.size, Expect: f.base, MTime: &mtime, Mode: f.mode}
	temp, open := join(s.dir.pathLocked(), s.temp), f.savedOpen
	s.changes = f.changes
	f.temp, f.sent = temp, &remote.Version{Size: s.size, MTime: mtime, MGrain: time.Second}
	t.mu.Unlock()
	err := f.save(open, false)
	f.rec.Unlock()
	if err != nil {
		return err
	}
	// From here on the dialogue is not broken off: t.ctx, not ctx.
	done, err := t.store.Publish(t.ctx, temp, p)
	if nameTaken(err) {
		done, err = s.theirs(temp, p)
	}
	if remote.Is(err, remote.NoReplace) {
		done, err = t.publishByBackup(t.ctx, temp, p)
	}
	switch {
	case errors.Is(err, errConflict):
		return nil // kept beside theirs
	case err != nil && !undecided(err):
		t.mu.Lock()
		f.sent = nil // it did not get there
		t.mu.Unlock()
		fallthrough
	case err != nil:
		return fmt.Errorf("publish %s: %w", p.Path, err)
	}
	s.published(done, p)
	return nil
}

// undecided says that err leaves it open whether the server did what was asked.
func undecided(err error) bool {
	switch k := remote.KindOf(err); k {
	case remote.Canceled, remote.Protocol, remote.Temporary, remote.Unknown:
		return true
	default:
		return k.Offline()
	}
}

// lookForEarlier finds out what became of an earlier attempt whose answer was lost,
// before another is made: if it got there, it is ours to replace. f is frozen.
func (s *shipment) lookForEarlier() error {
	t, f := s.tree, s.file
	t.mu.Lock()
	sent, path := f.sent, f.node.pathLocked()
	t.mu.Unlock()
	if sent == nil {
		return nil
	}
	now, err := t.store.Stat(t.ctx, path)
	if err != nil && !remote.Is(err, remote.NotExist) {
		return fmt.Errorf("look whether %s was published: %w", path, err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if v := now.Version(); err == nil && now.Type == remote.File && v.Size == sent.Size && v.MGrain > 0 && !v.Differs(*sent) {
		f.base = &v
	}
	f.sent = nil
	return nil
}

// published takes in that the server has the file.
func (s *shipment) published(done remote.Published, p remote.Publish) {
	t, f := s.tree, s.file
	e := packEntry(&done.Entry)
	e.typ = remote.File
	if e.size < 0 {
		e.size = s.size
	}
	if p.MTime != nil && (!done.TimeSet || e.grain == grainNone) {
		e.showTime(*p.MTime)
		t.once("mtime", "the server cannot set times; they are kept here while the mount lives", nil)
	} else if p.MTime != nil && e.grain < grainSecond {
		e.mtime, e.grain = p.MTime.Unix(), grainSecond
	}
	if p.Mode != nil && !done.ModeSet {
		e.showMode(*p.Mode)
		t.once("mode", "the server cannot set modes; they are kept here while the mount lives", nil)
	} else if p.Mode != nil && e.flags&hasMode == 0 {
		e.mode, e.flags = uint16(*p.Mode&0o7777), e.flags|hasMode
	}
	v := e.version()

	f.rec.Lock()
	defer f.rec.Unlock()
	t.mu.Lock()
	f.temp, f.sent = "", nil
	t.doneTempLocked(s.temp)
	n := f.node
	f.published = max(f.published, s.changes)
	dir := n.parent
	t.noteLocked(dir, n.name, e)
	f.attempts, f.failed = 0, nil
	if f.changes != s.changes { // written again: owed still, now over what we just sent
		f.base = &v
		open := f.savedOpen
		t.changedLocked()
		t.mu.Unlock()
		if err := f.save(open, false); err != nil {
			t.cfg.Log.Warn("cannot update the spool's record", "path", p.Path, "err", err)
		}
		return
	}
	id := f.id
	f.cleanNowLocked()
	t.dirDoneLocked(dir)
	c := f.cur
	c.mu.Lock()
	c.ver, c.base = v, v.Size // in the same moment: a listing compares them
	c.mu.Unlock()
	t.mu.Unlock()
	c.becomeClean(v, id)
	t.mu.Lock()
	if f.cur == c && f.handles == 0 && !f.owed {
		t.disk.restLocked(f)
	}
	t.mu.Unlock()
	t.disk.trim()
}

// becomeClean hands the data file over from the spool to the cache.
func (c *content) becomeClean(v remote.Version, id uint64) {
	t := c.tree
	path := t.cacheFile(id)
	err := t.spool.Detach(id, path)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		if err == nil {
			os.Remove(path)
		} else {
			t.spool.Drop(id)
		}
		return
	}
	c.ver, c.base = v, v.Size
	c.dirty.Truncate(0)
	if c.marks != nil {
		c.marks.end()
		c.marks = nil
	}
	c.have.Add(0, c.size)
	c.spooled = false
	if err == nil {
		c.path = path
	} else { // other file system, or worse: what is open stays readable, unlinked
		c.path = ""
		t.spool.Drop(id)
	}
	c.held = c.size
	t.disk.held.Add(c.size)
}
