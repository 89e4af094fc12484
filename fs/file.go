package fs

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"ftpfs/cache"
)

// handle is one open file as the kernel numbers it.
type handle struct {
	m *mount        // immutable
	h *cache.Handle // immutable

	dirty atomic.Bool // changed since a flush last succeeded
}

// openFlags are the tree's. Who makes or empties a file writes, also with O_RDONLY:
// its close is to be noticed.
func openFlags(flags uint32) cache.OpenFlags {
	acc := flags & syscall.O_ACCMODE
	return cache.OpenFlags{
		Read:     acc != syscall.O_WRONLY,
		Write:    acc != syscall.O_RDONLY || flags&(syscall.O_CREAT|syscall.O_TRUNC) != 0,
		Append:   flags&syscall.O_APPEND != 0,
		Truncate: flags&syscall.O_TRUNC != 0,
	}
}

func (n *node) Open(ctx context.Context, flags uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	c := begin(ctx)
	defer c.end()
	h, err := n.m.tree.Open(c, n.n, openFlags(flags))
	if err != nil {
		return nil, 0, n.m.errno(c, "open", err)
	}
	fh, kernelFlags := n.m.opened(n.n, h, flags)
	return fh, kernelFlags, 0
}

// opened registers h and says how the kernel is to treat it. Pages it kept are good
// only if the content is the one of the previous open. A file that is only written
// bypasses the page cache, which is three times as fast and stays coherent with
// readers; one of unknown size must, because the kernel reads no further than the
// size it was told. A file that is only read has nothing to flush.
func (m *mount) opened(n *cache.Node, h *cache.Handle, flags uint32) (*handle, uint32) {
	fh := &handle{m: m, h: h}
	m.handles.add(fh)
	var out uint32
	switch {
	case flags&syscall.O_ACCMODE == syscall.O_WRONLY || m.odd.get(n.Ino()).sizeless:
		out = fuse.FOPEN_DIRECT_IO
	case h.KeepCache():
		out = fuse.FOPEN_KEEP_CACHE
	}
	if openFlags(flags).Write {
		fh.dirty.Store(true) // until its first flush
	} else {
		out |= fuse.FOPEN_NOFLUSH
	}
	return fh, out
}

// Read returns fewer bytes than asked for only at the end of the file: to the
// kernel a short read is the end, and it cuts the file's size down to it.
func (h *handle) Read(ctx context.Context, dest []byte, off int64) (fuse.ReadResult, syscall.Errno) {
	c := begin(ctx)
	defer c.end()
	n := 0
	for n < len(dest) {
		k, err := h.h.ReadAt(c, dest[n:], off+int64(n))
		n += k
		if err == io.EOF || err == nil && k == 0 {
			break
		}
		if err != nil {
			return nil, h.m.errno(c, "read", err)
		}
	}
	return fuse.ReadResultData(dest[:n]), 0
}

func (h *handle) Write(ctx context.Context, data []byte, off int64) (uint32, syscall.Errno) {
	c := begin(ctx)
	defer c.end()
	h.dirty.Store(true)
	n, err := h.h.WriteAt(c, data, off)
	if err != nil && n == 0 {
		return 0, h.m.errno(c, "write", err)
	}
	return uint32(n), 0 // the rest of a short write is tried again, and gets the error
}

// Flush comes once for every descriptor that is closed, so also in the middle of a
// shell's redirections.
func (h *handle) Flush(ctx context.Context) syscall.Errno {
	c := begin(ctx)
	defer c.end()
	h.dirty.Store(false) // before: a write during the flush counts
	if err := h.h.Flush(c); err != nil {
		h.dirty.Store(true)
		return h.m.errno(c, "close", err)
	}
	return 0
}

func (h *handle) Fsync(ctx context.Context, _ uint32) syscall.Errno {
	c := begin(ctx)
	defer c.end()
	return h.m.errno(c, "fsync", h.h.Fsync(c))
}

func (h *handle) Release(context.Context) syscall.Errno {
	h.m.handles.remove(h)
	h.h.Release()
	return 0
}

// handles are the open files, for the end of the mount.
type handles struct {
	mu  sync.Mutex
	set map[*handle]struct{}
}

func (s *handles) add(h *handle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.set == nil {
		s.set = map[*handle]struct{}{}
	}
	s.set[h] = struct{}{}
}

func (s *handles) remove(h *handle) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.set, h)
}

// releaseClosed releases what was closed but for its RELEASE: the kernel sends that
// after close(2) returned, and drops it if the unmount comes first. What was
// changed after its last close (the mount was aborted) stays open, and the tree
// keeps it as interrupted.
func (s *handles) releaseClosed() {
	s.mu.Lock()
	set := s.set
	s.set = nil
	s.mu.Unlock()
	for h := range set {
		if !h.dirty.Load() {
			h.h.Release()
		}
	}
}
