package fs

import (
	"context"
	"syscall"

	"ftpfs/cache/remote"
)

// The only extended attributes there are. All others are ENOTSUP, to get as to
// set: with ENODATA, `ls -l` and every write would ask again for each file.
const (
	xattrState   = "user.ftpfs.state"   // of a file: clean, dirty, uploading, parked: …
	xattrControl = "user.ftpfs.control" // of the mount's root: the daemon's socket
)

func (n *node) xattr(name string) (string, syscall.Errno) {
	switch {
	case name == xattrState && n.n.Type() == remote.File:
		return n.m.tree.State(n.n), 0
	case name == xattrControl && n.IsRoot() && n.m.cfg.Control != "":
		return n.m.cfg.Control, 0
	}
	return "", syscall.ENOTSUP
}

func (n *node) Getxattr(_ context.Context, name string, dest []byte) (uint32, syscall.Errno) {
	v, no := n.xattr(name)
	if no != 0 {
		return 0, no
	}
	return reply(dest, v)
}

// Listxattr lists none: cp -a and mv would copy what it names to other file systems,
// where a file's state is untrue, and a copy of the root's would pass for a mount.
func (n *node) Listxattr(context.Context, []byte) (uint32, syscall.Errno) { return 0, 0 }

func (n *node) Setxattr(context.Context, string, []byte, uint32) syscall.Errno {
	return syscall.ENOTSUP
}

func (n *node) Removexattr(context.Context, string) syscall.Errno { return syscall.ENOTSUP }

// reply puts v into dest, or says how much room it needs.
func reply(dest []byte, v string) (uint32, syscall.Errno) {
	if len(dest) < len(v) {
		return uint32(len(v)), syscall.ERANGE
	}
	return uint32(copy(dest, v)), 0
}
