package cache

import (
	"context"
	"slices"

	"ftpfs/cache/remote"
)

// listLocked lists a directory ahead of the asking, unless its listing is known or under way.
func (a *ahead) listLocked(r *row, name string) {
	t := a.tree
	e, ok := r.dir.list.ents.get(name)
	if !ok || e.typ != remote.Dir || t.lists.entries > t.lists.max/2 {
		return // it would drive out what somebody uses
	}
	n := t.nodeLocked(r.dir, name, e, r.dir.list.fetched)
	if n.typ != remote.Dir || n.fetch != nil || n.list != nil && t.fresh(n.list.fetched) > 0 {
		t.releaseLocked(n)
		return
	}
	a.beginLocked(r, n)
}

// beginLocked begins to list n, for r if that is not nil.
func (a *ahead) beginLocked(r *row, n *Node) {
	t := a.tree
	f := newFetch()
	ctx, hurry := remote.Ahead(t.ctx)
	f.hurry, n.fetch = hurry, f
	path := n.pathLocked()
	a.running++
	if !t.spawn(func() {
		t.fetchListing(ctx, n, f, path)
		a.ended(r, f.err)
	}) {
		n.fetch = nil
		a.running--
	}
}

// fetchLocked fetches a small file ahead of the asking, if nothing of it is held, and
// nobody works with it.
func (a *ahead) fetchLocked(r *row, name string) {
	t := a.tree
	e, ok := r.dir.list.ents.get(name)
	if !ok || e.typ != remote.File || e.size <= 0 || e.size > wholeBelow || t.disk.held.Load()+e.size > t.disk.max/2 {
		return
	}
	n := t.nodeLocked(r.dir, name, e, r.dir.list.fetched)
	if n.typ != remote.File || n.file != nil && n.file.neededLocked() {
		t.releaseLocked(n)
		return
	}
	n.refs++
	f := n.fileLocked()
	c := f.contentLocked()
	c.users++
	c.early.Store(true)
	a.running++
	done := func(err error) {
		t.mu.Lock()
		if c.users--; c != f.cur {
			if c.users == 0 {
				t.letGo(c)
			}
		} else if f.handles == 0 && !f.owed {
			if err != nil {
				f.dropContentLocked()
			} else {
				t.disk.restLocked(f)
			}
		}
		t.unrefLocked(n)
		t.mu.Unlock()
		t.disk.trim()
	}
	if !t.spawn(func() {
		err := c.fetchAhead()
		done(err)
		a.ended(r, err)
	}) { // the tree closes, which closes what is held
		a.running--
		c.users--
		n.refs--
	}
}

// ended makes room for the next one. After a failure nothing more is fetched for r until it
// is seen to go on.
func (a *ahead) ended(r *row, err error) {
	t := a.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	a.running--
	if err != nil && r != nil {
		r.lost()
	}
	a.pumpLocked()
}

// fetchAhead fetches all of a content of which nothing is held yet, while nobody waits for
// it. It returns when the transfer has ended, whoever has joined it meanwhile.
func (c *content) fetchAhead() error {
	if err := c.ensureFile(); err != nil {
		return err // cached files do not give way to what nobody has asked for
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.inMemory || c.usableLocked() != nil || len(c.streams) > 0 || !c.have.Empty() || c.spooled {
		return nil
	}
	ctx, hurry := remote.Ahead(c.tree.ctx)
	s := c.streamLocked(ctx, 0, c.size)
	s.hurry = hurry
	for slices.Contains(c.streams, s) {
		wake := c.wake
		c.mu.Unlock()
		select {
		case <-wake:
			c.mu.Lock()
		case <-c.tree.ctx.Done(): // the transfer may never have begun
			c.mu.Lock()
			return errClosing("read", c.file.node)
		}
	}
	if s.err == nil && !c.wholeLocked() {
		return context.Canceled // it was cut off
	}
	return s.err
}
