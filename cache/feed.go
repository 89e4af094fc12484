package cache

import (
	"context"
	"errors"
	"io"
	"math"
	"os"
	"time"

	"ftpfs/cache/ranges"
	"ftpfs/cache/remote"
)

// feed hands out a content to one upload, front to back. Every byte is claimed in the
// moment in which it is read, under the lock that writes take: a write knows for
// certain whether the server may have been told otherwise.
//
// Its end is decided from the start, or open: then it follows a file that is still
// being written, waits where the written prefix ends, and ends early (paused) when
// nothing comes for a while. Once the end is decided, a change of what is to be sent
// calls the feed off, unless keep is set: then what is overwritten is kept aside
// first, so that a state is sent that the file was in at one moment.
type feed struct {
	c      *content
	ctx    context.Context
	cancel context.CancelFunc // ends the upload that reads
	due    func()             // called, without locks, when the feed has caught up with the writer after dueAt
	dueAt  time.Time          // zero: never
	sum    *sentSum           // of what was handed out; nil: nobody asks for it

	// guarded by content.mu
	pos    int64 // bytes before it are claimed
	end    int64 // -1: open
	keep   bool
	paused bool
	err    error      // called off
	told   bool       // and the upload was told so
	aside  ranges.Set // parts of [pos, end) that were overwritten since,
	side   *os.File   // and what they were, at the same offsets
}

// pauseAfter is how long an upload waits for a writer before it gives its connection
// back. Servers drop transfers that stall, some after a minute.
const pauseAfter = 2 * time.Second

// maxAside bounds what a cut of a file has kept aside: it happens while writers wait.
const maxAside = 16 << 20

// unchanged is content.changed as long as nothing that was sent was written over.
const unchanged = math.MaxInt64

func (d *feed) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	p = p[:min(len(p), chunk)]
	var timer *time.Timer
	var idle <-chan time.Time
	for {
		n, wake, err := d.take(p)
		if wake == nil {
			d.c.file.sentBytes.Add(int64(n))
			d.sum.add(p[:n])
			return n, err
		}
		if !d.dueAt.IsZero() && !time.Now().Before(d.dueAt) {
			d.dueAt = time.Time{}
			d.due()
			continue
		}
		if timer == nil {
			timer = time.NewTimer(d.c.tree.cfg.pauseAfter)
			defer timer.Stop()
			idle = timer.C
		}
		select {
		case <-wake:
		case <-d.ctx.Done():
			return 0, d.ended()
		case <-idle:
			d.pause()
		}
	}
}

// Again says that the upload may be cut to let others go first, and begun again from its
// start (remote.Store.Write). Having said so, nothing of the content is given up before
// it was.
func (d *feed) Again() bool {
	c := d.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.gone > 0 || c.squeezed > 0 {
		return false // the server's part may be the only one
	}
	c.restarts = true
	return true
}

// take claims and reads what comes next. It returns what to wait for if there is
// nothing yet.
func (d *feed) take(p []byte) (int, <-chan struct{}, error) {
	c := d.c
	if err := c.lockFile(); err != nil {
		return 0, nil, err
	}
	defer c.io.RUnlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case d.err != nil:
		d.told = true
		return 0, nil, d.err
	case d.paused:
		return 0, nil, io.EOF
	case c.f == nil:
		return 0, nil, os.ErrClosed
	}
	limit := d.end
	if limit < 0 {
		limit = min(d.pos+c.have.Covered(d.pos), c.size)
	}
	if d.pos >= limit {
		if d.end >= 0 {
			return 0, nil, io.EOF
		}
		return 0, c.wake, nil
	}
	p = p[:min(int64(len(p)), limit-d.pos)]
	n, err := c.f.ReadAt(p, d.pos)
	switch {
	case err != nil && !errors.Is(err, io.EOF):
		return 0, nil, err
	case n < len(p) && !d.keep:
		return 0, nil, errShort
	}
	clear(p[n:]) // cut off since: it is aside
	if err := d.overlayLocked(p); err != nil {
		return 0, nil, err
	}
	d.pos += int64(len(p))
	c.claimed = max(c.claimed, d.pos)
	if c.squeezed > 0 {
		c.broadcastLocked()
	}
	return len(p), nil, nil
}

// overlayLocked puts back into p, which is for d.pos, what was kept aside.
func (d *feed) overlayLocked(p []byte) error {
	if d.side == nil {
		return nil
	}
	end := d.pos + int64(len(p))
	for _, r := range d.aside.Ranges() {
		from, to := max(r.Off, d.pos), min(r.End, end)
		if from >= to {
			continue
		}
		if _, err := d.side.ReadAt(p[from-d.pos:to-d.pos], from); err != nil {
			return err
		}
	}
	return nil
}

// pause ends an open feed where it stands, so that what was sent is confirmed and the
// connection is free.
func (d *feed) pause() {
	d.c.mu.Lock()
	defer d.c.mu.Unlock()
	// What is gone here must go on there: only a server that is known to append may
	// be left alone with it.
	if d.end < 0 && (d.c.gone == 0 || d.c.tree.store.Caps().Append) {
		d.paused = true
		d.c.broadcastLocked()
	}
}

// ended says why the upload was broken off.
func (d *feed) ended() error {
	d.c.mu.Lock()
	defer d.c.mu.Unlock()
	if d.err != nil {
		d.told = true
		return d.err
	}
	return &remote.Error{Op: "upload", Kind: remote.Canceled, Err: d.ctx.Err()}
}

func (d *feed) callOffLocked(err error) {
	if d.err == nil {
		d.err = err
		d.cancel()
		d.c.broadcastLocked()
	}
}

// close lets go of what was kept aside. The content has no feed any more.
func (d *feed) close() {
	c := d.c
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.out == d {
		c.out = nil
	}
	c.sum = d.sum
	if d.side != nil {
		d.side.Close()
		d.side = nil
	}
}

// changesLocked is called before the bytes of [off, end) change, with c.io held.
func (c *content) changesLocked(off, end int64) {
	if off >= end {
		return
	}
	if off < c.claimed {
		c.changed = min(c.changed, off)
	}
	if off < c.growTo && c.sent == nil && !c.torn {
		c.keepSentLocked()
	}
	c.since.Add(off, end)
	d := c.out
	if d == nil || d.err != nil {
		return
	}
	switch {
	case d.keep:
		from, to := max(off, d.pos), min(end, d.end)
		if from >= to {
			return
		}
		c.changed = min(c.changed, from) // what will be sent is not what is held
		if err := d.keepAsideLocked(from, to); err != nil {
			c.tree.cfg.Log.Warn("cannot keep aside what is overwritten while it is sent; the upload begins again", "err", err)
			d.callOffLocked(errOvertaken)
		}
	case d.end >= 0 || off < d.pos:
		d.callOffLocked(errOvertaken)
	}
}

var errMuchAside = errors.New("too much is cut off at once")

// keepAsideLocked copies what [from, to) is now.
func (d *feed) keepAsideLocked(from, to int64) error {
	if to-from > maxAside {
		return errMuchAside
	}
	if d.side == nil {
		f, err := os.CreateTemp(d.c.tree.cfg.StateDir, "aside-*")
		if err != nil {
			return err
		}
		d.side = f
		if err := os.Remove(f.Name()); err != nil { // it ends with its descriptor
			return err
		}
	}
	for _, r := range d.aside.Missing(from, to) {
		b := make([]byte, r.Len())
		if _, err := d.c.f.ReadAt(b, r.Off); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		if _, err := d.side.WriteAt(b, r.Off); err != nil {
			return err
		}
		d.aside.Add(r.Off, r.End)
	}
	return nil
}

// intactLocked is how much of what was sent under the present temporary name is still
// what the content holds.
func (c *content) intactLocked() int64 { return min(c.claimed, c.changed) }

// frontLocked is where the part that was written front to back ends.
func (c *content) frontLocked() int64 { return c.gone + c.have.Covered(c.gone) }
