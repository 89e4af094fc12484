package cache

import (
	"context"

	"ftpfs/cache/remote"
)

// Unlink removes a file or symlink: locally if it never reached the server.
func (t *Tree) Unlink(ctx context.Context, dir *Node, name string) error {
	if t.cfg.ReadOnly {
		return errReadOnly("remove", dir)
	}
	if err := t.afterLook(ctx, "remove", join(t.PathOf(dir), name)); err != nil {
		return err
	}
	n, _, err := t.Lookup(ctx, dir, name)
	if err != nil {
		return err
	}
	defer t.Forget(n)
	if n.typ == remote.Dir {
		return &remote.Error{Op: "remove", Path: t.PathOf(n), Kind: remote.IsDir}
	}
	if err := t.keepForHandles(ctx, n); err != nil {
		return err
	}
	return t.do(ctx, "remove", n, func(ctx context.Context) error { return t.unlink(ctx, dir, n, name) }, dir)
}

func (t *Tree) unlink(ctx context.Context, dir, n *Node, name string) error {
	var f *File
	if n.typ == remote.File {
		t.mu.Lock()
		f = n.fileLocked()
		t.mu.Unlock()
		if err := t.freezeFor(ctx, f); err != nil {
			return err
		}
		defer f.thaw()
	}
	if err := t.stillThere("remove", dir, n, name); err != nil {
		return err
	}
	if err := t.restless("remove", t.PathOf(n)); err != nil { // what is removed now would be put back
		return err
	}
	if f != nil {
		if f.neverSent() {
			return t.unlinkUnsent(f, dir, name)
		}
		f.remember()
	}
	if err := t.store.Remove(ctx, t.PathOf(n)); err != nil {
		t.doubtAfter(err, dir)
		if !remote.Is(err, remote.NotExist) || f == nil || !f.isOwed() {
			return err
		}
	}
	gone := func() {
		t.noteGoneLocked(dir, name)
		t.detachLocked(n)
		t.touchDirLocked(dir)
	}
	if f != nil { // in one moment: it may be about to become owed
		return f.dropRecord(gone)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	gone()
	return nil
}

func (t *Tree) unlinkUnsent(f *File, dir *Node, name string) error {
	err := f.dropRecord(func() {
		t.noteGoneLocked(dir, name)
		t.detachLocked(f.node)
		t.touchDirLocked(dir)
	})
	t.removeTemp(f)
	return err
}

// neverSent says that the server cannot know f: there is nothing to remove or to
// rename there.
func (f *File) neverSent() bool {
	f.node.tree.mu.Lock()
	defer f.node.tree.mu.Unlock()
	return f.owed && f.base == nil && f.sent == nil
}

func (f *File) isOwed() bool {
	f.node.tree.mu.Lock()
	defer f.node.tree.mu.Unlock()
	return f.owed
}

// dropRecord ends what is owed of f, if anything is. now is called with tree.mu held, in
// the same moment. What handles have open stays readable.
func (f *File) dropRecord(now func()) error {
	f.rec.Lock()
	defer f.rec.Unlock()
	return f.dropRecordLocked(now)
}

// dropRecordLocked is dropRecord for who holds f.rec exclusively.
func (f *File) dropRecordLocked(now func()) error {
	t := f.node.tree
	t.mu.Lock()
	id, owed := f.id, f.owed
	if f.ship != nil {
		f.ship.cancel() // and removes what it has sent
	} else {
		t.removeTempLocked(f)
	}
	f.cleanNowLocked()
	c := f.cur
	now()
	if f.handles == 0 && f.cur == c && c != nil {
		f.cur = nil
		t.letGo(c)
	}
	t.releaseLocked(f.node)
	t.mu.Unlock()
	if !owed {
		return nil
	}
	t.queue.Cancel(f)
	return t.spool.Drop(id)
}

// keepBelow is how much is fetched of a file that is about to lose its name, for those
// who have it open.
const keepBelow = 16 << 20

// keepForHandles fetches the rest of a file that is open, before its name goes, so that
// whoever reads it can go on: as long as that is not much, and the caller waits. Of a
// larger one what is held can still be read, and the rest is ESTALE.
func (t *Tree) keepForHandles(ctx context.Context, n *Node) error {
	t.mu.Lock()
	f := n.file
	if f == nil || f.handles == 0 || f.cur == nil {
		t.mu.Unlock()
		return nil
	}
	c := f.cur
	t.mu.Unlock()
	c.mu.Lock()
	much := c.size-c.have.Len() > keepBelow
	c.mu.Unlock()
	if much {
		return nil
	}
	if err := c.fetchAll(ctx); err != nil && !remote.Is(err, remote.Changed) && !remote.Is(err, remote.NotExist) {
		return err
	}
	return nil
}

// remember takes down the attributes of a file that is open and about to lose its name,
// for those who have it open.
func (f *File) remember() {
	t := f.node.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	if f.handles > 0 && f.cur != nil {
		f.rememberLocked()
	}
}

func (f *File) rememberLocked() {
	if !f.owed {
		f.size, f.mtime = f.node.ent.size, f.node.ent.time()
	}
}
