package cache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	lru "github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sys/unix"

	"ftpfs/cache/remote"
)

// space bounds the bytes owed on local disk. Its lock is inside all others.
type space struct {
	max  int64
	wait time.Duration

	mu    sync.Mutex // guards what follows
	used  int64
	freed chan struct{} // closed and replaced when used shrinks
}

func newSpace(max int64, wait time.Duration) *space {
	return &space{max: max, wait: wait, freed: make(chan struct{})}
}

// reserve takes n bytes. It waits for uploads to make room, for a while, and then
// fails with NoSpace.
func (s *space) reserve(ctx context.Context, n int64) error {
	var timer *time.Timer
	for {
		freed := s.freedChan() // before trying: nothing freed is missed
		if s.try(n) {
			return nil
		}
		if n > s.max {
			return s.full()
		}
		if timer == nil {
			timer = time.NewTimer(s.wait)
			defer timer.Stop()
		}
		select {
		case <-freed:
		case <-ctx.Done():
			return &remote.Error{Op: "write", Kind: remote.Canceled}
		case <-timer.C:
			return s.full()
		}
	}
}

// try takes n bytes if they are free.
func (s *space) try(n int64) bool {
	if n <= 0 {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.used+n > s.max {
		return false
	}
	s.used += n
	return true
}

// freedChan is closed when something is released.
func (s *space) freedChan() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.freed
}

func (s *space) full() error {
	return &remote.Error{Op: "write", Kind: remote.NoSpace, Err: syscall.ENOSPC,
		Text: fmt.Sprintf("the spool holds %d of %d bytes owed to the server; raise spool_size or wait for the uploads", s.inUse(), s.max)}
}

// take counts n bytes that are there already.
func (s *space) take(n int64) {
	s.mu.Lock()
	s.used += n
	s.mu.Unlock()
}

func (s *space) release(n int64) {
	if n == 0 {
		return
	}
	s.mu.Lock()
	s.used -= n
	close(s.freed)
	s.freed = make(chan struct{})
	s.mu.Unlock()
}

func (s *space) inUse() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.used
}

// disk bounds the clean content held: the longest unused goes first. Content that is
// owed or open is never evicted; of a large open file what lies far behind its
// reader is.
type disk struct {
	tree   *Tree
	max    int64
	held   atomic.Int64
	memory atomic.Int64 // bytes held without a disk: fulldisk.go

	trimming sync.Mutex // one at a time; taken before tree.mu

	rest *lru.LRU[*File, struct{}] // clean, held, not open; guarded by tree.mu
}

const (
	maxRest    = 100_000  // files held; each costs memory too, and a descriptor: mostRest
	keepAround = 64 << 20 // of a large open file, around its reader
)

func newDisk(t *Tree, max int64) *disk {
	rest, err := lru.NewLRU[*File, struct{}](maxRest+1, nil)
	if err != nil {
		panic(err) // the size is positive
	}
	return &disk{tree: t, max: max, rest: rest}
}

// restLocked makes f's content evictable.
func (d *disk) restLocked(f *File) {
	if f.cur != nil && f.cur.homeless() {
		f.dropContentLocked()
		return
	}
	d.rest.Add(f, struct{}{})
}

// forgetLocked makes it not so: it is open, owed or gone.
func (d *disk) forgetLocked(f *File) { d.rest.Remove(f) }

// trim evicts until the bound holds.
func (d *disk) trim() {
	most := d.mostRest()
	if d.held.Load() <= d.max && d.restLen() <= most && !d.crowded() {
		return
	}
	if !d.trimming.TryLock() {
		return
	}
	defer d.trimming.Unlock()
	for d.held.Load() > d.max || d.restLen() > most || d.crowded() {
		if !d.evictOne() {
			if d.held.Load() > d.max {
				d.punch()
			}
			return
		}
	}
}

func (d *disk) restLen() int {
	d.tree.mu.Lock()
	defer d.tree.mu.Unlock()
	return d.rest.Len()
}

func (d *disk) evictOne() bool {
	d.tree.mu.Lock()
	f, _, ok := d.rest.RemoveOldest()
	if !ok {
		d.tree.mu.Unlock()
		return false
	}
	c := f.cur
	f.cur = nil
	d.tree.releaseLocked(f.node)
	d.tree.mu.Unlock()
	c.close()
	return true
}

// punch drops parts of open files.
func (d *disk) punch() {
	d.tree.mu.Lock()
	var open []*content
	for _, n := range d.tree.nodes {
		if f := n.file; f != nil && f.cur != nil && !f.owed && !n.removed && f.handles > 0 {
			open = append(open, f.cur)
		}
	}
	d.tree.mu.Unlock()
	for _, c := range open {
		if d.held.Load() <= d.max {
			return
		}
		c.dropBehind(min(keepAround, max(d.max/4, 4*maxAhead/16)))
	}
}

// fillFailed says what it means that the local disk refused what a transfer brought.
func (d *disk) fillFailed(c *content, err error) error {
	if errors.Is(err, os.ErrClosed) {
		return &remote.Error{Op: "read", Path: c.file.path(), Kind: remote.Canceled, Err: err}
	}
	return fmt.Errorf("cache %s: %w", c.file.path(), err)
}

func punchHole(f *os.File, off, n int64) error {
	return unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
}
