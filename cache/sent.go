package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"ftpfs/cache/remote"
	"ftpfs/cache/spool"
)

// Whether what the server has behind the base is ours, after a tail that broke off.

// ours says how many bytes of the content the server's file holds, if it is the base
// with no more behind it than was sent from here.
func (s *shipment) ours(ctx context.Context, path string, now remote.Entry, tail *spool.Tail) (int64, bool, error) {
	s.tree.mu.Lock()
	base := *s.file.base
	s.tree.mu.Unlock()
	v := now.Version()
	if now.Type != remote.File {
		return 0, false, nil
	}
	if tail == nil || v.Size == base.Size {
		return base.Size, v.Size == base.Size && !base.Differs(v), nil
	}
	base.Size, base.MGrain = -1, 0 // only its unique id is still what it was
	if base.Differs(v) || v.Size < tail.From || v.Size > tail.To {
		return 0, false, nil
	}
	same, err := s.same(ctx, path, tail.From, v.Size)
	if err != nil {
		return 0, false, fmt.Errorf("read back what was appended to %s: %w", path, err)
	}
	return v.Size, same, nil
}

// same reads [from, to) back, at most maxTail of it, and compares it with what was sent,
// or would have been.
func (s *shipment) same(ctx context.Context, path string, from, to int64) (bool, error) {
	r, err := s.tree.store.Open(ctx, path, from, nil)
	if err != nil {
		return false, err
	}
	defer r.Close()
	theirs, held := make([]byte, chunk), make([]byte, chunk)
	for at := from; at < to; at += int64(len(theirs)) {
		theirs = theirs[:min(to-at, chunk)]
		held = held[:len(theirs)]
		if _, err := io.ReadFull(r, theirs); err != nil {
			return false, err
		}
		if ok, err := s.c.readSent(held, at); !ok || err != nil {
			return false, err
		}
		if !bytes.Equal(held, theirs) {
			return false, nil
		}
	}
	return true, nil
}

// advance takes in that the server's file was found to hold the content up to at: so far
// nothing more is in doubt, and that is the base from now on.
func (s *shipment) advance(now remote.Entry, at int64) error {
	t, f, c := s.tree, s.file, s.c
	f.rec.Lock()
	defer f.rec.Unlock()
	t.mu.Lock()
	defer t.mu.Unlock()
	if !s.appendsLocked() {
		return errOvertaken
	}
	if at == f.base.Size {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.sent != nil || c.torn {
		return errOvertaken
	}
	v := now.Version()
	c.have.Add(c.base, at)
	c.dirty.Remove(0, at)
	c.ver, c.base, f.base = v, at, &v
	f.tail = &spool.Tail{From: at, To: f.tail.To}
	c.growsLocked(f.id, f.tail)
	return nil
}

// holdsBoth says whether the server's file has [at, end) of the content in one piece, at
// that place or further on, behind what somebody else appended.
func (s *shipment) holdsBoth(ctx context.Context, path string, now remote.Entry, at, end int64) (bool, error) {
	if now.Type != remote.File || now.Size < end || now.Size-at > 4*maxTail {
		return false, nil
	}
	r, err := s.tree.store.Open(ctx, path, at, nil)
	if err != nil {
		return false, err
	}
	defer r.Close()
	theirs := make([]byte, now.Size-at)
	if _, err := io.ReadFull(r, theirs); err != nil {
		return false, err
	}
	ours := make([]byte, end-at)
	if ok, err := s.c.readSent(ours, at); !ok || err != nil {
		return false, err
	}
	return bytes.Contains(theirs, ours), nil
}

// keepSentLocked copies what may have been sent, before it is written over, so that it
// can be recognised. Without a copy nothing is appended to it any more, and what is on
// the server is taken for somebody else's. c.io is held.
func (c *content) keepSentLocked() {
	keep := func() error {
		if c.f == nil {
			return os.ErrClosed
		}
		f, err := os.Create(c.sentPath + ".new")
		if err != nil {
			return err
		}
		_, err = io.Copy(f, io.NewSectionReader(c.f, c.growFrom, c.growTo-c.growFrom))
		if err == nil {
			err = os.Rename(f.Name(), c.sentPath)
		}
		if err != nil {
			return errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
		c.sent = f
		return nil
	}
	if err := keep(); err != nil {
		c.torn = true
		c.tree.cfg.Log.Warn("cannot keep a copy of what was appended before it is written over; it may be taken for another client's change", "err", err)
	}
}

// readSent reads what was, or would have been, sent of the tail.
func (c *content) readSent(p []byte, off int64) (ok bool, err error) {
	c.mu.Lock()
	if c.sent != nil {
		defer c.mu.Unlock()
		n, err := c.sent.ReadAt(p, off-c.growFrom)
		if err == io.EOF {
			err = nil
		}
		return n == len(p), err
	}
	c.mu.Unlock()
	n, _, err := c.readHeld(p, off)
	return n == len(p), err
}

// growsLocked says what the server's file may hold of record id's content.
func (c *content) growsLocked(id uint64, tail *spool.Tail) {
	c.growFrom, c.growTo = tail.From, tail.To
	c.sentPath = c.tree.sentPath(id, tail)
}

func (t *Tree) sentPath(id uint64, tail *spool.Tail) string {
	return filepath.Join(t.cfg.StateDir, fmt.Sprintf("sent-%d-%d-%d", id, tail.From, tail.To))
}

// tailOverLocked: nothing behind the base is in doubt any more. What was kept of the tail
// is removed by forget, to be called when the record does not tell of it any more.
func (c *content) tailOverLocked() (forget func()) {
	c.growFrom, c.growTo, c.torn = 0, 0, false
	f, path := c.sent, c.sentPath
	c.sent = nil
	return func() {
		if f != nil {
			f.Close()
			os.Remove(path) // else the next start does
		}
	}
}

// adoptTail makes what a file that f is about to replace may have sent of a tail f's to
// know: its base with half a tail is replaced, and not taken for somebody else's. Without
// a copy it is. The records of both are locked, so that nobody writes.
func (f *File) adoptTail(old *File) (undo func()) {
	t := f.node.tree
	t.mu.Lock()
	tail, from, c, id := old.tail, old.cur, f.cur, f.id
	t.mu.Unlock()
	if tail == nil || from == nil || tail.To == tail.From {
		return func() {}
	}
	p := make([]byte, tail.To-tail.From)
	ok, err := from.readSent(p, tail.From)
	if !ok || err != nil {
		return func() {}
	}
	path := t.sentPath(id, tail)
	err = os.WriteFile(path, p, 0o600)
	var sent *os.File
	if err == nil {
		sent, err = os.Open(path)
	}
	if err != nil {
		t.cfg.Log.Warn("cannot keep a copy of what was appended to a file that is replaced; it may be taken for another client's change", "err", err)
		return func() {}
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	f.tail = tail
	c.growsLocked(id, tail)
	c.sent = sent
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		c.mu.Lock()
		defer c.mu.Unlock()
		f.tail = nil
		c.tailOverLocked()()
	}
}

// dropOldSent removes what no file needs any more.
func (t *Tree) dropOldSent() {
	all, _ := filepath.Glob(filepath.Join(t.cfg.StateDir, "sent-*"))
	t.mu.Lock()
	defer t.mu.Unlock()
	needed := map[string]bool{}
	for f := range t.owed {
		if c := f.cur; c != nil {
			c.mu.Lock()
			if c.sent != nil {
				needed[c.sentPath] = true
			}
			c.mu.Unlock()
		}
	}
	for _, p := range all {
		if !needed[p] {
			os.Remove(p)
		}
	}
}

// settleTail is called when a tail broke off and the file was then changed in another
// way. If the server's file is the base and no more than a beginning of that tail, it
// is ours to replace.
func (s *shipment) settleTail(ctx context.Context) error {
	t, f, c := s.tree, s.file, s.c
	t.mu.Lock()
	path, tail := f.node.pathLocked(), f.tail
	t.mu.Unlock()
	if tail == nil || f.base == nil {
		return nil
	}
	now, err := t.store.Stat(t.ctx, path)
	if err != nil && !remote.Is(err, remote.NotExist) {
		return fmt.Errorf("look at %s, to which a part was appended: %w", path, err)
	}
	ours := false
	if err == nil {
		if _, ours, err = s.ours(ctx, path, now, tail); err != nil {
			return err
		}
	}
	f.rec.Lock()
	defer f.rec.Unlock()
	t.mu.Lock()
	if !f.owed || f.cur != c {
		t.mu.Unlock()
		return errOvertaken
	}
	c.mu.Lock()
	f.tail = nil
	forget := c.tailOverLocked()
	if ours {
		v := now.Version()
		f.base, c.ver = &v, v // its first bytes, as far as they are wanted, are the same
	}
	c.mu.Unlock()
	open := f.savedOpen
	t.mu.Unlock()
	defer forget()
	return f.save(open, false)
}

// grown says what a download of the base may expect while our own tail makes the
// server's file grow.
func (c *content) grown(ctx context.Context, ver remote.Version, to int64) (*remote.Version, error) {
	e, err := c.tree.store.Stat(ctx, c.file.path())
	if err != nil {
		return nil, err
	}
	ver.MGrain = 0
	if v := e.Version(); e.Type != remote.File || v.Size < ver.Size || v.Size > to || v.Unique != ver.Unique && v.Unique != "" && ver.Unique != "" {
		return nil, changedWhileRead(c)
	}
	ver.Size = -1
	return &ver, nil
}
