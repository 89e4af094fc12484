package cache

import (
	"context"
	"time"

	"ftpfs/cache/ranges"
	"ftpfs/cache/remote"
)

// A transfer that somebody else's change of the file in place overtakes brings bytes of
// both versions. What was fetched is known to be of the content's version once the server
// says, later, that this version is still there. Until then it is served, to those who
// have the file open, but not reused by a later open without asking; and when a change is
// noticed it is not served to anybody any more.

// confirmAfter is how long a file stays open after a transfer until the server is asked
// whether what was fetched counts. Most files are closed by then.
const confirmAfter = time.Second

// confirmLocked takes in that the server still had the version at a time. Within the grain
// of its modification time a version cannot be told from its successor of the same size.
func (c *content) confirmLocked(at time.Time) {
	if at.After(c.seen) {
		c.seen = at
	}
	if at.After(c.filled) && (c.ver.MGrain == 0 || at.After(c.ver.MTime.Add(c.ver.MGrain))) {
		c.unsure = ranges.Set{}
	}
}

// lose retires the content of a file that somebody else replaced or removed, without what
// was not confirmed. It says whether there was any.
func (c *content) lose() (dropped bool) {
	c.mu.Lock()
	if !c.spooled {
		for _, r := range c.unsure.Ranges() {
			c.have.Remove(r.Off, r.End)
			dropped = true
		}
	}
	c.mu.Unlock()
	c.retire()
	return dropped
}

// lostMeanwhile is the error of a read of [off, end) that lose came in between of.
func (c *content) lostMeanwhile(off, end int64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stale && !c.closed && c.base > off && !c.have.Contains(off, min(end, c.base)) {
		return c.usableLocked()
	}
	return nil
}

// unconfirmed is when the last of what is held was fetched, if the server has not said
// since that it counts; else zero. What is being fetched just now counts as it comes.
func (c *content) unconfirmed() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spooled || c.stale || c.closed || c.unsure.Empty() || c.seen.After(c.filled) {
		return time.Time{}
	}
	for _, s := range c.streams {
		if !s.idle {
			return time.Time{}
		}
	}
	return c.filled
}

// confirm asks the server about n if something is held of it that was not confirmed. While
// the server is down that is as good as anything else known of it.
func (t *Tree) confirm(ctx context.Context, n *Node) error {
	for range 2 { // the first answer may be to a question that was under way
		t.mu.Lock()
		var since time.Time
		if f := n.file; f != nil && !f.owed && !n.removed && f.cur != nil {
			since = f.cur.unconfirmed()
		}
		dir, name := n.parent, n.name
		t.mu.Unlock()
		if since.IsZero() {
			return nil
		}
		m, err := t.askSince(ctx, dir, name, since)
		if m != nil {
			t.Forget(m)
		}
		switch {
		case remote.KindOf(err).Offline():
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

// confirmLater asks about a file that is open a while after a transfer has ended.
func (t *Tree) confirmLater(c *content) {
	if c.unconfirmed().IsZero() {
		return
	}
	t.spawn(func() {
		select {
		case <-time.After(confirmAfter):
		case <-t.ctx.Done():
			return
		}
		n := c.file.node
		t.mu.Lock()
		open := c.file.cur == c && c.file.handles > 0
		t.mu.Unlock()
		if !open {
			return
		}
		if err := t.confirm(t.ctx, n); err != nil {
			t.cfg.Log.Debug("cannot tell whether a file changed while it was read", "err", err)
		}
	})
}
