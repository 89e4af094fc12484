package cache

import (
	"context"
	"errors"
	"io"
	"os"
	"syscall"
	"time"

	"ftpfs/cache/ranges"
	"ftpfs/cache/remote"
	"ftpfs/cache/spool"
)

// owe makes a clean file an owed one, before the first change to it: room for all
// of it is reserved, its content moves into the spool, and a record says that a
// writer is at work. With empty, the old content will not be wanted. Files that
// were unlinked while open owe nothing. With lean, only what follows the base will be
// written: there is no room reserved for it (tail.go).
func (f *File) owe(ctx context.Context, c *content, empty, lean bool) error {
	t := f.node.tree
	c.mu.Lock()
	unknown := c.size < 0
	c.mu.Unlock()
	if unknown && !empty {
		if err := c.fetchAll(ctx); err != nil {
			return err
		}
	}
	c.mu.Lock()
	room := max(c.base, 0)
	c.mu.Unlock()
	if empty || lean {
		room = 0
	}
	if err := t.reserve(ctx, room); err != nil {
		return err
	}
	f.rec.Lock()
	defer f.rec.Unlock()
	t.mu.Lock()
	if f.owed || f.node.removed || f.cur != c {
		done := f.owed || f.node.removed
		t.mu.Unlock()
		t.space.release(room)
		if !done {
			return errStale("write", f.node)
		}
		return nil
	}
	t.mu.Unlock()
	id := t.spool.NewID()
	// A record that claims nothing, so that a crash while the content moves finds
	// clean content, of which nothing need be kept.
	first := spool.Record{ID: id, Path: f.path(), Open: true, Created: time.Now()}
	v := c.version()
	first.Base, first.Size = &v, max(v.Size, 0)
	if err := t.spool.Put(&first); err != nil {
		t.space.release(room)
		return err
	}
	if err := c.moveToSpool(id, empty, lean); err != nil {
		t.space.release(room)
		t.spool.Drop(id)
		return err
	}
	t.mu.Lock()
	c.mu.Lock()
	ver, size := c.ver, c.size // as of the moment from which on it is owed
	c.mu.Unlock()
	if f.cur != c || f.node.removed { // while the content moved
		gone := f.node.removed
		t.mu.Unlock()
		t.space.release(room)
		t.spool.Drop(id)
		if gone {
			return nil
		}
		return errStale("write", f.node)
	}
	f.owedNowLocked()
	f.id, f.reserved, f.base = id, room, &ver
	f.size, f.mtime = size, f.node.ent.time()
	f.mode, f.modeKept = f.keptModeLocked(), true
	t.disk.forgetLocked(f)
	t.mu.Unlock()
	err := t.recordMoves(f.node)
	if err == nil {
		err = f.save(true, false)
	}
	if err != nil {
		t.mu.Lock()
		f.cleanNowLocked()
		f.cur = nil
		t.mu.Unlock()
		c.retire()
		t.spool.Drop(id)
		return err
	}
	return nil
}

// keptModeLocked is the mode that a replacement must be given again.
func (f *File) keptModeLocked() *uint32 {
	if f.node.ent.flags&hasMode == 0 {
		return nil
	}
	m := uint32(f.node.ent.mode)
	return &m
}

// moveToSpool makes the content's file the spool's data file id.
func (c *content) moveToSpool(id uint64, empty, lean bool) error {
	t := c.tree
	c.io.Lock()
	defer c.io.Unlock()
	c.mu.Lock()
	path := c.path
	have := c.have.Clone()
	c.mu.Unlock()
	old := c.f
	adopted := false
	if old != nil && path != "" && !empty {
		switch err := t.spool.Adopt(id, path); {
		case err == nil:
			adopted = true
		case !errors.Is(err, syscall.EXDEV):
			return err
		}
	}
	if !adopted {
		f, err := t.newData(id)
		if err != nil {
			return err
		}
		if old != nil && !empty {
			if err := copyRanges(f, old, have); err != nil {
				f.Close()
				t.spool.Drop(id)
				return err
			}
		}
		c.f = f
		if old != nil {
			old.Close()
			os.Remove(path)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.path, c.spooled = "", true
	c.heldLocked(-c.held)
	c.inMemory = false
	if lean {
		c.becomeLeanLocked()
	}
	if empty {
		for _, s := range c.streams {
			s.cancel()
		}
		c.have, c.dirty, c.unsure = ranges.Set{}, ranges.Set{}, ranges.Set{}
		c.base, c.size, c.ours = 0, 0, true
		c.broadcastLocked()
	}
	if c.size > 0 {
		return c.f.Truncate(c.size)
	}
	return nil
}

func copyRanges(to, from *os.File, have ranges.Set) error {
	for _, r := range have.Ranges() {
		if _, err := io.Copy(io.NewOffsetWriter(to, r.Off), io.NewSectionReader(from, r.Off, r.End-r.Off)); err != nil {
			return err
		}
	}
	return nil
}

// bear makes a new, empty, owed file of name in dir, open for writing, and returns
// it with a reference to its node.
func (t *Tree) bear(dir *Node, name string, mode uint32, now entry) (*Node, error) {
	var id uint64
	var data *os.File
	err := t.disk.opening(func() error {
		return t.disk.yielding(func() (err error) {
			id = t.spool.NewID()
			if data, err = t.newData(id); err != nil {
				t.spool.Drop(id)
			}
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	if k := dir.kid(name); k != nil && !k.anyOwedLocked() {
		t.lostLocked(k) // the caller asked: the server has no such file any more
	}
	if dir.removed || dir.kid(name) != nil || t.nameMovingLocked(dir, name) {
		gone, path := dir.removed, join(dir.pathLocked(), name)
		t.mu.Unlock()
		data.Close()
		t.spool.Drop(id)
		if gone {
			return nil, errGone("create", dir)
		}
		return nil, &remote.Error{Op: "create", Path: path, Kind: remote.Exist}
	}
	n := t.nodeLocked(dir, name, now, now.time())
	n.refs++
	f := n.fileLocked()
	f.owedNowLocked()
	f.id, f.mtime, f.base = id, now.time(), nil
	f.mode, f.modeKept = &mode, false
	f.gen, f.changes = 1, 1
	t.pour.born(time.Now())
	f.cur = newContent(f, remote.Version{})
	f.cur.f, f.cur.spooled, f.cur.ours = data, true, true
	t.mu.Unlock()
	f.rec.Lock()
	err = t.disk.yielding(func() error {
		if err := t.recordMoves(n); err != nil {
			return err
		}
		return f.save(true, false)
	})
	f.rec.Unlock()
	if err != nil {
		t.mu.Lock()
		f.cleanNowLocked()
		t.detachLocked(n)
		t.unrefLocked(n)
		t.mu.Unlock()
		t.spool.Drop(id)
		return nil, err
	}
	return n, nil
}
