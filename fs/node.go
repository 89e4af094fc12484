package fs

import (
	"context"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"

	"ftpfs/cache"
	"ftpfs/cache/remote"
)

// node is one inode as go-fuse holds it. It has no state: all that is known of the
// inode is the tree's. Several may exist for one inode for a moment.
type node struct {
	gofs.Inode
	m *mount      // immutable
	n *cache.Node // immutable
}

// An index of what is served. Not here, on purpose: Access (the kernel checks
// modes itself), Getlk and friends (locks are local), Allocate (EOPNOTSUPP, and
// libc writes zeros instead), CopyFileRange (the kernel copies), Lseek (go-fuse's
// default: no holes), Tmpfile (EOPNOTSUPP: no file without a name over FTP), Statx.
var (
	_ gofs.NodeLookuper       = (*node)(nil)
	_ gofs.NodeGetattrer      = (*node)(nil)
	_ gofs.NodeSetattrer      = (*node)(nil)
	_ gofs.NodeReadlinker     = (*node)(nil)
	_ gofs.NodeOpendirHandler = (*node)(nil)
	_ gofs.NodeOpener         = (*node)(nil)
	_ gofs.NodeCreater        = (*node)(nil)
	_ gofs.NodeMknoder        = (*node)(nil)
	_ gofs.NodeMkdirer        = (*node)(nil)
	_ gofs.NodeRmdirer        = (*node)(nil)
	_ gofs.NodeUnlinker       = (*node)(nil)
	_ gofs.NodeRenamer        = (*node)(nil)
	_ gofs.NodeLinker         = (*node)(nil)
	_ gofs.NodeSymlinker      = (*node)(nil)
	_ gofs.NodeStatfser       = (*node)(nil)
	_ gofs.NodeGetxattrer     = (*node)(nil)
	_ gofs.NodeListxattrer    = (*node)(nil)
	_ gofs.NodeSetxattrer     = (*node)(nil)
	_ gofs.NodeRemovexattrer  = (*node)(nil)

	_ gofs.FileReader   = (*handle)(nil)
	_ gofs.FileWriter   = (*handle)(nil)
	_ gofs.FileFlusher  = (*handle)(nil)
	_ gofs.FileFsyncer  = (*handle)(nil)
	_ gofs.FileReleaser = (*handle)(nil)

	_ gofs.FileReaddirenter = (*dir)(nil)
	_ gofs.FileLookuper     = (*dir)(nil)
	_ gofs.FileSeekdirer    = (*dir)(nil)
	_ gofs.FileFsyncdirer   = (*dir)(nil)
)

// maxName is NAME_MAX, in bytes: names longer than this could be neither made on a
// server nor listed by readdir(3).
const maxName = 255

// answer makes go-fuse's inode for a node that a request found or made in parent,
// and takes over the reference that came with it. It must be the last step of a
// request that succeeds, and its result must reach the kernel.
func (m *mount) answer(ctx context.Context, parent *node, n *cache.Node, a *cache.Attr, out *fuse.EntryOut) *gofs.Inode {
	m.refs.add(n)
	m.fillEntry(a, out)
	id := gofs.StableAttr{Mode: typeBits(n.Type()), Ino: n.Ino()}
	return parent.NewInode(ctx, &node{m: m, n: n}, id)
}

// Lookup never lets the kernel remember an absence: that a name is not there any more
// could be taken back only by a message that waits for the directory's lock (see
// mount.go), and asking again costs some 20 µs.
func (n *node) Lookup(ctx context.Context, name string, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	if len(name) > maxName {
		return nil, syscall.ENAMETOOLONG
	}
	c := begin(ctx)
	defer c.end()
	child, a, err := n.m.tree.Lookup(c, n.n, name)
	if err != nil {
		return nil, n.m.errno(c, "lookup", err)
	}
	return n.m.answer(ctx, n, child, &a, out), 0
}

func (n *node) Getattr(ctx context.Context, _ gofs.FileHandle, out *fuse.AttrOut) syscall.Errno {
	c := begin(ctx)
	defer c.end()
	a, err := n.m.tree.GetAttr(c, n.n)
	if err != nil {
		return n.m.errno(c, "stat", err)
	}
	n.m.fillAttr(&a, out)
	return 0
}

func (n *node) Readlink(ctx context.Context) ([]byte, syscall.Errno) {
	c := begin(ctx)
	defer c.end()
	target, err := n.m.tree.Readlink(c, n.n)
	if err != nil {
		return nil, n.m.errno(c, "readlink", err)
	}
	return []byte(target), 0
}

// Statfs never fails for want of a server: df over all mounts must not stop here.
// What the server does not tell shows as plenty.
func (n *node) Statfs(ctx context.Context, out *fuse.StatfsOut) syscall.Errno {
	c := begin(ctx)
	defer c.end()
	space, err := n.m.tree.Statfs(c)
	if err != nil {
		if no := n.m.errno(c, "statfs", err); no == syscall.EINTR {
			return no
		}
		space = remote.Space{Total: -1, Free: -1}
	}
	fillStatfs(space, out)
	return 0
}

const (
	statfsBlock  = 4096
	statfsPlenty = 1 << 50 / statfsBlock // 1 PiB
)

func fillStatfs(s remote.Space, out *fuse.StatfsOut) {
	free, total := uint64(statfsPlenty), uint64(statfsPlenty)
	if s.Free >= 0 {
		free = uint64(s.Free) / statfsBlock
	}
	if s.Total >= 0 {
		total = uint64(s.Total) / statfsBlock
	}
	if s.Free < 0 && s.Total >= 0 {
		free = total
	}
	out.Blocks, out.Bfree, out.Bavail = max(total, free), free, free
	out.Bsize, out.Frsize = statfsBlock, statfsBlock
	out.NameLen = maxName
}
