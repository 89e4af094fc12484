package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"syscall"

	"ftpfs/cache/remote"
	"ftpfs/cache/spool"
)

// An upload that ends early leaves a beginning of the file under its temporary name.
// The content knows how many bytes may have been sent under that name (claimed), and
// where the first of them lies that was written over since (changed). If none was, the
// next attempt sends only what follows.
//
// Bytes of the dead session may still be on their way to the server's disk. Those of
// a STOR are the same bytes at the same place; those of an APPE make the file too
// long, which the check of its size before the rename finds: then another name is
// taken, from the start.

// place returns from where to send, and under which name: s.dir and s.temp.
func (s *shipment) place(ctx context.Context) (int64, error) {
	t, f, c := s.tree, s.file, s.c
	t.mu.Lock()
	temp := f.tempPathLocked()
	through := f.throughLocked()
	t.mu.Unlock()
	c.mu.Lock()
	intact, gone := c.resumableLocked(), c.gone
	c.mu.Unlock()
	if temp != "" && intact > 0 && (!t.noAppend.Load() || through) {
		n, err := s.held(ctx, temp)
		if err != nil {
			return 0, err
		}
		if n > 0 && n >= gone && n <= intact && gone == 0 {
			if n, err = s.verified(ctx, temp, n); err != nil {
				return 0, err
			}
		}
		if n > 0 && n >= gone && n <= intact {
			t.mu.Lock()
			s.dir, s.temp = f.tempDir, f.temp
			t.mu.Unlock()
			t.cfg.Log.Info("an upload goes on where it ended", "path", f.path(), "at", n)
			return n, nil
		}
	}
	if gone > 0 {
		if there, err := s.gotThere(ctx); there || err != nil {
			return 0, errorOr(err, errThere)
		}
		t.mu.Lock()
		moved := f.tempPathLocked() != temp
		t.mu.Unlock()
		if moved { // its directory was renamed while we asked
			return 0, errOvertaken
		}
	}
	if err := f.cannotResume(c); err != nil {
		return 0, err
	}
	t.removeTemp(f)
	t.mu.Lock()
	defer t.mu.Unlock()
	f.setTempLocked(t.newTemp('u'), f.node.parent)
	s.dir, s.temp = f.tempDir, f.temp
	c.mu.Lock()
	c.claimed, c.changed = 0, unchanged
	c.mu.Unlock()
	return 0, nil
}

// errThere: an earlier attempt, whose answer was lost, has published the file.
var errThere = errors.New("it is there already")

// gotThere takes in that an earlier attempt to publish a file that is not wholly here any
// more got there, if it did.
func (s *shipment) gotThere(ctx context.Context) (bool, error) {
	t, f := s.tree, s.file
	if err := t.gate.Acquire(ctx, 1); err != nil {
		return false, err
	}
	defer t.gate.Release(1)
	if err := f.freeze(ctx); err != nil {
		return false, err
	}
	defer f.thaw()
	if err := f.waits(); err != nil {
		return false, err
	}
	t.mu.Lock()
	sent, changes, mode, path := f.sent, f.sentChanges, f.mode, f.node.pathLocked()
	t.mu.Unlock()
	s.c.mu.Lock()
	all, gone := s.c.claimed, s.c.gone
	s.c.mu.Unlock()
	// After a restart what was appended to the file since counts as claimed too.
	grew := sent != nil && gone < sent.Size && sent.Size < all
	if sent == nil || sent.Size != all && !grew {
		return false, nil
	}
	now, err := t.store.Stat(t.ctx, path)
	if err != nil && !remote.Is(err, remote.NotExist) {
		return false, fmt.Errorf("look whether %s was published: %w", path, err)
	}
	if v := now.Version(); err != nil || now.Type != remote.File || v.Size != sent.Size || v.MGrain <= 0 || v.Differs(*sent) {
		return false, nil
	}
	if grew { // or it is what f was renamed over: then the bytes differ
		same, err := s.same(t.ctx, path, max(gone, sent.Size-maxTail), sent.Size)
		if err != nil {
			return false, fmt.Errorf("read back what was published as %s: %w", path, err)
		}
		if !same {
			return false, nil
		}
	}
	t.mu.Lock()
	overtaken := !f.owed || f.node.removed || f.cur != s.c
	if grew && !overtaken {
		s.c.mu.Lock()
		s.c.since.Add(sent.Size, s.c.size)
		s.c.mu.Unlock()
	}
	s.size, s.mtime, s.changes = sent.Size, sent.MTime, changes
	t.mu.Unlock()
	if overtaken {
		return false, errOvertaken
	}
	s.published(remote.Published{Entry: now, TimeSet: true, ModeSet: true},
		remote.Publish{Path: path, Size: sent.Size, MTime: &sent.MTime, Mode: mode})
	return true, nil
}

// resumableLocked is how much of what was sent under the present temporary name an upload
// may go on from: nothing, once a part of it was written over. The dead session's old
// bytes could land on the new ones then, and the size would not tell.
func (c *content) resumableLocked() int64 {
	if c.gone == 0 && c.changed != unchanged {
		return 0
	}
	return c.intactLocked()
}

// held is how many bytes the server has under a temporary name; none, if they are not
// certainly those that were sent.
func (s *shipment) held(ctx context.Context, temp string) (int64, error) {
	e, err := s.tree.store.Stat(ctx, temp)
	switch {
	case remote.Is(err, remote.NotExist):
		return 0, nil
	case err != nil:
		return 0, fmt.Errorf("look how much of %s is on the server: %w", s.file.path(), err)
	case e.Type != remote.File:
		return 0, nil
	}
	return e.Size, nil
}

// verified compares what the server has with what is held, where it computes checksums:
// n, or nothing if they differ.
func (s *shipment) verified(ctx context.Context, temp string, n int64) (int64, error) {
	sum, err := s.tree.store.Checksum(ctx, temp, n)
	switch k := remote.KindOf(err); {
	case remote.Is(err, remote.Unsupported):
		return n, nil
	case remote.Is(err, remote.Changed), remote.Is(err, remote.NotExist):
		return 0, nil
	case err != nil && (k.Verdict() == remote.Retry):
		return 0, fmt.Errorf("compare what of %s is on the server: %w", s.file.path(), err)
	case err != nil:
		return n, nil // it will not say
	}
	h := sum.Hash()
	if h == nil {
		return n, nil
	}
	if _, err := io.Copy(h, io.NewSectionReader(s.c, 0, n)); err != nil {
		return 0, err
	}
	s.c.mu.Lock()
	s.c.sum = &sentSum{temp: path.Base(temp), at: n, algorithm: sum.Algorithm, h: h}
	s.c.mu.Unlock()
	if !bytes.Equal(h.Sum(nil), sum.Sum) {
		s.tree.cfg.Log.Warn("what an interrupted upload has left on the server is not what was sent; it begins again", "path", s.file.path(), "temporary name", temp)
		return 0, nil
	}
	return n, nil
}

// ReadAt reads what is held; bytes that are not are an error.
func (c *content) ReadAt(p []byte, off int64) (int, error) {
	n, _, err := c.readHeld(p, off)
	switch {
	case err != nil:
		return n, err
	case n < len(p):
		return n, io.EOF
	}
	return n, nil
}

// lostError: the only copy of a file's beginning is on the server, and the rest cannot
// be joined to it.
type lostError struct {
	path, temp string
	gone       int64
}

func (e *lostError) Error() string {
	return fmt.Sprintf("%s: it is larger than the spool, and its first %d bytes were handed to the server as %s and are not here any more; the upload was cut off and cannot go on there", e.path, e.gone, e.temp)
}

func (e *lostError) Unwrap() error { return syscall.EIO }

// cannotResume is called when what the server has of f is of no use: nil, if f can be
// sent again from its beginning.
func (f *File) cannotResume(c *content) error {
	t := f.node.tree
	t.mu.Lock()
	defer t.mu.Unlock()
	c.mu.Lock()
	gone := c.gone
	if gone == 0 {
		c.changed = 0 // whatever is there is not believed any more
	}
	c.mu.Unlock()
	if gone == 0 {
		return nil
	}
	f.lost = &lostError{f.node.pathLocked(), f.tempPathLocked(), gone}
	return &parkError{f.lost}
}

// keepTempLocked says whether what an upload that failed with err has left on the
// server is worth keeping.
func (s *shipment) keepTempLocked(err error) bool {
	f, c := s.file, s.c
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case !f.owed || f.node.removed || f.cur != c || f.temp == "":
		return false
	case c.gone > 0:
		return true
	case c.resumableLocked() == 0 || s.tree.noAppend.Load() || remote.Is(err, remote.ShortWrite), remote.Is(err, remote.Corrupt):
		return false
	}
	return err == errPaused || err == errOvertaken || remote.KindOf(err).Verdict() == remote.Retry
}

// takeUpTempLocked believes what a record says of an earlier daemon's upload: that the
// server has a beginning of the content as recorded. Of a file that passed through
// nothing that was sent is ever written over.
func (t *Tree) takeUpTempLocked(f *File, r *spool.Record, size int64) {
	if r.Temp == "" || !r.Resume && r.Gone == 0 || !isTemp(path.Base(r.Temp)) {
		return
	}
	dir := t.nodeAtLocked(path.Dir(r.Temp), remote.Dir)
	if dir == nil {
		return
	}
	f.setTempLocked(path.Base(r.Temp), dir)
	t.temps[f.temp] = struct{}{}
	f.cur.claimed = size
	if r.Gone > 0 && f.interrupted {
		f.failed = fmt.Errorf("cut off when the daemon ended: its first %d bytes are on the server alone, as %s; ftpfs retry tries to go on there", r.Gone, r.Temp)
		t.cfg.Log.Error("a file that is larger than the spool was cut off when the daemon ended", "path", r.Path, "err", f.failed)
	}
}
