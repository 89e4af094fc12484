package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path"
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

// send makes the content whole and uploads it under the temporary name.
func (s *shipment) send(ctx context.Context) error {
	t, f := s.tree, s.file
	if err := s.c.fetchAll(ctx); err != nil {
		if k := remote.KindOf(err); k == remote.Changed || k == remote.NotExist {
			return &parkError{fmt.Errorf("the file changed on the server while only a part of it was held here; the parts written are kept: %w", err)}
		}
		return err
	}
	f.rec.Lock()
	t.mu.Lock()
	temp, open := join(s.dir.pathLocked(), s.temp), f.savedOpen
	f.temp = temp
	t.mu.Unlock()
	err := f.save(open, false)
	f.rec.Unlock()
	if err != nil {
		return err
	}
	write := func() error {
		f.sentBytes.Store(0)
		return t.store.Write(ctx, temp, &progressReader{r: io.NewSectionReader(s.c, 0, s.size), f: f}, 0, s.size)
	}
	moved := func() bool {
		t.mu.Lock()
		defer t.mu.Unlock()
		return join(s.dir.pathLocked(), s.temp) != temp
	}
	if err = write(); remote.Is(err, remote.NotExist) && t.remake(ctx, s.dir) && !moved() {
		err = write()
	}
	if err != nil {
		if moved() {
			return errOvertaken // the directory was renamed under the upload
		}
		return fmt.Errorf("upload %s: %w", f.path(), err)
	}
	return nil
}

// ReadAt lets an upload read the content that is held; unheld bytes are an error.
func (c *content) ReadAt(p []byte, off int64) (int, error) {
	n, _, err := c.readHeld(p, off)
	switch {
	case err != nil:
		return n, err
	case n < len(p):
		return n, io.EOF
	}
	return n, nil
}

type progressReader struct {
	r io.Reader
	f *File
}

func (p *progressReader) Read(b []byte) (int, error) {
	n, err := p.r.Read(b)
	p.f.sentBytes.Add(int64(n))
	return n, err
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
	if remote.Is(err, remote.Changed) || remote.Is(err, remote.Exist) {
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
