package cache

import (
	"errors"
	"os"
	"syscall"
	"time"

	"ftpfs/cache/ranges"
)

// ensureFile opens the sparse file in the cache directory if there is none yet.
func (c *content) ensureFile() error {
	if err := c.lockFile(); err != nil {
		return err
	}
	ok := c.f != nil
	c.io.RUnlock()
	if ok {
		return nil
	}
	c.io.Lock()
	defer c.io.Unlock()
	if c.f != nil || c.shut != 0 {
		return nil
	}
	c.mu.Lock()
	err := c.closedLocked()
	c.mu.Unlock()
	if err != nil {
		return err // nobody would close it
	}
	f, err := os.CreateTemp(c.tree.cfg.CacheDir, "c")
	inMemory := errors.Is(err, syscall.ENOSPC)
	if inMemory {
		f, err = memory()
	}
	if err != nil {
		return err
	}
	if err := c.tree.spare(f); err != nil {
		if !inMemory {
			os.Remove(f.Name())
		}
		return err
	}
	c.f = f
	c.mu.Lock()
	if c.inMemory = inMemory; !inMemory {
		c.path = f.Name()
	}
	c.mu.Unlock()
	return nil
}

// fill stores p, which s brought next, where nothing newer is held, and moves s on in the
// same moment: who finds its bytes neither held nor to come knows that they were dropped.
// With sure they are known to be of the content's version. It fails with the local
// disk's error.
func (c *content) fill(s *stream, p []byte, sure bool) error {
	if err := c.lockFile(); err != nil {
		return err
	}
	defer c.io.RUnlock()
	if c.f == nil {
		return os.ErrClosed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stale {
		return changedWhileRead(c)
	}
	off, end := s.pos, s.pos+int64(len(p))
	for at := off; ; {
		r, ok := c.missingLocked(at, end)
		if !ok {
			break
		}
		if _, err := c.f.WriteAt(p[r.Off-off:r.End-off], r.Off); err != nil {
			return err
		}
		c.have.Add(r.Off, r.End)
		if !sure {
			c.unsure.Add(r.Off, r.End)
		}
		c.filledLocked(r.Len())
		at = r.End
	}
	if !sure {
		c.filled = time.Now()
	}
	s.pos = end
	c.broadcastLocked()
	return nil
}

// writeAt stores p, written by a user.
func (c *content) writeAt(p []byte, off int64) (int, error) {
	if err := c.lockFile(); err != nil {
		return 0, err
	}
	defer c.io.RUnlock()
	if c.f == nil {
		return 0, os.ErrClosed
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.refusedLocked(off); err != nil {
		return 0, err
	}
	from := min(off, c.size) // a gap becomes zeros
	c.changesLocked(from, off+int64(len(p)))
	n, err := c.f.WriteAt(p, off)
	if n > 0 {
		end, was := off+int64(n), c.size
		c.have.Add(off, end)
		c.dirty.Add(from, end)
		c.unsure.Remove(from, end)
		c.size = max(c.size, end)
		if c.out != nil {
			c.broadcastLocked()
		}
		if c.marks != nil {
			if merr := c.marks.add(from, end); err == nil && merr != nil {
				if end > was && c.f.Truncate(was) == nil {
					c.have.Truncate(was)
					c.dirty.Truncate(was)
					c.size = was
				}
				return 0, &unmarkedError{merr} // not accepted: a crash would lose it
			}
		}
	}
	return n, err
}

// cut forgets what lies beyond size, in memory alone; undo takes that back as long
// as nothing else was done to the content.
func (c *content) cut(size int64) (undo func()) {
	c.io.RLock()
	defer c.io.RUnlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.size >= 0 {
		c.changesLocked(min(size, c.size), max(size, c.size))
	}
	have, dirty, unsure, base, was, ours, gone := c.have.Clone(), c.dirty.Clone(), c.unsure.Clone(), c.base, c.size, c.ours, c.gone
	if size == 0 {
		c.ours, c.gone = true, 0
	}
	if size < c.size || c.size < 0 {
		c.have.Truncate(size)
		c.dirty.Truncate(size)
		c.unsure.Truncate(size)
		if c.base > size || c.base < 0 {
			c.base = size
		}
		for _, s := range c.streams {
			if s.pos >= size {
				s.cancel()
			}
		}
	} else if size > c.size {
		c.dirty.Add(c.size, size) // after a cut this may be where the server has other bytes
	}
	c.size = size
	c.broadcastLocked()
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.have, c.dirty, c.unsure, c.base, c.size, c.ours, c.gone = have, dirty, unsure, base, was, ours, gone
	}
}

// resize gives the file on disk the size: what it grows by is a hole of zeros.
func (c *content) resize(size int64) error {
	if err := c.lockFile(); err != nil {
		return err
	}
	defer c.io.RUnlock()
	if c.f == nil {
		return os.ErrClosed
	}
	return c.f.Truncate(size)
}

// readHeld reads what is held of [off, off+len(p)), and says whether that is all
// there is of it.
func (c *content) readHeld(p []byte, off int64) (n int, all bool, err error) {
	if err := c.lockFile(); err != nil {
		return 0, false, err
	}
	defer c.io.RUnlock()
	c.mu.Lock()
	end := off + int64(len(p))
	if c.size >= 0 {
		end = min(end, c.size)
	}
	if off >= end {
		known := c.size >= 0
		c.mu.Unlock()
		return 0, known, nil
	}
	if off < c.gone {
		err := c.goneLocked("read")
		c.mu.Unlock()
		return 0, false, err
	}
	upTo := end
	r, missing := c.missingLocked(off, end)
	if missing {
		upTo = r.Off
	}
	if c.size < 0 {
		missing = true
	}
	c.mu.Unlock()
	if c.f == nil {
		if missing && upTo <= off {
			return 0, false, nil
		}
		return 0, false, os.ErrClosed
	}
	if upTo <= off {
		return 0, false, nil
	}
	n, err = c.f.ReadAt(p[:upTo-off], off)
	if n == int(upTo-off) {
		err = nil
	} else if err == nil {
		err = errShort
	}
	if lost := c.lostMeanwhile(off, upTo); lost != nil {
		return 0, false, lost
	}
	return n, !missing || n == len(p), err
}

// dropBehind frees what lies well behind the streams of a file that is larger than
// the cache has room for. It returns the bytes freed.
func (c *content) dropBehind(keep int64) int64 {
	c.io.Lock()
	defer c.io.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spooled || c.closed || c.f == nil {
		return 0
	}
	var freed int64
	defer func() { c.heldLocked(-freed) }()
	for _, r := range c.have.Ranges() {
		for _, cut := range cutOut(r, c.last-keep, c.last+keep) {
			if punchHole(c.f, cut.Off, cut.End-cut.Off) != nil {
				return freed
			}
			c.have.Remove(cut.Off, cut.End)
			freed += cut.End - cut.Off
		}
	}
	return freed
}

// cutOut is r without [from, to).
func cutOut(r ranges.Range, from, to int64) []ranges.Range {
	var out []ranges.Range
	if e := min(r.End, from); e > r.Off {
		out = append(out, ranges.Range{Off: r.Off, End: e})
	}
	if o := max(r.Off, to); r.End > o {
		out = append(out, ranges.Range{Off: o, End: r.End})
	}
	return out
}
