package cache

import (
	"errors"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"ftpfs/cache/ranges"
	"ftpfs/cache/remote"
)

// What is merely cached gives way when the disk is full: to what is owed, where
// both lie on one disk, and then reading goes on in memory.

const (
	leaveFree   = 64 << 20                 // bytes that cached content leaves on its disk, or an eighth of a small one
	memoryKeep  = maxAhead + gather        // around the reader, of a file read by way of memory
	memoryBytes = 256 << 20                // of all such files
	memoryFile  = 2*memoryKeep + 2*joinGap // and of one; more is dropped behind its reader
)

// yielding does something that needs room on the spool's disk. If cached content
// lies there too, it is evicted as long as that is what is missing.
func (d *disk) yielding(do func() error) error {
	err := do()
	if !errors.Is(err, syscall.ENOSPC) || !d.sharesSpool() {
		return err
	}
	return d.squeezed(do)
}

// sharesSpool says whether cache and spool lie on one disk.
func (d *disk) sharesSpool() bool {
	var cache, spool unix.Stat_t
	return unix.Stat(d.tree.cfg.CacheDir, &cache) == nil && unix.Stat(d.tree.spoolDir(), &spool) == nil && cache.Dev == spool.Dev
}

// fromDisk says that err is this machine's, and no word of the server: neither of its
// replies, nor of the network. A Store also wraps what the reader of an upload said.
func fromDisk(err error) bool {
	var re *remote.Error
	if errors.As(err, &re) && (re.Code != 0 || re.Kind != remote.Unknown) {
		return false
	}
	var pe *fs.PathError
	var le *os.LinkError
	var se *os.SyscallError
	return errors.As(err, &pe) || errors.As(err, &le) || errors.As(err, &se)
}

// squeezed does something that needs room on the cache's disk, and evicts content
// until it succeeds, fails for another reason, or nothing is left to evict.
func (d *disk) squeezed(do func() error) error {
	for {
		err := do()
		if !errors.Is(err, syscall.ENOSPC) || !d.evictOne() {
			return err
		}
	}
}

// crowded says that cached content takes room that others on its disk, such as the
// spool, may need at any moment.
func (d *disk) crowded() bool {
	var st unix.Statfs_t
	if d.held.Load() == 0 || unix.Statfs(d.tree.cfg.CacheDir, &st) != nil {
		return false
	}
	return st.Bavail*uint64(st.Bsize) < min(leaveFree, st.Blocks*uint64(st.Bsize)/8)
}

// refill stores what fill could not, as the disk is full: after evicting others,
// after dropping what lies behind the readers, and at last in memory.
func (d *disk) refill(c *content, s *stream, p []byte, sure bool) error {
	store := func() error { return c.fill(s, p, sure) }
	err := d.squeezed(store)
	if errors.Is(err, syscall.ENOSPC) && c.dropBehind(memoryKeep) > 0 {
		err = store()
	}
	if errors.Is(err, syscall.ENOSPC) && d.memory.Load() < memoryBytes && c.toMemory() {
		err = store()
	}
	return err
}

// toMemory continues clean content in memory, from nothing. What was held is fetched
// again if somebody wants it. It is not kept after the last close.
func (c *content) toMemory() bool {
	f, err := memory()
	if err != nil {
		return false
	}
	c.io.Lock()
	defer c.io.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.spooled || c.closed || c.inMemory {
		f.Close()
		return false
	}
	if c.f != nil {
		c.f.Close()
	}
	if c.path != "" {
		os.Remove(c.path)
	}
	c.f, c.path, c.inMemory = f, "", true
	c.have, c.unsure = ranges.Set{}, ranges.Set{}
	c.tree.disk.held.Add(-c.held)
	c.held = 0
	c.broadcastLocked()
	return true
}

// memory is a file that has no disk.
func memory() (*os.File, error) {
	fd, err := unix.MemfdCreate("ftpfs", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "memory"), nil
}

// bound keeps content in memory small.
func (c *content) bound() {
	c.mu.Lock()
	over := c.inMemory && c.held > memoryFile
	c.mu.Unlock()
	if over {
		c.dropBehind(memoryKeep)
	}
}

// homeless says that clean content has no file of its own in the cache directory: it
// lies in memory, or, unlinked, on the spool's disk when that is another one. It is
// good for those who have it open.
func (c *content) homeless() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.spooled && c.path == "" && c.held > 0
}

// heldLocked counts bytes that came to be held, or, below zero, no longer are.
func (c *content) heldLocked(n int64) {
	c.held += n
	if c.inMemory {
		c.tree.disk.memory.Add(n)
	} else {
		c.tree.disk.held.Add(n)
	}
}
