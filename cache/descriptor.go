package cache

import (
	"ftpfs/cache/ranges"
	"ftpfs/cache/remote"
)

// A hundred thousand files may be owed at once, and a process may have fewer files
// open: the data file of an owed one that nobody uses is closed, and opened again when
// it is read, written or sent. While a handle is on it it stays open, as its name in
// the spool may go.

// manyOwed is from how many owed files on they are closed while nobody uses them.
const manyOwed = 1024

// lockFile takes c.io shared, with c's file open if it has one. Without an error the
// caller gives io back.
func (c *content) lockFile() error {
	for {
		c.io.RLock()
		if c.f != nil || c.shut == 0 {
			return nil
		}
		c.io.RUnlock()
		c.io.Lock()
		if c.f == nil && c.shut != 0 {
			f, err := c.tree.spool.OpenData(c.shut)
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
	err := c.lockFile()
	if err == nil {
		c.io.RUnlock()
	}
	return err
}

// rest closes the data file of f, if many are owed and nobody uses this one.
func (t *Tree) rest(f *File) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c := f.cur
	if len(t.owed) < manyOwed || !f.owed || f.handles > 0 || f.ship != nil || c == nil || c.users > 0 || !c.io.TryLock() {
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
