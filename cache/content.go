package cache

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"

	"ftpfs/cache/ranges"
	"ftpfs/cache/remote"
)

// content is the bytes of one file, as far as they are held: a sparse file on disk
// and the ranges of it that count. Below base they come from the server's version
// ver or were written here; from base to size they were written here, or are holes.
//
// A content belongs to one version. When the server's file changes, the File gets
// another content and this one turns stale: handles read on in it only what is held.
type content struct {
	tree *Tree  // immutable
	file *File  // immutable
	id   uint64 // immutable: the kernel's pages are good while the file's content has this id

	io sync.RWMutex // order: see doc.go
	f  *os.File     // guarded by io
	// guarded by io: the record whose data file is f's, while that is closed for the
	// time being (descriptor.go); else 0
	shut uint64

	mu      sync.Mutex // guards what follows
	path    string     // of f, while clean; "" when in the spool or unlinked
	ver     remote.Version
	base    int64 // bytes of ver that may still be wanted; -1: the server did not say
	size    int64 // -1: unknown until a stream found the end
	have    ranges.Set
	dirty   ranges.Set // what is not the server's: written here, or a hole made here
	unsure  ranges.Set // fetched, and not known to be of ver: confirm.go
	filled  time.Time  // when the last of it was
	seen    time.Time  // when the server last said that ver was there
	spooled bool       // f is in the spool
	held    int64      // bytes counted against the cache's bound
	stale   bool
	closed  bool
	users   int    // handles; guarded by tree.mu
	marks   *marks // writes since the record was saved; nil while the length tells
	streams []*stream
	wake    chan struct{} // closed and replaced when ranges or streams change
	ahead   int64         // how far to read ahead of the last reader
	last    int64         // where the last read ended

	// What uploads need to know (feed.go, through.go).
	ours     bool       // no byte comes from the server: born here, or cut to nothing
	out      *feed      // the upload under way reads from it; nil: none
	claimed  int64      // bytes that were sent, or may have been, under the temporary name
	changed  int64      // where the first of them lies that is another now; or unchanged
	since    ranges.Set // written since the end of the last upload was decided
	gone     int64      // bytes before it are on the server alone, under the temporary name
	squeezed int        // writers that wait until the upload has made room

	// And appending (tail.go).
	lean bool  // nothing of the base was written: it is fetched only for readers
	lent int64 // bytes of it counted as owed
	// The server's file may hold any beginning of [growFrom, growTo), from here; 0: not.
	growFrom, growTo int64
	sent             *os.File // what that part was before it was written over; nil: it was not
	sentPath         string   // of that file
	torn             bool     // it was written over, and could not be kept

	inMemory bool // f has no disk: fulldisk.go
}

// newContent is empty, for the server's version ver.
func newContent(f *File, ver remote.Version) *content {
	t := f.node.tree
	return &content{tree: t, file: f, id: t.contentIDs.Add(1), ver: ver, base: ver.Size, size: ver.Size,
		wake: make(chan struct{}), ahead: minAhead, changed: unchanged}
}

func (c *content) version() remote.Version {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ver
}

// learn takes in a more exact description of the same version, as of time at.
func (c *content) learn(v remote.Version, at time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.confirmLocked(at)
	if c.ver.Size < 0 {
		c.ver.Size = v.Size
	}
	if v.MGrain > 0 && (c.ver.MGrain == 0 || v.MGrain < c.ver.MGrain) {
		c.ver.MTime, c.ver.MGrain = v.MTime, v.MGrain
	}
	if c.ver.Unique == "" {
		c.ver.Unique = v.Unique
	}
}

// broadcastLocked wakes everybody who waits for a change.
func (c *content) broadcastLocked() {
	close(c.wake)
	c.wake = make(chan struct{})
}

// missingLocked is the first part of [off, end) that must still be fetched.
func (c *content) missingLocked(off, end int64) (ranges.Range, bool) {
	if c.base >= 0 {
		end = min(end, c.base)
	}
	if c.size >= 0 {
		end = min(end, c.size)
	}
	if off >= end {
		return ranges.Range{}, false
	}
	return c.have.NextMissing(off, end)
}

// wholeLocked says whether nothing need be fetched any more.
func (c *content) wholeLocked() bool {
	if c.size < 0 {
		return false
	}
	_, missing := c.missingLocked(0, c.size)
	return !missing
}

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
	f, err := os.CreateTemp(c.tree.cfg.CacheDir, "c")
	inMemory := errors.Is(err, syscall.ENOSPC)
	if inMemory {
		f, err = memory()
	}
	if err != nil {
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

// close lets go of the file and what it holds on disk. The content is not used again.
func (c *content) close() {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed = true
	for _, s := range c.streams {
		s.cancel()
	}
	path := c.path
	c.heldLocked(-c.held)
	c.path = ""
	c.endLeanLocked()
	if c.tree.ctx.Err() == nil { // at the end of the daemon the next may need it
		c.tailOverLocked()()
	} else if c.sent != nil {
		c.sent.Close()
		c.sent = nil
	}
	c.have = ranges.Set{}
	c.broadcastLocked()
	if c.marks != nil && c.tree.ctx.Err() == nil { // at the end of the daemon the record may lag
		c.marks.end()
	}
	c.mu.Unlock()
	c.io.Lock()
	f := c.f
	c.f, c.shut = nil, 0
	c.io.Unlock()
	if path != "" {
		os.Remove(path)
	}
	if f != nil {
		f.Close()
	}
}

// retire marks the content as of an old version: nothing is fetched for it any more.
func (c *content) retire() {
	c.mu.Lock()
	c.stale = true
	for _, s := range c.streams {
		s.cancel()
	}
	c.broadcastLocked()
	c.mu.Unlock()
}

// endFetching retires the content, unless all of it is held: the name that the rest
// would be fetched under is gone, or another file's.
func (c *content) endFetching() {
	c.mu.Lock()
	whole := c.wholeLocked()
	c.mu.Unlock()
	if !whole {
		c.retire()
	}
}

func (c *content) isStale() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stale
}

// fetchAll waits until the whole file is held.
func (c *content) fetchAll(ctx context.Context) error {
	for {
		c.mu.Lock()
		off := c.have.Covered(0)
		if r, missing := c.missingLocked(0, 1<<62); missing {
			off = r.Off
		}
		if c.wholeLocked() {
			c.mu.Unlock()
			return nil
		}
		c.mu.Unlock()
		if err := c.want(ctx, off, off+1, 1<<62); err != nil {
			return err
		}
	}
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
