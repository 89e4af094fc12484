package fs

import (
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"

	"ftpfs/cache"
	"ftpfs/cache/remote"
)

const (
	blockSize = 512
	// st_blksize is the buffer of programs that use stdio: fewer, larger requests.
	ioSize  = 64 << 10
	dirSize = 4096
)

// typeBits is how an entry shows. What cannot be used over FTP shows as a socket:
// opening it fails at once, where a FIFO of the kernel's would block.
func typeBits(t remote.EntryType) uint32 {
	switch t {
	case remote.Dir:
		return syscall.S_IFDIR
	case remote.Symlink:
		return syscall.S_IFLNK
	case remote.File:
		return syscall.S_IFREG
	}
	return syscall.S_IFSOCK
}

// fill gives the kernel's view of a: the mount's owner, the server's mode or the
// mount's, whole seconds (all three times are the modification time, the only one
// FTP has).
func (m *mount) fill(a *cache.Attr, out *fuse.Attr) {
	m.odd.note(a)
	out.Ino = a.Ino
	out.Mode = typeBits(a.Type) | m.mode(a)
	out.Size = uint64(max(a.Size, 0))
	out.Nlink = a.Nlink
	if a.Type == remote.Dir {
		out.Size = dirSize
		// 1 says that links do not count subdirectories, so that find does not
		// conclude from 2 that there are none.
		out.Nlink = min(a.Nlink, 1)
	}
	out.Blocks = (out.Size + blockSize - 1) / blockSize
	out.Blksize = ioSize
	out.Uid, out.Gid = m.cfg.UID, m.cfg.GID
	sec := uint64(0)
	if !a.MTime.IsZero() {
		sec = uint64(a.MTime.Unix())
	}
	out.Atime, out.Mtime, out.Ctime = sec, sec, sec
	out.Mtimensec = uint32(a.MTime.Nanosecond()) // 0, or a sign to the kernel: see cache's lostLocked
}

func (m *mount) mode(a *cache.Attr) uint32 {
	switch {
	case a.Type == remote.Symlink:
		return 0o777
	case a.HasMode:
		return a.Mode & 0o7777 &^ m.umask
	case a.Type == remote.Dir:
		return m.dirMode &^ m.umask
	}
	return m.fileMode &^ m.umask
}

// fillEntry is fill with the times the kernel may keep the name and attributes.
func (m *mount) fillEntry(a *cache.Attr, out *fuse.EntryOut) {
	m.fill(a, &out.Attr)
	out.SetEntryTimeout(a.Valid)
	out.SetAttrTimeout(a.Valid)
}

func (m *mount) fillAttr(a *cache.Attr, out *fuse.AttrOut) {
	m.fill(a, &out.Attr)
	out.SetTimeout(a.Valid)
}

// oddities are the few inodes that need care elsewhere: files whose size the
// server does not tell, and files with set-id bits. They are noted whenever
// attributes pass by, so that open and write need not ask for them.
type oddities struct {
	n atomic.Int64 // len(m), so that the usual mount pays nothing

	mu sync.Mutex
	m  map[uint64]oddity
}

type oddity struct {
	sizeless bool
	mode     uint32 // with set-id bits; else 0
}

const setIDs = syscall.S_ISUID | syscall.S_ISGID

func (o *oddities) note(a *cache.Attr) {
	var x oddity
	if a.Type == remote.File {
		x.sizeless = a.Size < 0
		if a.HasMode && a.Mode&setIDs != 0 {
			x.mode = a.Mode
		}
	}
	if x == (oddity{}) && o.n.Load() == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if x == (oddity{}) {
		delete(o.m, a.Ino)
	} else {
		if o.m == nil {
			o.m = map[uint64]oddity{}
		}
		o.m[a.Ino] = x
	}
	o.n.Store(int64(len(o.m)))
}

func (o *oddities) get(ino uint64) oddity {
	if o.n.Load() == 0 {
		return oddity{}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.m[ino]
}

func (o *oddities) forget(ino uint64) {
	if o.n.Load() == 0 {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	delete(o.m, ino)
	o.n.Store(int64(len(o.m)))
}

// withoutSetIDs is mode after a write by someone who may not keep its privileges:
// set-user-ID goes, set-group-ID too where the group may execute (else the bit
// means mandatory locking).
func withoutSetIDs(mode uint32) uint32 {
	mode &^= syscall.S_ISUID
	if mode&0o010 != 0 {
		mode &^= syscall.S_ISGID
	}
	return mode
}
