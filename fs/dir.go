package fs

import (
	"context"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"ftpfs/cache"
)

// dots are the entries before the snapshot's: "." and "..".
const dots = 2

// dir is an open directory: the snapshot taken at opendir, and a position in it.
// The offset of an entry is its index + 1, so that telldir and seekdir are exact.
// go-fuse calls its methods one at a time.
type dir struct {
	node *node      // immutable
	snap *cache.Dir // immutable

	next int
	ent  fuse.DirEntry // the last one given; go-fuse copies it
}

func (n *node) OpendirHandle(ctx context.Context, _ uint32) (gofs.FileHandle, uint32, syscall.Errno) {
	c := begin(ctx)
	defer c.end()
	snap, err := n.m.tree.OpenDir(c, n.n)
	if err != nil {
		return nil, 0, n.m.errno(c, "list", err)
	}
	return &dir{node: n, snap: snap}, 0, 0
}

// Readdirent ends with EIO instead of the end of the directory when the server cannot be
// asked whether the names are all: ls, find and a shell's globs show them all the same,
// and rsync --delete, cp -r and whoever else asks whether that was all hears no.
// (The kernel gets the names in one answer and the error as the next.)
func (d *dir) Readdirent(context.Context) (*fuse.DirEntry, syscall.Errno) {
	i := d.next
	if i >= dots+d.snap.Len() {
		if err := d.snap.Doubt(); err != nil {
			d.node.m.log.swallowed("list", syscall.EIO, err)
			return nil, syscall.EIO
		}
		return nil, 0
	}
	d.next++
	e := &d.ent
	*e = fuse.DirEntry{Off: uint64(i) + 1}
	switch i {
	case 0:
		e.Name, e.Mode, e.Ino = ".", syscall.S_IFDIR, d.node.n.Ino()
	case 1:
		e.Name, e.Mode, e.Ino = "..", syscall.S_IFDIR, d.node.parentIno()
	default:
		x := d.snap.At(i - dots)
		e.Name, e.Mode, e.Ino = x.Name, typeBits(x.Type), x.Ino
	}
	return e, 0
}

func (n *node) parentIno() uint64 {
	if _, p := n.Parent(); p != nil {
		return p.StableAttr().Ino
	}
	return n.n.Ino() // the root's is its own
}

// Lookup answers READDIRPLUS from the snapshot. A name that has gone since is
// listed without an inode: the kernel asks for it if someone wants it.
func (d *dir) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	n, a, err := d.node.m.tree.LookupEntry(d.snap, name)
	if err != nil {
		return nil, errnoOf(err)
	}
	return d.node.m.answer(ctx, d.node, n, &a, out), 0
}

func (d *dir) Seekdir(_ context.Context, off uint64) syscall.Errno {
	d.next = int(min(off, uint64(dots+d.snap.Len())))
	return 0
}

func (d *dir) Fsyncdir(ctx context.Context, _ uint32) syscall.Errno {
	c := begin(ctx)
	defer c.end()
	return d.node.m.errno(c, "fsync", d.node.m.tree.FsyncDir(c, d.node.n))
}
