package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"ftpfs/cache/ranges"
	"ftpfs/cache/remote"
)

// publish uploads f to a temporary name and renames it into place. Without an error
// f is clean, or has changed again meanwhile. An early one follows a writer.
func (t *Tree) publish(ctx context.Context, f *File, early bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	t.mu.Lock()
	if !f.owed || f.ship != nil {
		t.mu.Unlock()
		return nil
	}
	s := &shipment{tree: t, file: f, c: f.cur, cancel: cancel, began: early, early: early, gen: f.gen, size: f.size}
	if early {
		t.early++
	}
	f.ship = s
	t.mu.Unlock()
	began := time.Now()
	done, err := s.sendTails(ctx)
	if !done && err == nil {
		err = s.sendWhole(ctx)
	}
	t.mu.Lock()
	f.ship = nil
	s.followsNobodyLocked()
	if err == nil {
		f.shippedAt, f.shipTook = time.Now(), time.Since(began)
	}
	changed := s.decided && f.gen != s.gen && !s.keeps()
	overtaken := err != nil && (!f.owed || changed && remote.Is(err, remote.Canceled))
	if early && (errors.Is(err, errOvertaken) || overtaken || err == errPaused && t.noAppend.Load()) {
		f.late = f.writers > 0
	}
	if overtaken && t.ctx.Err() == nil && f.lost == nil { // what is lost is lost whatever was written since
		err = errOvertaken
	}
	if changed && err != nil && !errors.Is(err, errOvertaken) {
		err = &outdatedError{err}
	}
	f.judged = f.gen
	keep := err == nil || s.keepTempLocked(err)
	t.releaseLocked(f.node)
	t.mu.Unlock()
	if !keep {
		t.removeTemp(f)
	}
	return err
}

func (s *shipment) sendWhole(ctx context.Context) error {
	switch err := s.send(ctx); {
	case errors.Is(err, errThere):
		return nil
	case err != nil || s.settled:
		return err
	}
	if err := s.linger(ctx); err != nil {
		return err
	}
	return s.settle(ctx)
}

// keeps says whether what is sent stays a state of the file whatever is written.
func (s *shipment) keeps() bool {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	return s.feed != nil && s.feed.keep
}

// linger gives a program the moment after its last close to rename the file, for an
// upload that was through by then.
func (s *shipment) linger(ctx context.Context) error {
	t, f := s.tree, s.file
	for s.began {
		t.mu.Lock()
		wait := time.Until(f.closedAt.Add(t.cfg.PublishDelay))
		changed := t.changed
		hurry := f.hurryLocked() || f.writers > 0
		t.mu.Unlock()
		if hurry || wait <= 0 {
			return nil
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-changed:
		case <-ctx.Done():
			timer.Stop()
			return s.feed.ended()
		}
		timer.Stop()
	}
	return nil
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
	if err := f.waits(); err != nil {
		return err
	}
	if err := s.lookForEarlier(); err != nil {
		return err
	}
	if err := s.settleTail(ctx); err != nil { // of a file that was renamed over meanwhile
		return err
	}
	uploaded, err := s.uploaded()
	if err != nil {
		return err
	}
	f.rec.Lock()
	temp, p, err := s.promise(uploaded)
	f.rec.Unlock()
	if err != nil {
		return err
	}
	// From here on the dialogue is not broken off: t.ctx, not ctx.
	done, err := t.store.Publish(t.ctx, temp, p)
	return s.conclude(temp, done, p, err)
}

// promise takes down what is about to be published, as of this moment, before the server is told:
// under temp it has the content. uploaded is the version that this has, if it keeps that. f is frozen, and
// f.rec held.
func (s *shipment) promise(uploaded *remote.Version) (temp string, p remote.Publish, err error) {
	t, f := s.tree, s.file
	t.mu.Lock()
	keeps := s.keeps()
	if f.gen != s.gen && !keeps || !f.owed || f.node.removed || f.cur != s.c {
		t.mu.Unlock()
		return "", p, errOvertaken
	}
	if f.gen == s.gen {
		s.mtime, s.changes = f.mtime, f.changes
	}
	p = s.publicationLocked()
	p.Sum = s.sumLocked()
	temp, open := join(s.dir.pathLocked(), s.temp), f.savedOpen
	if f.sent = uploaded; f.sent == nil {
		f.sent = &remote.Version{Size: s.size, MTime: *p.MTime, MGrain: time.Second}
	}
	f.sentChanges = s.changes
	t.mu.Unlock()
	return temp, p, f.save(open, false)
}

// publicationLocked is what the content is to become, but for its checksum. tree.mu is held.
func (s *shipment) publicationLocked() remote.Publish {
	t, f := s.tree, s.file
	mtime := wholeSecond(s.mtime)
	p := remote.Publish{Path: f.node.pathLocked(), Size: s.size, Expect: f.base, MTime: &mtime, Mode: f.mode}
	if p.Kept = f.base != nil && (f.modeKept || f.mode == nil) && f.node.ent.flags&modeSet == 0; p.Kept {
		if told := f.keptModeLocked(); told != nil { // perhaps since
			p.Mode = told
		}
	}
	p.Among, p.Unlisted = f.node.amongLocked(), f.base == nil && t.unlistedLocked(f.node)
	return p
}

// conclude takes in what became of a publication, which the server may have refused. f is frozen.
func (s *shipment) conclude(temp string, done remote.Published, p remote.Publish, err error) error {
	t, f := s.tree, s.file
	if nameTaken(err) {
		done, err = s.theirs(temp, p)
	}
	if remote.Is(err, remote.NoReplace) {
		done, err = t.publishByBackup(t.ctx, temp, p)
		if nameTaken(err) {
			done, err = s.theirs(temp, p)
		}
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

// uploaded is the version that the temporary file has, and keeps under its final name
// where times cannot be set; nil where they can, since it then gets ours.
func (s *shipment) uploaded() (*remote.Version, error) {
	t := s.tree
	if t.store.Caps().SetMTime {
		return nil, nil
	}
	t.mu.Lock()
	temp := join(s.dir.pathLocked(), s.temp)
	t.mu.Unlock()
	now, err := t.store.Stat(t.ctx, temp)
	if err != nil || now.Size != s.size {
		if k := remote.KindOf(err); err != nil && (k.Offline() || k == remote.Temporary) {
			return nil, fmt.Errorf("look at what was uploaded of %s: %w", s.file.path(), err)
		}
		return nil, nil // the publication finds out what is wrong
	}
	v := now.Version()
	return &v, nil
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
		t.once("mtime", "the server cannot set times; they are kept here", nil)
	} else if p.MTime != nil && e.grain < grainSecond {
		e.mtime, e.grain = p.MTime.Unix(), grainSecond
	}
	if p.Mode != nil && !done.ModeSet {
		e.showMode(*p.Mode)
		t.once("mode", "the server cannot set modes; they are kept here", nil)
	} else if p.Mode != nil && e.flags&hasMode == 0 {
		e.mode, e.flags = uint16(*p.Mode&0o7777), e.flags|hasMode
	}
	v := e.version()

	f.rec.Lock()
	defer f.rec.Unlock()
	t.mu.Lock()
	f.sent = nil
	f.doneTempLocked()
	n := f.node
	if p.Mode == nil {
		e.inheritMode(&n.ent) // what was appended to kept it
	}
	f.published = max(f.published, s.changes)
	dir := n.parent
	t.noteLocked(dir, n.name, e)
	f.attempts, f.corrupt, f.failed, f.dirtyAt, f.retryAt = 0, 0, nil, time.Time{}, time.Time{}
	if f.changes != s.changes { // written again: owed still, now over what we just sent
		f.base, f.tail = &v, nil
		forget := s.baseIs(v)
		defer forget()
		open := f.savedOpen
		t.changedLocked()
		t.mu.Unlock()
		t.saveOverlay()
		if err := f.save(open, false); err != nil {
			t.cfg.Log.Warn("cannot update the spool's record", "path", p.Path, "err", err)
		}
		return
	}
	id := f.id
	c := f.cur
	c.mu.Lock() // before the tail is over: a transfer of the base would find the file too long
	c.have.Add(max(c.base, c.gone), c.size)
	c.gone = 0                // a reader fetches it again
	c.ver, c.base = v, v.Size // in the same moment: a listing compares them
	c.mu.Unlock()
	f.cleanNowLocked()
	t.dirDoneLocked(dir)
	t.mu.Unlock()
	t.saveOverlay() // before the record goes, which has the time
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
	if err := c.lockFile(); err != nil { // open: once it is not the spool's, nothing opens it again
		t.cfg.Log.Warn("cannot open what was published; it is fetched when it is wanted", "err", err)
		c.becomeEmpty(v, id)
		return
	}
	defer c.io.RUnlock()
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
	c.spooled, c.ours, c.since = false, false, ranges.Set{}
	held := c.have.Len()
	c.gone = 0
	if err == nil {
		c.path = path
	} else { // other file system, or worse: what is open stays readable, unlinked
		c.path = ""
		t.spool.Drop(id)
	}
	c.heldLocked(held)
}

// baseIs takes in that the server has v, a state that the content was in, while it was
// written on: what was written since is dirty. forget is to be called once the record
// says so too. tree.mu is held.
func (s *shipment) baseIs(v remote.Version) (forget func()) {
	f, c := s.file, s.c
	f.dirtyAt = time.Now()
	f.late = f.writers > 0 // a snapshot is followed by others, not by an early upload
	c.mu.Lock()
	defer c.mu.Unlock()
	c.claimed, c.changed = 0, unchanged
	was := max(c.base, c.gone)
	if c.gone > 0 { // what is not here any more can be had from there again
		c.gone, c.ours, c.lean = 0, false, true
	}
	c.ver, c.base = v, min(s.size, c.size)
	c.have.Add(was, max(was, c.base)) // held, or a hole
	c.dirty = c.since.Clone()
	c.dirty.Truncate(c.size)
	return c.tailOverLocked()
}
