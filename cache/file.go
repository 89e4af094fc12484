package cache

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"ftpfs/cache/remote"
	"ftpfs/cache/spool"
)

// File is the state of one regular file, shared by all its handles. It is clean
// (the server's content is the truth, cur holds some of it) or owed: then cur,
// size, mtime and mode are the truth and a record in the spool says so. An owed
// file is open, waiting, uploading or parked; any write makes gen grow, and an
// upload counts only if gen is what it was when it began.
type File struct {
	node  *Node         // immutable
	short atomic.Bool   // when it was last closed: uploading it takes a moment
	pub   chan struct{} // holds one token: order: see doc.go

	rec sync.RWMutex // shared by writes, exclusive to save the record; order: see doc.go

	// guarded by tree.mu
	handles     int
	writers     int      // of handles
	unflushed   int      // of writers: wrote since their last flush
	cur         *content // nil: nothing held
	owed        bool
	id          uint64 // of the record, if owed
	size        int64
	mtime       time.Time
	mode        *uint32         // to be set on the server
	modeKept    bool            // it is the server's, as last told, and was not set here
	base        *remote.Version // what may be replaced on the server; nil: born here
	gen         uint64          // counts changes of content
	changes     uint64          // and of attributes too
	saved       uint64          // changes in the record
	temp        string          // name of an upload that may lie on the server
	tempDir     *Node           // and where
	tail        *spool.Tail     // what may be behind the base on the server, from here
	sent        *remote.Version // what a publication without an answer would have left there
	sentChanges uint64          // and the changes that were in it
	savedOpen   bool            // the record says that a writer has not closed yet
	created     time.Time
	reserved    int64  // bytes of spool space
	parked      error  // refused for good
	interrupted bool   // was open for writing when the daemon died
	failed      error  // of the last attempt
	judged      uint64 // gen when that ended
	attempts    int
	corrupt     int       // uploads in a row that arrived corrupted
	retryAt     time.Time // not before, after a failure
	published   uint64    // changes that reached the server
	want        uint64    // changes somebody waits for: publish also while open
	dirtyAt     time.Time // of the first change that is not on the server
	shippedAt   time.Time // when the last publication ended, and how long it took
	shipTook    time.Duration
	ship        *shipment // the upload under way
	closedAt    time.Time // when the last writer closed
	late        bool      // the upload waits for close: it was called off, or the server does not append
	triedAt     int64     // how much was written when an early upload was last thought of
	squeezed    bool      // a writer waits for room that only its own upload can make
	lost        error     // what is gone cannot be had back: see through.go
	timing      bool      // its time is just being set on the server
	sentBytes   atomic.Int64
}

// fileLocked returns n's File, made if there is none.
func (n *Node) fileLocked() *File {
	if n.file == nil {
		n.file = &File{node: n, pub: make(chan struct{}, 1)}
		n.file.pub <- struct{}{}
	}
	return n.file
}

// freeze keeps f from being published, renamed or removed until thaw.
func (f *File) freeze(ctx context.Context) error {
	select {
	case <-f.pub:
		return nil
	default:
	}
	select {
	case <-f.pub:
		return nil
	case <-ctx.Done():
		return canceled("wait for", f.node, ctx)
	}
}

// thaw ends a freeze; tree.mu is not held.
func (f *File) thaw() {
	f.pub <- struct{}{}
	t := f.node.tree
	t.mu.Lock()
	t.releaseLocked(f.node)
	t.mu.Unlock()
}

func (f *File) neededLocked() bool {
	return f.handles > 0 || f.owed || f.cur != nil || f.ship != nil || len(f.pub) == 0
}

func (f *File) path() string {
	f.node.tree.mu.Lock()
	defer f.node.tree.mu.Unlock()
	return f.node.pathLocked()
}

// contentLocked returns what is held of f, an empty content of the version known if
// nothing is.
func (f *File) contentLocked() *content {
	if f.cur == nil {
		f.cur = newContent(f, f.node.ent.version())
	}
	return f.cur
}

func (f *File) attrLocked(a *Attr) {
	if f.owed || f.node.removed && f.cur != nil {
		a.Size, a.MTime = f.size, f.mtime
		a.Valid = max(f.node.tree.cfg.DirCacheTime, time.Second)
		if f.mode != nil && !(f.modeKept && a.HasMode) {
			a.Mode, a.HasMode = *f.mode, true
		}
		return
	}
	if f.cur != nil && a.Size < 0 {
		f.cur.mu.Lock()
		a.Size = f.cur.size
		f.cur.mu.Unlock()
	}
}

// touchedLocked counts a change of what f holds. Why the last attempt failed is told until
// the next one.
func (f *File) touchedLocked() {
	f.gen++
	f.changes++
	if f.lost == nil { // else a write that was under way does not make it whole again
		if f.interrupted {
			f.failed = nil // that it was cut off is settled by the write
		}
		f.parked, f.interrupted = nil, false
	}
	if f.dirtyAt.IsZero() {
		f.dirtyAt = time.Now()
		f.node.tree.ageLocked(f)
	}
}

// staleLocked takes in that the server's file is no longer the one that cur is of. Who
// has it open keeps it, as an inode of its own.
func (f *File) staleLocked() {
	c := f.cur
	if c == nil || f.owed {
		return
	}
	t := f.node.tree
	if f.handles > 0 {
		t.lostLocked(f.node)
		return
	}
	f.cur = nil
	t.disk.forgetLocked(f)
	c.retire()
	if c.users == 0 {
		t.letGo(c)
	}
}

// dropContentLocked lets go of what is held of a clean file that nobody has open.
func (f *File) dropContentLocked() {
	c := f.cur
	f.cur = nil
	f.node.tree.disk.forgetLocked(f)
	f.node.tree.letGo(c)
}

// remoteChanged is called when a transfer found that the server's file is not, or
// no longer, the version c is of.
func (f *File) remoteChanged(c *content) {
	t := f.node.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	c.mu.Lock()
	untouched := c.have.Empty()
	c.mu.Unlock()
	if f.cur == c && !f.owed && !untouched {
		f.staleLocked()
	}
	f.node.at = time.Time{}
	if p := f.node.parent; p != nil && p.list != nil {
		p.list.fetched = time.Time{}
	}
}

// learnVersion takes in an entry that a rebased content now is of.
func (f *File) learnVersion(e entry) {
	t := f.node.tree
	t.mu.Lock()
	if n := f.node; !n.removed && n.parent != nil && !f.owed {
		e.inherit(&n.ent)
		t.noteLocked(n.parent, n.name, e)
	}
	t.mu.Unlock()
	t.tellChanged(f.node)
}

// owedNowLocked counts f among the owed files.
func (f *File) owedNowLocked() {
	if !f.owed {
		f.owed = true
		f.created = time.Now()
		f.node.parent.owed++
		f.node.tree.owed[f] = struct{}{}
	}
}

// cleanNowLocked ends that.
func (f *File) cleanNowLocked() {
	t := f.node.tree
	clear(t.outage)
	if f.owed {
		f.owed = false
		f.node.parent.owed--
		delete(t.owed, f)
		t.space.release(f.reserved)
		f.reserved = 0
	}
	if c := f.cur; c != nil {
		c.mu.Lock()
		c.endLeanLocked()
		c.tailOverLocked()()
		c.mu.Unlock()
	}
	f.tail = nil
	f.parked, f.failed, f.interrupted, f.attempts, f.mode, f.base, f.want = nil, nil, false, 0, nil, nil, 0
	f.dirtyAt, f.retryAt, f.late, f.triedAt, f.lost, f.squeezed = time.Time{}, time.Time{}, false, 0, nil, false
	t.changedLocked()
}

// tempPathLocked is the path of an upload that may lie on the server, "" if none does.
func (f *File) tempPathLocked() string {
	if f.temp == "" {
		return ""
	}
	return join(f.tempDir.pathLocked(), f.temp)
}

// save writes the record of an owed file; f.rec is held exclusively. open says that
// a writer has not closed yet; durable that a power cut must not undo it.
func (f *File) save(open, durable bool) error {
	if durable {
		return f.saveBy(open, syncRecord)
	}
	return f.saveBy(open, putRecord)
}

func putRecord(t *Tree, r *spool.Record, _ *content) error { return t.spool.Put(r) }

// noteRecord is for what is not worth the last room on the disk.
func noteRecord(t *Tree, r *spool.Record, _ *content) error { return t.spool.Note(r) }

func syncRecord(t *Tree, r *spool.Record, c *content) error {
	if err := c.lockFile(); err != nil {
		return err
	}
	defer c.io.RUnlock()
	return t.spool.Sync(r, c.f)
}

// saveBy is save, which hands the record and the content that it is of to put.
func (f *File) saveBy(open bool, put func(*Tree, *spool.Record, *content) error) error {
	t := f.node.tree
	t.mu.Lock()
	if f.node.removed || !f.owed {
		t.mu.Unlock()
		return nil
	}
	c, changes := f.cur, f.changes
	r := spool.Record{ID: f.id, Path: f.node.pathLocked(), Base: f.base, Size: f.size, Open: open, Mode: f.mode, ModeKept: f.modeKept,
		Interrupted: f.interrupted,
		Created:     f.created, Attempts: f.attempts, Parked: f.parked != nil && heldBy(f.parked) == nil, Temp: f.tempPathLocked(), Tail: f.tail, Sent: f.sent}
	mtime := f.mtime
	r.MTime = &mtime
	if err := f.lastErrorLocked(); err != nil && heldBy(err) == nil {
		r.LastError = err.Error()
	}
	t.mu.Unlock()
	c.mu.Lock()
	r.Have, r.Dirty = c.have.Clone(), c.dirty.Clone()
	for _, u := range c.unsure.Ranges() {
		r.Have.Remove(u.Off, u.End) // of which version they are is forgotten after a crash
	}
	if c.base >= 0 && c.base < r.Size {
		r.Have.Add(c.base, r.Size) // what lies beyond the base was written, or is a hole
	}
	r.Have.Remove(0, c.gone)
	r.Gone = c.gone
	r.Resume = !open && r.Temp != "" && c.changed == unchanged
	c.mu.Unlock()
	if err := put(t, &r, c); err != nil {
		return err
	}
	t.mu.Lock()
	f.saved, f.savedOpen = changes, open
	t.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.marks != nil {
		return c.marks.reset()
	}
	return nil
}

// savePromptly has the record on disk, where a power cut must not bring back the one
// before. Where the disk refuses that, at least a killed daemon loses nothing. f.rec is
// held exclusively.
func (f *File) savePromptly(open bool) error {
	if f.save(open, true) == nil {
		return nil
	}
	return f.save(open, false)
}

func (f *File) lastErrorLocked() error {
	if f.parked != nil {
		return f.parked
	}
	return f.failed
}
