package cache

import (
	"context"
	"os"
	"sync"
	"sync/atomic"
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

	early atomic.Bool // fetched ahead of the asking, and not opened since: ahead.go

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
	left    []int64       // where those ended that were left for another place: leaveLocked
	beside  bool          // several read side by side
	wake    chan struct{} // closed and replaced when ranges or streams change
	ahead   int64         // how far to read ahead of the last reader
	jumps   int           // of readers, in a row
	last    int64         // where the last read ended

	// What uploads need to know (feed.go, through.go).
	ours     bool       // no byte comes from the server: born here, or cut to nothing
	out      *feed      // the upload under way reads from it; nil: none
	sum      *sentSum   // of those that were sent last; nil: not known
	claimed  int64      // bytes that were sent, or may have been, under the temporary name
	changed  int64      // where the first of them lies that is another now; or unchanged
	since    ranges.Set // written since the end of the last upload was decided
	gone     int64      // bytes before it are on the server alone, under the temporary name
	squeezed int        // writers that wait until the upload has made room
	restarts bool       // the upload was cut, and begins again from its start: all has to be here

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
	switch {
	case c.marks == nil:
	case c.tree.ctx.Err() == nil:
		c.marks.end()
	default: // at the end of the daemon the record may lag
		c.marks.leave()
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

// letGo closes c in the background. While the tree closes, when nothing is begun any more,
// it is done at once. tree.mu may be held.
func (t *Tree) letGo(c *content) {
	if !t.spawn(c.close) {
		c.close()
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
