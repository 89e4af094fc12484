package cache

import (
	"errors"
	"math"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"ftpfs/cache/ranges"
	"ftpfs/cache/remote"
)

// A process may have only so many files open, and many more may be owed or cached. The
// data file of an owed one that nobody uses is closed, and opened again when it is read,
// written or sent. While a handle is on it it stays open, as its name in the spool may
// go. A cached file is open as long as it is kept: fewer are kept where fewer can be
// open, and one of them gives way to a file that somebody opens.
//
// The last descriptors are for what is accepted: without one for a record, a directory or
// a connection it could be neither flushed nor sent. So opening fails before they go.

const (
	manyOwed  = 1024 // owed files, from how many on they are closed while nobody uses them
	keptFiles = 128  // descriptors kept for what is accepted
)

// maxFiles is how many descriptors this process may have; somebody may change that.
func (t *Tree) maxFiles() int {
	if t.cfg.maxFiles > 0 {
		return t.cfg.maxFiles
	}
	var l unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_NOFILE, &l) != nil {
		return math.MaxInt32
	}
	return int(min(l.Cur, math.MaxInt32))
}

// manyOwed is from how many owed files on they are closed while nobody uses them.
func (t *Tree) manyOwed() int { return min(manyOwed, t.maxFiles()/8) }

// mostRest is how many clean files nobody uses are kept.
func (d *disk) mostRest() int { return min(maxRest, d.tree.maxFiles()/4) }

// spare closes f again if its descriptor is one of the last: the kernel gives the lowest
// that is free. The error is as if it could not be opened.
func (t *Tree) spare(f *os.File) error {
	limit := t.maxFiles()
	if int(f.Fd()) < limit-min(keptFiles, limit/4) {
		return nil
	}
	return errors.Join(&os.PathError{Op: "open", Path: f.Name(), Err: syscall.EMFILE}, f.Close())
}

// opening does something that needs a descriptor. Cached files give way as long as that is
// what is missing.
func (d *disk) opening(do func() error) error {
	for {
		err := do()
		if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) || !d.evictOne() {
			return err
		}
	}
}

// newData makes the empty data file of id for somebody who opens it. Who called drops id
// where that fails.
func (t *Tree) newData(id uint64) (*os.File, error) {
	f, err := t.spool.Create(id)
	if err == nil {
		err = t.spare(f)
	}
	if err != nil {
		return nil, err
	}
	return f, nil
}

// lockFile takes c.io shared, with c's file open if it has one. Without an error the
// caller gives io back.
func (c *content) lockFile() error {
	return c.lockOpened(func(*os.File) error { return nil })
}

func (c *content) lockOpened(check func(*os.File) error) error {
	for {
		c.io.RLock()
		if c.f != nil || c.shut == 0 {
			return nil
		}
		c.io.RUnlock()
		c.io.Lock()
		if c.f == nil && c.shut != 0 {
			f, err := c.tree.spool.OpenData(c.shut)
			if err == nil {
				err = check(f)
			}
			if err != nil {
				c.io.Unlock()
				return err
			}
			c.f, c.shut = f, 0
		}
		c.io.Unlock()
	}
}

// openFile has c's file open for a handle, which keeps it so.
func (c *content) openFile() error {
	err := c.lockOpened(c.tree.spare)
	if err == nil {
		c.io.RUnlock()
	}
	return err
}

// rest closes the data file of f, if many are owed and nobody uses this one.
func (t *Tree) rest(f *File) {
	many := t.manyOwed()
	t.mu.Lock()
	defer t.mu.Unlock()
	c := f.cur
	if len(t.owed) < many || !f.owed || f.handles > 0 || f.ship != nil || c == nil || c.users > 0 || !c.io.TryLock() {
		return
	}
	defer c.io.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.f == nil || !c.spooled || c.closed || !c.wholeLocked() {
		return
	}
	if c.marks != nil {
		c.marks.rest()
	}
	if err := c.f.Close(); err != nil {
		t.cfg.Log.Warn("cannot close a data file of the spool", "file", f.id, "err", err)
	}
	c.f, c.shut = nil, f.id
}

// rest closes the file of marks that were taken over into the record.
func (m *marks) rest() {
	if m.f != nil && m.n == 0 {
		m.f.Close()
		m.f = nil
	}
}

// becomeEmpty lets go of what was held of version v, now the server's.
func (c *content) becomeEmpty(v remote.Version, id uint64) {
	if err := c.tree.spool.Drop(id); err != nil {
		c.tree.cfg.Log.Warn("cannot drop the record of a published file", "file", id, "err", err)
	}
	c.io.Lock()
	defer c.io.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.shut = 0
	c.ver, c.base, c.size = v, v.Size, v.Size
	c.have, c.dirty, c.unsure, c.since = ranges.Set{}, ranges.Set{}, ranges.Set{}, ranges.Set{}
	c.spooled, c.ours, c.gone = false, false, 0
	if c.marks != nil {
		c.marks.end()
		c.marks = nil
	}
}
