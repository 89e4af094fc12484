package cache

import (
	"context"
	"errors"
	"io"
	"sync"
	"syscall"
	"time"

	"ftpfs/cache/remote"
)

const (
	chunk       = 256 << 10        // bytes read from the server at once
	minAhead    = 128 << 10        // read-ahead of a reader that jumps
	maxAhead    = 16 << 20         // and of one that has read on for a while
	joinGap     = 1 << 20          // reading through this is cheaper than a new transfer
	wholeBelow  = 1 << 20          // a file up to this size is fetched whole
	gather      = 4 << 20          // how far apart the kernel's requests for one stretch may arrive
	gatherTime  = time.Millisecond // and how much later
	streamIdle  = 15 * time.Second // servers drop a transfer that stalls; so do we, before
	manyJumps   = 3                // in a row: then the kernel's request for a stretch is one
	maxStreams  = 3                // of one file
	retryStream = 2                // fresh attempts when a transfer breaks while somebody waits
)

var chunks = sync.Pool{New: func() any { b := make([]byte, chunk); return &b }}

// stream is one transfer of a file from some offset on. It runs until its limit,
// waits there a while for someone who wants more, and ends.
type stream struct {
	content *content
	cancel  context.CancelFunc // immutable
	hurry   func()             // says that somebody waits for it; nil: somebody did from the beginning

	// guarded by content.mu
	pos   int64 // next byte it will deliver
	limit int64 // where it may pause
	due   int64 // somebody waits for the bytes before it
	on    bool  // somebody has read on from where it was begun for
	over  bool  // it was called off
	sent  bool  // the server was asked: pos can no longer be moved back
	idle  bool
	err   error // how it ended

	// what was asked for; the transfer's own once it has sent
	path   string
	ver    remote.Version
	growTo int64
}

// want waits until the first byte of [off, end) is held, fetching up to limit if
// somebody must. It returns at every change, so that the caller looks again.
func (c *content) want(ctx context.Context, off, end, limit int64) error {
	return c.wantAgain(ctx, off, end, limit, new(int))
}

// wantAgain is want for one of several stretches of one read: broken counts the
// transfers that broke, for all of them together. A server that breaks each off after
// a few bytes would otherwise hold a reader up for as long as it likes.
func (c *content) wantAgain(ctx context.Context, off, end, limit int64, broken *int) error {
	if err := c.tree.disk.opening(c.ensureFile); err != nil {
		return err
	}
	for ; ; *broken++ {
		err := c.wantOnce(ctx, off, end, limit)
		switch k := remote.KindOf(err); {
		case err == nil || ctx.Err() != nil || *broken >= retryStream:
			return err
		case k == remote.Temporary || k == remote.Down:
			// A broken transfer, or one that had to give way: once more.
		case k == remote.Changed && c.rebase(ctx):
			// Nothing of the old version had been read yet.
		default:
			return err
		}
	}
}

// rebase takes over the version that the server has now, if nothing of the old one
// is held or was written over: a log that grew since it was listed reads as it is.
func (c *content) rebase(ctx context.Context) bool {
	r, err := c.tree.store.Stat(ctx, c.file.path())
	if err != nil || r.Type != remote.File {
		return false
	}
	e := packEntry(&r)
	v := e.version()
	c.mu.Lock()
	ok := !c.stale && !c.closed && !c.spooled && c.have.Empty() && c.base == c.ver.Size && len(c.streams) == 0
	if ok {
		c.ver, c.base, c.size = v, v.Size, v.Size
	}
	c.mu.Unlock()
	if ok {
		c.file.learnVersion(e)
	}
	return ok
}

func (c *content) wantOnce(ctx context.Context, off, end, limit int64) error {
	c.mu.Lock()
	if err := c.usableLocked(); err != nil {
		c.mu.Unlock()
		return err
	}
	if c.arrivedLocked(off, end) { // since the caller looked
		c.mu.Unlock()
		return nil
	}
	s := c.joinLocked(off, limit)
	if s == nil {
		s = c.startLocked(off, limit)
	}
	s.due = max(s.due, end)
	wake := c.wake
	c.mu.Unlock()
	for {
		select {
		case <-ctx.Done():
			return canceled("read", c.file.node, ctx)
		case <-c.tree.ctx.Done():
			return errClosing("read", c.file.node)
		case <-wake:
		}
		c.mu.Lock()
		wake = c.wake
		if c.arrivedLocked(off, end) {
			c.mu.Unlock()
			return nil
		}
		if err := c.usableLocked(); err != nil {
			c.mu.Unlock()
			return err
		}
		running := false
		for _, r := range c.streams {
			running = running || r == s
		}
		err, passed := s.err, s.sent && s.pos > off
		c.mu.Unlock()
		if running && passed {
			return nil // it brought the byte, which was dropped before we looked: ask anew
		}
		if !running {
			if remote.Is(err, remote.Canceled) && c.tree.ctx.Err() == nil {
				return nil // it had to give way to another; look again
			}
			return err // nil: it ended elsewhere; look again
		}
	}
}

// arrivedLocked says whether a reader of [off, end) can go on: the first byte is
// there, or the file ends before it.
func (c *content) arrivedLocked(off, end int64) bool {
	if c.size >= 0 && off >= c.size {
		return true
	}
	_, missing := c.missingLocked(off, min(off+1, end))
	return !missing && (c.size >= 0 || c.have.Contains(off, off+1))
}

func (c *content) usableLocked() error {
	switch {
	case c.stale:
		return &remote.Error{Op: "read", Path: c.file.node.lastName(), Kind: remote.Changed}
	}
	return c.closedLocked()
}

// closedLocked is why nothing is fetched for a content that was let go.
func (c *content) closedLocked() error {
	switch {
	case !c.closed:
		return nil
	case c.tree.ctx.Err() != nil:
		return errClosing("read", c.file.node)
	}
	return &remote.Error{Op: "read", Path: c.file.node.lastName(), Kind: remote.Changed, Text: "closed"}
}

func (s *stream) run(ctx context.Context) error {
	c := s.content
	c.mu.Lock()
	alone := s.pos == 0 || c.jumps >= manyJumps
	c.mu.Unlock()
	if !alone { // requests for what comes before may be just behind
		select {
		case <-time.After(gatherTime):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	c.mu.Lock()
	if s.overtakenLocked() {
		c.mu.Unlock()
		return nil
	}
	s.sent = true
	pos, ver, growTo := s.pos, c.ver, c.growTo
	c.mu.Unlock()
	s.path, s.ver, s.growTo = c.file.path(), ver, growTo
	expect := &ver
	if growTo > 0 {
		var err error
		if expect, err = c.grown(ctx, ver, growTo); err != nil {
			return err
		}
	}
	began, brought := time.Now(), int64(0)
	r, err := c.tree.store.Open(ctx, s.path, pos, expect)
	if err != nil {
		return err
	}
	defer r.Close()
	bp := chunks.Get().(*[]byte)
	defer chunks.Put(bp)
	for s.mayGoOn(ctx) {
		n, err := r.Read((*bp)[:s.next()])
		brought += int64(n)
		if s.endsWith(n, err) && (brought > muchAtOnce || time.Since(began) > longAtOnce) {
			return s.endSure(ctx, r, (*bp)[:n], err)
		}
		if n > 0 {
			if ferr := s.deliver((*bp)[:n], false); ferr != nil {
				return ferr
			}
		}
		if errors.Is(err, io.EOF) {
			return s.atEnd()
		}
		if err != nil {
			return err
		}
		c.tree.disk.trim()
		c.bound()
	}
	return nil
}

// next is how much to read at once: no more than somebody waits for.
func (s *stream) next() int64 {
	s.content.mu.Lock()
	defer s.content.mu.Unlock()
	if s.due <= s.pos {
		return chunk
	}
	return min(chunk, s.due-s.pos)
}

// endsWith says whether n more bytes, which came with err, end the transfer: all that
// follows is held already, if anything does. A transfer of what our own appending makes
// longer has no such end.
func (s *stream) endsWith(n int, err error) bool {
	c := s.content
	c.mu.Lock()
	defer c.mu.Unlock()
	pos := s.pos + int64(n)
	switch {
	case c.growTo > 0 || err != nil && !errors.Is(err, io.EOF):
		return false
	case c.ver.Size < 0:
		return err != nil
	case n == 0 || pos > c.ver.Size:
		return false
	case pos == c.ver.Size:
		return true
	}
	_, missing := c.missingLocked(pos, c.ver.Size)
	return !missing
}

// endSure ends a transfer of which p is the last, read with rerr: p is given out once the
// server has said that the version is still what it was. The connection is free by then.
func (s *stream) endSure(ctx context.Context, r io.ReadCloser, p []byte, rerr error) error {
	c := s.content
	c.mu.Lock()
	toEnd := c.ver.Size < 0 || s.pos+int64(len(p)) >= c.ver.Size
	c.mu.Unlock()
	for toEnd && rerr == nil { // the server's confirmation
		var more [1]byte
		var n int
		if n, rerr = r.Read(more[:]); n > 0 {
			return changedWhileRead(c)
		}
	}
	if toEnd && !errors.Is(rerr, io.EOF) {
		return rerr
	}
	r.Close()
	sure, err := c.still(ctx)
	if err != nil {
		return err
	}
	if err := s.deliver(p, sure); err != nil || !toEnd {
		return err
	}
	return s.atEnd()
}

// deliver stores what was read and moves on. With sure it is known to be of the version.
func (s *stream) deliver(p []byte, sure bool) error {
	c := s.content
	c.mu.Lock()
	pos, ver, grows := s.pos, c.ver, c.growTo > 0
	c.mu.Unlock()
	if ver.Size >= 0 && pos+int64(len(p)) > ver.Size {
		if !grows {
			return changedWhileRead(c)
		}
		p = p[:max(0, ver.Size-pos)] // what follows is our own
	}
	err := c.fill(s, p, sure)
	if errors.Is(err, syscall.ENOSPC) {
		err = c.tree.disk.refill(c, s, p, sure)
	}
	if err != nil {
		return c.tree.disk.fillFailed(c, err)
	}
	return nil
}

// atEnd checks that the file ended where the server had said.
func (s *stream) atEnd() error {
	c := s.content
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.ver.Size < 0: // now we know
		c.ver.Size = s.pos
		if c.base < 0 {
			c.base = s.pos
		}
		c.size = max(c.size, s.pos)
		return nil
	case s.pos < c.ver.Size:
		if _, missing := c.missingLocked(s.pos, c.ver.Size); missing {
			return changedWhileRead(c)
		} // else it was shorter when the transfer began, by our own tail
	}
	return nil
}

func changedWhileRead(c *content) error {
	return &remote.Error{Op: "read", Path: c.file.node.lastName(), Kind: remote.Changed, Text: "its size changed during the transfer"}
}

// mayGoOn waits while the stream is as far as anybody wants it. False ends it.
func (s *stream) mayGoOn(ctx context.Context) bool {
	c := s.content
	c.mu.Lock()
	defer c.mu.Unlock()
	var timer *time.Timer
	for {
		if ctx.Err() != nil || c.stale || c.closed {
			return false
		}
		s.idle = false
		if c.ver.Size >= 0 && s.pos >= c.ver.Size {
			return c.growTo == 0 // one more read brings the server's confirmation
		}
		if c.size >= 0 {
			r, missing := c.missingLocked(s.pos, c.size)
			if !missing || r.Off-s.pos > joinGap {
				return false // the rest is held, or a long stretch: another transfer will do
			}
		}
		if s.pos < s.limit {
			return true
		}
		if timer == nil {
			timer = time.NewTimer(streamIdle)
			defer timer.Stop()
		}
		s.idle = true
		wake := c.wake
		c.mu.Unlock()
		select {
		case <-wake:
		case <-ctx.Done():
		case <-timer.C:
			c.mu.Lock()
			return false
		}
		c.mu.Lock()
	}
}

// end takes the stream from its content and tells those who wait how it ended.
func (s *stream) end(err error) {
	c := s.content
	changed := remote.Is(err, remote.Changed) || remote.Is(err, remote.NotExist)
	if changed && s.overtakenByUs() {
		err = &remote.Error{Op: "read", Path: s.path, Kind: remote.Temporary, Text: "it was changed here during the transfer", Err: err}
		changed = false
	}
	if changed {
		c.file.remoteChanged(c) // before anybody hears of it and opens the file again
		c.dropUnsure()
	}
	c.mu.Lock()
	for i, r := range c.streams {
		if r == s {
			c.streams = append(c.streams[:i:i], c.streams[i+1:]...)
			break
		}
	}
	s.err = err
	c.broadcastLocked()
	c.mu.Unlock()
	c.tree.confirmLater(c)
	if k := remote.KindOf(err); err != nil && k != remote.Changed && k != remote.NotExist && k != remote.Canceled {
		c.tree.cfg.Log.Debug("transfer ended early", "err", err)
	}
}
