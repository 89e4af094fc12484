package cache

import "context"

// A file of which only the tail was written is lean: its base is neither fetched nor is
// room reserved for it, until something is written there. What readers fetch of it
// meanwhile is counted as it comes (lent).

// mayBeLean says whether a write at off, the first one, leaves the base alone.
func (c *content) mayBeLean(off int64) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.base > c.tree.cfg.leanAbove && c.base == c.ver.Size && off >= c.base && !c.tree.store.Caps().NoAppend
}

// becomeLeanLocked counts what is held of the base as owed, now that it is in the spool.
func (c *content) becomeLeanLocked() {
	c.lean, c.lent = true, c.have.Len()
	c.tree.space.take(c.lent)
}

// filledLocked counts n bytes that were fetched.
func (c *content) filledLocked(n int64) {
	switch {
	case !c.spooled:
		c.heldLocked(n)
	case c.lean:
		c.lent += n
		c.tree.space.take(n)
	}
}

// endLeanLocked gives back what was counted.
func (c *content) endLeanLocked() {
	c.tree.space.release(c.lent)
	c.lean, c.lent = false, 0
}

// touchesLean says whether a write at off is to the base of a file that is owed without it.
// With f.rec held, shared at least, it does not become so meanwhile.
func (f *File) touchesLean(c *content, off int64) bool {
	t := f.node.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	return f.owed && f.cur == c && c.lean && off < c.base
}

// touchBase reserves room for the base and has it fetched, before a write at off that
// is not behind it.
func (f *File) touchBase(ctx context.Context, c *content, off int64) error {
	t := f.node.tree
	c.mu.Lock()
	touched := c.lean && off < c.base
	missing := int64(0)
	for _, r := range c.have.Missing(0, max(c.base, 0)) {
		missing += r.Len()
	}
	c.mu.Unlock()
	if !touched {
		return nil
	}
	if err := t.reserve(ctx, missing); err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.lean || !f.owed || f.cur != c {
		t.space.release(missing) // somebody else was faster
		return nil
	}
	f.reserved += missing + c.lent // what was fetched meanwhile is counted twice, until it is published
	c.lean, c.lent = false, 0
	t.spawn(func() { c.fetchBase(t.ctx) })
	return nil
}
