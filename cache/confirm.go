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

// A transfer that brought much, or took long, is confirmed before its last bytes are
// given out, so that who read the file to its end had one version of it. One that is
// small and quick is not worth the round trip, and one that ends before the file does
// has no last bytes: those are confirmed later.
//
// Of the base of an owed file what was not confirmed counts as not there: it is confirmed
// before it is sent, and a record does not claim it.

const (
	muchAtOnce = 1 << 20     // bytes of one transfer
	longAtOnce = time.Second // since the version was compared at its begin
)

// confirmAfter is how long a file stays open after a transfer until the server is asked
// whether what was fetched counts. Most files are closed by then.
const confirmAfter = time.Second

// confirmLocked takes in that the server still had the version at a time. Within the grain
// of its modification time a version cannot be told from its successor of the same size.
func (c *content) confirmLocked(at time.Time) {
	if at.After(c.seen) {
		c.seen = at
	}
	if at.After(c.filled) && c.tellsLocked(at) {
		c.unsure = ranges.Set{}
	}
}

// tellsLocked says that a version seen at a time could be told from the one after it.
func (c *content) tellsLocked(at time.Time) bool {
	return c.ver.MGrain == 0 || at.After(c.ver.MTime.Add(c.ver.MGrain))
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
// since that it counts; else zero. What is being fetched just now counts as it comes, and
// what was fetched ahead for the first who opens it, soon after.
func (c *content) unconfirmed() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.early.Load() && time.Since(c.filled) < confirmAfter {
		return time.Time{}
	}
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

// still asks the server, after a transfer, whether it has the content's version still.
// Changed means that it has not; another error that nobody can tell now. Without an error
// it is sure, or cannot be known: the server will not say, or we are changing it. What is
// held of an owed file counts then too, as it has to be sent.
func (c *content) still(ctx context.Context) (sure bool, err error) {
	for try := 0; ; try++ {
		c.mu.Lock()
		ver, unsure, owed := c.ver, c.unsure.Clone(), c.spooled
		skip := c.growTo > 0 || c.stale || c.closed
		c.mu.Unlock()
		if skip {
			return false, nil
		}
		path, at := c.file.path(), time.Now()
		e, err := c.tree.store.Stat(ctx, path)
		theirs := err == nil && (e.Type != remote.File || ver.Differs(e.Version())) || remote.Is(err, remote.NotExist)
		if theirs && err == nil {
			theirs = !c.file.basedOn(&e)
		}
		switch k := remote.KindOf(err); {
		case theirs && try < 3 && (try == 0 || c.movedFrom(path, ver)):
			continue // it may be our own change, of which we have not heard yet
		case theirs && !c.movedFrom(path, ver):
			return false, &remote.Error{Op: "read", Path: path, Kind: remote.Changed, Text: "it was changed there during the transfer", Err: err}
		case theirs && owed:
			return false, &remote.Error{Op: "read", Path: path, Kind: remote.Temporary, Text: "it is just being renamed", Err: err}
		case err != nil && !theirs && k != remote.Permission && k != remote.Unsupported && k != remote.Unknown:
			return false, err
		}
		c.mu.Lock()
		if sure = err == nil && !theirs; sure {
			c.confirmLocked(at)
			sure = owed || c.tellsLocked(at)
		}
		if owed {
			for _, r := range unsure.Ranges() {
				c.unsure.Remove(r.Off, r.End)
			}
		}
		c.mu.Unlock()
		return sure, nil
	}
}

// basedOn says that f is owed, and may replace what e tells of.
func (f *File) basedOn(e *remote.Entry) bool {
	t := f.node.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	return f.owed && e.Type == remote.File && (f.base != nil && !f.base.Differs(e.Version()) || f.sent != nil)
}

// movedFrom says that c is not of the file at path, or not of ver, any more, by what was
// done here.
func (c *content) movedFrom(path string, ver remote.Version) bool {
	t, n := c.tree, c.file.node
	t.mu.Lock()
	defer t.mu.Unlock()
	if n.removed || n.parent == nil || n.pathLocked() != path || t.movingLocked(n.parent, n.name) != nil || t.concerningLocked(path) != nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ver != ver || c.growTo > 0
}

// overtakenByUs says that what the server was asked for is not what c is of any more, by
// what was done here meanwhile: a tail was appended, or the file renamed. That the server
// has something else says nothing then of other clients.
func (s *stream) overtakenByUs() bool {
	c, t, n := s.content, s.content.tree, s.content.file.node
	t.mu.Lock()
	defer t.mu.Unlock()
	if n.removed || n.parent == nil || s.path == "" {
		return false
	}
	if n.pathLocked() != s.path || t.movingLocked(n.parent, n.name) != nil || t.concerningLocked(s.path) != nil {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ver != s.ver || c.growTo != s.growTo
}

// fetchBase waits until the whole file is held, and known to be of one version.
func (c *content) fetchBase(ctx context.Context) error {
	if err := c.fetchAll(ctx); err != nil {
		return err
	}
	c.mu.Lock()
	doubt := c.spooled && !c.unsure.Empty()
	c.mu.Unlock()
	if !doubt {
		return nil
	}
	_, err := c.still(ctx)
	if remote.Is(err, remote.Changed) {
		c.dropUnsure()
	}
	return err
}

// dropUnsure has what was not confirmed of an owed file's base fetched again, if it can be.
func (c *content) dropUnsure() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.spooled {
		return // lose drops it
	}
	for _, r := range c.unsure.Ranges() {
		was := c.have.Len()
		c.have.Remove(r.Off, r.End)
		if n := was - c.have.Len(); c.lean {
			c.lent -= n
			c.tree.space.release(n)
		}
	}
	c.unsure = ranges.Set{}
	c.broadcastLocked()
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
