package cache

import (
	"context"
	"fmt"
	"strings"
	"time"

	"ftpfs/cache/remote"
)

// OpenFlags say what an open file will be used for.
type OpenFlags struct {
	Read, Write, Append, Truncate bool
}

// Handle is one open file. Its methods may be called by several goroutines.
type Handle struct {
	tree *Tree     // immutable
	file *File     // immutable
	fl   OpenFlags // immutable
	keep bool      // immutable

	c        *content // guarded by tree.mu: what was current at open
	wrote    bool     // guarded by tree.mu
	released bool     // guarded by tree.mu

	unflushed bool // guarded by tree.mu: wrote since its last flush
}

// Open opens a regular file. If what is known of it is older than DirCacheTime the
// server is asked first. An inode that somebody replaced on the server, or that has been
// renamed behind the caller's back, is Changed: the caller looks its name up again.
func (t *Tree) Open(ctx context.Context, n *Node, fl OpenFlags) (*Handle, error) {
	if fl.Write && t.cfg.ReadOnly {
		return nil, errReadOnly("open", n)
	}
	if n.typ != remote.File {
		return nil, &remote.Error{Op: "open", Path: t.PathOf(n), Kind: remote.Unsupported, Text: "not a regular file"}
	}
	if _, err := t.GetAttr(ctx, n); err != nil {
		return nil, err
	}
	if err := t.confirm(ctx, n); err != nil {
		return nil, err
	}
	t.mu.Lock()
	if t.isLostLocked(n) {
		t.mu.Unlock()
		return nil, errStale("open", n)
	}
	h := &Handle{tree: t, file: t.openFileLocked(n, fl), fl: fl}
	h.c = h.file.contentLocked()
	h.c.users++
	h.keep = n.seen == h.c.id
	changed := n.seen != 0 && !h.keep
	n.seen = h.c.id
	t.disk.forgetLocked(h.file)
	h.c.early.Store(false)
	if fl.Read && !fl.Write {
		t.ahead.askedLocked(n.parent, n.name, remote.File)
	}
	t.mu.Unlock()
	if changed {
		t.tellChanged(n)
	}
	if err := t.disk.opening(h.c.openFile); err != nil {
		h.Release()
		return nil, err
	}
	if fl.Truncate {
		if err := h.Truncate(ctx, 0); err != nil {
			h.Release()
			return nil, err
		}
	}
	return h, nil
}

// isLostLocked says that nothing can be opened of n by the name that the caller knows: n is
// not under it any more, and not one of those that were removed here and are still open.
func (t *Tree) isLostLocked(n *Node) bool {
	return n.strayed || n.removed && (n.file == nil || n.file.cur == nil || n.file.cur.isStale())
}

// openFileLocked counts a handle. Its content is to be taken in the same moment: of a file
// without, that vanishes, nobody would know that it is lost.
func (t *Tree) openFileLocked(n *Node, fl OpenFlags) *File {
	f := n.fileLocked()
	f.handles++
	if fl.Write {
		f.writers++
		if f.owed && f.failed == nil { // else it is looked at when it is tried again
			t.ageLocked(f)
		}
	}
	return f
}

// Create makes and opens a new file; with excl false an existing one is opened. It
// costs nothing on the server until the file is closed.
func (t *Tree) Create(ctx context.Context, dir *Node, name string, mode uint32, excl bool, fl OpenFlags) (*Node, *Handle, Attr, error) {
	if t.cfg.ReadOnly {
		return nil, nil, Attr{}, errReadOnly("create", dir)
	}
	if err := checkName("create", t.PathOf(dir), name); err != nil {
		return nil, nil, Attr{}, err
	}
	n, _, err := t.Lookup(ctx, dir, name)
	if err == nil {
		if excl {
			t.Forget(n)
			return nil, nil, Attr{}, &remote.Error{Op: "create", Path: join(t.PathOf(dir), name), Kind: remote.Exist}
		}
		h, err := t.Open(ctx, n, fl)
		if err != nil {
			t.Forget(n)
			return nil, nil, Attr{}, err
		}
		t.mu.Lock()
		defer t.mu.Unlock()
		return n, h, t.attrLocked(n), nil
	}
	if !remote.Is(err, remote.NotExist) {
		return nil, nil, Attr{}, err
	}
	if err := t.storable(ctx, "create", dir, name, nil); err != nil {
		return nil, nil, Attr{}, err
	}
	now := entry{typ: remote.File, mode: uint16(mode & 0o7777), flags: hasMode, mtime: time.Now().Unix(), grain: grainSecond}
	if n, err = t.bear(dir, name, mode&0o7777, now); err != nil {
		return nil, nil, Attr{}, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	h := &Handle{tree: t, file: t.openFileLocked(n, fl), fl: fl}
	h.c = h.file.contentLocked() // which somebody who waits for it may have published, and others driven out
	h.wroteLocked()
	h.c.users++
	n.seen = h.c.id
	t.touchDirLocked(dir)
	return n, h, t.attrLocked(n), nil
}

// KeepCache says that the content is the same as at the previous open, so that the
// kernel's pages are good.
func (h *Handle) KeepCache() bool { return h.keep }

// wroteLocked notes that the handle has changed the file, which a later flush is to
// close.
func (h *Handle) wroteLocked() {
	h.wrote = true
	if !h.unflushed {
		h.unflushed = true
		h.file.unflushed++
	}
}

func (h *Handle) flushedLocked() {
	if h.unflushed {
		h.unflushed = false
		h.file.unflushed--
	}
}

// Flush is called at each close(2) of a descriptor: what was written is in the
// spool. A restart publishes from its record if every other handle that wrote was
// flushed since too; else the file is in the middle of a change, and kept for a
// person to decide.
func (h *Handle) Flush(ctx context.Context) error {
	t, f := h.tree, h.file
	t.mu.Lock()
	wrote, changes := h.wrote && f.owed, f.changes
	h.flushedLocked()
	lost := f.lost
	t.mu.Unlock()
	switch {
	case !h.fl.Write || !wrote:
		return nil
	case lost != nil:
		return lost
	}
	if err := f.saveFlushed(); err != nil {
		t.mu.Lock()
		h.wroteLocked()
		t.mu.Unlock()
		return fmt.Errorf("keep %s in the spool: %w", t.PathOf(f.node), err)
	}
	t.mu.Lock()
	through := f.throughLocked() && f.unflushed == 0
	t.mu.Unlock()
	if t.cfg.SyncClose || through {
		return t.publishNow(ctx, f, changes)
	}
	return nil
}

// saveFlushed brings the record up to date, as of a file whose writers have closed, if
// all of them have.
func (f *File) saveFlushed() error {
	t := f.node.tree
	f.rec.Lock()
	defer f.rec.Unlock()
	t.mu.Lock()
	open := f.unflushed > 0
	same := f.saved == f.changes && f.savedOpen == open
	t.mu.Unlock()
	if same {
		return nil
	}
	return f.save(open, false)
}

// lostNow says why f cannot be had back, if so.
func (f *File) lostNow() error {
	t := f.node.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	return f.lost
}

// Fsync makes what was written durable: in the spool, or on the server if the mount
// was told so. What is not here any more cannot be made so.
func (h *Handle) Fsync(ctx context.Context) error {
	t, f := h.tree, h.file
	t.mu.Lock()
	owed, changes, lost := f.owed, f.changes, f.lost
	if lost == nil && owed && f.throughLocked() {
		f.cur.mu.Lock()
		lost = f.cur.goneLocked("fsync")
		f.cur.mu.Unlock()
	}
	t.mu.Unlock()
	switch {
	case !owed:
		return nil
	case lost != nil:
		return lost
	}
	f.rec.Lock()
	t.mu.Lock()
	open := f.savedOpen
	t.mu.Unlock()
	err := f.save(open, true)
	f.rec.Unlock()
	if err != nil {
		return fmt.Errorf("fsync %s: %w", t.PathOf(f.node), err)
	}
	if t.cfg.FsyncServer {
		return t.publishNow(ctx, f, changes)
	}
	return nil
}

// Release ends the handle. After a file's last writer it is published, a moment
// later, so that temporary names are usually gone by then.
func (h *Handle) Release() {
	t, f := h.tree, h.file
	t.mu.Lock()
	if h.released {
		t.mu.Unlock()
		return
	}
	h.released = true
	f.handles--
	h.flushedLocked()
	if h.fl.Write {
		f.writers--
	}
	last := h.fl.Write && f.writers == 0 && f.owed
	if h.c.users--; h.c != f.cur && h.c.users == 0 {
		t.letGo(h.c)
	}
	if f.handles == 0 && f.cur != nil && !f.owed {
		if f.node.removed {
			f.dropContentLocked()
		} else {
			t.disk.restLocked(f)
		}
	}
	t.releaseLocked(f.node)
	t.mu.Unlock()
	if last {
		if err := f.saveFlushed(); err != nil {
			t.cfg.Log.Error("cannot update the spool's record; the file stays owed", "path", t.PathOf(f.node), "err", err)
		}
		t.mu.Lock()
		if f.owed && f.writers == 0 {
			t.closedLocked(f, time.Now())
		}
		t.mu.Unlock()
	}
	t.disk.trim()
	t.rest(f)
}

// checkName refuses names that cannot be sent to any server, or that are ours.
func checkName(op, dir, name string) error {
	switch {
	case strings.ContainsAny(name, "\r\n\x00"):
		return &remote.Error{Op: op, Path: fmt.Sprintf("%q", join(dir, name)), Kind: remote.BadName, Text: "FTP cannot carry a line break in a name"}
	case isTemp(name):
		return &remote.Error{Op: op, Path: join(dir, name), Kind: remote.BadName, Text: "reserved for uploads under way"}
	}
	return nil
}

// touchDirLocked gives dir the present time as its own, as the server will have.
func (t *Tree) touchDirLocked(dir *Node) {
	t.forgetDirTimeLocked(dir)
	if dir.ent.grain == grainNone && dir.parent != nil {
		t.dropTimeLocked(dir)
		return
	}
	dir.ent.mtime, dir.ent.grain = time.Now().Unix(), grainSecond
	dir.ent.flags = dir.ent.flags&^shownSet | guessed
	t.dropTimeLocked(dir)
	if p := dir.parent; p != nil && p.list != nil {
		if _, ok := p.list.ents.get(dir.name); ok {
			p.list.ents.put(dir.name, dir.ent)
		}
	}
}
