package fs

import (
	"context"
	"syscall"

	gofs "github.com/hanwen/go-fuse/v2/fs"
	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"

	"ftpfs/cache"
	"ftpfs/cache/remote"
)

func (n *node) Create(ctx context.Context, name string, flags, mode uint32, out *fuse.EntryOut) (*gofs.Inode, gofs.FileHandle, uint32, syscall.Errno) {
	if len(name) > maxName {
		return nil, nil, 0, syscall.ENAMETOOLONG
	}
	c := begin(ctx)
	defer c.end()
	child, h, a, err := n.m.tree.Create(c, n.n, name, mode&0o7777, flags&syscall.O_EXCL != 0, openFlags(flags))
	if err != nil {
		return nil, nil, 0, n.m.errno(c, "create", err)
	}
	inode := n.m.answer(ctx, n, child, &a, out)
	fh, kernelFlags := n.m.opened(child, h, flags)
	return inode, fh, kernelFlags, 0
}

// Mknod makes a regular file as create and close do; nothing else exists over FTP.
func (n *node) Mknod(ctx context.Context, name string, mode, _ uint32, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	if t := mode & syscall.S_IFMT; t != 0 && t != syscall.S_IFREG {
		return nil, syscall.EPERM
	}
	if len(name) > maxName {
		return nil, syscall.ENAMETOOLONG
	}
	c := begin(ctx)
	defer c.end()
	child, h, a, err := n.m.tree.Create(c, n.n, name, mode&0o7777, true, cache.OpenFlags{Write: true})
	if err != nil {
		return nil, n.m.errno(c, "create", err)
	}
	err = h.Flush(c)
	h.Release()
	if err != nil {
		n.m.tree.Forget(child)
		return nil, n.m.errno(c, "create", err)
	}
	return n.m.answer(ctx, n, child, &a, out), 0
}

func (n *node) Mkdir(ctx context.Context, name string, mode uint32, out *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	if len(name) > maxName {
		return nil, syscall.ENAMETOOLONG
	}
	c := begin(ctx)
	defer c.end()
	child, a, err := n.m.tree.Mkdir(c, n.n, name, mode&0o7777)
	if err != nil {
		n.doubt(err, name)
		return nil, n.m.errno(c, "mkdir", err)
	}
	return n.m.answer(ctx, n, child, &a, out), 0
}

func (n *node) Rmdir(ctx context.Context, name string) syscall.Errno {
	c := begin(ctx)
	defer c.end()
	err := n.m.tree.Rmdir(c, n.n, name)
	n.doubt(err, name)
	return n.m.errno(c, "rmdir", err)
}

func (n *node) Unlink(ctx context.Context, name string) syscall.Errno {
	c := begin(ctx)
	defer c.end()
	err := n.m.tree.Unlink(c, n.n, name)
	n.doubt(err, name)
	return n.m.errno(c, "unlink", err)
}

// Rename replaces unless RENAME_NOREPLACE is given (coreutils' mv gives it). The
// other flags, EXCHANGE among them, have no equal over FTP.
func (n *node) Rename(ctx context.Context, name string, newParent gofs.InodeEmbedder, newName string, flags uint32) syscall.Errno {
	if flags&^unix.RENAME_NOREPLACE != 0 {
		return syscall.EINVAL
	}
	if len(newName) > maxName {
		return syscall.ENAMETOOLONG
	}
	to, ok := newParent.(*node)
	if !ok {
		return syscall.EXDEV
	}
	c := begin(ctx)
	defer c.end()
	err := n.m.tree.Rename(c, n.n, name, to.n, newName, flags&unix.RENAME_NOREPLACE != 0)
	n.doubt(err, name)
	to.doubt(err, newName)
	return n.m.errno(c, "rename", err)
}

// doubt makes the kernel ask again for what it has under a name in n, after a change
// of it that failed without an answer: the server may have made the change. The entry
// itself stays for as long as the kernel was told, but stat, open and the check of
// permissions ask for the attributes, and learn that the name is gone.
func (n *node) doubt(err error, name string) {
	if err == nil {
		return
	}
	switch remote.KindOf(err) {
	case remote.Down, remote.Timeout, remote.Protocol, remote.Canceled, remote.Temporary, remote.Unknown:
		if k := n.GetChild(name); k != nil {
			k.NotifyContent(attributesOnly, 0)
		}
	}
}

// Link is EPERM, what link(2) says of a file system without hard links: git, cp
// and rsync know it and copy instead.
func (n *node) Link(context.Context, gofs.InodeEmbedder, string, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}

// Symlink is EPERM, what symlink(2) says of a file system without symlinks.
func (n *node) Symlink(context.Context, string, string, *fuse.EntryOut) (*gofs.Inode, syscall.Errno) {
	return nil, syscall.EPERM
}
